"""Port forwardings on both databases: what the rows refuse, whoever is faster, and what hosts are told of them."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from mooring.model import subjects
from mooring.model.ids import AddressId, ForwardingId
from mooring.model.nouns import PortForwarding
from mooring.model.records import AddressRow, Duplicate, Referenced
from mooring.model.subjects import HostRole, NicIntent, PublicAddress, SubjectKey, SubjectKind, Transport
from mooring.operations.interfaces import Store, Transaction
from tests.store.world import Town

CLIENTS = 8


@pytest.fixture
def public(town: Town) -> AddressRow:
    with town.world.store.write() as tx:
        return town.world.floating(tx, town.project, town.pool, "198.51.100.20")


def forwarding(town: Town, public: AddressRow, first: int = 2222, last: int | None = None) -> PortForwarding:
    return PortForwarding(
        id=ForwardingId(f"forwarding-{first}-{last}"),
        project=town.project.id,
        floating=public.id,
        address=public.address,
        protocol=Transport.TCP,
        first=first,
        last=last or first,
        to=22,
        fixed=town.fixed.address,
        nic=town.nic.id,
        instance=town.instance,
        network=town.network.id,
        description="a door",
    )


def refused(store: Store, kind: type[Exception], act: Callable[[Transaction], object]) -> None:
    with pytest.raises(kind), store.write() as tx:
        act(tx)


def test_what_was_put_is_there_and_can_be_otherwise(town: Town, public: AddressRow) -> None:
    made = forwarding(town, public)
    store = town.world.store
    with store.write() as tx:
        tx.forwardings.add(made, town.fixed.id)
    with store.read() as tx:
        assert tx.forwardings.get(made.id) == made
        assert tx.forwardings.get(ForwardingId("made-up")) is None
        for found in (
            tx.forwardings.list(None),
            tx.forwardings.list(town.project.id),
            tx.forwardings.of_floating([public.id]),
            tx.forwardings.of_nic(town.nic.id),
        ):
            assert list(found) == [made]
        assert not tx.forwardings.of_floating([])
        assert not tx.forwardings.of_floating([AddressId("made-up")])
    other = replace(made, protocol=Transport.UDP, first=53, last=54, to=5353, description="")
    with store.write() as tx:
        tx.forwardings.change(other, town.fixed.id)
        assert tx.forwardings.get(made.id) == other
        assert tx.forwardings.delete(made.id)
        assert not tx.forwardings.delete(made.id)


@pytest.mark.parametrize("first, last", [(2222, 2222), (2000, 2222), (2230, 3000), (2200, 2300), (2223, 2224)])
def test_a_port_is_forwarded_once(town: Town, public: AddressRow, first: int, last: int) -> None:
    store = town.world.store
    with store.write() as tx:
        tx.forwardings.add(forwarding(town, public, 2222, 2230), town.fixed.id)
        tx.forwardings.add(forwarding(town, public, 2231), town.fixed.id)
    late = forwarding(town, public, first, last)
    refused(store, Duplicate, lambda tx: tx.forwardings.add(late, town.fixed.id))
    refused(
        store,
        Duplicate,
        lambda tx: tx.forwardings.change(
            replace(late, id=forwarding(town, public, 2231).id, first=2230), town.fixed.id
        ),
    )
    with store.write() as tx:
        # By another protocol it is another port; and a forwarding is not in its own way.
        tx.forwardings.add(replace(late, protocol=Transport.UDP), town.fixed.id)
        tx.forwardings.change(replace(forwarding(town, public, 2222, 2230), first=2225), town.fixed.id)


def test_a_floating_ip_is_associated_or_has_forwarded_ports(town: Town, public: AddressRow) -> None:
    store, made = town.world.store, forwarding(town, public)
    with store.write() as tx:
        tx.addresses.associate(public.id, town.fixed.id, town.pool.id)
    refused(store, Referenced, lambda tx: tx.forwardings.add(made, town.fixed.id))
    with store.write() as tx:
        tx.addresses.disassociate(public.id)
        tx.forwardings.add(made, town.fixed.id)
    refused(store, Referenced, lambda tx: tx.addresses.associate(public.id, town.fixed.id, town.pool.id))
    for address in (public.id, town.fixed.id):
        refused(store, Referenced, lambda tx, address=address: tx.addresses.release(address))  # type: ignore[misc]
        refused(store, Referenced, lambda tx, address=address: tx.addresses.free(address))  # type: ignore[misc]


def test_no_port_of_an_address_that_goes_is_forwarded(town: Town, public: AddressRow) -> None:
    store = town.world.store
    with store.write() as tx:
        assert tx.addresses.release(public.id)
    refused(store, Referenced, lambda tx: tx.forwardings.add(forwarding(town, public), town.fixed.id))


def test_of_many_who_want_overlapping_ports_one_gets_them(town: Town, public: AddressRow) -> None:
    store = town.world.store

    def attempt(number: int) -> bool:
        try:
            with store.write() as tx:
                tx.forwardings.add(forwarding(town, public, 2000 + number, 2100), town.fixed.id)
        except Duplicate:
            return False
        return True

    with ThreadPoolExecutor(CLIENTS) as clients:
        assert sum(clients.map(attempt, range(CLIENTS))) == 1


def test_of_an_association_and_forwardings_at_once_only_one_kind_is_made(town: Town, public: AddressRow) -> None:
    store = town.world.store

    def attempt(number: int) -> str:
        try:
            with store.write() as tx:
                if number % 2:
                    tx.addresses.associate(public.id, town.fixed.id, town.pool.id)
                else:
                    tx.forwardings.add(forwarding(town, public, 2000 + number), town.fixed.id)
        except (Duplicate, Referenced):
            return ""
        return "association" if number % 2 else "forwarding"

    with ThreadPoolExecutor(CLIENTS) as clients:
        made = set(clients.map(attempt, range(CLIENTS))) - {""}
    assert len(made) == 1


def test_hosts_are_told_with_the_address_that_the_ports_lead_to(town: Town, public: AddressRow) -> None:
    store, key = town.world.store, SubjectKey(SubjectKind.NIC, town.nic.id)
    with store.write() as tx:
        tx.deliveries.place(key, town.host.id, HostRole.GATEWAY)
        tx.forwardings.add(forwarding(town, public, 8000, 8010), town.fixed.id)
        tx.deliveries.publish(key)
        (placed,) = tx.deliveries.pending(town.host.id, [key])
    assert isinstance(placed.subject, NicIntent)
    where = PublicAddress(IPv4Address("198.51.100.20"), town.uplink.id)
    assert [own.forwards for own in placed.subject.addresses] == [
        (subjects.PortForwarding(where, Transport.TCP, 8000, 8010, 22),)
    ]
