"""Whatever a client sends, it gets an answer below 500, in the form of a fault if it is one."""

import copy
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mooring.dialects.neutron import ROUTES
from tests.cloud import Cloud
from tests.dialects.neutron.conftest import Client
from tests.dialects.neutron.test_rights import CASES, Harbour, harbour_of

BODIES: dict[str, dict[str, Any]] = {
    "POST /floatingips": {
        "floatingip": {
            "floating_network_id": "POOL",
            "floating_ip_address": "198.51.100.30",
            "port_id": "PORT",
            "fixed_ip_address": "10.0.0.2",
            "description": "",
            "tenant_id": "PROJECT",
        }
    },
    "PUT /floatingips/FLOATING": {"floatingip": {"port_id": "PORT", "fixed_ip_address": "10.0.0.2"}},
    "PUT /ports/PORT": {"port": {"security_groups": ["GROUP"], "name": "", "admin_state_up": True}},
    "POST /security-groups": {"security_group": {"name": "web", "description": "Open", "stateful": True}},
    "PUT /security-groups/GROUP": {"security_group": {"name": "web", "description": "Open"}},
    "POST /security-group-rules": {
        "security_group_rule": {
            "security_group_id": "GROUP",
            "direction": "ingress",
            "ethertype": "IPv6",
            "protocol": "tcp",
            "port_range_min": 22,
            "port_range_max": "22",
            "remote_ip_prefix": "2001:db8::/32",
            "remote_group_id": None,
        }
    },
    "PUT /quotas/PROJECT": {"quota": {"floatingip": 10, "security_group": -1}},
}
# One cloud serves all examples of a test: what one leaves behind is one more thing for the next to meet.
fuzzing = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)

_texts = st.text(max_size=20) | st.sampled_from(
    ["", "10.0.0.9", "::1", "x" * 300, "a\0b", "\n", "{}", "\N{ARABIC-INDIC DIGIT ONE}", "PORT", "-1", "256"]
)
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=5,
)


@st.composite
def damaged(draw: st.DrawFn, body: dict[str, Any]) -> str:
    """Return a good body with one or two of its fields replaced, removed or added to."""
    made = copy.deepcopy(body)
    ((_, inner),) = made.items()
    inside = inner if isinstance(inner, dict) else made
    for _ in range(draw(st.integers(1, 2))):
        name = draw(st.sampled_from([*inside, "else"]))
        if draw(st.booleans()):
            inside[name] = draw(_values)
        else:
            inside.pop(name, None)
    return json.dumps(made)


@pytest.fixture
def harbour(cloud: Cloud, http: httpx2.Client, as_user: Callable[[str], Client]) -> Harbour:
    return harbour_of(cloud, http, as_user)


@pytest.fixture
def ids(cloud: Cloud) -> dict[str, str]:
    """What stands for the capitals in paths and bodies."""
    alice = cloud.caller("alice")
    floating = cloud.operations.addresses.allocate(alice, None)
    return {
        "POOL": floating.pool,
        "PORT": cloud.boot(alice).nics[0].id,
        "FLOATING": floating.id,
        "GROUP": cloud.operations.groups.create(alice, "group").id,
        "PROJECT": alice.project.id,
    }


def _filled(text: str, ids: dict[str, str]) -> str:
    for name, value in ids.items():
        text = text.replace(name, value)
    return text


def _check(status: int, text: str) -> None:
    assert status < 500, text
    if status >= 400:
        told = json.loads(text)["NeutronError"]
        assert told["type"]
        assert told["message"]


@pytest.mark.parametrize("target", BODIES)
@fuzzing
@given(data=st.data())
def test_bodies(alice: Client, ids: dict[str, str], target: str, data: st.DataObject) -> None:
    method, path = _filled(target, ids).split(" ")
    body = _filled(data.draw(damaged(BODIES[target])), ids)
    answer = alice.http.request(
        method, f"/network/v2.0{path}", content=body, headers={**alice.headers, "Content-Type": "application/json"}
    )
    _check(answer.status_code, answer.text)


@fuzzing
@given(data=st.data())
def test_bodies_of_every_route(harbour: Harbour, data: st.DataObject) -> None:
    """Those of the walk over all routes."""
    route = data.draw(st.sampled_from(ROUTES))
    case = CASES[route.method, route.path]
    body = case.body_for(harbour.ids) or {"thing": {}}
    own = {case.param: harbour.ids[case.own]} if case.own else {}
    ids = {**harbour.ids, "floatingip": harbour.ids[case.floatingip], **own}
    sent = data.draw(damaged(body))
    client = harbour.as_user("root" if case.admin else "alice")
    headers = {**client.headers, "Content-Type": "application/json"}
    answer = client.http.request(route.method, route.path.format_map(ids), content=sent, headers=headers)
    _check(answer.status_code, answer.text)


@fuzzing
@given(data=st.data())
def test_paths_and_queries(alice: Client, data: st.DataObject) -> None:
    route = data.draw(st.sampled_from([route for route in ROUTES if route.method == "GET"]))
    segments = [quote(data.draw(_texts), safe="") if part.startswith("{") else part for part in route.segments]
    known = [
        "fields",
        "limit",
        "marker",
        "page_reverse",
        "sort_key",
        "sort_dir",
        "id",
        "name",
        "fixed_ips",
        "device_id",
    ]
    query = data.draw(st.lists(st.tuples(st.sampled_from(known) | _texts, _texts), max_size=5))
    asked = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in query)
    answer = alice("GET", f"/{'/'.join(segments)}?{asked}")
    _check(answer.status_code, answer.text)
