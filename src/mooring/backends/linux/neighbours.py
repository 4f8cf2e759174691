"""Who is behind which device, by netlink messages of our own: pyroute2 needs 0.7 s to read 10,000 entries, and 3.6 s to write them.

A bridging entry says behind which address a hardware address is, an ARP entry which hardware address an address has.  Numbers and layouts
are of linux/rtnetlink.h and linux/neighbour.h.
"""

import errno
import os
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from mooring.backends.linux.netns import Inside, check_namespace

T = TypeVar("T")

BRIDGING, ARP = 7, socket.AF_INET  # AF_BRIDGE of linux/socket.h

_NEW, _DELETE, _GET = 28, 29, 30
_REQUEST, _ACK, _DUMP, _INTERRUPTED = 1, 4, 0x300, 0x10
_REPLACE, _CREATE, _APPEND = 0x100, 0x400, 0x800
_ERROR, _DONE = 2, 3
_ADDRESS, _MAC = 1, 2
_PERMANENT, _IN_USE = 0x80, 0x02 | 0x04 | 0x08 | 0x10
_SELF, _MASTER, _STICKY = 2, 4, 0x40
_NOARP = 0x40
_ODD = frozenset({6, 7, 8, 11, 13})
"""Attributes of entries that lead elsewhere: port, VNI, device, source VNI, next hop."""

_HEADER, _BODY = struct.Struct("=IHHII"), struct.Struct("=BxxxiHBB")
_AT_ONCE = 128
"""So many requests are sent in one go: the kernel answers each that it refuses, and a socket holds but so many answers."""

_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Entry:
    """What the kernel knows: `family` is BRIDGING or ARP; `is_plain` says that it stays, and says nothing else."""

    family: int
    device: int
    mac: bytes
    address: bytes
    is_plain: bool = True

    @property
    def about(self) -> tuple[int, int, bytes]:
        """What it is found by."""
        return self.family, self.device, self.mac if self.family == BRIDGING else self.address


@dataclass(frozen=True, slots=True)
class Request:
    """A change: an entry is put in place of what there is, or added beside it, or deleted; without an address all of a mac's are."""

    entry: Entry
    drop: bool = False
    beside: bool = False


