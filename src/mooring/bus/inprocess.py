"""The bus of a single process: queues and threads."""

import itertools
import queue
import threading
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass

import structlog

from mooring.bus import DeadlineExceeded, Handler, NoResponder, Subscription
from mooring.bus.topics import matches

_CALL_THREADS = 32
_log = structlog.get_logger(__name__)


class _Subscriber:
    def __init__(self, topic: str, handler: Handler, group: str | None) -> None:
        self.topic = topic
        self.handler = handler
        self.group = group
        self.casts: queue.SimpleQueue[tuple[str, bytes] | None] = queue.SimpleQueue()

    def run(self) -> None:
        """Hand casts to the handler one after the other until None comes."""
        while (cast := self.casts.get()) is not None:
            try:
                self.handler(*cast)
            except Exception:  # noqa: BLE001 - one bad message must not end the service of a topic
                _log.exception("cast failed", topic=self.topic)


class InProcessBus:
    """A bus between the threads of one process."""

    def __init__(self) -> None:
        """Start with no subscriber."""
        self._lock = threading.Lock()
        self._subscribers: dict[str, list[_Subscriber]] = {}
        self._turn = itertools.count()
        self._calls = ThreadPoolExecutor(_CALL_THREADS, thread_name_prefix="bus-call")

    def call(self, topic: str, message: bytes, timeout: float) -> bytes:
        """Return one handler's answer; see Bus."""
        with self._lock:
            served = self._serving(topic)
            if not served:
                raise NoResponder(topic)
            chosen = served[next(self._turn) % len(served)]
        future = self._calls.submit(chosen.handler, topic, message)
        try:
            return future.result(timeout)
        except FutureTimeout as error:
            if future.done():
                raise
            raise DeadlineExceeded(topic) from error

    def cast(self, topic: str, message: bytes) -> None:
        """Queue a message for every subscriber without a group and one of each group."""
        with self._lock:
            by_group: dict[str, list[_Subscriber]] = {}
            for number, subscriber in enumerate(self._serving(topic)):
                by_group.setdefault(subscriber.group or f"\0{number}", []).append(subscriber)
            turn = next(self._turn)
            chosen = [members[turn % len(members)] for members in by_group.values()]
        for subscriber in chosen:
            subscriber.casts.put((topic, message))

    def _serving(self, topic: str) -> list[_Subscriber]:
        served = list(self._subscribers.get(topic, ()))
        for pattern, subscribers in self._subscribers.items():
            if "*" in pattern and matches(pattern, topic):
                served += subscribers
        return served

    def serve(self, topic: str, handler: Handler, group: str | None = None) -> Subscription:
        """Serve a topic with one thread for casts; calls come from a pool of threads."""
        subscriber = _Subscriber(topic, handler, group)
        with self._lock:
            self._subscribers.setdefault(topic, []).append(subscriber)
        threading.Thread(target=subscriber.run, name=f"bus-{topic}", daemon=True).start()
        return _Served(self, subscriber)

    def leave(self, subscriber: _Subscriber) -> None:
        """End a subscription."""
        with self._lock:
            served = self._subscribers.get(subscriber.topic, [])
            if subscriber in served:
                served.remove(subscriber)
                subscriber.casts.put(None)

    def close(self) -> None:
        """End all subscriptions."""
        with self._lock:
            everybody = [subscriber for served in self._subscribers.values() for subscriber in served]
        for subscriber in everybody:
            self.leave(subscriber)
        self._calls.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True)
class _Served:
    bus: InProcessBus
    subscriber: _Subscriber

    def close(self) -> None:
        """End the subscription."""
        self.bus.leave(self.subscriber)
