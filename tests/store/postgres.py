"""A private PostgreSQL: Debian's programs, data in a directory of its own, reached by a socket there and by nothing else.

It ends with the process that started it, even one that is killed.  A commit that it acknowledged survives kill -9 of all its processes,
though not a power failure.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
from sqlalchemy import create_engine

from mooring.lab import database as laboratory
from mooring.store.schema import metadata

SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    # Otherwise it comes and goes while a test is timed, and a test is over before it is of use.
    "autovacuum": "off",
    "max_connections": "300",
    "shared_buffers": "64MB",
    "max_wal_size": "2GB",
    # Not in /dev/shm, where a killed server would leave it.
    "dynamic_shared_memory_type": "mmap",
    "log_min_messages": "fatal",
}
_SECONDS = 60


class Postgres:
    """One server."""

    def __init__(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="mooring-postgresql-"))
        # Whoever PostgreSQL runs as must get here.
        self.home.chmod(0o711)
        self._data = self.home / "of-postgres"
        self._data.mkdir()
        if laboratory._user() is not None:
            shutil.chown(self._data, "postgres", "postgres")
        self._as = laboratory._as_postgres()
        self._programs = laboratory._programs()
        self._process: subprocess.Popen[bytes] | None = None
        self._made = 0
        initdb = [str(self._programs / "initdb"), "-D", str(self._data / "data"), "-A", "trust", "-U", "mooring"]
        common = ["--no-sync", "--no-instructions", "-E", "UTF8", "--locale=C.UTF-8"]
        subprocess.run([*self._as, *initdb, *common], check=True, timeout=_SECONDS, stdout=subprocess.DEVNULL, cwd="/")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        settings = {**SETTINGS, "unix_socket_directories": str(self._data)}
        options = [option for name, value in settings.items() for option in ("-c", f"{name}={value}")]
        command = [str(self._programs / "postgres"), "-D", str(self._data / "data"), *options]
        # Last, so that the change of user doesn't make the kernel forget it.
        ending = ["setpriv", "--pdeathsig", "QUIT", "--"]
        with (self.home / "log").open("ab") as log:
            self._process = subprocess.Popen([*self._as, *ending, *command], stdout=log, stderr=log, cwd="/")
        deadline = time.monotonic() + _SECONDS
        while True:
            try:
                psycopg.connect(self.conninfo("postgres")).close()
            except psycopg.OperationalError:
                assert self._process.poll() is None, (self.home / "log").read_text()
                assert time.monotonic() < deadline, (self.home / "log").read_text()
                time.sleep(0.01)
            else:
                return

    def kill(self) -> None:
        """Kill all of its processes as `kill -9` does."""
        assert self._process is not None
        theirs = [self._process.pid, *_children(self._process.pid)]
        for pid in theirs:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait(timeout=_SECONDS)
        deadline = time.monotonic() + _SECONDS
        while any(Path(f"/proc/{pid}/root").exists() for pid in theirs) and time.monotonic() < deadline:
            time.sleep(0.005)
        self._process = None

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT is a fast shutdown, SIGTERM one that waits for clients."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(timeout=_SECONDS)
            self._process = None

    def remove(self) -> None:
        """End it and forget all of its data."""
        self.stop()
        shutil.rmtree(self.home)

    def conninfo(self, name: str) -> str:
        return f"host={self._data} user=mooring dbname={name}"

    def url(self, name: str) -> str:
        return f"postgresql+psycopg://mooring@/{name}?host={self._data}"

    def new(self, name: str | None = None) -> str:
        """Make an empty database; return its name."""
        self._made += 1
        name = name or f"test_{self._made}"
        self.do("postgres", f"CREATE DATABASE {name}")
        return name

    def drop(self, name: str) -> None:
        self.do("postgres", f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def do(self, database: str, *statements: str) -> None:
        with psycopg.connect(self.conninfo(database), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def ask(self, database: str, statement: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.conninfo(database), autocommit=True) as connection:
            return connection.execute(statement.encode()).fetchall()

    def empty(self, name: str) -> None:
        """Delete all rows: a tenth of the time that another database takes."""
        engine = create_engine(self.url(name))
        try:
            with engine.begin() as connection:
                for table in reversed(metadata.sorted_tables):
                    connection.execute(table.delete())
        finally:
            engine.dispose()


def _children(parent: int) -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                if int((entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[1]) == parent:
                    yield int(entry.name)
