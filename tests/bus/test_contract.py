"""What every bus promises, in one process and over NATS."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from mooring.bus import Bus, DeadlineExceeded, Handler, NoResponder
from mooring.bus.inprocess import InProcessBus
from mooring.bus.nats import NatsAccess, NatsBus
from tests.bus.nats_server import NatsServer


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    made = NatsServer(tmp_path_factory.mktemp("nats"))
    made.start()
    yield made
    made.kill()


@pytest.fixture(params=["in-process", "nats"])
def bus(request: pytest.FixtureRequest) -> Iterator[Bus]:
    if request.param == "nats":
        nats: NatsServer = request.getfixturevalue("server")
        over = NatsBus(NatsAccess((nats.url,), "test"))
        assert over.wait_connected()
        made: Bus = over
    else:
        made = InProcessBus()
    yield made
    made.close()


def _eventually(truth: Callable[[], object]) -> None:
    deadline = time.monotonic() + 5
    while not truth():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_call_is_answered(bus: Bus) -> None:
    bus.serve("sum", lambda _, message: b"%d" % sum(message))
    assert bus.call("sum", bytes([1, 2, 3]), timeout=1) == b"6"


def test_nobody_there_is_told_at_once(bus: Bus) -> None:
    began = time.monotonic()
    with pytest.raises(NoResponder):
        bus.call("nowhere", b"", timeout=5)
    assert time.monotonic() - began < 1


def test_a_late_answer_is_a_missed_deadline(bus: Bus) -> None:
    release = threading.Event()

    def slow(_topic: str, _message: bytes) -> bytes:
        release.wait(5)
        return b""

    bus.serve("slow", slow)
    with pytest.raises(DeadlineExceeded):
        bus.call("slow", b"", timeout=0.05)
    release.set()


def test_a_cast_reaches_everybody_without_a_group_and_one_of_each_group(bus: Bus) -> None:
    heard: list[str] = []

    def hears(name: str) -> Handler:
        def handler(_topic: str, _message: bytes) -> bytes:
            heard.append(name)
            return b""

        return handler

    for name, group in (("a", None), ("b", None), ("c", "g"), ("d", "g")):
        bus.serve("news", hears(name), group)
    bus.cast("news", b"")
    _eventually(lambda: len(heard) == 3)
    time.sleep(0.05)
    assert len(heard) == 3
    assert {"a", "b"} < set(heard)
    # Who of a group gets a message is not said; all of them get their share.
    for _ in range(40):
        bus.cast("news", b"")
    _eventually(lambda: {"c", "d"} <= set(heard))


def test_a_cast_to_nobody_is_lost_silently(bus: Bus) -> None:
    bus.cast("nowhere", b"")


def test_a_handler_that_fails_goes_on_serving(bus: Bus) -> None:
    seen: list[bytes] = []

    def handler(_topic: str, message: bytes) -> bytes:
        if message == b"bad":
            raise ValueError("as it happens")
        seen.append(message)
        return b""

    bus.serve("topic", handler)
    bus.cast("topic", b"bad")
    bus.cast("topic", b"good")
    _eventually(lambda: seen == [b"good"])


def test_a_closed_subscription_hears_nothing_more(bus: Bus) -> None:
    seen: list[bytes] = []

    def handler(_topic: str, message: bytes) -> bytes:
        seen.append(message)
        return b""

    subscription = bus.serve("topic", handler)
    bus.cast("topic", b"1")
    _eventually(lambda: seen == [b"1"])
    subscription.close()
    bus.cast("topic", b"2")
    with pytest.raises(NoResponder):
        bus.call("topic", b"3", timeout=1)
    assert seen == [b"1"]


def test_a_star_stands_for_one_word_and_the_handler_is_told_the_topic(bus: Bus) -> None:
    bus.serve("controller.*.*", lambda topic, message: topic.encode() + b" " + message, "controllers")
    # Whoever is answered has to be the one that the topic names.
    assert bus.call("controller.test.pull", b"all", timeout=1) == b"controller.test.pull all"
    for other in ("controller.test", "controller.test.pull.more", "controllers.test.pull", "controller"):
        with pytest.raises(NoResponder):
            bus.call(other, b"", timeout=1)


def test_a_cast_reaches_those_who_serve_its_topic_and_those_who_serve_a_pattern(bus: Bus) -> None:
    heard: list[str] = []

    def handler(topic: str, _message: bytes) -> bytes:
        heard.append(topic)
        return b""

    bus.serve("host.*", handler)
    bus.serve("host.a", handler)
    bus.cast("host.a", b"")
    bus.cast("host.b", b"")
    _eventually(lambda: len(heard) == 3)
    time.sleep(0.05)
    assert sorted(heard) == ["host.a", "host.a", "host.b"]
