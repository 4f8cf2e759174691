"""A TCP session that is held while something happens to it: a byte every 20 ms to an echo service, and when each came back."""

import select
import socket
import struct
import threading
import time
from itertools import pairwise
from types import TracebackType
from typing import Self

from mooring.guests.netns.namespaces import opened_in

INTERVAL = 0.02
"""Seconds from byte to byte."""
_CONNECT_TIMEOUT = 10.0
_SENT_AGAIN = struct.Struct("=100xI")  # tcpi_total_retrans of struct tcp_info in <linux/tcp.h>


class Session:
    """One connection from a namespace; it is never opened again."""

    def __init__(self, namespace: str, address: str, port: int) -> None:
        """Plan to connect."""
        self._namespace, self._target = namespace, (address, port)
        self._patience = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._talk, name="session")
        self._channel: socket.socket
        self.sent = 0
        self.error = ""
        self.arrivals: list[float] = []
        """When each byte came back, by the monotonic clock."""

    def __enter__(self) -> Self:
        """Connect, and begin to talk.

        Raises:
            OSError: nobody answers.
        """
        self._channel = opened_in(
            self._namespace, lambda: socket.create_connection(self._target, timeout=_CONNECT_TIMEOUT)
        )
        self._channel.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it."""
        self.hush(patience=0)
        self._channel.close()

    def hush(self, patience: float) -> None:
        """Say no more, and hear what still comes for at most some seconds."""
        self._patience = patience
        self._over.set()
        self._thread.join()

    def _talk(self) -> None:
        due = time.monotonic()
        last = float("inf")
        try:
            while not self._over.is_set() or (self.heard < self.sent and time.monotonic() < last):
                ready, _, _ = select.select([self._channel], [], [], max(0.0, due - time.monotonic()))
                if ready:
                    self._hear()
                if self._over.is_set():
                    last, due = min(last, time.monotonic() + self._patience), time.monotonic() + INTERVAL
                elif time.monotonic() >= due:
                    self._channel.sendall(b"m")
                    self.sent += 1
                    due += INTERVAL
        except OSError as error:
            self.error = str(error)

    def _hear(self) -> None:
        heard = self._channel.recv(1 << 16)
        if not heard:
            raise ConnectionResetError("the other side has closed the session")
        self.arrivals += [time.monotonic()] * len(heard)

    @property
    def heard(self) -> int:
        """How many bytes came back."""
        return len(self.arrivals)

    @property
    def sent_again(self) -> int:
        """How many segments TCP had to send again, as the kernel counts them."""
        told = self._channel.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SENT_AGAIN.size)
        return int(_SENT_AGAIN.unpack(told)[0])

    def longest(self, since: int) -> float:
        """Return the longest time from byte to byte, in seconds, from the byte with that number on."""
        times = self.arrivals[since:]
        return max((after - before for before, after in pairwise(times)), default=0.0)

    @property
    def whole(self) -> bool:
        """Whether it is still the connection that it was."""
        return not self.error
