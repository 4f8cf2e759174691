"""Facts -> elements as the kernel holds them, and which fact it was that a transaction was refused for."""

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Literal

from mooring.backends.linux import transactions
from mooring.backends.linux.elements import NftSet, where_of
from mooring.backends.linux.transactions import Message, Rejected
from mooring.backends.names import is_mac, is_word
from mooring.compile.facts import Atom, Key, Refused, Row, Span, fact_line

_FAMILIES = {"ipv4": 2, "ipv6": 10}  # linux/netfilter.h
_LONGEST_NAME = 15
_NUMBERS = {"inet_proto": 1, "nf_proto": 1, "inet_service": 2, "integer": 2, "mark": 4, "classid": 4}
"""How many bytes each has."""
_IN_NETWORK_ORDER = frozenset({"inet_service"})
_ADDRESSES: Mapping[str, Callable[[str], Atom]] = {"ipv4_addr": IPv4Address, "ipv6_addr": IPv6Address}
_RANGES = frozenset({Span, IPv4Network, IPv6Network})


@dataclass(frozen=True, slots=True)
class Change:
    """The messages that change elements, and of each the facts that it has, with their sizes."""

    messages: tuple[Message, ...]
    facts: tuple[tuple[int, tuple[tuple[str, int], ...]], ...]

    def culprit(self, rejected: Rejected) -> str:
        """Name the fact that the kernel refused: that of the element which it points at, or one of those that it may be."""
        if rejected.number >= len(self.facts):
            return "a change of elements"
        at, of_message = self.facts[rejected.number]
        if rejected.offset is not None:
            for line, size in of_message:
                if at <= rejected.offset < at + size:
                    return line
                at += size
        (first, _), *others = of_message
        return f"{first}, or one of {len(others)} others" if others else first


def change(ruleset: str, put: Mapping[Key, Row], drop: Mapping[Key, Row]) -> Change:
    """Return how elements are taken out and put in.

    Raises:
        Refused: a fact can't be an element of a set of this ruleset.
    """
    messages: list[Message] = []
    facts: list[tuple[int, tuple[tuple[str, int], ...]]] = []
    for write, some, is_put in ((transactions.drop_elements, drop, False), (transactions.put_elements, put, True)):
        by_set: dict[NftSet, list[tuple[Key, Row, bytes]]] = {}
        for key, value in some.items():
            where, row = where_of(ruleset, key)
            by_set.setdefault(where, []).append((key, value, _element(where, key, row, value if is_put else None)))
        for where, elements in by_set.items():
            place = (where.family, where.table, where.name)
            made = list(write(place, (packed for _, _, packed in elements)))
            messages += made
            facts += _shares(made, transactions.elements_begin(place), elements)
    return Change(tuple(messages), tuple(facts))


def _shares(
    made: Iterable[Message], begin: int, elements: Iterable[tuple[Key, Row, bytes]]
) -> Iterable[tuple[int, tuple[tuple[str, int], ...]]]:
    """Return of each message about a set where its elements begin, and whose they are."""
    waiting = iter(elements)
    for message in made:
        left, own = len(message.body) - 4 - begin, list[tuple[str, int]]()
        while left > 0:
            key, value, packed = next(waiting)
            own.append((fact_line(key, value), len(packed)))
            left -= len(packed)
        yield begin, tuple(own)


def _element(where: NftSet, key: Key, row: Row, value: Row | None) -> bytes:
    if len(row) != len(where.keys) or (value is not None and len(value) != len(where.values)):
        raise Refused(f"{fact_line(key, value or ())}: {where.name} has other columns")
    has_ranges = not _RANGES.isdisjoint(key.table.key)
    # Sets of intervals have numbers in the order in which they can be compared.
    order = "big" if has_ranges else sys.byteorder
    try:
        first, last = zip(*(_ends(kind, atom, order) for kind, atom in zip(where.keys, row, strict=True)), strict=True)
        data = None
        if value:
            data = _joined([_field(kind, sys.byteorder)(atom) for kind, atom in zip(where.values, value, strict=True)])
    except ValueError as error:
        raise Refused(f"{fact_line(key, value or ())}: {error}") from error
    return transactions.element(_joined(first), _joined(last) if has_ranges else None, data)


def _ends(kind: str, atom: Atom, order: str) -> tuple[bytes, bytes]:
    """Return the first and the last thing that a column stands for."""
    match atom:
        case Span():
            if atom.first > atom.last:
                raise ValueError(f"{atom} ends before it begins")
            first, last = _field(kind, order)(atom.first), _field(kind, order)(atom.last)
        case IPv4Network() | IPv6Network():
            first, last = _field(kind, order)(atom.network_address), _field(kind, order)(atom.broadcast_address)
        case str() if kind in _ADDRESSES and "-" in atom:
            # What only a stranger makes is read like this, and has to go.
            first, last = (_field(kind, order)(_ADDRESSES[kind](end)) for end in atom.split("-", 1))
        case _:
            first = last = _field(kind, order)(atom)
    return first, last


def _joined(fields: Iterable[bytes]) -> bytes:
    """Return columns as one: of several each takes whole words of 4 bytes."""
    found = list(fields)
    return found[0] if len(found) == 1 else b"".join(field + bytes(-len(field) % 4) for field in found)


@cache
def _field(kind: str, order: str) -> Callable[[Atom], bytes]:
    """Return what writes an atom as a column of some type.  What it returns raises ValueError for what is none."""
    length = _NUMBERS.get(kind, 0)
    byte_order: Literal["big", "little"] = "big" if order == "big" or kind in _IN_NETWORK_ORDER else sys.byteorder

    def write(atom: Atom) -> bytes:
        match kind, atom:
            case "ipv4_addr", IPv4Address():
                return atom.packed
            case "ipv6_addr" | "integer", IPv6Address():
                return atom.packed
            case "ifname", str() if is_word(atom) and len(atom) <= _LONGEST_NAME:
                return atom.encode().ljust(16, b"\0")
            case "ether_addr" | "integer", str() if is_mac(atom):
                return bytes.fromhex(atom.replace(":", ""))
            case "nf_proto", str() if atom in _FAMILIES:
                return bytes([_FAMILIES[atom]])
            case _, int() if 0 <= atom < 1 << 8 * length:
                return atom.to_bytes(length, byte_order)
            case _:
                raise ValueError(f"{atom} is no {kind}")

    return write
