"""Port forwardings in the native API: what is shown of them, and what is refused by which field."""

from typing import Any

import pytest

from tests.cloud import Cloud
from tests.dialects.native.conftest import Client

PATH = "/port-forwardings"
GOOD: dict[str, Any] = {"protocol": "tcp", "external_port": 2222, "instance": "vm"}


@pytest.fixture
def good(cloud: Cloud, alice: Client) -> dict[str, Any]:
    """A wish of the project boats, for a floating IP of its own."""
    cloud.boot(cloud.caller("alice"), "vm")
    return {**GOOD, "floating_ip": str(alice.made("/floating-ips", {})["address"])}


def test_a_forwarding_is_shown_as_it_was_meant(alice: Client, good: dict[str, Any]) -> None:
    instance = alice("GET", "/instances/vm").json()
    (nic,) = instance["nics"]
    common = {
        "project": instance["project"],
        "floating_ip": good["floating_ip"],
        "fixed_address": nic["fixed"][0],
        "nic": nic["id"],
        "instance": instance["id"],
    }
    made = alice.made(PATH, {**good, "internal_port": 22, "description": "a door"})
    ports = {"external_port": 2222, "external_port_last": 2222, "internal_port": 22, "internal_port_last": 22}
    assert made == {"id": made["id"], "protocol": "tcp", "description": "a door", **common, **ports}
    wish = {**good, "protocol": "Udp", "external_port_last": 2230, "nic": nic["id"]}
    del wish["instance"]
    other = alice.made(PATH, wish)
    ports = {"external_port": 2222, "external_port_last": 2230, "internal_port": 2222, "internal_port_last": 2230}
    assert other == {"id": other["id"], "protocol": "udp", "description": "", **common, **ports}
    assert alice("GET", f"{PATH}/{made['id']}").json() == made
    for query in ("", f"?floating_ip={good['floating_ip']}"):
        items = alice("GET", f"{PATH}{query}").json()["items"]
        assert sorted(items, key=lambda each: str(each["protocol"])) == [made, other]
    changed = alice("PUT", f"{PATH}/{made['id']}", {"external_port": 22, "description": ""}).json()
    assert changed == {**made, "external_port": 22, "external_port_last": 22, "description": ""}
    assert alice("PUT", f"{PATH}/{made['id']}", {}).json() == changed
    for each in (made, other):
        assert alice("DELETE", f"{PATH}/{each['id']}").status_code == 204
        assert alice("DELETE", f"{PATH}/{each['id']}").status_code == 404
    assert alice("GET", PATH).json() == {"items": [], "next": None}
    told = [each["action"] for each in alice("GET", f"/events?object={made['id']}").json()["items"]]
    assert told == ["port_forwarding.delete", "port_forwarding.change", "port_forwarding.create"]


def test_a_request_repeated_with_its_key_makes_one(alice: Client, good: dict[str, Any]) -> None:
    made = [alice.made(PATH, good, headers={"Idempotency-Key": "k"})["id"] for _ in range(2)]
    assert made[0] == made[1]
    assert len(alice("GET", PATH).json()["items"]) == 1


REFUSED: list[tuple[dict[str, Any], int, str | None]] = [
    *(({"external_port": port}, 422, "external_port") for port in (0, -1, 65536, 2**40, "22", 2.5, True, None)),
    ({"external_port_last": 2221}, 422, "external_port"),
    ({"internal_port": 0}, 422, "internal_port"),
    ({"internal_port": 1, "internal_port_last": 2, "external_port_last": 2224}, 422, "internal_port"),
    *(({"protocol": protocol}, 422, "protocol") for protocol in ("icmp", "", "tcp; drop", 6, None)),
    ({"instance": "nobody"}, 404, None),
    ({"nic": "none", "instance": None}, 404, None),
    ({"nic": "none"}, 422, "nic"),
    ({"instance": None}, 422, "nic"),
    ({"floating_ip": "198.51.100.77"}, 404, None),
    ({"floating_ip": None}, 422, "floating_ip"),
    ({"fixed_address": "10.0.0.77"}, 422, "fixed_address"),
    ({"fixed_address": "::1"}, 422, "fixed_address"),
    ({"description": "a\nb"}, 422, "description"),
    ({"interface": "eth0"}, 422, "interface"),
]


def test_what_cannot_be_is_refused(alice: Client, good: dict[str, Any]) -> None:
    for changed, status, field in REFUSED:
        answer = alice("POST", PATH, {**good, **changed})
        problem = answer.json()
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), changed
        assert problem.get("field") == field, (changed, problem)
    assert alice("GET", PATH).json()["items"] == []


def test_what_is_forwarded_is_in_use(alice: Client, root: Client, good: dict[str, Any]) -> None:
    made = alice.made(PATH, good)
    path = f"/floating-ips/{good['floating_ip']}"
    for refused in (alice("DELETE", path), alice("PUT", f"{path}/association", {"instance": "vm"})):
        assert (refused.status_code, refused.json()["field"]) == (409, "port_forwardings")
        assert made["id"] in refused.json()["detail"]
    again = alice("POST", PATH, {**good, "internal_port": 80})
    assert (again.status_code, again.json()["field"]) == (409, "external_port")
    # A pool that is withdrawn leaves what leads somewhere.
    assert root("PUT", "/pools/public/grants/boats").is_success
    assert root("DELETE", "/pools/public/grants/boats?release=true").is_success
    assert alice("GET", f"{PATH}/{made['id']}").json() == made
