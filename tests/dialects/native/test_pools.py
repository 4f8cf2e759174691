"""Pools in the native API: for whom they are there, shares, what is told of them, and what is refused by which field."""

from typing import Any

import pytest

from tests.dialects.native.conftest import Client

SECOND = {
    "name": "second",
    "cidr": "203.0.113.0/24",
    "gateway": "203.0.113.1",
    "ranges": [{"first": "203.0.113.10", "last": "203.0.113.19"}],
    "uplink": "isp-b",
    "interface": "eth7",
    "public": False,
    "floating_ips_per_fixed_ip": 2,
}


@pytest.fixture
def second(root: Client) -> dict[str, Any]:
    """A pool that nobody may use yet."""
    made: dict[str, Any] = root.made("/pools", SECOND)
    return made


def test_a_pool_is_shown_as_it_was_meant(root: Client, second: dict[str, Any]) -> None:
    assert (second["public"], second["floating_ips_per_fixed_ip"]) == (False, 2)
    shown = root("GET", "/pools/second").json()
    assert {name: shown[name] for name in second} == second
    assert shown["usage"] == {"total": 10, "free": 10, "allocated": 0, "associated": 0, "releasing": 0, "routers": 0}
    assert (shown["grants"], shown["shares"]) == ([], [])
    assert shown["forecast"]["reason"] == "not enough history: 0 of at least 7 days"
    changed = root("PUT", "/pools/second", {"public": True})
    assert changed.json() == {**second, "public": True}
    assert root("PUT", f"/pools/{second['id']}", {"public": False}).json() == second


def test_who_has_no_grant_finds_nothing(root: Client, alice: Client, bob: Client, second: dict[str, Any]) -> None:
    granted = root("PUT", "/pools/second/grants/boats").json()
    assert granted == {"project": granted["project"], "project_name": "boats", "used": 0, "limit": -1}
    assert [each["name"] for each in bob("GET", "/pools").json()["items"]] == ["public"]
    for name in ("second", second["id"], "nowhere"):
        told = [bob("GET", f"/pools/{name}"), bob("POST", "/floating-ips", {"pool": name})]
        assert [answer.status_code for answer in told] == [404, 404]
        assert {answer.json()["detail"] for answer in told} == {f"Pool {name} could not be found."}
    made = alice.made("/floating-ips", {"pool": "second"})
    assert made["pool_name"] == "second"
    shown = alice("GET", "/pools/second").json()
    assert (shown["own"]["used"], shown["grants"], shown["shares"], shown["forecast"]) == (1, None, None, None)
    known = root("GET", "/pools/second").json()
    assert [each["project_name"] for each in known["grants"]] == ["boats"]
    assert [(each["project_name"], each["used"]) for each in known["shares"]] == [("boats", 1)]


def test_a_withdrawal_says_what_is_left(root: Client, alice: Client, second: dict[str, Any]) -> None:
    assert root("PUT", "/pools/second/grants/boats").is_success
    made = alice.made("/floating-ips", {"pool": "second"})
    assert root("DELETE", "/pools/second/grants/boats").json()["used"] == 1
    assert alice("GET", f"/floating-ips/{made['id']}").is_success
    assert alice("GET", "/pools/second").status_code == 404
    gone = root("DELETE", "/pools/second/grants/boats")
    assert (gone.status_code, gone.json()["detail"]) == (
        404,
        "Grant of pool second to project boats could not be found.",
    )
    assert root("PUT", "/pools/second/grants/boats").is_success
    assert root("DELETE", "/pools/second/grants/boats?release=true").json()["used"] == 0
    assert alice("GET", f"/floating-ips/{made['id']}").status_code == 404


def test_a_share_is_a_limit(root: Client, alice: Client) -> None:
    limited = root("PUT", "/pools/public/quotas/boats", {"limit": 1})
    assert limited.json()["limit"] == 1
    alice.made("/floating-ips", {})
    refused = alice("POST", "/floating-ips", {})
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:mooring:quota-exceeded")
    assert refused.json()["detail"] == "Quota exceeded for floating IPs of pool public: the limit is 1."
    assert alice("GET", "/pools/public").json()["own"] == limited.json() | {"used": 1}


def test_an_address_by_itself(root: Client, alice: Client, second: dict[str, Any]) -> None:
    assert root("PUT", "/pools/second/grants/boats").is_success
    wanted = {"pool": "second", "address": "203.0.113.15"}
    made = [alice.made("/floating-ips", wanted, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert made[0] == made[1]
    assert made[0]["address"] == "203.0.113.15"
    assert alice("POST", "/floating-ips", wanted).status_code == 409
    assert alice("POST", "/floating-ips", {"address": "198.51.100.20"}).status_code == 403
    assert root.made("/floating-ips", {"address": "198.51.100.20"})["pool_name"] == "public"


@pytest.mark.parametrize(
    "asked, told",
    [
        (("POST", "/pools", {**SECOND, "name": "t", "public": "yes"}), (422, "public")),
        (("POST", "/pools", {**SECOND, "name": "t", "public": None}), (422, "public")),
        (
            ("POST", "/pools", {**SECOND, "name": "t", "floating_ips_per_fixed_ip": 0}),
            (422, "floating_ips_per_fixed_ip"),
        ),
        (("PUT", "/pools/second", {"floating_ips_per_fixed_ip": 65}), (422, "floating_ips_per_fixed_ip")),
        (("PUT", "/pools/second", {"floating_ips_per_fixed_ip": "2"}), (422, "floating_ips_per_fixed_ip")),
        (("PUT", "/pools/second", {"name": "third"}), (422, "name")),
        (("PUT", "/pools/nowhere", {"public": True}), (404, None)),
        (("PUT", "/pools/second/grants/nobody", None), (404, None)),
        (("PUT", "/pools/nowhere/grants/boats", None), (404, None)),
        (("DELETE", "/pools/second/grants/boats?release=perhaps", None), (422, "release")),
        (("PUT", "/pools/second/quotas/boats", {"limit": -2}), (422, "limit")),
        (("PUT", "/pools/second/quotas/boats", {}), (422, "limit")),
        (("PUT", "/pools/second/quotas/nobody", {"limit": 1}), (404, None)),
        (("POST", "/floating-ips", {"address": "203.0.113.300"}), (422, "address")),
        (("POST", "/floating-ips", {"pool": "second", "address": "192.0.2.1"}), (422, "floating_ip_address")),
    ],
)
def test_what_cannot_be_is_refused(
    root: Client, second: dict[str, Any], asked: tuple[str, str, Any], told: tuple[int, str | None]
) -> None:
    before = root("GET", "/pools/second").json()
    answer = root(*asked)
    assert (answer.status_code, answer.json().get("field")) == told, answer.text
    assert root("GET", "/pools/second").json() == before
    assert len(root("GET", "/pools").json()["items"]) == 2
