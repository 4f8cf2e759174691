from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any

import pytest

from mooring.model.ids import AddressId, NetworkId, NicId, PoolId, ProjectId
from mooring.model.nouns import AddressKind, FloatingIp, Host
from mooring.model.records import AddressRow, Duplicate, FloatingChoice, NicRow, Referenced
from mooring.model.subjects import HostRole, Report
from mooring.operations.interfaces import Transaction
from mooring.store import addresses
from tests.store.world import Town


def test_an_address_is_taken_once_in_its_scope(town):
    with town.world.store.write() as tx:
        row = town.floating(tx)
        assert not tx.addresses.take(replace(row, id=AddressId("other")))
        assert tx.addresses.get(AddressId("other")) is None
        assert tx.addresses.get(row.id) == tx.addresses.find("public", row.address) == row
        # The same address on two networks is two addresses.
        beside = town.world.network(tx, town.router, "10.0.0.0/16")
        nic = town.world.nic(tx, town.instance, beside, 1)
        assert town.world.fixed(tx, nic, "10.0.0.2").address == town.fixed.address


def test_an_id_that_is_used_twice_is_no_address_in_use(town):
    with town.world.store.write() as tx:
        with pytest.raises(Duplicate, match=r"addresses\.id"):
            tx.addresses.take(replace(town.fixed, address=IPv4Address("10.0.0.9")))
        assert tx.addresses.find(town.network.id, IPv4Address("10.0.0.9")) is None
        assert tx.addresses.count(town.network.id, IPv4Address("10.0.0.0"), IPv4Address("10.0.255.255")) == 1


def test_an_address_names_only_what_is_there(town):
    with town.world.store.write() as tx:
        for wrong in (
            {"pool": PoolId("x")},
            {"pool": None, "network": NetworkId("x"), "kind": AddressKind.FIXED},
            {"project": ProjectId("x")},
            {"pool": None, "network": town.network.id, "kind": AddressKind.FIXED, "nic": NicId("x")},
        ):
            row = AddressRow(
                AddressId("a"),
                "public",
                IPv4Address("198.51.100.30"),
                AddressKind.FLOATING,
                project=town.project.id,
                pool=town.pool.id,
            )
            with pytest.raises(Referenced):
                tx.addresses.take(replace(row, **wrong))
        assert tx.addresses.find("public", IPv4Address("198.51.100.30")) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"project": None},
        {"pool": None},
        {"network": NetworkId("both")},
        {"kind": AddressKind.FIXED},
        {"nic": NicId("a floating IP has none")},
    ],
)
def test_rows_that_cannot_be_are_refused_by_the_database(town, wrong):
    row = AddressRow(
        AddressId("a"),
        "public",
        IPv4Address("198.51.100.30"),
        AddressKind.FLOATING,
        project=town.project.id,
        pool=town.pool.id,
    )
    with pytest.raises(Exception, match=r"CHECK|ck_addresses"), town.world.store.write() as tx:
        tx.addresses.take(replace(row, **wrong))


def test_a_cursor_is_kept_for_each_owner(town):
    with town.world.store.write() as tx:
        assert tx.addresses.cursor(town.pool.id) is None
        tx.addresses.set_cursor(town.pool.id, IPv4Address("198.51.100.77"))
        tx.addresses.set_cursor(town.network.id, IPv4Address("10.0.0.2"))
        tx.addresses.set_cursor(town.pool.id, IPv4Address("198.51.100.11"))
        assert tx.addresses.cursor(town.pool.id) == IPv4Address("198.51.100.11")
        assert tx.addresses.cursor(town.network.id) == IPv4Address("10.0.0.2")


def test_a_nics_addresses_come_in_the_order_in_which_it_got_them(town):
    with town.world.store.write() as tx:
        later = town.world.fixed(tx, town.nic, "10.0.0.9")
        lower = town.world.fixed(tx, town.nic, "10.0.0.1")
        assert tx.addresses.fixed_of_nic(town.nic.id) == [town.fixed, later, lower]
        tx.addresses.release(later.id)
        assert tx.addresses.fixed_of_nic(town.nic.id) == [town.fixed, replace(later, releasing=True), lower]


def test_a_floating_ip_is_its_projects(town):
    with town.world.store.write() as tx:
        other = town.world.project(tx)
        row = town.floating(tx)
        second = town.world.floating(tx, other, town.pool, "198.51.100.21")
        seen = FloatingIp(row.id, row.address, town.pool.id, town.pool.name, town.project.id)
        assert tx.addresses.floating(town.project.id, row.id) == seen
        assert tx.addresses.floating(other.id, row.id) is None
        assert tx.addresses.floating_by_address(row.address) == seen
        assert tx.addresses.floating_by_address(town.own.address) is None
        assert tx.addresses.floating_ips(town.project.id) == [seen]
        assert [known.id for known in tx.addresses.floating_ips(None)] == [row.id, second.id]


