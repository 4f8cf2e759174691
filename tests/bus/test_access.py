"""A host on a real nats-server, with the permissions that `mooring bus config` writes: it can harm nobody but itself (S35, T5, T6)."""

import asyncio
import secrets
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.client import Client

from mooring.bus import DeadlineExceeded, NoResponder
from mooring.bus.access import BusUser, Kind, hash_password, nats_config
from mooring.bus.nats import NatsAccess, NatsBus, inbox_prefix
from mooring.bus.topics import SCHEDULER, SETTLED, compute_topic, controller_topic, host_topic
from mooring.model.ids import HostId, host_id
from tests.bus.nats_server import NatsServer

PASSWORDS = {name: secrets.token_urlsafe(32) for name in ("api", "controller", "evil", "good")}
EVIL, GOOD = host_id("evil"), host_id("good")


def _user(name: str) -> BusUser:
    kind = Kind(name) if name in {"api", "controller"} else Kind.HOST
    return BusUser(name, kind, hash_password(PASSWORDS[name]))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    made = NatsServer(tmp_path_factory.mktemp("nats"), nats_config(map(_user, PASSWORDS)))
    made.start()
    yield made
    made.kill()


def _access(server: NatsServer, name: str) -> NatsAccess:
    return NatsAccess((server.url,), _user(name).inbox, name, PASSWORDS[name])


@pytest.fixture
def controller(server: NatsServer) -> Iterator[NatsBus]:
    bus = NatsBus(_access(server, "controller"))
    assert bus.wait_connected()
    yield bus
    bus.close()


@pytest.fixture
def good(server: NatsServer) -> Iterator[NatsBus]:
    bus = NatsBus(_access(server, "good"))
    assert bus.wait_connected()
    yield bus
    bus.close()


