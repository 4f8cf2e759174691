"""By which uplink a flow leaves, and as whom: what guests prefer towards destinations, as elements; and a table of routes for each uplink.

    private ──prefers──► set of prefixes ─┬─classes──► class ─┬─choices──► mark ──rules──► routes of an uplink ──chosen──► public
    destination ──────────────────────────┘                   │
    private ──────────────────────────────────────────────────┘

The destination is asked first: within a set of prefixes every address has one class, the longest prefix that holds it.  The kernel's sets
know no longest prefix, so that it is worked out here, as ranges that don't overlap.  Guests that prefer by the same prefixes share them,
whatever they prefer; a guest has one element for each prefix.
"""

from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network

from mooring.compile.facts import Fact, Key, Place, PlaceKind
from mooring.compile.tables import (
    CHOICES,
    CHOSEN,
    CLASSES,
    MARKED,
    PREFERS,
    PROBED,
    RENEWED,
    ROUTE_IN,
    RULE,
    SYSCTL,
    WAYS,
)
from mooring.model.ids import UplinkId, inner_name, uplink_name
from mooring.model.nouns import AddressRange
from mooring.model.subjects import Egress, EgressPreference, NicAddress, NicIntent, RouterIntent, WayOut

INSIDE_PRIORITY, INSIDE_TABLE = 95, 901
"""The rule and the table of routes that say what is inside: no mark leads a packet for there to the outside."""

WAY_PRIORITY, FALLBACK_PRIORITY = 101, 102
"""The rules that lead what is marked to the routes of an uplink."""

FIRST_TABLE = 1000
"""An uplink's table of routes is that many above its number."""

NO_CARRIER, NEXT_HOP_AWAY = "its wire has no carrier", "its next hop does not answer"
"""Why nothing leaves by an uplink: the first takes all routes by it out, the other its default route."""

IGNORING = "ipv4/conf/all/ignore_routes_with_linkdown"

SETTINGS = (
    # What is behind an uplink without a carrier is as good as not there, so that the next rule is asked.
    (IGNORING, "1"),
)
"""Kernel settings of a router with several uplinks."""

_EVERYWHERE = IPv4Network("0.0.0.0/0")
_FALLBACK, _VARIANT = 12, 24
_NUMBER = (1 << _FALLBACK) - 1
_LENGTH = 6
_LAST = 2**32 - 1

_Ways = tuple[WayOut, ...]
"""The way that is preferred, and the one to fall back to if there is one."""


def is_choosing(router: RouterIntent) -> bool:
    """Say whether a router has more than one way out; rules cost every packet a sixth, and one way needs none."""
    return len([uplink for uplink in router.uplinks if uplink.number]) > 1


def router(subject: RouterIntent) -> Iterator[Fact]:
    """A router with several uplinks has a table of routes for each, and answers by that which asked."""
    if not is_choosing(subject):
        return
    place = Place(PlaceKind.ROUTER, subject.id)
    for path, value in SETTINGS:
        yield Fact(Key(SYSCTL, place, (path,)), (value,))
    yield Fact(Key(RULE, place, (INSIDE_PRIORITY, "", _EVERYWHERE)), (INSIDE_TABLE,))
    for port in subject.ports:
        yield Fact(Key(ROUTE_IN, place, (INSIDE_TABLE, port.address.network)), (inner_name(port.network), ""))
    for uplink in subject.uplinks:
        if not uplink.number:
            continue
        device, table = uplink_name(uplink.uplink), FIRST_TABLE + uplink.number
        yield Fact(Key(WAYS, place, (device,)), (uplink.number,))
        if uplink.misses:
            yield Fact(Key(PROBED, place, (device, uplink.next_hop)), (uplink.misses,))
        for priority, shift in ((WAY_PRIORITY, 0), (FALLBACK_PRIORITY, _FALLBACK)):
            yield Fact(Key(MARKED, place, (priority, uplink.number << shift, _NUMBER << shift)), (table,))
        yield Fact(Key(ROUTE_IN, place, (table, uplink.address.network)), (device, ""))
        yield Fact(Key(ROUTE_IN, place, (table, _EVERYWHERE)), (device, str(uplink.next_hop)))


