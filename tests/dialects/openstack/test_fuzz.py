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

from mooring.dialects.openstack.routes import ROUTES
from tests.cloud import FLAVORS, IMAGES, Cloud
from tests.dialects.openstack.conftest import Client
from tests.dialects.openstack.test_rights import CASES, Harbour, harbour_of

BODIES: dict[str, dict[str, Any]] = {
    "/servers": {
        "server": {
            "name": "vm",
            "imageRef": IMAGES[0].id,
            "flavorRef": FLAVORS[0].id,
            "networks": [{"uuid": "private", "fixed_ip": "10.0.0.9", "port": None}],
            "min_count": 1,
            "security_groups": [{"name": "default"}],
            "block_device_mapping_v2": [
                {"boot_index": 0, "uuid": IMAGES[0].id, "source_type": "image", "destination_type": "local"}
            ],
            "OS-DCF:diskConfig": "AUTO",
            "metadata": {},
        }
    },
    "/servers/x/action": {"addFloatingIp": {"address": "198.51.100.11", "fixed_address": "10.0.0.2"}},
    "/os-floating-ips": {"pool": "public"},
    "/os-security-groups": {"security_group": {"name": "web", "description": "Open to the world"}},
    "/os-security-group-rules": {
        "security_group_rule": {
            "parent_group_id": "deadbeef-0000-4000-8000-000000000000",
            "ip_protocol": "tcp",
            "from_port": 22,
            "to_port": "22",
            "cidr": "10.0.0.0/8",
            "group_id": None,
        }
    },
    "/os-floating-ips/x/addFloatingIp": {"associate_address": {"fixed_ip": "10.0.0.2"}},
    "/os-floating-ips-bulk": {
        "floating_ips_bulk_create": {"ip_range": "198.51.100.64/29", "pool": "public", "interface": "eth0"}
    },
    "/servers/x/os-interface": {
        "interfaceAttachment": {"net_id": "private", "fixed_ips": [{"ip_address": "10.0.0.7"}]}
    },
    "/servers/y/action": {"addSecurityGroup": {"name": "default"}},
    "/identity/v3/auth/tokens": {
        "auth": {
            "identity": {
                "methods": ["password"],
                "password": {"user": {"name": "alice", "domain": {"id": "default"}, "password": "pw-alice"}},
            },
            "scope": {"project": {"name": "boats", "domain": {"name": "Default"}}},
        }
    },
    "/identity/v3/projects": {
        "project": {"name": "fleet", "description": "d", "enabled": True, "domain_id": "default"}
    },
    "/identity/v3/users": {
        "user": {
            "name": "nell",
            "password": "pw",
            "email": "n@example.org",
            "enabled": True,
            "default_project_id": "boats",
        }
    },
    "/identity/v3/users/z/application_credentials": {
        "application_credential": {
            "name": "ci",
            "roles": [{"name": "reader"}],
            "expires_at": "2030-01-01T00:00:00.000000",
            "unrestricted": False,
        }
    },
    "/identity/v3/users/z/password": {"user": {"password": "new", "original_password": "wrong"}},
    "/identity/v2.0/tokens": {
        "auth": {"tenantName": "boats", "passwordCredentials": {"username": "alice", "password": "pw-alice"}}
    },
}
CHANGES: dict[str, dict[str, Any]] = {
    "/servers/{server}": {"server": {"name": "other", "accessIPv4": "", "OS-DCF:diskConfig": "AUTO"}},
    "/os-quota-sets/harbour": {"quota_set": {"instances": 5, "floating_ips": "-1", "cores": -1, "force": True}},
    "/os-floating-ips-bulk/delete": {"ip_range": "198.51.100.32/29"},
}


@pytest.fixture
def harbour(cloud: Cloud, http: httpx2.Client) -> Harbour:
    return harbour_of(cloud, http)


# One cloud serves all examples of a test: what one leaves behind is one more thing for the next to meet.
fuzzing = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)

