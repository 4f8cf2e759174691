"""Egress preferences: what is kept of them, whom they reach, and what hosts are told."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from mooring.model.ids import AddressId, NicId, PreferenceId
from mooring.model.nouns import AddressPool
from mooring.model.preferences import EgressPreference, EgressScope, EgressWay
from mooring.model.records import AddressRow
from mooring.model.subjects import Egress, NicIntent, WayOut
from mooring.operations.interfaces import Duplicate, Referenced
from tests.store.test_subjects import pull
from tests.store.world import Town

NEAR, EVERYWHERE = IPv4Network("192.0.2.0/24"), IPv4Network("0.0.0.0/0")


class Port:
    """A town with a second provider, and an address of each at its guest."""

    def __init__(self, town: Town) -> None:
        self.town, self.world = town, town.world
        with self.world.store.write() as tx:
            self.uplink = self.world.uplink(tx)
            self.second = self.world.pool(tx, self.uplink, "203.0.113.0/24")
            self.world.connect(tx, town.router, self.second, "203.0.113.10")
            self.a = self.world.floating(tx, town.project, town.pool, "198.51.100.20")
            self.b = self.world.floating(tx, town.project, self.second, "203.0.113.20")
            for row, pool in ((self.a, town.pool), (self.b, self.second)):
                tx.addresses.associate(row.id, town.fixed.id, pool.id)

    def way(self, pool: AddressPool, row: AddressRow | None = None) -> EgressWay:
        floating, address = (row.id, row.address) if row is not None else (None, None)
        return EgressWay(pool.id, pool.name, floating, address)

    def preference(
        self, scope: EgressScope, target: str, way: EgressWay, prefix: IPv4Network = NEAR
    ) -> EgressPreference:
        made = EgressPreference(PreferenceId(self.world.id()), self.town.project.id, scope, target, prefix, way)
        if scope is EgressScope.ADDRESS:
            return replace(made, nic=self.town.nic.id, fixed=self.town.fixed.address)
        return replace(made, nic=NicId(target)) if scope is EgressScope.NIC else made

    def add(self, preference: EgressPreference) -> EgressPreference:
        fixed = self.town.fixed.id if preference.scope is EgressScope.ADDRESS else None
        with self.world.store.write() as tx:
            tx.preferences.add(preference, fixed)
            tx.preferences.number_sets(tx.preferences.reached(preference.id))
        return preference

    def targets(self) -> dict[EgressScope, str]:
        town = self.town
        return {
            EgressScope.ADDRESS: town.fixed.id,
            EgressScope.NIC: town.nic.id,
            EgressScope.INSTANCE: town.instance,
            EgressScope.NETWORK: town.network.id,
            EgressScope.PROJECT: town.project.id,
        }

    def told(self) -> Egress | None:
        (subject,) = pull(self.town, self.town.nic_key)
        assert isinstance(subject, NicIntent)
        return subject.addresses[0].egress


@pytest.fixture
def port(town: Town) -> Port:
    return Port(town)


@pytest.mark.parametrize("scope", EgressScope)
def test_a_preference_is_given_back_as_it_was(port, scope):
    made = replace(
        port.preference(scope, port.targets()[scope], port.way(port.second, port.b)),
        fallback=port.way(port.town.pool),
    )
    port.add(made)
    with port.world.store.read() as tx:
        assert tx.preferences.get(made.id) == made
        assert tx.preferences.list(port.town.project.id) == [made]
        assert tx.preferences.of_floating(port.b.id) == tx.preferences.of_pool(port.town.pool.id) == [made]
        assert tx.preferences.of_floating(port.a.id) == []
        assert tx.preferences.reached(made.id) == [port.town.nic.id]
    changed = replace(made, way=port.way(port.town.pool, port.a), fallback=None)
    with port.world.store.write() as tx:
        tx.preferences.change(made.id, changed.way, changed.fallback)
        assert tx.preferences.get(made.id) == changed
        tx.preferences.delete(made.id)
        assert tx.preferences.get(made.id) is None


def test_one_thing_has_one_preference_for_a_prefix(port):
    way = port.way(port.second)
    made = port.add(port.preference(EgressScope.NIC, port.town.nic.id, way))
    with port.world.store.write() as tx:
        with pytest.raises(Duplicate):
            tx.preferences.add(replace(made, id=PreferenceId("another")), None)
        tx.preferences.add(replace(made, id=PreferenceId("elsewhere"), prefix=EVERYWHERE), None)
    with port.world.store.read() as tx:
        assert len(tx.preferences.list(port.town.project.id)) == 2


def test_a_pool_that_a_preference_names_cannot_be_deleted(port):
    with port.world.store.write() as tx:
        third = port.world.pool(tx, port.uplink, "192.0.2.0/24")
    port.add(port.preference(EgressScope.PROJECT, port.town.project.id, port.way(third)))
    with port.world.store.write() as tx, pytest.raises(Referenced):
        tx.topology.delete_pool(third.id)


def test_preferences_go_with_what_they_are_of(port):
    with port.world.store.write() as tx:
        other = port.world.nic(tx, port.town.instance, port.town.network, 1)
        fixed = port.world.fixed(tx, other, "10.0.0.9")
    for scope, target in ((EgressScope.NIC, other.id), (EgressScope.ADDRESS, fixed.id)):
        made = port.preference(scope, target, port.way(port.second))
        with port.world.store.write() as tx:
            tx.preferences.add(
                replace(made, nic=other.id if scope is EgressScope.ADDRESS else None), fixed.id if made.fixed else None
            )
    kept = port.add(port.preference(EgressScope.PROJECT, port.town.project.id, port.way(port.second)))
    with port.world.store.write() as tx:
        tx.preferences.renew(AddressId(fixed.id))
        tx.addresses.free(fixed.id)
        tx.instances.delete_nic(other.id)
        assert tx.preferences.list(port.town.project.id) == [kept]


def test_hosts_are_told_of_the_most_specific_with_the_uplinks_number(port):
    assert port.told() is None
    numbers = set[int]()
    for scope, target in reversed(port.targets().items()):
        way = port.way(port.town.pool if scope in {EgressScope.NETWORK, EgressScope.NIC} else port.second)
        port.add(port.preference(scope, target, way))
        egress = port.told()
        assert egress is not None
        (preference,) = egress.preferences
        row, uplink = (port.a, port.town.uplink) if way.pool == port.town.pool.id else (port.b, port.uplink)
        assert preference.prefix == NEAR
        assert preference.way == WayOut(row.address, uplink.id, preference.way.number)
        assert (egress.number > 0, egress.renewed) == (True, 0)
        numbers.add(egress.number)
    assert len(numbers) == 1, "one set of prefixes has one number"


def test_a_guest_without_an_address_of_the_pool_leaves_as_its_router_or_as_nobody(port):
    with port.world.store.write() as tx:
        tx.addresses.disassociate(port.b.id)
        unconnected = port.world.pool(tx, port.world.uplink(tx), "192.0.2.0/24")
    port.add(port.preference(EgressScope.NIC, port.town.nic.id, port.way(port.second)))
    port.add(port.preference(EgressScope.NIC, port.town.nic.id, port.way(unconnected), EVERYWHERE))
    egress = port.told()
    assert egress is not None
    ways = {it.prefix: it.way.address for it in egress.preferences}
    assert ways == {NEAR: IPv4Address("203.0.113.10"), EVERYWHERE: IPv4Address(0)}


def test_sets_and_renewals_are_counted(port):
    first = port.add(port.preference(EgressScope.NIC, port.town.nic.id, port.way(port.second)))
    one = port.told()
    port.add(port.preference(EgressScope.NIC, port.town.nic.id, port.way(port.second), EVERYWHERE))
    two = port.told()
    with port.world.store.write() as tx:
        tx.preferences.renew(port.town.fixed.id)
        tx.preferences.renew(port.town.fixed.id)
        tx.preferences.delete(first.id)
        tx.preferences.number_sets([port.town.nic.id])
    three = port.told()
    assert one is not None
    assert two is not None
    assert three is not None
    assert len({one.number, two.number, three.number}) == 3
    assert (two.renewed, three.renewed) == (0, 2)
