"""Addresses of network cards in the native API: how they are named, shown, given and taken, and how bad ones are told."""

from typing import Any

import pytest

from mooring.model.nouns import Nic
from tests.cloud import Cloud
from tests.dialects.native.conftest import Client
from tests.dialects.native.test_rights import INSTANCE

PATH = "/nics/vm/allowed-addresses"


@pytest.fixture
def card(cloud: Cloud) -> Nic:
    """The only NIC of the instance vm."""
    return cloud.boot(cloud.caller("alice"), "vm").nics[0]


def test_what_is_allowed_is_shown_as_it_was_asked_for(alice: Client, card: Nic) -> None:
    shown = alice("POST", PATH, {"addresses": ["10.0.0.208/30", "10.0.0.77"]})
    assert (shown.status_code, shown.json()["allowed"]) == (200, ["10.0.0.77", "10.0.0.208/30"])
    assert alice("GET", "/instances/vm").json()["nics"] == [shown.json()]
    for name in (card.id, "vm"):
        assert alice("GET", f"/nics/{name}").json() == shown.json()
    assert alice("DELETE", f"{PATH}?address=10.0.0.77&address=10.0.0.208/30").status_code == 204
    assert alice("PUT", PATH, {"addresses": ["10.0.0.78"]}).json()["allowed"] == ["10.0.0.78"]
    gone = alice("DELETE", f"{PATH}?address=10.0.0.77")
    assert (gone.status_code, gone.json()["detail"]) == (404, "Allowed address 10.0.0.77 could not be found.")
    assert alice("PUT", PATH, {"addresses": []}).json()["allowed"] == []


def test_a_nic_gets_fixed_ips_and_gives_them_back(alice: Client, card: Nic) -> None:
    first = str(card.fixed[0].address)
    made = alice("POST", "/nics/vm/fixed-addresses", {"address": "10.0.0.66"})
    assert (made.status_code, made.json()["fixed"]) == (201, [first, "10.0.0.66"])
    key = {"Idempotency-Key": "one-more"}
    (any_one,) = {alice("POST", "/nics/vm/fixed-addresses", {}, headers=key).json()["fixed"][2] for _ in range(3)}
    assert len({first, "10.0.0.66", any_one}) == 3
    floating = alice.made("/floating-ips", {})["address"]
    wish = {"instance": "vm", "fixed_address": any_one}
    assert alice("PUT", f"/floating-ips/{floating}/association", wish).status_code == 200
    for address, status, kind in (
        (first, 409, "conflict"),
        (any_one, 409, "in-use"),
        ("10.0.0.67", 404, "not-found"),
        ("ten", 422, "invalid"),
    ):
        refused = alice("DELETE", f"/nics/vm/fixed-addresses/{address}")
        assert (refused.status_code, refused.json()["type"]) == (status, f"urn:mooring:{kind}"), refused.text
    assert alice("DELETE", "/nics/vm/fixed-addresses/10.0.0.66").status_code == 204
    assert alice("GET", "/nics/vm").json()["fixed"] == [first, any_one]


@pytest.mark.parametrize(
    "body",
    [{}, {"addresses": None}, {"addresses": "10.0.0.7"}, {"addresses": [7]}, {"addresses": [], "mac": "x"}, []],
)
def test_a_body_that_is_none_is_refused(alice: Client, card: Nic, body: Any) -> None:
    for method in ("POST", "PUT"):
        assert alice(method, PATH, body).status_code == 422
    assert alice("GET", f"/nics/{card.id}").json()["allowed"] == []


def test_an_address_that_cannot_be_is_told_with_its_field(alice: Client, card: Nic) -> None:
    for address in ("0.0.0.0/0", "10.0.0.1", "ten", "10.0.0.9/29"):
        refused = alice("POST", PATH, {"addresses": ["10.0.0.77", address]})
        assert (refused.status_code, refused.json()["field"]) == (422, "allowed_addresses")
    assert alice("GET", f"/nics/{card.id}").json()["allowed"] == []


def test_an_instance_with_several_says_so(alice: Client) -> None:
    made = alice.made("/instances", {**INSTANCE, "networks": [{"network": "private"}] * 2})
    refused = alice("GET", "/nics/vm2")
    assert (refused.status_code, refused.json()["detail"]) == (409, "Instance vm2 has 2 NICs: name one by its id.")
    for nic in made["nics"]:
        assert alice("GET", f"/nics/{nic['id']}").json()["id"] == nic["id"]
    assert alice("GET", "/nics/6f9619ff-8b86-4011-b42d-00cf4fc964ff").status_code == 404
