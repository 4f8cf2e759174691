"""Where this machine ends, before mooring does: kernel settings that hold for the whole machine, and where the database lies."""

import contextlib
import os
import resource
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from mooring.cli.doctor.check import Check, Lacking, Limited

_GROUP = "limits"

# setting below /proc/sys | what is enough | what less of it costs, where {} is what it is
_SETTINGS = (
    (
        "net/netfilter/nf_conntrack_max",
        65536,
        "All routers of this host together know at most {} connections; packets of further ones are dropped.",
    ),
    (
        "net/ipv4/neigh/default/gc_thresh3",
        4096,
        "Routers of this host together reach at most {} guests at a time.",
    ),
    (
        "fs/inotify/max_user_instances",
        512,
        "At most about {} networks can have a DHCP server on this host.",
    ),
)
_ENOUGH_FILES = 4096


def checks(config: Path | None) -> Iterator[Check]:
    """Return the checks of limits; `config` is the service's configuration file."""
    for path, enough, cost in _SETTINGS:
        yield Check(
            _GROUP, path.replace("/", "."), "How much this host can carry is not known.", _setting(path, enough, cost)
        )
    yield Check(_GROUP, "open files", "How much this host can carry is not known.", _files)
    yield Check(_GROUP, "database", "mooring can't keep what it is told.", _database(config), needed=True)


def _setting(path: str, enough: int, cost: str) -> Callable[[], str]:
    def attempt() -> str:
        file = Path("/proc/sys", path)
        if not file.exists():
            raise Lacking("this kernel does not show it")
        value = int(file.read_text(encoding="ascii"))
        if value < enough:
            raise Limited(str(value), f"{cost.format(value)} Raise it with sysctl -w.")
        return str(value)

    return attempt


def _files() -> str:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < _ENOUGH_FILES:
        raise Limited(
            str(hard), f"One process holds at most {hard} connections and devices open. Raise it with ulimit -n."
        )
    return str(soft)


def _database(config: Path | None) -> Callable[[], str]:
    def attempt() -> str:
        from mooring.config import ConfigurationError, load

        try:
            settings = load(config)
        except ConfigurationError as error:
            raise Lacking(str(error)) from error
        file = Path(settings.database_url.removeprefix("sqlite:///"))
        if not file.is_absolute():
            raise Limited(
                "it is not on this machine, and was not tried", "Whether it can be reached, `mooring up` will say."
            )
        try:
            return _try_out(file)
        except (Lacking, OSError) as failure:
            if config is None and "MOORING_CONFIG" not in os.environ and os.geteuid() != 0:
                # Nobody has said yet where it is to be; a demo has a place of its own.
                raise Limited(
                    f"{file}: {failure.strerror if isinstance(failure, OSError) else failure}",
                    "`mooring up` needs a configuration with a state_directory that this user can write to; demos don't.",
                ) from failure
            raise

    return attempt


def _try_out(file: Path) -> str:
    if file.exists():
        return _writable(file)
    place = next(parent for parent in file.parents if parent.exists())
    with tempfile.TemporaryDirectory(dir=place, prefix=".mooring-doctor-") as trial:
        _writable(Path(trial, "trial.db"))
    return f"{file} can be made"


def _writable(file: Path) -> str:
    """Take and give back the lock of writers, with the journal that mooring uses; nothing is changed."""
    with contextlib.closing(sqlite3.connect(file, timeout=2, isolation_level=None)) as connection:
        try:
            if connection.execute("PRAGMA journal_mode=WAL").fetchone() != ("wal",):
                raise Lacking(f"{file.parent} is a file system without shared memory")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise Lacking(f"{file}: {error}") from error
    return f"{file} can be written"
