"""One process on a machine: started, asked whether it is ready, killed, paused, continued."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from mooring.lab.machine import LaboratoryFailed, Machine, child_of

_STOP_SECONDS = 15.0
_POLL = 0.02


class Program:
    """A program of a machine; what it says goes to a log file.

    `ready` says whether it does its work, given what it has said since it was started.
    """

    def __init__(
        self, name: str, machine: Machine, command: Sequence[str], log: Path, ready: Callable[[str], bool]
    ) -> None:
        """Name it; nothing runs before `start`."""
        self.name = name
        self.machine = machine
        self.command = tuple(command)
        self.log = log
        self._ready = ready
        self._entrance: subprocess.Popen[bytes] | None = None
        self._pid = 0
        self._said_before = 0

    def start(self) -> None:
        """Start it, if it doesn't run; see `wait`."""
        if self.runs:
            return
        with self.log.open("ab") as output:
            self._said_before = output.tell()
            self._entrance = self.machine.start(self.command, output)
        self._pid = 0

    @property
    def runs(self) -> bool:
        """Whether there is a process of it, even one that is paused."""
        return self._entrance is not None and self._entrance.poll() is None

    @property
    def ready(self) -> bool:
        """Whether it runs and does its work."""
        return self.runs and self._ready(self.said())

    @property
    def pid(self) -> int:
        """Return its number, as the laboratory counts.

        Raises:
            ProcessLookupError: it doesn't run.
        """
        if self._entrance is None or self._entrance.poll() is not None:
            raise ProcessLookupError(f"{self.name} does not run")
        if not self._pid:
            # What we started only enters the machine; its child is on the machine.
            deadline = time.monotonic() + _STOP_SECONDS
            while not self._pid:
                try:
                    self._pid = child_of(self._entrance.pid)
                except ProcessLookupError:
                    if self._entrance.poll() is not None or time.monotonic() > deadline:
                        raise
                    time.sleep(_POLL)
        return self._pid

    def said(self) -> str:
        """Return what it has said since it was started."""
        with self.log.open("rb") as log:
            log.seek(self._said_before)
            return log.read().decode(errors="replace")

    def wait(self, timeout: float = 60.0) -> None:
        """Wait until it does its work.

        Raises:
            LaboratoryFailed: it ended, or was not ready in time; with its last words.
        """
        deadline = time.monotonic() + timeout
        while not self.ready:
            if not self.runs or time.monotonic() > deadline:
                why = "is not ready" if self.runs else "has ended"
                words = self.said().strip().splitlines()[-5:]
                raise LaboratoryFailed("\n  ".join([f"{self.name} {why}; its last words in {self.log}:", *words]))
            time.sleep(_POLL)

    def kill(self) -> None:
        """Kill it as `kill -9` does, and return when it is gone."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ask it to end, kill it if it doesn't, and return when it is gone."""
        try:
            self._end(signal.SIGTERM)
        except subprocess.TimeoutExpired:
            self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Stop it where it is, with SIGSTOP."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)
        self._wake_entrance()

    def reload(self) -> None:
        """Let it read its configuration again, with SIGHUP."""
        os.kill(self.pid, signal.SIGHUP)

    def _end(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)
            if number != signal.SIGKILL:
                # One that is paused would not hear of it.
                os.kill(self.pid, signal.SIGCONT)
            self._wake_entrance()
        if self._entrance is not None:
            self._entrance.wait(timeout=_STOP_SECONDS)

    def _wake_entrance(self) -> None:
        """Wake what entered the machine: it stops when the program does, as shells expect, and then tells nobody of its end."""
        if self._entrance is not None:
            self._entrance.send_signal(signal.SIGCONT)
