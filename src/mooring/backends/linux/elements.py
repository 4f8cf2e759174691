"""Elements of sets and maps <-> facts.

A table of stage ELEMENT is the set or map of that name in the static ruleset; family, table and column types are taken from there, so a
new table needs nothing here as long as its types have a line in `_codec`, and one of the host in `encoding`.  Of the tables of security
groups each group has a set of its own: there the first column is in the set's name.

How does a restarted agent know that an element is ours?  It lies in a set of a table named mooring: all of these are ours, and what no
subject asks for is taken out.
"""

import json
import struct
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from mooring.backends.linux import groups
from mooring.backends.linux.nfnetlink import Element, Interrupted, Nfnetlink
from mooring.backends.linux.nft import Nft, NftRefused, as_loaded
from mooring.backends.names import is_mac, is_word
from mooring.compile.facts import Atom, Key, Place, Refused, Row, Span, Stage, Table, fact_line
from mooring.compile.filters import HOST_RULESET
from mooring.compile.tables import OF_GROUPS, TABLES
from mooring.model.nouns import AddressRange

TABLE = "mooring"
"""The name of all our tables, in each family."""

_WORTH_A_SEARCH = 4096
"""For so many elements at most, the one that was refused is looked for."""


@dataclass(frozen=True, slots=True)
class NftSet:
    """Where a table's elements are: a set, or a map if `values` has a column."""

    family: str
    table: str
    name: str
    keys: tuple[str, ...]
    values: tuple[str, ...]


@cache
def sets(ruleset: str) -> Mapping[str, NftSet]:
    """Return the named sets and maps of a static ruleset; of those of security groups, the sample's."""
    return declared(as_loaded(ruleset, groups.sample() if ruleset == HOST_RULESET else ())[1])


def declared(listing: str) -> dict[str, NftSet]:
    """Return our named sets and maps of a listing in JSON."""
    found: dict[str, NftSet] = {}
    for entry in json.loads(listing)["nftables"]:
        for what in ("set", "map"):
            if (it := entry.get(what)) is not None and it["table"] == TABLE:
                types = _columns(it["type"]), _columns(it.get("map", []))
                found[it["name"]] = NftSet(it["family"], it["table"], it["name"], *types)
    return found


def read(nfnetlink: Nfnetlink, place: Place, wanted: Mapping[str, NftSet]) -> dict[Key, Row]:
    """Return the elements of sets in a namespace.

    Raises:
        Interrupted: the rules changed meanwhile.
    """
    state: dict[Key, Row] = {}
    known: dict[tuple[str, type[Atom], str], _Known] = {}
    for table in TABLES:
        if table.stage is not Stage.ELEMENT or table in OF_GROUPS or (where := wanted.get(table.name)) is None:
            continue
        state.update(_read(nfnetlink, place, _Part(table, where), _decoder(table, where, 0, known)))
    return state


def read_groups(nfnetlink: Nfnetlink, place: Place, ruleset: str, numbers: Iterable[int]) -> dict[Key, Row]:
    """Return the elements of the sets of security groups.

    Raises:
        Interrupted: the rules changed meanwhile.
    """
    state: dict[Key, Row] = {}
    known: dict[tuple[str, type[Atom], str], _Known] = {}
    groups_there = tuple(numbers)
    for table in OF_GROUPS:
        where = _of_group(ruleset, table, groups.SAMPLE)
        decode = _decoder(table, where, 1, known)
        for group in groups_there:
            part = _Part(table, replace(where, name=groups.group_set(group, table.name)), (group,))
            state.update(_read(nfnetlink, place, part, decode))
    return state


def change(nft: Nft, ruleset: str, put: Mapping[Key, Row], drop: Mapping[Key, Row], more: str = "") -> None:
    """Drop and put elements as one transaction, with more commands at its end.

    Raises:
        Refused: nothing was changed; the reason names the first element that can't be, if they are not too many.
    """
    facts = [
        *(("delete", key, value) for key, value in drop.items()),
        *(("add", key, value) for key, value in put.items()),
    ]
    try:
        nft.run(_commands(ruleset, facts) + more)
    except NftRefused as refused:
        raise Refused(f"{_culprit(nft, ruleset, facts)}: {refused}") from refused


def loading(ruleset: str, state: Mapping[Key, Row]) -> str:
    """Return the commands that load elements."""
    return _commands(ruleset, [("add", key, value) for key, value in state.items()])


