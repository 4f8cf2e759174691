"""Clients that are processes: they start together, and say what they did and how long it took."""

import multiprocessing
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import BrokenBarrierError
from typing import Any

TIMEOUT = 300
_fork = multiprocessing.get_context("fork")


@dataclass
class Deeds:
    """What one client did: a phase's name, when it began and ended, and how long each call took, in seconds."""

    began: dict[str, float] = field(default_factory=dict[str, float])
    ended: dict[str, float] = field(default_factory=dict[str, float])
    calls: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    def timed(self, name: str, call: Callable[[], Any]) -> Any:
        """Do a call and note its time."""
        start = time.perf_counter()
        result = call()
        self.calls.setdefault(name, []).append(time.perf_counter() - start)
        return result

    def phase(self, name: str, barrier: Any, work: Callable[[], None]) -> None:
        """Do a phase's work when all are ready for it."""
        barrier.wait(TIMEOUT)
        self.began[name] = time.monotonic()
        work()
        self.ended[name] = time.monotonic()


Work = Callable[[int, Deeds, Any], None]
"""What a client does, given its number, where to note it, and the barrier at which all of them wait."""


def crowd(clients: int, work: Work) -> list[Deeds]:
    """Let so many processes work, and return what each did; one that fails ends them all."""
    barrier = _fork.Barrier(clients)
    said = _fork.Queue()
    processes = [
        _fork.Process(target=_client, args=(work, number, barrier, said), daemon=True) for number in range(clients)
    ]
    for process in processes:
        process.start()
    try:
        deeds = [said.get(timeout=TIMEOUT) for _ in processes]
        for process in processes:
            process.join(TIMEOUT)
    finally:
        for process in processes:
            process.kill()
    failed = [deed for deed in deeds if isinstance(deed, str)]
    if failed:
        # The others only say that one has failed.
        raise RuntimeError(min(failed, key=lambda said: said.startswith(BrokenBarrierError.__name__)))
    return deeds


def rate(deeds: list[Deeds], phase: str, calls: tuple[str, ...]) -> float:
    """Return how many of some calls a second all clients made together in a phase."""
    count = sum(len(deed.calls.get(name, ())) for deed in deeds for name in calls)
    began, ended = min(deed.began[phase] for deed in deeds), max(deed.ended[phase] for deed in deeds)
    return count / (ended - began)


def _client(work: Work, number: int, barrier: Any, said: Any) -> None:
    deeds = Deeds()
    try:
        work(number, deeds, barrier)
    except BaseException as error:  # noqa: BLE001 - the process that waits for us must hear of it
        barrier.abort()
        said.put(f"{type(error).__name__}: {error}")
    else:
        said.put(deeds)
