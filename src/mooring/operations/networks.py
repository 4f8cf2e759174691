"""Guest networks."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network

from mooring.model.accounts import Caller, Project
from mooring.model.events import Action
from mooring.model.faults import Conflict, Exhausted, InUse, Invalid, NotFound, Unavailable
from mooring.model.ids import AddressId, NetworkId, ProjectId, RouterId
from mooring.model.nouns import (
    AddressKind,
    AddressPool,
    Host,
    Instance,
    Network,
    NetworkKind,
    OwnSubnet,
    Resource,
    Router,
    WayOut,
)
from mooring.model.subjects import SubjectKey, SubjectKind
from mooring.operations.carrying import join
from mooring.operations.door import Door, Published, check_version, checked_name, once, publish, withdraw
from mooring.operations.events import note
from mooring.operations.interfaces import AddressRow, Duplicate, Referenced, RouterRow, Transaction
from mooring.operations.pools import usable_pools
from mooring.operations.routing import retire, shared_router
from mooring.policy.addresses import guest_network_fault, usable
from mooring.policy.managers import VXLAN_OVERHEAD, manager_of, segments_of
from mooring.policy.roles import Verb

_DEFAULT_MTU = 1500
_MAX_DNS_SERVERS = 5
_MTU = range(576, 9001)
_INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,14}")
_SEGMENT_ATTEMPTS = 16


@dataclass(frozen=True, slots=True)
class NewNetwork:
    """A network to be made; the gateway is the first address of the subnet unless it is given.

    `mtu` is in bytes, what the kind allows if it isn't given.  `project` owns a vlan or vxlan; None is for all projects.  `segment` asks for a
    VLAN tag or VXLAN identifier; without it the next free one is taken.  `bridge` and `cluster` are of a flat network: the operator's bridge,
    and the hosts that have it.
    """

    name: str
    cidr: IPv4Network
    gateway: IPv4Address | None = None
    dns: tuple[IPv4Address, ...] = ()
    mtu: int | None = None
    kind: NetworkKind = NetworkKind.FLAT_DHCP
    project: ProjectId | None = None
    segment: int | None = None
    bridge: str | None = None
    cluster: str | None = None


@dataclass(frozen=True, slots=True)
class FixedAddress:
    """An address of a network, and who has it; a `reserved` one is the network's own."""

    address: IPv4Address
    network: Network
    instance: Instance | None
    host: Host | None
    reserved: bool


