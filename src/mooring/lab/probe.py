"""Sends packets without a gap and counts the answers; runs in a namespace of its own, with nothing but Python's standard library.

    python probe.py ping ADDRESS INTERVAL        one echo request every INTERVAL seconds
    python probe.py tcp ADDRESS PORT INTERVAL    one TCP session to an echo service, and a line every INTERVAL seconds

Says `ready` when the first answer has come, goes on until its input ends, waits up to two seconds for what is still under way, and prints
what it counted as JSON: what it calls lost is lost.
"""

import json
import select
import socket
import struct
import sys
import time
from collections.abc import Callable

_PATIENCE = 2.0
_FIRST_ANSWER = 5.0
_BUFFER = 1 << 22
_AT_ONCE = 256
# Of <linux/socket.h>, <linux/icmp.h>, <asm-generic/socket.h> and <linux/sock_diag.h>, as far as Python does not name them.
_SOL_RAW, _ICMP_FILTER, _ALL_BUT_REPLIES = 255, 1, 0xFFFFFFFE
_SO_RCVBUFFORCE, _SO_MEMINFO, _MEMINFO_WORDS, _DROPS = 33, 55, 9, 8


class Count:
    """What was sent, what came back, the longest time without an answer, and what came while we were too slow to take it."""

    def __init__(self) -> None:
        """Begin at nothing."""
        self.sent = 0
        self.answered: set[int] = set()
        self.longest = 0.0
        self.missed = 0
        self.error = ""
        self._last = time.monotonic()

    def heard(self, number: int) -> None:
        """Note an answer."""
        now = time.monotonic()
        if self.answered:
            self.longest = max(self.longest, now - self._last)
        else:
            print("ready", flush=True)
        self._last = now
        self.answered.add(number)

    def report(self) -> str:
        """Return what was counted."""
        said = {
            "sent": self.sent,
            "received": len(self.answered),
            "longest": round(self.longest, 4),
            "missed": self.missed,
            "error": self.error,
        }
        return json.dumps(said)


def run(
    interval: float, channel: socket.socket, send: Callable[[int], None], receive: Callable[[Count], None]
) -> Count:
    """Send until the input ends, then wait for the last answers."""
    count = Count()
    began = due = time.monotonic()
    ended: float | None = None
    while ended is None or (len(count.answered) < count.sent and time.monotonic() < ended + _PATIENCE):
        wait = max(0.0, due - time.monotonic()) if ended is None else 0.05
        ready, _, _ = select.select([channel, *([sys.stdin] if ended is None else [])], [], [], wait)
        if sys.stdin in ready and not sys.stdin.readline():
            ended = time.monotonic()
        try:
            if channel in ready:
                receive(count)
            if ended is None and time.monotonic() >= due:
                send(count.sent)
                count.sent += 1
                due += interval
        except OSError as error:
            count.error = type(error).__name__
            break
        if not count.answered and time.monotonic() > began + _FIRST_ANSWER:
            count.error = "no answer"
            break
    return count


def ping(address: str, interval: float) -> Count:
    """Ping."""
    channel = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    channel.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("I", _ALL_BUT_REPLIES))
    _widen(channel)
    channel.setblocking(False)
    identifier = time.time_ns() >> 10 & 0xFFFF

    def send(number: int) -> None:
        body = struct.pack("!HHI", identifier, number & 0xFFFF, number) + bytes(4)
        request = struct.pack("!BBH", 8, 0, _checksum(b"\x08\x00\x00\x00" + body)) + body
        try:
            channel.sendto(request, (address, 0))
        except OSError:
            return  # no route at this moment: an answer that will not come

    def receive(count: Count) -> None:
        for _ in range(_AT_ONCE):
            try:
                packet = channel.recv(2048)
            except BlockingIOError:
                return
            reply = packet[(packet[0] & 15) * 4 :]
            if reply[0] == 0 and struct.unpack_from("!H", reply, 4)[0] == identifier:
                count.heard(struct.unpack_from("!I", reply, 8)[0])

    count = run(interval, channel, send, receive)
    said = channel.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 4 * _MEMINFO_WORDS)
    count.missed = struct.unpack(f"{_MEMINFO_WORDS}I", said)[_DROPS]
    return count


def _widen(channel: socket.socket) -> None:
    """Let answers wait while a loaded machine lets us wait: 4 MiB if we may, else what everybody may have."""
    try:
        channel.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
    except PermissionError:
        channel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)


def tcp(address: str, port: int, interval: float) -> Count:
    """Hold a session."""
    channel = socket.create_connection((address, port), timeout=5)
    channel.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    unread = bytearray()

    def send(number: int) -> None:
        channel.sendall(b"%d\n" % number)

    def receive(count: Count) -> None:
        piece = channel.recv(1 << 16)
        if not piece:
            raise ConnectionResetError
        unread.extend(piece)
        while (end := unread.find(b"\n")) >= 0:
            count.heard(int(unread[:end]))
            del unread[: end + 1]

    return run(interval, channel, send, receive)


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


if __name__ == "__main__":
    kind, where, *rest = sys.argv[1:]
    try:
        counted = ping(where, float(rest[0])) if kind == "ping" else tcp(where, int(rest[0]), float(rest[1]))
    except OSError as refused:
        counted = Count()
        counted.error = type(refused).__name__
    print(counted.report())
