"""What hosts pull and report: deliveries, the way of an instance to active or gone, and when an address is free again."""

from collections.abc import Sequence
from dataclasses import dataclass

from mooring.model.ids import HostId, InstanceId, NicId, RouterId
from mooring.model.nouns import InstanceState
from mooring.model.records import WHOLE, Page
from mooring.model.subjects import Digest, HostRole, Placement, Report, SubjectKey, SubjectKind
from mooring.operations.door import Door, Published, publish
from mooring.operations.interfaces import Transaction
from mooring.operations.routing import reclaim_unheld, retire
from mooring.policy.told import TOLD_OF_FLOATING_IPS


@dataclass(frozen=True, slots=True)
class Trouble:
    """What a host could not make true, and why."""

    host: str
    report: Report


@dataclass(frozen=True, slots=True)
class FailedLaunch:
    """An instance that its host could not launch, and why."""

    instance: InstanceId
    host: HostId
    reason: str


@dataclass(frozen=True, slots=True)
class Reported:
    """What followed from a host's reports: the launches that failed there, and the instances that are active from now on."""

    failed: Sequence[FailedLaunch]
    active: Sequence[InstanceId]


class SettlementOperations:
    """The controller's side of its hosts' work."""

    def __init__(self, door: Door) -> None:
        """Keep the door."""
        self._door = door

    def pull(self, host: HostId, keys: Sequence[SubjectKey] | None, page: Page = WHOLE) -> Sequence[Placement]:
        """Return the newest placements of some subjects of a host, or of all that it has not confirmed."""
        with self._door.store.read() as tx:
            return tx.deliveries.pending(host, keys, page)

    def digest(self, host: HostId, page: Page = WHOLE) -> Digest:
        """Return the newest generation of every subject of a host."""
        with self._door.store.read() as tx:
            return Digest(tx.deliveries.epoch(), tuple(tx.deliveries.digest(host, page)))

    def behind(self) -> Sequence[HostId]:
        """Return the hosts that have not confirmed everything."""
        with self._door.store.read() as tx:
            return tx.deliveries.behind()

    def trouble(self) -> Sequence[Trouble]:
        """Return what hosts could not make true."""
        with self._door.store.read() as tx:
            names = {host.id: host.name for host in tx.topology.hosts()}
            return [Trouble(names.get(host, host), report) for host, report in tx.deliveries.errors()]

    def report(self, host: HostId, reports: Sequence[Report]) -> Reported:
        """Record what a host says, free what no host holds any longer, and take instances a step further."""
        changes: list[Published] = []
        failed: list[FailedLaunch] = []
        active: list[InstanceId] = []
        with self._door.store.write() as tx:
            for report in reports:
                # An old report still ends the wait of those who asked for that generation: it says nothing new, so nothing follows.
                if not tx.deliveries.confirm(host, report):
                    continue
                if report.key.kind is SubjectKind.NIC:
                    changes += _nic_reported(tx, report, failed)
                elif report.key.kind is SubjectKind.ROUTER:
                    router = RouterId(report.key.id)
                    for row in tx.addresses.releasing(NicId(router)):
                        reclaim_unheld(tx, row.id)
                    changes += retire(tx, router)
                elif report.key.kind is SubjectKind.INSTANCE:
                    active += _instance_reported(tx, host, report, failed)
        self._door.bell.settled()
        if changes:
            self._door.bell.wake(sorted(frozenset[HostId]().union(*(change.hosts for change in changes))))
        # A host has a launch's parts in several roles, and may refuse more than one of them.
        return Reported(list({launch.instance: launch for launch in failed}.values()), active)


def _nic_reported(tx: Transaction, report: Report, failed: list[FailedLaunch]) -> list[Published]:
    nic = NicId(report.key.id)
    if report.error is not None:
        return _launched_further(tx, nic, report, failed)
    for row in tx.addresses.releasing(nic):
        reclaim_unheld(tx, row.id)
    tx.allowances.confirmed(nic)
    # What it had, and another NIC has got since, was kept from that one's gateway until now.
    changes = [publish(tx, SubjectKey(SubjectKind.NIC, heir), TOLD_OF_FLOATING_IPS) for heir in tx.addresses.heirs(nic)]
    return [*changes, *_launched_further(tx, nic, report, failed)]


