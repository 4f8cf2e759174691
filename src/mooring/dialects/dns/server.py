"""A DNS server in a thread of its own: UDP and TCP on one port, and a few threads that look for what is asked.

What comes faster than it is answered is dropped: whoever asks over UDP asks again.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from ipaddress import IPv4Address
from typing import cast

import structlog

from mooring.dialects.dns.answers import Ask, Authority, answer
from mooring.model.faults import Fault

_THREADS = 4
_MOST_WAITING = 256
_MOST_CONNECTIONS = 64
_PATIENCE = 5.0
_ATTEMPTS = 16
_LENGTH = struct.Struct("!H")
_log = structlog.get_logger(__name__)


class Server:
    """Answers questions; which names there are is looked for when somebody asks."""

    def __init__(self, listen: str, port: int, authority: Authority, ask: Ask) -> None:
        """Bind at once, so that a port in use is told before anything else starts; port 0 is any free one.

        Raises:
            OSError: the address can't be had.
        """
        self._authority = authority
        self._ask = ask
        self._tcp, self._udp = _sockets(listen, port)
        self.host, self.port = self._tcp.getsockname()[:2]
        self._pool = ThreadPoolExecutor(_THREADS, "dns")
        self._waiting = threading.Semaphore(_MOST_WAITING)
        self._loop = asyncio.new_event_loop()
        self._connections = 0
        self._thread = threading.Thread(target=self._run, name="dns-server", daemon=True)
        self._ready = threading.Event()
        self._ending = asyncio.Event()

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        """Answer no longer."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._ending.set)
            self._thread.join()
        self._pool.shutdown(wait=True)
        self._loop.close()
        self._tcp.close()
        self._udp.close()

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        datagrams, _ = await self._loop.create_datagram_endpoint(lambda: _Datagrams(self.answered), sock=self._udp)
        server = await asyncio.start_server(self._connected, sock=self._tcp)
        self._ready.set()
        await self._ending.wait()
        datagrams.close()
        server.close()
        others = asyncio.all_tasks(self._loop) - {asyncio.current_task(self._loop)}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        # What is closed closes in the loop's next turn.
        await asyncio.sleep(0)

    def answered(self, question: bytes, source: str) -> "Future[bytes | None] | None":
        """Begin to look for the answer to a message; None if too many wait already."""
        if not self._waiting.acquire(blocking=False):
            return None
        future = self._pool.submit(self._look, question, source)
        future.add_done_callback(lambda _: self._waiting.release())
        return future

    def _look(self, question: bytes, source: str) -> bytes | None:
        try:
            return answer(question, IPv4Address(source), self._authority, self._ask)
        except Fault as fault:
            # The database is away: whoever asks will ask again, here or another server.
            _log.warning("a question of the DNS has no answer", reason=fault.reason)
        except Exception:  # noqa: BLE001 - a stranger's question must not end anything
            _log.exception("a question of the DNS failed")
        return None

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._connections >= _MOST_CONNECTIONS:
            writer.close()
            return
        self._connections += 1
        try:
            await self._converse(reader, writer)
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError):
            pass  # they have gone, or say nothing
        finally:
            self._connections -= 1
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        source = str(writer.get_extra_info("peername")[0])
        while True:
            async with asyncio.timeout(_PATIENCE):
                (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
                question = await reader.readexactly(length)
                looked = self.answered(question, source)
                found = await asyncio.wrap_future(looked) if looked is not None else None
                if found is None:
                    return
                writer.write(_LENGTH.pack(len(found)) + found)
                await writer.drain()


class _Datagrams(asyncio.DatagramProtocol):
    """Questions over UDP."""

    def __init__(self, answered: "Callable[[bytes, str], Future[bytes | None] | None]") -> None:
        self._answered = answered
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # What asyncio gives here is one, though its class doesn't say so.
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        looked = self._answered(data, addr[0])
        if looked is not None:
            loop = asyncio.get_running_loop()
            looked.add_done_callback(lambda done: loop.call_soon_threadsafe(self._send, done.result(), addr))

    def _send(self, found: bytes | None, source: tuple[str, int]) -> None:
        if found is not None and self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(found, source)


def _sockets(listen: str, port: int) -> tuple[socket.socket, socket.socket]:
    """Bind one port for both; a free one for TCP may be taken for UDP, and then it is another one."""
    for attempt in range(_ATTEMPTS):
        tcp = socket.create_server((listen, port), family=socket.AF_INET, backlog=_MOST_CONNECTIONS)
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        udp.settimeout(0)
        try:
            udp.bind((listen, tcp.getsockname()[1]))
        except OSError:
            udp.close()
            tcp.close()
            if port or attempt == _ATTEMPTS - 1:
                raise
        else:
            return tcp, udp
    raise AssertionError("the last attempt raises")
