"""A whole cloud for tests, without a kernel: the real operations on a real database, and a host that obeys at once.

`Cloud` is the operations, two projects, a network and a pool; `InstantHost` stands for a host's agent and launcher; `Server` puts an
application behind a real HTTP server.  What the instant host is told is what a real one would be told, and it reports as a real one
would; it can also be away, or fail.
"""

import itertools
import socket
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import InitVar, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self
from unittest.mock import patch

import uvicorn
from argon2 import PasswordHasher
from starlette.types import ASGIApp

from mooring.model.accounts import Caller, Role
from mooring.model.faults import NotFound
from mooring.model.ids import HostId, InstanceId
from mooring.model.nouns import AddressRange, Flavor, Image, Instance, InstanceState, NetworkKind, Resource
from mooring.model.subjects import HostRole, NicIntent, Placement, Report, SubjectKey, SubjectKind
from mooring.operations import Door, Limits, NewInstance, NewNetwork, NewPool, Operations
from mooring.operations.bootstrap import Account
from mooring.operations.hosts import HostLinks
from mooring.store.engine import Options, SqlStore

IMAGES = (
    Image("6f9619ff-8b86-4011-b42d-00cf4fc964ff", "tiny", 1_500_000, md5="7d" * 16, sha512="5a" * 64),
    Image("c0ffee00-1111-4222-8333-444455556666", "other", 7),
)
FLAVORS = (Flavor("1", "m1.tiny", vcpus=1, ram=128, disk=1), Flavor("2", "m1.small", vcpus=1, ram=512, disk=5))
PASSWORDS = {"alice": "pw-alice", "rita": "pw-rita", "bob": "pw-bob", "root": "pw-root"}
ACCOUNTS = (
    Account("alice", PASSWORDS["alice"], "boats", Role.MEMBER),
    Account("rita", PASSWORDS["rita"], "boats", Role.READER),
    Account("bob", PASSWORDS["bob"], "barges", Role.MEMBER),
    Account("root", PASSWORDS["root"], "harbour", Role.ADMIN),
)
_QUICK = partial(PasswordHasher, time_cost=1, memory_cost=8, parallelism=1)
POOL_RANGE = AddressRange(IPv4Address("198.51.100.10"), IPv4Address("198.51.100.39"))


class WallClock:
    """The machine's time and randomness."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def new_id(self) -> str:
        return str(uuid.uuid4())

    def new_mac(self) -> str:
        number = uuid.uuid4().hex[:6]
        return "fa:16:3e:" + ":".join(number[start : start + 2] for start in (0, 2, 4))

    def new_secret(self) -> str:
        return uuid.uuid4().hex + uuid.uuid4().hex


class StoppedClock:
    """Time that stands still until it is moved, and ids, addresses and secrets that count upwards: the same in every run."""

    def __init__(self) -> None:
        self.moment = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
        self._ids = itertools.count(1)
        self._macs = itertools.count(1)
        self._secrets = itertools.count(1)

    def now(self) -> datetime:
        return self.moment

    def advance(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)

    def new_id(self) -> str:
        # The number first: names of devices are made of the first digits.
        return f"{next(self._ids):08x}-0000-4000-8000-000000000000"

    def new_mac(self) -> str:
        number = f"{next(self._macs):06x}"
        return "fa:16:3e:" + ":".join(number[start : start + 2] for start in (0, 2, 4))

    def new_secret(self) -> str:
        return f"secret-{next(self._secrets):036d}"


class InstantHost:
    """A host whose kernel and guests obey at once, and the bell that wakes it: everything happens on the thread that rings.

    `held` is what the host has been told and has confirmed.  While it is `away`, it hears nothing; `come_back` makes up for it.  While
    `failing` is a text, it reports that as the reason why guests don't start.
    """

    def __init__(self) -> None:
        self.held: dict[tuple[SubjectKey, HostRole], Placement] = {}
        self.away = False
        self.failing: str | None = None
        self._operations: Operations | None = None
        self._id = HostId("")
        self._lock = threading.RLock()
        self._busy = False
        self._again = False
        self._launches: deque[InstanceId] = deque()
        self._reports = threading.Condition()
        self._reported = 0

    def join(self, operations: Operations, name: str = "host1") -> None:
        """Register as a host that runs guests and routers, and has tunnels to others."""
        self._operations = operations
        links = HostLinks(endpoint=IPv4Address("192.0.2.1"))
        self._id = operations.hosts.register(name, compute=True, gateway=True, links=links).id

    def come_back(self) -> None:
        """Hear again, and make up for what was missed."""
        self.away = False
        self._work()
        self._launch_waiting()

    # ------------------------------------------------------------------------------------------------- the bell's side

    def wake(self, hosts: Iterable[HostId]) -> None:
        """Pull and make true what changed."""
        if self._id in hosts:
            self._work()

    def launch(self, instance: InstanceId) -> None:
        """Be the scheduler and the launcher of an instance."""
        self._launches.append(instance)
        self._launch_waiting()

    def settled(self) -> None:
        """Let those who wait look again."""
        with self._reports:
            self._reported += 1
            self._reports.notify_all()

    def wait_settled(self, done: Callable[[], bool], timeout: float) -> bool:
        """Wait for `done`, asked again after each report."""
        deadline = time.monotonic() + timeout
        while True:
            with self._reports:
                seen = self._reported
            if done():
                return True
            with self._reports:
                if self._reported == seen and not self._reports.wait(deadline - time.monotonic()):
                    return done()

    # ------------------------------------------------------------------------------------------------- the host's side

    def public_addresses(self) -> dict[IPv4Address, IPv4Address]:
        """Return which public address leads to which fixed one on this host, now."""
        with self._lock:
            return {
                public.address: own.address
                for (_, role), placed in self.held.items()
                if role is HostRole.GATEWAY and isinstance(placed.subject, NicIntent)
                for own in placed.subject.addresses
                for public in own.floating
            }

    def _launch_waiting(self) -> None:
        operations = self._operations
        with self._lock:
            while self._launches and not self.away and operations is not None:
                _launch(operations, self._launches.popleft())

    def _work(self) -> None:
        operations = self._operations
        with self._lock:
            # Reports ring the bell, on this very thread.
            self._again = True
            if self.away or self._busy or operations is None:
                return
            self._busy = True
            try:
                while self._again:
                    self._again = False
                    self._settle(operations)
            finally:
                self._busy = False

    def _settle(self, operations: Operations) -> None:
        reports: list[Report] = []
        for placed in operations.settlement.pull(self._id, None):
            error = self.failing if placed.key.kind is SubjectKind.INSTANCE and placed.subject is not None else None
            reports.append(Report(placed.key, placed.role, placed.generation, error))
            if error is not None:
                continue
            if placed.subject is None:
                self.held.pop((placed.key, placed.role), None)
            else:
                self.held[placed.key, placed.role] = placed
        if reports:
            for failed in operations.settlement.report(self._id, reports).failed:
                if operations.launches.relaunch(failed.instance, failed.host, failed.reason):
                    self.launch(failed.instance)
            self._again = self._again or not all(report.error for report in reports)


def _launch(operations: Operations, instance: InstanceId) -> None:
    try:
        host = operations.launches.schedule(instance)
        if host is not None:
            operations.launches.set_up_network(host, instance)
            operations.launches.allocate_fixed_ips(host, instance)
    except NotFound:
        # Deleted in the middle of its launch.
        return


@cache
def _empty_database() -> bytes:
    """Return a database with a schema and nothing in it: making one takes longer than most tests."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "empty.db"
        SqlStore.open(f"sqlite:///{path}", Options(durable=False)).close()
        return path.read_bytes()


