"""A whole mooring in one process on the fake back-end: real operations, store, bus, controller and agent."""

import secrets
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from mooring.agent.launch import Launcher
from mooring.agent.loop import Agent
from mooring.agent.remote import RemoteController
from mooring.backends.fake import FakeBackend
from mooring.bus.inprocess import InProcessBus
from mooring.bus.messages import decode_request, load_instance, working_on
from mooring.bus.topics import compute_topic, host_topic
from mooring.control.bell import BusBell
from mooring.control.controller import Controller
from mooring.model.accounts import Caller, Role
from mooring.model.ids import InstanceId
from mooring.model.nouns import AddressRange, Flavor, Image, InstanceState, Resource
from mooring.model.subjects import InstanceIntent
from mooring.operations import Door, Limits, NewInstance, NewNetwork, NewPool, Operations
from mooring.operations.bootstrap import Account
from mooring.store.engine import Options, SqlStore


class Clock:
    """Real time and randomness."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def new_id(self) -> str:
        return str(uuid.uuid4())

    def new_mac(self) -> str:
        return "fa:16:3e:" + ":".join(f"{byte:02x}" for byte in secrets.token_bytes(3))

    def new_secret(self) -> str:
        return secrets.token_urlsafe(32)


@dataclass
class FakeGuests:
    """Guests as a set of ids."""

    running: set[InstanceId] = field(default_factory=set)

    def start(self, guest: InstanceIntent) -> None:
        self.running.add(guest.id)

    def stop(self, guest: InstanceId) -> None:
        self.running.discard(guest)

    def list(self) -> tuple[InstanceId, ...]:
        return tuple(sorted(self.running))


class Plane:
    """One host, its agent and a controller."""

    def __init__(self, directory: Path, quota: int = 100, compare_every: float = 0.3) -> None:
        self.store = SqlStore(f"sqlite:///{directory / 'mooring.db'}", Options(durable=False))
        self.bus = InProcessBus()
        self.compare_every = compare_every
        self.operations = Operations(
            Door(
                store=self.store,
                bell=BusBell(self.bus),
                chance=Clock(),
                limits=Limits(quotas=dict.fromkeys(Resource, quota), settle_timeout=0.5, liveness=3600),
                images=(Image("web", "web", 0),),
                flavors=(Flavor("1", "tiny", 1, 1, 1),),
            )
        )
        self.operations.bootstrap.prepare(
            [Account("admin", "secret", "ops", Role.ADMIN), Account("demo", "secret", "demo", Role.MEMBER)]
        )
        self.backend = FakeBackend()
        self.guests = FakeGuests()
        self.host = self.operations.hosts.register("host-1", compute=True, gateway=True)
        self.controller = Controller(self.operations, self.bus)
        self.remote = RemoteController(self.bus, self.host.id)
        self.launcher = Launcher(self.remote)
        self.agent = Agent(self.remote, self.backend, self.guests, compare_every=self.compare_every)
        self.bus.serve(host_topic(self.host.id), self._wake)
        self.bus.serve(compute_topic(self.host.id), self._run_instance)

    def _wake(self, _topic: str, message: bytes) -> bytes:
        self.agent.wake(decode_request(message).request_id)
        return b""

    def _run_instance(self, _topic: str, message: bytes) -> bytes:
        request = decode_request(message)
        with working_on(request):
            self.launcher.run(load_instance(request.argument))
        return b""

    def start(self) -> None:
        self.controller.start()
        self.launcher.start()
        self.agent.start()

    def stop(self) -> None:
        self.agent.stop()
        self.launcher.stop()
        self.controller.stop()
        self.bus.close()
        self.store.close()

    def restart_agent(self) -> None:
        """Kill the agent and start another on the same host."""
        self.agent.stop()
        self.agent = Agent(self.remote, self.backend, self.guests, compare_every=self.compare_every)
        self.agent.start()

    def caller(self, user: str = "demo") -> Caller:
        token = self.operations.identity.log_in(
            user=user, user_id=None, password="secret", project="ops" if user == "admin" else user
        )
        return self.operations.identity.caller(token.secret, "req-test")

    def set_up(self) -> None:
        """Make a network and a pool."""
        admin = self.caller("admin")
        self.operations.networks.create(admin, NewNetwork("private", IPv4Network("10.0.0.0/24")))
        public = AddressRange(IPv4Address("198.51.100.10"), IPv4Address("198.51.100.40"))
        self.operations.pools.create(
            admin,
            NewPool(
                "public",
                IPv4Network("198.51.100.0/24"),
                IPv4Address("198.51.100.1"),
                (public,),
                "isp-a",
                "ext0",
            ),
        )

    def boot(self, caller: Caller, name: str) -> InstanceId:
        """Launch an instance and wait until it is active."""
        made = self.operations.instances.create(caller, NewInstance(name, "web", "1"))
        eventually(lambda: self.operations.instances.get(caller, made.id).state is InstanceState.ACTIVE)
        return made.id


def eventually(truth: Callable[[], object], timeout: float = 10.0) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + timeout
    while not truth():
        assert time.monotonic() < deadline, "did not come true in time"
        time.sleep(0.01)
