"""Allowed addresses as a store keeps them: one project's on a network, 256 of a family at most, and gone only when hosts have confirmed."""

from ipaddress import IPv4Address, ip_network

import pytest

from mooring.model.ids import AddressId, NicId
from mooring.model.nouns import AddressKind
from mooring.model.records import AddressRow, Duplicate, NicRow
from mooring.model.subjects import HostRole, NicIntent, Report, SubjectKey, SubjectKind
from mooring.operations.interfaces import Transaction
from tests.store.world import Town, World

SHARED = IPv4Address("10.0.0.200")


@pytest.fixture
def town(world: World) -> Town:
    return Town.build(world)


def kept(tx: Transaction, town: Town, address: IPv4Address = SHARED) -> AddressRow:
    """Keep an address of the subnet for nobody in particular."""
    row = AddressRow(AddressId(town.world.id()), town.network.id, address, AddressKind.FIXED, network=town.network.id)
    assert tx.addresses.take(row)
    return row


def allow(tx: Transaction, town: Town, prefix: str = f"{SHARED}/32") -> None:
    found = ip_network(prefix)
    for address in found:
        row = kept(tx, town, address) if isinstance(address, IPv4Address) and address in town.network.cidr else None
        assert tx.allowances.claim(town.network.id, address, town.project.id, row.id if row else None)
    tx.allowances.add(town.nic, found)


def test_an_address_of_a_network_is_one_projects(town: Town) -> None:
    with town.world.store.write() as tx:
        other = town.world.project(tx)
        for _ in range(2):
            assert tx.allowances.claim(town.network.id, SHARED, town.project.id, None)
        assert not tx.allowances.claim(town.network.id, SHARED, other.id, None)
        elsewhere = town.world.network(tx, town.router, "10.1.0.0/16")
        assert tx.allowances.claim(elsewhere.id, SHARED, other.id, None)


def test_a_nic_has_256_of_each_family_and_none_twice(town: Town) -> None:
    with town.world.store.write() as tx:
        allow(tx, town, "192.0.2.0/25")
        allow(tx, town, "192.0.2.128/25")
        allow(tx, town, "2001:db8::/120")
        for more in ("198.51.100.7/32", "2001:db8:1::7/128"):
            address = ip_network(more).network_address
            assert tx.allowances.claim(town.network.id, address, town.project.id, None)
            with pytest.raises(Duplicate):
                tx.allowances.add(town.nic, ip_network(more))
        tx.allowances.leave(town.nic.id, [ip_network("192.0.2.0/25")], 7)
        with pytest.raises(Duplicate):
            tx.allowances.add(town.nic, ip_network("192.0.2.130/32"))
        tx.allowances.add(town.nic, ip_network("198.51.100.7/32"))
    with town.world.store.read() as tx:
        found = tx.instances.get(town.instance)
        assert found is not None
        assert [str(prefix) for prefix in found.nics[0].allowed] == [
            "192.0.2.128/25",
            "198.51.100.7/32",
            "2001:db8::/120",
        ]


def test_hosts_are_told_each_address_as_long_as_it_is_allowed(town: Town) -> None:
    def told(tx: Transaction) -> list[str] | None:
        (placed,) = tx.deliveries.pending(town.host.id, [key])
        assert isinstance(placed.subject, NicIntent)
        return [str(it) for it in placed.subject.filter.extra] if placed.subject.filter is not None else None

    with town.world.store.write() as tx:
        for number, filtered in enumerate((True, False), 1):
            bare = NicRow(NicId(town.world.id()), town.instance, town.network.id, town.world.mac(), number, filtered)
            tx.instances.add_nic(bare)
            key = SubjectKey(SubjectKind.NIC, bare.id)
            tx.deliveries.place(key, town.host.id, HostRole.COMPUTE)
            assert told(tx) == ([] if filtered else None)
            for text in ("192.0.2.8/31", "2001:db8::7/128"):
                for address in ip_network(text):
                    assert tx.allowances.claim(town.network.id, address, town.project.id, None)
                tx.allowances.add(bare, ip_network(text))
            # Of a NIC without filters hosts need not know it: it may send as anybody.
            assert told(tx) == (["192.0.2.8", "192.0.2.9", "2001:db8::7"] if filtered else None)
            tx.allowances.leave(bare.id, [ip_network("192.0.2.8/31")], 7)
            assert told(tx) == (["2001:db8::7"] if filtered else None)


def test_what_leaves_stays_the_projects_until_hosts_have_confirmed(town: Town) -> None:
    with town.world.store.write() as tx:
        other = town.world.project(tx)
        tx.deliveries.place(town.nic_key, town.host.id, HostRole.COMPUTE)
        allow(tx, town)
        generation, _ = tx.deliveries.publish(town.nic_key)
        tx.allowances.leave(town.nic.id, [ip_network(f"{SHARED}/32")], generation)
        tx.allowances.confirmed(town.nic.id)
        assert tx.allowances.leaving(town.nic.id) == 1
        assert not tx.allowances.claim(town.network.id, SHARED, other.id, None)
        assert tx.addresses.find(town.network.id, SHARED) is not None
        assert tx.deliveries.confirm(town.host.id, Report(town.nic_key, HostRole.COMPUTE, generation))
        tx.allowances.confirmed(town.nic.id)
        assert tx.allowances.leaving(town.nic.id) == 0
        assert tx.addresses.find(town.network.id, SHARED) is None
        assert tx.allowances.claim(town.network.id, SHARED, other.id, None)


def test_what_comes_back_before_it_is_gone_stays(town: Town) -> None:
    with town.world.store.write() as tx:
        tx.deliveries.place(town.nic_key, town.host.id, HostRole.COMPUTE)
        allow(tx, town)
        generation, _ = tx.deliveries.publish(town.nic_key)
        tx.allowances.leave(town.nic.id, [ip_network(f"{SHARED}/32")], generation)
        tx.allowances.add(town.nic, ip_network(f"{SHARED}/32"))
        assert tx.allowances.leaving(town.nic.id) == 0
        tx.deliveries.confirm(town.host.id, Report(town.nic_key, HostRole.COMPUTE, generation))
        tx.allowances.confirmed(town.nic.id)
        assert tx.addresses.find(town.network.id, SHARED) is not None


def test_a_fixed_ip_that_others_may_use_stays_in_use_without_its_nic(town: Town) -> None:
    with town.world.store.write() as tx:
        other = town.world.nic(tx, town.world.instance(tx, town.project, town.user), town.network)
        assert tx.allowances.claim(town.network.id, town.fixed.address, town.project.id, town.fixed.id)
        tx.allowances.add(other, ip_network(f"{town.fixed.address}/32"))
        assert tx.allowances.sharers(town.nic.id) == [other.id]
        assert tx.allowances.sharers(other.id) == [town.nic.id]
        tx.addresses.release(town.fixed.id)
        tx.addresses.free(town.fixed.id)
        row = tx.addresses.find(town.network.id, town.fixed.address)
        assert row is not None
        assert (row.id, row.nic, row.releasing) == (town.fixed.id, None, False)
        assert tx.allowances.sharers(other.id) == []
        tx.instances.delete_nic(town.nic.id)
        tx.allowances.forget(other.id)
        assert tx.addresses.find(town.network.id, town.fixed.address) is None
        tx.instances.delete_nic(other.id)
