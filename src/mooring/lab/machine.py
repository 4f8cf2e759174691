"""A machine of the laboratory: network, processes, mounts, host name and shared memory of its own, and a first process that reaps.

It has a /run of its own, which the laboratory sees as a directory; the rest of the file system is the caller's.  What runs on it is entered
from outside and belongs to it from then on: a killed agent's guests stay, as on a real host, and all ends with the machine.
"""

import errno
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

NAMESPACES = Path("/run/netns")
_INIT = Path(__file__).with_name("init.sh")
_START_SECONDS = 20
_POLL = 0.02


class LaboratoryFailed(Exception):
    """The laboratory can't be built or used as asked; the message says why, and what to do."""


class Machine:
    """One machine; `run` is the directory that is its /run."""

    def __init__(self, name: str, run: Path) -> None:
        """Name it; nothing is there before `boot`."""
        self.name = name
        self.run = run
        self.pid = 0
        self._holder: subprocess.Popen[str] | None = None
        self._entrances: list[subprocess.Popen[bytes]] = []

    def boot(self) -> None:
        """Bring it up, with nothing on it but loopback.

        Raises:
            LaboratoryFailed: with the reason that the system gave.
        """
        busybox = shutil.which("busybox")
        if busybox is None:
            raise LaboratoryFailed("busybox is not installed (Debian package busybox-static).")
        self.run.mkdir(mode=0o755, parents=True, exist_ok=True)
        path = NAMESPACES / self.name
        path.touch()
        # Not --net=PATH, which gives unshare a second child for a moment, and us the wrong one on a loaded machine.
        own = ["--net", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child"]
        self._holder = subprocess.Popen(
            ["unshare", *own, "--", busybox, "sh", str(_INIT), self.name, str(self.run)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "BUSYBOX": busybox},
            start_new_session=True,
        )
        said = self._holder.stdout.readline() if self._holder.stdout else ""
        if said != "up\n":
            self.power_off()
            raise LaboratoryFailed(f"machine {self.name} does not come up: {said.strip() or 'it does not say why'}")
        self.pid = child_of(self._holder.pid)
        subprocess.run(["mount", "--bind", f"/proc/{self.pid}/ns/net", path], check=True, timeout=_START_SECONDS)

    @property
    def on(self) -> bool:
        """Whether it runs."""
        return self._holder is not None and self._holder.poll() is None

    def enter(self, *command: str) -> Sequence[str]:
        """Return a command that runs on the machine."""
        return (
            "nsenter",
            f"--target={self.pid}",
            *("--mount", "--uts", "--ipc", "--net", "--pid"),
            "--",
            *command,
        )

    def start(self, command: Sequence[str], output: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start a program on the machine and return what entered it for that; the program is its child."""
        entrance = subprocess.Popen(
            self.enter(*command),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            start_new_session=True,
        )
        self._entrances = [each for each in self._entrances if each.poll() is None] + [entrance]
        return entrance

    def at(self, namespace: str, *command: str) -> Sequence[str]:
        """Return a command that runs in the network of a named namespace of the machine: a guest's, or a router's."""
        return ("nsenter", f"--net=/proc/{self.pid}/root{NAMESPACES / namespace}", "--", *command)

    def power_off(self) -> None:
        """End it at once, with all that runs on it; what is in its /run stays, as a disk would."""
        if self._holder is None:
            return
        with suppress(ProcessLookupError):
            os.kill(self.pid or self._holder.pid, signal.SIGKILL)
        # Who is stopped with what it started would not bury it, and the machine ends with its last process.
        for entrance in self._entrances:
            entrance.kill()
            entrance.wait(timeout=_START_SECONDS)
        self._holder.wait(timeout=_START_SECONDS)
        if self._holder.stdout:
            self._holder.stdout.close()
        self._holder = None
        self.pid = 0
        forget(self.name)


def forget(name: str) -> None:
    """Take a namespace's name away.

    Raises:
        OSError: it can't be.
    """
    path = NAMESPACES / name
    deadline = time.monotonic() + _START_SECONDS
    while True:
        subprocess.run(["umount", "--lazy", str(path)], check=False, timeout=30, capture_output=True)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            # Who was interrupted while it made the name has left a child that does so only now.
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise
            time.sleep(_POLL)
        else:
            return


def child_of(parent: int) -> int:
    """Return the only child of a process.

    Raises:
        ProcessLookupError: it has none.
    """
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                if (
                    int((entry / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[1])
                    == parent
                ):
                    return int(entry.name)
    raise ProcessLookupError(f"process {parent} has no child")
