from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from mooring.model.ids import HostId, NetworkId, PoolId, RouterId, UplinkId
from mooring.model.nouns import AddressPool, AddressRange, Host, NetworkKind, PoolUsage, Uplink
from mooring.model.records import Duplicate, Referenced, RouterRow
from tests.store.world import START, World


def test_hosts_and_uplinks(world):
    with world.store.write() as tx:
        hosts = [world.host(tx, name) for name in ("b", "a")]
        uplinks = [world.uplink(tx, name) for name in ("two", "one")]
        with pytest.raises(Duplicate, match=r"hosts\.name"):
            tx.topology.add_host(Host(HostId("x"), "a", compute=True, gateway=False))
        with pytest.raises(Duplicate, match=r"uplinks\.name"):
            tx.topology.add_uplink(Uplink(UplinkId("x"), "one", "eth9"))
    with world.store.read() as tx:
        assert tx.topology.hosts() == hosts
        assert tx.topology.host(hosts[0].id) == tx.topology.host_by_name("b") == hosts[0]
        assert tx.topology.host(HostId("x")) is tx.topology.host_by_name("x") is None
        assert tx.topology.uplinks() == uplinks
        assert tx.topology.uplink_by_name("one") == uplinks[1]
        assert tx.topology.uplink_by_name("x") is None


def test_all_that_is_known_of_a_host_is_kept_and_can_be_replaced_but_for_its_name(world):
    with world.store.write() as tx:
        host = world.host(tx, "a", cluster="red", endpoint=IPv4Address("192.0.2.7"), machine="m-1")
        assert tx.topology.host(host.id) == host
        changed = Host(
            host.id,
            "another name",
            compute=False,
            gateway=True,
            cluster="blue",
            vlan_interface="eth2",
            trunk_interface="eth3",
            machine="m-2",
            last_seen=START,
        )
        tx.topology.save_host(changed)
        assert tx.topology.hosts() == [replace(changed, name="a")]


def test_a_host_that_is_heard_of(world):
    with world.store.write() as tx:
        host, silent = world.host(tx), world.host(tx)
        tx.topology.heard_of([host.id, HostId("x")], START)
        heard = replace(host, last_seen=START)
        assert tx.topology.hosts() == [heard, silent]
        assert tx.topology.some_hosts([HostId("x"), host.id]) == [heard]
        assert tx.topology.some_hosts([]) == []
        tx.topology.heard_of([], START)
        assert tx.topology.hosts() == [heard, silent]


def test_pools_come_back_with_their_ranges(world):
    with world.store.write() as tx:
        uplink = world.uplink(tx)
        wide = world.pool(tx, uplink, "198.51.100.0/24", "198.51.100.10-198.51.100.20", "198.51.100.90-198.51.100.99")
        other = world.pool(tx, uplink, "203.0.113.0/24")
        with pytest.raises(Duplicate, match=r"pools\.name"):
            world.pool(tx, uplink, "192.0.2.0/24", name=wide.name)
        with pytest.raises(Referenced):
            tx.topology.add_pool(
                AddressPool(PoolId("x"), "x", UplinkId("none"), wide.cidr, wide.gateway, wide.ranges),
            )
        with pytest.raises(ValueError, match="range"):
            tx.topology.add_pool(AddressPool(PoolId("x"), "x", uplink.id, wide.cidr, wide.gateway, ()))
    with world.store.read() as tx:
        assert tx.topology.pools() == [wide, other]
        assert tx.topology.pool(wide.id) == tx.topology.pool_by_name(wide.name) == wide
        assert tx.topology.pool(PoolId("x")) is tx.topology.pool_by_name("x") is None


def test_a_pool_gets_other_ranges(world):
    with world.store.write() as tx:
        uplink = world.uplink(tx)
        pool, other = world.pool(tx, uplink), world.pool(tx, uplink, "203.0.113.0/24")
        part = AddressRange(pool.cidr[40], pool.cidr[50])
        tx.topology.set_ranges(pool.id, (AddressRange(pool.cidr[60], pool.cidr[60]), part))
        assert tx.topology.pool(pool.id).ranges == (part, AddressRange(pool.cidr[60], pool.cidr[60]))
        assert tx.topology.pool(other.id) == other
        assert tx.topology.pool_usage(pool.id).total == 12
        with pytest.raises(ValueError, match="at least one range"):
            tx.topology.set_ranges(pool.id, ())
        assert len(tx.topology.pool(pool.id).ranges) == 2


def test_a_pool_with_a_bad_range_leaves_nothing_behind(world):
    with world.store.write() as tx:
        uplink = world.uplink(tx)
        with pytest.raises(Duplicate):
            world.pool(tx, uplink, "192.0.2.0/24", "192.0.2.5-192.0.2.6", "192.0.2.5-192.0.2.9", name="twice")
        assert tx.topology.pools() == []


