"""Processes that are measured from outside: what they say, how much memory they have, and how much time the processors gave them."""

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

_START = 120.0
_TIMEOUT = 900
_STOP = 20.0
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Memory:
    """In MiB: all that is resident, counted in every process that shares it, and counted in shares."""

    resident: float
    proportional: float


class Running:
    """A program with a log; its children are counted with it."""

    def __init__(self, name: str, command: Sequence[str], log: Path) -> None:
        """Start it."""
        self.name = name
        self._log = log
        with log.open("ab") as output:
            self._before = output.tell()
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )

    def wait_for(self, words: str) -> str:
        """Wait until it has said what a pattern matches, and return the pattern's first group.

        Raises:
            RuntimeError: it ended, or says nothing of the kind.
        """
        deadline = time.monotonic() + _START
        while True:
            said = self.said()
            if found := re.search(words, said):
                return found[1] if found.re.groups else found[0]
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("\n  ".join([f"{self.name} did not say {words!r}:", *said.splitlines()[-8:]]))
            time.sleep(0.01)

    def said(self) -> str:
        """Return what it has said."""
        with self._log.open("rb") as log:
            log.seek(self._before)
            return log.read().decode(errors="replace")

    def processor_time(self) -> float:
        """Return the seconds that all processors gave it, its children, and those of them that have ended."""
        return sum(_seconds(pid) for pid in _tree(self._process.pid))

    def memory(self) -> Memory:
        """Return how much memory it and its children have."""
        resident = proportional = 0
        for pid in _tree(self._process.pid):
            with contextlib.suppress(OSError):
                rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
                resident += int(re.findall(r"^Rss: +(\d+)", rollup, re.MULTILINE)[0])
                proportional += int(re.findall(r"^Pss: +(\d+)", rollup, re.MULTILINE)[0])
        return Memory(resident / 1024, proportional / 1024)

    def stop(self) -> None:
        """Ask it to end, and kill it if it doesn't."""
        self._process.terminate()
        try:
            self._process.wait(_STOP)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Obedient:
    """A process of the benchmark's own that obeys lines of JSON and answers each with one: see `obey`."""

    def __init__(self, module: str, *arguments: str) -> None:
        """Start it."""
        self._module = module
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, verb: str, **arguments: object) -> Any:
        """Let it do something, and return what it says.

        Raises:
            RuntimeError: it ended, with a word about it on its standard error.
        """
        pipe = self._pipe(self._process.stdin)
        pipe.write(json.dumps({"verb": verb, **arguments}) + "\n")
        pipe.flush()
        line = self._pipe(self._process.stdout).readline()
        if not line:
            raise RuntimeError(f"{self._module} ended with {self._process.wait()}")
        return json.loads(line)

    def processor_time(self) -> float:
        """Return the seconds that all processors gave it."""
        return _seconds(self._process.pid)

    def stop(self) -> None:
        """End it."""
        self._pipe(self._process.stdin).close()
        try:
            self._process.wait(_STOP)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _pipe(self, pipe: IO[str] | None) -> IO[str]:
        if pipe is None:
            raise RuntimeError("not started with pipes")
        return pipe


def obey(servant: object) -> None:
    """Do what standard input says, a method a line, until it ends."""
    for line in sys.stdin:
        order = json.loads(line)
        answer = getattr(servant, order.pop("verb"))(**order)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def eventually(truth: Callable[[], object], every: float = 0.02) -> None:
    """Wait until something is true.

    Raises:
        RuntimeError: it doesn't come true in a quarter of an hour.
    """
    deadline = time.monotonic() + _TIMEOUT
    while not truth():
        if time.monotonic() > deadline:
            raise RuntimeError("did not come true in time")
        time.sleep(every)


def _seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return 0.0
    # Its own user and system time, and that of children that it has waited for.
    return sum(int(field) for field in fields[11:15]) / _TICKS


def _tree(pid: int) -> Iterator[int]:
    yield pid
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text(encoding="ascii").split():
                yield from _tree(int(child))
