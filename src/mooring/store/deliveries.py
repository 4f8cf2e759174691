"""The outbox in the database: who must hold what in which generation, and who said so.

The laws, each of which a test of its own holds:

- A generation only grows, and no two states of a subject share one.  A withdrawal takes two: one in which the hosts must let go, and the
  next, that nobody has been told yet, for whoever gets the subject later.  So a late confirmation of the withdrawal can never be taken
  for one of a new placement on the same host.
- Hosts that still have to let go keep the generation of their withdrawal, whatever is published for others meanwhile.
- Who keeps a subject may be left out of a generation in which nothing changes for its role: then it has nothing to confirm.
- A report counts for the generation that it names: it raises `confirmed` to that and no further, and never lowers it.
"""

from collections.abc import Collection, Sequence
from itertools import islice

from sqlalchemy import String, bindparam, case, delete, func, null, select, true, tuple_, update

from mooring.model.ids import HostId
from mooring.model.records import WHOLE, Page
from mooring.model.subjects import DigestEntry, HostRole, Placement, Report, Subject, SubjectKey, SubjectKind
from mooring.policy.told import as_told
from mooring.store import numbers
from mooring.store.generations import forget
from mooring.store.schema import deliveries, epochs, generations
from mooring.store.schema.deliveries import concerned
from mooring.store.selection import ALL, BEHIND, NAMED
from mooring.store.session import Session
from mooring.store.subjects import load
from mooring.store.topology import Topology

_EPOCH_BITS = 20
"""A subject is published less often than a million times a second, so a generation that is made of the time is newer than any before."""

_ALL_THERE_ARE = 2**31

_FEW = 200
"""Up to so many keys are asked for by name; for more, all of a host's deliveries are read and the others left out."""

_NOT_CONFIRMED = deliveries.c.confirmed < deliveries.c.generation
_SUBJECT = (deliveries.c.subject == bindparam("of_subject"), deliveries.c.kind == bindparam("of_kind"))
_ONE = (deliveries.c.host == bindparam("of_host"), *_SUBJECT, deliveries.c.role == bindparam("of_role"))

_PUBLISH = (
    update(deliveries)
    .where(*_SUBJECT, deliveries.c.present)
    .values(generation=bindparam("new_generation"))
    .returning(deliveries.c.host)
)
_PUBLISH_TO = _PUBLISH.where(deliveries.c.role.in_(bindparam("of_roles", expanding=True, type_=String())))
_WITHDRAW = (
    update(deliveries)
    .where(*_SUBJECT, deliveries.c.present)
    .values(generation=bindparam("new_generation"), present=False)
    .returning(deliveries.c.host)
)
_CONFIRM = (
    update(deliveries)
    .where(
        *_ONE,
        deliveries.c.confirmed <= bindparam("reported"),
        deliveries.c.generation >= bindparam("reported"),
    )
    .values(
        confirmed=bindparam("reported"),
        error=case((deliveries.c.failed <= bindparam("reported"), null()), else_=deliveries.c.error),
        failed=case((deliveries.c.failed <= bindparam("reported"), 0), else_=deliveries.c.failed),
    )
)
_FAIL = (
    update(deliveries)
    .where(
        *_ONE,
        deliveries.c.confirmed <= bindparam("reported"),
        deliveries.c.failed <= bindparam("reported"),
        deliveries.c.generation >= bindparam("reported"),
    )
    .values(failed=bindparam("reported"), error=bindparam("new_error"))
)
_EPOCH = select(func.coalesce(func.max(epochs.c.epoch), 0))
_LEAST = bindparam("least", type_=generations.c.generation.type)
_RENEW_GENERATIONS = update(generations).values(
    generation=case((generations.c.generation + 2 < _LEAST, _LEAST), else_=generations.c.generation + 2)
)
_RENEW_DELIVERIES = update(deliveries).values(
    generation=select(generations.c.generation - case((deliveries.c.present, 0), else_=1))
    .where(generations.c.kind == deliveries.c.kind, generations.c.subject == deliveries.c.subject)
    .correlate(deliveries)
    .scalar_subquery(),
    confirmed=0,
    failed=0,
    error=null(),
)

_DROP = delete(deliveries).where(*_ONE, ~deliveries.c.present, ~_NOT_CONFIRMED)

