from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from mooring.model.accounts import Project
from mooring.model.ids import NetworkId, RouterId, SubnetPoolId
from mooring.model.nouns import AddressRange, NetworkKind, OwnSubnet
from mooring.model.own import BareNetwork, SubnetPool
from mooring.model.records import Duplicate, Referenced, RouterRow
from mooring.model.subjects import HostRole, NicIntent, RouterIntent, SubjectKey, SubjectKind
from mooring.operations.interfaces import Transaction
from tests.store.world import World


def _pool(world: World, project: Project | None, name: str = "pool") -> SubnetPool:
    prefixes = (IPv4Network("10.0.0.0/16"), IPv4Network("10.2.0.0/16"))
    return SubnetPool(SubnetPoolId(world.id()), name, project.id if project else None, prefixes, 24, 16, 28, "ours")


def _router(world: World, tx: Transaction, project: Project, *, made: bool = True) -> RouterRow:
    router = world.router(tx, "own", project)
    tx.own.close(router.id, made=made)
    return router


def test_networks_without_a_subnet(world):
    with world.store.write() as tx:
        one, two = world.project(tx), world.project(tx)
        mine = BareNetwork(NetworkId(world.id()), "web", one.id)
        theirs = BareNetwork(NetworkId(world.id()), "web", two.id)
        for network in (mine, theirs):
            tx.own.add_bare(network)
        with pytest.raises(Duplicate, match=r"bare_networks\.id"):
            tx.own.add_bare(mine)
        tx.own.rename(mine.id, "front")
    with world.store.read() as tx:
        assert tx.own.bare(mine.id) == replace(mine, name="front")
        assert tx.own.bares(one.id) == [replace(mine, name="front")]
        assert tx.own.bares(None) == [replace(mine, name="front"), theirs]
    with world.store.write() as tx:
        assert tx.own.delete_bare(mine.id)
        assert not tx.own.delete_bare(mine.id)
        assert tx.own.bare(mine.id) is None


def test_what_is_said_of_a_subnet_goes_with_its_network(world):
    with world.store.write() as tx:
        project = world.project(tx)
        pool = _pool(world, project)
        tx.own.add_pool(pool)
        network = world.network(
            tx, world.router(tx, "own", project), project=project, kind=NetworkKind.VXLAN, segment=7
        )
        part = AddressRange(IPv4Address("10.0.0.9"), IPv4Address("10.0.0.12"))
        tx.own.add_subnet(network.id, OwnSubnet("web-4", (part,), pool.id))
        known = tx.topology.network(network.id)
        assert replace(known.own, mac="") == OwnSubnet("web-4", (part,), pool.id)
        assert known.own.mac
        assert tx.own.networks_of_pool(pool.id) == [known]
        assert tx.own.prefixes_of_pool(pool.id) == [known.cidr]
        with pytest.raises(Referenced):
            tx.own.delete_pool(pool.id)
        tx.own.change_subnet(network.id, OwnSubnet("other", ()), [IPv4Address("192.0.2.53")])
        changed = tx.topology.network(network.id)
        assert (changed.own.name, changed.own.ranges, changed.own.pool) == ("other", (), pool.id)
        assert changed.dns == (IPv4Address("192.0.2.53"),)
        tx.topology.delete_network(network.id)
        tx.own.delete_pool(pool.id)
        assert tx.own.pools(None) == []


def test_subnet_pools_are_seen_by_their_project_or_by_all(world):
    with world.store.write() as tx:
        one, two = world.project(tx), world.project(tx)
        pools = [_pool(world, project) for project in (one, two, None)]
        for pool in pools:
            tx.own.add_pool(pool)
        assert tx.own.pools(None) == pools
        assert tx.own.pools(one.id) == [pools[0], pools[2]]
        changed = replace(
            pools[0], name="new", prefixes=(IPv4Network("10.0.0.0/8"),), default_length=26, description=""
        )
        tx.own.change_pool(changed)
        assert tx.own.pool(pools[0].id) == changed
        assert tx.own.pool(SubnetPoolId("x")) is None


