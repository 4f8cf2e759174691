"""The steps of a launch that hosts call for: a host, the networks there, and last the addresses."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv4Address

from mooring.model.faults import Exhausted, NotFound
from mooring.model.ids import HostId, InstanceId
from mooring.model.nouns import Host, Instance, InstanceState
from mooring.model.subjects import SubjectKey, SubjectKind
from mooring.operations.automatic import assign
from mooring.operations.carrying import NetworkSetUp, give_address, place, set_up, siblings
from mooring.operations.door import Change, Door, Published, withdraw
from mooring.operations.instances import withdraw_nic
from mooring.operations.interfaces import Transaction
from mooring.operations.membership import groups_of, reach
from mooring.policy.hosts import rank_compute
from mooring.policy.managers import why_not

_STUCK_AFTER = timedelta(seconds=10)


@dataclass(slots=True)
class _Fit:
    """The hosts that can run an instance, whether others could that are away, and why each of the others can't."""

    hosts: list[Host] = field(default_factory=list[Host])
    away: bool = False
    reasons: list[str] = field(default_factory=list[str])


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
        choices = [siblings(tx, nic) for nic in instance.nics]
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
                made.extend(set_up(self._door, tx, nic, here, changes) for nic in known.nics)
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
                taken = self._allocate(tx, _on_host(tx, host, instance), changes)
        except Exhausted as fault:
            self._give_up(host, instance, fault)
            return []
        if took is not None:
            took(taken)
        self._door.settle(changes)
        return taken

    def _allocate(self, tx: Transaction, instance: Instance, changes: list[Change]) -> list[IPv4Address]:
        """Take what addresses are lacking, and add to `changes` what that changes; return all that the instance has."""
        taken = [fixed.address for nic in instance.nics for fixed in nic.fixed]
        assigned = False
        for nic in instance.nics:
            router, address = give_address(self._door, tx, nic)
            taken += [address] if address is not None else []
            if router is not None and not assigned and not tx.deliveries.hosts(SubjectKey(SubjectKind.NIC, nic.id)):
                first = tx.addresses.fixed_of_nic(nic.id)[0]
                changes += assign(self._door, tx, instance, first.id, router)
                assigned = True
            place(self._door, tx, instance, nic, changes)
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
    changes: list[Change] = [withdraw_nic(tx, nic) for nic in instance.nics]
    if instance.host is not None:
        changes += reach(tx, instance.host, groups_of(instance.nics))
    return changes


def _on_host(tx: Transaction, host: HostId, instance: InstanceId) -> Instance:
    known = tx.instances.get(instance)
    if known is None or known.host != host or known.state is not InstanceState.BUILDING:
        raise NotFound("Instance", instance)
    return known
