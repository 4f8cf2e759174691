"""Adapters that count and time what goes through them, and change nothing of it."""

import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mooring.agent.interfaces import Backend
from mooring.bus import Bus, DeadlineExceeded, Handler, NoResponder, Subscription
from mooring.bus.topics import METHODS, kind_of
from mooring.compile.facts import Delta, HostState, Place
from mooring.main.metrics import SECONDS
from mooring.model.ids import HostId, InstanceId
from mooring.operations.interfaces import Bell

_VERBS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_KINDS = frozenset({"host", "compute", "scheduler", "settled", *(f"controller.{method}" for method in METHODS)})


class Requests:
    """Counts the requests of all dialects."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Make the figures."""
        self._count = Counter(
            "mooring_api_requests",
            "Requests to the API.",
            ["dialect", "route", "method", "status"],
            registry=registry,
        )
        self._seconds = Histogram(
            "mooring_api_request_seconds",
            "How long requests took, to the end of their answers.",
            ["dialect", "route"],
            buckets=SECONDS,
            registry=registry,
        )

    def measured(self, dialect: str, app: ASGIApp) -> ASGIApp:
        """Return an application whose requests are counted.  Its route is what it leaves in its scope as `mooring.route`."""

        async def call(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            started = time.perf_counter()
            status = "none"  # a client that has gone away before

            async def told(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = str(message["status"])
                await send(message)

            try:
                await app(scope, receive, told)
            finally:
                route = str(scope.get("mooring.route", "none"))
                # A stranger's method may be any word.
                method = scope["method"] if scope["method"] in _VERBS else "other"
                self._count.labels(dialect, route, method, status).inc()
                self._seconds.labels(dialect, route).observe(time.perf_counter() - started)

        return call


class MeasuredBus:
    """A bus that counts."""

    def __init__(self, bus: Bus, registry: CollectorRegistry) -> None:
        """Keep the bus, and make the figures."""
        self._bus = bus
        self._calls = Histogram(
            "mooring_bus_call_seconds",
            "How long calls over the bus took; outcome is answered, nobody or late.",
            ["topic", "outcome"],
            buckets=SECONDS,
            registry=registry,
        )
        self._casts = Counter("mooring_bus_casts", "Casts sent.", ["topic"], registry=registry)
        self._handled = Histogram(
            "mooring_bus_handled_seconds",
            "How long messages took to handle here; outcome is done or failed.",
            ["topic", "outcome"],
            buckets=SECONDS,
            registry=registry,
        )

    def call(self, topic: str, message: bytes, timeout: float) -> bytes:
        """Return one handler's answer; see Bus."""
        started = time.perf_counter()
        outcome = "answered"
        try:
            return self._bus.call(topic, message, timeout)
        except NoResponder:
            outcome = "nobody"
            raise
        except DeadlineExceeded:
            outcome = "late"
            raise
        finally:
            self._calls.labels(_kind(topic), outcome).observe(time.perf_counter() - started)

    def cast(self, topic: str, message: bytes) -> None:
        """Send to the topic's subscribers, if there are any."""
        self._casts.labels(_kind(topic)).inc()
        self._bus.cast(topic, message)

    def serve(self, topic: str, handler: Handler, group: str | None = None) -> Subscription:
        """Hand messages of a topic to a handler; see Bus."""

        def measured(sent: str, message: bytes) -> bytes:
            with _timed(self._handled, _kind(sent), failed="failed", done="done"):
                return handler(sent, message)

        return self._bus.serve(topic, measured, group)

    def close(self) -> None:
        """Stop all subscriptions."""
        self._bus.close()


class MeasuredBell:
    """A bell that knows how long operations waited for hosts."""

    def __init__(self, bell: Bell, registry: CollectorRegistry) -> None:
        """Keep the bell, and make the figures."""
        self._bell = bell
        self._seconds = Histogram(
            "mooring_settle_seconds",
            "How long operations waited for hosts to confirm; outcome is settled, or late if they went on without.",
            ["outcome"],
            buckets=SECONDS,
            registry=registry,
        )

    def wake(self, hosts: Iterable[HostId]) -> None:
        """Tell agents that there is something to pull."""
        self._bell.wake(hosts)

    def launch(self, instance: InstanceId) -> None:
        """Tell the scheduler that an instance wants a host."""
        self._bell.launch(instance)

    def settled(self) -> None:
        """Tell waiting operations that hosts have reported."""
        self._bell.settled()

    def wait_settled(self, done: Callable[[], bool], timeout: float) -> bool:
        """Wait for `done`; see Bell."""
        started = time.perf_counter()
        settled = self._bell.wait_settled(done, timeout)
        self._seconds.labels("settled" if settled else "late").observe(time.perf_counter() - started)
        return settled


class MeasuredBackend:
    """A back-end that counts."""

    def __init__(self, backend: Backend, registry: CollectorRegistry) -> None:
        """Keep the back-end, and make the figures."""
        self._backend = backend
        self.traits = backend.traits
        self._changes = Histogram(
            "mooring_agent_change_seconds",
            "How long changes of the host took; outcome is applied or refused.",
            ["outcome"],
            buckets=SECONDS,
            registry=registry,
        )
        self._facts = Counter(
            "mooring_agent_changed_facts", "Facts that were put and dropped.", ["kind"], registry=registry
        )

    def read(self, place: Place | None = None) -> HostState:
        """Return our facts as the host has them."""
        return self._backend.read(place)

    def apply(self, delta: Delta) -> None:
        """Make a delta true."""
        with _timed(self._changes, failed="refused", done="applied"):
            self._backend.apply(delta)
        self._facts.labels("put").inc(len(delta.put))
        self._facts.labels("drop").inc(len(delta.drop))

    def watch(self, doubt: Callable[[Place], None]) -> None:
        """Call `doubt` whenever somebody else may have changed a place."""
        self._backend.watch(doubt)

    def close(self) -> None:
        """Stop watching."""
        self._backend.close()


def _kind(topic: str) -> str:
    # A host may send any word as a method.
    kind = kind_of(topic)
    return kind if kind in _KINDS else "other"


@contextmanager
def _timed(histogram: Histogram, *labels: str, failed: str, done: str) -> Generator[None]:
    started = time.perf_counter()
    outcome = failed
    try:
        yield
        outcome = done
    finally:
        histogram.labels(*labels, outcome).observe(time.perf_counter() - started)
