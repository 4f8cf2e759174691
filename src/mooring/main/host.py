"""What an agent is built of, on any bus: the agent's loop, its launcher and its pulse."""

import contextlib
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.registry import Collector

from mooring.agent.launch import Launcher
from mooring.agent.loop import Agent
from mooring.agent.pulse import Pulse
from mooring.agent.remote import RemoteController
from mooring.backends.linux.backend import LinuxBackend
from mooring.bus import Bus
from mooring.bus.messages import Registration, UnknownVersion, decode_request, load_instance, working_on
from mooring.bus.topics import compute_topic, host_topic
from mooring.config import HostSettings, Settings
from mooring.guests.netns import NetnsGuests
from mooring.guests.qemu import QemuGuests
from mooring.main.measured import MeasuredBackend
from mooring.model.ids import host_id


class HostPart:
    """One host's agent.  It registers first, and touches nothing before it has been let in."""

    def __init__(
        self, settings: Settings, bus: Bus, registry: CollectorRegistry, ousted: Callable[[], None] = lambda: None
    ) -> None:
        """Build it; nothing runs before `start`.  `ousted` is called when another machine has the host's name.

        Raises:
            OSError: the host's namespace is not there, or may not be entered.
        """
        self._bus = bus
        self._stack = contextlib.ExitStack()
        host = settings.host
        self.id = host_id(host.name)
        self.remote = RemoteController(bus, self.id)
        guests = _guests(settings)
        backend = MeasuredBackend(LinuxBackend(settings.run_directory, host.namespace, guests.ports), registry)
        self.agent = Agent(self.remote, backend, guests)
        registry.register(_AgentFigures(self.agent))
        self._launcher = Launcher(self.remote)
        registration = _registration(host, machine_id(settings.state_directory))
        self.pulse = Pulse(self.remote, registration, ousted=ousted)

    def start(self) -> None:
        """Serve this host's topics and begin."""
        self._stack.callback(self._bus.serve(host_topic(self.id), self._wake).close)
        self._stack.callback(self._bus.serve(compute_topic(self.id), self._run_instance).close)
        self.agent.start()
        self._stack.callback(self.agent.stop)
        self._launcher.start()
        self._stack.callback(self._launcher.stop)
        self.pulse.start()
        self._stack.callback(self.pulse.stop)

    def stop(self) -> None:
        """Stop in the opposite order; the host keeps forwarding as it is."""
        self._stack.close()

    def _wake(self, _topic: str, message: bytes) -> bytes:
        # What can't be read is a wake-up all the same: it carries nothing that is needed.
        with contextlib.suppress(UnknownVersion):
            self.agent.wake(decode_request(message).request_id)
            return b""
        self.agent.wake()
        return b""

    def _run_instance(self, _topic: str, message: bytes) -> bytes:
        request = decode_request(message)
        with working_on(request):
            self._launcher.run(load_instance(request.argument))
        return b""


class _AgentFigures(Collector):
    """What an agent counts, as Prometheus reads it."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def collect(self) -> Iterable[Metric]:
        figures = self._agent.figures
        yield GaugeMetricFamily("mooring_agent_facts", "Facts that this host should hold.", figures.facts)
        yield GaugeMetricFamily("mooring_agent_refused_parts", "Subjects that the host refuses.", figures.refused)
        away = GaugeMetricFamily(
            "mooring_agent_uplink_away",
            "Uplinks by which nothing that begins leaves, and why.",
            labels=["device", "reason"],
        )
        for device, reason in figures.away.items():
            away.add_metric([device, reason], 1)
        yield away
        yield GaugeMetricFamily("mooring_agent_guests", "Guests that run here.", figures.guests)
        yield GaugeMetricFamily(
            "mooring_agent_refuses_database", "Whether the controller's database is an older one.", figures.estranged
        )
        yield CounterMetricFamily(
            "mooring_agent_drift_facts", "Facts that somebody else had changed; they are put right.", figures.drift
        )
        yield SummaryMetricFamily(
            "mooring_agent_compare_seconds",
            "Comparisons of the whole host, and how long they took.",
            figures.compares,
            figures.compare_seconds,
        )


def _guests(settings: Settings) -> NetnsGuests | QemuGuests:
    host, run = settings.host, settings.run_directory / "guests"
    match host.guests:
        case "netns":
            return NetnsGuests(host.namespace, run)
        case "qemu":
            return QemuGuests(host.namespace, run, settings.vm_images)


def _registration(host: HostSettings, machine: str) -> Registration:
    return Registration(
        name=host.name,
        machine=machine,
        compute=host.compute,
        gateway=host.gateway,
        cluster=host.cluster,
        endpoint=host.endpoint,
        vlan_interface=host.vlan_interface,
        trunk_interface=host.trunk_interface,
    )


def machine_id(state: Path) -> str:
    """Return what tells this machine from another that claims the same name: made once, and kept in the state directory."""
    file = state / "machine-id"
    with contextlib.suppress(FileNotFoundError):
        if known := file.read_text(encoding="ascii").strip():
            return known
    made = str(uuid.uuid4())
    new = file.with_name(".machine-id.new")
    new.write_text(f"{made}\n", encoding="ascii")
    new.rename(file)
    return made