def test_the_usage_of_a_pool_is_counted_from_its_rows(town):
    with town.world.store.write() as tx:
        assert tx.topology.pool_usage(town.pool.id) == PoolUsage(town.pool, 245, 0, 0, 0, 1)
        one, two = town.floating(tx), town.floating(tx, "198.51.100.21")
        tx.addresses.associate(one.id, town.fixed.id, town.pool.id)
        assert tx.topology.pool_usage(town.pool.id) == PoolUsage(town.pool, 245, 2, 1, 0, 1)
        tx.addresses.release(two.id)
        assert tx.topology.pool_usage(town.pool.id) == PoolUsage(town.pool, 245, 1, 1, 1, 1)
        assert tx.topology.pool_usage(PoolId("x")) is None


def test_a_pool_goes_once_nothing_is_taken_from_it(town):
    with town.world.store.write() as tx:
        tx.addresses.set_cursor(town.pool.id, IPv4Address("198.51.100.10"))
        with pytest.raises(Referenced):
            tx.topology.delete_pool(town.pool.id)
        tx.topology.remove_router_uplink(town.router.id, town.uplink.id)
        tx.addresses.free(town.own.id)
        tx.topology.delete_pool(town.pool.id)
        assert tx.topology.pools() == []
        assert tx.addresses.cursor(town.pool.id) is None


def test_the_shared_router_is_one(world):
    with world.store.write() as tx:
        project = world.project(tx)
        own = world.router(tx, "shared", project)
        assert tx.topology.shared_router() is None
        shared = world.router(tx)
        with pytest.raises(Duplicate, match=r"routers\.name"):
            world.router(tx)
        # Projects call theirs what they like.
        world.router(tx, "shared", project)
        assert tx.topology.shared_router() == shared
        assert tx.topology.routers()[:2] == [own, shared]
        assert tx.topology.router(own.id) == own
        assert tx.topology.router(RouterId("x")) is None


def test_a_router_gets_one_gateway_host_only(world):
    with world.store.write() as tx:
        router, first, second = world.router(tx), world.host(tx), world.host(tx)
        assert tx.topology.routers_per_host() == {}
        assert tx.topology.claim_router(router.id, first.id)
        assert tx.topology.routers_per_host() == {first.id: 1}
        assert not tx.topology.claim_router(router.id, second.id)
        assert not tx.topology.claim_router(router.id, first.id)
        assert not tx.topology.claim_router(RouterId("x"), first.id)
        assert tx.topology.router(router.id) == RouterRow(router.id, "shared", None, first.id)


def test_a_router_has_one_device_and_address_per_uplink(town):
    with town.world.store.write() as tx:
        assert tx.topology.router_has_uplink(town.router.id, town.uplink.id)
        assert tx.topology.router_address(town.router.id, town.uplink.id) == town.own
        with pytest.raises(Duplicate):
            tx.topology.add_router_uplink(town.router.id, town.uplink.id, town.world.mac(), town.own.id)
        with pytest.raises(Referenced):
            tx.addresses.free(town.own.id)
        other = town.world.uplink(tx)
        assert not tx.topology.router_has_uplink(town.router.id, other.id)
        assert tx.topology.router_address(town.router.id, other.id) is None
        tx.topology.remove_router_uplink(town.router.id, town.uplink.id)
        assert not tx.topology.router_has_uplink(town.router.id, town.uplink.id)


def test_a_router_goes_once_no_way_out_and_no_network_needs_it(town):
    with town.world.store.write() as tx:
        with pytest.raises(Referenced):
            tx.topology.delete_router(town.router.id)
        assert tx.topology.router(town.router.id) is not None
        unused = town.world.router(tx, "own", town.project)
        tx.topology.delete_router(unused.id)
        assert tx.topology.router(unused.id) is None
        tx.topology.delete_router(unused.id)


def test_networks_are_seen_by_their_project_or_by_all(world):
    with world.store.write() as tx:
        router, one, two = world.router(tx), world.project(tx), world.project(tx)
        shared = world.network(tx, router, "10.0.0.0/24")
        of_one = world.network(tx, router, "10.0.1.0/24", project=one)
        of_two = world.network(tx, world.router(tx, "own", two), "10.0.1.0/24", project=two)
    with world.store.read() as tx:
        assert tx.topology.networks(None) == [shared, of_one, of_two]
        assert tx.topology.networks(one.id) == [shared, of_one]
        assert tx.topology.networks(two.id) == [shared, of_two]
        assert tx.topology.networks_of_router(router.id) == [shared, of_one]
        assert tx.topology.network(of_one.id) == of_one
        assert tx.topology.network(NetworkId("x")) is None


