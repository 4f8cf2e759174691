"""Controllers and API servers: the real operations in processes that die and come back."""

from collections.abc import Callable
from typing import Generic, TypeVar
from unittest.mock import patch

from mooring.control.bell import BusBell
from mooring.control.controller import Controller
from mooring.model.faults import Fault
from mooring.model.nouns import Flavor, Image, NetworkKind, Resource
from mooring.operations import Door, Limits, Operations
from tests.simulation.baton import Baton, Process, Signal
from tests.simulation.bus import Endpoint, SimulatedBus
from tests.simulation.database.engine import Database, MemoryStore
from tests.simulation.surroundings import CONTROL, SimulatedChance, SimulatedGate, Surroundings

T = TypeVar("T")
IMAGE, FLAVOR = Image("image", "image", 1), Flavor("1", "tiny", 1, 1, 1)
_POLL = 0.5


class SimulatedBell(BusBell):
    """The real bell; only its waiting is the simulation's."""

    def __init__(self, endpoint: Endpoint, baton: Baton) -> None:
        self._baton = baton
        self._signal = Signal()
        super().__init__(endpoint)

    def _ring(self, _topic: str, _message: bytes) -> bytes:
        self._baton.set(self._signal)
        return b""

    def wait_settled(self, done: Callable[[], bool], timeout: float) -> bool:
        """Wait as the real one does: ask after each ring, and now and then without one."""
        deadline = self._baton.now + timeout
        while True:
            self._signal.is_set = False
            if done():
                return True
            left = deadline - self._baton.now
            if left <= 0:
                return False
            self._baton.wait(self._signal, min(left, _POLL))


class _NoHasher:
    """Passwords are not what is simulated."""

    def hash(self, password: str) -> str:
        return password

    def verify(self, hashed: str, password: str) -> bool:
        return hashed == password


def limits(quota: int) -> Limits:
    """Return the limits of the simulated installation."""
    return Limits(
        quotas=dict.fromkeys(Resource, quota),
        settle_timeout=2.0,
        liveness=10.0,
        vlans=range(100, 110),
        vxlans=range(5000, 5010),
        first_network=None,
        own_kind=NetworkKind.VXLAN,
    )


def operations(
    around: Surroundings, bus: SimulatedBus, database: Database, process: Process, quota: int
) -> tuple[Operations, Endpoint]:
    """Build the real operations for a process."""
    endpoint = Endpoint(bus, process)
    store = MemoryStore(database, around.database_now, SimulatedGate(around, process))
    bell = SimulatedBell(endpoint, around.baton)
    door = Door(store, bell, SimulatedChance(around), limits(quota), (IMAGE,), (FLAVOR,))
    with patch("mooring.operations.passwords.PasswordHasher", _NoHasher):
        return Operations(door), endpoint


class ControllerProcess:
    """The real controller in a process."""

    def __init__(self, around: Surroundings, bus: SimulatedBus, database: Database, number: int, quota: int) -> None:
        self.process = around.process(f"controller-{number}", f"{CONTROL}-{number}")
        self._around = around
        self._make: Callable[[], tuple[Operations, Endpoint]] = lambda: operations(
            around, bus, database, self.process, quota
        )
        around.baton.spawn(self.process, self.process.name, self._run)

    def _run(self) -> None:
        real, endpoint = self._make()
        controller = Controller(real, endpoint)
        controller.serve()
        while True:
            self._around.baton.sleep(self._around.chance.uniform(0.9, 1.1))
            controller.repeat()


class Lost(Exception):
    """The client does not know what became of its request."""


class _Answer(Generic[T]):
    def __init__(self) -> None:
        self.signal = Signal()
        self.value: list[T] = []
        self.fault: Fault | None = None
        self.lost = False


class ApiProcess:
    """The real operations behind a simulated HTTP connection."""

    def __init__(self, around: Surroundings, bus: SimulatedBus, database: Database, number: int, quota: int) -> None:
        self.process = around.process(f"api-{number}", f"{CONTROL}-{number}")
        self.waiting: dict[_Answer, None] = {}
        self.operations: Operations | None = None
        self._around = around
        self._make: Callable[[], tuple[Operations, Endpoint]] = lambda: operations(
            around, bus, database, self.process, quota
        )
        around.baton.spawn(self.process, self.process.name, self._run)

    def _run(self) -> None:
        self.operations, _ = self._make()

    def hang_up(self) -> None:
        """Break the connections of a process that has died."""
        for answer in list(self.waiting):
            answer.lost = True
            self._around.baton.set(answer.signal)

    def request(self, name: str, call: Callable[[Operations], T], over: Callable[[], None]) -> T:
        """Make a call as a client over HTTP; `over` is called once the server is done with it, whatever became of it.

        Raises:
            Lost: the connection broke, before or after the call was carried out.
        """
        baton, faults = self._around.baton, self._around.faults
        real = self.operations
        if not self.process.alive or real is None or self._around.happens(faults.request_lost):
            baton.pause()
            over()
            raise Lost
        answer: _Answer[T] = _Answer()
        self.waiting[answer] = None

        def serve() -> None:
            try:
                answer.value.append(call(real))
            except Fault as fault:
                answer.fault = fault
            finally:
                over()
            if self._around.happens(faults.answer_lost):
                self._around.reached("answer to a client lost")
                answer.lost = True
            baton.set(answer.signal)

        baton.spawn(self.process, f"{self.process.name}/{name}", serve)
        baton.wait(answer.signal, 60.0)
        self.waiting.pop(answer, None)
        if answer.lost or not answer.signal.is_set:
            raise Lost
        if answer.fault is not None:
            raise answer.fault
        return answer.value[0]
