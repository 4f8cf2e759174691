"""The agent as a process of its own: the only one that touches a kernel, and it has no database."""

import contextlib
from pathlib import Path

import structlog

from mooring.config import ConfigurationError, Process, Settings, credentials_file, load
from mooring.main import process
from mooring.main.bus import Credentials, bus_check, open_bus, read_credentials
from mooring.main.host import HostPart
from mooring.main.measured import MeasuredBus
from mooring.main.metrics import new_registry
from mooring.main.server import Server
from mooring.main.status import status_app
from mooring.model.ids import host_id

_log = structlog.get_logger(__name__)


def run(config: Path | None) -> int:
    """Run an agent until SIGINT or SIGTERM; return the exit code."""
    settings = load(config, Process.AGENT)
    if settings.bus is None:
        raise ConfigurationError("bus: is missing")
    access = settings.bus
    credentials = read_credentials(credentials_file(Process.AGENT, access, settings.host))
    _check_name(settings, credentials)
    settings.state_directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    settings.run_directory.mkdir(parents=True, exist_ok=True, mode=0o755)

    def start(stack: contextlib.ExitStack, done: process.Ending) -> None:
        registry = new_registry()
        nats = open_bus(access, credentials, registry)
        stack.callback(nats.close)
        host = HostPart(settings, MeasuredBus(nats, registry), registry, done.fail)
        own = settings.agent
        checks = {"bus": bus_check(nats), "controller": host.pulse.check}
        status = Server(status_app(registry, checks), own.status_listen, own.status_port)
        status.start()
        stack.callback(status.stop)
        _log.info("status", url=status.url)
        if host.pulse.let_in(done):
            host.start()
            stack.callback(host.stop)

    return process.run("agent", settings.log, start)


def _check_name(settings: Settings, credentials: Credentials) -> None:
    name = settings.host.name
    if credentials.inbox != host_id(name):
        raise ConfigurationError(f"bus.credentials: they are those of {credentials.user}, and this host is {name}")
