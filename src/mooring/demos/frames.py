"""Frames that a guest makes byte by byte, sends by a raw socket, and that somebody watches for where they would do harm.

Each carries a number, by which it is known wherever it comes to: whoever is a router or has filters on the way may change the rest.
"""

import re
import selectors
import socket
import struct
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import IPv4Address
from types import TracebackType
from typing import Self

from mooring.guests.netns.namespaces import opened_in

_EVERY_TYPE = 3  # ETH_P_ALL of <linux/if_ether.h>
_IP, _ARP, _VLAN = 0x0800, 0x0806, 0x8100
_REQUEST, _REPLY = 1, 2
_UDP, _DISCARD, _DHCP_SERVER, _DHCP_CLIENT = 17, 9, 67, 68
_BROADCAST = "ff:ff:ff:ff:ff:ff"
_SHORTEST = 60
_NUMBER = re.compile(rb"mooring#(\d{4});")


@dataclass(frozen=True, slots=True)
class End:
    """Who sends or gets a frame: a hardware address, and an address."""

    mac: str
    address: IPv4Address


def datagram(number: int, source: End, via: str, target: IPv4Address, tag: int | None = None) -> bytes:
    """Return a UDP datagram to the discard port by way of a hardware address, in a VLAN if it has a tag."""
    return _ether(via, source.mac, _IP, _udp(source.address, target, (_DISCARD, _DISCARD), _mark(number)), tag)


def claim(number: int, sender: str, claimed: End) -> bytes:
    """Return a gratuitous ARP reply to all, by which a hardware address is to be that of an address."""
    return _ether(_BROADCAST, sender, _ARP, _arp(_REPLY, claimed, claimed) + _mark(number))


def question(number: int, sender: End, target: IPv4Address) -> bytes:
    """Return an ARP request to all, as everybody may send it."""
    return _ether(
        _BROADCAST, sender.mac, _ARP, _arp(_REQUEST, sender, End("00:00:00:00:00:00", target)) + _mark(number)
    )


def offer(number: int, sender: End) -> bytes:
    """Return what a DHCP server offers to all who ask."""
    head = struct.pack("!BBBBI", 2, 1, 6, 0, number) + bytes(228) + b"\x63\x82\x53\x63" + b"\x35\x01\x02\xff"
    ports = _DHCP_SERVER, _DHCP_CLIENT
    return _ether(
        _BROADCAST, sender.mac, _IP, _udp(sender.address, IPv4Address(0xFFFFFFFF), ports, head + _mark(number))
    )


def _mark(number: int) -> bytes:
    return b"mooring#%04d;" % number


def _ether(target: str, source: str, kind: int, payload: bytes, tag: int | None = None) -> bytes:
    around = b"" if tag is None else struct.pack("!HH", _VLAN, tag)
    return (_raw(target) + _raw(source) + around + struct.pack("!H", kind) + payload).ljust(_SHORTEST, b"\0")


def _arp(operation: int, source: End, target: End) -> bytes:
    ends = b"".join(_raw(end.mac) + end.address.packed for end in (source, target))
    return struct.pack("!HHBBH", 1, _IP, 6, 4, operation) + ends


def _udp(source: IPv4Address, target: IPv4Address, ports: tuple[int, int], payload: bytes) -> bytes:
    # A UDP checksum of 0 says that there is none.
    body = struct.pack("!HHHH", *ports, 8 + len(payload), 0) + payload
    start, ends = struct.pack("!BBHHHBB", 0x45, 0, 20 + len(body), 7, 0, 64, _UDP), source.packed + target.packed
    total = sum(struct.unpack("!9H", start + ends))
    total = (total & 0xFFFF) + (total >> 16)
    checksum = ~(total + (total >> 16)) & 0xFFFF
    return start + struct.pack("!H", checksum) + ends + body


def _raw(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def _packet_socket(namespace: str) -> socket.socket:
    """Open a raw socket in a namespace; it stays there, whoever uses it."""
    kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC
    return opened_in(namespace, lambda: socket.socket(socket.AF_PACKET, kind, socket.htons(_EVERY_TYPE)))


def send(namespace: str, frames: Sequence[bytes], device: str = "eth0") -> None:
    """Send frames as they are by a device of a namespace."""
    with _packet_socket(namespace) as channel:
        channel.bind((device, 0))
        for frame in frames:
            channel.send(frame)


class Watch:
    """Looks at every frame of some namespaces, below all filters of theirs, and notes the numbers that it sees."""

    def __init__(self, places: Sequence[str]) -> None:
        """Plan to watch namespaces."""
        self._places = places
        self._seen: dict[str, set[int]] = {place: set() for place in places}
        self._stack = ExitStack()
        self._over = threading.Event()

    def __enter__(self) -> Self:
        """Begin."""
        with ExitStack() as opening:
            selector = opening.enter_context(selectors.DefaultSelector())
            for place in self._places:
                channel = opening.enter_context(_packet_socket(place))
                selector.register(channel, selectors.EVENT_READ, (channel, self._seen[place]))
            self._stack = opening.pop_all()
        thread = threading.Thread(target=self._look, args=(selector,), name="watch")
        thread.start()
        self._stack.callback(thread.join)
        self._stack.callback(self._over.set)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""
        self._stack.close()

    def _look(self, selector: selectors.BaseSelector) -> None:
        while not self._over.is_set():
            for key, _ in selector.select(0.1):
                channel, seen = key.data
                seen.update(int(found) for found in _NUMBER.findall(channel.recv(2048)))

    def seen(self, place: str) -> frozenset[int]:
        """Return the numbers that came to a place so far."""
        return frozenset(self._seen[place])
