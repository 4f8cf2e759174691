"""UDP packets or frames from one core as fast as it goes: prepared whole, and handed to the kernel a thousand at a time.

The whole way of a packet through veth pairs, bridges and routers is walked by the processor that sends it, before the call returns.  So the
processor time of the sender is the cost of the whole path, its own part included, which is the same for every path that is compared.
"""

import ctypes
import json
import os
import socket
import struct
import time
from collections.abc import Sequence
from contextlib import ExitStack
from ipaddress import IPv4Address

from bench.world import ip
from mooring.backends.linux.netns import Inside

_BATCH = 1024
_SIZE = 46  # 20 of IP, 8 of UDP, 18 of nothing: the smallest Ethernet frame
_FRAME = 14 + _SIZE
_IP_HDRINCL = 3
_IPV4 = b"\x08\x00"
_PACKET = struct.Struct("!BBHHHBBH4s4sHHHH18x")
_LINK = struct.Struct("=H2si12x")  # linux/if_packet.h: sockaddr_ll


class _Iovec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Msghdr(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("namelen", ctypes.c_uint32),
        ("iov", ctypes.c_void_p),
        ("iovlen", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("controllen", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Mmsghdr(ctypes.Structure):
    _fields_ = (("header", _Msghdr), ("length", ctypes.c_uint))


Flow = tuple[IPv4Address, int, IPv4Address, int]
"""Source address and port, destination address and port."""

Bridged = tuple[int, str, str, Flow]
"""The device by which it is sent, by its number; source and destination hardware address; the flow."""


class _Prepared:
    """Room for so many packets of a size, with as many addresses of sockets of a size."""

    def __init__(self, raw: socket.socket, room: int, size: int, name_size: int) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._socket = raw
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
        self._packets = ctypes.create_string_buffer(room * size)
        self._names = ctypes.create_string_buffer(room * name_size)
        self._iovecs = (_Iovec * room)()
        self._messages = (_Mmsghdr * room)()
        packets, names = ctypes.addressof(self._packets), ctypes.addressof(self._names)
        iovecs = ctypes.addressof(self._iovecs)
        for at in range(room):
            self._iovecs[at].base = packets + at * size
            self._iovecs[at].length = size
            header = self._messages[at].header
            header.name, header.namelen = names + at * name_size, name_size
            header.iov, header.iovlen = iovecs + at * ctypes.sizeof(_Iovec), 1
        self._count = 0

    def keep(self, count: int) -> None:
        """Forget all but the first packets."""
        self._count = min(self._count, count)

    def send(self, seconds: float) -> tuple[int, float]:
        """Send all packets again and again for a time; return how many were sent and the processor time that took."""
        sent = 0
        start = time.thread_time()
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            sent += self.once()[0]
        return sent, time.thread_time() - start

    def once(self) -> tuple[int, float]:
        """Send all packets once."""
        start = time.thread_time()
        step, base, at = ctypes.sizeof(_Mmsghdr), ctypes.addressof(self._messages), 0
        while at < self._count:
            wanted = min(_BATCH, self._count - at)
            done = self._libc.sendmmsg(self._socket.fileno(), ctypes.c_void_p(base + at * step), wanted, 0)
            if done < 0:
                code = ctypes.get_errno()
                raise OSError(code, os.strerror(code))
            at += done
        return self._count, time.thread_time() - start

    def close(self) -> None:
        self._socket.close()


class Blast(_Prepared):
    """Packets of some flows, one each, to be sent from the namespace of the calling thread; at most `room` of them."""

    def __init__(self, room: int) -> None:
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        raw.setsockopt(socket.IPPROTO_IP, _IP_HDRINCL, 1)
        super().__init__(raw, room, _SIZE, 16)

    def load(self, flows: Sequence[Flow]) -> None:
        """Write the packets; the kernel fills in the checksum of IP."""
        name = struct.Struct("=H2x4s8x")
        for at, flow in enumerate(flows):
            struct.pack_into(f"{_SIZE}s", self._packets, at * _SIZE, _packet(flow))
            name.pack_into(self._names, at * 16, socket.AF_INET, flow[2].packed)
        self._count = len(flows)


class Frames(_Prepared):
    """Packets of some flows in whole frames, each sent by a device of its own in the namespace of the calling thread."""

    def __init__(self, room: int) -> None:
        # Of protocol 0 nothing is received.
        super().__init__(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0), room, _FRAME, _LINK.size)

    def load(self, frames: Sequence[Bridged]) -> None:
        """Write the frames."""
        for at, (device, source, target, flow) in enumerate(frames):
            packet = bytearray(_packet(flow))
            struct.pack_into("!H", packet, 10, _checksum(packet[:20]))
            head = bytes.fromhex(f"{target}{source}".replace(":", "")) + _IPV4
            struct.pack_into(f"{_FRAME}s", self._packets, at * _FRAME, head + packet)
            _LINK.pack_into(self._names, at * _LINK.size, socket.AF_PACKET, _IPV4, device)
        self._count = len(frames)


def entered(name: str, stack: ExitStack) -> Inside:
    """Return a thread in a namespace, pinned to one processor."""
    inside = Inside(name, "bench")
    stack.callback(inside.close)
    inside.run(lambda: os.sched_setaffinity(0, {max(os.sched_getaffinity(0))}))
    return inside


def received(namespace: str, *device: str) -> int:
    """Return how many packets a device has received, or all devices of a namespace."""
    shown = json.loads(ip("-n", namespace, "-s", "-j", "link", "show", *device))
    return sum(int(it["stats64"]["rx"]["packets"]) for it in shown)


def forget() -> None:
    """End all flows that the calling thread's namespace knows.

    Raises:
        OSError: the kernel won't.
    """
    # linux/netfilter/nfnetlink_conntrack.h: a deletion (2) of table 1 that names nothing is of everything in this namespace.
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as netlink:
        netlink.send(struct.pack("=IHHIIBBH", 20, 1 << 8 | 2, 1 | 4, 1, 0, 0, 0, 0))
        answer = netlink.recv(4096)
        code = -struct.unpack_from("=i", answer, 16)[0]
        if code:
            raise OSError(code, os.strerror(code))


def _packet(flow: Flow) -> bytes:
    """Return an IPv4 packet without a checksum: 64 hops, no UDP checksum either, which IPv4 allows."""
    source, source_port, target, target_port = flow
    return _PACKET.pack(
        0x45, 0, _SIZE, 0, 0, 64, socket.IPPROTO_UDP, 0, source.packed, target.packed,
        source_port, target_port, _SIZE - 20, 0,
    )  # fmt: skip


def _checksum(header: bytes | bytearray) -> int:
    total: int = sum(struct.unpack("!10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF - ((total & 0xFFFF) + (total >> 16))