def _culprit(nft: Nft, ruleset: str, facts: list[tuple[str, Key, Row]]) -> str:
    """Return the first fact that makes the kernel refuse: libnftables joins commands of one set and names the first of them."""
    if len(facts) > _WORTH_A_SEARCH:
        return f"one of {len(facts)} elements"
    good, bad = 0, len(facts)
    while bad - good > 1:
        middle = (good + bad) // 2
        if nft.would_run(_commands(ruleset, facts[:middle])):
            good = middle
        else:
            bad = middle
    _, key, value = facts[bad - 1]
    return fact_line(key, value)


def _commands(ruleset: str, facts: list[tuple[str, Key, Row]]) -> str:
    by_set: dict[tuple[str, NftSet], list[str]] = {}
    for verb, key, value in facts:
        where, row = where_of(ruleset, key)
        # A map's element is deleted by its key alone.
        texts = by_set.setdefault((verb, where), [])
        texts.append(_text(where, key, row, value if verb == "add" else ()))
    return "".join(
        f"{verb} element {where.family} {where.table} {where.name} {{ {', '.join(texts)} }}\n"
        for (verb, where), texts in by_set.items()
    )


def where_of(ruleset: str, key: Key) -> tuple[NftSet, Row]:
    """Return the set that a fact is an element of, and what of its row is in the element.

    Raises:
        Refused: the ruleset has no such set.
    """
    if key.table in OF_GROUPS:
        return _of_group(ruleset, key.table, groups.number_of(key)), key.row[1:]
    where = sets(ruleset).get(key.table.name)
    if where is None:
        raise Refused(f"ruleset {ruleset} has no set or map {key.table.name}")
    return where, key.row


def _of_group(ruleset: str, table: Table, group: int) -> NftSet:
    where = sets(ruleset).get(groups.group_set(groups.SAMPLE, table.name))
    if where is None:
        raise Refused(f"ruleset {ruleset} has no security groups")
    return replace(where, name=groups.group_set(group, table.name))


def _text(where: NftSet, key: Key, row: Row, value: Row) -> str:
    if len(row) != len(where.keys) or (value and len(value) != len(where.values)):
        raise Refused(f"{fact_line(key, value)}: {where.name} has other columns")
    left = _join(where.keys, row)
    return f"{left} : {_join(where.values, value)}" if value else left


def _join(types: tuple[str, ...], row: Row) -> str:
    return " . ".join(_word(kind, atom) for kind, atom in zip(types, row, strict=True))


def _word(kind: str, atom: Atom) -> str:
    if kind == "integer" and isinstance(atom, IPv6Address):
        return f"{int(atom):#034x}"
    if kind == "integer" and isinstance(atom, str) and is_mac(atom):
        return f"0x{atom.replace(':', '')}"
    if isinstance(atom, Span | AddressRange):
        # One number, too: nft 1.0.6 adds a row without any range to a set of ranges, and does not find it when it is to be deleted.
        return f"{atom.first}-{atom.last}"
    word = str(atom)
    if not isinstance(atom, IPv6Address | IPv6Network) and not is_word(word):
        raise Refused(f"{word!r} can't be part of an element")
    return f'"{word}"' if kind == "ifname" else word


def _columns(types: str | list[str]) -> tuple[str, ...]:
    # Those of a key are told one by one, those of a value in one text.
    return tuple(types.split(" . ")) if isinstance(types, str) else tuple(types)


_FAMILIES: Mapping[int, Atom] = {2: "ipv4", 10: "ipv6"}  # linux/netfilter.h


def _codec(kind: str, atom: type[Atom], order: str) -> tuple[int, Callable[[bytes], Atom]]:
    """Return how the kernel writes a column: its length, and what it means.  Each is padded to 4 bytes."""
    is_big = order == "big"

    def number(field: bytes) -> int:
        return int.from_bytes(field, "big" if is_big else sys.byteorder)

    match kind:
        case "ipv4_addr":
            return 4, IPv4Address
        case "ipv6_addr":
            return 16, IPv6Address
        case "ifname":
            return 16, lambda field: field.rstrip(b"\0").decode(errors="replace")
        case "inet_proto":
            return 1, lambda field: field[0]
        case "nf_proto":
            return 1, lambda field: _FAMILIES.get(field[0], field[0])
        case "inet_service":
            return 2, lambda field: int.from_bytes(field, "big")
        case "ether_addr":
            return 6, lambda field: field.hex(":")
        case "mark" | "classid":
            return 4, number
        case "integer":  # of what nft has no name for
            unnamed: Mapping[type[Atom], tuple[int, Callable[[bytes], Atom]]] = {
                IPv6Address: (16, IPv6Address),
                str: (6, lambda field: field.hex(":")),
            }
            return unnamed.get(atom, (2, number))
        case _:
            raise KeyError(kind)


