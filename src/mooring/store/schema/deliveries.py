"""Tables of quotas, of the outbox, and of idempotency keys."""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ColumnElement,
    Index,
    Named,
    PrimaryKeyConstraint,
    Table,
    Text,
    TypedColumns,
    or_,
    text,
)

from mooring.model.ids import HostId, ProjectId
from mooring.model.nouns import Resource
from mooring.model.subjects import HostRole, SubjectKind
from mooring.store.schema.columns import Moment, metadata, one_of, some_text, to


class QuotaColumns(TypedColumns):
    """One counter for each project and resource; a ceiling of -1 is none.

    `used <= ceiling` is no CHECK: a ceiling may be set below what is used.  The guarded UPDATE that counts upwards keeps it.
    """

    project: Named[ProjectId] = to("projects.id")
    resource: Named[str] = some_text()
    used: Named[int]
    ceiling: Named[int]


quotas = Table(
    "quotas",
    metadata,
    QuotaColumns,
    PrimaryKeyConstraint("project", "resource"),
    one_of("resource", Resource),
    CheckConstraint("used >= 0", name="used"),
    CheckConstraint("ceiling >= -1", name="ceiling"),
    sqlite_with_rowid=False,
)


class GenerationColumns(TypedColumns):
    """The newest generation of a subject.  It stays while any host has to give the subject up, whether the subject is there or not."""

    kind: Named[str] = some_text()
    subject: Named[str] = some_text()
    generation: Named[int] = Column(BigInteger, nullable=False)


generations = Table(
    "generations",
    metadata,
    GenerationColumns,
    PrimaryKeyConstraint("kind", "subject"),
    one_of("kind", SubjectKind),
    CheckConstraint("generation > 0", name="generation"),
    sqlite_with_rowid=False,
)


class EpochColumns(TypedColumns):
    """When the database was put back to an older state, and an operator said so; see mooring.model.subjects.Digest."""

    epoch: Named[int] = Column(BigInteger, primary_key=True, autoincrement=False)
    begun: Named[datetime] = Column(Moment, nullable=False)


epochs = Table("epochs", metadata, EpochColumns, sqlite_with_rowid=False)


class DeliveryColumns(TypedColumns):
    """The outbox: what a host must make true in a role, what it said it did, and what it could not.

    `failed` is the generation that `error` speaks of, 0 without one.
    """

    host: Named[HostId] = to("hosts.id")
    kind: Named[str] = some_text()
    subject: Named[str] = some_text()
    role: Named[str] = some_text()
    generation: Named[int] = Column(BigInteger, nullable=False)
    confirmed: Named[int] = Column(BigInteger, nullable=False)
    present: Named[bool]
    failed: Named[int] = Column(BigInteger, nullable=False)
    error: Named[str | None] = Column(Text)


_KEY = ("host", "kind", "subject", "role")
_BEHIND = text("confirmed < generation")
_FAILED = text("error IS NOT NULL")

deliveries = Table(
    "deliveries",
    metadata,
    DeliveryColumns,
    PrimaryKeyConstraint(*_KEY),
    one_of("kind", SubjectKind),
    one_of("role", HostRole),
    CheckConstraint("generation > 0 AND confirmed BETWEEN 0 AND generation", name="confirmed"),
    CheckConstraint("failed BETWEEN 0 AND generation AND (failed = 0) = (error IS NULL)", name="failed"),
    Index(None, "subject", "kind"),
    # With all columns that are asked for, in the order of the primary key: otherwise SQLite takes that, and reads all of a host's rows.
    Index(
        "ix_deliveries_behind",
        *_KEY,
        "generation",
        "confirmed",
        "present",
        sqlite_where=_BEHIND,
        postgresql_where=_BEHIND,
    ),
    Index(
        "ix_deliveries_failed",
        *_KEY,
        "failed",
        "error",
        sqlite_where=_FAILED,
        postgresql_where=_FAILED,
    ),
    sqlite_with_rowid=False,
)


def concerned(generation: ColumnElement[int] | ColumnElement[int | None]) -> ColumnElement[bool]:
    """Say of a delivery that a generation was told there: who keeps the subject may have been left out, and who gives it up never is."""
    return or_(~deliveries.c.present, deliveries.c.generation >= generation)


class MemoryColumns(TypedColumns):
    """Idempotency keys."""

    project: Named[ProjectId] = to("projects.id")
    key: Named[str] = some_text()
    fingerprint: Named[str] = some_text()
    object_id: Named[str] = some_text()
    created: Named[datetime] = Column(Moment, nullable=False)


memory = Table(
    "memory",
    metadata,
    MemoryColumns,
    PrimaryKeyConstraint("project", "key"),
    Index(None, "created"),
    sqlite_with_rowid=False,
)