def test_a_network_gets_another_router_if_it_has_the_one_that_is_expected(world):
    with world.store.write() as tx:
        project = world.project(tx)
        one, two = _router(world, tx, project), _router(world, tx, project)
        network = world.network(tx, one, project=project)
        assert tx.own.set_router(network, two.id)
        assert not tx.own.set_router(network, one.id)
        assert tx.topology.network(network.id).router == two.id
        with pytest.raises(Referenced):
            tx.own.set_router(replace(network, router=two.id), RouterId("x"))


def test_routers_that_projects_make(town):
    world = town.world
    with world.store.write() as tx:
        made, alone = _router(world, tx, town.project), _router(world, tx, town.project, made=False)
        assert [router.id for router in tx.own.routers(town.project.id)] == [made.id]
        assert [router.id for router in tx.own.routers(None)] == [made.id]
        assert tx.topology.router(made.id) == replace(made, closed=True, made=True)
        assert tx.topology.router(alone.id) == replace(alone, closed=True)
        assert not tx.topology.router(town.router.id).closed
        tx.own.rename_router(made.id, "gate")
        tx.own.lead(made.id, town.pool.id)
        assert tx.topology.router(made.id) == replace(made, name="gate", closed=True, made=True, pool=town.pool.id)
        assert tx.own.unmake(made.id)
        assert not tx.own.unmake(made.id)
        assert tx.topology.router(made.id) == replace(made, name="gate", closed=True)
        tx.topology.delete_router(made.id)
        assert tx.topology.router(made.id) is None


def test_hosts_are_told_of_the_way_that_a_router_was_told_and_of_no_other(town):
    """It keeps its addresses at the others, and nobody else gets them."""
    world = town.world
    with world.store.write() as tx:
        router = _router(world, tx, town.project)
        network = world.network(tx, router, "10.7.0.0/16", project=town.project, kind=NetworkKind.VXLAN, segment=7)
        nic = world.nic(tx, town.instance, network, 1)
        world.fixed(tx, nic, "10.7.0.2")
        uplink = world.uplink(tx)
        pool = world.pool(tx, uplink, "203.0.113.0/24")
        own = {
            each.id: world.connect(tx, router, each, address)
            for each, address in ((pool, "203.0.113.10"), (town.pool, "198.51.100.77"))
        }
        for kind, subject in ((SubjectKind.ROUTER, router.id), (SubjectKind.NIC, nic.id)):
            tx.deliveries.place(SubjectKey(kind, subject), town.host.id, HostRole.GATEWAY)

    for led in (None, pool.id, town.pool.id, None):
        with world.store.write() as tx:
            tx.own.lead(router.id, led)
        with world.store.read() as tx:
            told = {placed.key.id: placed.subject for placed in tx.deliveries.pending(town.host.id, None)}
            known = [tx.topology.router_address(router.id, each.uplink) for each in (pool, town.pool)]
        gate, card = told[router.id], told[nic.id]
        assert isinstance(gate, RouterIntent)
        assert isinstance(card, NicIntent)
        expected = [own[led].address] if led is not None else []
        assert [way.address.ip for way in gate.uplinks] == expected
        assert [public.address for public in card.shared] == expected
        assert gate.joined
        assert [row.address for row in known] == [own[each.id].address for each in (pool, town.pool)]


def test_generations_go_on_while_a_network_has_no_subnet(town):
    world = town.world
    with world.store.write() as tx:
        network = world.network(tx, town.router, "10.9.0.0/16", project=town.project)
        key = SubjectKey(SubjectKind.NETWORK, network.id)
        for _ in range(3):
            tx.deliveries.publish(key)
        tx.own.add_bare(BareNetwork(network.id, network.name, town.project.id))
        tx.topology.delete_network(network.id)
        assert tx.deliveries.publish(key)[0] == 4
        # It has a subnet again.
        tx.topology.add_network(network, world.mac())
        tx.own.delete_bare(network.id)
        assert tx.deliveries.publish(key)[0] == 5
        tx.topology.delete_network(network.id)
        # Now the id is nobody's any more, and no host has still to give it up.
        assert tx.deliveries.publish(key)[0] == 1
