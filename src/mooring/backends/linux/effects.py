"""What follows from a change of elements beyond the change itself: pure.

An address that is put is announced, so that neighbours send to us.  One that is taken away, or leads elsewhere, leaves flows in the
kernel's memory.  Forwarding fails closed on the pair already; their entries end so that what has the same ports next is seen anew.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from mooring.compile.facts import Delta, Key, Place, Row
from mooring.compile.tables import FIP_IN, HAIR, OWNED, PAIR, RENEWED


@dataclass(frozen=True, slots=True, order=True)
class Announcement:
    """An address that neighbours on an uplink shall send to us from now on."""

    place: Place
    device: str
    address: IPv4Address


@dataclass(frozen=True, slots=True)
class Cut:
    """Flows that end: all whose entry has these addresses; None is any."""

    original_source: IPv4Address | None = None
    original_target: IPv4Address | None = None
    reply_source: IPv4Address | None = None
    reply_target: IPv4Address | None = None


def in_two(delta: Delta) -> tuple[Delta, Delta]:
    """Split a change into what comes before flows are ended and what comes after.

    All is in the first part, but for the old pair of an address that moves: were it gone before its flows, their packets would be
    dropped for as long as it takes to end them; so they go on to the old guest, and then to the new one.
    """
    moving = {key.row[0] for key in delta.drop if key.table == FIP_IN and key in delta.put}
    late = {
        key: value
        for key, value in delta.drop.items()
        if key.table == PAIR and key.row[0] in moving and key not in delta.put
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
    that has no public address any more, not even a shared one, loses all.
    """
    return tuple(dict.fromkeys(cut for key, value in delta.drop.items() for cut in _cuts(key, value, delta)))


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


def _announcement(key: Key) -> Announcement | None:
    match key.table.name, key.row:
        case OWNED.name, (str() as device, IPv4Address() as address):
            return Announcement(key.place, device, address)
        case _:
            return None
