"""The database itself: connections, who may write when, and what its errors mean."""

import threading
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Self

from sqlalchemy import URL, Connection, Engine, RootTransaction, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from mooring.model.faults import Unavailable
from mooring.store import migrate
from mooring.store.errors import is_refused_write, translate, unavailable
from mooring.store.options import Options
from mooring.store.schema.columns import CLOCK
from mooring.store.session import Database, Session
from mooring.store.transaction import SqlTransaction

__all__ = ["Options", "SqlStore"]

_USUAL = Options()


class SqlStore:
    """See mooring.operations.interfaces.Store.

    There is one writer at a time, in SQLite by its nature and in PostgreSQL by an advisory lock.  Writers of one process therefore wait for
    each other here: SQLite's busy handler sleeps and wakes at random (measured with 16 writers, that made the slowest hundredth wait for
    half a second, docs/decisions/0020), and in PostgreSQL each would hold a connection while it waits.
    Readers each see the last committed state and neither wait for the writer nor make it wait.
    """

    def __init__(self, url: str, options: Options = _USUAL) -> None:
        """Open a database, and bring its schema up to date.

        Raises:
            Unavailable: it cannot be opened.
            SchemaFault: it is a newer mooring's, or not mooring's at all.
        """
        self._options = options
        self._database = _connect(make_url(url), options)
        self._writer, self._readers = self._database.writer, self._database.readers
        self._lock = threading.Lock()
        self._holder: int | None = None
        try:
            with self._exclusive(), self._connection(self._writer) as connection:
                self._database.before_migration(connection)
                migrate.upgrade(connection)
        except BaseException:
            self.close()
            raise

    @classmethod
    def open(cls, url: str, options: Options = _USUAL) -> Self:
        """Do the same, by a name that says what is done."""
        return cls(url, options)

    def close(self) -> None:
        """Close all connections; those in use are closed when they are given back."""
        self._readers.dispose()
        self._writer.dispose()

    def read(self) -> AbstractContextManager[SqlTransaction]:
        """Open a consistent snapshot."""
        return self._read()

    @contextmanager
    def _read(self) -> Generator[SqlTransaction]:
        with self._connection(self._readers) as connection:
            yield SqlTransaction(self._session(connection))

    def write(self) -> AbstractContextManager[SqlTransaction]:
        """Open a transaction that commits when left without an exception."""
        return self._write()

    @contextmanager
    def _write(self) -> Generator[SqlTransaction]:
        with self._exclusive(), self._connection(self._writer) as connection:
            yield SqlTransaction(self._session(connection))
            if self._database.is_lost(connection):
                raise RuntimeError(
                    "an error of the database was caught inside of a transaction: nothing of that can be kept"
                )

    def _session(self, connection: Connection) -> Session:
        now = self._options.now or self._database.clock(connection)
        # By which rows that count their changes say when they changed: see schema/columns.py.
        return Session(connection.execution_options(**{CLOCK: now}), self._database.flavour, now)

    @contextmanager
    def _exclusive(self) -> Generator[None]:
        me = threading.get_ident()
        if self._holder == me:
            raise RuntimeError("a write transaction inside a write transaction would wait for itself")
        if not self._lock.acquire(timeout=self._options.patience):
            raise unavailable(f"waited {self._options.patience} s for other writers")
        self._holder = me
        try:
            yield
        finally:
            self._holder = None
            self._lock.release()

    @contextmanager
    def _connection(self, engine: Engine) -> Generator[Connection]:
        """Give a connection in a transaction, and say what the database's errors mean.

        A connection over which the database turned out to be away is thrown away with what it believes about it.
        """
        try:
            connection, transaction = _begun(engine)
            with connection, transaction:
                try:
                    yield connection
                except SQLAlchemyError as error:
                    if isinstance(translate(error), Unavailable):
                        connection.invalidate()
                    raise
        except SQLAlchemyError as error:
            if engine is self._readers and is_refused_write(error):
                raise RuntimeError("a read transaction cannot write") from error
            meaning = translate(error)
            if meaning is error:
                raise
            raise meaning from error


def _connect(url: URL, options: Options) -> Database:
    # Each imports a driver, of which a process needs one.
    match url.get_backend_name():
        case "sqlite":
            from mooring.store import sqlite  # noqa: PLC0415

            return sqlite.connect(url, options)
        case "postgresql":
            from mooring.store import postgresql  # noqa: PLC0415

            return postgresql.connect(url, options)
        case other:
            raise ValueError(
                "mooring keeps its data in SQLite, sqlite:////path/to/file, or in PostgreSQL, postgresql+psycopg://user@host/name, "
                f"and not in {other}"
            )


def _begun(engine: Engine) -> tuple[Connection, RootTransaction]:
    """Return a connection in a transaction.

    One that was lost while it lay in the pool, since the server has been started anew, shows it now, where nothing has been done yet; then
    another is made, and nobody hears of it.
    """
    try:
        return _begin(engine)
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
    return _begin(engine)


def _begin(engine: Engine) -> tuple[Connection, RootTransaction]:
    connection = engine.connect()
    try:
        return connection, connection.begin()
    except BaseException:
        connection.close()
        raise