_texts = st.text(max_size=20) | st.sampled_from(
    ["", "10.0.0.9", "::1", "x" * 300, "a\0b", "\n", "{}", "\N{ARABIC-INDIC DIGIT ONE}", "default"]
)
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=5,
)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Return every (container, key) of a body."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, inner in items for place in [(value, key), *_places(inner)]]


@st.composite
def damaged(draw: st.DrawFn, body: dict[str, Any]) -> bytes:
    """Return a good body with one to three places replaced, removed or added to."""
    made = copy.deepcopy(body)
    for _ in range(draw(st.integers(1, 3))):
        container, key = draw(st.sampled_from(_places(made) or [(made, "x")]))
        match draw(st.sampled_from(["replace", "remove", "add"])):
            case "replace":
                container[key] = draw(_values)
            case "remove":
                container.pop(key, None) if isinstance(container, dict) else container.pop(key)
            case _ if isinstance(container, dict):
                container[draw(_texts)] = draw(_values)
            case _:
                container.append(draw(_values))
    return json.dumps(made).encode()


@pytest.mark.parametrize("path", BODIES)
@fuzzing
@given(data=st.data())
def test_bodies(cloud: Cloud, alice: Client, path: str, data: st.DataObject) -> None:
    body = data.draw(damaged(BODIES[path]))
    answer = alice(
        "POST",
        path.replace("/z/", f"/{cloud.caller('alice').user.id}/"),
        content=body,
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        ((_, inside),) = answer.json().items()
        assert inside["code"] == answer.status_code
        assert inside["message"]


@pytest.mark.parametrize("path", CHANGES)
@fuzzing
@given(data=st.data())
def test_bodies_of_changes(cloud: Cloud, as_user: Callable[[str], Client], path: str, data: st.DataObject) -> None:
    root = cloud.caller("root")
    servers = cloud.operations.instances.listing(root) or [cloud.boot(root)]
    body = data.draw(damaged(CHANGES[path]))
    answer = as_user("root")("PUT", path.format(server=servers[0].id), content=body)
    assert answer.status_code < 500, answer.text


@fuzzing
@given(data=st.data())
def test_bodies_of_every_route(harbour: Harbour, data: st.DataObject) -> None:
    """Those of the walk over all routes; identity's are above, where nobody loses their own account by them."""
    route = data.draw(st.sampled_from([each for each in ROUTES if each.path.startswith("/compute")]))
    case = CASES[route.method, route.path]
    body = case.body_for(harbour.ids) or {}
    ids = {**harbour.ids, **{name: harbour.ids[thing] for name, thing in case.instead.items()}}
    sent = data.draw(damaged(body))
    headers = {"Content-Type": "application/json"}
    answer = harbour.owner(route)(route.method, route.path.format_map(ids), content=sent, headers=headers)
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400:
        ((_, inside),) = answer.json().items()
        assert inside["code"] == answer.status_code
        assert inside["message"]


@fuzzing
@given(data=st.data())
def test_paths_queries_and_headers(as_user: Callable[[str], Client], data: st.DataObject) -> None:
    route = data.draw(st.sampled_from([route for route in ROUTES if route.path.startswith(("/compute", "/image"))]))
    segments = [quote(data.draw(_texts), safe="") if part.startswith("{") else part for part in route.segments]
    known = ["name", "status", "limit", "marker", "id", "ip", "all_tenants", "is_public", "sort_key", "changes-since"]
    names = st.sampled_from(known) | _texts
    query = data.draw(st.dictionaries(names, _texts, max_size=3))
    text = "&".join(f"{quote(key)}={quote(value)}" for key, value in query.items())
    headers = {"X-OpenStack-Nova-API-Version": data.draw(st.sampled_from(["2.1", "2.35", "latest", "2.99", "x"]))}
    client = as_user(data.draw(st.sampled_from(["alice", "root"])))
    answer = client(route.method, "/" + "/".join(segments) + "?" + text, headers=headers)
    assert answer.status_code < 500, answer.text
