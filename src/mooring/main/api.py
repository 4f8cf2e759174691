"""The API as a process of its own: no capabilities, no netlink, only the database, the bus and its port."""

import contextlib
import threading
from pathlib import Path

import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from mooring.config import ConfigurationError, Process, Settings, load
from mooring.dialects import native, openstack
from mooring.main import process
from mooring.main.bus import open_bus, read_credentials
from mooring.main.server import Server
from mooring.main.service import build_operations, open_store, prepare_accounts
from mooring.operations import Operations

_log = structlog.get_logger(__name__)


def build_app(operations: Operations, settings: Settings) -> ASGIApp:
    """Return all dialects as one application."""

    def healthz(_request: Request) -> JSONResponse:
        return JSONResponse({"status": "ok"})

    return Starlette(
        routes=[
            Route("/healthz", healthz),
            Mount("/v1", native.create_app(operations)),
            Mount("/", openstack.create_app(operations, public_url=settings.api.public_url)),
        ]
    )


def run(config: Path | None) -> int:
    """Run the API until SIGINT or SIGTERM; return the exit code."""
    settings = load(config, Process.API)
    if settings.bus is None:
        raise ConfigurationError("bus: is missing")
    access, credentials = settings.bus, read_credentials(settings.bus.credentials)

    def start(stack: contextlib.ExitStack, done: threading.Event) -> None:
        bus = open_bus(access, credentials)
        stack.callback(bus.close)
        store = open_store(settings, done)
        stack.callback(store.close)
        operations = build_operations(settings, store, bus)
        prepare_accounts(settings, operations)
        server = Server(build_app(operations, settings), settings.api.listen, settings.api.port)
        server.start()
        stack.callback(server.stop)
        _log.info("the API answers", url=settings.api.public_url or server.url)

    return process.run("api", settings.log, start)
