"""What follows from a change of elements beyond the change itself: pure.

A floating IP that is put is announced, so that neighbours send to us.  One that is taken away, or leads elsewhere, leaves flows in the
kernel's memory that would go on; forwarding fails closed on the pair already, and their entries are ended so that the next flow with the
same ports is seen anew.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from mooring.compile.facts import Delta, Key, Place, Row
from mooring.compile.tables import FIP_IN, FIP_OUT, MAY_OUT, OWNED, PAIR


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


def announced(delta: Delta) -> Iterator[Announcement]:
    """Return the addresses that came to be owned."""
    for key in delta.put:
        if key.table == OWNED and (announcement := _announcement(key)):
            yield announcement


def withdrawn(delta: Delta) -> Iterator[Announcement]:
    """Return the addresses that are owned no longer."""
    for key in delta.drop:
        if key.table == OWNED and key not in delta.put and (announcement := _announcement(key)):
            yield announcement


def cuts(delta: Delta) -> dict[Place, list[Cut]]:
    """Return the flows to end in each place.

    A pair that is no more takes its flows along in both directions, and no others: many guests share a router's own address.  Where a
    floating IP leads elsewhere, all that came in by it ends.  A guest that may no longer speak to the outside loses what it began.
    """
    found: dict[Place, dict[Cut, None]] = {}
    for key, value in delta.drop.items():
        for cut in _cuts(key, value, delta):
            found.setdefault(key.place, {})[cut] = None
    return {place: list(some) for place, some in found.items()}


def _cuts(key: Key, value: Row, delta: Delta) -> Iterator[Cut]:
    match key.table.name, key.row, value:
        case PAIR.name, (IPv4Address() as public, IPv4Address() as private), _ if key not in delta.put:
            yield Cut(original_target=public, reply_source=private)
            yield Cut(original_source=private, reply_target=public)
        case FIP_IN.name, (IPv4Address() as public,), (IPv4Address(),):
            yield Cut(original_target=public)
        case FIP_OUT.name, (IPv4Address() as private, str()), (IPv4Address() as public,):
            if Key(PAIR, key.place, (public, private)) in delta.drop:
                yield Cut(original_source=private, reply_target=public)
        case MAY_OUT.name, (IPv4Address() as private, str()), _ if key not in delta.put:
            yield Cut(original_source=private)
            yield Cut(reply_source=private)
        case _:
            pass


def _announcement(key: Key) -> Announcement | None:
    match key.row:
        case (str() as device, IPv4Address() as address):
            return Announcement(key.place, device, address)
        case _:
            return None
