"""Guest networks."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from mooring.model.faults import Conflict, InUse, Invalid, NotFound
from mooring.model.ids import AddressId, NetworkId
from mooring.model.nouns import AddressKind, Caller, Network, NetworkKind
from mooring.model.subjects import SubjectKey, SubjectKind
from mooring.operations.door import Door, Published, checked_name, once, publish, withdraw
from mooring.operations.interfaces import AddressRow, Referenced, Transaction
from mooring.operations.routing import shared_router
from mooring.policy.addresses import usable
from mooring.policy.roles import Verb

_MAX_DNS_SERVERS = 5
_MTU = range(576, 9001)
_PREFIXES = range(8, 30)


@dataclass(frozen=True, slots=True)
class NewNetwork:
    """A network to be made; the gateway is the first address of the subnet unless it is given.  `mtu` is in bytes."""

    name: str
    cidr: IPv4Network
    gateway: IPv4Address | None = None
    dns: tuple[IPv4Address, ...] = ()
    mtu: int = 1500
    kind: NetworkKind = NetworkKind.FLAT_DHCP


class NetworkOperations:
    """Networks, as administrators make them and projects see them."""

    def __init__(self, door: Door) -> None:
        """Keep the door."""
        self._door = door

    def create(self, caller: Caller, new: NewNetwork, idempotency_key: str | None = None) -> Network:
        """Make a FlatDHCP network that all projects share, behind the shared router.

        Raises:
            Invalid: a field contradicts itself or another, with the field's name.
            Conflict: the subnet overlaps another network or a pool.
        """
        self._door.allow(caller, Verb.NETWORK_ADMIN)
        name = checked_name("name", new.name)
        gateway = _gateway(new)
        request = ("network", name, new.kind, new.cidr, gateway, *new.dns, new.mtu)
        changes: list[Published] = []
        with self._door.store.write() as tx:
            made = once(tx, caller, idempotency_key, request, lambda: self._create(tx, name, gateway, new, changes))
            network = tx.topology.network(NetworkId(made))
        if network is None:
            raise NotFound("Network", made)
        self._door.settle(changes)
        return network

    def _create(
        self, tx: Transaction, name: str, gateway: IPv4Address, new: NewNetwork, changes: list[Published]
    ) -> NetworkId:
        _check_apart(tx, new.cidr)
        router, connected = shared_router(self._door, tx)
        changes += connected
        network = Network(
            id=NetworkId(self._door.clock.new_id()),
            name=name,
            kind=new.kind,
            project=None,
            router=router.id,
            cidr=new.cidr,
            gateway=gateway,
            dns=new.dns,
            mtu=new.mtu,
        )
        tx.topology.add_network(network, self._door.clock.new_mac())
        row = AddressRow(
            AddressId(self._door.clock.new_id()), network.id, gateway, AddressKind.GATEWAY, network=network.id
        )
        tx.addresses.take(row)
        changes.append(publish(tx, SubjectKey(SubjectKind.ROUTER, router.id)))
        return network.id

    def listing(self, caller: Caller) -> Sequence[Network]:
        """Return the networks that the caller's project may use."""
        self._door.allow(caller, Verb.READ)
        with self._door.store.read() as tx:
            return tx.topology.networks(None if caller.is_admin else caller.project.id)

    def get(self, caller: Caller, name: str) -> Network:
        """Return a network by id or, where that is unambiguous, by name.

        Raises:
            NotFound: there is none that the caller may use.
            Conflict: several have the name.
        """
        named = [network for network in self.listing(caller) if name in (network.id, network.name)]
        exact = [network for network in named if network.id == name]
        if len(exact or named) > 1:
            raise Conflict(f"Several networks are named {name}: use an id.")
        if not named:
            raise NotFound("Network", name)
        return (exact or named)[0]

    def delete(self, caller: Caller, network: NetworkId) -> None:
        """Delete a network that no NIC is on.

        Raises:
            NotFound: there is no such network.
            InUse: NICs are on it.
        """
        self._door.allow(caller, Verb.NETWORK_ADMIN)
        with self._door.store.write() as tx:
            known = tx.topology.network(network)
            if known is None:
                raise NotFound("Network", network)
            changes = [withdraw(tx, SubjectKey(SubjectKind.NETWORK, network))]
            gateway = tx.addresses.find(network, known.gateway)
            if gateway is not None:
                tx.addresses.free(gateway.id)
            try:
                tx.topology.delete_network(network)
            except Referenced as error:
                raise InUse("Network", known.name, "NICs of instances") from error
            changes.append(publish(tx, SubjectKey(SubjectKind.ROUTER, known.router)))
        self._door.settle(changes)


def _gateway(new: NewNetwork) -> IPv4Address:
    if new.cidr.prefixlen not in _PREFIXES:
        raise Invalid("cidr", f"must have a prefix length from {_PREFIXES.start} to {_PREFIXES.stop - 1}")
    if new.cidr.is_loopback or new.cidr.is_multicast or new.cidr.is_link_local or new.cidr.is_unspecified:
        raise Invalid("cidr", f"{new.cidr} cannot be a guest network")
    if new.mtu not in _MTU:
        raise Invalid("mtu", f"must be from {_MTU.start} to {_MTU.stop - 1} bytes")
    if len(new.dns) > _MAX_DNS_SERVERS:
        raise Invalid("dns", f"must name at most {_MAX_DNS_SERVERS} servers")
    inside = usable(new.cidr)
    gateway = new.gateway or inside.first
    if gateway not in inside:
        raise Invalid("gateway", f"{gateway} is not an address of {new.cidr}")
    return gateway


def _check_apart(tx: Transaction, cidr: IPv4Network) -> None:
    for network in tx.topology.networks(None):
        if network.cidr.overlaps(cidr):
            raise Conflict(f"cidr: {cidr} overlaps network {network.name} ({network.cidr}).", field="cidr")
    for pool in tx.topology.pools():
        if pool.cidr.overlaps(cidr):
            raise Conflict(f"cidr: {cidr} overlaps pool {pool.name} ({pool.cidr}).", field="cidr")