class Neighbours:
    """A socket to the neighbours of a namespace."""

    def __init__(self, inside: Inside) -> None:
        self._socket = inside.run(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE))
        check_namespace(self._socket.fileno(), inside.inode)
        self._socket.bind((0, 0))
        self._sequence = 0

    def close(self) -> None:
        self._socket.close()

    def entries(self, family: int) -> list[Entry]:
        """Return what the devices of the namespace know, but what they only remember for a while and what is being looked for.

        Raises:
            OSError: it changes all the time.
        """
        for _ in range(_ATTEMPTS):
            found = list(self._dump(family, _entry))
            if None not in found:
                return [entry for entry in found if entry is not None]
        raise OSError(errno.EAGAIN, "neighbours change faster than they can be read")

    def pinned(self) -> set[tuple[int, bytes]]:
        """Return the ports of bridges, by number, with the hardware addresses that are there and nowhere else.

        Raises:
            OSError: it changes all the time.
        """
        for _ in range(_ATTEMPTS):
            found = [*self._dump(BRIDGING, _pinned)]
            if None not in found:
                return {entry for entry in found if entry is not None and entry[1]}
        raise OSError(errno.EAGAIN, "neighbours change faster than they can be read")

    def change(self, requests: Sequence[Request]) -> dict[int, int]:
        """Do what is asked for, one after another; return the error numbers of what was refused, by position."""
        refused: dict[int, int] = {}
        for start in range(0, len(requests), _AT_ONCE):
            first = self._sequence + 1
            some = requests[start : start + _AT_ONCE]
            # Only the last is acknowledged: the kernel takes them in order, and speaks up for each that it refuses.
            self._socket.send(
                b"".join(self._message(it, _ACK if it is some[-1] else 0) for it in some),
            )
            for sequence, code in self._answers():
                refused[start + sequence - first] = code
        return refused

    def _message(self, request: Request, flags: int) -> bytes:
        self._sequence += 1
        entry = request.entry
        is_bridging = entry.family == BRIDGING
        body = _BODY.pack(entry.family, entry.device, _PERMANENT, _SELF if is_bridging else 0, 0)
        if entry.address:
            body += _attribute(_ADDRESS, entry.address)
        if entry.mac and (is_bridging or not request.drop):
            body += _attribute(_MAC, entry.mac)
        how = 0 if request.drop else _CREATE | (_APPEND if request.beside else _REPLACE)
        kind = _DELETE if request.drop else _NEW
        return _HEADER.pack(16 + len(body), kind, _REQUEST | flags | how, self._sequence, 0) + body

    def _answers(self) -> Iterator[tuple[int, int]]:
        while True:
            for kind, _, sequence, message in _messages(self._socket.recv(1 << 18)):
                if kind == _ERROR:
                    code = -struct.unpack_from("=i", message)[0]
                    if code:
                        yield sequence, code
                    if sequence == self._sequence:
                        return

    def _dump(self, family: int, read: Callable[[bytes], T | None]) -> Iterator[T | None]:
        """Return what is read of entries, and None where the kernel says that they changed meanwhile."""
        self._sequence += 1
        # An ndmsg, for the kernel to see which bridge or device is meant: any.
        body = _BODY.pack(family, 0, 0, 0, 0)
        self._socket.send(_HEADER.pack(16 + len(body), _GET, _REQUEST | _DUMP, self._sequence, 0) + body)
        while True:
            for kind, flags, sequence, message in _messages(self._socket.recv(1 << 18)):
                if sequence != self._sequence:
                    continue
                if flags & _INTERRUPTED:
                    yield None
                if kind == _ERROR:
                    code = -struct.unpack_from("=i", message)[0]
                    raise OSError(code, os.strerror(code))
                if kind == _DONE:
                    return
                if kind == _NEW and (entry := read(message)) is not None:
                    yield entry


def noticed(message: bytes) -> tuple[Entry, bool] | None:
    """Return what a notice of the kernel's is about, and whether that holds from now on; None if it is of nothing that stays."""
    for kind, _, _, body in _messages(message):
        if kind in {_NEW, _DELETE}:
            family, device, _, flags, _ = _BODY.unpack_from(body)
            if family == BRIDGING and not flags & _SELF:
                return None
            entry = _entry(body)
            if entry is not None:
                return entry, kind == _NEW
            # An ARP entry that is being deleted has lost its hardware address already.
            address = dict(_attributes(body)).get(_ADDRESS, b"")
            return (Entry(family, device, b"", address), False) if family == ARP else None
    return None


def _entry(message: bytes) -> Entry | None:
    family, device, state, flags, _ = _BODY.unpack_from(message)
    if family == BRIDGING:
        if not flags & _SELF:
            return None  # of a bridge, which learned it
    elif not state & (_PERMANENT | _IN_USE):
        return None
    mac = address = b""
    is_plain = bool(state & _PERMANENT)
    for kind, value in _attributes(message):
        if kind == _MAC:
            mac = value
        elif kind == _ADDRESS:
            address = value
        elif kind in _ODD:
            is_plain = False
    return Entry(family, device, mac, address, is_plain)


def _pinned(message: bytes) -> tuple[int, bytes] | None:
    _, device, state, flags, _ = _BODY.unpack_from(message)
    if not flags & _STICKY or flags & _SELF or not state & _NOARP:
        return None
    return device, dict(_attributes(message)).get(_MAC, b"")


def _messages(buffer: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    at = 0
    while at + 16 <= len(buffer):
        length, kind, flags, sequence, _ = _HEADER.unpack_from(buffer, at)
        yield kind, flags, sequence, buffer[at + 16 : at + length]
        at += max(16, (length + 3) & ~3)


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def _attributes(message: bytes) -> Iterator[tuple[int, bytes]]:
    at = _BODY.size
    while at + 4 <= len(message):
        length, kind = struct.unpack_from("=HH", message, at)
        yield kind & 0x3FFF, message[at + 4 : at + length]
        at += max(4, (length + 3) & ~3)
