"""NATS as a bus: the official client on an event loop of its own, behind the same synchronous calls as the in-process bus.

Core NATS only: nothing is stored there.  A topic is a NATS subject.  Inboxes carry the client's name, so that a server can be told who may
listen to which answers.  When the server is away, calls miss their deadline and casts are lost; subscriptions return with the connection.

A server lets a client ask for its answer on any subject, and whoever answers may publish on more of them than the client.  So that nobody
can make others ring or answer for it, a message on a topic that names its sender is answered in that sender's inbox or not at all.
"""

import asyncio
import contextlib
import ssl
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import nats.errors
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as NatsSubscription

from mooring.bus import DeadlineExceeded, Handler, NoResponder, Subscription
from mooring.bus.topics import asker

_HANDLER_THREADS = 128
_RECONNECT_WAIT = 0.2
_CONNECT_TIMEOUT = 2
_PING_INTERVAL = 2
_START_TIMEOUT = 10.0
_REPEAT_REASON = 10.0
_log = structlog.get_logger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class NatsTls:
    """What proves servers to us, and us to servers: files in PEM.  Without `ca` the machine's own authorities are believed."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def context(self) -> ssl.SSLContext:
        """Return it as Python's library wants it.

        Raises:
            OSError: a file can't be read, or is not what it should be.
        """
        context = ssl.create_default_context(cafile=self.ca)
        if self.certificate is not None:
            context.load_cert_chain(self.certificate, self.key)
        return context


@dataclass(frozen=True, slots=True)
class NatsAccess:
    """Where the servers are and who we are there; `name` is also the inbox's prefix, and must be a single NATS token."""

    servers: tuple[str, ...]
    name: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: NatsTls | None = None


def inbox_prefix(name: str) -> str:
    """Return the prefix of the subjects on which a client of that name is answered."""
    return f"_INBOX.{name}"