_ENTRIES = select(
    deliveries.c.kind,
    deliveries.c.subject,
    deliveries.c.role,
    deliveries.c.generation,
    deliveries.c.present,
)
_ORDER = (deliveries.c.kind, deliveries.c.subject, deliveries.c.role)
_DIGEST = (
    _ENTRIES.where(
        deliveries.c.host == bindparam("host"),
        tuple_(*_ORDER) > tuple_(bindparam("after_kind"), bindparam("after_subject"), bindparam("after_role")),
    )
    .order_by(*_ORDER)
    .limit(bindparam("most"))
)
_PENDING = _DIGEST.where(_NOT_CONFIRMED)
_SOME = _DIGEST.where(
    deliveries.c.kind.in_(bindparam("kinds", expanding=True)),
    deliveries.c.subject.in_(bindparam("subjects", expanding=True)),
)
_DIGEST_OF = _ENTRIES.where(*_SUBJECT).order_by(deliveries.c.host, deliveries.c.role)
_HOLDERS = (
    select(deliveries.c.host, deliveries.c.role, deliveries.c.confirmed, deliveries.c.generation)
    .where(*_SUBJECT, deliveries.c.present)
    .order_by(deliveries.c.host, deliveries.c.role)
)
_UNCONFIRMED = (
    select(deliveries.c.host)
    .where(*_SUBJECT, deliveries.c.confirmed < bindparam("wanted"), concerned(bindparam("wanted")))
    .limit(1)
)
_BEHIND = select(deliveries.c.host).where(_NOT_CONFIRMED).distinct().order_by(deliveries.c.host)
_ERRORS = (
    select(
        deliveries.c.host,
        deliveries.c.kind,
        deliveries.c.subject,
        deliveries.c.role,
        deliveries.c.failed,
        deliveries.c.error,
    )
    .where(deliveries.c.error.is_not(null()))
    .order_by(deliveries.c.host, deliveries.c.kind, deliveries.c.subject, deliveries.c.role)
)
_ERRORS_OF = _ERRORS.where(deliveries.c.host == bindparam("host"))


