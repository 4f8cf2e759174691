"""Floating IPs by the fixed IP that they lead to, as the draft of OpenStack's floating IPs has it."""

from ipaddress import IPv4Address, IPv4Network

import pytest

from mooring.model.accounts import Caller
from mooring.model.faults import Conflict, Forbidden, NotFound
from mooring.model.ids import AddressId
from mooring.model.nouns import NetworkKind
from mooring.operations import NewInstance, NewNetwork, NewNic
from mooring.operations.hosts import HostLinks
from tests.cloud import FLAVORS, IMAGES, Cloud
from tests.operations import laws

FIRST = IPv4Address("10.0.0.2")


@pytest.fixture
def alice(cloud: Cloud) -> Caller:
    return cloud.caller("alice")


def test_to_whoever_has_the_fixed_address(cloud: Cloud, alice: Caller) -> None:
    server, other = cloud.boot(alice), cloud.boot(alice, "other")
    addresses = cloud.operations.addresses
    floating = addresses.allocate(alice, "public")
    made = addresses.point_at(alice, floating.id, FIRST)
    assert (made.instance, made.fixed) == (server.id, FIRST)
    assert addresses.point_at(alice, floating.id, FIRST) == made
    moved = addresses.point_at(alice, floating.id, FIRST + 1)
    assert moved.instance == other.id
    assert cloud.host.public_addresses() == {floating.address: FIRST + 1}
    laws.check(cloud)


def test_what_is_not_the_projects_is_not_found(cloud: Cloud, alice: Caller) -> None:
    bob, addresses = cloud.caller("bob"), cloud.operations.addresses
    cloud.boot(bob)
    mine, foreign = addresses.allocate(alice, "public"), addresses.allocate(bob, "public")
    for fixed in (FIRST, FIRST + 7, IPv4Address("10.0.0.1"), IPv4Address("192.0.2.1")):
        with pytest.raises(NotFound, match=f"Fixed IP {fixed}"):
            addresses.point_at(alice, mine.id, fixed)
    cloud.boot(alice)
    for floating in (foreign.id, AddressId("made-up")):
        with pytest.raises(NotFound, match=f"Floating IP {floating}"):
            addresses.point_at(alice, floating, FIRST + 1)
    with pytest.raises(Forbidden):
        addresses.point_at(cloud.caller("rita"), mine.id, FIRST + 1)
    assert cloud.host.public_addresses() == {}
    laws.check(cloud)


def test_one_of_a_pool_for_a_fixed_address(cloud: Cloud, alice: Caller) -> None:
    cloud.boot(alice)
    first, second = (cloud.operations.addresses.allocate(alice, "public") for _ in range(2))
    cloud.operations.addresses.point_at(alice, first.id, FIRST)
    with pytest.raises(Conflict, match="already has a floating IP of pool public"):
        cloud.operations.addresses.point_at(alice, second.id, FIRST)
    laws.check(cloud)


def test_an_address_of_two_networks_says_too_little(cloud: Cloud, alice: Caller) -> None:
    links = HostLinks(endpoint=IPv4Address("192.0.2.9"))
    cloud.operations.hosts.register("host1", compute=True, gateway=True, links=links)
    for name in ("red", "blue"):
        new = NewNetwork(name, IPv4Network("10.9.0.0/24"), kind=NetworkKind.VXLAN, project=alice.project.id)
        network = cloud.operations.networks.create(cloud.caller("root"), new)
        wanted = NewInstance(name, IMAGES[0].id, FLAVORS[0].id, (NewNic(network.id, IPv4Address("10.9.0.9")),))
        cloud.operations.instances.create(alice, wanted)
    floating = cloud.operations.addresses.allocate(alice, "public")
    with pytest.raises(Conflict, match="2 instances have fixed IP"):
        cloud.operations.addresses.point_at(alice, floating.id, IPv4Address("10.9.0.9"))
    laws.check(cloud)
