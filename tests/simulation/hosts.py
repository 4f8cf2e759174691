"""Simulated hosts: a kernel that outlives its agent and dies with the power, guests, and the real agent on top."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from ipaddress import IPv4Address

from mooring.agent.crew import Job
from mooring.agent.interfaces import GuestFailure
from mooring.agent.launch import Launcher
from mooring.agent.ledger import Part
from mooring.agent.loop import Agent
from mooring.agent.pulse import Pulse
from mooring.agent.remote import RemoteController
from mooring.backends.fake import FakeBackend
from mooring.bus.messages import Registration, Remote, decode_request, load_instance, working_on
from mooring.bus.topics import compute_topic, host_topic
from mooring.compile.facts import HOST, Delta, HostState, Key, Place, Refused, Row, fact_line
from mooring.compile.host import facts_of
from mooring.compile.tables import BRIDGE
from mooring.model.faults import Conflict, Fault
from mooring.model.ids import HostId, InstanceId, host_id
from mooring.model.subjects import HostRole, InstanceIntent, NicIntent, Report, SubjectKind
from mooring.model.traits import Traits
from tests.simulation.baton import Process, Signal, require
from tests.simulation.bus import Endpoint, SimulatedBus
from tests.simulation.surroundings import Surroundings
from tests.simulation.ways import unlike

_PULSE = 2.0


@dataclass
class Machine:
    """What there is of a host without any software of ours.

    `strange` are the places that a stranger has changed since the agent last looked there: what it says of them may be wrong.
    `confirmed` is what its agents have ever said to hold.
    """

    registration: Registration
    kernel: FakeBackend
    guests: dict[InstanceId, InstanceIntent] = field(default_factory=dict)
    agent: "AgentProcess | None" = None
    strange: set[Place] = field(default_factory=set)
    confirmed: dict[Part, int] = field(default_factory=dict)

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
            cluster="east" if number % 2 else "west",
            endpoint=IPv4Address("192.0.2.0") + number,
            vlan_interface="trunk0",
            trunk_interface="flat0",
        )
        return cls(said, FakeBackend(bridges=("br0",)))

    def lose_power(self) -> None:
        """Forget everything that is not on disk; nothing of ours is."""
        self.kernel.state.clear()
        self.guests.clear()
        self.strange.clear()

    def reinstall(self) -> None:
        """Become another machine of the same name, on which another installation has left something."""
        self.lose_power()
        self.registration = replace(self.registration, machine=f"{self.registration.machine}'")
        self.kernel.state[Key(BRIDGE, HOST, ("mb0123456789ab",))] = (1500,)

    def tamper(self, put: Mapping[Key, Row], drop: Collection[Key], *, silent: bool) -> None:
        """Be changed by a stranger; `silent` keeps it from the agent until it looks."""
        self.strange |= {key.place for key in (*put, *drop)}
        self.kernel.tamper(put, drop, silent=silent)

    @property
    def epoch(self) -> int:
        """The epoch that the agent has seen, or 0."""
        return (self.agent.agent._ledger._epoch or 0) if self.agent else 0

    def follows(self, epoch: int) -> bool:
        """Say whether the agent has made an epoch's state true, and given up all else."""
        if self.agent is None or not self.agent.process.alive:
            return False
        ledger = self.agent.agent._ledger
        return self.epoch == epoch and not ledger.pending and not ledger.unsettled()


class SimulatedBackend:
    """The machine's kernel, as one agent process reaches it; a crash may come in the middle of a change."""

    traits = Traits("simulated")

    def __init__(self, around: Surroundings, process: Process, machine: Machine) -> None:
        self._around = around
        self._process = process
        self._machine = machine

    def read(self, place: Place | None = None) -> HostState:
        self._around.baton.pause()
        self._machine.strange -= {place} if place is not None else self._machine.strange
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
        around.guest_starts(self._machine.id, guest)
        around.baton.note(f"guest {guest.id[:8]} runs, boot {guest.boots}")
        around.kernels_changed = True
        self._machine.guests[guest.id] = guest

    def stop(self, guest: InstanceId) -> None:
        self._around.baton.sleep(self._around.chance.uniform(0.01, 0.2))
        self._around.baton.note(f"guest {guest[:8]} stopped")
        self._machine.guests.pop(guest, None)

    def list(self) -> tuple[InstanceId, ...]:
        self._around.baton.check()
        return tuple(sorted(self._machine.guests))


class _Witnessed(RemoteController):
    """The real way to the controller; what an agent says on it is compared with what is there."""

    def __init__(self, endpoint: Endpoint, machine: Machine) -> None:
        self._machine = machine
        super().__init__(endpoint, machine.id)

    def report(self, reports: Sequence[Report]) -> None:
        for report in reports:
            if report.error is None:
                self._check(report)
                part = Part(report.key, report.role)
                self._machine.confirmed[part] = max(report.generation, self._machine.confirmed.get(part, 0))
        super().report(reports)

    def _check(self, report: Report) -> None:
        machine, what = self._machine, f"generation {report.generation} of {report.key}"
        assert machine.agent is not None
        placed = machine.agent.agent._ledger.placement(Part(report.key, report.role))
        require(placed and placed.generation == report.generation, "I10 fencing", f"{machine.name} reports old {what}")
        subject = placed.subject if placed else None
        if report.key.kind is SubjectKind.INSTANCE:
            there = InstanceId(report.key.id) in machine.guests
            runs = isinstance(subject, InstanceIntent) and subject.running
            require(there == runs, "I10 fencing", f"{machine.name} reports {what}: {there}")
            if runs and isinstance(subject, InstanceIntent):
                guest = machine.guests[subject.id]
                same = (guest.boots, {nic.id for nic in guest.nics}) == (
                    subject.boots,
                    {nic.id for nic in subject.nics},
                )
                require(same, "I10 fencing", f"{machine.name} reports {what} with another boot, or other cards")
        elif subject is not None:
            for fact in facts_of(subject, report.role):
                held = machine.kernel.state.get(fact.key) == fact.value or fact.key.place in machine.strange
                require(held, "I10 fencing", f"{machine.name} reports {what} without {fact_line(fact.key, fact.value)}")
            if isinstance(subject, NicIntent) and report.role is HostRole.GATEWAY and not machine.strange:
                reason = unlike(machine.kernel.state, subject)
                require(reason is None, "leaves as told", f"{machine.name} reports {what}, and {reason}")


class AgentProcess:
    """The real agent, launcher and pulse in a process that can die."""

    def __init__(self, around: Surroundings, bus: SimulatedBus, machine: Machine) -> None:
        self.machine = machine
        self.number = len(around.sites)
        self.process = around.process(f"agent@{machine.name}", machine.name)
        self._around = around
        self._baton = around.baton
        self._bus = Endpoint(bus, self.process)
        self._something = Signal()
        remote = _Witnessed(self._bus, machine)
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
            except (Fault, Remote) as fault:
                if isinstance(fault, Remote):
                    self._around.reached("another machine has the name")
                self._baton.note(f"not let in: {fault.reason}")
                self._baton.sleep(1.0)
            else:
                break
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
            except (Fault, Remote) as fault:
                self._baton.note(f"no pulse: {fault.reason}")
                if isinstance(fault, Remote) and issubclass(fault.kind, Conflict):
                    # The real process ends, and whoever watches over it starts it anew.
                    self._around.reached("agent ousted")
                    self._baton.kill(self.process)

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
