"""PostgreSQL as a private process: Debian's programs, data in the machine's own /run, reached by a socket there and by nothing else.

Durable as far as a laboratory needs it: a commit that was acknowledged survives kill -9 of the server, though not a power failure, which
would take all of /run with it.
"""

import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from mooring.lab.machine import LaboratoryFailed, Machine
from mooring.lab.program import Program

URL = "postgresql://mooring@/mooring?host=/run/postgresql"
_HOME = Path("/run/postgresql")
_LIBRARIES = Path("/usr/lib/postgresql")
_TIMEOUT = 60
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_directories": str(_HOME),
    "fsync": "off",
    "synchronous_commit": "on",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "300",
    # Not in /dev/shm, where a killed server would leave it.
    "dynamic_shared_memory_type": "mmap",
    "logging_collector": "off",
    "log_min_messages": "warning",
}


def prepare(machine: Machine) -> None:
    """Make an empty database on a machine.

    Raises:
        LaboratoryFailed: PostgreSQL isn't installed, or refuses.
    """
    home = machine.run / _HOME.name
    if (home / "data" / "PG_VERSION").exists():
        return
    home.mkdir(mode=0o755, exist_ok=True)
    if _user() is not None:
        shutil.chown(home, "postgres", "postgres")
    data = str(_HOME / "data")
    common = ["-A", "trust", "-U", "mooring", "--no-sync", "-E", "UTF8", "--locale=C.UTF-8"]
    _do(machine.enter(*_as_postgres(), str(_programs() / "initdb"), "-D", data, *common))
    _do(
        machine.enter(*_as_postgres(), str(_programs() / "postgres"), "--single", "-D", data, "postgres"),
        "CREATE DATABASE mooring;\n",
    )
    settings = "".join(f"{name} = '{value}'\n" for name, value in _SETTINGS.items())
    with (home / "data" / "postgresql.conf").open("a", encoding="utf-8") as file:
        file.write(settings)


class Server(Program):
    """The server: a first process and its children, one for each connection."""

    def kill(self) -> None:
        """Kill the first process, and return when its children have noticed: before that, no other server can start."""
        super().kill()
        deadline = time.monotonic() + _TIMEOUT
        while self._has_children() and time.monotonic() < deadline:
            time.sleep(0.02)

    def _has_children(self) -> bool:
        asked = self.machine.enter("pgrep", "-x", "postgres")
        return not subprocess.run(asked, check=False, timeout=_TIMEOUT, capture_output=True).returncode


def server(machine: Machine, log: Path) -> Program:
    """Return the server, not started."""
    command = (*_as_postgres(), str(_programs() / "postgres"), "-D", str(_HOME / "data"))
    socket = machine.run / _HOME.name / ".s.PGSQL.5432"

    def ready(_said: str) -> bool:
        asked = machine.enter(str(_programs() / "pg_isready"), "-q", "-h", str(_HOME))
        return (
            socket.exists() and not subprocess.run(asked, check=False, timeout=_TIMEOUT, capture_output=True).returncode
        )

    return Server("postgresql", machine, command, log, ready)


def _programs() -> Path:
    found = sorted(_LIBRARIES.glob("*/bin/postgres"), key=lambda path: float(path.parent.parent.name))
    if not found:
        raise LaboratoryFailed(
            "PostgreSQL is not installed (Debian package postgresql); --database sqlite does without."
        )
    return found[-1].parent


def _user() -> int | None:
    """Return the number of the user postgres, if we may become that user."""
    try:
        number = pwd.getpwnam("postgres").pw_uid
    except KeyError:
        return None
    spans = [line.split() for line in Path("/proc/self/uid_map").read_text(encoding="ascii").splitlines()]
    return number if any(int(first) <= number < int(first) + int(count) for first, _, count in spans) else None


def _as_postgres() -> Sequence[str]:
    """Return what runs a command as anybody but root, whom PostgreSQL refuses."""
    if _user() is not None:
        return ("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups")
    # An ordinary user is root in its sandbox and can't be anybody else there; in a user namespace below it, it can be called so.
    return ("unshare", "--user", "--map-user=1", "--map-group=1") if os.geteuid() == 0 else ()


def _do(command: Sequence[str], given: str = "") -> None:
    done = subprocess.run(command, input=given, capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines()[-3:]
        raise LaboratoryFailed("\n  ".join(["PostgreSQL can't be set up:", *words]))
