"""What is NATS's own: it goes away and comes back, it may not be there yet, and a host can't speak for another."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mooring.bus import DeadlineExceeded, NoResponder
from mooring.bus.nats import NatsAccess, NatsBus
from tests.bus.nats_server import NatsServer


def _eventually(truth: Callable[[], object], timeout: float = 10.0) -> None:
    deadline = time.monotonic() + timeout
    while not truth():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    made = NatsServer(tmp_path)
    yield made
    made.kill()


def _answers(bus: NatsBus, topic: str) -> bool:
    try:
        return bus.call(topic, b"ping", timeout=0.5) == b"pong"
    except (NoResponder, DeadlineExceeded):
        return False


def test_a_bus_may_be_there_before_its_server(server: NatsServer) -> None:
    bus = NatsBus(NatsAccess((server.url,), "early"))
    bus.serve("topic", lambda *_: b"pong")
    assert not bus.wait_connected(0.3)
    bus.cast("topic", b"lost")
    with pytest.raises(DeadlineExceeded):
        bus.call("topic", b"", timeout=0.1)
    server.start()
    assert bus.wait_connected(10)
    _eventually(lambda: _answers(bus, "topic"))
    bus.close()


def test_subscriptions_return_with_the_server(server: NatsServer) -> None:
    server.start()
    served, asking = (NatsBus(NatsAccess((server.url,), name)) for name in ("one", "two"))
    served.serve("topic", lambda *_: b"pong")
    assert served.wait_connected(10)
    assert asking.wait_connected(10)
    _eventually(lambda: _answers(asking, "topic"))
    server.kill()
    with pytest.raises(DeadlineExceeded):
        asking.call("topic", b"", timeout=0.3)
    server.start()
    _eventually(lambda: _answers(asking, "topic"))
    served.close()
    asking.close()


def test_a_call_ends_with_the_connection(server: NatsServer) -> None:
    """Its answer can't come any longer: who asks again at once is answered, and need not wait for a deadline first."""
    server.start()
    served, asking = (NatsBus(NatsAccess((server.url,), name)) for name in ("one", "two"))
    asked, goes_on = threading.Event(), threading.Event()

    def wait(_topic: str, _message: bytes) -> bytes:
        asked.set()
        assert goes_on.wait(60)
        return b"too late"

    served.serve("slow", wait)
    served.serve("topic", lambda *_: b"pong")
    assert served.wait_connected(10)
    assert asking.wait_connected(10)
    with ThreadPoolExecutor(1) as threads:
        call = threads.submit(asking.call, "slow", b"", 120)
        assert asked.wait(30)
        server.kill()
        with pytest.raises(DeadlineExceeded):
            call.result(60)
    server.start()
    _eventually(lambda: _answers(asking, "topic"))
    goes_on.set()
    served.close()
    asking.close()


def test_closing_without_a_server_ends(server: NatsServer) -> None:
    began = time.monotonic()
    NatsBus(NatsAccess((server.url,), "never")).close()
    assert time.monotonic() - began < 5


def test_a_topic_never_waits_for_the_threads_of_another(server: NatsServer) -> None:
    server.start()
    served, asking = (NatsBus(NatsAccess((server.url,), name)) for name in ("one", "two"))
    goes_on = threading.Event()

    def wait(_topic: str, _message: bytes) -> bytes:
        assert goes_on.wait(30)
        return b"waited"

    def release(_topic: str, _message: bytes) -> bytes:
        goes_on.set()
        return b""

    served.serve("launch", wait)
    served.serve("report", release)
    assert served.wait_connected(10)
    assert asking.wait_connected(10)
    crowd = 150  # more than a topic has threads
    with ThreadPoolExecutor(crowd) as threads:
        waiting = [threads.submit(asking.call, "launch", b"", 30) for _ in range(crowd)]
        assert asking.call("report", b"", timeout=30) == b""
        assert {each.result(30) for each in waiting} == {b"waited"}
    served.close()
    asking.close()
