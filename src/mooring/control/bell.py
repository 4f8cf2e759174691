"""Wakes agents, schedulers and waiting operations over the bus."""

import threading
import time
from collections.abc import Callable, Iterable

from mooring.bus import Bus
from mooring.bus.messages import ask
from mooring.bus.topics import SCHEDULER, SETTLED, host_topic
from mooring.model.ids import HostId, InstanceId

_POLL = 0.5


class BusBell:
    """Rings over a bus; implements what operations call a Bell."""

    def __init__(self, bus: Bus) -> None:
        """Listen for reports of hosts."""
        self._bus = bus
        self._rung = threading.Condition()
        self._count = 0
        bus.serve(SETTLED, self._ring)

    def _ring(self, _topic: str, _message: bytes) -> bytes:
        with self._rung:
            self._count += 1
            self._rung.notify_all()
        return b""

    def wake(self, hosts: Iterable[HostId]) -> None:
        """Tell agents that there is something to pull."""
        for host in hosts:
            self._bus.cast(host_topic(host), ask())

    def launch(self, instance: InstanceId) -> None:
        """Tell the scheduler that an instance wants a host."""
        self._bus.cast(SCHEDULER, ask(instance))

    def settled(self) -> None:
        """Tell waiting operations that hosts have reported."""
        self._bus.cast(SETTLED, ask())

    def wait_settled(self, done: Callable[[], bool], timeout: float) -> bool:
        """Wait for `done`, asked after each ring and twice a second without one: a ring may be lost."""
        deadline = time.monotonic() + timeout
        while True:
            with self._rung:
                seen = self._count
            if done():
                return True
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            with self._rung:
                if self._count == seen:
                    self._rung.wait(min(left, _POLL))
