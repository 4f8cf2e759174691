"""The controller as a process of its own: no capabilities, no port but for its status; any number of them may run at once."""

import contextlib
import threading
from pathlib import Path

from mooring.config import ConfigurationError, Process, load
from mooring.control.controller import Controller
from mooring.main import process
from mooring.main.bus import open_bus, read_credentials
from mooring.main.service import build_operations, open_store


def run(config: Path | None) -> int:
    """Run a controller until SIGINT or SIGTERM; return the exit code."""
    settings = load(config, Process.CONTROLLER)
    if settings.bus is None:
        raise ConfigurationError("bus: is missing")
    access, credentials = settings.bus, read_credentials(settings.bus.credentials)

    def start(stack: contextlib.ExitStack, done: threading.Event) -> None:
        bus = open_bus(access, credentials)
        stack.callback(bus.close)
        store = open_store(settings, done)
        stack.callback(store.close)
        controller = Controller(build_operations(settings, store, bus), bus)
        controller.start()
        stack.callback(controller.stop)

    return process.run("controller", settings.log, start)
