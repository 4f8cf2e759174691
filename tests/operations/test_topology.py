"""Networks and pools: what may be made, beside what, and when it may go."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from mooring.model.accounts import Caller
from mooring.model.faults import Conflict, Exhausted, Fault, Forbidden, InUse, Invalid, NotFound
from mooring.model.nouns import AddressRange
from mooring.model.subjects import NetworkIntent, RouterIntent
from mooring.operations import NewNetwork, NewPool
from tests.cloud import Cloud
from tests.operations import laws


def span(first: str, last: str) -> AddressRange:
    return AddressRange(IPv4Address(first), IPv4Address(last))


NETWORK = NewNetwork("other", IPv4Network("10.9.0.0/24"))
POOL = NewPool(
    "other",
    IPv4Network("203.0.113.0/24"),
    IPv4Address("203.0.113.1"),
    (span("203.0.113.10", "203.0.113.20"),),
    "uplink1",
    "eth1",
)


@pytest.fixture
def root(cloud: Cloud) -> Caller:
    return cloud.caller("root")


@pytest.mark.parametrize(
    "wrong, field",
    [
        ({"name": "a\nb"}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x" * 256}, "name"),
        ({"cidr": IPv4Network("10.9.0.0/30")}, "cidr"),
        ({"cidr": IPv4Network("0.0.0.0/0")}, "cidr"),
        ({"cidr": IPv4Network("127.0.0.0/24")}, "cidr"),
        ({"cidr": IPv4Network("224.0.0.0/24")}, "cidr"),
        ({"cidr": IPv4Network("169.254.0.0/24")}, "cidr"),
        ({"gateway": IPv4Address("10.9.1.1")}, "gateway"),
        ({"gateway": IPv4Address("10.9.0.0")}, "gateway"),
        ({"gateway": IPv4Address("10.9.0.255")}, "gateway"),
        ({"mtu": 575}, "mtu"),
        ({"mtu": 9001}, "mtu"),
        ({"dns": (IPv4Address("192.0.2.1"),) * 6}, "dns"),
    ],
)
def test_networks_that_cannot_be(cloud: Cloud, root: Caller, wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as fault:
        cloud.operations.networks.create(root, replace(NETWORK, **wrong))
    assert fault.value.field == field
    assert [network.name for network in cloud.operations.networks.listing(root)] == ["private"]


@pytest.mark.parametrize(
    "cidr", ["10.0.0.0/24", "10.0.0.128/25", "10.0.0.0/16", "10.0.0.248/29", "198.51.100.0/24", "198.51.0.0/16"]
)
def test_networks_do_not_overlap(cloud: Cloud, root: Caller, cidr: str) -> None:
    with pytest.raises(Conflict, match=r"overlaps (network private|pool public)") as fault:
        cloud.operations.networks.create(root, replace(NETWORK, cidr=IPv4Network(cidr)))
    assert fault.value.field == "cidr"


@pytest.mark.parametrize(
    "wrong, field",
    [
        ({"name": "{}; flush ruleset\n"}, "name"),
        ({"cidr": IPv4Network("203.0.113.0/31")}, "cidr"),
        ({"gateway": IPv4Address("198.51.100.1")}, "gateway"),
        ({"gateway": IPv4Address("203.0.113.15")}, "ranges"),
        ({"ranges": ()}, "ranges"),
        ({"ranges": (span("203.0.113.20", "203.0.113.10"),)}, "ranges"),
        ({"ranges": (span("203.0.113.0", "203.0.113.10"),)}, "ranges"),
        ({"ranges": (span("203.0.113.200", "203.0.113.255"),)}, "ranges"),
        ({"ranges": (span("203.0.113.10", "203.0.113.20"), span("203.0.113.20", "203.0.113.30"))}, "ranges"),
        ({"interface": "eth0; reboot"}, "interface"),
        ({"interface": "x" * 16}, "interface"),
    ],
)
def test_pools_that_cannot_be(cloud: Cloud, root: Caller, wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as fault:
        cloud.operations.pools.create(root, replace(POOL, **wrong))
    assert fault.value.field == field
    assert [pool.name for pool in cloud.operations.pools.listing(root)] == ["public"]
    assert [uplink.name for uplink in cloud.operations.pools.uplinks(root)] == ["uplink0"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "public"},
        {
            "cidr": IPv4Network("198.51.100.0/24"),
            "gateway": IPv4Address("198.51.100.1"),
            "ranges": (span("198.51.100.39", "198.51.100.50"),),
        },
        {
            "cidr": IPv4Network("10.0.0.0/16"),
            "gateway": IPv4Address("10.0.9.1"),
            "ranges": (span("10.0.9.2", "10.0.9.9"),),
        },
        {"uplink": "uplink0", "interface": "eth9"},
    ],
    ids=["name", "ranges", "network", "interface"],
)
def test_pools_do_not_contradict_what_there_is(cloud: Cloud, root: Caller, wrong: dict[str, Any]) -> None:
    with pytest.raises(Conflict):
        cloud.operations.pools.create(root, replace(POOL, **wrong))
    assert [pool.name for pool in cloud.operations.pools.listing(root)] == ["public"]


def test_a_pool_on_an_uplink_that_there_is_not(cloud: Cloud, root: Caller) -> None:
    with pytest.raises(NotFound, match="Uplink"):
        cloud.operations.pools.create(root, replace(POOL, interface=None))


@pytest.mark.parametrize("user", ["alice", "rita"])
def test_only_administrators_make_them(cloud: Cloud, root: Caller, user: str) -> None:
    caller = cloud.caller(user)
    with pytest.raises(Forbidden):
        cloud.operations.networks.create(caller, NETWORK)
    with pytest.raises(Forbidden):
        cloud.operations.pools.create(caller, POOL)
    with pytest.raises(Forbidden):
        cloud.operations.networks.delete(caller, cloud.network.id)
    with pytest.raises(Forbidden):
        cloud.operations.pools.delete(caller, "public")
    assert len(cloud.operations.networks.listing(root)) == len(cloud.operations.pools.listing(root)) == 1


def test_a_network_in_use_stays(cloud: Cloud, root: Caller) -> None:
    alice = cloud.caller("alice")
    instance = cloud.boot(alice)
    with pytest.raises(InUse, match="Network private is in use"):
        cloud.operations.networks.delete(root, cloud.network.id)
    cloud.operations.instances.delete(alice, instance.id)
    cloud.operations.networks.delete(root, cloud.network.id)
    assert list(cloud.operations.networks.listing(root)) == []
    assert not [placed for placed in cloud.host.held.values() if isinstance(placed.subject, NetworkIntent)]
    with pytest.raises(NotFound):
        cloud.operations.networks.delete(root, cloud.network.id)


def test_a_pool_in_use_stays(cloud: Cloud, root: Caller) -> None:
    alice = cloud.caller("alice")
    floating = cloud.operations.addresses.allocate(alice, None)
    with pytest.raises(InUse, match=r"Pool public is in use by floating IPs of projects: boats \(1\)"):
        cloud.operations.pools.delete(root, "public")
    cloud.operations.addresses.release(alice, floating.id)
    cloud.operations.pools.delete(root, "public")
    with pytest.raises(NotFound):
        cloud.operations.addresses.allocate(alice, None)


def test_a_second_uplink_reaches_the_router_and_its_guests(cloud: Cloud, root: Caller) -> None:
    alice = cloud.caller("alice")
    instance = cloud.boot(alice)
    cloud.operations.pools.create(root, POOL)
    router = next(placed.subject for placed in cloud.host.held.values() if isinstance(placed.subject, RouterIntent))
    assert [uplink.interface for uplink in router.uplinks] == ["eth0", "eth1"]
    for pool in ("public", "other"):
        floating = cloud.operations.addresses.allocate(alice, pool)
        cloud.operations.addresses.associate(alice, instance.id, floating.address)
    assert len(cloud.host.public_addresses()) == 2
    assert len(set(cloud.host.public_addresses().values())) == 1
    cloud.operations.addresses.release(alice, cloud.operations.addresses.listing(alice)[0].id)
    assert len(cloud.host.public_addresses()) == 1


def test_several_networks_ask_for_a_choice(cloud: Cloud, root: Caller) -> None:
    cloud.operations.networks.create(root, NETWORK)
    with pytest.raises(Invalid, match="there are several: say which"):
        cloud.boot(cloud.caller("alice"))


def test_a_full_network_is_said_at_once(cloud: Cloud, root: Caller) -> None:
    cloud.operations.networks.delete(root, cloud.network.id)
    cloud.operations.networks.create(root, replace(NETWORK, cidr=IPv4Network("10.9.0.0/29")))
    alice = cloud.caller("alice")
    for number in range(5):
        cloud.boot(alice, f"vm{number}")
    with pytest.raises(Exhausted, match="No more addresses are available on network other"):
        cloud.boot(alice)
    laws.check(cloud)


def test_names_are_plain_text_everywhere(cloud: Cloud, root: Caller) -> None:
    name = "'; drop table networks; -- {} $(reboot) ⚓"
    made = cloud.operations.networks.create(root, replace(NETWORK, name=name))
    assert cloud.operations.networks.get(root, name) == made
    with pytest.raises(Fault):
        cloud.operations.networks.create(root, replace(NETWORK, name="\N{RIGHT-TO-LEFT OVERRIDE}x"))
