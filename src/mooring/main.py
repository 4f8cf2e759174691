"""The composition root: reads one configuration and builds everything from it, explicitly and in one place."""

import contextlib
import secrets
import signal
import socket
import sys
import threading
import uuid
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from mooring import logs
from mooring.agent.launch import Launcher
from mooring.agent.loop import Agent
from mooring.agent.pulse import Pulse
from mooring.agent.remote import RemoteController
from mooring.backends.linux.backend import LinuxBackend
from mooring.bus.inprocess import InProcessBus
from mooring.bus.messages import decode_request, load_instance, working_on
from mooring.bus.topics import compute_topic, host_topic
from mooring.config import ConfigurationError, Settings, load
from mooring.control.bell import BusBell
from mooring.control.controller import Controller
from mooring.dialects import native, openstack
from mooring.guests.netns import IMAGES, NetnsGuests
from mooring.model.ids import HostId
from mooring.model.nouns import Flavor, Resource
from mooring.operations import Door, Limits, Operations
from mooring.operations.identity import Account
from mooring.store.engine import SqlStore

_START_TIMEOUT = 10.0
_log = structlog.get_logger(__name__)

FLAVORS = (
    Flavor("1", "m1.tiny", vcpus=1, ram=128, disk=1),
    Flavor("2", "m1.small", vcpus=1, ram=512, disk=5),
)


class SystemClock:
    """The machine's time and randomness."""

    def now(self) -> datetime:
        """Return the present moment in UTC."""
        return datetime.now(UTC)

    def new_id(self) -> str:
        """Return a new random UUID."""
        return str(uuid.uuid4())

    def new_mac(self) -> str:
        """Return a random address of the prefix that KVM clouds use, locally administered and unicast."""
        return "fa:16:3e:" + ":".join(f"{byte:02x}" for byte in secrets.token_bytes(3))

    def new_secret(self) -> str:
        """Return a text of 256 random bits."""
        return secrets.token_urlsafe(32)


class Server:
    """The HTTP server, in a thread of its own."""

    def __init__(self, app: ASGIApp, listen: str, port: int) -> None:
        """Bind at once, so that a port in use is told before anything else starts."""
        self._socket = socket.create_server((listen, port), family=socket.AF_INET, backlog=512)
        # Connections inherit it.  asyncio sets it only on sockets made for TCP by name, which create_server's are not: without it every
        # answer waits 40 ms for the client's acknowledgement of its headers.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.host, self.port = self._socket.getsockname()[:2]
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=5)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="http", daemon=True)

    def start(self) -> None:
        """Serve, and return once requests are answered."""
        self._thread.start()
        deadline = threading.Event()
        for _ in range(int(_START_TIMEOUT / 0.01)):
            if self._server.started:
                return
            deadline.wait(0.01)
        raise ConfigurationError("The HTTP server did not start.")

    def stop(self) -> None:
        """Finish what is under way and stop."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join()
        self._socket.close()


class Node:
    """API, controller and agent in one process: the embedded default."""

    def __init__(self, settings: Settings) -> None:
        """Build everything; nothing runs before `start`."""
        settings.state_directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        settings.run_directory.mkdir(parents=True, exist_ok=True, mode=0o755)
        self.settings = settings
        self._stack = contextlib.ExitStack()
        self.store = SqlStore(settings.database_url)
        self.bus = InProcessBus()
        self.operations = Operations(
            Door(
                store=self.store,
                bell=BusBell(self.bus),
                clock=SystemClock(),
                limits=Limits(
                    quotas={
                        Resource.INSTANCES: settings.quotas.instances,
                        Resource.FLOATING_IPS: settings.quotas.floating_ips,
                    },
                    token_lifetime=settings.identity.token_lifetime,
                ),
                images=IMAGES,
                flavors=FLAVORS,
            )
        )
        self.operations.identity.prepare(
            Account(account.user, account.password, account.project, account.role)
            for account in settings.identity.accounts
        )
        self.server = Server(_app(self.operations, settings), settings.api.listen, settings.api.port)

    @property
    def url(self) -> str:
        """Return where the API answers."""
        return self.settings.api.public_url or f"http://{self.server.host}:{self.server.port}"

    def start(self) -> None:
        """Start the controller, the agent and the API, in this order."""
        controller = Controller(self.operations, self.bus)
        controller.start()
        self._stack.callback(controller.stop)
        self._start_agent()
        self.server.start()
        self._stack.callback(self.server.stop)

    def _start_agent(self) -> None:
        host = self.settings.host
        known = self.operations.hosts.register(host.name, compute=host.compute, gateway=host.gateway)
        remote = RemoteController(self.bus, known.id)
        agent = Agent(
            remote,
            LinuxBackend(self.settings.run_directory, host.namespace),
            NetnsGuests(host.namespace, self.settings.run_directory / "guests"),
        )
        launcher = Launcher(remote)
        self._serve(known.id, agent, launcher)
        agent.start()
        self._stack.callback(agent.stop)
        launcher.start()
        self._stack.callback(launcher.stop)
        pulse = Pulse(remote)
        pulse.start()
        self._stack.callback(pulse.stop)

    def _serve(self, host: HostId, agent: Agent, launcher: Launcher) -> None:
        def wake(_topic: str, _message: bytes) -> bytes:
            agent.wake()
            return b""

        def run_instance(_topic: str, message: bytes) -> bytes:
            request = decode_request(message)
            with working_on(request):
                launcher.run(load_instance(request.argument))
            return b""

        self._stack.callback(self.bus.serve(host_topic(host), wake).close)
        self._stack.callback(self.bus.serve(compute_topic(host), run_instance).close)

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


def _app(operations: Operations, settings: Settings) -> ASGIApp:
    def healthz(_request: Request) -> JSONResponse:
        return JSONResponse({"status": "ok"})

    return Starlette(
        routes=[
            Route("/healthz", healthz),
            Mount("/v1", native.create_app(operations)),
            Mount("/", openstack.create_app(operations, public_url=settings.api.public_url)),
        ]
    )


def up(config: Path | None) -> int:
    """Run everything in one process until SIGINT or SIGTERM; return the exit code."""
    settings = load(config)
    logs.configure(sys.stderr, json=settings.log.json_lines)
    done = threading.Event()

    def end(_number: int, _frame: object) -> None:
        done.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    with Node(settings) as node:
        _log.info("mooring is up", url=node.url, host=settings.host.name)
        done.wait()
    return 0
