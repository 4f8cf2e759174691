"""A whole mooring in a process of its own, to be measured from outside: API, controller and agent, on SQLite and on a real kernel.

`python -m bench.cloud` obeys lines of JSON on its standard input and answers each with one.  `Cloud` is the other end.
"""

import gc
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self
from uuid import uuid4

from bench.world import FIRST_PRIVATE, FIRST_PUBLIC, GUESTS, LAST_PUBLIC, OUTSIDE, POOL, ROUTER, UPLINK_INTERFACE
from mooring.config import AccountSettings, ApiSettings, HostSettings, IdentitySettings, QuotaSettings, Settings
from mooring.logs import configure
from mooring.main import process
from mooring.main.node import Node
from mooring.model.accounts import Caller, Role
from mooring.model.ids import AddressId, InstanceId, NicId
from mooring.model.nouns import AddressKind, AddressRange, Host, InstanceState, Network, Resource
from mooring.model.records import AddressRow, InstanceRow, NicRow
from mooring.model.subjects import HostRole, SubjectKey, SubjectKind
from mooring.operations import NewInstance, NewNetwork, NewPool
from mooring.policy.rules import NewRule

PASSWORD = "moored"
IMAGE = "6f0e2f0c-5d0b-4c8e-9a53-0d8b6b8f7a02"  # bare: an address and nothing else
_BATCH = 500
_TIMEOUT = 600


class Cloud:
    """A mooring in another process, and clients of it."""

    def __init__(self, host: str, state: Path, run: Path) -> None:
        """Start it, with the namespace `host` as its host."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.cloud", host, str(state), str(run)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._name = host
        self.port = int(self._answer()["port"])
        self.token = log_in(self.port)

    def ask(self, verb: str, **arguments: object) -> Any:
        """Let the other process do something, and return what it says."""
        pipe = self._pipe(self._process.stdin)
        pipe.write(json.dumps({"verb": verb, **arguments}) + "\n")
        pipe.flush()
        return self._answer()

    def client(self) -> "Client":
        """Return a client with a connection of its own."""
        return Client(self.port, self.token)

    def pause(self) -> None:
        """Let it stand still, so that it takes no time from others."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it run again, and wait until it has made up for the time that it stood."""
        self._process.send_signal(signal.SIGCONT)
        self.wait_idle()

    def wait_idle(self) -> None:
        """Wait until it does nothing: between two comparisons of its host, that is."""
        deadline = time.monotonic() + _TIMEOUT
        before = self.processor_time()
        while time.monotonic() < deadline:
            time.sleep(0.2)
            now = self.processor_time()
            if now - before < 0.03:
                return
            before = now

    def processor_time(self) -> float:
        """Return the seconds that all processors gave it."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        """Return its resident memory, in MiB."""
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
        line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024

    def close(self) -> None:
        """End it."""
        self._process.send_signal(signal.SIGCONT)
        self._pipe(self._process.stdin).close()
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _answer(self) -> Any:
        line = self._pipe(self._process.stdout).readline()
        if not line:
            raise RuntimeError(f"mooring on {self._name} ended with {self._process.wait()}")
        return json.loads(line)

    def _pipe(self, pipe: IO[str] | None) -> IO[str]:
        if pipe is None:
            raise RuntimeError("not started with pipes")
        return pipe


_IDLE = 2.0  # seconds: a server closes a connection on which nothing comes for five


def log_in(port: int) -> str:
    """Return a token of the project demo's, from the API that listens there."""
    user = {"name": "demo", "domain": {"id": "default"}, "password": PASSWORD}
    scope = {"project": {"name": "demo", "domain": {"id": "default"}}}
    body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", "/identity/v3/auth/tokens", json.dumps(body), {"Content-Type": "application/json"})
    response = connection.getresponse()
    response.read()
    connection.close()
    return str(response.headers["X-Subject-Token"])


class Client:
    """A tenant with one HTTP connection that stays open, speaking OpenStack."""

    def __init__(self, port: int, token: str) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers = {"X-Auth-Token": token, "Content-Type": "application/json"}
        self._used = time.monotonic()

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Make a call and return the answer's body; anything but a success is an error."""
        payload = None if body is None else json.dumps(body)
        if time.monotonic() - self._used > _IDLE:
            self._connection.close()  # it opens again by itself
        self._connection.request(method, path, payload, self._headers)
        response = self._connection.getresponse()
        content = response.read()
        self._used = time.monotonic()
        if not 200 <= response.status < 300:
            raise RuntimeError(f"{method} {path}: {response.status} {content.decode(errors='replace')}")
        return json.loads(content) if content else None

    def allocate(self) -> tuple[str, str]:
        """Allocate a floating IP; return its id and address."""
        made = self.call("POST", "/compute/v2.1/os-floating-ips", {"pool": "public"})["floating_ip"]
        return made["id"], made["ip"]

    def associate(self, server: str, address: str) -> None:
        """Associate a floating IP."""
        self.call("POST", f"/compute/v2.1/servers/{server}/action", {"addFloatingIp": {"address": address}})

    def disassociate(self, server: str, address: str) -> None:
        """Disassociate a floating IP."""
        self.call("POST", f"/compute/v2.1/servers/{server}/action", {"removeFloatingIp": {"address": address}})

    def release(self, floating: str) -> None:
        """Give a floating IP back."""
        self.call("DELETE", f"/compute/v2.1/os-floating-ips/{floating}")

    def healthz(self) -> None:
        """Ask for the constant answer."""
        self.call("GET", "/healthz")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