class NetworkOperations:
    """Networks, as administrators make them and projects see them."""

    def __init__(self, door: Door) -> None:
        """Keep the door."""
        self._door = door

    def create(self, caller: Caller, new: NewNetwork, idempotency_key: str | None = None) -> Network:
        """Make a network of any kind; hosts get it when their first guest on it comes.

        Raises:
            Invalid: a field contradicts itself or another, with the field's name.
            Conflict: the subnet overlaps another network or a pool.
        """
        self._door.allow(caller, Verb.NETWORK_ADMIN)
        name = checked_name("name", new.name)
        gateway = checked_gateway(new)
        where = (new.project, new.segment, new.bridge, new.cluster)
        request = ("network", name, new.kind, new.cidr, gateway, *new.dns, new.mtu, *where)
        changes: list[Published] = []
        with self._door.store.write() as tx:

            def make() -> NetworkId:
                network = self._create(tx, name, gateway, new, changes)
                note(tx, caller, Action.NETWORK_CREATE, network, new.project, name=name, cidr=new.cidr)
                return network

            made = once(tx, caller, idempotency_key, request, make)
            network = tx.topology.network(NetworkId(made))
        if network is None:
            raise NotFound("Network", made)
        self._door.settle(changes)
        return network

    def _create(
        self, tx: Transaction, name: str, gateway: IPv4Address, new: NewNetwork, changes: list[Published]
    ) -> NetworkId:
        if new.project is not None and tx.identities.project(new.project) is None:
            raise NotFound("Project", new.project)
        router = self._router(tx, name, new, changes)
        network = NetworkId(self._door.chance.new_id())
        self._insert(tx, network, replace(new, name=name, gateway=gateway), router)
        made = tx.topology.network(network)
        if router is not None and made is not None:
            key = SubjectKey(SubjectKind.ROUTER, router.id)
            # One that is on a host already gets a device on the network's bridge, which must be there.
            for host, _ in tx.deliveries.hosts(key):
                changes += join(tx, made, host)
            changes.append(publish(tx, key))
        return network

    def _insert(self, tx: Transaction, identifier: NetworkId, new: NewNetwork, router: RouterRow | None) -> None:
        _check_apart(tx, new.cidr, router)
        gateway = checked_gateway(new)
        network = Network(
            id=identifier,
            name=new.name,
            kind=new.kind,
            project=new.project,
            router=router.id if router else None,
            cidr=new.cidr,
            gateway=gateway,
            dns=new.dns,
            mtu=new.mtu or _mtu_of(new.kind),
            bridge=new.bridge,
            cluster=new.cluster,
        )
        network = self._add(tx, network, new.segment)
        row = AddressRow(
            AddressId(self._door.chance.new_id()), network.id, gateway, AddressKind.GATEWAY, network=network.id
        )
        tx.addresses.take(row)

    def make_first(self, tx: Transaction, project: Project) -> Network | None:
        """Make the network that a project gets on first use; None where this installation gives none."""
        first = self._door.limits.first_network
        if first is None:
            return None
        new = NewNetwork(project.name, first.cidr, kind=first.kind, project=project.id)
        # Nobody has it yet, so there is nobody to wake.
        return tx.topology.network(self._create(tx, new.name, checked_gateway(new), new, []))

    def make_own(self, tx: Transaction, network: NetworkId, new: NewNetwork, subnet: OwnSubnet) -> None:
        """Make a network that a project asked for, under an id that it has already, with a router of its own that leads nowhere.

        Raises:
            Conflict: the subnet overlaps a pool.
            Exhausted: all segments are in use.
        """
        router = RouterRow(RouterId(self._door.chance.new_id()), new.name, new.project, None, private=True)
        tx.topology.add_router(router)
        tx.own.close(router.id, made=False)
        self._insert(tx, network, new, router)
        tx.own.add_subnet(network, subnet)

    def _router(self, tx: Transaction, name: str, new: NewNetwork, changes: list[Published]) -> RouterRow | None:
        manager = manager_of(new.kind)
        if not manager.routed:
            return None
        if not manager.private:
            router, connected = shared_router(self._door, tx)
            changes += connected
            return router
        # It gets ways out, and addresses for them, when its first guest comes.
        router = RouterRow(RouterId(self._door.chance.new_id()), name, new.project, None, private=True)
        tx.topology.add_router(router)
        return router

    def _add(self, tx: Transaction, network: Network, wanted: int | None) -> Network:
        """Insert a network with the segment that was asked for, or else the next free one."""
        numbers = self._door.limits.segments(network.kind)
        if numbers is None:
            tx.topology.add_network(network, self._door.chance.new_mac())
            return network
        for _ in range(_SEGMENT_ATTEMPTS):
            segment = wanted or tx.topology.free_segment(network.kind, numbers.start, numbers.stop - 1)
            if segment is None:
                raise Exhausted(f"All {network.kind} segments from {numbers.start} to {numbers.stop - 1} are in use.")
            numbered = replace(network, segment=segment)
            try:
                tx.topology.add_network(numbered, self._door.chance.new_mac())
            except Duplicate as error:
                if wanted is not None:
                    raise Conflict(f"segment: {network.kind} {wanted} is taken.", field="segment") from error
                continue
            return numbered
        raise Unavailable("Too many networks are being made at once.", retry_after=1)

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

    def routers(self, caller: Caller) -> Sequence[Router]:
        """Return the routers of the networks that the caller's project may use, with their addresses on the pools' uplinks."""
        self._door.allow(caller, Verb.READ)
        with self._door.store.read() as tx:
            mine = None if caller.is_admin else caller.project.id
            served: dict[RouterId, list[NetworkId]] = {router.id: [] for router in tx.own.routers(mine)}
            for network in tx.topology.networks(mine):
                if network.router is not None:
                    served.setdefault(network.router, []).append(network.id)
            pools = usable_pools(tx, caller)
            found = [_router(tx, router, networks, pools) for router, networks in served.items()]
            # Nobody made it, and it leads nowhere: it only serves a network that no router serves.
            return [router for router in found if router is not None]

    def fixed_address(self, caller: Caller, address: IPv4Address) -> FixedAddress:
        """Return what an administrator may know of an address of a network; of several with that address, one on which it is in use.

        Raises:
            NotFound: no network has it.
        """
        self._door.allow(caller, Verb.NETWORK_ADMIN)
        with self._door.store.read() as tx:
            found = [network for network in tx.topology.networks(None) if address in network.cidr]
            for network in found:
                row = tx.addresses.find(network.id, address)
                if row is not None:
                    nic = tx.instances.nic(row.nic) if row.nic is not None else None
                    instance = tx.instances.get(nic.instance) if nic is not None and nic.instance is not None else None
                    host = tx.topology.host(instance.host) if instance and instance.host else None
                    return FixedAddress(address, network, instance, host, reserved=nic is None)
        if not found:
            raise NotFound("Fixed IP", address)
        return FixedAddress(address, found[0], None, None, reserved=address not in usable(found[0].cidr))

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
            check_version(caller, "Network", known.name, known)
            changes = remove_network(tx, known)
            note(tx, caller, Action.NETWORK_DELETE, network, known.project, name=known.name)
        self._door.settle(changes)


