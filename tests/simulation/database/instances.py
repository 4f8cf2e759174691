"""Instances and their NICs in the simulated database."""

import builtins
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from mooring.model.ids import HostId, InstanceId, NetworkId, NicId, ProjectId
from mooring.model.nouns import FixedIp, Instance, InstanceState, Nic, Power
from mooring.model.records import InstanceRow, NicRow
from mooring.model.subjects import SubjectKey, SubjectKind
from tests.simulation.database.addresses import Addresses
from tests.simulation.database.allowances import allowed_to
from tests.simulation.database.egress import forget_preferences
from tests.simulation.database.groups import Groups
from tests.simulation.database.tables import InstanceRecord, Tables, check, forget, needed, needs, unique


class Instances:
    """See mooring.operations.interfaces.Instances."""

    def __init__(self, tables: Tables, now: Callable[[], datetime]) -> None:
        self._tables = tables
        self._now = now

    def add(self, row: InstanceRow) -> None:
        unique(row.id in self._tables.instances, "instances.id")
        needs(row.project in self._tables.projects, row.user in self._tables.users)
        self._tables.instances.put(row.id, InstanceRecord(row, InstanceState.BUILDING, None, row.created))

    def add_nic(self, row: NicRow) -> None:
        unique(row.mac in self._tables.macs, "macs.mac")
        unique(row.id in self._tables.nics, "nics.id")
        taken = {(nic.instance, nic.position) for nic in self._tables.nics.values()}
        unique((row.instance, row.position) in taken, "nics.instance, nics.position")
        check(row.position >= 0, "ck_nics_position")
        needs(row.instance in self._tables.instances, row.network in self._tables.networks)
        self._tables.macs.put(row.mac, None)
        self._tables.nics.put(row.id, row)

    def get(self, instance: InstanceId) -> Instance | None:
        known = self._tables.instances.get(instance)
        return self._view(known) if known else None

    def _view(self, known: InstanceRecord) -> Instance:
        row = known.row
        return Instance(
            id=row.id,
            name=row.name,
            project=row.project,
            user=row.user,
            state=known.state,
            image=row.image,
            flavor=row.flavor,
            host=known.host,
            created=row.created,
            updated=known.updated,
            nics=tuple(self._nic_view(nic) for nic in self.nics(row.id) if not nic.leaving),
            fault=known.fault,
            power=known.power,
            launched=known.launched,
        )

    def _nic_view(self, nic: NicRow) -> Nic:
        addresses = Addresses(self._tables)
        fixed = tuple(FixedIp(row.id, row.address) for row in addresses.fixed_of_nic(nic.id) if not row.releasing)
        name = self._tables.networks[nic.network][0].name
        floating = tuple(addresses.floating_of_nic(nic.id))
        groups = tuple(Groups(self._tables).of_nic(nic.id))
        allowed = tuple(allowed_to(self._tables, nic.id))
        return Nic(nic.id, nic.network, name, nic.mac, fixed, floating, groups, nic.filtered, allowed)

    def _listed(self, chosen: "builtins.list[InstanceRecord]") -> Sequence[Instance]:
        return [self._view(known) for known in sorted(chosen, key=lambda known: (known.row.created, known.row.id))]

    def list(self, project: ProjectId | None, *, name: str | None = None) -> Sequence[Instance]:
        rows = [row for row in self._tables.instances.values() if project is None or row.row.project == project]
        return self._listed([row for row in rows if name is None or row.row.name == name])

    def stale(self, states: Collection[InstanceState], before: datetime) -> Sequence[Instance]:
        now = self._now()
        rows = [row for row in self._tables.instances.values() if row.state in states]
        return self._listed([row for row in rows if row.updated < before or row.updated > now])

    def assign(self, instance: InstanceId, host: HostId) -> bool:
        known = self._tables.instances.get(instance)
        if known is None or known.host is not None or known.state is not InstanceState.BUILDING:
            return False
        needs(host in self._tables.hosts)
        self._tables.instances.put(instance, replace(known, host=host, updated=self._now()))
        return True

    def per_host(self) -> Mapping[HostId, int]:
        counted = Counter(row.host for row in self._tables.instances.values() if row.host is not None)
        return {host: counted[host] for host in sorted(counted)}

    def avoided(self, instance: InstanceId) -> frozenset[HostId]:
        return frozenset(host for of, host in self._tables.failed_launches.keys() if of == instance)  # noqa: SIM118

    def unassign(self, instance: InstanceId, host: HostId) -> bool:
        known = self._tables.instances.get(instance)
        if known is None or known.host != host or known.state is not InstanceState.BUILDING:
            return False
        self._tables.instances.put(instance, replace(known, host=None, updated=self._now()))
        self._tables.failed_launches.put((instance, host), None)
        return True

    def repoint(self, nic: NicId, network: NetworkId) -> None:
        known = self._tables.nics.get(nic)
        if known is not None:
            needs(network in self._tables.networks)
            needed(any(row.nic == nic for row in self._tables.addresses.values()))
            self._tables.nics.put(nic, replace(known, network=network))

    def move(
        self, instance: InstanceId, expected: Collection[InstanceState], state: InstanceState, fault: str | None = None
    ) -> bool:
        known = self._tables.instances.get(instance)
        if known is None or known.state not in expected:
            return False
        now = self._now()
        launched = known.launched or now if state is InstanceState.ACTIVE else known.launched
        self._tables.instances.put(instance, replace(known, state=state, fault=fault, updated=now, launched=launched))
        return True

    def turn(self, instance: InstanceId, expected: Collection[Power], power: Power, *, boot: bool = False) -> bool:
        known = self._tables.instances.get(instance)
        launched = known is not None and known.state in {InstanceState.ACTIVE, InstanceState.ERROR}
        if known is None or not launched or known.power not in expected:
            return False
        turned = replace(known, power=power, boots=known.boots + boot, updated=self._now())
        self._tables.instances.put(instance, turned)
        return True

    def rename(self, instance: InstanceId, name: str) -> None:
        known = self._tables.instances.get(instance)
        if known is not None:
            self._tables.instances.put(instance, replace(known, row=replace(known.row, name=name)))

    def nics(self, instance: InstanceId) -> Sequence[NicRow]:
        mine = [nic for nic in self._tables.nics.values() if nic.instance == instance]
        return sorted(mine, key=lambda nic: nic.position)

    def nic(self, nic: NicId) -> NicRow | None:
        return self._tables.nics.get(nic)

    def leave(self, nic: NicId) -> bool:
        known = self._tables.nics.get(nic)
        if known is None or known.leaving:
            return False
        self._tables.nics.put(nic, replace(known, leaving=True))
        return True

    def delete_nic(self, nic: NicId) -> None:
        known = self._tables.nics.get(nic)
        if known is None:
            return
        needed(any(row.nic == nic for row in self._tables.addresses.values()))
        needed(any(of == nic for of, _ in self._tables.nic_groups.keys()))  # noqa: SIM118 - a Table is no dict
        needed(any(of == nic for of, _ in self._tables.allowances.keys()))  # noqa: SIM118
        forget_preferences(self._tables, nic)
        self._tables.nics.drop(nic)
        self._tables.macs.drop(known.mac)
        forget(self._tables, SubjectKey(SubjectKind.NIC, nic))

    def delete(self, instance: InstanceId) -> None:
        if instance not in self._tables.instances:
            return
        needed(any(nic.instance == instance for nic in self._tables.nics.values()))
        for key in [key for key in self._tables.failed_launches.keys() if key[0] == instance]:  # noqa: SIM118
            self._tables.failed_launches.drop(key)
        forget_preferences(self._tables, instance)
        self._tables.instances.drop(instance)
        forget(self._tables, SubjectKey(SubjectKind.INSTANCE, instance))
