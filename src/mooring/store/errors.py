"""What a database's errors mean: a constraint that did its work, a database that is away, or a mistake of ours."""

import re
import sqlite3

from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from mooring.model.faults import Unavailable
from mooring.model.records import Duplicate, Referenced

_UNIQUE = frozenset({sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY})

# ON DELETE RESTRICT is a trigger inside of SQLite, and says so.  There are no other triggers here.
_FOREIGN_KEY = frozenset({sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY, sqlite3.SQLITE_CONSTRAINT_TRIGGER})

# The low eight bits say what kind of error it is, the rest (SQLITE_IOERR_WRITE, SQLITE_BUSY_SNAPSHOT, ...) which of that kind.
_AWAY = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
    },
)

# PostgreSQL's: https://www.postgresql.org/docs/current/errcodes-appendix.html
_UNIQUE_VIOLATION, _FOREIGN_KEY_VIOLATION, _READ_ONLY = "23505", "23503", "25006"
_TAKEN = frozenset(
    {
        "40001",  # serialization_failure
        "40P01",  # deadlock_detected: cannot be among us, but somebody may look at our tables by hand
        "55P03",  # lock_not_available: lock_timeout
    },
)
_GONE_CLASSES = frozenset(
    {
        "08",  # connection exceptions
        "28",  # who we say we are is not believed
        "3D",  # no such database
        "53",  # disk full, out of memory, too many connections
        "57",  # shutting down, starting up, crashed, statement_timeout
        "58",  # errors of the system below
        "XX",  # corrupted data and indexes
    },
)
_GONE = frozenset(
    {
        "25P03",  # idle_in_transaction_session_timeout: we were stopped in the middle
        "40003",  # statement_completion_unknown
        _READ_ONLY,  # it has become a standby
    },
)


def translate(error: SQLAlchemyError) -> Exception:
    """Return what to raise instead of a database's error; the error itself if it is a mistake of ours."""
    if isinstance(error, PoolTimeoutError):
        return unavailable(str(error))
    if isinstance(error, DBAPIError) and isinstance(error.orig, sqlite3.Error):
        return _from_sqlite(error.orig) or error
    if isinstance(error, DBAPIError) and error.orig is not None:
        return _from_postgresql(error.orig, isinstance(error, OperationalError)) or error
    return error


def unavailable(detail: str, retry_after: int = 5) -> Unavailable:
    """Return the fault that says that the database is away; the detail goes to the log only."""
    return Unavailable("The database is not available.", retry_after=retry_after, detail=detail)


def is_refused_write(error: SQLAlchemyError) -> bool:
    """Say whether something was to be written that may only be read."""
    if not isinstance(error, DBAPIError):
        return False
    code = getattr(error.orig, "sqlite_errorcode", 0)
    return code & 0xFF == sqlite3.SQLITE_READONLY or getattr(error.orig, "sqlstate", None) == _READ_ONLY


def _from_sqlite(error: sqlite3.Error) -> Exception | None:
    code = getattr(error, "sqlite_errorcode", 0)
    if code in _UNIQUE:
        columns = re.sub(r"^.*failed: ", "", str(error))
        return Duplicate(f"{columns} must be unique")
    if code in _FOREIGN_KEY:
        # SQLite doesn't say which.
        return Referenced("another row needs this one, or this one a row that is not there")
    if code & 0xFF in _AWAY:
        name = getattr(error, "sqlite_errorname", "")
        return unavailable(f"{name}: {error}")
    return None


def _from_postgresql(error: BaseException, is_operational: bool) -> Exception | None:  # noqa: FBT001
    # psycopg is not imported here: who keeps data in SQLite needn't wait for it.
    state: str | None = getattr(error, "sqlstate", None)
    said = getattr(error, "diag", None)
    if state is None:
        # No answer of the server at all: it isn't there, or went in the middle.
        return unavailable(f"{type(error).__name__}: {error}") if is_operational else None
    if state == _UNIQUE_VIOLATION:
        table = getattr(said, "table_name", "")
        # "Key (instance, "position")=(..., 1) already exists."
        key = re.search(r"\((.*?)\)=", getattr(said, "message_detail", None) or "")
        names = key[1].replace('"', "").split(", ") if key else [str(getattr(said, "constraint_name", ""))]
        columns = ", ".join(f"{table}.{name}" for name in names)
        return Duplicate(f"{columns} must be unique")
    if state == _FOREIGN_KEY_VIOLATION:
        return Referenced("another row needs this one, or this one a row that is not there")
    if state in _TAKEN:
        return unavailable(f"{state}: {error}", retry_after=1)
    if state in _GONE or state[:2] in _GONE_CLASSES:
        return unavailable(f"{state}: {error}")
    return None
