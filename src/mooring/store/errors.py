"""What a database's errors mean: a constraint that did its work, a database that is away, or a mistake of ours."""

import re
import sqlite3

from sqlalchemy.exc import DBAPIError, SQLAlchemyError
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


def translate(error: SQLAlchemyError) -> Exception:
    """Return what to raise instead of a database's error; the error itself if it is a mistake of ours."""
    if isinstance(error, PoolTimeoutError):
        return unavailable(str(error))
    if isinstance(error, DBAPIError) and isinstance(error.orig, sqlite3.Error):
        return _from_sqlite(error.orig) or error
    return error


def unavailable(detail: str) -> Unavailable:
    """Return the fault that says that the database is away; the detail goes to the log only."""
    return Unavailable("The database is not available.", detail=detail)


def is_refused_write(error: SQLAlchemyError) -> bool:
    """Say whether something was to be written that may only be read."""
    code = getattr(error.orig, "sqlite_errorcode", 0) if isinstance(error, DBAPIError) else 0
    return code & 0xFF == sqlite3.SQLITE_READONLY


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
