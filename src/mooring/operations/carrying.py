"""What hosts must have before a guest's card is on one of them: its network, the network's router, and who must find it."""

from dataclasses import dataclass
from ipaddress import IPv4Address

from mooring.model.faults import Conflict, Exhausted, Unavailable
from mooring.model.ids import HostId
from mooring.model.nouns import Host, Instance, Network, NetworkKind, Nic
from mooring.model.subjects import HostRole, SubjectKey, SubjectKind
from mooring.operations.door import Change, Door, Published, publish
from mooring.operations.egress import connect_preferred
from mooring.operations.interfaces import RouterRow, Transaction
from mooring.operations.membership import groups_of, settle_in
from mooring.operations.routing import connect, take_fixed
from mooring.policy.hosts import rank_gateway
from mooring.policy.managers import why_not
from mooring.policy.pools import usable_by


@dataclass(frozen=True, slots=True)
class NetworkSetUp:
    """A network that is on a compute host, and the host of its router: None where the router is not ours.

    `chosen` is whether that host was chosen just now, and not for an earlier launch.
    """

    network: str
    gateway: HostId | None
    chosen: bool


def siblings(tx: Transaction, nic: Nic) -> list[Network]:
    """Return the networks that a NIC may be on: a flat network is one by name, and another bridge in each cluster.

    A NIC that has an address of its network stays there.
    """
    found = tx.topology.network(nic.network)
    if found is None:
        return []
    if found.kind is not NetworkKind.FLAT or found.cluster is None or nic.fixed:
        return [found]
    flat = [other for other in tx.topology.networks(None) if other.kind is NetworkKind.FLAT]
    return [other for other in flat if other.name == found.name]


def _network_at(tx: Transaction, nic: Nic, host: Host) -> Network:
    """Return the network of a NIC on a host; the network follows the cluster that the compute host belongs to."""
    for network in siblings(tx, nic):
        if why_not(network, host) is None:
            if network.id != nic.network:
                tx.instances.repoint(nic.id, network.id)
            return network
    raise Conflict(f"Network {nic.network_name} can't be had on host {host.name}.")


def set_up(door: Door, tx: Transaction, nic: Nic, host: Host, changes: list[Published]) -> NetworkSetUp:
    """Bring a NIC's network to the host that it will be on, and the network's router to a gateway host.

    Raises:
        Conflict: the network can't be had there.
        Exhausted: the router finds no address for itself on any uplink.
        Unavailable: no host can be its gateway.
    """
    network = _network_at(tx, nic, host)
    if nic.filtered and tx.topology.give_zone(network.id):
        # Only now do hosts that have it look at what its guests send.
        changes.append(publish(tx, SubjectKey(SubjectKind.NETWORK, network.id)))
    return _bring(door, tx, network, host, changes)


def give_address(door: Door, tx: Transaction, nic: Nic) -> tuple[RouterRow | None, IPv4Address | None]:
    """Give a NIC its first fixed IP, if it has none; return its network's router, if that has one, and the fixed IP, if it is new.

    Raises:
        Conflict: its network has not been set up.
        Exhausted: its network has no free address.
    """
    network, router = _ready(tx, nic)
    return router, None if nic.fixed else take_fixed(door, tx, nic.id, network, None).address


def place(door: Door, tx: Transaction, instance: Instance, nic: Nic, changes: list[Change]) -> None:
    """Bring a NIC that has an address to its instance's host, its gateway, and the hosts that must find it; `nic` is as it was before that.

    Raises:
        Conflict: its network has not been set up there.
    """
    network, router = _ready(tx, nic)
    host = instance.host
    if host is None:
        raise Conflict(f"Instance {instance.id} has no host.")
    changes += connect_preferred(door, tx, instance.project, network)
    tx.preferences.number_sets([nic.id])
    key = SubjectKey(SubjectKind.NIC, nic.id)
    if nic.fixed and tx.deliveries.hosts(key):
        return
    tx.deliveries.place(key, host, HostRole.COMPUTE)
    if router is not None and router.host is not None:
        tx.deliveries.place(key, router.host, HostRole.GATEWAY)
    if network.kind is NetworkKind.VXLAN:
        for other, _ in tx.deliveries.hosts(SubjectKey(SubjectKind.NETWORK, network.id)):
            if other != host:
                tx.deliveries.place(key, other, HostRole.PEER)
    changes += settle_in(tx, [nic.id], host, groups_of([nic]))