class _Known(dict[bytes, Atom]):
    """What fields mean, worked out once each: an address mostly comes in several sets, a device in all elements."""

    def __init__(self, decode: Callable[[bytes], Atom]) -> None:
        super().__init__()
        self._decode = decode

    def __missing__(self, field: bytes) -> Atom:
        found = self[field] = self._decode(field)
        return found


@dataclass(frozen=True, slots=True)
class _Part:
    """A set, and the facts that its elements are: those of a table whose rows begin with `first`."""

    table: Table
    where: NftSet
    first: Row = ()


_Decoder = Callable[[Element], tuple[Row, Row]]
"""Reads an element: what of its fact's row is in it, and the value."""


def _read(nfnetlink: Nfnetlink, place: Place, part: _Part, decode: _Decoder) -> dict[Key, Row]:
    table, where = part.table, part.where
    state: dict[Key, Row] = {}
    count = 0
    try:
        for element in nfnetlink.elements(where.family, where.table, where.name):
            row, value = decode(element)
            state[Key(table, place, (*part.first, *row))] = value
            count += 1
    except FileNotFoundError as error:
        raise Interrupted from error
    if len(state) != count:
        # The kernel lists piece by piece and goes on at a place, not after an element.  While it makes its table larger, places
        # change: for each element that is then told once more, another one may not be told at all.
        raise Interrupted
    return state


def _decoder(table: Table, where: NftSet, first: int, known: dict[tuple[str, type[Atom], str], _Known]) -> _Decoder:
    """Return how to read an element of a set, without the first columns of the table.

    `known` holds, by type, what was read before.
    """
    types = table.key[first:]
    joins = [_JOINED.get(atom) for atom in types]
    # Sets of intervals have numbers in the order in which they can be compared.
    order = "big" if any(joins) else sys.byteorder
    row_of = _row_reader(where.keys, types, order, known)
    value_of = _row_reader(where.values, table.value, sys.byteorder, known)

    def plain(element: Element) -> tuple[Row, Row]:
        key, _, data = element
        return row_of(key), () if data is None else value_of(data)

    def interval(element: Element) -> tuple[Row, Row]:
        key, end, data = element
        ends = zip(joins, row_of(key), row_of(end or key), strict=True)
        row = tuple(low if join is None else join(low, high) for join, low, high in ends)
        return row, () if data is None else value_of(data)

    return interval if any(joins) else plain


def _row_reader(
    types: tuple[str, ...], atoms: tuple[type[Atom], ...], order: str, known: dict[tuple[str, type[Atom], str], _Known]
) -> Callable[[bytes], Row]:
    text = "="
    columns: list[_Known] = []
    for kind, atom in zip(types, atoms, strict=True):
        length, decode = _codec(kind, atom, order)
        text += f"{length}s{-length % 4}x"
        columns.append(known.setdefault((kind, atom, order), _Known(decode)))
    unpack = struct.Struct(text).unpack
    return lambda fields: tuple([column[field] for column, field in zip(columns, unpack(fields), strict=True)])


@lru_cache(4096)
def _prefix(first: Atom, last: Atom) -> Atom:
    """Return the prefix from the first to the last address; a range that is none, which only a stranger makes, stays a text."""
    if isinstance(first, IPv4Address) and isinstance(last, IPv4Address):
        length = _length(int(first), int(last), 32)
        return IPv4Network((first, length)) if length is not None else f"{first}-{last}"
    if isinstance(first, IPv6Address) and isinstance(last, IPv6Address):
        length = _length(int(first), int(last), 128)
        return IPv6Network((first, length)) if length is not None else f"{first}-{last}"
    return f"{first}-{last}"


def _length(first: int, last: int, whole: int) -> int | None:
    size = last - first + 1
    if size > 0 and size & (size - 1) == 0 and first % size == 0:
        return whole + 1 - size.bit_length()
    return None


def _span(first: Atom, last: Atom) -> Atom:
    return Span(first, last) if isinstance(first, int) and isinstance(last, int) else f"{first}-{last}"


def _range(first: Atom, last: Atom) -> Atom:
    if isinstance(first, IPv4Address) and isinstance(last, IPv4Address):
        return AddressRange(first, last)
    return f"{first}-{last}"


_JOINED: Mapping[type[Atom], Callable[[Atom, Atom], Atom]] = {
    IPv4Network: _prefix,
    IPv6Network: _prefix,
    Span: _span,
    AddressRange: _range,
}
