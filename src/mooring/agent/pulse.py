"""The pulse: a host says that it is alive, on a thread of its own, so that a busy agent is not taken for a dead one."""

import threading

import structlog

from mooring.agent.interfaces import Controller
from mooring.model.faults import Fault

EVERY = 1.0
_log = structlog.get_logger(__name__)


class Pulse:
    """Beats once a second until it is stopped; a beat that is lost is not made up for."""

    def __init__(self, controller: Controller, every: float = EVERY) -> None:
        """Keep the controller; nothing runs before `start`.  `every` is in seconds."""
        self._controller = controller
        self._every = every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="pulse", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _beat(self) -> None:
        while not self._stop.wait(self._every):
            try:
                self._controller.heartbeat()
            except Fault as fault:
                _log.debug("no pulse", reason=fault.reason)
