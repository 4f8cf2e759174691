"""The zones of networks: one each, given round robin, and never anew while a host may hold the old one."""

import pytest
from sqlalchemy import insert, update

from mooring.model.faults import Exhausted
from mooring.model.subjects import HostRole, NetworkIntent, Report, SubjectKey, SubjectKind
from mooring.store.schema import counters, zones
from mooring.store.schema.groups import LAST_ZONE


def key(network) -> SubjectKey:
    return SubjectKey(SubjectKind.NETWORK, network.id)


def zone(tx, town, network) -> int:
    """Give a network a zone, bring it to a host, and return the zone that the host is told."""
    tx.topology.give_zone(network.id)
    tx.deliveries.place(key(network), town.host.id, HostRole.COMPUTE)
    (placed,) = tx.deliveries.pending(town.host.id, [key(network)])
    assert isinstance(placed.subject, NetworkIntent)
    return placed.subject.zone


def wind(store, last: int) -> None:
    """Let it be so that a zone was given last."""
    with store._writer.connect() as connection, connection.begin():
        connection.execute(update(counters).where(counters.c.name == "zones").values(last=last))


def test_zones_are_given_in_order_and_then_from_the_start(world, town):
    with world.store.write() as tx:
        made = [world.network(tx, town.router, f"10.{number}.0.0/16") for number in (1, 2)]
        assert [zone(tx, town, network) for network in (town.network, *made)] == [1, 2, 3]
    wind(world.store, LAST_ZONE - 1)
    with world.store.write() as tx:
        made = [world.network(tx, town.router, f"10.{number}.0.0/16") for number in (3, 4)]
        # 1 to 3 are in use.
        assert [zone(tx, town, network) for network in made] == [LAST_ZONE, 4]


def test_a_zone_is_given_again_only_when_the_host_has_let_go(world, town):
    with world.store.write() as tx:
        gone = world.network(tx, town.router, "10.1.0.0/16")
        assert [zone(tx, town, network) for network in (town.network, gone)] == [1, 2]
        generation, _ = tx.deliveries.withdraw(key(gone))
        tx.topology.delete_network(gone.id)
    wind(world.store, 1)
    with world.store.write() as tx:
        assert zone(tx, town, world.network(tx, town.router, "10.2.0.0/16")) == 3
        tx.deliveries.confirm(town.host.id, Report(key(gone), HostRole.COMPUTE, generation))
    wind(world.store, 1)
    with world.store.write() as tx:
        assert zone(tx, town, world.network(tx, town.router, "10.3.0.0/16")) == 2


def test_a_network_that_no_host_ever_had_leaves_its_zone_at_once(world, town):
    with world.store.write() as tx:
        unused = world.network(tx, town.router, "10.1.0.0/16")
        assert tx.topology.give_zone(town.network.id)
        assert tx.topology.give_zone(unused.id)
        assert not tx.topology.give_zone(unused.id)
        tx.topology.delete_network(unused.id)
    wind(world.store, 1)
    with world.store.write() as tx:
        assert zone(tx, town, world.network(tx, town.router, "10.2.0.0/16")) == 2


def test_when_all_zones_are_in_use_no_network_gets_one(world, town):
    with world.store._writer.connect() as connection, connection.begin():
        taken = [{"zone": number, "network": f"another-{number}"} for number in range(2, LAST_ZONE + 1)]
        connection.execute(insert(zones), taken)
    with world.store.write() as tx:
        first, second = (world.network(tx, town.router, f"10.{number}.0.0/16") for number in (1, 2))
        assert tx.topology.give_zone(first.id)
    with pytest.raises(Exhausted, match=str(LAST_ZONE)), world.store.write() as tx:
        tx.topology.give_zone(second.id)