def nic(subject: NicIntent) -> Iterator[Fact]:
    """A NIC's addresses leave as they prefer, so far as what they prefer is theirs."""
    if subject.router is None:
        return
    place = Place(PlaceKind.ROUTER, subject.router)
    for fixed in subject.addresses:
        if fixed.egress is not None:
            known = {(public.uplink, public.address) for public in (*fixed.floating, *subject.shared)}
            yield from _address(place, fixed, fixed.egress, known)


def _address(
    place: Place, fixed: NicAddress, egress: Egress, known: set[tuple[UplinkId, IPv4Address]]
) -> Iterator[Fact]:
    classes = classes_of(preference.prefix for preference in egress.preferences)
    marks = _marks(egress.preferences)
    if egress.renewed:
        yield Fact(Key(RENEWED, place, (fixed.address,)), (egress.renewed,))
    if not classes:
        return
    yield Fact(Key(PREFERS, place, (fixed.address,)), (egress.number,))
    for part, number in flattened(classes):
        yield Fact(Key(CLASSES, place, (egress.number, part)), (number,))
    for preference in egress.preferences:
        yield Fact(Key(CHOICES, place, (fixed.address, classes[preference.prefix])), (marks[_ways(preference)],))
    for ways, mark in marks.items():
        for way in ways:
            # As an address that is not the guest's nothing leaves at all: what is marked is translated by these elements or by none.
            if (way.uplink, way.address) in known:
                yield Fact(Key(CHOSEN, place, (fixed.address, uplink_name(way.uplink), mark)), (way.address,))


def _ways(preference: EgressPreference) -> _Ways:
    # A fallback on the same uplink is none: where one address leads nowhere the other does neither.
    way, fallback = preference.way, preference.fallback
    return (way,) if fallback is None or fallback.uplink == way.uplink else (way, fallback)


def _marks(preferences: Iterable[EgressPreference]) -> dict[_Ways, int]:
    """Return a mark for each choice: the uplink's number, above it the fallback's, above that which choice between these two it is."""
    marks: dict[_Ways, int] = {}
    variants: dict[int, int] = {}
    for ways in sorted({_ways(preference) for preference in preferences}):
        numbers = ways[0].number | (ways[1].number << _FALLBACK if len(ways) > 1 else 0)
        variants[numbers] = variants.get(numbers, -1) + 1
        marks[ways] = numbers | variants[numbers] << _VARIANT
    return marks


def way_of(mark: int) -> tuple[int, int]:
    """Return the numbers of the uplinks that a mark leads to, the first and the fallback; 0 is none."""
    return mark & _NUMBER, mark >> _FALLBACK & _NUMBER


def classes_of(prefixes: Iterable[IPv4Network]) -> dict[IPv4Network, int]:
    """Return a class for each prefix of a set: its place in the set and its length, so that both can be told from an element."""
    return {prefix: place << _LENGTH | prefix.prefixlen for place, prefix in enumerate(sorted(set(prefixes)), 1)}


def prefix_of(address: IPv4Address, number: int) -> IPv4Network:
    """Return the prefix that a class stands for, by any address that has it."""
    return IPv4Network((address, number & ((1 << _LENGTH) - 1)), strict=False)


def flattened(classes: dict[IPv4Network, int]) -> Iterator[tuple[AddressRange, int]]:
    """Return, in order, ranges that don't overlap and the class of each: that of the longest prefix which holds all of its addresses.

    Addresses that no prefix holds are in none of them.
    """
    at = 0
    around: list[IPv4Network] = []

    def upto(end: int) -> Iterator[tuple[AddressRange, int]]:
        # From `at` to before `end` the innermost prefix around counts; it may end on the way, and then the one around it.
        nonlocal at
        while around and at < end:
            last = min(int(around[-1].broadcast_address), end - 1)
            if at <= last:
                yield AddressRange(IPv4Address(at), IPv4Address(last)), classes[around[-1]]
                at = last + 1
            if last == int(around[-1].broadcast_address):
                around.pop()
        at = max(at, end)

    for prefix in sorted(classes, key=lambda it: (int(it.network_address), it.prefixlen)):
        yield from upto(int(prefix.network_address))
        around.append(prefix)
    yield from upto(_LAST + 1)
