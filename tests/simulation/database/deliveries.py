"""The outbox in the simulated database; its laws stand in mooring.store.deliveries."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from mooring.model.ids import HostId
from mooring.model.records import WHOLE, Page
from mooring.model.subjects import DigestEntry, HostRole, Placement, Report, SubjectKey
from mooring.policy.told import as_told
from tests.simulation.database.subjects import Subjects
from tests.simulation.database.tables import Delivered, Delivery, Tables, forget, needs, unique


class Deliveries:
    """See mooring.operations.interfaces.Deliveries."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def _raise(self, key: SubjectKey, step: int) -> int:
        known = self._tables.generations.get(key)
        generation = max(step, 1) if known is None else known + step
        self._tables.generations.put(key, generation)
        return generation

    def _of(self, key: SubjectKey) -> list[tuple[Delivered, Delivery]]:
        found = [(at, row) for at, row in self._tables.deliveries.items() if at[1] == key]
        return sorted(found, key=lambda item: (item[0][0], item[0][2]))

    def place(self, key: SubjectKey, host: HostId, role: HostRole) -> None:
        needs(host in self._tables.hosts)
        generation = self._raise(key, 0)
        known = self._tables.deliveries.get((host, key, role))
        row = Delivery(generation) if known is None else replace(known, generation=generation, present=True)
        self._tables.deliveries.put((host, key, role), row)

    def publish(self, key: SubjectKey, roles: Collection[HostRole] | None = None) -> tuple[int, frozenset[HostId]]:
        return self._tell(key, self._raise(key, 1), present=True, roles=roles)

    def withdraw(self, key: SubjectKey) -> tuple[int, frozenset[HostId]]:
        return self._tell(key, self._raise(key, 2) - 1, present=False)

    def _tell(
        self, key: SubjectKey, generation: int, *, present: bool, roles: Collection[HostRole] | None = None
    ) -> tuple[int, frozenset[HostId]]:
        told = [(at, row) for at, row in self._of(key) if row.present and (roles is None or at[2] in roles)]
        for at, row in told:
            self._tables.deliveries.put(at, replace(row, generation=generation, present=present))
        return generation, frozenset(host for (host, _, _), _ in told)

    def pending(self, host: HostId, keys: Sequence[SubjectKey] | None, page: Page = WHOLE) -> Sequence[Placement]:
        listed = self.digest(host, Page(page.after))
        if keys is None:
            entries = [entry for entry in listed if self._is_behind(host, entry)][: page.most]
        else:
            entries = [entry for entry in listed if entry.key in keys][: page.most]
        load = Subjects(self._tables, self._tables.hosts.get(host)).load
        placed: list[Placement] = []
        for entry in entries:
            subject = load(entry.key, entry.generation) if entry.present else None
            told = as_told(subject, entry.role, entry.generation) if subject is not None else None
            placed.append(Placement(entry.key, entry.generation, entry.role, told))
        return placed

    def _is_behind(self, host: HostId, entry: DigestEntry) -> bool:
        row = self._tables.deliveries[host, entry.key, entry.role]
        return row.confirmed < row.generation

    def epoch(self) -> int:
        return max(self._tables.epochs.keys(), default=0)

    def renew(self, epoch: int) -> None:
        unique(epoch in self._tables.epochs, "epochs.epoch")
        self._tables.epochs.put(epoch, None)
        for key, generation in list(self._tables.generations.items()):
            self._tables.generations.put(key, max(generation + 2, (epoch << 20) + 1))
        for at, row in list(self._tables.deliveries.items()):
            newest = self._tables.generations[at[1]]
            self._tables.deliveries.put(at, Delivery(newest if row.present else newest - 1, present=row.present))
        for name in ("groups", "egress_sets"):
            self._tables.count(name, 1 << 20)

    def digest(self, host: HostId, page: Page = WHOLE) -> Sequence[DigestEntry]:
        found = [(at, row) for at, row in self._tables.deliveries.items() if at[0] == host]
        entries = [DigestEntry(key, role, row.generation, row.present) for (_, key, role), row in found]
        entries.sort(key=lambda entry: (entry.key, entry.role))
        return [one for one in entries if page.after is None or (one.key, one.role) > page.after][: page.most]

    def hosts(self, key: SubjectKey) -> Sequence[tuple[HostId, HostRole]]:
        return [(host, role) for (host, _, role), row in self._of(key) if row.present]

    def digest_of(self, key: SubjectKey) -> Sequence[DigestEntry]:
        return [DigestEntry(key, role, row.generation, row.present) for (_, _, role), row in self._of(key)]

    def confirm(self, host: HostId, report: Report) -> bool:
        at = (host, report.key, report.role)
        row = self._tables.deliveries.get(at)
        said = report.generation
        if row is None or not row.confirmed <= said <= row.generation:
            return False
        if report.error is not None:
            if row.failed > said:
                return False
            self._tables.deliveries.put(at, replace(row, failed=said, error=report.error))
            return True
        row = replace(row, confirmed=said)
        if row.failed <= said:
            row = replace(row, failed=0, error=None)
        self._tables.deliveries.put(at, row)
        if not row.present and row.confirmed >= row.generation:
            self._tables.deliveries.drop(at)
            forget(self._tables, report.key)
        return True

    def unconfirmed(self, key: SubjectKey, generation: int) -> bool:
        return any(of == key and row.lacks(generation) for (_, of, _), row in self._tables.deliveries.items())

    def settled(self, key: SubjectKey, roles: Collection[HostRole]) -> bool:
        chosen = [row for (_, _, role), row in self._of(key) if row.present and role in roles]
        return bool(chosen) and all(row.confirmed >= row.generation for row in chosen)

    def behind(self) -> Sequence[HostId]:
        rows = self._tables.deliveries.items()
        return sorted({host for (host, _, _), row in rows if row.confirmed < row.generation})

    def errors(self, host: HostId | None = None) -> Sequence[tuple[HostId, Report]]:
        found = [
            (where, Report(key, role, row.failed, row.error))
            for (where, key, role), row in self._tables.deliveries.items()
            if row.error is not None and host in (None, where)
        ]
        return sorted(found, key=lambda item: (item[0], item[1].key, item[1].role))