def test_floating_ips_are_chosen(town, monkeypatch):
    monkeypatch.setattr(addresses, "PIECE", 2)
    with town.world.store.write() as tx:
        other = town.world.project(tx)
        rows = [town.floating(tx, f"198.51.100.{last}") for last in (20, 25, 22, 23)]
        foreign = town.world.floating(tx, other, town.pool, "198.51.100.24")
        tx.addresses.associate(rows[1].id, town.fixed.id, town.pool.id)
        ids = [row.id for row in rows]

        def chosen(project: Any = town.project.id, **choice: Any) -> list[str]:
            pieces = list(tx.addresses.walk_floating_ips(project, FloatingChoice(**choice)))
            assert all(1 <= len(piece) <= 2 for piece in pieces)
            every = {each.id: each for each in tx.addresses.floating_ips(project)}
            found = [each for piece in pieces for each in piece]
            assert found == [every[each.id] for each in found]
            return [each.id for each in found]

        assert chosen() == ids
        assert chosen(None) == [*ids, foreign.id]
        assert chosen(None, projects=(other.id,)) == chosen(other.id) == [foreign.id]
        assert chosen(ids=(ids[2], ids[0], "none")) == [ids[0], ids[2]]
        assert chosen(ids=()) == chosen(ids=(foreign.id,)) == chosen(pools=("none",)) == []
        assert chosen(addresses=(rows[3].address, foreign.address)) == [ids[3]]
        assert chosen(nics=(town.nic.id,)) == chosen(fixed=(town.fixed.address,)) == chosen(associated=True) == [ids[1]]
        assert chosen(associated=False, pools=(town.pool.id,)) == [ids[0], *ids[2:]]
        assert chosen(after=ids[1]) == ids[2:]
        assert chosen(until=ids[1]) == chosen(limit=2) == ids[:2]
        assert chosen(after=ids[0], limit=1, associated=False) == [ids[2]]
        tx.addresses.release(rows[0].id)
        assert chosen() == chosen(after=ids[0]) == ids[1:]


def test_an_associated_floating_ip_names_its_guest(town):
    with town.world.store.write() as tx:
        row = town.floating(tx)
        tx.addresses.associate(row.id, town.fixed.id, town.pool.id)
        seen = tx.addresses.floating(town.project.id, row.id)
        assert (seen.fixed, seen.instance, seen.nic) == (town.fixed.address, town.instance, town.nic.id)
        assert seen.network == town.network.id
        assert tx.addresses.floating_by_address(row.address) == seen
        assert tx.addresses.floating_ips(None) == tx.addresses.floating_ips(town.project.id) == [seen]
        assert tx.addresses.floating_of_fixed(town.fixed.id) == [row.id]
        assert tx.addresses.disassociate(row.id)
        assert not tx.addresses.disassociate(row.id)
        assert tx.addresses.floating_of_fixed(town.fixed.id) == []
        assert tx.addresses.floating(town.project.id, row.id).fixed is None


def test_one_association_for_a_floating_ip_and_one_of_each_pool_for_a_fixed_ip(town):
    world = town.world
    with world.store.write() as tx:
        other = world.pool(tx, town.uplink, "203.0.113.0/24")
        second = world.fixed(tx, town.nic, "10.0.0.3")
        one, two = town.floating(tx), town.floating(tx, "198.51.100.21")
        of_other = world.floating(tx, town.project, other, "203.0.113.20")
        tx.addresses.associate(one.id, town.fixed.id, town.pool.id)
        with pytest.raises(Duplicate, match=r"associations\.floating"):
            tx.addresses.associate(one.id, second.id, town.pool.id)
        with pytest.raises(Duplicate, match=r"associations\.fixed, associations\.pool"):
            tx.addresses.associate(two.id, town.fixed.id, town.pool.id)
        tx.addresses.associate(of_other.id, town.fixed.id, other.id)
        assert tx.addresses.floating_of_fixed(town.fixed.id) == [one.id, of_other.id]


def test_what_is_gone_or_going_is_not_associated(town):
    with town.world.store.write() as tx:
        row = town.floating(tx)
        with pytest.raises(Referenced):
            tx.addresses.associate(row.id, AddressId("x"), town.pool.id)
        tx.addresses.release(row.id)
        with pytest.raises(Referenced):
            tx.addresses.associate(row.id, town.fixed.id, town.pool.id)
        assert tx.addresses.floating_of_fixed(town.fixed.id) == []


