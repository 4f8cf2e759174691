"""Networks and subnets that projects make for themselves.

A network begins bare: a name that no host has.  With its subnet it becomes a guest network of the kind that the operator chose, with a router
of its own that leads nowhere, so that guests get their addresses; where its guests may go, a router of the project's says
(`own_routers`).  Without its subnet it is bare again, under the same id.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from mooring.model.accounts import Caller
from mooring.model.events import Action
from mooring.model.faults import Conflict, Forbidden, InUse, Invalid, NotFound, QuotaExceeded
from mooring.model.ids import NetworkId, ProjectId, SubnetPoolId
from mooring.model.nouns import AddressRange, Network, NetworkKind, OwnSubnet, Resource
from mooring.model.own import BareNetwork
from mooring.model.subjects import SubjectKey, SubjectKind
from mooring.operations.door import (
    Door,
    Published,
    check_revision,
    check_version,
    checked_name,
    find_card,
    once,
    publish,
)
from mooring.operations.events import note
from mooring.operations.interfaces import Transaction
from mooring.operations.networks import NetworkOperations, NewNetwork, checked_gateway, checked_servers, remove_network
from mooring.operations.subnet_pools import next_prefix
from mooring.policy.addresses import overlapping, usable
from mooring.policy.roles import Verb

_NAMED = 5
"""So many ports are named that a network is in use by."""


@dataclass(frozen=True, slots=True)
class NewSubnet:
    """A subnet to be made: of a `cidr`, or with `pool` of the next free prefix there that is `length` bits long.

    The gateway is the first address unless it is given.  Without `ranges` every address is given out.
    """

    network: NetworkId
    name: str = ""
    cidr: IPv4Network | None = None
    gateway: IPv4Address | None = None
    dns: tuple[IPv4Address, ...] = ()
    ranges: tuple[AddressRange, ...] = ()
    pool: SubnetPoolId | None = None
    length: int | None = None


@dataclass(frozen=True, slots=True)
class SubnetChange:
    """What is to be changed of a subnet; what is None stays."""

    name: str | None = None
    gateway: IPv4Address | None = None
    dns: tuple[IPv4Address, ...] | None = None
    ranges: tuple[AddressRange, ...] | None = None


class OwnNetworkOperations:
    """Networks and subnets, as members of projects make them."""

    def __init__(self, door: Door) -> None:
        """Keep the door."""
        self._door = door
        self._networks = NetworkOperations(door)

    def bare(self, caller: Caller) -> Sequence[BareNetwork]:
        """Return the project's networks that have no subnet, or to an administrator everybody's."""
        self._door.allow(caller, Verb.READ)
        with self._door.store.read() as tx:
            return tx.own.bares(None if caller.is_admin else caller.project.id)

    def create(self, caller: Caller, name: str, idempotency_key: str | None = None) -> BareNetwork:
        """Record a network of the project; it has no subnet yet.

        Raises:
            Forbidden: here only administrators make networks.
            Invalid: a name that cannot be.
            QuotaExceeded: the project has as many as it may.
        """
        self._kind(caller)
        name = checked_name("name", name)

        def make(tx: Transaction) -> NetworkId:
            take(tx, caller.project.id, Resource.NETWORKS, "networks")
            made = BareNetwork(NetworkId(self._door.chance.new_id()), name, caller.project.id)
            tx.own.add_bare(made)
            note(tx, caller, Action.NETWORK_CREATE, made.id, name=name)
            return made.id

        with self._door.store.write() as tx:
            made = once(tx, caller, idempotency_key, ("own network", name), lambda: make(tx))
            known = tx.own.bare(NetworkId(made)) or _as_bare(tx.topology.network(NetworkId(made)))
        if known is None:
            raise NotFound("Network", made)
        return known

    def rename(self, caller: Caller, network: NetworkId, name: str) -> None:
        """Call a network otherwise.

        Raises:
            NotFound: the project has no such network.
            Forbidden: it is the operator's.
            Invalid: a name that cannot be.
        """
        self._door.allow(caller, Verb.NETWORK_CHANGE)
        name = checked_name("name", name)
        with self._door.store.write() as tx:
            known = _visible_bare(tx, caller, network) or changeable_network(tx, caller, network)
            check_version(caller, "Network", known.name, known)
            tx.own.rename(network, name)
            note(tx, caller, Action.NETWORK_CHANGE, network, known.project, name=name, before=known.name)

    def delete(self, caller: Caller, network: NetworkId) -> None:
        """Delete a network, and its subnet with it.

        Raises:
            NotFound: the project has no such network.
            Forbidden: it is the operator's.
            InUse: instances have NICs on it, or a router of the project's serves it.
        """
        self._door.allow(caller, Verb.NETWORK_CHANGE)
        changes: list[Published] = []
        with self._door.store.write() as tx:
            bare = _visible_bare(tx, caller, network)
            if bare is not None:
                check_version(caller, "Network", bare.name, bare)
                tx.own.delete_bare(network)
                tx.quotas.give(bare.project, Resource.NETWORKS)
                note(tx, caller, Action.NETWORK_DELETE, network, bare.project, name=bare.name)
            else:
                known = changeable_network(tx, caller, network)
                check_version(caller, "Network", known.name, known)
                _check_unused(tx, "Network", known)
                changes += remove_network(tx, known)
                note(tx, caller, Action.NETWORK_DELETE, network, known.project, name=known.name)
        self._door.settle(changes)

    # ----------------------------------------------------------------------------------------------------- subnets

    def add_subnet(self, caller: Caller, new: NewSubnet, idempotency_key: str | None = None) -> Network:
        """Give a network its subnet; hosts get it when the first guest on it comes.

        Raises:
            Forbidden: here only administrators make networks.
            NotFound: the project has no such network, or no such subnet pool.
            Conflict: the network has a subnet; or the subnet overlaps a pool of floating IPs, or not all of it is the pool's.
            Invalid: a field contradicts itself or another, with the field's name.
            QuotaExceeded: the project has as many subnets as it may.
            Exhausted: no segment, or no prefix of the subnet pool, is free.
        """
        kind = self._kind(caller)
        request = ("own subnet", new.network, new.name, new.cidr, new.gateway, new.dns, new.pool, new.length)
        with self._door.store.write() as tx:
            parts = tuple(str(part) for part in new.ranges)
            made = once(
                tx, caller, idempotency_key, (*request, *parts), lambda: self._add_subnet(tx, caller, new, kind)
            )
            network = tx.topology.network(NetworkId(made))
        if network is None:
            raise NotFound("Subnet", made)
        return network

    def _add_subnet(self, tx: Transaction, caller: Caller, new: NewSubnet, kind: NetworkKind) -> NetworkId:
        bare = _visible_bare(tx, caller, new.network)
        if bare is None:
            known = changeable_network(tx, caller, new.network)
            raise Conflict(f"Network {known.name} has its subnet, {known.cidr}; it can't have two.", field="network")
        take(tx, bare.project, Resource.SUBNETS, "subnets")
        if new.pool is not None:
            cidr = next_prefix(tx, caller, new.pool, new.length, new.cidr)
        elif new.cidr is not None:
            cidr = new.cidr
        else:
            raise Invalid("cidr", "is needed, or a subnet pool")
        name = checked_name("name", new.name) if new.name else ""
        whole = NewNetwork(bare.name, cidr, new.gateway, new.dns, kind=kind, project=bare.project)
        gateway = checked_gateway(whole)
        subnet = OwnSubnet(name, checked_ranges(cidr, gateway, new.ranges), new.pool)
        self._networks.make_own(tx, bare.id, whole, subnet)
        # After it, so that its generations go on.
        tx.own.delete_bare(bare.id)
        note(tx, caller, Action.SUBNET_CREATE, bare.id, bare.project, network=bare.name, cidr=cidr)
        return bare.id

    def change_subnet(self, caller: Caller, network: NetworkId, change: SubnetChange) -> Network:
        """Change what is said of a subnet; guests learn of other DNS servers with their next lease.

        Raises:
            NotFound: the project has no such subnet.
            Forbidden: it is the operator's.
            Invalid: a field that cannot be, or another gateway: that stays.
        """
        self._door.allow(caller, Verb.NETWORK_CHANGE)
        changes: list[Published] = []
        with self._door.store.write() as tx:
            known = changeable_network(tx, caller, network, "Subnet")
            if known.own is None:
                raise Forbidden("This subnet is the operator's.", detail="it was not made by a project")
            check_revision(caller, "Subnet", network, known.subnet_marks)
            if change.gateway not in (None, known.gateway):
                raise Invalid("gateway", f"it is {known.gateway}, and stays so: guests have it")
            if change.dns is not None:
                checked_servers(change.dns)
            name = known.own.name if change.name is None else change.name and checked_name("name", change.name)
            ranges = known.own.ranges
            if change.ranges is not None:
                ranges = checked_ranges(known.cidr, known.gateway, change.ranges)
            dns = known.dns if change.dns is None else change.dns
            tx.own.change_subnet(network, OwnSubnet(name, ranges, known.own.pool), dns)
            said = {"dns": " ".join(map(str, dns)), "ranges": " ".join(map(str, ranges))}
            note(tx, caller, Action.SUBNET_CHANGE, network, known.project, name=name, **said)
            if dns != known.dns and known.router is not None:
                changes.append(publish(tx, SubjectKey(SubjectKind.ROUTER, known.router)))
            changed = tx.topology.network(network)
        self._door.settle(changes)
        if changed is None:
            raise NotFound("Subnet", network)
        return changed

    def delete_subnet(self, caller: Caller, network: NetworkId) -> None:
        """Take a network's subnet from it.

        Raises:
            NotFound: the project has no such subnet.
            Forbidden: it is the operator's.
            InUse: instances have NICs on it, or a router of the project's serves it.
        """
        self._door.allow(caller, Verb.NETWORK_CHANGE)
        with self._door.store.write() as tx:
            known = changeable_network(tx, caller, network, "Subnet")
            if known.own is None or known.project is None:
                raise Forbidden("This subnet is the operator's: it goes with its network.", detail="not a project's")
            check_revision(caller, "Subnet", network, known.subnet_marks)
            _check_unused(tx, "Subnet", known)
            # Before it goes, so that its generations go on.
            tx.own.add_bare(BareNetwork(known.id, known.name, known.project, known.marks))
            changes = remove_network(tx, known, keep=True)
            note(tx, caller, Action.SUBNET_DELETE, network, known.project, network=known.name, cidr=known.cidr)
        self._door.settle(changes)

    def _kind(self, caller: Caller) -> NetworkKind:
        """Return of which kind networks are that projects make."""
        self._door.allow(caller, Verb.NETWORK_CHANGE)
        kind = self._door.limits.own_kind
        if kind is None:
            raise Forbidden(
                "Here networks are made by the operator only.", detail="the setting own_kind of [networks] is not set"
            )
        return kind


def take(tx: Transaction, project: ProjectId, resource: Resource, named: str) -> None:
    """Count one more of a resource.

    Raises:
        QuotaExceeded: the project has as many as it may.
    """
    if not tx.quotas.take(project, resource):
        raise QuotaExceeded(named, tx.quotas.get(project, resource).limit)


def changeable_network(tx: Transaction, caller: Caller, network: NetworkId, noun: str = "Network") -> Network:
    """Return a network that has a subnet and that the caller may change: one that their project made, or to an administrator any.

    Raises:
        NotFound: there is none that they may know of; `noun` is what it is called.
        Forbidden: it is the operator's.
    """
    known = tx.topology.network(network)
    if known is None or (known.project not in (None, caller.project.id) and not caller.is_admin):
        raise NotFound(noun, network)
    if known.own is None and not caller.is_admin:
        raise Forbidden(f"Network {known.name} is the operator's.", detail="it was not made by the project")
    return known


def checked_ranges(
    cidr: IPv4Network, gateway: IPv4Address, ranges: tuple[AddressRange, ...]
) -> tuple[AddressRange, ...]:
    """Return ranges in their order, or none where they are all that there is.

    Raises:
        Invalid: one is not of the subnet, holds its gateway, or overlaps another.
    """
    inside = usable(cidr)
    for part in ranges:
        if part.first > part.last:
            raise Invalid("allocation_pools", f"{part} ends before it starts")
        if part.first not in inside or part.last not in inside:
            raise Invalid("allocation_pools", f"{part} is not inside {inside}")
        if gateway in part and (part.first, part.last) != (inside.first, inside.last):
            raise Invalid("allocation_pools", f"{part} holds the gateway {gateway}")
    if (pair := overlapping(ranges)) is not None:
        raise Invalid("allocation_pools", f"{pair[0]} and {pair[1]} overlap")
    return tuple(sorted(ranges, key=lambda part: part.first))


def _as_bare(network: Network | None) -> BareNetwork | None:
    """Return what a network was before it had a subnet."""
    return (
        BareNetwork(network.id, network.name, network.project, network.marks) if network and network.project else None
    )


def _visible_bare(tx: Transaction, caller: Caller, network: NetworkId) -> BareNetwork | None:
    known = tx.own.bare(network)
    return known if known is not None and (caller.is_admin or known.project == caller.project.id) else None


def _check_unused(tx: Transaction, noun: str, network: Network) -> None:
    """Refuse to take away what instances or a router need, and say which."""
    users: list[str] = []
    nics = tx.topology.nics_of_network(network.id)
    for nic in nics[:_NAMED]:
        card = find_card(tx, nic)
        users.append(f"port {nic}" + (f" of server {card.instance.name}" if card is not None and card.instance else ""))
    router = tx.topology.router(network.router) if network.router is not None else None
    if router is not None and router.made:
        users.append(f"router {router.name} ({router.id})")
    if users:
        raise InUse(
            noun, network.id, ", ".join(users) + (f" and {len(nics) - _NAMED} more" if len(nics) > _NAMED else "")
        )
