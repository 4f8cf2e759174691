"""Where a laboratory runs that outlives the command that started it: one directory, by which other commands find it.

    owner       the process outside of the sandbox that ends everything when it ends
    lab.json    what there is, written from inside
    logs/  config/  bus/    see Laboratory

The kernel ends all processes of the sandbox when the owner dies, however it dies; then only this directory is left, and the next `up` or
`down` removes it.
"""

import json
import os
import select
import shutil
import signal
import stat
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mooring.lab.machine import NAMESPACES, LaboratoryFailed, child_of
from mooring.lab.wires import namespaces
from mooring.sandbox import MARK

if TYPE_CHECKING:
    from mooring.lab.laboratory import Laboratory

VARIABLE = "MOORING_LAB"
_END_SECONDS = 60.0


def usual_directory() -> Path:
    """Return where a user's laboratory is unless somebody says otherwise.  Not below /run, which the sandbox replaces by its own."""
    named = os.environ.get(VARIABLE)
    return Path(named) if named else Path(tempfile.gettempdir()) / f"mooring-lab-{os.getuid()}"


class Site:
    """One directory."""

    def __init__(self, directory: Path) -> None:
        """Name it."""
        self.directory = directory.absolute()

    @property
    def _owner(self) -> Path:
        return self.directory / "owner"

    @property
    def _described(self) -> Path:
        return self.directory / "lab.json"

    # ------------------------------------------------------------------------------------------------------- outside

    def claim(self) -> None:
        """Make this process the owner of a new laboratory there; what a dead one left is removed.

        Raises:
            LaboratoryFailed: there is one that lives, or the directory is somebody else's.
        """
        if self.owner() is not None:
            raise LaboratoryFailed(f"a laboratory runs already, in {self.directory}; `mooring lab down` ends it.")
        self.remove()
        try:
            self.directory.mkdir(mode=0o700, parents=True)
        except OSError as error:
            raise LaboratoryFailed(f"{self.directory} can't be made: {error.strerror}.") from error
        # Daemons that aren't root pass through it; what is secret in it is in directories that let nobody pass.
        self.directory.chmod(0o711)
        _write(self._owner, f"{os.getpid()} {_began(os.getpid())}\n")

    def owner(self) -> int | None:
        """Return the owner if it lives: a number alone may be another process's by now."""
        try:
            pid, began = (int(word) for word in self._owner.read_text(encoding="ascii").split())
            return pid if _began(pid) == began else None
        except (OSError, ValueError):
            return None

    def enter(self, *command: str) -> Sequence[str]:
        """Return a command that runs in the laboratory's sandbox, from outside of it.

        Raises:
            LaboratoryFailed: none runs.
        """
        owner = self.owner()
        if owner is None:
            raise LaboratoryFailed(f"no laboratory runs in {self.directory}; `mooring lab up` starts one.")
        try:
            first = child_of(owner)
        except ProcessLookupError as error:
            raise LaboratoryFailed("the laboratory is just ending.") from error
        own = os.stat("/proc/self/ns/user").st_ino  # noqa: PTH116 - Path.stat would say the same, in more words
        user = () if Path(f"/proc/{first}/ns/user").stat().st_ino == own else ("--user", "--preserve-credentials")
        marks = (f"{MARK}=1", f"{VARIABLE}={self.directory}")
        return ("nsenter", f"--target={first}", *user, "--mount", "--pid", "--", "env", *marks, *command)

    def end(self) -> bool:
        """End the laboratory and remove all that it left; say whether there was one."""
        owner = self.owner()
        if owner is not None:
            with suppress(ProcessLookupError):
                handle = os.pidfd_open(owner)
                try:
                    for number in (signal.SIGTERM, signal.SIGKILL):
                        signal.pidfd_send_signal(handle, number)
                        if select.select([handle], [], [], _END_SECONDS)[0]:
                            break
                finally:
                    os.close(handle)
        there = self.directory.exists()
        self.remove()
        return owner is not None or there

    def remove(self) -> None:
        """Remove the directory.

        Raises:
            LaboratoryFailed: it is not a laboratory's, or not ours.
        """
        try:
            status = self.directory.lstat()
        except FileNotFoundError:
            return
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
            raise LaboratoryFailed(f"{self.directory} is there, and is not a directory of yours.")
        if any(self.directory.iterdir()) and not self._owner.exists():
            raise LaboratoryFailed(f"{self.directory} holds something that is not a laboratory's.")
        shutil.rmtree(self.directory)

    # -------------------------------------------------------------------------------------------------------- inside

    def describe(self, lab: "Laboratory") -> None:
        """Write what there is now."""
        told = {
            "url": lab.url,
            "password": lab.password,
            "database": lab.plan.database,
            "vlans": lab.plan.vlans,
            "logs": str(lab.place.logs),
            "machines": {name: machine.pid for name, machine in lab.machines.items()},
            "namespaces": list(namespaces(lab.plan)),
            "programs": {name: program.pid if program.runs else 0 for name, program in lab.programs.items()},
        }
        _write(self._described, json.dumps(told, indent=1) + "\n")

    def described(self) -> Mapping[str, Any]:
        """Return what there is.

        Raises:
            LaboratoryFailed: nothing is known of a laboratory there.
        """
        try:
            known: Mapping[str, Any] = json.loads(self._described.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise LaboratoryFailed(f"no laboratory is up in {self.directory}; `mooring lab up` starts one.") from error
        return known

    @property
    def ready(self) -> bool:
        """Whether it has been described."""
        return self._described.exists()

    def at(self, name: str, *command: str) -> Sequence[str]:
        """Return a command that runs on a machine or in a namespace, from inside of the sandbox.

        Raises:
            LaboratoryFailed: there is nothing of that name.
        """
        known = self.described()
        if name in known["machines"]:
            entered = ("--mount", "--uts", "--ipc", "--net", "--pid")
            return ("nsenter", f"--target={known['machines'][name]}", *entered, "--", *command)
        if name in known["namespaces"]:
            return ("nsenter", f"--net={NAMESPACES / name}", "--", *command)
        raise LaboratoryFailed(f"there is no {name} here, but {', '.join([*known['machines'], *known['namespaces']])}.")


def _began(pid: int) -> int:
    """Return when a process began, in clock ticks since the machine did."""
    return int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19])


def _write(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    new = path.with_name(f".{path.name}.new")
    new.touch(mode=0o600)
    new.write_text(text, encoding="utf-8")
    new.rename(path)
