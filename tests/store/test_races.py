"""Many who want the same thing at the same time: as many get it as there is of it."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from mooring.model.ids import AddressId
from mooring.model.nouns import AddressKind, InstanceState, Resource
from mooring.model.records import AddressRow, Duplicate, Referenced, Remembered
from mooring.model.subjects import HostRole
from mooring.operations.interfaces import Store
from tests.store.world import Town

CLIENTS = 64


def race(attempt: Callable[[int], bool]) -> int:
    """Let 64 threads start together; return how many succeeded.  Any exception is a failure of the test."""
    gate = threading.Barrier(CLIENTS)

    def run(number: int) -> bool:
        gate.wait(timeout=60)
        return attempt(number)

    with ThreadPoolExecutor(CLIENTS) as clients:
        return sum(clients.map(run, range(CLIENTS)))


def allocate(store: Store, town: Town, number: int, last: str) -> bool:
    """Do what operations do: quota, cursor, gap, row."""
    with store.write() as tx:
        if not tx.quotas.take(town.project.id, Resource.FLOATING_IPS):
            return False
        cursor = tx.addresses.cursor(town.pool.id) or IPv4Address("198.51.100.10")
        gap = tx.addresses.first_gap("public", cursor + 1, IPv4Address(last))
        if gap is None:
            # As an operation would: an exception, and so no quota used either.
            raise Exhausted
        row = AddressRow(
            AddressId(f"address-{number}"),
            "public",
            gap,
            AddressKind.FLOATING,
            project=town.project.id,
            pool=town.pool.id,
        )
        assert tx.addresses.take(row)
        tx.addresses.set_cursor(town.pool.id, gap)
        return True


class Exhausted(Exception):
    pass


@pytest.mark.parametrize("limit,last", [(10, "198.51.100.200"), (-1, "198.51.100.20"), (10, "198.51.100.20")])
def test_ten_addresses_or_a_quota_of_ten_make_ten(town: Town, limit, last):
    with town.world.store.write() as tx:
        tx.quotas.set(town.project.id, Resource.FLOATING_IPS, limit)

    def attempt(number: int) -> bool:
        try:
            return allocate(town.world.store, town, number, last)
        except Exhausted:
            return False

    assert race(attempt) == 10
    with town.world.store.read() as tx:
        owned = {floating.address for floating in tx.addresses.floating_ips(town.project.id)}
        assert owned == {IPv4Address("198.51.100.10") + number for number in range(1, 11)}
        assert tx.quotas.get(town.project.id, Resource.FLOATING_IPS).used == 10


def test_two_stores_on_one_database_are_no_different(town: Town, open_store):
    """As two processes would: the lock of one does not hold the other."""
    stores = [town.world.store, open_store()]
    with town.world.store.write() as tx:
        tx.quotas.set(town.project.id, Resource.FLOATING_IPS, 10)
    assert race(lambda number: allocate(stores[number % 2], town, number, "198.51.100.200")) == 10
    with stores[1].read() as tx:
        assert len(tx.addresses.floating_ips(None)) == tx.quotas.get(town.project.id, Resource.FLOATING_IPS).used == 10


def test_one_address_goes_to_one_of_them(town: Town):
    row = AddressRow(
        AddressId("-"),
        "public",
        IPv4Address("198.51.100.50"),
        AddressKind.FLOATING,
        project=town.project.id,
        pool=town.pool.id,
    )

    def attempt(number: int) -> bool:
        with town.world.store.write() as tx:
            return tx.addresses.take(replace(row, id=AddressId(str(number))))

    assert race(attempt) == 1


def test_one_floating_ip_is_associated_once(town: Town):
    with town.world.store.write() as tx:
        row = town.floating(tx)
        fixed = [town.world.fixed(tx, town.nic, f"10.0.1.{number}") for number in range(CLIENTS)]

    def attempt(number: int) -> bool:
        try:
            with town.world.store.write() as tx:
                tx.addresses.associate(row.id, fixed[number].id, town.pool.id)
        except Duplicate:
            return False
        return True

    assert race(attempt) == 1


def test_an_address_is_associated_or_released_but_not_both(town: Town):
    with town.world.store.write() as tx:
        row = town.floating(tx)

    def attempt(number: int) -> bool:
        try:
            with town.world.store.write() as tx:
                if number % 2:
                    return tx.addresses.release(row.id)
                tx.addresses.associate(row.id, town.fixed.id, town.pool.id)
        except (Duplicate, Referenced):
            return False
        return True

    assert race(attempt) == 1


def test_one_host_becomes_the_gateway_and_one_gets_the_guest(town: Town):
    with town.world.store.write() as tx:
        hosts = [town.world.host(tx) for _ in range(CLIENTS)]

    def claim(number: int) -> bool:
        with town.world.store.write() as tx:
            return tx.topology.claim_router(town.router.id, hosts[number].id)

    def assign(number: int) -> bool:
        with town.world.store.write() as tx:
            return tx.instances.assign(town.instance, hosts[number].id)

    assert race(claim) == 1
    assert race(assign) == 1


def test_one_of_them_deletes_the_instance(town: Town):
    def attempt(_number: int) -> bool:
        with town.world.store.write() as tx:
            return tx.instances.move(town.instance, {InstanceState.BUILDING}, InstanceState.DELETING)

    assert race(attempt) == 1


def test_one_idempotency_key_makes_one_thing(town: Town):
    def attempt(number: int) -> bool:
        try:
            with town.world.store.write() as tx:
                tx.memory.remember(town.project.id, "key", Remembered("same", str(number)))
        except Duplicate:
            return False
        return True

    assert race(attempt) == 1


def test_every_publication_has_a_generation_of_its_own(town: Town):
    seen: list[int] = []
    with town.world.store.write() as tx:
        tx.deliveries.place(town.nic_key, town.host.id, HostRole.COMPUTE)

    def attempt(_number: int) -> bool:
        with town.world.store.write() as tx:
            seen.append(tx.deliveries.publish(town.nic_key)[0])
        return True

    assert race(attempt) == CLIENTS
    assert seen == list(range(2, CLIENTS + 2))
