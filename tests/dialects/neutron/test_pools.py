"""Pools that are not for everybody, in Neutron and nova: for who has no grant, they are not there."""

from ipaddress import IPv4Network
from typing import Any

import pytest

from mooring.model.nouns import AddressPool, AddressRange
from mooring.operations import NewPool
from tests.cloud import Cloud
from tests.dialects.neutron.conftest import Client

RANDOM = "deadbeef-0000-4000-8000-000000000000"


@pytest.fixture
def second(cloud: Cloud) -> AddressPool:
    subnet = IPv4Network("203.0.113.0/24")
    part = AddressRange(subnet[10], subnet[19])
    new = NewPool("second", subnet, subnet[1], (part,), "a-first-uplink", "eth7", public=False)
    return cloud.operations.pools.create(cloud.caller("root"), new)


def _names(client: Client) -> set[str]:
    return {each["name"] for each in client.get("/networks?router:external=True")["networks"]}


def _told(client: Client, method: str, path: str, body: Any = None) -> tuple[int, str]:
    answer = client(method, path, body)
    return answer.status_code, answer.text


def test_neutron_shows_it_to_whom_it_is_granted(cloud: Cloud, alice: Client, bob: Client, second: AddressPool) -> None:
    cloud.operations.grants.grant(cloud.caller("root"), "second", "boats")
    assert (_names(alice), _names(bob)) == ({"public", "second"}, {"public"})
    for collection in ("networks", "subnets"):
        assert alice("GET", f"/{collection}/{second.id}").status_code == 200
        status, text = _told(bob, "GET", f"/{collection}/{second.id}")
        assert (status, text.replace(second.id, RANDOM)) == _told(bob, "GET", f"/{collection}/{RANDOM}")
        assert status == 404
    wanted: dict[str, dict[str, str]] = {"floatingip": {"floating_network_id": second.id}}
    status, text = _told(bob, "POST", "/floatingips", wanted)
    random = _told(bob, "POST", "/floatingips", {"floatingip": {"floating_network_id": RANDOM}})
    assert (status, text.replace(second.id, RANDOM)) == random
    assert status == 404
    # Who has a grant may also choose.
    wanted["floatingip"]["floating_ip_address"] = "203.0.113.15"
    made = alice("POST", "/floatingips", wanted)
    assert (made.status_code, made.json()["floatingip"]["floating_ip_address"]) == (201, "203.0.113.15")


def test_the_gateway_of_routers_is_what_one_may_see(
    cloud: Cloud, alice: Client, bob: Client, second: AddressPool
) -> None:
    cloud.operations.grants.grant(cloud.caller("root"), "second", "boats")
    caller = cloud.caller("alice")
    server = cloud.boot(caller)
    floating = cloud.operations.addresses.allocate(caller, "second")
    cloud.operations.addresses.associate(caller, server.id, floating.address)
    (public,) = cloud.operations.pools.listing(cloud.caller("bob"))
    for client in (alice, bob):
        for router in client.get("/routers")["routers"]:
            assert router["external_gateway_info"]["network_id"] == public.id


def test_nova_knows_it_by_no_name(cloud: Cloud, alice: Client, bob: Client, second: AddressPool) -> None:
    cloud.operations.grants.grant(cloud.caller("root"), "second", "boats")
    shown = {}
    for name, client in (("alice", alice), ("bob", bob)):
        answer = client.http.get("/compute/v2.1/os-floating-ip-pools", headers=client.headers)
        shown[name] = {pool["name"] for pool in answer.json()["floating_ip_pools"]}
    assert shown == {"alice": {"public", "second"}, "bob": {"public"}}
    told = [
        bob.http.post("/compute/v2.1/os-floating-ips", headers=bob.headers, json={"pool": pool})
        for pool in ("second", second.id, "nowhere")
    ]
    assert [answer.status_code for answer in told] == [404, 404, 404]
    assert len({answer.text for answer in told}) == 1
