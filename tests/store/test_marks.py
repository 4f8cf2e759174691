"""Revisions, times and tags: kept by the rows themselves, in the transaction of each change."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

from mooring.model.ids import GroupId, NetworkId
from mooring.model.marks import Marks, Tagged
from mooring.model.nouns import InstanceState, NetworkKind, OwnSubnet, Power
from mooring.model.own import BareNetwork
from mooring.operations.interfaces import Transaction
from tests.store.world import START, Town, World


def test_a_row_counts_its_changes(world: World) -> None:
    with world.store.write() as tx:
        project = world.project(tx)
        network = BareNetwork(NetworkId(world.id()), "web", project.id)
        tx.own.add_bare(network)
        made = _bare(tx, network)
        assert (made.revision, made.created, made.updated, made.tags) == (1, START, START, ())
    later = world.watch.tick(3)
    with world.store.write() as tx:
        tx.own.rename(network.id, "www")
        tx.tags.set(Tagged.NETWORK, network.id, ["red", "blue"])
    with world.store.read() as tx:
        marks = _bare(tx, network)
        assert (marks.revision, marks.created, marks.updated, marks.tags) == (3, START, later, ("blue", "red"))


def test_a_network_goes_on_with_a_subnet_and_without(world: World) -> None:
    with world.store.write() as tx:
        project = world.project(tx)
        bare = BareNetwork(NetworkId(world.id()), "web", project.id)
        tx.own.add_bare(bare)
        tx.tags.set(Tagged.NETWORK, bare.id, ["red"])
        before = _bare(tx, bare)
    world.watch.tick()
    with world.store.write() as tx:
        made = world.network(tx, world.router(tx, "own", project), project=project, kind=NetworkKind.VXLAN, segment=7)
        whole = replace(made, id=bare.id, segment=8, cidr=IPv4Network("10.9.0.0/24"), gateway=IPv4Address("10.9.0.1"))
        tx.topology.add_network(whole, world.mac())
        tx.own.add_subnet(bare.id, OwnSubnet("web-4"))
        tx.own.delete_bare(bare.id)
        tx.tags.set(Tagged.SUBNET, bare.id, ["four"])
        known = tx.topology.network(bare.id)
        assert known is not None
        assert known.marks.revision > before.revision
        assert (known.marks.created, known.marks.tags) == (START, ("red",))
        assert known.subnet_marks.created == world.watch.moment
        assert known.subnet_marks.tags == ("four",)
    with world.store.write() as tx:
        tx.own.add_bare(BareNetwork(bare.id, "web", project.id, known.marks))
        tx.topology.delete_network(bare.id)
        after = _bare(tx, bare)
        assert after.revision > known.marks.revision
        assert (after.created, after.tags) == (START, ("red",))
        assert tx.tags.of(Tagged.SUBNET, bare.id) == []
        tx.own.delete_bare(bare.id)
        assert tx.tags.of(Tagged.NETWORK, bare.id) == []


def test_what_nobody_is_shown_is_not_counted(town: Town) -> None:
    with town.world.store.write() as tx:
        group = GroupId(town.world.id())
        tx.groups.add(group, town.project.id, "web", "")
        tx.groups.join(town.nic.id, group, 10)
        before = tx.groups.get(group)
        tx.groups.leave(town.nic.id, group)
        router = town.world.router(tx, "other", town.project)
        tx.topology.claim_router(router.id, town.host.id)
        tx.instances.rename(town.instance, "other")
        claimed = tx.topology.router(router.id)
        assert before is not None
        assert claimed is not None
        assert before.marks.revision == claimed.marks.revision == 1


def test_a_nic_shows_what_its_guest_does(town: Town) -> None:
    def revision(tx: Transaction) -> int:
        (instance,) = [each for each in tx.instances.list(None) if each.id == town.instance]
        return instance.nics[0].marks.revision

    with town.world.store.write() as tx:
        first = revision(tx)
        tx.instances.move(town.instance, tuple(InstanceState), InstanceState.ACTIVE)
        second = revision(tx)
        assert tx.instances.turn(town.instance, tuple(Power), Power.STOPPING)
        third = revision(tx)
        assert not tx.instances.turn(town.instance, (Power.RUNNING,), Power.STOPPING)
        assert first < second < third == revision(tx)


def test_tags_go_with_what_has_them(town: Town) -> None:
    with town.world.store.write() as tx:
        floating = town.floating(tx)
        group = GroupId(town.world.id())
        tx.groups.add(group, town.project.id, "web", "")
        router = town.world.router(tx, "other", town.project)
        things = [
            (Tagged.FLOATING_IP, floating.id),
            (Tagged.SECURITY_GROUP, group),
            (Tagged.ROUTER, router.id),
        ]
        for kind, thing in things:
            tx.tags.set(kind, thing, ["red"])
        known = tx.addresses.floating(town.project.id, floating.id)
        assert known is not None
        assert known.marks.tags == ("red",)
        assert tx.addresses.release(floating.id)
        tx.groups.delete(group)
        tx.topology.delete_router(router.id)
        assert [tx.tags.of(kind, thing) for kind, thing in things] == [[], [], []]


def _bare(tx: Transaction, network: BareNetwork) -> Marks:
    known = tx.own.bare(network.id)
    assert known is not None
    return known.marks
