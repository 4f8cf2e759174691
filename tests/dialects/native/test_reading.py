"""Lists in pages, facts and traces, and a whole life told as a recorded conversation."""

import re
from pathlib import Path

import httpx2
import pytest

from mooring.compile.filters import link_local
from mooring.model.subjects import HostRole, Report, SubjectKey, SubjectKind
from tests.cloud import Cloud
from tests.dialects.conversation import Response, check
from tests.dialects.native.conftest import Client
from tests.dialects.native.test_rights import INSTANCE


def test_pages_hold_everything_once(alice: Client) -> None:
    made = {alice.made("/floating-ips", {})["id"] for _ in range(7)}
    seen: list[str] = []
    after = None
    for expected in (3, 3, 1):
        query = {"limit": 3} if after is None else {"limit": 3, "after": after}
        page = alice("GET", "/floating-ips", params=query).json()
        assert len(page["items"]) == expected
        seen += [each["id"] for each in page["items"]]
        after = page["next"]
    assert after is None
    assert len(seen) == 7
    assert set(seen) == made


def test_a_page_goes_on_after_something_that_is_gone(alice: Client) -> None:
    for _ in range(4):
        alice.made("/floating-ips", {})
    first = alice("GET", "/floating-ips", params={"limit": 2}).json()
    assert alice("DELETE", f"/floating-ips/{first['next']}").status_code == 204
    assert len(alice("GET", "/floating-ips", params={"limit": 2, "after": first["next"]}).json()["items"]) == 2


@pytest.fixture
def moored(cloud: Cloud, alice: Client) -> str:
    """The address of a floating IP that is associated with an instance."""
    cloud.boot(cloud.caller("alice"), "vm")
    address: str = alice.made("/floating-ips", {})["address"]
    assert alice("PUT", f"/floating-ips/{address}/association", {"instance": "vm"}).status_code == 200
    return address


def test_facts_are_text_or_json(root: Client, moored: str) -> None:
    text = root("GET", "/hosts/host1/facts", headers={"Accept": "text/plain"})
    assert text.headers["content-type"].startswith("text/plain")
    lines = text.text.splitlines()
    assert any(f"fip_in {moored} = 10.0.0.2" in line for line in lines)
    items = root("GET", "/hosts/host1/facts").json()["items"]
    assert len(items) == len(lines)
    for fact, line in zip(items, lines, strict=True):
        assert line.startswith(f"{fact['place']} {fact['table']} {' '.join(fact['key'])}".strip())


def test_a_host_tells_its_trouble(cloud: Cloud, root: Client, alice: Client) -> None:
    assert root("GET", "/hosts/host1").json()["settled"] is True
    alice.made("/instances", {"name": "vm", "image": "tiny", "flavor": "m1.tiny"})
    nic = alice("GET", "/instances/vm").json()["nics"][0]["id"]
    key = SubjectKey(SubjectKind.NIC, nic)
    with cloud.store.write() as tx:
        generation, (host,) = tx.deliveries.publish(key)
    cloud.operations.settlement.report(host, [Report(key, HostRole.GATEWAY, generation, "no room")])
    shown = root("GET", "/hosts/host1").json()
    assert shown["settled"] is False
    (trouble,) = shown["trouble"]
    assert trouble["subject"] == f"nic/{nic}"
    assert trouble["reason"] == "no room"


def test_a_launch_that_fails_is_told_by_the_instance_and_leaves_the_host_settled(
    cloud: Cloud, root: Client, alice: Client
) -> None:
    cloud.host.failing = "no room"
    alice.made("/instances", {"name": "vm", "image": "tiny", "flavor": "m1.tiny"})
    shown = alice("GET", "/instances/vm").json()
    assert (shown["state"], shown["fault"]) == ("error", "no room")
    assert root("GET", "/hosts/host1").json()["settled"] is True


def test_a_trace_says_where_a_packet_leaves(root: Client, moored: str) -> None:
    asked = {"source": "10.0.0.2", "destination": "192.0.2.1", "protocol": "tcp", "port": 80}
    found = root.made("/trace", asked)
    assert found["answered"] is True
    assert found["there"]["outcome"] == "left by an uplink"
    assert found["there"]["header"] == f"tcp {moored} -> 192.0.2.1:80"
    text = root("POST", "/trace", asked, headers={"Accept": "text/plain"}).text
    assert text.startswith("on host host1\n")
    assert moored in text
    assert text.endswith("answered\n")