def remove_network(tx: Transaction, network: Network, *, keep: bool = False) -> list[Published]:
    """Take a network from all hosts and delete it, with the router that it has by itself; `keep` says that only its subnet goes.

    Raises:
        InUse: NICs are on it.
    """
    changes = [withdraw(tx, SubjectKey(SubjectKind.NETWORK, network.id))]
    gateway = tx.addresses.find(network.id, network.gateway)
    if gateway is not None:
        tx.addresses.free(gateway.id)
    try:
        tx.topology.delete_network(network.id)
    except Referenced as error:
        raise InUse("Network", network.name, "NICs of instances") from error
    router = tx.topology.router(network.router) if network.router is not None else None
    if router is not None:
        key = SubjectKey(SubjectKind.ROUTER, router.id)
        changes.append(withdraw(tx, key) if router.private and not router.made else publish(tx, key))
        changes += retire(tx, router.id)
    if network.own is not None and network.project is not None:
        tx.quotas.give(network.project, Resource.SUBNETS)
        if not keep:
            tx.quotas.give(network.project, Resource.NETWORKS)
    return changes


def described_router(tx: Transaction, router: RouterId) -> Router:
    """Return a router that a project made.

    Raises:
        NotFound: there is none.
    """
    networks = [network.id for network in tx.topology.networks_of_router(router)]
    found = _router(tx, router, networks, tx.topology.pools())
    if found is None:
        raise NotFound("Router", router)
    return found


def _router(
    tx: Transaction, router: RouterId, networks: Sequence[NetworkId], pools: Sequence[AddressPool]
) -> Router | None:
    """Return a router; None for one that only stands in for those that projects make."""
    known = tx.topology.router(router)
    if known is None or (known.closed and not known.made):
        return None
    # A router has one address an uplink, of one of the pools there; one that a project made goes out by one uplink.
    open_to = [pool for pool in pools if not known.closed or pool.id == known.pool]
    own = [tx.topology.router_address(router, uplink) for uplink in dict.fromkeys(pool.uplink for pool in open_to)]
    known_pools = {pool.id for pool in pools}
    ways = tuple(
        WayOut(row.pool, row.address)
        for row in own
        if row is not None and row.pool is not None and row.pool in known_pools
    )
    return Router(router, known.name, known.project, tuple(networks), ways, known.made, known.pool, known.marks)


def checked_gateway(new: NewNetwork) -> IPv4Address:
    """Return a new network's gateway.

    Raises:
        Invalid: a field contradicts itself or another, with the field's name.
    """
    if (fault := guest_network_fault(new.cidr)) is not None:
        raise Invalid("cidr", fault)
    if new.mtu is not None and new.mtu not in _MTU:
        raise Invalid("mtu", f"must be from {_MTU.start} to {_MTU.stop - 1} bytes")
    checked_servers(new.dns)
    _check_kind(new)
    inside = usable(new.cidr)
    gateway = new.gateway or inside.first
    if gateway not in inside:
        raise Invalid("gateway", f"{gateway} is not an address of {new.cidr}")
    return gateway


def checked_servers(dns: tuple[IPv4Address, ...]) -> None:
    """Refuse more DNS servers than guests are told of.

    Raises:
        Invalid: there are too many.
    """
    if len(dns) > _MAX_DNS_SERVERS:
        raise Invalid("dns", f"must name at most {_MAX_DNS_SERVERS} servers")


def _check_kind(new: NewNetwork) -> None:
    """Refuse what a network of the kind has no use for: never accept what is not done."""
    flat = new.kind is NetworkKind.FLAT
    if flat and new.bridge is None:
        raise Invalid("bridge", "a flat network needs the operator's bridge")
    for name, value in (("bridge", new.bridge), ("cluster", new.cluster)):
        if value is not None and not flat:
            raise Invalid(name, f"is for flat networks, not for {new.kind}")
        if value is not None and not _INTERFACE.fullmatch(value):
            raise Invalid(name, "must be 1 to 15 letters, digits or . _ : -")
    numbers = segments_of(new.kind)
    if numbers is None and new.segment is not None:
        raise Invalid("segment", f"is for vlan and vxlan networks, not for {new.kind}")
    if numbers is not None and new.segment is not None and new.segment not in numbers:
        raise Invalid("segment", f"must be from {numbers.start} to {numbers.stop - 1}")
    if new.project is not None and not manager_of(new.kind).private:
        raise Invalid("project", f"a {new.kind} network is for all projects")


def _mtu_of(kind: NetworkKind) -> int:
    return _DEFAULT_MTU - VXLAN_OVERHEAD if kind is NetworkKind.VXLAN else _DEFAULT_MTU


def _check_apart(tx: Transaction, cidr: IPv4Network, router: RouterRow | None) -> None:
    """Refuse a subnet that overlaps another one behind the same router, or a pool that is routed with it."""
    for network in tx.topology.networks_of_router(router.id) if router else ():
        if network.cidr.overlaps(cidr):
            raise Conflict(f"cidr: {cidr} overlaps network {network.name} ({network.cidr}).", field="cidr")
    for pool in tx.topology.pools():
        if pool.cidr.overlaps(cidr):
            # Of one that is not for everybody, not even the name is.
            named = f"pool {pool.name} ({pool.cidr})" if pool.public else "public addresses that are in use here"
            raise Conflict(f"cidr: {cidr} overlaps {named}.", field="cidr")
