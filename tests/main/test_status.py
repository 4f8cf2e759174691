"""Alive, ready and figures: what is away is told within a second, even if it does not answer at all."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from mooring.agent.pulse import Pulse
from mooring.backends.fake import FakeBackend
from mooring.bus import DeadlineExceeded, NoResponder
from mooring.bus.inprocess import InProcessBus
from mooring.bus.messages import Registration, Remote
from mooring.bus.topics import METHODS, controller_topic, host_topic, kind_of
from mooring.compile.facts import HOST, Delta, Place, Refused
from mooring.main.host import machine_id
from mooring.main.measured import MeasuredBackend, MeasuredBell, MeasuredBus
from mooring.main.metrics import new_registry
from mooring.main.server import Server
from mooring.main.status import Check, status_app
from mooring.model.faults import Conflict, Fault, NotFound, Unavailable
from mooring.model.ids import HostId, host_id
from tests.compile.small import small
from tests.control.plane import Plane


def _value(registry: CollectorRegistry, name: str, **labels: str) -> float:
    return registry.get_sample_value(name, labels) or 0.0


# ------------------------------------------------------------------------------------------------------------- readiness


@pytest.fixture
def broken() -> dict[str, Check]:
    return {}


@pytest.fixture
def status(broken: dict[str, Check]) -> Iterator[httpx2.Client]:
    def check() -> None:
        broken.get("check", lambda: None)()

    server = Server(status_app(new_registry(), {"thing": check}), "127.0.0.1", 0)
    server.start()
    with httpx2.Client(base_url=server.url, timeout=10, trust_env=False) as client:
        yield client
    server.stop()


def test_ready_is_who_reaches_what_it_needs(status: httpx2.Client, broken: dict[str, Check]) -> None:
    assert status.get("/readyz").json() == {"status": "ok", "thing": "ok"}

    def away() -> None:
        raise Unavailable("It is away.", detail="secret")

    broken["check"] = away
    answer = status.get("/readyz")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert answer.json() == {"status": "unavailable", "thing": "It is away."}
    assert status.get("/healthz").status_code == 200


def test_what_goes_wrong_in_a_check_is_not_told_in_words(status: httpx2.Client, broken: dict[str, Check]) -> None:
    def wrong() -> None:
        raise ValueError("password=geheim")

    broken["check"] = wrong
    answer = status.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["thing"] == "ValueError"


def test_what_never_answers_is_not_ready_and_is_asked_once(status: httpx2.Client, broken: dict[str, Check]) -> None:
    release = threading.Event()
    asked: list[int] = []

    def hangs() -> None:
        asked.append(1)
        release.wait(30)

    broken["check"] = hangs
    for _ in range(3):
        began = time.monotonic()
        answer = status.get("/readyz")
        assert answer.status_code == 503
        assert answer.json()["thing"] == "no answer within 1 s"
        assert time.monotonic() - began < 2.5
    # However often it is asked for, one thread waits.
    assert len(asked) == 1
    assert status.get("/healthz").status_code == 200
    release.set()
    broken.clear()
    deadline = time.monotonic() + 5
    while status.get("/readyz").status_code != 200:
        assert time.monotonic() < deadline


# --------------------------------------------------------------------------------------------------------------- figures


def test_metrics_are_in_prometheus_own_format(status: httpx2.Client) -> None:
    answer = status.get("/metrics")
    assert answer.status_code == 200
    families = {family.name for family in text_string_to_metric_families(answer.text)}
    assert {"mooring_info", "process_resident_memory_bytes", "python_info"} <= families


def test_calls_over_the_bus_are_counted_without_their_hosts() -> None:
    registry = CollectorRegistry()
    bus = MeasuredBus(InProcessBus(), registry)
    host = host_id("host-1")
    release = threading.Event()

    def slow(_topic: str, _message: bytes) -> bytes:
        release.wait(5)
        return b""

    try:
        bus.serve(controller_topic(host, "pull"), lambda *_: b"x")
        bus.serve(controller_topic(host, "digest"), slow)
        assert bus.call(controller_topic(host, "pull"), b"", 1) == b"x"
        with pytest.raises(DeadlineExceeded):
            bus.call(controller_topic(host, "digest"), b"", 0.01)
        release.set()
        with pytest.raises(NoResponder):
            bus.call(controller_topic(host, "report"), b"", 1)
        bus.cast(host_topic(host), b"")
        # A host may send any word: it does not become a label.
        with pytest.raises(NoResponder):
            bus.call(controller_topic(host, "nonsense"), b"", 1)
    finally:
        bus.close()
    calls = "mooring_bus_call_seconds_count"
    assert _value(registry, calls, topic="controller.pull", outcome="answered") == 1
    assert _value(registry, calls, topic="controller.digest", outcome="late") == 1
    assert _value(registry, calls, topic="controller.report", outcome="nobody") == 1
    assert _value(registry, calls, topic="other", outcome="nobody") == 1
    assert _value(registry, "mooring_bus_casts_total", topic="host") == 1
    assert _value(registry, "mooring_bus_handled_seconds_count", topic="controller.pull", outcome="done") == 1
    assert not any(host in str(sample) for family in registry.collect() for sample in family.samples)


def test_every_method_of_the_controller_is_known_to_those_who_count(tmp_path: Path) -> None:
    plane = Plane(tmp_path)
    try:
        assert set(plane.controller._methods) == set(METHODS)
    finally:
        plane.bus.close()
        plane.store.close()


def test_kinds_of_topics_have_no_hosts() -> None:
    for topic, kind in (("controller.x.pull", "controller.pull"), ("host.x", "host"), ("compute.x", "compute")):
        assert kind_of(topic) == kind
    assert kind_of("settled") == "settled"


def test_changes_of_a_host_are_counted() -> None:
    registry = CollectorRegistry()
    fake = FakeBackend()
    backend = MeasuredBackend(fake, registry)
    state = small().state
    backend.apply(Delta(state, {}))
    assert backend.read() == state
    fake.refuse(after=0, reason="no more room")
    with pytest.raises(Refused, match="no more room"):
        backend.apply(Delta({}, state))
    for name, labels, value in (
        ("mooring_agent_changed_facts_total", {"kind": "put"}, len(state)),
        ("mooring_agent_changed_facts_total", {"kind": "drop"}, 0),
        ("mooring_agent_change_seconds_count", {"outcome": "applied"}, 1),
        ("mooring_agent_change_seconds_count", {"outcome": "refused"}, 1),
    ):
        assert _value(registry, name, **labels) == value
    doubts: list[Place] = []
    backend.watch(doubts.append)
    backend.close()
    fake.doubt(HOST)
    assert not doubts


class _Bell:
    def __init__(self) -> None:
        self.rung: list[object] = []

    def wake(self, hosts: object) -> None:
        self.rung.append(hosts)

    def launch(self, instance: object) -> None:
        self.rung.append(instance)

    def settled(self) -> None:
        self.rung.append("settled")

    def wait_settled(self, done: object, timeout: float) -> bool:
        return timeout > 1


def test_waits_for_hosts_are_counted() -> None:
    registry = CollectorRegistry()
    bell = MeasuredBell(_Bell(), registry)
    assert bell.wait_settled(lambda: True, 2)
    assert not bell.wait_settled(lambda: True, 0)
    for outcome in ("settled", "late"):
        assert _value(registry, "mooring_settle_seconds_count", outcome=outcome) == 1


# ----------------------------------------------------------------------------------------------------------------- pulse


class _Registrar:
    """A controller that says what it is told to say."""

    def __init__(self) -> None:
        self.answers: list[Exception | None] = []
        self.asked: list[str] = []

    def _say(self, what: str) -> None:
        self.asked.append(what)
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            raise answer

    def register(self, registration: Registration) -> None:
        self._say(f"register {registration.name}")

    def heartbeat(self, machine: str) -> None:
        self._say(f"heartbeat {machine}")


_HOST = Registration("host-1", "m", compute=True, gateway=True, cluster="default")


def test_a_host_that_was_forgotten_registers_again() -> None:
    controller = _Registrar()
    pulse = Pulse(controller, _HOST)
    controller.answers = [Remote(NotFound, "Host x could not be found.")]
    pulse.beat()
    assert controller.asked == ["heartbeat m", "register host-1"]
    pulse.check()


def test_a_host_is_let_in_once_the_controller_lets_it() -> None:
    controller = _Registrar()
    controller.answers = [Unavailable("No controller answers."), Remote(Conflict, "Another machine.")]
    pulse = Pulse(controller, _HOST, every=0.01)
    with pytest.raises(Fault, match="not answered yet"):
        pulse.check()
    assert pulse.let_in(threading.Event())
    assert controller.asked == ["register host-1"] * 3
    done = threading.Event()
    done.set()
    assert not Pulse(controller, _HOST).let_in(done)


def test_a_host_whose_name_another_machine_has_stops() -> None:
    controller = _Registrar()
    ousted = threading.Event()
    pulse = Pulse(controller, _HOST, ousted=ousted.set, every=0.01)
    controller.answers = [Unavailable("away"), None, Remote(Conflict, "Another machine.")]
    pulse.start()
    assert ousted.wait(5)
    pulse.stop()
    assert len(controller.asked) == 3
    with pytest.raises(Unavailable, match="Another machine"):
        pulse.check()


def test_a_machine_is_known_by_what_it_keeps(tmp_path: Path) -> None:
    first = machine_id(tmp_path)
    assert machine_id(tmp_path) == first
    (tmp_path / "machine-id").write_text("")  # as a crash may leave it
    assert machine_id(tmp_path) not in {"", first}


def test_two_machines_with_one_name(tmp_path: Path) -> None:
    plane = Plane(tmp_path)
    hosts = plane.operations.hosts
    try:
        first = hosts.register("pair", compute=True, gateway=False, machine="one")
        assert first.id == host_id("pair")
        with pytest.raises(Conflict, match="another machine"):
            hosts.register("pair", compute=True, gateway=False, machine="two")
        hosts.heartbeat(first.id, "one")
        with pytest.raises(Conflict, match="another machine"):
            hosts.heartbeat(first.id, "two")
        with pytest.raises(NotFound):
            hosts.heartbeat(HostId(host_id("nobody")), "x")
    finally:
        plane.bus.close()
        plane.store.close()