@dataclass
class Cloud:
    """Operations on a database of their own, with two ordinary projects, an administrator, a network and a pool."""

    database: Path
    clock: WallClock | StoppedClock = field(default_factory=WallClock)
    host: InstantHost = field(default_factory=InstantHost)
    quota: int = 10
    settle_timeout: float = 0.2  # hosts obey on the thread that rings: who waits at all waits for one that is away
    auto_assign: str | None = None
    own_kind: NetworkKind | None = NetworkKind.VXLAN
    pools: tuple[tuple[str, AddressRange], ...] = (("public", POOL_RANGE),)
    given: InitVar[SqlStore | None] = None
    """A store that is open already, in place of the database."""

    store: SqlStore = field(init=False)

    def __post_init__(self, given: SqlStore | None) -> None:
        if given is None and not self.database.exists():
            self.database.write_bytes(_empty_database())
        usual = Options(durable=False, now=self.clock.now)
        self.store = given or SqlStore.open(f"sqlite:///{self.database}", usual)
        limits = Limits(
            {**Limits().quotas, Resource.INSTANCES: self.quota, Resource.FLOATING_IPS: self.quota},
            settle_timeout=self.settle_timeout,
            liveness=86400,
            auto_assign=self.auto_assign,
            own_kind=self.own_kind,
        )
        # Argon2 is slow on purpose, which is lost on the passwords of clouds that live for a second.
        with patch("mooring.operations.passwords.PasswordHasher", _QUICK):
            self.operations = Operations(Door(self.store, self.host, self.clock, limits, IMAGES, FLAVORS))
        self.operations.bootstrap.prepare(ACCOUNTS)
        self.host.join(self.operations)
        self.network = self.operations.networks.create(
            self.caller("root"), NewNetwork("private", IPv4Network("10.0.0.0/24"), dns=(IPv4Address("192.0.2.53"),))
        )
        for number, (name, part) in enumerate(self.pools):
            self.add_pool(name, part, number)

    def add_pool(self, name: str, part: AddressRange, number: int = 0) -> None:
        """Make a pool on an uplink of its own, in a /24 of the range's."""
        subnet = IPv4Network((part.first, 24), strict=False)
        new = NewPool(name, subnet, subnet.broadcast_address - 1, (part,), f"uplink{number}", f"eth{number}")
        self.operations.pools.create(self.caller("root"), new)

    def caller(self, user: str) -> Caller:
        """Return one of ACCOUNTS as a caller."""
        project = next(account.project for account in ACCOUNTS if account.user == user)
        token = self.operations.identity.log_in(user=user, user_id=None, password=PASSWORDS[user], project=project)
        return self.operations.identity.caller(token.secret, "req-test")

    def token(self, user: str) -> str:
        """Return a token for one of ACCOUNTS in its project."""
        project = next(account.project for account in ACCOUNTS if account.user == user)
        return self.operations.identity.log_in(
            user=user, user_id=None, password=PASSWORDS[user], project=project
        ).secret

    def boot(self, caller: Caller, name: str = "vm") -> Instance:
        """Make an instance and return it as it is once its launch is over."""
        made = self.operations.instances.create(caller, NewInstance(name, IMAGES[0].id, FLAVORS[0].id))
        known = self.operations.instances.get(caller, made.id)
        assert known.state is InstanceState.ACTIVE
        return replace(known)

    def close(self) -> None:
        """Close the database."""
        self.store.close()


class Server:
    """An application behind a real HTTP server, on a port of its own, in a thread."""

    def __init__(self, app: ASGIApp) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as mooring.main does, for the same reason
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._server = uvicorn.Server(
            uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1)
        )
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="http", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        deadline = time.monotonic() + 10
        while not self._server.started:
            assert time.monotonic() < deadline, "the HTTP server did not start"
            time.sleep(0.005)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()
