"""Transactions of nftables by netlink messages of our own: elements, chains, sets and rules.

Before each text libnftables reads the names of all sets of a namespace, so that a change would cost more with each security group that is
there.  And until version 1.0.6 it knows no flow's port where it doesn't know the protocol.  Numbers and layouts are of
linux/netfilter/nf_tables.h, what is refused is said as in linux/netlink.h.
"""

import errno
import os
import socket
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from mooring.backends.linux.netns import Inside, check_namespace
from mooring.backends.linux.nfnetlink import FAMILIES

_NETLINK_NETFILTER, _SOL_NETLINK = 12, 270
_CAP_ACK, _EXT_ACK = 10, 11  # answers don't repeat the question, and say which part of it is wrong
_SUBSYSTEM = 10
_BEGIN, _END = 16, 17
_ERROR = 2
_REQUEST, _CREATE, _APPEND = 1, 0x400, 0x800
_NESTED = 1 << 15
_BAD_PART = 2
_HEADER = 20
_LARGEST = 60_000
"""Bytes of elements in one message: an attribute's length has 16 bits."""

_NEWCHAIN, _DELCHAIN, _NEWRULE, _DELRULE, _NEWSET, _DELSET, _NEWSETELEM, _DELSETELEM = 3, 5, 6, 8, 9, 11, 12, 14
_INTERVALS, _CONCATENATED = 4, 0x80


class Message(NamedTuple):
    """One message: what it does, and about what."""

    kind: int
    flags: int
    body: bytes


class Rejected(Exception):
    """A transaction was refused, and nothing of it done.

    `number` is that of the message which was refused, `offset` where in it, without the header; None if the kernel doesn't say.
    """

    def __init__(self, code: int, number: int, offset: int | None) -> None:
        super().__init__(_REASONS.get(code) or os.strerror(code))
        self.number, self.offset = number, offset


_REASONS = {
    errno.ENOENT: "it is not there",
    errno.EEXIST: "it is there already",
    errno.EBUSY: "it is there already, or in use",
    errno.ENOTEMPTY: "it overlaps with what is there",
}


class Writer:
    """A socket that writes to the nftables of a namespace."""

    def __init__(self, inside: Inside) -> None:
        self._inside = inside
        self._socket = inside.run(opened)
        check_namespace(self._socket.fileno(), inside.inode)

    def close(self) -> None:
        self._socket.close()

    def run(self, messages: Sequence[Message]) -> None:
        """Run messages as one transaction.

        Raises:
            Rejected: nothing was changed.
            OSError: they could not be sent.
        """
        # By its thread's name the kernel says who it was.
        self._inside.run(lambda: transact(self._socket, messages))


def opened() -> socket.socket:
    """Open a socket for transactions in the namespace of the thread that calls."""
    found = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER)
    for option in (_CAP_ACK, _EXT_ACK):
        found.setsockopt(_SOL_NETLINK, option, 1)
    found.bind((0, 0))
    return found


def transact(channel: socket.socket, messages: Sequence[Message]) -> None:
    """Run messages as one transaction.

    Raises:
        Rejected: nothing was changed.
        OSError: they could not be sent.
    """
    around = struct.pack("!BBH", 0, 0, _SUBSYSTEM)
    parts = [_packed(_BEGIN, _REQUEST, 0, around)]
    for number, message in enumerate(messages, 1):
        parts.append(_packed(_SUBSYSTEM << 8 | message.kind, _REQUEST | message.flags, number, message.body))
    text = b"".join((*parts, _packed(_END, _REQUEST, len(parts), around)))
    if len(text) * 2 > channel.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF):
        channel.setsockopt(socket.SOL_SOCKET, _SNDBUFFORCE, len(text))
    channel.send(text)
    # The kernel has done it by now: it answers what it refused, and nothing else.
    if found := min(_refusals(channel), default=None):
        sequence, code, offset = found
        raise Rejected(code, sequence - 1, None if offset < 0 else offset)


_SNDBUFFORCE = 32  # asm-generic/socket.h


def _packed(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, flags, sequence, 0) + body + bytes(-len(body) % 4)


