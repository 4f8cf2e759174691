"""As whom a guest leaves, read off a kernel's elements step by step, as its rules do: what a preference means, told without the compiler."""

from ipaddress import IPv4Address

from mooring.compile.facts import HostState, Key, Place, PlaceKind
from mooring.compile.tables import CHOICES, CHOSEN, CLASSES, PREFERS
from mooring.model.ids import UplinkId, uplink_name
from mooring.model.nouns import AddressRange
from mooring.model.subjects import Egress, NicAddress, NicIntent

_PROBES = [IPv4Address(text) for text in ("192.0.2.7", "192.0.2.200", "203.0.113.9")]
"""Destinations that different prefixes hold."""


def leaves_as(state: HostState, router: str, fixed: IPv4Address, to: IPv4Address, uplink: UplinkId) -> object:
    """Return as which address what a guest begins towards a destination leaves by an uplink for which it was chosen; None is as nobody."""
    place = Place(PlaceKind.ROUTER, router)
    number = state.get(Key(PREFERS, place, (fixed,)))
    if number is None:
        return None
    for key, value in state.items():
        if key.place != place or key.table is not CLASSES or key.row[0] != number[0]:
            continue
        part = key.row[1]
        if isinstance(part, AddressRange) and to in part:
            mark = state.get(Key(CHOICES, place, (fixed, value[0])))
            chosen = state.get(Key(CHOSEN, place, (fixed, uplink_name(uplink), mark[0]))) if mark else None
            return chosen[0] if chosen else None
    return None


def unlike(state: HostState, nic: NicIntent) -> str | None:
    """Say where a gateway's kernel lets a NIC leave otherwise than the longest prefix that it prefers by says."""
    if nic.router is None:
        return None
    for fixed in nic.addresses:
        for to in _PROBES if fixed.egress is not None else ():
            if (reason := _unlike(state, nic, fixed, to)) is not None:
                return reason
    return None


def _unlike(state: HostState, nic: NicIntent, fixed: NicAddress, to: IPv4Address) -> str | None:
    said = fixed.egress or Egress(0, ())
    holding = [each for each in said.preferences if to in each.prefix]
    longest = max(holding, key=lambda each: each.prefix.prefixlen, default=None)
    known = {(public.uplink, public.address) for public in (*fixed.floating, *nic.shared)}
    for way in (longest.way, longest.fallback) if longest is not None else ():
        if way is None or (longest is not None and way is longest.fallback and way.uplink == longest.way.uplink):
            continue
        expected = way.address if (way.uplink, way.address) in known else None
        found = leaves_as(state, str(nic.router), fixed.address, to, way.uplink)
        if found != expected:
            return f"{fixed.address} leaves towards {to} as {found} and not as {expected}"
    return None