def test_a_trace_from_the_outside(root: Client, alice: Client, moored: str) -> None:
    asked = {"source": "192.0.2.1", "destination": moored}
    assert root.made("/trace", asked)["there"]["outcome"] == "dropped"
    alice.made("/security-groups/default/rules", {"protocol": "icmp"})
    inbound = root.made("/trace", asked)
    assert inbound["there"]["outcome"] == "delivered to a guest"
    assert inbound["answered"] is True
    nobody = root.made("/trace", {"source": "192.0.2.1", "destination": "198.51.100.39"})
    assert nobody["answered"] is False
    assert nobody["back"] is None


def test_a_trace_from_where_one_says(root: Client, moored: str) -> None:
    asked = {"source": "10.0.0.2", "destination": moored}
    assert root.made("/trace", asked)["there"]["entry"].startswith("from a guest")
    assert root.made("/trace", {**asked, "entry": "uplink"})["there"]["entry"].startswith("from the outside")
    stranger = {"source": "10.0.0.77", "destination": "192.0.2.1"}
    assert root("POST", "/trace", {**stranger, "entry": "guest"}).json()["field"] == "source"
    assert root.made("/trace", {**stranger, "network": "private"})["answered"] is False


def test_a_trace_of_what_one_nic_sends(cloud: Cloud, root: Client, alice: Client, moored: str) -> None:
    nic = alice("GET", "/instances/vm").json()["nics"][0]["id"]
    own = root.made("/trace", {"source": "10.0.0.2", "destination": "192.0.2.1", "nic": nic})
    assert own["there"]["outcome"] == "left by an uplink"
    assert own["there"]["entry"].startswith("from a guest of network ")
    assert own["onward"] == []
    unknown = root("POST", "/trace", {"source": "10.0.0.2", "destination": "192.0.2.1", "nic": "none"})
    assert unknown.json()["field"] == "nic"


def test_a_trace_calls_groups_and_rules_what_their_project_calls_them(root: Client, alice: Client) -> None:
    alice.made("/security-groups", {"name": "web"})
    rule = {"protocol": "tcp", "ports": {"first": 80, "last": 89}, "remote_group": "default"}
    alice.made("/security-groups/web/rules", rule)
    for name, groups in (("vm", ["default"]), ("vm2", ["web"])):
        alice.made("/instances", {**INSTANCE, "name": name, "security_groups": groups})
    (asks,), (serves,) = (alice("GET", f"/instances/{name}").json()["nics"] for name in ("vm", "vm2"))
    asked = {"source": asks["fixed"][0], "destination": serves["fixed"][0], "protocol": "tcp", "port": 81}
    text = root("POST", "/trace", asked, headers={"Accept": "text/plain"}).text
    assert re.search(r"may send this: group default \(\d+\) admits any protocol to anybody", text), text
    assert re.search(
        r"may receive this: group web \(\d+\) admits tcp 80-89 from members of group default \(\d+\)", text
    ), text
    refused = root.made("/trace", {**asked, "port": 90})["there"]["end"]
    assert re.search(r"no rule of group web \(\d+\) admits tcp 90 from 10", refused)


def test_a_trace_of_ipv6_stays_on_the_network(root: Client, alice: Client) -> None:
    for name in ("vm", "vm2"):
        alice.made("/instances", {**INSTANCE, "name": name})
    one, two = (link_local(alice("GET", f"/instances/{name}").json()["nics"][0]["mac"]) for name in ("vm", "vm2"))
    found = root.made("/trace", {"source": str(one), "destination": str(two)})
    assert (found["answered"], found["there"]["outcome"]) == (True, "delivered to a guest")
    beyond = root.made("/trace", {"source": str(one), "destination": "2001:db8::1"})["there"]
    assert beyond["outcome"] == "nobody is there"
    outside = root.made("/trace", {"source": "2001:db8::1", "destination": str(two)})["there"]["end"]
    assert outside.startswith("nobody is there: routers here have no IPv6")
    mixed = root("POST", "/trace", {"source": str(one), "destination": "192.0.2.1"})
    assert (mixed.status_code, mixed.json()["field"]) == (422, "destination")


@pytest.mark.parametrize("story", ["life", "pools"])
def test_a_life(story: str, cloud: Cloud, http: httpx2.Client, request: pytest.FixtureRequest) -> None:
    def send(method: str, target: str, headers: dict[str, str], body: bytes) -> Response:
        got = http.request(method, target, headers=headers, content=body)
        return Response(got.status_code, got.reason_phrase, dict(got.headers), got.content)

    tokens = {user: cloud.token(user) for user in ("alice", "bob", "root")}
    path = Path(__file__).parent / "conversations" / f"{story}.http"
    check(path, send, tokens, bless=request.config.getoption("--bless"))  # type: ignore[arg-type]
