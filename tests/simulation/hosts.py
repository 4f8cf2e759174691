"""Simulated hosts: a kernel that outlives its agent and dies with the power, guests, and the real agent on top."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from ipaddress import IPv4Address

from mooring.agent.crew import Job
from mooring.agent.interfaces import GuestFailure
from mooring.agent.launch import Launcher
from mooring.agent.loop import Agent
from mooring.agent.pulse import Pulse
from mooring.agent.remote import RemoteController
from mooring.backends.fake import FakeBackend
from mooring.bus.messages import Registration, decode_request, load_instance, working_on
from mooring.bus.topics import compute_topic, host_topic
from mooring.compile.facts import Delta, HostState, Place, Refused
from mooring.model.faults import Fault
from mooring.model.ids import HostId, InstanceId, host_id
from mooring.model.subjects import InstanceIntent
from mooring.model.traits import Traits
from tests.simulation.baton import Process, Signal
from tests.simulation.bus import Endpoint, SimulatedBus
from tests.simulation.surroundings import Surroundings

_PULSE = 2.0


@dataclass
class Machine:
    """What there is of a host without any software of ours."""

    registration: Registration
    kernel: FakeBackend
    guests: set[InstanceId] = field(default_factory=set)
    agent: "AgentProcess | None" = None
    declared_dead: bool = False
    looks: int = 0

    @property
    def name(self) -> str:
        return self.registration.name

    @property
    def id(self) -> HostId:
        return host_id(self.name)

    @classmethod
    def build(cls, number: int, *, gateway: bool) -> "Machine":
        name = f"host-{number}"
        said = Registration(
            name=name,
            machine=f"machine-{number}",
            compute=True,
            gateway=gateway,
            cluster="default",
            endpoint=IPv4Address("192.0.2.0") + number,
            vlan_interface="trunk0",
            trunk_interface="flat0",
        )
        return cls(said, FakeBackend(bridges=("br0",)))

    def lose_power(self) -> None:
        """Forget everything that is not on disk; nothing of ours is."""
        self.kernel.state.clear()
        self.guests.clear()


class SimulatedBackend:
    """The machine's kernel, as one agent process reaches it; a crash may come in the middle of a change."""

    traits = Traits("simulated")

    def __init__(self, around: Surroundings, process: Process, machine: Machine) -> None:
        self._around = around
        self._process = process
        self._machine = machine

    def read(self, place: Place | None = None) -> HostState:
        self._around.baton.pause()
        return self._machine.kernel.read(place)

    def apply(self, delta: Delta) -> None:
        around, kernel = self._around, self._machine.kernel
        around.baton.pause()
        around.kernels_changed = True
        dies = around.happens(around.faults.crash_in_apply)
        if dies or around.happens(around.faults.tear):
            kernel.tear(around.chance.randrange(6))
            around.reached("torn apply")
        elif around.happens(around.faults.refuse):
            kernel.refuse()
            around.reached("refused apply")
        around.baton.note(f"apply +{len(delta.put)} -{len(delta.drop)}")
        try:
            kernel.apply(delta)
        except Refused as refusal:
            around.baton.note(f"refused: {refusal}")
            if not dies:
                raise
        if dies:
            around.reached("agent died in the middle of a change")
            around.baton.kill(self._process)

    def watch(self, doubt: Callable[[Place], None]) -> None:
        self._machine.kernel.watch(lambda place: doubt(place) if self._process.alive else None)

    def close(self) -> None:
        """Do nothing."""


class SimulatedGuests:
    """The machine's guests, as one agent process starts and stops them."""

    def __init__(self, around: Surroundings, process: Process, machine: Machine) -> None:
        self._around = around
        self._process = process
        self._machine = machine

    def start(self, guest: InstanceIntent) -> None:
        around = self._around
        around.baton.sleep(around.chance.uniform(0.01, 0.5))
        if around.happens(around.faults.guest_fails):
            around.reached("guest failed to start")
            raise GuestFailure("simulated: no room")
        if around.happens(around.faults.crash_in_launch):
            around.reached("agent died while a guest started")
            around.baton.kill(self._process)
        around.baton.note(f"guest {guest.id[:8]} runs")
        self._machine.guests.add(guest.id)

    def stop(self, guest: InstanceId) -> None:
        self._around.baton.sleep(self._around.chance.uniform(0.01, 0.2))
        self._around.baton.note(f"guest {guest[:8]} stopped")
        self._machine.guests.discard(guest)

    def list(self) -> tuple[InstanceId, ...]:
        self._around.baton.check()
        return tuple(sorted(self._machine.guests))


class AgentProcess:
    """The real agent, launcher and pulse in a process that can die."""

    def __init__(self, around: Surroundings, bus: SimulatedBus, machine: Machine) -> None:
        self.machine = machine
        self.process = around.process(f"agent@{machine.name}", machine.name)
        self._around = around
        self._baton = around.baton
        self._bus = Endpoint(bus, self.process)
        self._something = Signal()
        remote = RemoteController(self._bus, machine.id)
        self.agent = Agent(
            remote,
            SimulatedBackend(around, self.process, machine),
            SimulatedGuests(around, self.process, machine),
            monotonic=lambda: around.baton.now,
        )
        self._launcher = Launcher(remote)
        self._pulse = Pulse(remote, machine.registration)
        self._baton.spawn(self.process, self.process.name, self._run)

    def _run(self) -> None:
        while True:
            try:
                self._pulse.register()
            except Fault as fault:
                self._baton.note(f"not let in: {fault.reason}")
                self._baton.sleep(1.0)
            else:
                break
        self.machine.declared_dead = False
        self._bus.serve(host_topic(self.machine.id), self._wake)
        self._bus.serve(compute_topic(self.machine.id), self._run_instance)
        self.agent.listen()
        self._baton.spawn(self.process, f"pulse@{self.machine.name}", self._beat)
        while True:
            self._something.is_set = False
            self.agent.step()
            for job in self.agent.crew.waiting():
                self._baton.spawn(self.process, f"crew@{self.machine.name}", partial(self._work, job))
            self._baton.wait(self._something, max(0.001, self.agent.due - self._baton.now))

    def _work(self, job: Job) -> None:
        self.agent.crew.work(job)
        self._baton.set(self._something)

    def _beat(self) -> None:
        while True:
            self._baton.sleep(_PULSE)
            try:
                self._pulse.beat()
            except Fault as fault:
                self._baton.note(f"no pulse: {fault.reason}")

    def _wake(self, _topic: str, _message: bytes) -> bytes:
        self.agent.wake()
        self._baton.set(self._something)
        return b""

    def _run_instance(self, _topic: str, message: bytes) -> bytes:
        request = decode_request(message)
        instance = load_instance(request.argument)

        def launch() -> None:
            with working_on(request):
                self._launcher.launch(instance)

        self._baton.spawn(self.process, f"launch@{self.machine.name}", launch)
        return b""