class Evil:
    """A client that keeps to nothing but what the server makes it keep to: the library itself, with a host's password."""

    def __init__(self, server: NatsServer) -> None:
        self.refusals: list[str] = []
        self.heard: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

        async def refused(error: Exception) -> None:
            self.refusals.append(str(error))

        async def connect() -> Client:
            return await nats.connect(
                server.url,
                user="evil",
                password=PASSWORDS["evil"],
                inbox_prefix=inbox_prefix(EVIL),
                error_cb=refused,
                allow_reconnect=False,
            )

        self.client: Client = self.do(connect())

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def publish(self, subject: str, reply: str = "") -> None:
        self.do(self.client.publish(subject, b"{}", reply=reply))
        self.do(self.client.flush(5))

    def subscribe(self, subject: str, queue: str = "") -> None:
        async def hears(message: Any) -> None:
            self.heard.append(message.subject)
            if message.reply:
                await self.client.publish(message.reply, b"evil")

        self.do(self.client.subscribe(subject, queue=queue, cb=hears))
        self.do(self.client.flush(5))

    def close(self) -> None:
        self.do(self.client.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def evil(server: NatsServer) -> Iterator[Evil]:
    made = Evil(server)
    yield made
    made.close()


def _eventually(truth: Callable[[], object]) -> None:
    deadline = time.monotonic() + 5
    while not truth():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _collect(bus: NatsBus, topic: str, heard: list[str], group: str | None = None) -> None:
    def handler(sent: str, _message: bytes) -> bytes:
        heard.append(sent)
        return b"answer"

    bus.serve(topic, handler, group)


OTHERS_SUBJECTS = (
    host_topic(GOOD),
    compute_topic(GOOD),
    f"{inbox_prefix(GOOD)}.>",
    f"{inbox_prefix('controller')}.>",
    "_INBOX.>",
    "controller.*.*",
    controller_topic(EVIL, "*"),
    SCHEDULER,
    SETTLED,
    "host.*",
    "compute.*",
    ">",
    "*",
    "*.*",
    "*.*.*",
    "$SYS.>",
)


@pytest.mark.parametrize("queue", ["", "controllers"])
@pytest.mark.parametrize("subject", OTHERS_SUBJECTS)
def test_a_host_hears_nothing_that_is_not_for_it(evil: Evil, subject: str, queue: str) -> None:
    evil.subscribe(subject, queue)
    _eventually(lambda: any("permissions violation" in refusal.lower() for refusal in evil.refusals))


@pytest.mark.parametrize(
    "subject",
    [
        controller_topic(GOOD, "pull"),
        controller_topic(GOOD, "report"),
        host_topic(GOOD),
        host_topic(EVIL),
        compute_topic(GOOD),
        SCHEDULER,
        SETTLED,
        f"{inbox_prefix(GOOD)}.guessed",
        f"{inbox_prefix('controller')}.guessed",
        f"controller.{EVIL}",
        f"controller.{EVIL}.pull.more",
        "$SYS.REQ.SERVER.PING",
    ],
)
def test_a_host_speaks_for_nobody_else_and_rings_nobody(evil: Evil, subject: str) -> None:
    evil.publish(subject)
    _eventually(lambda: any("permissions violation for publish" in refusal.lower() for refusal in evil.refusals))


def test_a_host_is_answered_and_woken(controller: NatsBus, good: NatsBus) -> None:
    asked: list[str] = []
    woken: list[str] = []
    _collect(controller, "controller.*.*", asked, "controllers")
    _collect(good, host_topic(GOOD), woken)
    _collect(good, compute_topic(GOOD), woken)
    assert good.call(controller_topic(GOOD, "pull"), b"", timeout=5) == b"answer"
    assert asked == [controller_topic(GOOD, "pull")]
    controller.cast(host_topic(GOOD), b"")
    controller.cast(compute_topic(GOOD), b"")
    _eventually(lambda: sorted(woken) == [compute_topic(GOOD), host_topic(GOOD)])


def test_a_host_does_not_answer_for_the_controller(good: NatsBus, evil: Evil) -> None:
    evil.subscribe(controller_topic(GOOD, "pull"), "controllers")
    with pytest.raises(NoResponder):
        good.call(controller_topic(GOOD, "pull"), b"", timeout=2)
    assert not evil.heard


@pytest.mark.parametrize(
    "victim",
    [host_topic(GOOD), compute_topic(GOOD), SETTLED, f"{inbox_prefix(GOOD)}.x", f"{inbox_prefix(EVIL)}extra.x"],
)
def test_a_host_cannot_make_the_controller_ring_or_answer_others(
    controller: NatsBus, good: NatsBus, evil: Evil, victim: str
) -> None:
    """The server lets anybody ask for an answer anywhere; the controller may publish there, and does not."""
    asked: list[str] = []
    heard: list[str] = []
    _collect(controller, "controller.*.*", asked, "controllers")
    for topic in (host_topic(GOOD), compute_topic(GOOD), f"{inbox_prefix(GOOD)}.x"):
        _collect(good, topic, heard)
    _collect(controller, SETTLED, heard)
    evil.publish(controller_topic(EVIL, "pull"), reply=victim)
    _eventually(lambda: asked)
    # What was sent before this call's answer has arrived before it, on every connection.
    assert good.call(controller_topic(GOOD, "pull"), b"", timeout=5) == b"answer"
    assert controller.alive()
    assert good.alive()
    assert not heard


def test_an_api_rings_and_is_no_controller(server: NatsServer, controller: NatsBus, good: NatsBus) -> None:
    api = NatsBus(_access(server, "api"))
    try:
        assert api.wait_connected()
        woken: list[str] = []
        launched: list[str] = []
        settled: list[str] = []
        _collect(good, host_topic(GOOD), woken)
        _collect(good, compute_topic(GOOD), woken)
        _collect(controller, SCHEDULER, launched, "schedulers")
        _collect(api, SETTLED, settled)
        api.cast(host_topic(GOOD), b"")
        api.cast(SCHEDULER, b"")
        controller.cast(SETTLED, b"")
        _eventually(lambda: woken == [host_topic(GOOD)] and launched and settled)
        # To run an instance is for the controller to say, and to call it is for hosts.
        api.cast(compute_topic(GOOD), b"")
        with pytest.raises(DeadlineExceeded):
            api.call(controller_topic(GOOD, "pull"), b"", timeout=0.3)
        assert woken == [host_topic(GOOD)]
    finally:
        api.close()


def test_nobody_comes_without_a_password_or_with_anothers(server: NatsServer) -> None:
    for user, password in ((None, None), ("good", PASSWORDS["evil"]), ("good", ""), ("nobody", "x")):
        bus = NatsBus(NatsAccess((server.url,), "x", user, password))
        try:
            assert not bus.wait_connected(0.7)
            assert not bus.alive()
        finally:
            bus.close()


def test_a_host_that_is_removed_is_sent_away_and_one_that_is_renewed_comes_back(tmp_path: Path) -> None:
    users = [_user("controller"), _user("good")]
    server = NatsServer(tmp_path, nats_config(users))
    server.start()
    bus = NatsBus(_access(server, "good"))
    try:
        assert bus.wait_connected()
        server.configure(nats_config(users[:1]))
        _eventually(lambda: not bus.alive())
        server.configure(nats_config(users))
        _eventually(bus.alive)
        heard: list[str] = []
        _collect(bus, host_topic(GOOD), heard)
        controller = NatsBus(_access(server, "controller"))
        assert controller.wait_connected()
        controller.cast(host_topic(GOOD), b"")
        _eventually(lambda: heard)
        controller.close()
    finally:
        bus.close()
        server.kill()


def test_passwords_are_nowhere_in_the_servers_file() -> None:
    text = nats_config(map(_user, PASSWORDS))
    assert not any(password in text for password in PASSWORDS.values())
    assert PASSWORDS["good"] not in repr(NatsAccess((), "x", "good", PASSWORDS["good"]))


def test_a_name_cannot_change_the_servers_file() -> None:
    for name in ('x" }', "a\nb", "back\\slash"):
        with pytest.raises(ValueError, match="can't stand"):
            nats_config([BusUser(name, Kind.HOST, "$2b$")])


def test_a_password_that_bcrypt_would_cut_is_refused() -> None:
    with pytest.raises(ValueError, match="72"):
        hash_password("x" * 73)


def test_ids_of_hosts_are_words_of_a_subject() -> None:
    for name in ("host-1", "node.example.org", "*", "a b", "ü"):
        assert set(host_id(name)) <= set("0123456789abcdef-")
    assert host_id("a") == host_id("a") != HostId(host_id("b"))