# ------------------------------------------------------------------------------------------------- in the other process


class Inside:
    """What the process that is measured can be told to do."""

    def __init__(self, node: Node, spans: list[tuple[str, int, int]]) -> None:
        self._node = node
        self._spans = spans
        self._elsewhere = node.operations.hosts.register("elsewhere", compute=False, gateway=False).id
        self._made = 0
        self._demo = self._caller("demo")

    def set_up(self) -> object:
        """Make a network and a pool."""
        admin = self._caller("admin")
        self._node.operations.networks.create(admin, NewNetwork("private", GUESTS))
        ranges = (AddressRange(ROUTER, LAST_PUBLIC),)
        self._node.operations.pools.create(admin, NewPool("public", POOL, OUTSIDE, ranges, "isp", UPLINK_INTERFACE))
        # Packets from outside are timed.
        groups = self._node.operations.groups
        (default,) = groups.listing(self._demo)
        groups.add_rule(self._demo, default.id, NewRule())
        return None

    def boot(self, count: int) -> object:
        """Start real guests, and return their ids and fixed addresses."""
        made = [
            self._node.operations.instances.create(self._demo, NewInstance(f"guest-{number}", IMAGE, "1")).id
            for number in range(count)
        ]
        _eventually(lambda: all(self._instance(id).state is InstanceState.ACTIVE for id in made))
        return [(id, str(self._instance(id).nics[0].fixed[0].address)) for id in made]

    def fill(self, count: int, associated: bool) -> object:
        """Add instances that run on another host and whose gateway is this one, by the store's own transactions in large batches.

        The other host is no more than a name in the database, and is not waited for; this host hears of them all at once, as it would
        after a long time away, and makes them true in its kernel.  Return the ids of the instances.
        """
        with self._node.store.read() as tx:
            network = tx.topology.networks(None)[0]
            gateway = next(host for host in tx.topology.hosts() if host.gateway)
        made: list[InstanceId] = []
        while len(made) < count:
            made += self._batch(network, gateway, min(_BATCH, count - len(made)), associated=associated)
        self.wait()
        return made

    def wait(self) -> object:
        """Wait until the host holds everything."""
        _eventually(lambda: not self._node.operations.settlement.behind())
        return None

    def spans(self) -> object:
        """Return which part of mooring worked when since the last time."""
        found = self._spans[:]
        del self._spans[: len(found)]
        return found

    def take_limit(self, seconds: float) -> object:
        """Return how many transactions a second SQLite makes that do nothing but take an address, one after the other.

        It is a copy of our database beside it, on a connection without anything of ours around it.
        """
        database = self._node.settings.state_directory / "mooring.db"
        copy = database.with_name("limit.db")
        with closing(sqlite3.connect(database)) as ours:
            ours.execute("VACUUM INTO ?", (str(copy),))
            pool, project = ours.execute("SELECT pools.id, projects.id FROM pools, projects LIMIT 1").fetchone()
        try:
            with closing(sqlite3.connect(copy, isolation_level=None)) as bare:
                for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
                    bare.execute(f"PRAGMA {pragma}")
                return _take(bare, seconds, pool, project)
        finally:
            for path in copy.parent.glob("limit.db*"):
                path.unlink()

    def _batch(self, network: Network, gateway: Host, count: int, *, associated: bool) -> list[InstanceId]:
        made: list[InstanceId] = []
        with self._node.store.write() as tx:
            pool = tx.topology.pools()[0]
            for _ in range(count):
                number, self._made = self._made, self._made + 1
                instance, nic, fixed = InstanceId(str(uuid4())), NicId(str(uuid4())), AddressId(str(uuid4()))
                created = datetime.now(UTC)
                owner = self._demo
                name = f"existing-{number}"
                tx.instances.add(InstanceRow(instance, name, owner.project.id, owner.user.id, IMAGE, "1", created))
                mac = f"fa:16:3f:{number >> 16:02x}:{number >> 8 & 0xFF:02x}:{number & 0xFF:02x}"
                tx.instances.add_nic(NicRow(nic, instance, network.id, mac, 0))
                tx.instances.assign(instance, self._elsewhere)
                tx.instances.move(instance, {InstanceState.BUILDING}, InstanceState.ACTIVE)
                private = FIRST_PRIVATE + number
                tx.addresses.take(
                    AddressRow(fixed, network.id, private, AddressKind.FIXED, network=network.id, nic=nic)
                )
                if associated:
                    floating = AddressId(str(uuid4()))
                    public = FIRST_PUBLIC + number
                    tx.addresses.take(
                        AddressRow(
                            floating, "public", public, AddressKind.FLOATING, project=owner.project.id, pool=pool.id
                        )
                    )
                    tx.pools.take(pool.id, owner.project.id)
                    tx.addresses.associate(floating, fixed, pool.id)
                key = SubjectKey(SubjectKind.NIC, nic)
                tx.deliveries.place(key, gateway.id, HostRole.GATEWAY)
                tx.deliveries.publish(key)
                made.append(instance)
            if associated:
                tx.quotas.take(self._demo.project.id, Resource.FLOATING_IPS, count)
        return made

    def _caller(self, user: str) -> Caller:
        token = self._node.operations.identity.log_in(user=user, user_id=None, password=PASSWORD, project=user)
        return self._node.operations.identity.caller(token.secret, "req-bench")

    def _instance(self, id: InstanceId) -> Any:
        return self._node.operations.instances.get(self._demo, id)


