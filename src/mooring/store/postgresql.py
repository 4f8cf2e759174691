"""PostgreSQL: its connections, and how its transactions begin.

Writers take turns, those of all processes: the first thing that a write transaction does is to take an advisory lock, which PostgreSQL
gives back when it ends, however it ends.  So a writer runs alone, as in SQLite, whatever it reads, decides and writes; READ COMMITTED is
enough, no transaction has to be repeated, and none can wait for another in a circle.  What that costs: docs/decisions/0021-postgresql.md.
Guarded statements and constraints stay as they are, for whoever writes without asking us.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, cast

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import URL, Connection, DateTime, Engine, create_engine, event, func, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine.interfaces import DBAPIConnection

from mooring.store.options import Options
from mooring.store.session import Database, Flavour

_READERS = 16
"""A connection is a process of the server, of which it has a hundred for all of us unless it is told otherwise."""

WRITERS = int.from_bytes(b"mooring")
"""The number of the advisory lock that writers take, migrations among them; of this database only, whatever others there are."""

_CONNECT = 5
"""For how many seconds a server may be silent when we come."""

_STATEMENTS = 500
"""How many statements a connection keeps prepared: all that there are."""

_WRITE = f"BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SELECT pg_advisory_xact_lock({WRITERS})"
_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

# Not now(), which is when the transaction began: it may have waited for its turn since.
_NOW = select(func.clock_timestamp(type_=DateTime(timezone=True)))

# The two take the same arguments: see Flavour.
FLAVOUR = Flavour(insert=postgresql.insert, savepoints=True)  # type: ignore[arg-type]  # takes the same arguments


@dataclass(frozen=True, slots=True)
class _Use:
    """What connections are for: how they call themselves, how many there may be, how transactions begin, and how long one may do nothing."""

    name: str
    size: int
    begin: str
    idle: float


def connect(url: URL, options: Options) -> Database:
    """Return the connections to a database, of which the first is made when it is used."""
    if url.get_driver_name() != "psycopg":
        raise ValueError(
            f"mooring speaks to PostgreSQL through psycopg, postgresql+psycopg://, and not {url.drivername}"
        )
    url = url.set(drivername="postgresql+psycopg")
    # A writer that is stopped in the middle keeps others waiting, and must not do so for longer than they are patient.
    writer = _Use("mooring writer", 1, _WRITE, options.patience / 2)
    # A pull of 100,000 subjects thinks for seconds between two statements.
    reader = _Use("mooring reader", options.readers or _READERS, _READ, options.patience * 6)
    return Database(
        writer=_engine(url, options, writer),
        readers=_engine(url, options, reader),
        flavour=FLAVOUR,
        before_migration=_without_limit,
        is_lost=_is_lost,
        clock=_clock,
    )


def _engine(url: URL, options: Options, use: _Use) -> Engine:
    settings = {
        # Whatever the server, the database or the role says: anything less loses acknowledged changes (reliability.md 2.5).
        "synchronous_commit": "on" if options.durable else "off",
        "lock_timeout": _milliseconds(options.patience),
        "statement_timeout": _milliseconds(3 * options.patience),
        "idle_in_transaction_session_timeout": _milliseconds(use.idle),
        # One who has gone must not stand in the queue of writers.
        "client_connection_check_interval": "2s",
        "timezone": "UTC",
    }
    given = url.query.get("options", ())
    said = [given] if isinstance(given, str) else [*given]
    said += [f"-c {key}={value}" for key, value in settings.items()]
    engine = create_engine(
        url,
        pool_size=use.size,
        max_overflow=0,
        pool_timeout=options.patience,
        connect_args={
            "application_name": use.name,
            "options": " ".join(said),
            # Of several hosts in the URL, the one that is not a standby.
            "target_session_attrs": "read-write",
            "connect_timeout": _CONNECT,
            # A server whose machine has gone says nothing at all.
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 3,
            "tcp_user_timeout": _milliseconds(options.patience),
            # Transactions begin as we say: see `begun`.
            "autocommit": True,
        },
    )

    def connected(connection: DBAPIConnection, _record: object) -> None:
        cast("psycopg.Connection[Any]", connection).prepared_max = _STATEMENTS

    def begun(connection: Connection) -> None:
        connection.exec_driver_sql(use.begin)

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", begun)
    return engine


def _milliseconds(seconds: float) -> str:
    return str(max(1, int(seconds * 1000)))


def _without_limit(connection: Connection) -> None:
    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")


def _clock(connection: Connection) -> Callable[[], datetime]:
    """Return the server's clock: one for all processes, and asked once in a transaction."""

    @cache
    def now() -> datetime:
        moment = connection.execute(_NOW).scalar_one()
        return moment.astimezone(UTC)

    return now


def _is_lost(connection: Connection) -> bool:
    """Say whether an error has ended the transaction: PostgreSQL would answer its COMMIT with a ROLLBACK, and no error."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)  # noqa: S101 - for the type checkers
    return driver.info.transaction_status is TransactionStatus.INERROR
