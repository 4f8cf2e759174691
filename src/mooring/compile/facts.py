"""Facts: keyed statements about one host, flat and comparable, and the difference between two sets of them.

A *table* says what kind of statement; a *place* says where on the host it holds (the host's own network namespace or that of a
router).  A host's state is a mapping from (table, place, key) to a value.  Two facts with the same key are a `Contradiction`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Network

from mooring.model.nouns import AddressRange


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """The numbers from `first` to `last`, both of them included."""

    first: int
    last: int

    def __str__(self) -> str:
        """Write one number as itself, several as first-last."""
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


Atom = str | int | IPv4Address | IPv4Interface | IPv4Network | IPv6Address | IPv6Network | Span | AddressRange
Row = tuple[Atom, ...]


class PlaceKind(StrEnum):
    """The kinds of places that facts live in."""

    HOST = "host"
    ROUTER = "router"


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a fact holds: `id` is empty for the host itself and a router's id for its namespace."""

    kind: PlaceKind
    id: str = ""

    def __str__(self) -> str:
        """Write the place as host or router/id."""
        return f"{self.kind}/{self.id}" if self.id else str(self.kind)


HOST = Place(PlaceKind.HOST)


class Stage(IntEnum):
    """The order in which facts are made true; they are taken back in the opposite order."""

    NAMESPACE = 1
    BRIDGE = 2
    LINK = 3
    SYSCTL = 4
    RULESET = 5
    ADDRESS = 6
    ROUTE = 7
    CHAIN = 8
    ELEMENT = 9
    SERVICE = 10
    ENTRY = 11
    FILTER = 12
    PORT = 13


@dataclass(frozen=True, slots=True, order=True)
class Table:
    """A kind of fact: the types of its key and value, and its stage.

    Tables of stage ELEMENT are sets and maps of the ruleset of their place, by the same name.  What a `shared` one says may be said by several
    subjects, if they say the same: it holds as long as one of them does.  What an `observed` one says is how a host finds the world: no subject
    asks for it, and nobody makes or undoes it.
    """

    stage: Stage
    name: str
    key: tuple[type[Atom], ...] = field(compare=False)
    value: tuple[type[Atom], ...] = field(default=(), compare=False)
    shared: bool = field(default=False, compare=False)
    observed: bool = field(default=False, compare=False)

    def __hash__(self) -> int:
        """Hash by name: a table's name is unique."""
        return hash(self.name)


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """What a fact is about."""

    table: Table
    place: Place
    row: Row

    def __hash__(self) -> int:
        """Hash the names and the row: this runs for each of a host's facts in every comparison."""
        return hash((self.table.name, self.place.id, self.row))


@dataclass(frozen=True, slots=True)
class Fact:
    """One statement about a host."""

    key: Key
    value: Row = ()

    def __str__(self) -> str:
        """Write the fact as one line: place, table, key and, where there is one, = value."""
        return fact_line(self.key, self.value)


def fact_line(key: Key, value: Row) -> str:
    """Write a fact as one line of golden text."""
    left = f"{key.place} {key.table.name} {' '.join(str(part) for part in key.row)}".rstrip()
    right = " ".join(str(part) or '""' for part in value)
    return f"{left} = {right}" if value else left


class Contradiction(Exception):
    """Two facts in one place."""

    def __init__(self, key: Key, first: Row, second: Row) -> None:
        """Keep the place and both values."""
        super().__init__(f"two facts in one place: {fact_line(key, first)} | {fact_line(key, second)}")
        self.key = key


HostState = Mapping[Key, Row]


@dataclass(frozen=True, slots=True)
class Delta:
    """The difference between two host states; a changed fact appears in `drop` with its old value and in `put` with its new one."""

    put: Mapping[Key, Row]
    drop: Mapping[Key, Row]

    def __bool__(self) -> bool:
        """Say whether there is any difference."""
        return bool(self.put or self.drop)

    def __str__(self) -> str:
        """Write the delta as lines of - fact and + fact, in the order of places and keys."""
        lines = [(key, "-", value) for key, value in self.drop.items()]
        lines += [(key, "+", value) for key, value in self.put.items()]
        ordered = sorted(lines, key=lambda line: (_order(line[0]), line[1] == "+"))
        return "".join(f"{sign} {fact_line(key, value)}\n" for key, sign, value in ordered)


def _order(key: Key) -> tuple[str, int, str, tuple[tuple[str, str, int | str], ...]]:
    # Rows of one table may differ in types (an address family); compare by type, then by value.
    row = tuple((type(part).__name__, *_sortable(part)) for part in key.row)
    return (str(key.place), key.table.stage, key.table.name, row)


def _sortable(part: Atom) -> tuple[str, int | str]:
    if isinstance(part, int):
        return ("", part)
    if isinstance(part, str):
        return (part, 0)
    if isinstance(part, Span):
        return ("", part.first << 32 | part.last)
    if isinstance(part, AddressRange):
        return ("", int(part.first) << 32 | int(part.last))
    if isinstance(part, IPv4Network | IPv6Network):
        return ("", int(part.network_address) << 8 | part.prefixlen)
    if isinstance(part, IPv4Interface):
        return ("", int(part) * 64 + part.network.prefixlen)
    return ("", int(part))


class Refused(Exception):
    """The back-end could not make a delta true.  What it did of it is unknown: read before the next change."""


def union(facts: Iterable[Fact]) -> dict[Key, Row]:
    """Join facts into a host state.

    Raises:
        Contradiction: two facts have the same key, and are not the same fact of a shared table.
    """
    state: dict[Key, Row] = {}
    for fact in facts:
        if fact.key in state and not (fact.key.table.shared and state[fact.key] == fact.value):
            raise Contradiction(fact.key, state[fact.key], fact.value)
        state[fact.key] = fact.value
    return state


def diff(actual: HostState, desired: HostState) -> Delta:
    """Return what turns `actual` into `desired`."""
    put = {key: value for key, value in desired.items() if actual.get(key) != value}
    drop = {key: value for key, value in actual.items() if desired.get(key) != value and not key.table.observed}
    return Delta(put, drop)


def patched(state: HostState, delta: Delta) -> dict[Key, Row]:
    """Return the state after a delta."""
    result = {key: value for key, value in state.items() if key not in delta.drop}
    result.update(delta.put)
    return result


def in_order(state: HostState) -> list[Fact]:
    """Return the facts of a host state, sorted by place, stage, table and key."""
    return [Fact(key, state[key]) for key in sorted(state, key=_order)]


def lines(state: HostState) -> Iterator[str]:
    """Write a host state as text, one fact a line, in order."""
    for fact in in_order(state):
        yield str(fact)
