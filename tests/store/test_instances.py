from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta
from ipaddress import IPv4Address

import pytest

from mooring.model.ids import HostId, InstanceId, NetworkId, NicId, ProjectId
from mooring.model.nouns import FixedIp, Instance, InstanceState, Nic
from mooring.model.records import Duplicate, InstanceRow, NicRow, Referenced
from tests.store.world import START

BUILDING, ACTIVE = InstanceState.BUILDING, InstanceState.ACTIVE
ERROR, DELETING = InstanceState.ERROR, InstanceState.DELETING


def test_an_instance_is_seen_whole(town):
    world = town.world
    with world.store.write() as tx:
        beside = world.network(tx, town.router, "10.1.0.0/16")
        last = world.nic(tx, town.instance, beside, 2)
        middle = world.nic(tx, town.instance, town.network, 1)
        second = world.fixed(tx, town.nic, "10.0.0.1")
        going = world.fixed(tx, town.nic, "10.0.0.7")
        tx.addresses.release(going.id)
        row = town.floating(tx)
        tx.addresses.associate(row.id, second.id, town.pool.id)
        floating = tx.addresses.floating(town.project.id, row.id)
    with world.store.read() as tx:
        seen = tx.instances.get(town.instance)
        assert seen == Instance(
            id=town.instance,
            name="web",
            project=town.project.id,
            user=town.user.id,
            state=BUILDING,
            image="image",
            flavor="flavor",
            host=None,
            created=START,
            updated=START,
            nics=(
                Nic(
                    town.nic.id,
                    town.network.id,
                    town.network.name,
                    town.nic.mac,
                    (FixedIp(town.fixed.id, town.fixed.address), FixedIp(second.id, second.address)),
                    (floating,),
                ),
                Nic(middle.id, town.network.id, town.network.name, middle.mac),
                Nic(last.id, beside.id, beside.name, last.mac),
            ),
        )
        assert tx.instances.list(None) == [seen]
        assert tx.instances.get(InstanceId("x")) is None
        assert tx.instances.nics(town.instance) == [town.nic, middle, last]
        assert tx.instances.nic(last.id) == last
        assert tx.instances.nic(NicId("x")) is None


def test_lists_are_by_project_and_name_in_the_order_of_creation(town):
    world = town.world
    with world.store.write() as tx:
        other = world.project(tx)
        world.watch.tick()
        theirs = world.instance(tx, other, town.user, "web")
        world.watch.tick(-2)
        early = world.instance(tx, town.project, town.user, "db")
        world.nic(tx, early, town.network)

        def ids(project: ProjectId | None, name: str | None = None) -> list[InstanceId]:
            return [known.id for known in tx.instances.list(project, name=name)]

        assert ids(None) == [early, town.instance, theirs]
        assert ids(town.project.id) == [early, town.instance]
        assert ids(town.project.id, name="web") == [town.instance]
        assert ids(None, name="web") == [town.instance, theirs]
        assert ids(other.id, name="db") == []
        assert [len(known.nics) for known in tx.instances.list(None)] == [1, 1, 0]


def test_an_instance_is_placed_once_and_only_while_it_is_building(town):
    with town.world.store.write() as tx:
        second = town.world.host(tx)
        town.world.watch.tick()
        assert tx.instances.assign(town.instance, town.host.id)
        assert not tx.instances.assign(town.instance, second.id)
        assert not tx.instances.assign(InstanceId("x"), second.id)
        seen = tx.instances.get(town.instance)
        assert (seen.host, seen.updated) == (town.host.id, START + timedelta(seconds=1))
        late = town.world.instance(tx, town.project, town.user)
        tx.instances.move(late, {BUILDING}, DELETING)
        assert not tx.instances.assign(late, second.id)
        assert tx.instances.per_host() == {town.host.id: 1}


def test_a_host_on_which_the_launch_failed_is_left_and_avoided(town):
    with town.world.store.write() as tx:
        second = town.world.host(tx)
        assert tx.instances.avoided(town.instance) == frozenset()
        assert not tx.instances.unassign(town.instance, town.host.id)
        for host in (town.host, second):
            assert tx.instances.assign(town.instance, host.id)
            town.world.watch.tick()
            assert tx.instances.unassign(town.instance, host.id)
            assert not tx.instances.unassign(town.instance, host.id)
        seen = tx.instances.get(town.instance)
        assert (seen.host, seen.updated) == (None, START + timedelta(seconds=2))
        assert tx.instances.avoided(town.instance) == {town.host.id, second.id}
        # It may fail on the same host twice, and not any longer once it is no longer being built.
        tx.instances.assign(town.instance, second.id)
        assert tx.instances.unassign(town.instance, second.id)
        tx.instances.assign(town.instance, second.id)
        tx.instances.move(town.instance, {BUILDING}, ACTIVE)
        assert not tx.instances.unassign(town.instance, second.id)
        assert not tx.instances.unassign(town.instance, town.host.id)


def test_what_is_remembered_of_a_launch_goes_with_the_instance(town):
    with town.world.store.write() as tx:
        tx.instances.assign(town.instance, town.host.id)
        tx.instances.unassign(town.instance, town.host.id)
        tx.addresses.free(town.fixed.id)
        tx.instances.delete_nic(town.nic.id)
        tx.instances.delete(town.instance)
        assert tx.instances.avoided(town.instance) == frozenset()


