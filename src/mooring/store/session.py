"""One open transaction as the nouns use it: statements in, typed rows out, and refusals by constraints as exceptions of ours."""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVarTuple

from sqlalchemy import Connection, Delete, Engine, Executable, Insert, Row, Table, Update, insert
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.sql.selectable import TypedReturnsRows

from mooring.store.errors import translate

_Columns = TypeVarTuple("_Columns")


@dataclass(frozen=True, slots=True)
class Flavour:
    """Where the two databases differ in what the nouns have to know.

    `insert` makes an INSERT that knows ON CONFLICT (both databases have it, SQLAlchemy's common one hasn't; the two that it has take
    the same arguments).  `savepoints`: an error ends the transaction (PostgreSQL) unless a savepoint stands before it.
    """

    insert: Callable[[Table], sqlite.Insert]
    savepoints: bool


def _nothing(_connection: Connection) -> None:
    pass


def _never(_connection: Connection) -> bool:
    return False


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _this_machine(_connection: Connection) -> Callable[[], datetime]:
    return _utc_now


@dataclass(frozen=True, slots=True)
class Database:
    """Connections to one of the two databases.

    The writer's begin transactions that are alone among those that write, and the readers' see one state and cannot write.  `is_lost` says
    whether a commit would keep nothing, though it would not say so.  `clock` is the time that all who use the database agree on.
    """

    writer: Engine
    readers: Engine
    flavour: Flavour
    before_migration: Callable[[Connection], None] = _nothing
    is_lost: Callable[[Connection], bool] = _never
    clock: Callable[[Connection], Callable[[], datetime]] = _this_machine


@dataclass(frozen=True, slots=True)
class Session:
    """A connection in a transaction, and the clock."""

    connection: Connection
    flavour: Flavour
    now: Callable[[], datetime]

    def rows(self, statement: TypedReturnsRows[*_Columns], **parameters: object) -> Sequence[Row[*_Columns]]:
        """Return all rows."""
        return self.connection.execute(statement, parameters).all()

    def pieces(
        self, statement: TypedReturnsRows[*_Columns], size: int, **parameters: object
    ) -> Iterator[Sequence[Row[*_Columns]]]:
        """Return all rows, at most `size` of them at a time: no more are in memory, and in between others have their turn."""
        return self.connection.execute(statement, parameters).partitions(size)

    def row(self, statement: TypedReturnsRows[*_Columns], **parameters: object) -> Row[*_Columns] | None:
        """Return the first row, if there is one."""
        return self.connection.execute(statement, parameters).first()

    def change(self, statement: Executable, **parameters: object) -> int:
        """Carry out an INSERT, UPDATE or DELETE and return how many rows it changed."""
        return self.connection.execute(statement, parameters).rowcount

    def add(self, table: Table, **values: object) -> None:
        """Insert a row.

        Raises:
            Duplicate: a unique constraint refused it.
            Referenced: it names a row that is not there.
        """
        # Inline: PostgreSQL is not asked for the new `seq`, which nobody wants to know.
        self.refusable(insert(table).inline(), **values)

    def refusable(self, statement: Insert | Update | Delete, **parameters: object) -> int:
        """Carry out what a constraint may refuse; return how many rows it changed (of an INSERT, PostgreSQL's driver doesn't say).

        Raises:
            Duplicate: a unique constraint refused it.
            Referenced: a foreign key refused it.
        """
        with self.refusals():
            return self.change(statement, **parameters)

    def whole(self) -> AbstractContextManager[object]:
        """Give a call of several statements the promise that one has: if it is refused, nothing of it remains."""
        return self.connection.begin_nested()

    @contextmanager
    def refusals(self) -> Generator[None]:
        """Let constraints refuse what is done inside, and the transaction go on after that.

        Raises:
            Duplicate: a unique constraint refused it.
            Referenced: a foreign key refused it.
        """
        try:
            with self.whole() if self.flavour.savepoints else nullcontext():
                yield
        except IntegrityError as error:
            refusal = translate(error)
            if refusal is error:
                raise
            raise refusal from error