def _refusals(channel: socket.socket) -> Iterator[tuple[int, int, int]]:
    while True:
        try:
            buffer = memoryview(channel.recv(1 << 18, socket.MSG_DONTWAIT))
        except BlockingIOError:
            return
        at = 0
        while at + 16 <= len(buffer):
            length, kind = struct.unpack_from("=IH", buffer, at)
            if kind == _ERROR and (code := -struct.unpack_from("=i", buffer, at + 16)[0]):
                sequence = struct.unpack_from("=I", buffer, at + 28)[0]
                yield sequence, code, _bad_part(buffer[at + 36 : at + length])
            at += (length + 3) & ~3


def _bad_part(about: memoryview) -> int:
    """Return where in a message it is wrong, without the header; -1 if that is not said."""
    at = 0
    while at + 8 <= len(about):
        length, kind = struct.unpack_from("=HH", about, at)
        if kind & ~_NESTED == _BAD_PART:
            return int(struct.unpack_from("=I", about, at + 4)[0]) - _HEADER
        at += max(4, (length + 3) & ~3)
    return -1


# ------------------------------------------------------------------------------------------------------------- elements


def element(key: bytes, end: bytes | None = None, data: bytes | None = None) -> bytes:
    """Return an element of a set, or with data of a map; `end` is that of the key's interval."""
    parts = _nest(1, _attribute(1, key))
    if data is not None:
        parts += _nest(2, _attribute(1, data))
    if end is not None:
        parts += _nest(10, _attribute(1, end))
    return _nest(1, parts)


def leading(key: bytes, chain: str) -> bytes:
    """Return an element of a map that leads to a chain by a jump."""
    return _nest(1, _nest(1, _attribute(1, key)) + _nest(2, _verdict(_JUMP, chain)))


def put_elements(where: tuple[str, str, str], elements: Iterable[bytes]) -> Iterator[Message]:
    """Return what adds elements to a set, named by family, table and name."""
    return _of_elements(_NEWSETELEM, _CREATE, where, elements)


def drop_elements(where: tuple[str, str, str], elements: Iterable[bytes]) -> Iterator[Message]:
    """Return what takes elements out of a set."""
    return _of_elements(_DELSETELEM, 0, where, elements)


def drop_all_elements(family: str, table: str, name: str) -> Message:
    """Return what takes all elements out of a set."""
    return _message(_DELSETELEM, 0, family, _text(1, table) + _text(2, name))


def elements_begin(where: tuple[str, str, str]) -> int:
    """Return where in a message about a set's elements the first of them is."""
    _, table, name = where
    return len(_text(1, table) + _text(2, name)) + 4


def _of_elements(kind: int, flags: int, where: tuple[str, str, str], elements: Iterable[bytes]) -> Iterator[Message]:
    family, table, name = where
    about, some = _text(1, table) + _text(2, name), list[bytes]()
    size = 0
    for each in elements:
        if some and size + len(each) > _LARGEST:
            yield _message(kind, flags, family, about + _nest(3, b"".join(some)))
            some, size = [], 0
        some.append(each)
        size += len(each)
    if some:
        yield _message(kind, flags, family, about + _nest(3, b"".join(some)))


# ------------------------------------------------------------------------------------------------------ sets and chains

_TYPES = {"ipv4_addr": 7, "ipv6_addr": 8, "nf_proto": 2, "inet_proto": 12, "inet_service": 13, "mark": 19}
"""libnftables' own numbers of types, by which it lists a set, and how many bytes each has."""
_LENGTHS = {"ipv4_addr": 4, "ipv6_addr": 16, "nf_proto": 1, "inet_proto": 1, "inet_service": 2, "mark": 4}


def put_set(family: str, table: str, name: str, types: Sequence[str]) -> Message:
    """Return what makes a set of intervals with several columns, where there is none."""
    kind = 0
    for each in types:
        kind = kind << 6 | _TYPES[each]
    lengths = [_LENGTHS[each] for each in types]
    fields = b"".join(_nest(1, _number(1, length)) for length in lengths)
    return _message(
        _NEWSET,
        _CREATE,
        family,
        _text(1, table)
        + _text(2, name)
        + _number(3, _INTERVALS | _CONCATENATED)
        + _number(4, kind)
        + _number(5, sum((length + 3) & ~3 for length in lengths))
        + _nest(9, _nest(2, fields))
        + _number(10, 1)
        # For libnftables: the byte order is that of each column's type.
        + _attribute(13, struct.pack("=BBI", 0, 4, 0)),
    )