@contextmanager
def _watched(spans: list[tuple[str, int, int]]) -> Iterator[None]:
    """Note when the parts of mooring work, from the outside: their methods are wrapped."""
    from mooring.agent.ledger import Ledger
    from mooring.agent.remote import RemoteController
    from mooring.backends.linux import elements
    from mooring.backends.linux.aftermath import Aftermath
    from mooring.backends.linux.backend import LinuxBackend
    from mooring.backends.linux.conntrack import Conntrack
    from mooring.operations.addresses import AddressOperations
    from mooring.operations.door import Door

    def wrap(owner: Any, method: str, name: str) -> None:
        original: Callable[..., Any] = getattr(owner, method)

        def wrapped(*arguments: Any, **named: Any) -> Any:
            start = time.time_ns()
            try:
                return original(*arguments, **named)
            finally:
                spans.append((name, start, time.time_ns()))

        setattr(owner, method, wrapped)

    wrap(AddressOperations, "associate", "operation")
    wrap(AddressOperations, "disassociate", "operation")
    wrap(Door, "settle", "settle")
    wrap(RemoteController, "pull", "pull")
    wrap(RemoteController, "digest", "digest")
    wrap(RemoteController, "report", "report")
    wrap(Ledger, "hold", "hold")
    wrap(LinuxBackend, "apply", "apply")
    wrap(LinuxBackend, "read", "read")
    wrap(elements, "change", "nft")
    wrap(Aftermath, "_announce", "announce")
    wrap(Conntrack, "end", "conntrack")
    wrap(Conntrack, "make_sure", "make sure")
    collections: list[int] = []

    def collected(phase: str, _about: dict[str, int]) -> None:
        if phase == "start":
            collections.append(time.time_ns())
        elif collections:
            spans.append(("garbage", collections.pop(), time.time_ns()))

    gc.callbacks.append(collected)
    try:
        yield
    finally:
        gc.callbacks.remove(collected)


def _take(database: sqlite3.Connection, seconds: float, pool: str, project: str) -> float:
    statement = (
        "INSERT INTO addresses (id, scope, address, position, kind, project, pool, releasing)"
        " VALUES (?, 'public', ?, ?, 'floating', ?, ?, 0)"
    )
    count = 0
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        address = LAST_PUBLIC - count
        database.execute("BEGIN IMMEDIATE")
        database.execute(statement, (str(uuid4()), str(address), int(address), project, pool))
        database.execute("COMMIT")
        count += 1
    return count / (time.perf_counter() - start)


def _eventually(truth: Callable[[], object]) -> None:
    deadline = time.monotonic() + _TIMEOUT
    while not truth():
        if time.monotonic() > deadline:
            raise RuntimeError("did not come true in time")
        time.sleep(0.02)


def main() -> int:
    """Run a mooring and obey."""
    host, state, run = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    state.mkdir(parents=True, exist_ok=True)
    settings = Settings(
        state_directory=state,
        run_directory=run,
        api=ApiSettings(port=0),
        host=HostSettings(name=host, namespace=host),
        identity=IdentitySettings(
            accounts=(
                AccountSettings(user="admin", password=PASSWORD, project="admin", role=Role.ADMIN),
                AccountSettings(user="demo", password=PASSWORD, project="demo", role=Role.MEMBER),
            ),
            token_lifetime=86400,
        ),
        quotas=QuotaSettings(instances=-1, floating_ips=-1, security_group_members=-1),
    )
    spans: list[tuple[str, int, int]] = []
    with (state / "log").open("w", encoding="utf-8") as log, _watched(spans):
        configure(log)
        with Node(settings) as node:
            process.keep()
            inside = Inside(node, spans)
            _tell({"port": node.server.port})
            for line in sys.stdin:
                order = json.loads(line)
                _tell(getattr(inside, order.pop("verb"))(**order))
    return 0


def _tell(answer: object) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