def _ready(tx: Transaction, nic: Nic) -> tuple[Network, RouterRow | None]:
    network = tx.topology.network(nic.network)
    router = tx.topology.router(network.router) if network and network.router else None
    if network is None or (network.router is not None and (router is None or router.host is None)):
        raise Conflict(f"Network {nic.network_name} has not been set up.")
    return network, router


def _bring(door: Door, tx: Transaction, network: Network, host: Host, changes: list[Published]) -> NetworkSetUp:
    """Bring a network and its router to hosts, and add to `changes` what that changes."""
    places = [host.id]
    gateway: HostId | None = None
    router = tx.topology.router(network.router) if network.router else None
    if router is not None:
        gateway = router.host or _choose_gateway(door, tx, router, network)
        changes += _ways_out(door, tx, router)
        places.append(gateway)
        router_key = SubjectKey(SubjectKind.ROUTER, router.id)
        # The router comes with all of its networks: it has a device on the bridge of each.
        for other in tx.topology.networks_of_router(router.id):
            changes += join(tx, other, gateway)
        if not tx.deliveries.hosts(router_key):
            tx.deliveries.place(router_key, gateway, HostRole.GATEWAY)
            changes.append(publish(tx, router_key))
    for place in dict.fromkeys(places):
        changes += join(tx, network, place)
    return NetworkSetUp(network.name, gateway, chosen=router is not None and router.host is None)


def _ways_out(door: Door, tx: Transaction, router: RouterRow) -> list[Published]:
    """Connect a router of its own to every pool that its project may use, now that guests want out; the shared one has been since it was made.

    A pool that is full is left out, until the next launch: it must not keep tenants from launching that can go out elsewhere.

    Raises:
        Exhausted: all of them are full.
    """
    if not router.private or router.closed:
        return []
    changes: list[Published] = []
    full: Exhausted | None = None
    pools = usable_by(tx.topology.pools(), tx.pools.granted(router.project) if router.project is not None else ())
    for pool in pools:
        if not tx.topology.router_has_uplink(router.id, pool.uplink):
            try:
                changes += connect(door, tx, router, pool)
            except Exhausted as fault:
                full = fault
    if full is not None and not any(tx.topology.router_has_uplink(router.id, pool.uplink) for pool in pools):
        raise full
    return changes


def _choose_gateway(door: Door, tx: Transaction, router: RouterRow, network: Network) -> HostId:
    now = tx.now()
    able = [host for host in tx.topology.hosts() if door.alive(host, now) and why_not(network, host) is None]
    for candidate in rank_gateway(able, tx.topology.routers_per_host()):
        if tx.topology.claim_router(router.id, candidate.id):
            return candidate.id
        claimed = tx.topology.router(router.id)
        if claimed is not None and claimed.host is not None:
            return claimed.host
    raise Unavailable(f"No host can be a gateway of network {network.name}.")


def join(tx: Transaction, network: Network, host: HostId) -> list[Published]:
    """Bring a network to a host that doesn't have it; it learns where the network's NICs are."""
    key = SubjectKey(SubjectKind.NETWORK, network.id)
    if any(known == host for known, _ in tx.deliveries.hosts(key)):
        return []
    # Whatever the host's part, a network is one bridge there: it is placed once, in one role.
    tx.deliveries.place(key, host, HostRole.COMPUTE)
    # For the hosts that have it nothing changes: they hear nothing, and nobody waits for them.
    newest = max(entry.generation for entry in tx.deliveries.digest_of(key))
    changes = [Published(key, newest, frozenset({host}))]
    if network.kind is NetworkKind.VXLAN:
        for nic in tx.topology.nics_of_network(network.id):
            nic_key = SubjectKey(SubjectKind.NIC, nic)
            holders = tx.deliveries.hosts(nic_key)
            if holders and (host, HostRole.COMPUTE) not in holders:
                tx.deliveries.place(nic_key, host, HostRole.PEER)
                changes.append(Published(nic_key, 0, frozenset({host})))
    return changes
