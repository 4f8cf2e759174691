"""API, controller and agent in one process: the embedded default, on SQLite and a bus that is this process's memory."""

import contextlib
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from mooring.bus.inprocess import InProcessBus
from mooring.config import Process, Settings, load
from mooring.control.controller import Controller
from mooring.main import process
from mooring.main.api import build_app
from mooring.main.controller import ControllerFigures
from mooring.main.dns import serve_names
from mooring.main.host import HostPart
from mooring.main.measured import MeasuredBus
from mooring.main.metrics import new_registry
from mooring.main.server import Server
from mooring.main.service import Foundation, build_operations, database_check, open_store, prepare_accounts

_log = structlog.get_logger(__name__)


class Node:
    """API, controller and agent in one process."""

    def __init__(self, settings: Settings) -> None:
        """Build everything; nothing runs before `start`."""
        settings.state_directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        settings.run_directory.mkdir(parents=True, exist_ok=True, mode=0o755)
        self.settings = settings
        self._stack = contextlib.ExitStack()
        self.store = open_store(settings)
        self.registry = new_registry()
        self.bus = MeasuredBus(InProcessBus(), self.registry)
        self.operations = build_operations(settings, Foundation(self.store, self.bus, self.registry))
        prepare_accounts(settings, self.operations)
        app = build_app(self.operations, settings, self.registry, {"database": database_check(self.store)})
        self.server = Server(
            app, settings.api.listen, settings.api.port, [str(each) for each in settings.api.trusted_proxies]
        )

    @property
    def url(self) -> str:
        """Return where the API answers."""
        return self.settings.api.public_url or self.server.url

    def start(self) -> None:
        """Start the controller, the agent and the API, in this order."""
        controller = Controller(self.operations, self.bus)
        self.registry.register(ControllerFigures(controller))
        controller.start()
        self._stack.callback(controller.stop)
        host = HostPart(self.settings, self.bus, self.registry)
        host.pulse.register()
        host.start()
        self._stack.callback(host.stop)
        self.server.start()
        self._stack.callback(self.server.stop)
        self.dns = serve_names(self.settings, self.operations, self._stack)

    def stop(self) -> None:
        """Stop everything in the opposite order; the host keeps forwarding as it is."""
        self._stack.close()
        self.bus.close()
        self.store.close()

    def __enter__(self) -> Self:
        """Start."""
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop."""
        self.stop()


def run(config: Path | None) -> int:
    """Run everything in one process until SIGINT or SIGTERM; return the exit code."""
    settings = load(config, Process.UP)

    def start(stack: contextlib.ExitStack, _done: process.Ending) -> None:
        node = stack.enter_context(Node(settings))
        _log.info("the API answers", url=node.url, host=settings.host.name)

    return process.run("mooring", settings.log, start)
