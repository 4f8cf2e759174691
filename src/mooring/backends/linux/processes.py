"""Processes of this host, looked for among those that run: a file with a number in it proves nothing."""

import contextlib
import os
import pwd
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_PROC = Path("/proc")
_PATIENCE = 2.0


@dataclass(frozen=True, slots=True)
class Process:
    """A process and its command line."""

    id: int
    arguments: tuple[str, ...]

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it is still there."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.id, number)


def named(program: str) -> Iterator[Process]:
    """Return the processes that run a program."""
    wanted = f"{program}\n"
    for process in _PROC.iterdir():
        if not process.name.isdecimal():
            continue
        try:
            # The short name is in a small file of its own: most processes need no second look.
            if (process / "comm").read_text(encoding="utf-8", errors="replace") != wanted:
                continue
            line = (process / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if line:  # one that is dead and not yet buried has none
            yield Process(int(process.name), tuple(os.fsdecode(part) for part in line.rstrip(b"\0").split(b"\0")))


def network_namespace(id: int) -> int | None:
    """Return what identifies the network namespace of a process, None if it is no more."""
    try:
        return (_PROC / str(id) / "ns/net").stat().st_ino
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None


def end(id: int) -> None:
    """End a process and wait until it is gone; one that doesn't go in 2 seconds is killed."""
    try:
        handle = os.pidfd_open(id)
    except ProcessLookupError:
        return
    try:
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                signal.pidfd_send_signal(handle, number)
            except ProcessLookupError:
                return
            if _is_gone(id, _PATIENCE):
                return
    finally:
        os.close(handle)


@cache
def unprivileged() -> tuple[tuple[str, str], ...]:
    """Return as whom a daemon that gives up root shall run: nobody; or an empty text, for itself, in a user namespace without nobody."""
    try:
        nobody = pwd.getpwnam("nobody").pw_uid
        spans = [line.split() for line in Path("/proc/self/uid_map").read_text(encoding="ascii").splitlines()]
    except (KeyError, OSError):
        return (("user", ""), ("group", ""))
    if any(int(first) <= nobody < int(first) + int(count) for first, _, count in spans):
        return (("user", "nobody"), ("group", "nogroup"))
    return (("user", ""), ("group", ""))


def _is_gone(id: int, patience: float) -> bool:
    until = time.monotonic() + patience
    while time.monotonic() < until:
        try:
            state = (
                (_PROC / str(id) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
            )
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state in {"Z", "X"}:
            return True
        time.sleep(0.001)
    return False
