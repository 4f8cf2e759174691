"""The steps of a launch that hosts call for: a host, the networks there, and last the addresses."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv4Address

from mooring.model.faults import Conflict, Exhausted, NotFound, Unavailable
from mooring.model.ids import HostId, InstanceId
from mooring.model.nouns import Host, Instance, InstanceState, Network, NetworkKind, Nic
from mooring.model.subjects import HostRole, SubjectKey, SubjectKind
from mooring.operations.automatic import assign
from mooring.operations.door import Change, Door, Published, publish, withdraw
from mooring.operations.egress import connect_preferred
from mooring.operations.instances import withdraw_nic
from mooring.operations.interfaces import RouterRow, Transaction
from mooring.operations.membership import groups_of, reach, settle_in
from mooring.operations.routing import connect, take_fixed
from mooring.policy.hosts import rank_compute, rank_gateway
from mooring.policy.managers import why_not
from mooring.policy.pools import usable_by

_STUCK_AFTER = timedelta(seconds=10)


@dataclass(slots=True)
class _Fit:
    """The hosts that can run an instance, whether others could that are away, and why each of the others can't."""

    hosts: list[Host] = field(default_factory=list[Host])
    away: bool = False
    reasons: list[str] = field(default_factory=list[str])


@dataclass(frozen=True, slots=True)
class NetworkSetUp:
    """A network that is on a compute host, and the host of its router: None where the router is not ours.

    `chosen` is whether that host was chosen just now, and not for an earlier launch.
    """

    network: str
    gateway: HostId | None
    chosen: bool


