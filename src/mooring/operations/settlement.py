"""What hosts pull and report: deliveries, the way of an instance to active or gone, and when an address is free again."""

from collections.abc import Sequence
from dataclasses import dataclass

from mooring.model.ids import HostId, InstanceId, NicId
from mooring.model.nouns import InstanceState
from mooring.model.subjects import DigestEntry, HostRole, Placement, Report, SubjectKey, SubjectKind
from mooring.operations.door import Door, Published, publish
from mooring.operations.interfaces import Transaction


@dataclass(frozen=True, slots=True)
class Trouble:
    """What a host could not make true, and why."""

    host: str
    report: Report


class SettlementOperations:
    """The controller's side of its hosts' work."""

    def __init__(self, door: Door) -> None:
        """Keep the door."""
        self._door = door

    def pull(self, host: HostId, keys: Sequence[SubjectKey] | None) -> Sequence[Placement]:
        """Return the newest placements of some subjects of a host, or of all that it has not confirmed."""
        with self._door.store.read() as tx:
            return tx.deliveries.pending(host, keys)

    def digest(self, host: HostId) -> Sequence[DigestEntry]:
        """Return the newest generation of every subject of a host."""
        with self._door.store.read() as tx:
            return tx.deliveries.digest(host)

    def behind(self) -> Sequence[HostId]:
        """Return the hosts that have not confirmed everything."""
        with self._door.store.read() as tx:
            return tx.deliveries.behind()

    def trouble(self) -> Sequence[Trouble]:
        """Return what hosts could not make true."""
        with self._door.store.read() as tx:
            names = {host.id: host.name for host in tx.topology.hosts()}
            return [Trouble(names.get(host, host), report) for host, report in tx.deliveries.errors()]

    def report(self, host: HostId, reports: Sequence[Report]) -> None:
        """Record what a host says, free what no host holds any longer, and take instances a step further."""
        changes: list[Published] = []
        with self._door.store.write() as tx:
            for report in reports:
                # An old report still ends the wait of those who asked for that generation: it says nothing new, so nothing follows.
                if not tx.deliveries.confirm(host, report):
                    continue
                if report.key.kind is SubjectKind.NIC:
                    changes += _nic_reported(tx, report)
                elif report.key.kind is SubjectKind.INSTANCE:
                    _instance_reported(tx, report)
        self._door.bell.settled()
        if changes:
            self._door.bell.wake(sorted(frozenset[HostId]().union(*(change.hosts for change in changes))))


def _nic_reported(tx: Transaction, report: Report) -> list[Published]:
    nic = NicId(report.key.id)
    for row in tx.addresses.releasing(nic):
        if not tx.deliveries.unconfirmed(report.key, row.release_generation):
            tx.addresses.free(row.id)
    known = tx.instances.nic(nic)
    if known is None:
        return []
    instance = tx.instances.get(known.instance)
    if instance is None:
        return []
    if instance.state is InstanceState.DELETING:
        finish_deletion(tx, instance.id)
        return []
    if report.error is not None:
        tx.instances.move(instance.id, {InstanceState.BUILDING}, InstanceState.ERROR, report.error)
        return []
    if instance.state is InstanceState.BUILDING:
        return _start_if_ready(tx, instance.id, instance.host)
    return []


def _start_if_ready(tx: Transaction, instance: InstanceId, host: HostId | None) -> list[Published]:
    """Hand an instance to its host once every NIC has an address that all of the NIC's hosts know: filters first, guest last."""
    if host is None:
        return []
    for nic in tx.instances.nics(instance):
        key = SubjectKey(SubjectKind.NIC, nic.id)
        if not tx.addresses.fixed_of_nic(nic.id) or tx.deliveries.unconfirmed(key, 1):
            return []
    key = SubjectKey(SubjectKind.INSTANCE, instance)
    if tx.deliveries.digest_of(key):
        return []
    tx.deliveries.place(key, host, HostRole.COMPUTE)
    return [publish(tx, key)]


def _instance_reported(tx: Transaction, report: Report) -> None:
    instance = InstanceId(report.key.id)
    if report.error is not None:
        tx.instances.move(instance, {InstanceState.BUILDING, InstanceState.ACTIVE}, InstanceState.ERROR, report.error)
        return
    if not tx.instances.move(instance, {InstanceState.BUILDING, InstanceState.ERROR}, InstanceState.ACTIVE):
        finish_deletion(tx, instance)


def finish_deletion(tx: Transaction, instance: InstanceId) -> bool:
    """Delete the rows of an instance whose hosts have all let go of it; say whether that was so."""
    known = tx.instances.get(instance)
    if known is None or known.state is not InstanceState.DELETING:
        return False
    keys = [SubjectKey(SubjectKind.INSTANCE, instance)]
    keys += [SubjectKey(SubjectKind.NIC, nic.id) for nic in known.nics]
    if any(tx.deliveries.digest_of(key) for key in keys):
        return False
    for nic in known.nics:
        for row in tx.addresses.fixed_of_nic(nic.id):
            tx.addresses.free(row.id)
        tx.instances.delete_nic(nic.id)
    tx.instances.delete(instance)
    return True
