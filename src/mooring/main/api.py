"""The API as a process of its own: no capabilities, no netlink, only the database, the bus and its port."""

import contextlib
from collections.abc import Mapping
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp

from mooring.config import ConfigurationError, Process, Settings, credentials_file, load
from mooring.dialects import native, neutron, openstack
from mooring.main import process
from mooring.main.bus import bus_check, open_bus, read_credentials
from mooring.main.dns import serve_names
from mooring.main.measured import MeasuredBus, Requests
from mooring.main.metrics import new_registry
from mooring.main.server import Server
from mooring.main.service import (
    Foundation,
    build_operations,
    database_check,
    open_store,
    prepare_accounts,
)
from mooring.main.status import Check, status_routes
from mooring.operations import Operations

_log = structlog.get_logger(__name__)


def build_app(
    operations: Operations, settings: Settings, registry: CollectorRegistry, checks: Mapping[str, Check]
) -> ASGIApp:
    """Return all dialects, and the process's status, as one application."""
    requests = Requests(registry)
    services = (neutron.SERVICE,) if settings.api.neutron else ()
    dialects = {
        "/v1": ("native", native.create_app(operations)),
        "/": ("openstack", openstack.create_app(operations, public_url=settings.api.public_url, services=services)),
    }
    mounts = [Mount(path, requests.measured(name, app)) for path, (name, app) in dialects.items()]
    return Starlette(routes=[*status_routes(registry, checks), *mounts])


def run(config: Path | None) -> int:
    """Run the API until SIGINT or SIGTERM; return the exit code."""
    settings = load(config, Process.API)
    if settings.bus is None:
        raise ConfigurationError("bus: is missing")
    access = settings.bus
    credentials = read_credentials(credentials_file(Process.API, access, settings.host))

    def start(stack: contextlib.ExitStack, done: process.Ending) -> None:
        registry = new_registry()
        nats = open_bus(access, credentials, registry)
        stack.callback(nats.close)
        store = open_store(settings, done)
        stack.callback(store.close)
        bus = MeasuredBus(nats, registry)
        operations = build_operations(settings, Foundation(store, bus, registry, guard=lambda: nats.connected))
        prepare_accounts(settings, operations)
        checks = {"database": database_check(store), "bus": bus_check(nats)}
        app = build_app(operations, settings, registry, checks)
        server = Server(
            app, settings.api.listen, settings.api.port, [str(each) for each in settings.api.trusted_proxies]
        )
        server.start()
        stack.callback(server.stop)
        serve_names(settings, operations, stack)
        _log.info("the API answers", url=settings.api.public_url or server.url)

    return process.run("api", settings.log, start)
