"""What the tables are made of: names of constraints, moments in UTC, ids and references."""

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Named,
    Table,
    Text,
    TypedColumns,
    TypeDecorator,
    text,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    },
)


class Moment(TypeDecorator[datetime]):
    """A moment in UTC.  A naive time is refused: it would mean another moment on another machine."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn any aware time into UTC, which is how SQLite, that knows no zones, keeps it."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Say that it is UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


CLOCK = "mooring_clock"
"""By this name a connection's execution options have the clock of its transaction."""

# Of rows from before it was noted; migrations say something better.
_BEGINNING = "1970-01-01 00:00:00"

# Only an INTEGER PRIMARY KEY counts by itself in SQLite; a BIGINT one does not.
Counter = BigInteger().with_variant(Integer(), "sqlite")


def own_id() -> Column[Any]:
    return Column(Text, nullable=False, unique=True)


def some_text() -> Column[Any]:
    return Column(Text, nullable=False)


def to(target: str, *, optional: bool = False, unique: bool = False, action: str = "RESTRICT") -> Column[Any]:
    return Column(Text, ForeignKey(target, ondelete=action), nullable=optional, unique=unique or None)


def own_mac() -> Column[Any]:
    """A MAC address that nothing else has, of whatever kind: see the table macs."""
    return to("macs.mac", unique=True)


class MacColumns(TypedColumns):
    """Every MAC address that we gave to something: a NIC must not have its own router's."""

    mac: Named[str] = Column(Text, primary_key=True)


macs = Table("macs", metadata, MacColumns, sqlite_with_rowid=False)


def one_of(column: str, values: Iterable[StrEnum]) -> CheckConstraint:
    listed = ", ".join(f"'{value.value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


class Listed(TypedColumns):
    """A noun that can be listed: in the order of creation."""

    seq: Named[int] = Column(Counter, primary_key=True, autoincrement=True)


def _now(context: Any) -> datetime:
    """Return the time of the transaction that a statement is in: see `Session`."""
    now = context.execution_options.get(CLOCK)
    return now() if now is not None else datetime.now(UTC)


class Marked(TypedColumns):
    """What projects see a thing of counts its changes: every UPDATE of the row does, unless it says `unseen`.

    Rows elsewhere that are shown as parts of it say so themselves: see store/marks.py.
    """

    revision: Named[int] = Column(BigInteger, nullable=False, server_default="1", onupdate=text("revision + 1"))
    created: Named[datetime] = Column(Moment, nullable=False, server_default=_BEGINNING, default=_now)
    updated: Named[datetime] = Column(Moment, nullable=False, server_default=_BEGINNING, default=_now, onupdate=_now)


def unseen(table: Table) -> dict[str, Column[Any]]:
    """Return what an UPDATE sets that changes nothing of what is shown of a row."""
    return {"revision": table.c.revision, "updated": table.c.updated}


def given(table: str, column: str, *others: str) -> Index:
    """Index a column that is empty in most rows, with others that are counted by it."""
    where = text(f"{column} IS NOT NULL")
    return Index(f"ix_{table}_{column}", column, *others, sqlite_where=where, postgresql_where=where)
