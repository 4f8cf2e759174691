"""SQLite: its connections, and how its transactions begin."""

import sqlite3

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine.interfaces import DBAPIConnection

from mooring.store.options import Options
from mooring.store.session import Database, Flavour

_READERS = 64
"""As many threads may read at once as an API server has: a reader costs a file descriptor."""

FLAVOUR = Flavour(insert=sqlite.insert, savepoints=False)


def connect(url: URL, options: Options) -> Database:
    """Return the connections to a file, which is opened when the first of them is used."""
    if url.database in (None, "", ":memory:") or "mode" in url.query:
        raise ValueError("mooring needs a file: a database in memory is another one for each of its connections")
    writer = _engine(url, options, size=1, begin="BEGIN IMMEDIATE")
    readers = _engine(url, options, size=options.readers or _READERS, begin="BEGIN")
    event.listen(readers, "connect", _read_only)
    return Database(writer, readers, FLAVOUR)


def _engine(url: URL, options: Options, *, size: int, begin: str) -> Engine:
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
