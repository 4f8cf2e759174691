"""Starts and stops guests beside the agent's loop, because that takes long and the loop must not wait."""

import contextlib
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from mooring.agent.interfaces import GuestFailure, Guests
from mooring.bus.messages import Request, working_on
from mooring.model.ids import InstanceId
from mooring.model.subjects import InstanceIntent

_THREADS = 2
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """Start a guest, or stop it where `guest` is None; `generation` is handed back with the outcome.

    `request_id` is of the API request that it is done for, if it is known.
    """

    instance: InstanceId
    generation: int
    guest: InstanceIntent | None
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a job; `error` is None for success."""

    job: Job
    error: str | None


class Crew:
    """A few threads that work on guests, one job per guest at a time."""

    def __init__(self, guests: Guests, done: Callable[[Outcome], None]) -> None:
        """Keep the driver and whom to tell; nothing runs before `start`."""
        self._guests = guests
        self._done = done
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._busy: set[InstanceId] = set()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._work, name=f"guests-{n}", daemon=True) for n in range(_THREADS)]

    def start(self) -> None:
        """Begin to work."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Finish what is under way."""
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def put(self, job: Job) -> bool:
        """Take a job; False if the guest is being worked on."""
        with self._lock:
            if job.instance in self._busy:
                return False
            self._busy.add(job.instance)
        self._jobs.put(job)
        return True

    def waiting(self) -> list[Job]:
        """Take the jobs that no thread has taken yet, for whoever works without threads."""
        jobs: list[Job] = []
        with contextlib.suppress(queue.Empty):
            while True:
                if (job := self._jobs.get_nowait()) is not None:
                    jobs.append(job)
        return jobs

    def work(self, job: Job) -> None:
        """Do one job, and tell of its outcome."""
        with working_on(Request(request_id=job.request_id)):
            error = self._try(job)
        with self._lock:
            self._busy.discard(job.instance)
        self._done(Outcome(job, error))

    def _try(self, job: Job) -> str | None:
        """Do a job; return what went wrong."""
        try:
            if job.guest is None:
                self._guests.stop(job.instance)
                _log.info("guest stopped", instance=job.instance)
            else:
                self._guests.start(job.guest)
                injected = [str(nic.injected.address) for nic in job.guest.nics if nic.injected]
                _log.info("guest runs", instance=job.instance, injected=injected)
        except GuestFailure as failure:
            return str(failure)
        except Exception as failure:  # noqa: BLE001 - whatever a driver does, the guest must not stay busy for ever
            _log.exception("guest driver failed", instance=job.instance)
            return f"{type(failure).__name__}: {failure}"
        return None

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            self.work(job)