def _launched_further(tx: Transaction, nic: NicId, report: Report, failed: list[FailedLaunch]) -> list[Published]:
    known = tx.instances.nic(nic)
    instance = tx.instances.get(known.instance) if known is not None and known.instance is not None else None
    if instance is None or known is None:
        return []
    if known.leaving:
        finish_detachment(tx, nic)
    if instance.state is InstanceState.DELETING:
        finish_deletion(tx, instance.id)
        return []
    if instance.state is not InstanceState.BUILDING or instance.host is None:
        return []
    if report.error is None:
        return _start_if_ready(tx, instance.id, instance.host, failed)
    if report.role not in (HostRole.PEER, HostRole.MEMBER):
        failed.append(FailedLaunch(instance.id, instance.host, report.error))
    return []


def _start_if_ready(tx: Transaction, instance: InstanceId, host: HostId, failed: list[FailedLaunch]) -> list[Published]:
    """Hand an instance to its host once its NICs' host and gateways know every NIC's address: filters first, guest last.

    A host that can't have one of its networks as it should be gets no guest on it.
    """
    nics = tx.instances.nics(instance)
    for nic in nics:
        key = SubjectKey(SubjectKind.NIC, nic.id)
        if not tx.deliveries.settled(key, (HostRole.COMPUTE, HostRole.GATEWAY)):
            return []
    key = SubjectKey(SubjectKind.INSTANCE, instance)
    if tx.deliveries.hosts(key):
        return []
    networks = {SubjectKey(SubjectKind.NETWORK, nic.network) for nic in nics}
    refused = [said.error for _, said in tx.deliveries.errors(host) if said.key in networks and said.error is not None]
    if refused:
        failed.append(FailedLaunch(instance, host, "; ".join(refused)))
        return []
    tx.deliveries.place(key, host, HostRole.COMPUTE)
    return [publish(tx, key)]


def _instance_reported(
    tx: Transaction, host: HostId, report: Report, failed: list[FailedLaunch]
) -> Sequence[InstanceId]:
    """Return the instance if it has become active."""
    instance = InstanceId(report.key.id)
    known = tx.instances.get(instance)
    if known is None or (known.state is not InstanceState.DELETING and known.host != host):
        # A host that it was taken from lets go of it: that says nothing of how it is where it is now.
        return []
    if report.error is None:
        turning = known.power is not known.power.outcome
        if turning and tx.deliveries.settled(report.key, (HostRole.COMPUTE,)):
            # Whatever was asked last is done now, and not only what was asked before.
            tx.instances.turn(instance, {known.power}, known.power.outcome)
        if tx.instances.move(instance, {InstanceState.BUILDING, InstanceState.ERROR}, InstanceState.ACTIVE):
            return [instance]
        finish_deletion(tx, instance)
    elif known.state is InstanceState.BUILDING:
        failed.append(FailedLaunch(instance, host, report.error))
    else:
        tx.instances.move(instance, {InstanceState.ACTIVE}, InstanceState.ERROR, report.error)
    return []


def finish_deletion(tx: Transaction, instance: InstanceId) -> bool:
    """Delete the rows of an instance whose hosts have all let go of it, but for NICs that its project made; say whether that was so."""
    known = tx.instances.get(instance)
    if known is None or known.state is not InstanceState.DELETING:
        return False
    keys = [SubjectKey(SubjectKind.INSTANCE, instance)]
    nics = tx.instances.nics(instance)
    keys += [SubjectKey(SubjectKind.NIC, nic.id) for nic in nics]
    if any(tx.deliveries.digest_of(key) for key in keys):
        return False
    for nic in nics:
        _end(tx, nic.id)
    tx.instances.delete(instance)
    return True


def finish_detachment(tx: Transaction, nic: NicId) -> bool:
    """Delete the row of a card that was taken from its instance, if its hosts have all let go of it; say whether that was so.

    One that its project made is in no instance from then on.
    """
    known = tx.instances.nic(nic)
    if known is None or not known.leaving or tx.deliveries.digest_of(SubjectKey(SubjectKind.NIC, nic)):
        return False
    _end(tx, nic)
    return True


def _end(tx: Transaction, nic: NicId) -> None:
    if not tx.cards.unplug(nic):
        delete_nic(tx, nic)


def delete_nic(tx: Transaction, nic: NicId) -> None:
    """Delete the rows of a NIC that no host has, and free its addresses."""
    tx.allowances.forget(nic)
    for row in tx.addresses.fixed_of_nic(nic):
        tx.addresses.free(row.id)
    tx.instances.delete_nic(nic)
