"""What libnftables doesn't offer, by netlink messages of our own: the generation of a namespace's rules, and a fast dump of elements.

The kernel counts transactions: as long as its number stands, no rule, set or element has changed, whoever might have wanted to.  So a
read of 600,000 elements is needed once, and costs microseconds ever after.  Numbers and layouts are of linux/netfilter/nf_tables.h.
"""

import errno
import os
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from mooring.backends.linux.netns import Inside, check_namespace

_NETLINK_NETFILTER = 12
_SUBSYSTEM = 10 << 8
_NEWGEN, _GETGEN = _SUBSYSTEM | 15, _SUBSYSTEM | 16
_NEWSETELEM, _GETSETELEM = _SUBSYSTEM | 12, _SUBSYSTEM | 13
_REQUEST, _DUMP, _DUMP_INTR = 1, 0x300, 0x10
_ERROR, _DONE = 2, 3
_TABLE, _SET, _ELEMENTS = 1, 2, 3
_KEY, _DATA, _FLAGS, _TIMEOUT, _KEY_END = 1, 2, 3, 4, 10
_TYPE = 0x3FFF  # less the flags for nested and byte order
_INTERVAL_END = 1
_CHAIN = 2

FAMILIES = {"inet": 1, "ip": 2, "arp": 3, "netdev": 5, "bridge": 7, "ip6": 10}

Element = tuple[bytes, bytes | None, bytes | None]
"""Key, end of the key's interval, and data, as the kernel holds them."""


class Interrupted(Exception):
    """Somebody changed what was being read."""


class Nfnetlink:
    """A socket to the nftables of a namespace."""

    def __init__(self, inside: Inside) -> None:
        self._socket = inside.run(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER))
        check_namespace(self._socket.fileno(), inside.inode)
        self._socket.bind((0, 0))
        self._sequence = 0

    def close(self) -> None:
        self._socket.close()

    def generation(self) -> int:
        """Return the number of the last transaction."""
        for kind, _, body in self._ask(_GETGEN, _REQUEST, 0, b""):
            if kind == _NEWGEN:
                for attribute, value in _attributes(body, 4):
                    if attribute == 1:
                        return int.from_bytes(value, "big")
        raise OSError(errno.EPROTO, "no generation in the kernel's answer")

    def elements(self, family: str, table: str, name: str) -> Iterator[Element]:
        """Dump the elements of a set or map.

        Raises:
            Interrupted: there was a transaction meanwhile; what was yielded may be of two generations.
            OSError: FileNotFoundError if there is no such set.
        """
        body = _attribute(_TABLE, table.encode() + b"\0") + _attribute(_SET, name.encode() + b"\0")
        for kind, flags, reply in self._ask(_GETSETELEM, _REQUEST | _DUMP, FAMILIES[family], body):
            if flags & _DUMP_INTR:
                raise Interrupted
            if kind == _NEWSETELEM:
                for attribute, value in _attributes(reply, 4):
                    if attribute == _ELEMENTS:
                        yield from _elements(value)

    def verdicts(self, family: str, table: str, name: str) -> Iterator[tuple[bytes, str]]:
        """Dump a map to verdicts: each key, and the name of the chain that it leads to.

        Raises:
            Interrupted: as for elements.
            OSError: as for elements.
        """
        for key, _, data in self.elements(family, table, name):
            # The verdict's own attributes: its code, and a chain.
            found = dict(_attributes(memoryview(data or b""), 0))
            yield key, bytes(found.get(_CHAIN, b"")).rstrip(b"\0").decode(errors="replace")

    def _ask(self, kind: int, flags: int, family: int, body: bytes) -> Iterator[tuple[int, int, memoryview]]:
        self._sequence += 1
        header = struct.pack("=IHHII", 20 + len(body), kind, flags, self._sequence, 0)
        self._socket.send(header + struct.pack("=BBH", family, 0, 0) + body)
        while True:
            buffer = memoryview(self._socket.recv(1 << 18))
            at = 0
            while at + 16 <= len(buffer):
                length, kind, flagged, sequence, _ = struct.unpack_from("=IHHII", buffer, at)
                message = buffer[at + 16 : at + length]
                at += (length + 3) & ~3
                if sequence != self._sequence:
                    continue  # of a dump that was given up
                if kind == _ERROR:
                    code = -struct.unpack_from("=i", message)[0]
                    if code:
                        raise OSError(code, os.strerror(code))
                    return
                if kind == _DONE:
                    return
                yield kind, flagged, message
                if not flags & _DUMP:
                    return


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def _attributes(buffer: memoryview, at: int) -> Iterator[tuple[int, memoryview]]:
    while at + 4 <= len(buffer):
        length, kind = struct.unpack_from("=HH", buffer, at)
        yield kind & _TYPE, buffer[at + 4 : at + length]
        at += (length + 3) & ~3


def _elements(buffer: memoryview) -> Iterator[Element]:
    """Read a list of elements.

    Those of one set mostly differ in their values only: one pattern fits them all, and reads them several times as fast.
    """
    if not buffer:
        return
    size = (struct.unpack_from("=H", buffer)[0] + 3) & ~3
    parts = tuple((kind, len(value)) for kind, value in _attributes(buffer[:size], 4))
    pattern = _pattern(parts) if len(buffer) % size == 0 else None
    if pattern is not None and all(len(set(buffer[at::size])) == 1 for at in pattern.same):
        yield from (pattern.order(values) for values in pattern.values.iter_unpack(buffer))
        return
    for _, element in _attributes(buffer, 0):
        found = {kind: bytes(value) for kind, value in _attributes(element, 0)}
        if _KEY in found and not int.from_bytes(found.get(_FLAGS, b""), "big") & _INTERVAL_END:
            # A value is in one more attribute: 4 bytes to skip.
            key, end, data = (found[kind][4:] if kind in found else None for kind in (_KEY, _KEY_END, _DATA))
            yield key or b"", end, data


@dataclass(frozen=True, slots=True)
class _Pattern:
    """Where in an element its values are, the offsets of the bytes that no two elements differ in, and what order the values have."""

    values: struct.Struct
    same: tuple[int, ...]
    order: Callable[[tuple[bytes, ...]], Element]


@cache
def _pattern(parts: tuple[tuple[int, int], ...]) -> _Pattern | None:
    """Return the pattern of an element with these attributes and lengths, None if we know none."""
    text, same, at = "=4x", [*range(4)], 4
    for kind, length in parts:
        if kind not in {_KEY, _KEY_END, _DATA}:
            return None
        value, padding = length - 4, -length % 4
        text += f"8x{value}s{padding}x"
        same += range(at, at + 8)
        at += 4 + length + padding
    order = _ORDERS.get(tuple(kind for kind, _ in parts))
    return None if order is None else _Pattern(struct.Struct(text), tuple(same), order)


_ORDERS: dict[tuple[int, ...], Callable[[tuple[bytes, ...]], Element]] = {
    (_KEY,): lambda values: (values[0], None, None),
    (_KEY, _DATA): lambda values: (values[0], None, values[1]),
    (_KEY, _KEY_END): lambda values: (values[0], values[1], None),
    (_KEY, _KEY_END, _DATA): lambda values: (values[0], values[1], values[2]),
}
