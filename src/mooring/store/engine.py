"""The database itself: connections, who may write when, and what its errors mean."""

import sqlite3
import threading
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import SQLAlchemyError

from mooring.model.faults import Unavailable
from mooring.store import migrate
from mooring.store.errors import is_refused_write, translate, unavailable
from mooring.store.session import Flavour, Session
from mooring.store.transaction import SqlTransaction

_READERS = 64
"""As many threads may read at once as an API server has."""

_PATIENCE = 10.0
"""For how many seconds a writer waits for those before it, of this process and then of others, and a reader for a connection."""

_SQLITE = Flavour(insert=sqlite.insert, savepoints=False)


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Options:
    """How to open a database.

    `durable=False` leaves out the waiting for the disk: for tests and simulations, where the machine doesn't lose power and hundreds of
    databases come and go.  `now` is the clock for what a store dates by itself.
    """

    durable: bool = True
    now: Callable[[], datetime] = _utc_now
    patience: float = _PATIENCE


class SqlStore:
    """See mooring.operations.interfaces.Store.

    SQLite has one writer at a time.  Writers therefore wait for each other here, on a lock, and not in SQLite's busy handler, which
    sleeps and wakes at random: measured with 16 writers, that made the slowest hundredth wait for half a second (docs/decisions/0020).
    Readers each see the last committed state and neither wait for the writer nor make it wait.
    """

    def __init__(self, url: str, options: Options = Options()) -> None:
        """Open a database, and bring its schema up to date.

        Raises:
            Unavailable: it cannot be opened.
            SchemaFault: it is a newer mooring's, or not mooring's at all.
        """
        parsed = make_url(url)
        if parsed.get_backend_name() != "sqlite":
            raise ValueError(
                f"mooring keeps its data in SQLite, sqlite:////path/to/file, and not in {parsed.get_backend_name()}"
            )
        if parsed.database in (None, "", ":memory:") or "mode" in parsed.query:
            raise ValueError("mooring needs a file: a database in memory is another one for each of its connections")
        self._options = options
        self._writer = _sqlite_engine(parsed, options, size=1, begin="BEGIN IMMEDIATE")
        self._readers = _sqlite_engine(parsed, options, size=_READERS, begin="BEGIN")
        event.listen(self._readers, "connect", _read_only)
        self._lock = threading.Lock()
        self._holder: int | None = None
        try:
            with self._exclusive(), self._connection(self._writer) as connection:
                migrate.upgrade(connection)
        except BaseException:
            self.close()
            raise

    @classmethod
    def open(cls, url: str, options: Options = Options()) -> Self:
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

    def _session(self, connection: Connection) -> Session:
        return Session(connection, _SQLITE, self._options.now)

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

        A connection over which the database turned out to be away is thrown away with what it believes about the file.
        """
        try:
            with engine.connect() as connection, connection.begin():
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


def _sqlite_engine(url: URL, options: Options, *, size: int, begin: str) -> Engine:
    engine = create_engine(
        url,
        pool_size=size,
        max_overflow=0,
        pool_timeout=options.patience,
        connect_args={"check_same_thread": False, "cached_statements": 256},
    )

    def connected(connection: DBAPIConnection, _record: object) -> None:
        assert isinstance(connection, sqlite3.Connection)  # noqa: S101 - for the type checkers
        # The module's own idea of when a transaction starts is wrong (before writes only): see `begun`.
        connection.isolation_level = None
        # For other processes only: in this one a lock keeps writers apart.
        connection.execute(f"PRAGMA busy_timeout = {int(options.patience * 1000)}")
        connection.execute("PRAGMA journal_mode = WAL")
        # Anything less loses acknowledged changes when the power fails: 46 % of them, measured (reliability.md 2.5).
        connection.execute(f"PRAGMA synchronous = {'FULL' if options.durable else 'OFF'}")
        connection.execute("PRAGMA foreign_keys = ON")

    def begun(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", begun)
    return engine


def _read_only(connection: DBAPIConnection, _record: object) -> None:
    assert isinstance(connection, sqlite3.Connection)  # noqa: S101 - for the type checkers
    connection.execute("PRAGMA query_only = ON")
