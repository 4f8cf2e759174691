"""The simulated bus: what it carries may come late, twice, in another order, to one side only, or not at all."""

from dataclasses import dataclass, field
from functools import partial

from mooring.bus import DeadlineExceeded, Handler, NoResponder, Subscription
from mooring.bus.topics import kind_of, matches
from mooring.model.faults import Fault
from tests.simulation.baton import Process, Signal
from tests.simulation.surroundings import Surroundings


@dataclass(eq=False)
class _Served:
    bus: "SimulatedBus"
    process: Process
    topic: str
    handler: Handler
    group: str | None

    def close(self) -> None:
        if self in self.bus.served:
            self.bus.served.remove(self)


@dataclass(eq=False)
class _Answer:
    """What a caller waits for; only the first answer counts, as an inbox of its own ensures on NATS."""

    signal: Signal = field(default_factory=Signal)
    message: bytes | None = None


class SimulatedBus:
    """The part that all processes share."""

    def __init__(self, around: Surroundings) -> None:
        self.around = around
        self.served: list[_Served] = []

    def serving(self, topic: str) -> list[list[_Served]]:
        """Return who serves a topic, by group; a group's members stand together."""
        groups: dict[str, list[_Served]] = {}
        for number, one in enumerate(self.served):
            if one.process.alive and matches(one.topic, topic):
                groups.setdefault(one.group or f"\0{number}", []).append(one)
        return list(groups.values())

    def fate(self, sender: Process, receiver: Process) -> list[float]:
        """Return after which times a message arrives: never, once or more often."""
        around, faults, chance = self.around, self.around.faults, self.around.chance
        if around.is_cut(sender, receiver):
            around.reached("message lost to a partition")
            return []
        if around.happens(faults.drop):
            around.reached("message dropped")
            return []
        times = [chance.uniform(0.0005, 0.01)]
        if around.happens(faults.duplicate):
            around.reached("duplicate delivered")
            times.append(chance.uniform(0.0005, 2.0))
        if around.happens(faults.slow):
            around.reached("message late")
            times[0] += chance.uniform(0.05, 4.0)
        return times

    def deliver(self, sender: Process, one: _Served, topic: str, message: bytes, answer: _Answer | None) -> None:
        """Hand a message to a handler, however often fate wants it."""
        for delay in self.fate(sender, one.process):
            self.around.baton.later(delay, lambda: self._arrive(sender, one, topic, message, answer))

    def _arrive(self, sender: Process, one: _Served, topic: str, message: bytes, answer: _Answer | None) -> None:
        if not one.process.alive or self.around.is_cut(sender, one.process):
            return

        def handle() -> None:
            self.around.baton.note(f"{one.process.name} hears {kind_of(topic)}")
            try:
                said = one.handler(topic, message)
            except Fault as fault:
                # A cast that the database was away for: nobody is told.  Any other exception is a mistake, and ends the run.
                self.around.baton.note(f"not done: {fault.reason}")
                return
            if answer is not None:
                back = partial(self._answered, one.process, sender, answer, said)
                for delay in self.fate(one.process, sender):
                    self.around.baton.later(delay, back)

        self.around.baton.spawn(one.process, f"{one.process.name}/{kind_of(topic)}", handle)

    def _answered(self, sender: Process, receiver: Process, answer: _Answer, said: bytes) -> None:
        if receiver.alive and not self.around.is_cut(sender, receiver) and answer.message is None:
            answer.message = said
            self.around.baton.set(answer.signal)


class Endpoint:
    """See mooring.bus.Bus: the bus as one process has it."""

    def __init__(self, bus: SimulatedBus, process: Process) -> None:
        self._bus = bus
        self._process = process
        self._baton = bus.around.baton

    def call(self, topic: str, message: bytes, timeout: float) -> bytes:
        self._baton.check()
        self._baton.note(f"call {kind_of(topic)}")
        groups = self._bus.serving(topic)
        if not groups:
            self._baton.pause()
            raise NoResponder(topic)
        answer = _Answer()
        self._bus.deliver(self._process, self._bus.around.chance.choice(groups[0]), topic, message, answer)
        if not self._baton.wait(answer.signal, timeout):
            self._bus.around.reached("call not answered in time")
            raise DeadlineExceeded(topic)
        assert answer.message is not None
        return answer.message

    def cast(self, topic: str, message: bytes) -> None:
        self._baton.check()
        self._baton.note(f"cast {kind_of(topic)}")
        for group in self._bus.serving(topic):
            self._bus.deliver(self._process, self._bus.around.chance.choice(group), topic, message, None)
        self._baton.pause()

    def serve(self, topic: str, handler: Handler, group: str | None = None) -> Subscription:
        self._baton.check()
        served = _Served(self._bus, self._process, topic, handler, group)
        self._bus.served.append(served)
        return served

    def close(self) -> None:
        self._bus.served = [one for one in self._bus.served if one.process is not self._process]
