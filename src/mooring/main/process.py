"""What every process does: log, start, wait for a signal, and stop in the opposite order."""

import contextlib
import gc
import signal
import sys
import threading
from collections.abc import Callable, Generator
from types import FrameType

import structlog

from mooring import logs
from mooring.config import LogSettings

_log = structlog.get_logger(__name__)


class Ending(threading.Event):
    """Is set when the process is to end: by a signal, or because it can't go on."""

    code = 0

    def fail(self) -> None:
        """End the process with a failure; whoever watches over it starts it anew."""
        self.code = 1
        self.set()


Start = Callable[[contextlib.ExitStack, Ending], None]


@contextlib.contextmanager
def _signals() -> Generator[Ending]:
    """Give an event that is set by SIGINT or SIGTERM."""
    done = Ending()

    def end(_number: int, _frame: FrameType | None) -> None:
        done.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield done
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def keep() -> None:
    """Take what is there now out of the garbage collector's sight, for it stays: to look at it stops all threads, 0.2 s each time."""
    gc.collect()
    gc.freeze()


def run(name: str, settings: LogSettings, start: Start) -> int:
    """Start, wait for SIGINT or SIGTERM, and stop what `start` put on its stack; return the exit code.

    `start` is given the event that a signal sets: what it waits for may not come before.
    """
    logs.configure(sys.stderr, process=name, json=settings.json_lines)
    with _signals() as done, contextlib.ExitStack() as stack:
        start(stack, done)
        keep()
        if not done.is_set():
            _log.info(f"{name} is up")
        done.wait()
        _log.info(f"{name} stops")
    return done.code
