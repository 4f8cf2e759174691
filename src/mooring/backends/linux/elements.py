"""Elements of sets and maps <-> facts.

A table of stage ELEMENT is the set or map of that name in the static ruleset; family, table and column types are taken from there, so a
new table needs nothing here as long as its types have a line in `_CODECS`.

How does a restarted agent know that an element is ours?  It lies in a set of a table named mooring: all of these are ours, and what no
subject asks for is taken out.
"""

import json
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from ipaddress import IPv4Address, IPv4Network

from mooring.backends.linux.nfnetlink import Element, Interrupted, Nfnetlink
from mooring.backends.linux.nft import Nft, NftRefused, as_loaded
from mooring.backends.names import is_word
from mooring.compile.facts import Atom, Key, Place, Refused, Row, Stage, Table, fact_line
from mooring.compile.tables import TABLES

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
    """Return the named sets and maps of a static ruleset."""
    return declared(as_loaded(ruleset)[1])


def declared(listing: str) -> dict[str, NftSet]:
    """Return the named sets and maps of a listing in JSON."""
    found: dict[str, NftSet] = {}
    for entry in json.loads(listing)["nftables"]:
        for what in ("set", "map"):
            if (it := entry.get(what)) is not None:
                types = _columns(it["type"]), _columns(it.get("map", []))
                found[it["name"]] = NftSet(it["family"], it["table"], it["name"], *types)
    return found


def read(nfnetlink: Nfnetlink, place: Place, wanted: Mapping[str, NftSet]) -> dict[Key, Row]:
    """Return the elements of sets in a namespace.

    Raises:
        Interrupted: the rules changed meanwhile.
    """
    state: dict[Key, Row] = {}
    known: dict[str, _Known] = {}
    for table in TABLES:
        if table.stage is not Stage.ELEMENT or (where := wanted.get(table.name)) is None:
            continue
        decode = _decoder(table, where, known)
        try:
            for element in nfnetlink.elements(where.family, where.table, where.name):
                row, value = decode(element)
                state[Key(table, place, row)] = value
        except FileNotFoundError as error:
            raise Interrupted from error
    return state


def change(nft: Nft, ruleset: str, put: Mapping[Key, Row], drop: Mapping[Key, Row]) -> None:
    """Drop and put elements as one transaction.

    Raises:
        Refused: nothing was changed; the reason names the first element that can't be, if they are not too many.
    """
    facts = [
        *(("delete", key, value) for key, value in drop.items()),
        *(("add", key, value) for key, value in put.items()),
    ]
    try:
        nft.run(_commands(ruleset, facts))
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
    by_set: dict[tuple[str, Table], list[tuple[Key, Row]]] = {}
    for verb, key, value in facts:
        by_set.setdefault((verb, key.table), []).append((key, value))
    return "".join(_command(verb, ruleset, table, members) + "\n" for (verb, table), members in by_set.items())


def _command(verb: str, ruleset: str, table: Table, members: list[tuple[Key, Row]]) -> str:
    where = sets(ruleset).get(table.name)
    if where is None:
        raise Refused(f"ruleset {ruleset} has no set or map {table.name}")
    # A map's element is deleted by its key alone.
    texts = [_text(where, key, value if verb == "add" else ()) for key, value in members]
    return f"{verb} element {where.family} {where.table} {where.name} {{ {', '.join(texts)} }}"


def _text(where: NftSet, key: Key, value: Row) -> str:
    if len(key.row) != len(where.keys) or (value and len(value) != len(where.values)):
        raise Refused(f"{fact_line(key, value)}: {where.name} has other columns")
    left = _join(where.keys, key.row)
    return f"{left} : {_join(where.values, value)}" if value else left


def _join(types: tuple[str, ...], row: Row) -> str:
    words = [str(atom) for atom in row]
    for word in words:
        if not is_word(word):
            raise Refused(f"{word!r} can't be part of an element")
    return " . ".join(f'"{word}"' if kind == "ifname" else word for kind, word in zip(types, words, strict=True))


def _columns(types: str | list[str]) -> tuple[str, ...]:
    return (types,) if isinstance(types, str) else tuple(types)


# How the kernel writes a column: its length, and what it means.  Each is padded to 4 bytes.
_CODECS: dict[str, tuple[int, Callable[[bytes], Atom]]] = {
    "ipv4_addr": (4, IPv4Address),
    "ifname": (16, lambda field: field.rstrip(b"\0").decode(errors="replace")),
    "inet_proto": (1, lambda field: field[0]),
    "inet_service": (2, lambda field: int.from_bytes(field, "big")),
    "ether_addr": (6, lambda field: field.hex(":")),
}


class _Known(dict[bytes, Atom]):
    """What fields mean, worked out once each: an address mostly comes in several sets, a device in all elements."""

    def __init__(self, decode: Callable[[bytes], Atom]) -> None:
        super().__init__()
        self._decode = decode

    def __missing__(self, field: bytes) -> Atom:
        found = self[field] = self._decode(field)
        return found


def _decoder(table: Table, where: NftSet, known: dict[str, _Known]) -> Callable[[Element], tuple[Row, Row]]:
    """Return how to read an element of one set; `known` holds, by type, what was read before."""
    row_of, value_of = _row_reader(where.keys, known), _row_reader(where.values, known)
    is_prefix = [kind is IPv4Network for kind in table.key]

    def plain(element: Element) -> tuple[Row, Row]:
        key, _, data = element
        return row_of(key), () if data is None else value_of(data)

    def interval(element: Element) -> tuple[Row, Row]:
        key, end, data = element
        ends = zip(is_prefix, row_of(key), row_of(end or key), strict=True)
        row = tuple(_prefix(low, high) if prefix else low for prefix, low, high in ends)
        return row, () if data is None else value_of(data)

    return interval if any(is_prefix) else plain


def _row_reader(types: tuple[str, ...], known: dict[str, _Known]) -> Callable[[bytes], Row]:
    text = "="
    columns: list[_Known] = []
    for kind in types:
        length, decode = _CODECS[kind]
        text += f"{length}s{-length % 4}x"
        columns.append(known.setdefault(kind, _Known(decode)))
    unpack = struct.Struct(text).unpack
    return lambda fields: tuple([column[field] for column, field in zip(columns, unpack(fields), strict=True)])


def _prefix(first: Atom, last: Atom) -> Atom:
    """Return the prefix from the first to the last address; a range that is none, which only a stranger makes, stays a text."""
    if isinstance(first, IPv4Address) and isinstance(last, IPv4Address):
        size = int(last) - int(first) + 1
        if size > 0 and size & (size - 1) == 0 and int(first) % size == 0:
            return IPv4Network((first, 33 - size.bit_length()))
    return f"{first}-{last}"
