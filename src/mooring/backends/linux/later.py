"""Work that is done some time after what called for it, unless it was called off meanwhile."""

import heapq
import itertools
import threading
import time
from collections.abc import Callable, Hashable, Iterable

import structlog

_log = structlog.get_logger(__name__)


class Later:
    """One thread that does work at its time.  Each piece has a subject: when the subject is called off, so is all its work."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        # When, which order, whether it is the order's last piece, about what, and what.
        self._queue: list[tuple[float, int, bool, Hashable, Callable[[], object]]] = []
        self._current: dict[Hashable, int] = {}
        self._busy: tuple[Hashable] | None = None
        self._count = itertools.count()
        self._thread: threading.Thread | None = None
        self._ended = False

    def do(self, subject: Hashable, delays: Iterable[float], work: Callable[[], object]) -> None:
        """Do `work` after each of the delays, in seconds, instead of what was to be done about this subject."""
        with self._condition:
            if self._ended:
                return
            number = self._current[subject] = next(self._count)
            now, waits = time.monotonic(), sorted(set(delays))
            for delay in waits:
                heapq.heappush(self._queue, (now + delay, number, delay == waits[-1], subject, work))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="later", daemon=True)
                self._thread.start()
            self._condition.notify()

    def call_off(self, subject: Hashable) -> None:
        """Do nothing more about a subject, from when this returns: it waits for what is being done about it at this moment."""
        with self._condition:
            self._current.pop(subject, None)
            self._condition.wait_for(lambda: self._busy != (subject,))

    def close(self) -> None:
        """Do nothing more at all."""
        with self._condition:
            self._ended = True
            self._queue.clear()
            self._condition.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while (work := self._next()) is not None:
            try:
                work()
            except Exception:  # noqa: BLE001 - the next piece of work has nothing to do with this one
                _log.exception("deferred work failed")
            with self._condition:
                self._busy = None
                self._condition.notify_all()

    def _next(self) -> Callable[[], object] | None:
        with self._condition:
            while not self._ended:
                while self._queue and self._queue[0][0] <= time.monotonic():
                    _, number, is_last, subject, work = heapq.heappop(self._queue)
                    if self._current.get(subject) == number:
                        if is_last:
                            del self._current[subject]
                        self._busy = (subject,)
                        return work
                self._condition.wait(self._queue[0][0] - time.monotonic() if self._queue else None)
            return None