class NatsBus:
    """A bus between processes and hosts."""

    def __init__(self, access: NatsAccess) -> None:
        """Connect in the background, for as long as it takes; see `wait_connected`.

        Raises:
            OSError: a file of its TLS can't be used.
        """
        self._access = access
        self._tls = access.tls.context() if access.tls is not None else None
        self._told = ("", 0.0)
        self._client = Client()
        self._connected = threading.Event()
        self._closing = False
        self._served: list[_Served] = []
        self._asking: set[asyncio.Future[Msg]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="nats", daemon=True)
        self._thread.start()
        self._connecting = self._submit(self._connect())

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _submit(self, work: Coroutine[object, object, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _connect(self) -> None:
        while not self._closing:
            self._client = client = Client()
            try:
                await client.connect(
                    servers=list(self._access.servers),
                    name=self._access.name,
                    user=self._access.user,
                    password=self._access.password,
                    inbox_prefix=inbox_prefix(self._access.name),
                    connect_timeout=_CONNECT_TIMEOUT,
                    ping_interval=_PING_INTERVAL,
                    # The client's own way back ends where a server refuses it once, and leaks a connection at each refusal (2.16): a
                    # connection that is lost is replaced by another client here.
                    allow_reconnect=False,
                    # Within one attempt, too, it waits so long after a server that refused it: 2 seconds, unless it is told.
                    reconnect_time_wait=_RECONNECT_WAIT,  # type: ignore[arg-type]  # a float is slept as well
                    # A cast that can't be sent now is worth nothing later: hosts compare what they hold when they are back.
                    pending_size=1 << 16,
                    error_cb=self._failed,
                    closed_cb=self._lost,
                    tls=self._tls,
                )
                for served in self._served:
                    await served.subscribe(client)
            except (TimeoutError, OSError, nats.errors.Error):
                # `error_cb` was told.
                await client.close()
            except Exception:  # noqa: BLE001 - whatever it is, a process without its bus is of no use
                _log.exception("bus")
                await client.close()
            if client.is_connected:
                if self._told[0]:
                    _log.info("bus is back")
                    self._told = ("", 0.0)
                self._connected.set()
                return
            await asyncio.sleep(_RECONNECT_WAIT)

    async def _failed(self, error: Exception) -> None:
        # A server that is away is missed five times a second.
        reason = str(error) or type(error).__name__
        told, when = self._told
        if reason != told or time.monotonic() - when > _REPEAT_REASON:
            self._told = (reason, time.monotonic())
            _log.warning("bus", reason=reason)

    async def _lost(self) -> None:
        # Of a client that never got as far, `_connect` itself makes another.
        if not self._closing and self._connected.is_set():
            self._connected.clear()
            self._told = ("lost", time.monotonic())
            _log.warning("bus is lost")
            # Answers to what was asked go to an inbox that is no longer ours: nobody needs to wait for them until the deadline.
            for asking in self._asking:
                asking.cancel()
            self._connecting = self._submit(self._connect())

    def alive(self) -> bool:
        """Say whether a server answers within a second."""
        if not self.connected or self._closing:
            return False
        try:
            self._submit(self._client.flush(1)).result(1.5)
        except (TimeoutError, FutureTimeout, nats.errors.Error):
            return False
        return True

    @property
    def connected(self) -> bool:
        """Whether there is a connection, as far as the client knows; nobody is asked."""
        return self._connected.is_set() and self._client.is_connected

    def wait_connected(self, timeout: float = _START_TIMEOUT) -> bool:
        """Wait up to `timeout` seconds for the first connection; say whether there is one."""
        return self._connected.wait(timeout)

    def call(self, topic: str, message: bytes, timeout: float) -> bytes:
        """Return one handler's answer; see Bus.  With the connection, every call that waits for an answer ends."""
        deadline = time.monotonic() + timeout
        if not self._connected.wait(timeout):
            raise DeadlineExceeded(topic)
        left = max(deadline - time.monotonic(), 0.001)
        future = self._submit(self._request(topic, message, left))
        try:
            return bytes(future.result(left + 1).data)
        except nats.errors.NoRespondersError as error:
            raise NoResponder(topic) from error
        except (TimeoutError, nats.errors.Error, FutureTimeout, CancelledError) as error:
            raise DeadlineExceeded(topic) from error

    async def _request(self, topic: str, message: bytes, seconds: float) -> Msg:
        asking = asyncio.ensure_future(self._client.request(topic, message, timeout=seconds))
        self._asking.add(asking)
        try:
            return await asking
        finally:
            self._asking.discard(asking)

    def cast(self, topic: str, message: bytes) -> None:
        """Send to the topic's subscribers, if there are any and the server is there."""
        if not self._connected.is_set() or self._closing:
            return
        self._submit(self._publish(topic, message))

    async def _publish(self, topic: str, message: bytes) -> None:
        if not self._client.is_connected:
            return
        try:
            await self._client.publish(topic, message)
        except nats.errors.Error as error:
            _log.debug("cast lost", topic=topic, reason=str(error))

    def serve(self, topic: str, handler: Handler, group: str | None = None) -> Subscription:
        """Serve a topic; messages are handled by a pool of threads of its own, so that no topic waits for threads that wait for it."""
        served = _Served(self, topic, handler, group)
        self._submit(self._serve(served)).result(_START_TIMEOUT)
        return served

    async def _serve(self, served: "_Served") -> None:
        self._served.append(served)
        if self._client.is_connected or self._connected.is_set():
            await served.subscribe(self._client)

    async def handle(self, served: "_Served", message: Msg) -> None:
        """Run a handler in a thread and send its answer, if one is wanted."""
        self._loop.run_in_executor(served.threads, self._answer, served, message)

    def _answer(self, served: "_Served", message: Msg) -> None:
        try:
            answer = served.handler(message.subject, bytes(message.data))
        except Exception:  # noqa: BLE001 - one bad message must not end the service of a topic; whoever asked misses the deadline
            _log.exception("message failed", topic=served.topic)
            return
        if message.reply and not self._closing and _may_be_answered(served.topic, message):
            self._submit(self._publish(message.reply, answer))

    def leave(self, served: "_Served") -> None:
        """End a subscription."""
        if not self._closing:
            self._submit(self._leave(served)).result(_START_TIMEOUT)

    async def _leave(self, served: "_Served") -> None:
        if served in self._served:
            self._served.remove(served)
            await served.unsubscribe()
            served.threads.shutdown(wait=False)

    def close(self) -> None:
        """End all subscriptions and the connection."""
        if self._closing:
            return
        self._closing = True
        self._connecting.cancel()
        self._submit(self._close()).result(_START_TIMEOUT)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        for served in self._served:
            served.threads.shutdown(wait=False, cancel_futures=True)

    async def _close(self) -> None:
        if self._client.options:  # else it was never asked to connect, and does not close
            await self._client.close()
        # Let the client's own tasks see that it is over.
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)


def _may_be_answered(pattern: str, message: Msg) -> bool:
    name = asker(pattern, message.subject)
    if name is None or message.reply.startswith(f"{inbox_prefix(name)}."):
        return True
    _log.warning("answer refused: it is wanted elsewhere than in the sender's inbox", topic=message.subject)
    return False


class _Served:
    """One subscription, renewed with the connection by the client itself."""

    def __init__(self, bus: NatsBus, topic: str, handler: Handler, group: str | None) -> None:
        self.bus = bus
        self.topic = topic
        self.handler = handler
        self.group = group
        # Threads come as they are needed.
        self.threads = ThreadPoolExecutor(_HANDLER_THREADS, thread_name_prefix="bus")
        self._client: Client | None = None
        self._subscription: NatsSubscription | None = None

    async def subscribe(self, client: Client) -> None:
        """Subscribe, on the bus's loop and once a client, and wait until the server knows."""

        async def deliver(message: Msg) -> None:
            await self.bus.handle(self, message)

        if self._client is not client:
            self._client = client
            self._subscription = await client.subscribe(  # pyright: ignore[reportUnknownMemberType]  # a Future of nothing
                self.topic, queue=self.group or "", cb=deliver
            )
            await client.flush(_CONNECT_TIMEOUT)

    async def unsubscribe(self) -> None:
        """Unsubscribe, on the bus's loop."""
        if self._subscription is not None:
            # With a connection that is lost, the subscription is as well.
            with contextlib.suppress(nats.errors.Error):
                await self._subscription.unsubscribe()
            self._subscription = None

    def close(self) -> None:
        """End the subscription."""
        self.bus.leave(self)
