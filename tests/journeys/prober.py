"""Pings without a gap, and waits for the last answers before it counts: what it says is lost is lost.

Runs in a namespace of its own, as `python prober.py ADDRESS INTERVAL`: one echo request every INTERVAL seconds until its input ends; then
it waits up to two seconds for what is still on its way, and prints how many it sent and how many answers came.
"""

import select
import socket
import struct
import sys
import time

_PATIENCE = 2.0


def _checksum(data: bytes) -> int:
    total = sum(int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def _request(identifier: int, number: int) -> bytes:
    body = struct.pack("!HHI", identifier, number & 0xFFFF, number) + bytes(4)
    return struct.pack("!BBH", 8, 0, _checksum(b"\x08\x00\x00\x00" + body)) + body


def main(address: str, interval: float) -> None:
    """Ping until the input ends, then count."""
    channel = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    channel.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    channel.setblocking(False)
    identifier = time.time_ns() & 0xFFFF
    answered: set[int] = set()
    sent, due, last = 0, time.monotonic(), None
    while last is None or (len(answered) < sent and time.monotonic() < last + _PATIENCE):
        wait = max(0.0, due - time.monotonic()) if last is None else 0.05
        ready, _, _ = select.select([channel, *([sys.stdin] if last is None else [])], [], [], wait)
        if sys.stdin in ready and not sys.stdin.readline():
            last = time.monotonic()
        if channel in ready:
            packet = channel.recv(2048)
            reply = packet[(packet[0] & 15) * 4 :]
            if reply[0] == 0 and struct.unpack_from("!H", reply, 4)[0] == identifier:
                answered.add(struct.unpack_from("!I", reply, 8)[0])
        if last is None and time.monotonic() >= due:
            try:
                channel.sendto(_request(identifier, sent), (address, 0))
            except OSError:
                # No route at this moment: an answer that will not come.
                time.sleep(0)
            sent += 1
            due += interval
    lost = sorted(set(range(sent)) - answered)
    print(f"{sent} packets transmitted, {len(answered)} received; lost: {lost[:50]}")


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