class Deliveries:
    """See mooring.operations.interfaces.Deliveries."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def _raise(self, key: SubjectKey, step: int) -> int:
        """Count a subject's generation upwards and return it; a new subject's is 1, or what a withdrawal makes of that.

        In PostgreSQL this also locks the subject, so that whoever places it at the same time waits.
        """
        statement = self._session.flavour.insert(generations)
        row = self._session.row(
            statement.on_conflict_do_update(
                index_elements=[generations.c.kind, generations.c.subject],
                set_={"generation": generations.c.generation + step},
            ).returning(generations.c.generation),
            kind=key.kind.value,
            subject=key.id,
            generation=max(step, 1),
        )
        if row is None:
            raise AssertionError("an upsert returns its row")
        return row[0]

    def place(self, key: SubjectKey, host: HostId, role: HostRole) -> None:
        generation = self._raise(key, 0)
        statement = self._session.flavour.insert(deliveries)
        self._session.refusable(
            statement.on_conflict_do_update(
                index_elements=[deliveries.c.host, deliveries.c.kind, deliveries.c.subject, deliveries.c.role],
                set_={"generation": statement.excluded.generation, "present": true()},
            ),
            host=host,
            kind=key.kind.value,
            subject=key.id,
            role=role.value,
            generation=generation,
            confirmed=0,
            present=True,
            failed=0,
            error=None,
        )

    def publish(self, key: SubjectKey, roles: Collection[HostRole] | None = None) -> tuple[int, frozenset[HostId]]:
        generation = self._raise(key, 1)
        named = {"of_kind": key.kind.value, "of_subject": key.id, "new_generation": generation}
        if roles is None:
            told = self._session.rows(_PUBLISH, **named)
        else:
            told = self._session.rows(_PUBLISH_TO, **named, of_roles=sorted(role.value for role in roles))
        return generation, frozenset(host for (host,) in told)

    def withdraw(self, key: SubjectKey) -> tuple[int, frozenset[HostId]]:
        generation = self._raise(key, 2) - 1
        told = self._session.rows(
            _WITHDRAW,
            of_kind=key.kind.value,
            of_subject=key.id,
            new_generation=generation,
        )
        return generation, frozenset(host for (host,) in told)

    def pending(self, host: HostId, keys: Sequence[SubjectKey] | None, page: Page = WHOLE) -> Sequence[Placement]:
        entries = self._entries(host, keys, page)
        present = {entry.key: entry.generation for entry in entries if entry.present}
        at = Topology(self._session).host(host)
        if len(present) <= _FEW:
            subjects = load(self._session, present, NAMED, at)
        else:
            subjects = load(self._session, present, BEHIND if keys is None else ALL, at, host=host)
        return [
            Placement(entry.key, entry.generation, entry.role, _as_of(subjects.get(entry.key), entry))
            for entry in entries
        ]

    def _entries(self, host: HostId, keys: Sequence[SubjectKey] | None, page: Page) -> Sequence[DigestEntry]:
        if keys is None:
            return [_entry(*row) for row in self._session.rows(_PENDING, host=host, **_bounds(page))]
        wanted = frozenset(keys)
        if len(wanted) > _FEW:
            found = (entry for entry in self.digest(host, Page(page.after)) if entry.key in wanted)
            return list(islice(found, page.most))
        rows = self._session.rows(
            _SOME,
            host=host,
            **_bounds(Page(page.after)),
            kinds=sorted({key.kind.value for key in wanted}),
            subjects=sorted({key.id for key in wanted}),
        )
        return [entry for entry in (_entry(*row) for row in rows) if entry.key in wanted][: page.most]

    def epoch(self) -> int:
        row = self._session.row(_EPOCH)
        return row[0] if row is not None else 0

    def renew(self, epoch: int) -> None:
        self._session.add(epochs, epoch=epoch, begun=self._session.now())
        # Two at least, as a withdrawal takes: what has to be given up gets the first, what is present the second.
        self._session.change(_RENEW_GENERATIONS, least=(epoch << _EPOCH_BITS) + 1)
        self._session.change(_RENEW_DELIVERIES)
        numbers.leave_out(self._session)

    def digest(self, host: HostId, page: Page = WHOLE) -> Sequence[DigestEntry]:
        return [_entry(*row) for row in self._session.rows(_DIGEST, host=host, **_bounds(page))]

    def hosts(self, key: SubjectKey) -> Sequence[tuple[HostId, HostRole]]:
        rows = self._session.rows(_HOLDERS, of_kind=key.kind.value, of_subject=key.id)
        return [(host, HostRole(role)) for host, role, _, _ in rows]

    def settled(self, key: SubjectKey, roles: Collection[HostRole]) -> bool:
        rows = self._session.rows(_HOLDERS, of_kind=key.kind.value, of_subject=key.id)
        chosen = [confirmed >= generation for _, role, confirmed, generation in rows if HostRole(role) in roles]
        return bool(chosen) and all(chosen)

    def digest_of(self, key: SubjectKey) -> Sequence[DigestEntry]:
        rows = self._session.rows(_DIGEST_OF, of_kind=key.kind.value, of_subject=key.id)
        return [_entry(*row) for row in rows]

    def confirm(self, host: HostId, report: Report) -> bool:
        one = {
            "of_host": host,
            "of_kind": report.key.kind.value,
            "of_subject": report.key.id,
            "of_role": report.role.value,
        }
        if report.error is not None:
            return self._session.change(_FAIL, **one, reported=report.generation, new_error=report.error) == 1
        if not self._session.change(_CONFIRM, **one, reported=report.generation):
            return False
        if self._session.change(_DROP, **one):
            forget(self._session, report.key)
        return True

    def unconfirmed(self, key: SubjectKey, generation: int) -> bool:
        row = self._session.row(
            _UNCONFIRMED,
            of_kind=key.kind.value,
            of_subject=key.id,
            wanted=generation,
        )
        return row is not None

    def behind(self) -> Sequence[HostId]:
        return [host for (host,) in self._session.rows(_BEHIND)]

    def errors(self, host: HostId | None = None) -> Sequence[tuple[HostId, Report]]:
        rows = self._session.rows(_ERRORS) if host is None else self._session.rows(_ERRORS_OF, host=host)
        return [
            (where, Report(SubjectKey(SubjectKind(kind), subject), HostRole(role), failed, error))
            for where, kind, subject, role, failed, error in rows
        ]


def _as_of(subject: Subject | None, entry: DigestEntry) -> Subject | None:
    """Return a subject as one entry tells it: a host in several roles may have been told them in different generations."""
    return as_told(subject, entry.role, entry.generation) if subject is not None and entry.present else None


def _bounds(page: Page) -> dict[str, str | int]:
    kind, subject, role = ("", "", "") if page.after is None else (page.after[0].kind, page.after[0].id, page.after[1])
    most = _ALL_THERE_ARE if page.most is None else page.most
    return {"after_kind": str(kind), "after_subject": subject, "after_role": str(role), "most": most}


def _entry(kind: str, subject: str, role: str, generation: int, present: bool) -> DigestEntry:  # noqa: FBT001
    return DigestEntry(SubjectKey(SubjectKind(kind), subject), HostRole(role), generation, present)
