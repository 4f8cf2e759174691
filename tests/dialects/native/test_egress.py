"""Egress preferences in the native API: what is shown of them, and what is refused by which field."""

from typing import Any

import pytest

from tests.cloud import Cloud
from tests.dialects.native.conftest import Client

GOOD: dict[str, Any] = {"prefix": "192.0.2.0/24", "leave_as": {"pool": "public"}}
PATH = "/egress-preferences"


@pytest.fixture
def floating(cloud: Cloud, alice: Client) -> str:
    """An address of the instance vm of the project boats."""
    cloud.boot(cloud.caller("alice"), "vm")
    address = str(alice.made("/floating-ips", {})["address"])
    assert alice("PUT", f"/floating-ips/{address}/association", {"instance": "vm"}).is_success
    return address


def test_a_preference_is_shown_as_it_was_meant(alice: Client, floating: str) -> None:
    instance = alice("GET", "/instances/vm").json()
    (nic,) = instance["nics"]
    (fixed,) = nic["fixed"]
    network = alice("GET", "/networks/private").json()
    nobody = {"nic": None, "fixed_address": None}
    for more, scope, shown in (
        ({}, "project", {"target": instance["project"], **nobody}),
        ({"network": "private"}, "network", {"target": network["id"], **nobody}),
        ({"instance": "vm"}, "instance", {"target": instance["id"], **nobody}),
        ({"nic": nic["id"]}, "nic", {"target": nic["id"], "nic": nic["id"], "fixed_address": None}),
        ({"instance": "vm", "fixed_address": fixed}, "address", {"nic": nic["id"], "fixed_address": fixed}),
    ):
        made = alice.made(PATH, {**GOOD, **more})
        common = {"id": made["id"], "project": instance["project"], "scope": scope, "prefix": "192.0.2.0/24"}
        way = {"floating_ip": None, "pool": "public"}
        assert made == {"target": made["target"], **common, **shown, "leave_as": way, "fallback": None}
        assert alice("GET", f"{PATH}/{made['id']}").json() == made
        if scope not in {"project", "network"}:
            changed = alice(
                "PUT", f"{PATH}/{made['id']}", {"leave_as": {"floating_ip": floating}, "established": "cut"}
            )
            assert changed.json() == {**made, "leave_as": {"floating_ip": floating, "pool": "public"}}
    assert len(alice("GET", PATH).json()["items"]) == 5
    for each in alice("GET", PATH).json()["items"]:
        assert alice("DELETE", f"{PATH}/{each['id']}?established=cut").status_code == 204
        assert alice("DELETE", f"{PATH}/{each['id']}").status_code == 404
    assert alice("GET", PATH).json() == {"items": [], "next": None}


def test_a_request_repeated_with_its_key_makes_one(alice: Client) -> None:
    made = [alice.made(PATH, GOOD, headers={"Idempotency-Key": "k"})["id"] for _ in range(2)]
    assert made[0] == made[1]
    assert len(alice("GET", PATH).json()["items"]) == 1


@pytest.mark.parametrize(
    "changed, status, field",
    [
        *(
            ({"prefix": prefix}, 422, "prefix")
            for prefix in ("192.0.2.1/24", "192.0.2.0", "192.0.2.0/33", "::/0", "", None, 7, "10.0.0.0/8; drop")
        ),
        ({"leave_as": {}}, 422, "floating_ip"),
        ({"leave_as": {"pool": "public", "floating_ip": "198.51.100.11"}}, 422, "floating_ip"),
        ({"leave_as": {"floating_ip": "::1"}}, 422, "leave_as.floating_ip"),
        ({"leave_as": {"interface": "eth0"}}, 422, "leave_as.interface"),
        ({"leave_as": "public"}, 422, "leave_as"),
        ({"leave_as": {"pool": "nowhere"}}, 404, None),
        ({"leave_as": {"floating_ip": "198.51.100.77"}}, 404, None),
        ({"fallback": {"pool": "public"}}, 422, "fallback"),
        ({"fallback": {"pool": 7}}, 422, "fallback.pool"),
        ({"established": "kill"}, 422, "established"),
        ({"instance": "nobody"}, 404, None),
        ({"nic": "none"}, 404, None),
        ({"network": "nowhere"}, 404, None),
        ({"network": "private", "nic": "none"}, 422, "network"),
        ({"fixed_address": "10.0.0.3"}, 422, "fixed_address"),
        ({"uplink": "eth0"}, 422, "uplink"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused(alice: Client, changed: dict[str, Any], status: int, field: str | None) -> None:
    answer = alice("POST", PATH, {**GOOD, **changed})
    problem = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    named = problem.get("field") or next((each["field"] for each in problem.get("fields", [])), None)
    assert named == field, problem
    assert alice("GET", PATH).json()["items"] == []


def test_what_guests_prefer_is_in_use(alice: Client, root: Client, floating: str) -> None:
    made = alice.made(PATH, {**GOOD, "leave_as": {"floating_ip": floating}, "instance": "vm"})
    for method, path in (
        ("DELETE", f"/floating-ips/{floating}"),
        ("DELETE", f"/floating-ips/{floating}/association"),
    ):
        refused = alice(method, path)
        assert (refused.status_code, refused.json()["type"]) == (409, "urn:mooring:in-use")
        assert made["id"] in refused.json()["detail"]
    again = alice("POST", PATH, {**GOOD, "instance": "vm"})
    assert (again.status_code, again.json()["field"]) == (409, "prefix")
    assert root("DELETE", "/pools/public").status_code == 409