def test_a_release_hides_the_address_and_keeps_it_taken(town):
    with town.world.store.write() as tx:
        row = town.floating(tx)
        assert tx.addresses.release(row.id)
        assert not tx.addresses.release(row.id)
        assert not tx.addresses.release(AddressId("x"))
        assert tx.addresses.get(row.id) == replace(row, releasing=True)
        assert tx.addresses.floating(town.project.id, row.id) is None
        assert tx.addresses.floating_by_address(row.address) is None
        assert tx.addresses.floating_ips(None) == []
        assert not tx.addresses.take(replace(row, id=AddressId("next owner")))
        tx.addresses.free(row.id)
        assert tx.addresses.get(row.id) is None
        assert tx.addresses.take(replace(row, id=AddressId("next owner")))


def test_an_associated_address_is_neither_released_nor_freed(town):
    with town.world.store.write() as tx:
        row = town.floating(tx)
        tx.addresses.associate(row.id, town.fixed.id, town.pool.id)
        for address in (row.id, town.fixed.id):
            with pytest.raises(Referenced):
                tx.addresses.release(address)
            with pytest.raises(Referenced):
                tx.addresses.free(address)
        assert tx.addresses.floating(town.project.id, row.id).nic == town.nic.id
        tx.addresses.free(AddressId("never there"))


def hold(town: Town, tx: Transaction, nic: NicRow, host: Host) -> int:
    """Bring a NIC to a host, which confirms; then publish a generation that it has not seen."""
    key = replace(town.nic_key, id=nic.id)
    tx.deliveries.place(key, host.id, HostRole.GATEWAY)
    held, _ = tx.deliveries.publish(key)
    assert tx.deliveries.confirm(host.id, Report(key, HostRole.GATEWAY, held))
    without, _ = tx.deliveries.publish(key)
    return without


def test_an_address_lingers_until_every_host_of_its_last_nic_confirms(town):
    with town.world.store.write() as tx:
        row = town.floating(tx)
        without = hold(town, tx, town.nic, town.host)
        tx.addresses.linger(row.id, town.nic.id, without)
        assert tx.addresses.releasing(town.nic.id) == []
        held = replace(row, release_nic=town.nic.id, release_generation=without)
        assert tx.addresses.get(row.id) == tx.addresses.find("public", row.address) == held
        tx.addresses.release(row.id)
        assert tx.addresses.releasing(town.nic.id) == [replace(held, releasing=True)]
        tx.deliveries.confirm(town.host.id, Report(town.nic_key, HostRole.GATEWAY, without))
        assert tx.addresses.get(row.id) == replace(row, releasing=True)
        assert tx.addresses.releasing(town.nic.id) == [replace(held, releasing=True)]
        tx.addresses.free(row.id)
        assert tx.addresses.releasing(town.nic.id) == []


def test_an_address_that_went_from_a_to_b_waits_for_the_hosts_of_both(town):
    """Remembering only the last NIC would free it while a host that is away still answers for it."""
    world = town.world
    with world.store.write() as tx:
        row, away = town.floating(tx), world.host(tx)
        other = world.nic(tx, town.instance, town.network, 1)
        without_a, without_b = hold(town, tx, town.nic, away), hold(town, tx, other, town.host)
        tx.addresses.linger(row.id, town.nic.id, without_a)
        tx.addresses.linger(row.id, other.id, without_b)
        tx.addresses.release(row.id)
        assert tx.addresses.releasing(other.id) == []
        assert tx.addresses.releasing(town.nic.id) == []
        tx.deliveries.confirm(town.host.id, Report(replace(town.nic_key, id=other.id), HostRole.GATEWAY, without_b))
        assert tx.addresses.releasing(other.id) == []
        assert tx.addresses.get(row.id).release_nic == town.nic.id
        assert [known.release_generation for known in tx.addresses.releasing(town.nic.id)] == [without_a]
        tx.deliveries.confirm(away.id, Report(town.nic_key, HostRole.GATEWAY, without_a))
        assert tx.addresses.get(row.id).release_nic is None
        assert [known.id for known in tx.addresses.releasing(other.id)] == [row.id]


def test_lingering_never_goes_back_to_an_older_generation(town):
    with town.world.store.write() as tx:
        row = town.floating(tx)
        without = hold(town, tx, town.nic, town.host)
        tx.addresses.linger(row.id, town.nic.id, without)
        tx.addresses.linger(row.id, town.nic.id, without - 1)
        assert tx.addresses.get(row.id).release_generation == without
        newer, _ = tx.deliveries.publish(town.nic_key)
        tx.addresses.linger(row.id, town.nic.id, newer)
        assert tx.addresses.get(row.id).release_generation == newer
