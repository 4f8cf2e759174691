"""Asks an address for an answer 2,500 times a second and keeps when each came: a program for the outside namespace.

`python -m bench.probe ADDRESS` sends ICMP echo requests.  A line with a moment on its standard input, in nanoseconds since 1970, is answered with a
line of JSON: all answers since then, each as its moment by the kernel's clock and its hop limit, by which guests can be told apart.
"""

import json
import os
import select
import socket
import struct
import sys
import time
from itertools import count

_INTERVAL = 0.0004
_SO_TIMESTAMPNS = 35
_KEPT = 40_000


def main() -> int:
    """Ask until standard input ends."""
    address = sys.argv[1]
    icmp = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    icmp.setblocking(False)
    icmp.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    identifier = os.getpid() & 0xFFFF
    answers: list[tuple[int, int]] = []
    numbers = count()
    due = time.monotonic()
    while True:
        now = time.monotonic()
        if now >= due:
            due = max(due + _INTERVAL, now - 0.01)
            _ask(icmp, address, identifier, next(numbers))
        readable, _, _ = select.select([icmp, sys.stdin], [], [], max(0.0, due - time.monotonic()))
        if icmp in readable:
            _hear(icmp, identifier, answers)
        if sys.stdin in readable:
            line = sys.stdin.readline()
            if not line:
                return 0
            since = int(line)
            sys.stdout.write(json.dumps([answer for answer in answers if answer[0] >= since]) + "\n")
            sys.stdout.flush()
        if len(answers) > 2 * _KEPT:
            del answers[:_KEPT]


def _ask(icmp: socket.socket, address: str, identifier: int, number: int) -> None:
    head = struct.pack("!BBHHH", 8, 0, 0, identifier, number & 0xFFFF)
    total = sum(struct.unpack("!4H", head))
    checksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    try:
        icmp.sendto(struct.pack("!BBHHH", 8, 0, checksum, identifier, number & 0xFFFF), (address, 0))
    except OSError:
        return  # nobody answers ARP for it: that is what is being waited for


def _hear(icmp: socket.socket, identifier: int, answers: list[tuple[int, int]]) -> None:
    while True:
        try:
            packet, ancillary, _, _ = icmp.recvmsg(256, 64)
        except BlockingIOError:
            return
        except OSError:
            continue
        at = (packet[0] & 15) * 4
        if packet[at] == 0 and int.from_bytes(packet[at + 4 : at + 6], "big") == identifier:
            seconds, nanoseconds = struct.unpack("=qq", ancillary[0][2])
            answers.append((seconds * 1_000_000_000 + nanoseconds, packet[8]))


if __name__ == "__main__":
    sys.exit(main())
