"""Pools without a free address: a launch that can't have one ends with the reason, and is not tried for ever."""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network

import pytest

from mooring.model.accounts import Caller
from mooring.model.ids import HostId
from mooring.model.nouns import AddressRange, InstanceState, NetworkKind
from mooring.operations import NewInstance, NewNetwork, NewNic
from mooring.operations.hosts import HostLinks
from tests.cloud import FLAVORS, IMAGES, Cloud

ONE = AddressRange(IPv4Address("198.51.100.10"), IPv4Address("198.51.100.11"))
OTHER = AddressRange(IPv4Address("203.0.113.10"), IPv4Address("203.0.113.11"))


@pytest.fixture
def launch(make_cloud: Callable[..., Cloud]) -> Callable[..., tuple[Cloud, Caller, str]]:
    """Return what fills the first pool, or all, and begins a launch on a network with a router of its own."""

    def begin(*full: str) -> tuple[Cloud, Caller, str]:
        cloud = make_cloud(settle_timeout=0.0, pools=(("public", ONE), ("second", OTHER)))
        cloud.host.away = True
        cloud.operations.hosts.register(
            "host1", compute=True, gateway=True, links=HostLinks(endpoint=IPv4Address("192.0.2.1"))
        )
        alice = cloud.caller("alice")
        new = NewNetwork("tunnel", IPv4Network("10.7.0.0/24"), kind=NetworkKind.VXLAN, project=alice.project.id)
        cloud.operations.networks.create(cloud.caller("root"), new)
        for pool in full:  # of two addresses, one is the shared router's
            cloud.operations.addresses.allocate(alice, pool)
        nic = (NewNic("tunnel"),)
        made = cloud.operations.instances.create(alice, NewInstance("vm", IMAGES[0].id, FLAVORS[0].id, nic))
        host = cloud.operations.launches.schedule(made.id)
        cloud.operations.launches.set_up_network(HostId(str(host)), made.id)
        return cloud, alice, made.id

    return begin


def test_a_full_pool_is_left_out(launch) -> None:
    cloud, alice, made = launch("public")
    assert cloud.operations.instances.get(alice, made).state is InstanceState.BUILDING
    usage = cloud.operations.pools.usage(cloud.caller("root"), "second")
    assert [pool.name for pool in cloud.operations.pools.listing(alice)] == ["public", "second"]
    assert usage.allocated == 0


def test_without_any_way_out_the_launch_ends_with_the_reason(launch) -> None:
    cloud, alice, made = launch("public", "second")
    failed = cloud.operations.instances.get(alice, made)
    assert failed.state is InstanceState.ERROR
    assert failed.fault == "Pool second has no address left for router tunnel."
    cloud.operations.instances.delete(alice, made)
    assert list(cloud.operations.instances.listing(alice)) == []
