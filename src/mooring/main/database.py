"""What an operator does with the database itself, beside or instead of the running processes: see docs/operating/backups.md."""

import contextlib
import time
from collections.abc import Generator, Sequence
from pathlib import Path

from mooring.config import ConfigurationError, Process, Settings, load, named, read
from mooring.main.clock import SystemClock
from mooring.main.service import open_store
from mooring.operations.epochs import EpochOperations, Laggard
from mooring.store import SchemaFault

_POLL = 0.5


def begin_epoch(config: Path | None, after: int) -> int:
    """Begin an epoch that comes after `after`; return its number.

    Raises:
        ConfigurationError: the file is wrong, or the database is not there or is not ours.
        Unavailable: it does not answer.
    """
    with _opened(config) as epochs:
        return epochs.begin(after)


def wait_for_hosts(config: Path | None, timeout: float) -> Sequence[Laggard]:
    """Wait until every host has followed the database, for at most so many seconds; return those that have not.

    Raises:
        ConfigurationError: the file is wrong, or the database is not there or is not ours.
        Unavailable: it does not answer.
    """
    deadline = time.monotonic() + timeout
    with _opened(config) as epochs:
        since = epochs.now()
        while (left := epochs.laggards(since)) and time.monotonic() < deadline:
            time.sleep(_POLL)
        return left


@contextlib.contextmanager
def _opened(config: Path | None) -> Generator[EpochOperations]:
    settings = _settings(config)
    kind, _, file = settings.database_url.partition(":///")
    if kind.startswith("sqlite") and not Path(file).exists():
        # Opening would make an empty one.
        raise ConfigurationError(f"there is no database {file}")
    try:
        store = open_store(settings)
    except SchemaFault as fault:
        raise ConfigurationError(str(fault)) from fault
    with contextlib.closing(store):
        yield EpochOperations(store, SystemClock())


def _settings(config: Path | None) -> Settings:
    """Return the settings of a process that has a database: of the API, or of all in one."""
    settings, _, _ = read(config or named())
    return load(config, Process.API if settings is not None and settings.bus is not None else Process.UP)
