"""An address that goes from one NIC to another: on another host it is told only when the old gateway has let go."""

from dataclasses import dataclass

import pytest

from mooring.model.ids import AddressId, HostId, NicId
from mooring.model.records import NicRow
from mooring.model.subjects import HostRole, NicIntent, Report, SubjectKey, SubjectKind
from mooring.operations.interfaces import Transaction
from tests.store.world import Town, World

COMPUTE, GATEWAY = HostRole.COMPUTE, HostRole.GATEWAY


def key(nic: NicId) -> SubjectKey:
    return SubjectKey(SubjectKind.NIC, nic)


@dataclass
class Moving:
    """A floating IP on the first of two NICs, which have gateways of their own and a compute host in common."""

    town: Town
    other: NicRow
    hosts: dict[NicId, HostId]
    compute: HostId
    floating: AddressId
    fixed: dict[NicId, AddressId]

    @property
    def first(self) -> NicId:
        return self.town.nic.id

    def gateway_confirms(self, tx: Transaction, nic: NicId, role: HostRole = GATEWAY) -> None:
        host = self.hosts[nic] if role is GATEWAY else self.compute
        (entry,) = (one for one in tx.deliveries.digest(host) if one.key == key(nic) and one.role is role)
        assert tx.deliveries.confirm(host, Report(key(nic), role, entry.generation))

    def move(self, tx: Transaction, old: NicId, new: NicId) -> None:
        """Do what operations do."""
        tx.addresses.disassociate(self.floating)
        generation, _ = tx.deliveries.publish(key(old))
        tx.addresses.linger(self.floating, old, generation)
        tx.addresses.associate(self.floating, self.fixed[new], self.town.pool.id)
        tx.deliveries.publish(key(new))

    def told(self, tx: Transaction, nic: NicId, host: HostId | None = None, *, everything: bool = False) -> int:
        """Return how many public addresses of a NIC its gateway, or another host, is told of."""
        where = host or self.hosts[nic]
        subjects = [placed.subject for placed in tx.deliveries.pending(where, None if everything else [key(nic)])]
        (intent,) = (one for one in subjects if isinstance(one, NicIntent) and one.id == nic)
        return sum(len(address.floating) for address in intent.addresses)


@pytest.fixture
def moving(world: World, town: Town) -> Moving:
    with world.store.write() as tx:
        network = world.network(tx, world.router(tx, "second", town.project), "10.1.0.0/24")
        other = world.nic(tx, town.instance, network, 1)
        fixed = {town.nic.id: town.fixed.id, other.id: world.fixed(tx, other, "10.1.0.2").id}
        hosts = {town.nic.id: town.host.id, other.id: world.host(tx).id}
        made = Moving(town, other, hosts, world.host(tx).id, town.floating(tx).id, fixed)
        tx.addresses.associate(made.floating, town.fixed.id, town.pool.id)
        for nic, host in hosts.items():
            tx.deliveries.place(key(nic), host, GATEWAY)
            tx.deliveries.place(key(nic), made.compute, COMPUTE)
            tx.deliveries.publish(key(nic))
            made.gateway_confirms(tx, nic)
            made.gateway_confirms(tx, nic, COMPUTE)
    return made


@pytest.mark.parametrize("everything", [False, True])
def test_another_gateway_is_told_when_the_old_one_has_let_go(world, moving, everything):
    first, other = moving.first, moving.other.id
    with world.store.write() as tx:
        moving.move(tx, first, other)
        assert moving.told(tx, other, everything=everything) == 0
        assert moving.told(tx, first, everything=everything) == 0
        assert tx.addresses.heirs(first) == []
        moving.gateway_confirms(tx, first)
        assert moving.told(tx, other, everything=everything) == 1
        assert tx.addresses.heirs(first) == [other]
        # The compute host has not confirmed; it never held the address, and only frees it late.
        assert tx.addresses.get(moving.floating).release_nic == first
        moving.gateway_confirms(tx, first, COMPUTE)
        assert tx.addresses.heirs(first) == [other]
        assert tx.addresses.heirs(first) == []
        assert tx.addresses.get(moving.floating).release_nic is None


def test_on_one_gateway_it_moves_at_once(world, moving):
    first, other = moving.first, moving.other.id
    with world.store.write() as tx:
        tx.deliveries.place(key(other), moving.hosts[first], GATEWAY)
        moving.move(tx, first, other)
        assert moving.told(tx, other, moving.hosts[first]) == 1
        assert moving.told(tx, first) == 0


def test_it_may_come_back_before_anybody_noticed(world, moving):
    first, other = moving.first, moving.other.id
    with world.store.write() as tx:
        moving.move(tx, first, other)
        moving.move(tx, other, first)
        # The other gateway confirmed a generation without it, but not the one without it that came last.
        assert moving.told(tx, first) == 0
        moving.gateway_confirms(tx, other)
        assert moving.told(tx, first) == 1
        assert tx.addresses.heirs(other) == [first]
        moving.gateway_confirms(tx, first)
        assert tx.addresses.heirs(first) == []


def test_a_nic_that_is_taken_from_its_hosts_keeps_it_until_they_confirm(world, moving):
    first, other = moving.first, moving.other.id
    with world.store.write() as tx:
        tx.addresses.disassociate(moving.floating)
        generation, _ = tx.deliveries.withdraw(key(first))
        tx.addresses.linger(moving.floating, first, generation)
        tx.addresses.associate(moving.floating, moving.fixed[other], moving.town.pool.id)
        tx.deliveries.publish(key(other))
        assert moving.told(tx, other) == 0
        moving.gateway_confirms(tx, first)
        assert moving.told(tx, other) == 1
        assert tx.addresses.heirs(first) == [other]