class LaunchOperations:
    """Called by the scheduler and by hosts, not by projects.  Every step may be repeated at any time."""

    def __init__(self, door: Door) -> None:
        """Keep the door."""
        self._door = door

    def schedule(self, instance: InstanceId) -> HostId | None:
        """Choose a host for an instance that has none; return its host, or None if it needs none any longer.

        An instance for which no host can be found goes to the error state with the reason.  Where there are hosts that could run it but are
        away, it first waits for them a while: after an outage of the database or the bus, all of them seem to be.
        """
        with self._door.store.write() as tx:
            known = tx.instances.get(instance)
            if known is None or known.state is not InstanceState.BUILDING:
                return None
            if known.host is not None:
                return known.host
            fit = self._fit(tx, known)
            if fit.hosts:
                chosen = rank_compute(fit.hosts, tx.instances.per_host())[0]
                tx.instances.assign(instance, chosen.id)
                return chosen.id
            waited = tx.now() - known.created
            if fit.away and timedelta() <= waited < timedelta(seconds=self._door.limits.launch_patience):
                return None
            changes = _fail(
                tx, known, "No host can run this instance: " + ("; ".join(fit.reasons) or "there is none") + "."
            )
        self._wake(changes)
        return None

    def _fit(self, tx: Transaction, instance: Instance) -> _Fit:
        avoided = tx.instances.avoided(instance.id)
        choices = [_siblings(tx, nic) for nic in instance.nics]
        now = tx.now()
        fit = _Fit()
        for host in tx.topology.hosts():
            if not host.compute:
                continue
            if host.id in avoided:
                fit.reasons.append(f"host {host.name} has failed to launch it")
            elif missing := [why[0] for choice in choices if all(why := [why_not(one, host) for one in choice])]:
                fit.reasons.extend(str(reason) for reason in missing)
            elif not self._door.alive(host, now):
                fit.away = True
                fit.reasons.append(f"host {host.name} is away")
            else:
                fit.hosts.append(host)
        return fit

    def _wake(self, changes: Iterable[Change]) -> None:
        self._door.bell.wake(sorted(frozenset[HostId]().union(*(change.hosts for change in changes))))

    def set_up_network(self, host: HostId, instance: InstanceId) -> Sequence[NetworkSetUp]:
        """Bring the networks of an instance to its host and, where they need one, a router to a gateway host; return them.

        Where a router finds no address for itself on any uplink, the instance goes to the error state with the reason.

        Raises:
            NotFound: the instance is not on this host (any longer).
            Unavailable: no host can be a gateway.
        """
        changes: list[Published] = []
        made: list[NetworkSetUp] = []
        try:
            with self._door.store.write() as tx:
                known = _on_host(tx, host, instance)
                here = tx.topology.host(host)
                if here is None:
                    raise NotFound("Host", host)
                for nic in known.nics:
                    network = _network_at(tx, nic, here)
                    if nic.filtered and tx.topology.give_zone(network.id):
                        # Only now do hosts that have it look at what its guests send.
                        changes.append(publish(tx, SubjectKey(SubjectKind.NETWORK, network.id)))
                    made.append(self._bring(tx, network, here, changes))
        except Exhausted as fault:
            self._give_up(host, instance, fault)
            return []
        self._door.settle(changes)
        return made

    def _give_up(self, host: HostId, instance: InstanceId, fault: Exhausted) -> None:
        """End a launch for which there is no address, if it is still on its host."""
        with self._door.store.write() as tx:
            changes = _fail(tx, _on_host(tx, host, instance), fault.reason)
        self._wake(changes)

    def _bring(self, tx: Transaction, network: Network, host: Host, changes: list[Published]) -> NetworkSetUp:
        """Bring a network and its router to hosts, and add to `changes` what that changes."""
        places = [host.id]
        gateway: HostId | None = None
        router = tx.topology.router(network.router) if network.router else None
        if router is not None:
            gateway = router.host or self._choose_gateway(tx, router, network)
            changes += self._ways_out(tx, router)
            places.append(gateway)
            router_key = SubjectKey(SubjectKind.ROUTER, router.id)
            # The router comes with all of its networks: it has a device on the bridge of each.
            for other in tx.topology.networks_of_router(router.id):
                changes += _join(tx, other, gateway)
            if not tx.deliveries.hosts(router_key):
                tx.deliveries.place(router_key, gateway, HostRole.GATEWAY)
                changes.append(publish(tx, router_key))
        for place in dict.fromkeys(places):
            changes += _join(tx, network, place)
        return NetworkSetUp(network.name, gateway, chosen=router is not None and router.host is None)

    def _ways_out(self, tx: Transaction, router: RouterRow) -> list[Published]:
        """Connect a router of its own to every pool that its project may use, now that guests want out; the shared one has been since it was made.

        A pool that is full is left out, until the next launch: it must not keep tenants from launching that can go out elsewhere.

        Raises:
            Exhausted: all of them are full.
        """
        if not router.private:
            return []
        changes: list[Published] = []
        full: Exhausted | None = None
        pools = usable_by(tx.topology.pools(), tx.pools.granted(router.project) if router.project is not None else ())
        for pool in pools:
            if not tx.topology.router_has_uplink(router.id, pool.uplink):
                try:
                    changes += connect(self._door, tx, router, pool)
                except Exhausted as fault:
                    full = fault
        if full is not None and not any(tx.topology.router_has_uplink(router.id, pool.uplink) for pool in pools):
            raise full
        return changes

    def _choose_gateway(self, tx: Transaction, router: RouterRow, network: Network) -> HostId:
        routers = Counter(other.host for other in tx.topology.routers() if other.host is not None)
        now = tx.now()
        able = [host for host in tx.topology.hosts() if self._door.alive(host, now) and why_not(network, host) is None]
        for candidate in rank_gateway(able, routers):
            if tx.topology.claim_router(router.id, candidate.id):
                return candidate.id
            claimed = tx.topology.router(router.id)
            if claimed is not None and claimed.host is not None:
                return claimed.host
        raise Unavailable(f"No host can be a gateway of network {network.name}.")

    def allocate_fixed_ips(
        self, host: HostId, instance: InstanceId, took: Callable[[Sequence[IPv4Address]], object] | None = None
    ) -> Sequence[IPv4Address]:
        """Give every NIC of an instance a fixed IP and bring it to the compute host, its gateway, and the hosts that must find it.

        Returns the fixed IPs that it has then; `took` is told them before any host is.  If the configuration says so, it gets a floating IP with
        them.  Without a free address the instance goes to the error state with the reason.

        Raises:
            NotFound: the instance is not on this host (any longer).
            Conflict: a network has not been set up on this host.
        """
        changes: list[Change] = []
        try:
            with self._door.store.write() as tx:
                taken = self._allocate(tx, _on_host(tx, host, instance), host, changes)
        except Exhausted as fault:
            self._give_up(host, instance, fault)
            return []
        if took is not None:
            took(taken)
        self._door.settle(changes)
        return taken

    def _allocate(self, tx: Transaction, instance: Instance, host: HostId, changes: list[Change]) -> list[IPv4Address]:
        """Take what addresses are lacking, and add to `changes` what that changes; return all that the instance has."""
        taken = [fixed.address for nic in instance.nics for fixed in nic.fixed]
        assigned = False
        for nic in instance.nics:
            network = tx.topology.network(nic.network)
            router = tx.topology.router(network.router) if network and network.router else None
            if network is None or (network.router is not None and (router is None or router.host is None)):
                raise Conflict(f"Network {nic.network_name} has not been set up.")
            if not nic.fixed:
                taken.append(take_fixed(self._door, tx, nic.id, network, None).address)
            if router is not None and not assigned and not tx.deliveries.hosts(SubjectKey(SubjectKind.NIC, nic.id)):
                first = tx.addresses.fixed_of_nic(nic.id)[0]
                changes += assign(self._door, tx, instance, first.id, router)
                assigned = True
            changes += connect_preferred(self._door, tx, instance.project, network)
            tx.preferences.number_sets([nic.id])
            key = SubjectKey(SubjectKind.NIC, nic.id)
            if nic.fixed and tx.deliveries.hosts(key):
                continue
            tx.deliveries.place(key, host, HostRole.COMPUTE)
            if router is not None and router.host is not None:
                tx.deliveries.place(key, router.host, HostRole.GATEWAY)
            if network.kind is NetworkKind.VXLAN:
                for other, _ in tx.deliveries.hosts(SubjectKey(SubjectKind.NETWORK, network.id)):
                    if other != host:
                        tx.deliveries.place(key, other, HostRole.PEER)
            changes += settle_in(tx, [nic.id], host, groups_of([nic]))
        return taken

    def relaunch(self, instance: InstanceId, host: HostId, reason: str) -> bool:
        """Take a launch back from a host where it failed, or that is dead, and let the scheduler try another one.

        It keeps the addresses that it has: the caller may have chosen them, or may have associated floating IPs with them.  After too many
        attempts, or where no other host can run it, the instance goes to the error state with the reason and gives its addresses back, but
        for those that somebody has associated; they are free once every host has confirmed that it let go.  Says whether it is to be scheduled again.
        """
        with self._door.store.write() as tx:
            known = tx.instances.get(instance)
            if known is None or known.state is not InstanceState.BUILDING or known.host != host:
                return False
            changes: list[Change] = [withdraw(tx, SubjectKey(SubjectKind.INSTANCE, instance))]
            tx.instances.unassign(instance, host)
            others = self._fit(tx, known)
            again = bool(others.hosts) or others.away
            again = again and len(tx.instances.avoided(instance)) < self._door.limits.launch_attempts
            if again:
                changes += [withdraw(tx, SubjectKey(SubjectKind.NIC, nic.id)) for nic in known.nics]
                changes += reach(tx, host, groups_of(known.nics))
            else:
                changes += _fail(tx, known, reason)
        self._wake(changes)
        return again

    def hearing(self, since: datetime | None) -> datetime | None:
        """Return since when hosts have been heard of without a break, as far as the caller knows; None if none is heard of now."""
        with self._door.store.read() as tx:
            now = tx.now()
            if not any(self._door.alive(host, now) for host in tx.topology.hosts()):
                return None
        return now if since is None else min(since, now)

    def stranded(self, hearing: datetime | None) -> Sequence[Instance]:
        """Return instances that are being launched on a host that is dead.

        That a host is silent says nothing while nobody could be heard: it counts from when hosts are heard of, see `hearing`.
        """
        with self._door.store.read() as tx:
            now = tx.now()
            if hearing is None or now - hearing < timedelta(seconds=self._door.limits.liveness):
                return []
            dead = {host.id for host in tx.topology.hosts() if not self._door.alive(host, now)}
            building = tx.instances.stale({InstanceState.BUILDING}, now)
        return [instance for instance in building if instance.host in dead]

    def stuck(self) -> Sequence[Instance]:
        """Return instances whose launch has not moved for a while: a message was lost, or a process died in mid-launch."""
        with self._door.store.read() as tx:
            return tx.instances.stale({InstanceState.BUILDING}, tx.now() - _STUCK_AFTER)


def _fail(tx: Transaction, instance: Instance, reason: str) -> list[Change]:
    """End a launch, and give its addresses back."""
    tx.instances.move(instance.id, {InstanceState.BUILDING}, InstanceState.ERROR, reason)
    changes: list[Change] = [withdraw_nic(tx, nic.id) for nic in instance.nics]
    if instance.host is not None:
        changes += reach(tx, instance.host, groups_of(instance.nics))
    return changes


def _on_host(tx: Transaction, host: HostId, instance: InstanceId) -> Instance:
    known = tx.instances.get(instance)
    if known is None or known.host != host or known.state is not InstanceState.BUILDING:
        raise NotFound("Instance", instance)
    return known


def _siblings(tx: Transaction, nic: Nic) -> list[Network]:
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
    for network in _siblings(tx, nic):
        if why_not(network, host) is None:
            if network.id != nic.network:
                tx.instances.repoint(nic.id, network.id)
            return network
    raise Conflict(f"Network {nic.network_name} can't be had on host {host.name}.")


def _join(tx: Transaction, network: Network, host: HostId) -> list[Published]:
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