def test_a_network_goes_once_no_nic_is_on_it(town):
    with town.world.store.write() as tx:
        tx.addresses.set_cursor(town.network.id, IPv4Address("10.0.0.2"))
        with pytest.raises(Referenced):
            tx.topology.delete_network(town.network.id)
        tx.addresses.free(town.fixed.id)
        with pytest.raises(Referenced):
            tx.topology.delete_network(town.network.id)
        tx.instances.delete_nic(town.nic.id)
        tx.topology.delete_network(town.network.id)
        assert tx.topology.networks(None) == []
        assert tx.topology.nics_of_network(town.network.id) == []
        assert tx.addresses.cursor(town.network.id) is None
        tx.topology.delete_network(town.network.id)


def test_the_nics_behind_a_router(town):
    with town.world.store.write() as tx:
        beside = town.world.network(tx, town.router, "10.1.0.0/16")
        elsewhere = town.world.network(tx, town.world.router(tx, "own", town.project))
        second = town.world.nic(tx, town.instance, beside, 1)
        town.world.nic(tx, town.instance, elsewhere, 2)
        assert tx.topology.nics_of_router(town.router.id) == [town.nic.id, second.id]
        assert tx.topology.nics_of_network(beside.id) == [second.id]


def test_a_network_of_each_kind_is_kept_whole(world):
    with world.store.write() as tx:
        project = world.project(tx)
        own = world.router(tx, "own", project)
        made = [
            world.network(tx, None, "10.1.0.0/16", kind=NetworkKind.FLAT, bridge="br0", cluster="red"),
            world.network(tx, world.router(tx), "10.2.0.0/16"),
            world.network(tx, own, "10.3.0.0/16", project=project, kind=NetworkKind.VLAN, segment=100),
            world.network(tx, own, "10.4.0.0/16", project=project, kind=NetworkKind.VXLAN, segment=100),
        ]
        assert tx.topology.networks(None) == made
        assert {network.kind for network in made} == set(NetworkKind)


def test_segments_are_given_once_for_each_kind(world: World):
    with world.store.write() as tx:
        router = world.router(tx)

        def free(first: int, last: int) -> int | None:
            return tx.topology.free_segment(NetworkKind.VLAN, first, last)

        assert free(10, 12) == 10
        assert free(12, 10) is None
        for segment in (10, 11, 13):
            world.network(tx, router, kind=NetworkKind.VLAN, segment=segment)
        world.network(tx, router, kind=NetworkKind.VXLAN, segment=12)
        assert (free(10, 20), free(10, 11), free(11, 11), free(13, 20), free(1, 9)) == (12, None, None, 14, 1)
        network = world.network(tx, router, kind=NetworkKind.VLAN, segment=12)
        assert free(10, 13) is None
        with pytest.raises(Duplicate, match=r"networks\.kind, networks\.segment"):
            world.network(tx, router, kind=NetworkKind.VLAN, segment=12)
        tx.topology.delete_network(network.id)
        assert free(10, 13) == 12
        # Those that have none don't exclude each other.
        for _ in range(2):
            world.network(tx, router)


def test_a_mac_address_is_unique_whatever_has_it(town):
    world = town.world
    with world.store.write() as tx:
        for mac in (town.nic.mac,):
            with pytest.raises(Duplicate, match=r"macs\.mac"):
                tx.topology.add_network(world.network(tx, town.router, "10.9.0.0/24"), mac)
        uplink = world.uplink(tx)
        pool = world.pool(tx, uplink, "203.0.113.0/24")
        own = world.connect(tx, town.router, pool, "203.0.113.10")
        tx.topology.remove_router_uplink(town.router.id, uplink.id)
        with pytest.raises(Duplicate, match=r"macs\.mac"):
            tx.topology.add_router_uplink(town.router.id, uplink.id, town.nic.mac, own.id)
        # What was given back may be given again.
        tx.addresses.free(town.fixed.id)
        tx.instances.delete_nic(town.nic.id)
        tx.topology.add_router_uplink(town.router.id, uplink.id, town.nic.mac, own.id)


def test_a_refused_network_does_not_keep_its_mac(world):
    with world.store.write() as tx:
        router = world.router(tx)
        network = world.network(tx, router)
        mac = world.mac()
        with pytest.raises(Duplicate, match=r"networks\.id"):
            tx.topology.add_network(network, mac)
        other = world.network(tx, router, "10.2.0.0/16")
        tx.topology.delete_network(other.id)
        tx.topology.add_network(other, mac)
        assert [known.cidr for known in tx.topology.networks(None)] == [network.cidr, IPv4Network("10.2.0.0/16")]
