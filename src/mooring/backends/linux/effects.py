"""What follows from a change of elements beyond the change itself: pure.

An address that is put is announced, so that neighbours send to us.  One that is taken away, or leads elsewhere, leaves flows in the
kernel's memory.  Forwarding fails closed on the pair already; their entries end so that what has the same ports next is seen anew.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

from mooring.compile.facts import Delta, Key, Place, Row, Span
from mooring.compile.nat import BLOCKS
from mooring.compile.tables import FIP_IN, HAIR, OWNED, PAIR, PF_IN, PF_PAIR, RENEWED

_PF_SIZES = {PF_IN: 1, **{leads: size for size, (leads, _) in BLOCKS.items()}}
"""How many ports an element stands for that says where they lead."""

_PF_LEADS = {PF_PAIR: PF_IN, **{pair: leads for leads, pair in BLOCKS.values()}}
"""Which table says where the ports lead of an element that lets flows pass."""


@dataclass(frozen=True, slots=True, order=True)
class Announcement:
    """An address that neighbours on an uplink shall send to us from now on."""

    place: Place
    device: str
    address: IPv4Address


@dataclass(frozen=True, slots=True)
class Cut:
    """Flows that end: all whose entry has these addresses; None is any.  With `ports`, only those of a protocol that began with one of them."""

    original_source: IPv4Address | None = None
    original_target: IPv4Address | None = None
    reply_source: IPv4Address | None = None
    reply_target: IPv4Address | None = None
    protocol: int | None = None
    ports: Span | None = None

    def overlaps(self, other: "Cut") -> bool:
        """Say whether both are of ports of one address, and some of these are the same."""
        if self.ports is None or other.ports is None:
            return False
        same = (self.original_target, self.protocol) == (other.original_target, other.protocol)
        return same and self.ports.first <= other.ports.last and other.ports.first <= self.ports.last


def in_two(delta: Delta) -> tuple[Delta, Delta]:
    """Split a change into what comes before flows are ended and what comes after.

    All is in the first part, but for the old pair of an address or a forwarded port that moves: were it gone before its flows, their
    packets would be dropped for as long as it takes to end them; so they go on to the old guest, and then to the new one.
    """
    moving = {key.row[0] for key in delta.drop if key.table == FIP_IN and key in delta.put}
    late = {
        key: value
        for key, value in delta.drop.items()
        if key not in delta.put
        and ((key.table == PAIR and key.row[0] in moving) or (key.table in _PF_LEADS and _leads(key) in delta.put))
    }
    if not late:
        return delta, Delta({}, {})
    return Delta(delta.put, {key: value for key, value in delta.drop.items() if key not in late}), Delta({}, late)


def announced(delta: Delta) -> Iterator[Announcement]:
    """Return the addresses that came to be owned."""
    return (it for key in delta.put if (it := _announcement(key)) is not None)


def withdrawn(delta: Delta) -> Iterator[Announcement]:
    """Return the addresses that are owned no longer."""
    return (it for key in delta.drop if key not in delta.put and (it := _announcement(key)) is not None)


def cuts(delta: Delta) -> tuple[Cut, ...]:
    """Return the flows to end, of a delta of one place.

    A pair that is no more takes its flows along in both directions, and no others: many guests share a router's own address.  A guest
    that has no public address any more, not even a shared one, loses all.  Of a forwarding that is no more, or leads elsewhere, those flows
    end that began with its ports.
    """
    found = dict.fromkeys(cut for key, value in delta.drop.items() for cut in _cuts(key, value, delta))
    return (*found, *_of_ports(delta))


def outlast(ended: Iterable[Cut], delta: Delta) -> set[Cut]:
    """Return the cuts that still hold after a delta: of what it puts back, flows that begin anew are its own."""
    again = frozenset(cuts(Delta({}, delta.put)))
    of_ports: defaultdict[tuple[IPv4Address | None, int | None], list[Cut]] = defaultdict(list)
    for cut in again:
        if cut.ports is not None:
            of_ports[cut.original_target, cut.protocol].append(cut)

    def is_back(cut: Cut) -> bool:
        return cut in again or any(map(cut.overlaps, of_ports.get((cut.original_target, cut.protocol), ())))

    return {cut for cut in ended if not is_back(cut)}


def renewals(delta: Delta) -> tuple[Cut, ...]:
    """Return the flows to end, of a delta of one place, that may begin anew at once: those that a guest opened."""
    return tuple(
        Cut(original_source=private)
        for key in delta.put
        for private in key.row
        if key.table == RENEWED and isinstance(private, IPv4Address)
    )


def _cuts(key: Key, value: Row, delta: Delta) -> Iterator[Cut]:
    match key.table.name, key.row, value:
        case PAIR.name, (IPv4Address() as public, IPv4Address() as private), _ if key not in delta.put:
            yield Cut(original_target=public, reply_source=private)
            yield Cut(original_source=private, reply_target=public)
        case FIP_IN.name, (IPv4Address() as public,), (IPv4Address() as private,):
            yield Cut(original_target=public, reply_source=private)
        case HAIR.name, (IPv4Address() as private,), _ if key not in delta.put:
            yield Cut(original_source=private)
            yield Cut(reply_source=private)
        case _:
            pass


@dataclass(frozen=True, slots=True)
class _Forwarded:
    """Where ports of a public address lead: to those of a guest that are so many further."""

    public: IPv4Address
    protocol: int
    private: IPv4Address
    further: int


def _of_ports(delta: Delta) -> Iterator[Cut]:
    """Return the flows to end of ports that are not led to the same ones of the same guest any longer."""
    kept = _led(delta.put)
    for goal, gone in _led(delta.drop).items():
        for ports in _joined(port for port in gone if port not in kept.get(goal, set())):
            yield Cut(original_target=goal.public, reply_source=goal.private, protocol=goal.protocol, ports=ports)


def _led(facts: Mapping[Key, Row]) -> Mapping[_Forwarded, set[int]]:
    found: defaultdict[_Forwarded, set[int]] = defaultdict(set)
    for key, value in facts.items():
        if (size := _PF_SIZES.get(key.table)) is None:
            continue
        match key.row, value:
            case (IPv4Address() as public, int() as protocol, int() as port), (IPv4Address() as private, *to):
                further = to[0] - port if to and isinstance(to[0], int) else 0
                found[_Forwarded(public, protocol, private, further)].update(range(port, port + size))
            case _:
                pass
    return found


def _joined(ports: Iterable[int]) -> Iterator[Span]:
    """Write ports as the fewest spans."""
    first: int | None = None
    last = -1
    for port in sorted(ports):
        if first is not None and port != last + 1:
            yield Span(first, last)
            first = port
        first, last = port if first is None else first, port
    if first is not None:
        yield Span(first, last)


def _leads(key: Key) -> Key:
    """Return the name of the element that says where the ports lead of one that lets their flows pass."""
    return Key(_PF_LEADS[key.table], key.place, key.row[:3])


def _announcement(key: Key) -> Announcement | None:
    match key.table.name, key.row:
        case OWNED.name, (str() as device, IPv4Address() as address):
            return Announcement(key.place, device, address)
        case _:
            return None