def test_a_nic_goes_to_another_network_while_it_has_no_address(town):
    with town.world.store.write() as tx:
        beside = town.world.network(tx, town.router, "10.1.0.0/16")
        with pytest.raises(Referenced):
            tx.instances.repoint(town.nic.id, beside.id)
        tx.addresses.free(town.fixed.id)
        tx.instances.repoint(town.nic.id, beside.id)
        assert tx.instances.nic(town.nic.id).network == beside.id
        with pytest.raises(Referenced):
            tx.instances.repoint(town.nic.id, NetworkId("x"))
        tx.instances.repoint(NicId("x"), beside.id)


def test_an_instance_gets_another_name(town):
    with town.world.store.write() as tx:
        before = tx.instances.get(town.instance)
        tx.instances.rename(town.instance, "other")
        after = tx.instances.get(town.instance)
        assert after == replace(before, name="other")
        assert [each.id for each in tx.instances.list(None, name="other")] == [town.instance]
        tx.instances.rename(InstanceId("x"), "nobody")


def test_a_state_changes_only_from_the_states_that_are_expected(town):
    with town.world.store.write() as tx:
        moved = town.world.watch.tick()
        assert tx.instances.move(town.instance, {BUILDING, ACTIVE}, ERROR, "no host")
        seen = tx.instances.get(town.instance)
        assert (seen.state, seen.fault, seen.updated, seen.created) == (ERROR, "no host", moved, START)
        town.world.watch.tick()
        assert not tx.instances.move(town.instance, {BUILDING, ACTIVE}, DELETING)
        assert not tx.instances.move(town.instance, (), DELETING)
        assert not tx.instances.move(InstanceId("x"), set(InstanceState), DELETING)
        assert tx.instances.get(town.instance) == seen
        assert tx.instances.move(town.instance, {ERROR}, ACTIVE)
        assert tx.instances.get(town.instance).fault is None


def test_instances_that_have_not_moved_for_a_while(town):
    world = town.world
    with world.store.write() as tx:
        world.watch.tick(10)
        young = world.instance(tx, town.project, town.user)
        done = world.instance(tx, town.project, town.user)
        tx.instances.move(done, {BUILDING}, ACTIVE)

        def stale(states: Collection[InstanceState], seconds: float) -> list[InstanceId]:
            return [known.id for known in tx.instances.stale(states, START + timedelta(seconds=seconds))]

        assert stale({BUILDING}, 0) == []
        assert stale({BUILDING}, 10) == [town.instance]
        assert stale({BUILDING}, 11) == [town.instance, young]
        assert stale({BUILDING, ACTIVE}, 11) == [town.instance, young, done]
        assert stale((), 11) == []


def test_what_must_be_unique_and_there(town):
    world = town.world
    with world.store.write() as tx:
        row = InstanceRow(town.instance, "web", town.project.id, town.user.id, "image", "flavor", START)
        with pytest.raises(Duplicate, match=r"instances\.id"):
            tx.instances.add(row)
        with pytest.raises(Duplicate, match=r"macs\.mac"):
            tx.instances.add_nic(NicRow(NicId("n"), town.instance, town.network.id, town.nic.mac, 1))
        fresh = world.mac()
        with pytest.raises(Duplicate, match=r"nics\.instance, nics\.position"):
            tx.instances.add_nic(NicRow(NicId("n"), town.instance, town.network.id, fresh, 0))
        with pytest.raises(Referenced):
            tx.instances.add_nic(NicRow(NicId("n"), town.instance, NetworkId("x"), fresh, 1))
        with pytest.raises(Referenced):
            tx.instances.add_nic(NicRow(NicId("n"), InstanceId("x"), town.network.id, fresh, 1))
        # None of the refused calls kept the MAC address.
        tx.instances.add_nic(NicRow(NicId("n"), town.instance, town.network.id, fresh, 1))


def test_rows_go_from_the_leaves_to_the_root(town):
    with town.world.store.write() as tx:
        with pytest.raises(Referenced):
            tx.instances.delete(town.instance)
        with pytest.raises(Referenced):
            tx.instances.delete_nic(town.nic.id)
        assert tx.instances.get(town.instance).nics[0].fixed[0].address == IPv4Address("10.0.0.2")
        tx.addresses.free(town.fixed.id)
        tx.instances.delete_nic(town.nic.id)
        tx.instances.delete_nic(town.nic.id)
        tx.instances.delete(town.instance)
        tx.instances.delete(town.instance)
        assert tx.instances.get(town.instance) is None


def test_guests_are_counted_by_host(town):
    world = town.world
    with world.store.write() as tx:
        second = world.host(tx)
        assert tx.instances.per_host() == {}
        for host in (town.host, second, second):
            tx.instances.assign(world.instance(tx, town.project, town.user), host.id)
        assert tx.instances.per_host() == {town.host.id: 1, second.id: 2}
        with pytest.raises(Referenced):
            tx.instances.assign(town.instance, HostId("x"))
