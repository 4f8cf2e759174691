"""UDP packets from one core as fast as it goes: prepared whole, and handed to the kernel a thousand at a time.

The whole way of a packet through veth pairs, bridges and routers is walked by the processor that sends it, before the call returns.  So the
processor time of the sender is the cost of the whole path, its own part included, which is the same for every path that is compared.
"""

import ctypes
import os
import socket
import struct
import time
from collections.abc import Sequence
from ipaddress import IPv4Address

_BATCH = 1024
_SIZE = 46  # 20 of IP, 8 of UDP, 18 of nothing: the smallest Ethernet frame
_IP_HDRINCL = 3


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


class Blast:
    """Packets of some flows, one each, to be sent from the namespace of the calling thread; at most `room` of them."""

    def __init__(self, room: int) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self._socket.setsockopt(socket.IPPROTO_IP, _IP_HDRINCL, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
        self._packets = ctypes.create_string_buffer(room * _SIZE)
        self._names = ctypes.create_string_buffer(room * 16)
        self._iovecs = (_Iovec * room)()
        self._messages = (_Mmsghdr * room)()
        packets, names = ctypes.addressof(self._packets), ctypes.addressof(self._names)
        iovecs = ctypes.addressof(self._iovecs)
        for at in range(room):
            self._iovecs[at].base = packets + at * _SIZE
            self._iovecs[at].length = _SIZE
            header = self._messages[at].header
            header.name, header.namelen = names + at * 16, 16
            header.iov, header.iovlen = iovecs + at * ctypes.sizeof(_Iovec), 1
        self._count = 0

    def load(self, flows: Sequence[Flow]) -> None:
        """Write the packets: 64 hops, no UDP checksum (IPv4 allows that), the kernel fills in that of IP."""
        packet, name = struct.Struct("!BBHHHBBH4s4sHHHH18x"), struct.Struct("=H2x4s8x")
        for at, (source, source_port, target, target_port) in enumerate(flows):
            packet.pack_into(
                self._packets, at * _SIZE,
                0x45, 0, _SIZE, 0, 0, 64, socket.IPPROTO_UDP, 0, source.packed, target.packed,
                source_port, target_port, _SIZE - 20, 0,
            )  # fmt: skip
            name.pack_into(self._names, at * 16, socket.AF_INET, target.packed)
        self._count = len(flows)

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
