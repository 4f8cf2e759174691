"""The controller as a process of its own: no capabilities, no port but for its status; any number of them may run at once."""

import contextlib
from collections.abc import Iterable
from pathlib import Path

import structlog
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mooring.config import ConfigurationError, Process, credentials_file, load
from mooring.control.beats import Beats
from mooring.control.controller import Controller
from mooring.main import process
from mooring.main.bus import bus_check, open_bus, read_credentials
from mooring.main.measured import MeasuredBus
from mooring.main.metrics import new_registry
from mooring.main.server import Server
from mooring.main.service import Foundation, build_operations, database_check, open_store
from mooring.main.status import status_app

_log = structlog.get_logger(__name__)


class ControllerFigures(Collector):
    """What a controller counts, as Prometheus reads it."""

    def __init__(self, controller: Controller) -> None:
        """Keep the controller."""
        self._controller = controller

    def collect(self) -> Iterable[Metric]:
        """Return its figures."""
        figures = self._controller.figures
        yield GaugeMetricFamily(
            "mooring_controller_hosts_behind", "Hosts that have not confirmed everything.", figures.behind
        )
        yield CounterMetricFamily("mooring_controller_launches", "Launches handed to hosts.", figures.launches)
        yield CounterMetricFamily(
            "mooring_controller_relaunches", "Launches taken back from hosts.", figures.relaunches
        )
        pools = GaugeMetricFamily("mooring_pool_addresses", "Addresses of a pool, by state.", labels=["pool", "state"])
        for fill in figures.pools:
            for state in ("owned", "routers", "quarantined", "free"):
                pools.add_metric([fill.name, state], getattr(fill, state))
        yield pools


def run(config: Path | None) -> int:
    """Run a controller until SIGINT or SIGTERM; return the exit code."""
    settings = load(config, Process.CONTROLLER)
    if settings.bus is None:
        raise ConfigurationError("bus: is missing")
    access = settings.bus
    credentials = read_credentials(credentials_file(Process.CONTROLLER, access, settings.host))

    def start(stack: contextlib.ExitStack, done: process.Ending) -> None:
        registry = new_registry()
        nats = open_bus(access, credentials, registry)
        stack.callback(nats.close)
        store = open_store(settings, done)
        stack.callback(store.close)
        bus = MeasuredBus(nats, registry)
        operations = build_operations(settings, Foundation(store, bus, registry))
        controller = Controller(operations, bus, Beats(operations.hosts.heartbeats).beat)
        registry.register(ControllerFigures(controller))
        checks = {"database": database_check(store), "bus": bus_check(nats)}
        own = settings.controller
        status = Server(status_app(registry, checks), own.status_listen, own.status_port)
        controller.start()
        stack.callback(controller.stop)
        status.start()
        stack.callback(status.stop)
        _log.info("status", url=status.url)

    return process.run("controller", settings.log, start)