def drop_set(family: str, table: str, name: str) -> Message:
    """Return what ends a set."""
    return _message(_DELSET, 0, family, _text(1, table) + _text(2, name))


def put_chain(family: str, table: str, name: str) -> Message:
    """Return what makes a chain where there is none."""
    return _message(_NEWCHAIN, _CREATE, family, _text(1, table) + _text(3, name))


def drop_chain(family: str, table: str, name: str) -> Message:
    """Return what ends a chain that has no rules."""
    return _message(_DELCHAIN, 0, family, _text(1, table) + _text(3, name))


def drop_rules(family: str, table: str, chain: str) -> Message:
    """Return what takes all rules out of a chain."""
    return _message(_DELRULE, 0, family, _text(1, table) + _text(2, chain))


def add_rule(family: str, table: str, chain: str, expressions: Iterable[bytes]) -> Message:
    """Return what adds a rule at the end of a chain."""
    about = _text(1, table) + _text(2, chain) + _nest(4, b"".join(expressions))
    return _message(_NEWRULE, _CREATE | _APPEND, family, about)


# ---------------------------------------------------------------------------------------------------------- expressions
# A rule computes in registers of 4 bytes.  `register` is the number of one: the first is 0, and what is longer takes several.

_MARK, _NFPROTO = 3, 15
_RETURN, _JUMP = -5, -3
_FLOW = {"protocol": 10, "proto-dst": 12, "ip saddr": 19, "ip daddr": 20, "ip6 saddr": 21, "ip6 daddr": 22}
_TO_NETWORK_ORDER = 1


def load_flow(what: str, register: int) -> bytes:
    """Load something of the flow's first packet: nft's `ct original`."""
    return _expression(
        "ct", _number(2, _FLOW[what]), _register(1, register), b"" if what == "protocol" else _attribute(3, b"\0")
    )


def load_family(register: int) -> bytes:
    """Load which of IPv4 and IPv6 the packet is: nft's `meta nfproto`."""
    return _expression("meta", _number(2, _NFPROTO), _register(1, register))


def load_mark(register: int) -> bytes:
    """Load the packet's mark."""
    return _expression("meta", _number(2, _MARK), _register(1, register))


def in_network_order(register: int) -> bytes:
    """Turn the number in a register into what a set of intervals compares."""
    return _expression(
        "byteorder",
        _register(1, register),
        _register(2, register),
        _number(3, _TO_NETWORK_ORDER),
        _number(4, 4),
        _number(5, 4),
    )


def find(name: str) -> bytes:
    """Go on only if what is in the registers from the first is in a set."""
    return _expression("lookup", _text(1, name), _register(2, 0))


def write_mark(number: int) -> bytes:
    """Write a number on the packet."""
    value = _expression("immediate", _register(1, 0), _nest(2, _attribute(1, struct.pack("=I", number))))
    return value + _expression("meta", _number(2, _MARK), _register(3, 0))


def leave() -> bytes:
    """Leave the chain for the one that led here."""
    return _expression("immediate", _number(1, 0), _nest(2, _verdict(_RETURN)))


def _register(kind: int, register: int) -> bytes:
    # The kernel writes the first as the one of 16 bytes that begins there.
    return _number(kind, 8 + register if register else 1)


def _expression(name: str, *parts: bytes) -> bytes:
    return _nest(1, _text(1, name) + _nest(2, b"".join(parts)))


def _verdict(code: int, chain: str = "") -> bytes:
    return _nest(2, _attribute(1, struct.pack("!i", code)) + (_text(2, chain) if chain else b""))


def _message(kind: int, flags: int, family: str, attributes: bytes) -> Message:
    return Message(kind, flags, struct.pack("!BBH", FAMILIES[family], 0, 0) + attributes)


def _number(kind: int, value: int) -> bytes:
    return _attribute(kind, struct.pack("!I", value))


def _text(kind: int, value: str) -> bytes:
    return _attribute(kind, value.encode() + b"\0")


def _nest(kind: int, value: bytes) -> bytes:
    return _attribute(kind | _NESTED, value)


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)
