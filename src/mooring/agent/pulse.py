"""The pulse: a host says who it is, and then that it is alive, on a thread of its own: a busy agent must not be taken for a dead one."""

import threading
from collections.abc import Callable
from typing import Protocol

import structlog

from mooring.bus.messages import Registration, Remote
from mooring.model.faults import Conflict, Fault, NotFound, Unavailable

EVERY = 1.0
_log = structlog.get_logger(__name__)


class Registrar(Protocol):
    """What the pulse asks of the controller; each call may raise a Fault."""

    def register(self, registration: Registration) -> None:
        """Say who this host is; a Conflict if another machine is."""
        ...

    def heartbeat(self, machine: str) -> None:
        """Say that this host is alive; NotFound if it has to register, Conflict if another machine has its name by now."""
        ...


class Pulse:
    """Beats once a second until it is stopped; a beat that is lost is not made up for.

    When the controller says that another machine has the host's name, `ousted` is called, and the pulse ends.
    """

    def __init__(
        self,
        controller: Registrar,
        registration: Registration,
        *,
        ousted: Callable[[], None] = lambda: None,
        every: float = EVERY,
    ) -> None:
        """Keep the controller and what to tell it; nothing runs before `start`.  `every` is in seconds."""
        self._ousted = ousted
        self._controller = controller
        self._registration = registration
        self._trouble: str | None = "The controller has not answered yet."
        self._every = every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="pulse", daemon=True)

    def register(self) -> None:
        """Say who this host is.

        Raises:
            Fault: the controller is away.
            Remote: it refuses.
        """
        self._heard(lambda: self._controller.register(self._registration))

    def check(self) -> None:
        """Do nothing if the controller answered lately.

        Raises:
            Unavailable: it did not, or refused.
        """
        if self._trouble is not None:
            raise Unavailable(self._trouble)

    def _heard(self, ask: Callable[[], None]) -> None:
        try:
            ask()
        except (Fault, Remote) as fault:
            self._trouble = fault.reason
            raise
        self._trouble = None

    def let_in(self, done: threading.Event) -> bool:
        """Register, as often as it takes; return False if `done` was set before."""
        told = ""
        while not done.is_set():
            try:
                self.register()
            except (Fault, Remote) as fault:
                if fault.reason != told:
                    told = fault.reason
                    _log.warning("not let in; the host stays as it is", reason=fault.reason)
                done.wait(self._every)
            else:
                return True
        return False

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
                self.beat()
            except (Fault, Remote) as fault:
                _log.debug("no pulse", reason=fault.reason)
                if isinstance(fault, Remote) and issubclass(fault.kind, Conflict):
                    # Two that do the same addresses are worse than one that does not.
                    _log.error("another machine has this host's name; the host stays as it is", reason=fault.reason)
                    self._ousted()
                    return

    def beat(self) -> None:
        """Beat once.

        Raises:
            Fault: the controller is away.
            Remote: it refuses.
        """
        try:
            self._heard(lambda: self._controller.heartbeat(self._registration.machine))
        except Remote as fault:
            if not issubclass(fault.kind, NotFound):
                raise
            # It was forgotten: the database is an older one, or somebody removed the host.
            self.register()
