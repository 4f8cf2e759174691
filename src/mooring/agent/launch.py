"""The compute host's side of a launch: ask for the networks, then for the addresses; the rest follows from what the host then holds."""

import queue
import threading

import structlog

from mooring.agent.interfaces import Controller
from mooring.bus.messages import Remote, Request, current_request_id, working_on
from mooring.model.faults import Fault
from mooring.model.ids import InstanceId

_THREADS = 4
_log = structlog.get_logger(__name__)


class Launcher:
    """Takes launches off the bus's hands; a launch that fails or is lost is asked for again by the controller."""

    def __init__(self, controller: Controller) -> None:
        """Keep the controller; nothing runs before `start`."""
        self._controller = controller
        self._wanted: queue.SimpleQueue[tuple[InstanceId, str] | None] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._work, name=f"launch-{n}", daemon=True) for n in range(_THREADS)]

    def start(self) -> None:
        """Begin to work."""
        for thread in self._threads:
            thread.start()

    def run(self, instance: InstanceId) -> None:
        """Launch an instance, soon."""
        self._wanted.put((instance, current_request_id()))

    def stop(self) -> None:
        """Finish what is under way."""
        for _ in self._threads:
            self._wanted.put(None)
        for thread in self._threads:
            if thread.is_alive():
                thread.join()

    def launch(self, instance: InstanceId) -> None:
        """Launch an instance now."""
        try:
            self._controller.set_up_network(instance)
            self._controller.allocate_fixed_ips(instance)
        except Remote as fault:
            _log.info("launch given up", instance=instance, reason=fault.reason)
        except Fault as fault:
            _log.warning("launch interrupted", instance=instance, reason=fault.reason)

    def _work(self) -> None:
        while (wanted := self._wanted.get()) is not None:
            instance, request_id = wanted
            with working_on(Request(request_id=request_id)):
                self.launch(instance)
