"""Which of the egress preferences that reach an address count there, and as whom it leaves by them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from mooring.model import preferences as said
from mooring.model.ids import PoolId, UplinkId
from mooring.model.preferences import EgressScope
from mooring.model.subjects import EgressPreference, WayOut

MOST = 64
"""So many egress preferences may be said of one thing."""

_NOBODY = IPv4Address(0)
_RANKS = {scope: rank for rank, scope in enumerate(EgressScope)}


@dataclass(frozen=True, slots=True)
class Way:
    """A pool with its uplink and that one's number; `floating` is the floating IP that is meant, if one is, and `leads_to` its fixed IP."""

    pool: PoolId
    uplink: UplinkId
    number: int
    floating: IPv4Address | None = None
    leads_to: IPv4Address | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """A preference as it reaches a NIC; `fixed` is the address that it is for, None if it is for all of them."""

    scope: EgressScope
    prefix: IPv4Network
    way: Way
    fallback: Way | None = None
    fixed: IPv4Address | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """By which public addresses a fixed IP is known: a floating IP of each pool, and its router's own on each uplink."""

    floating: Mapping[PoolId, IPv4Address]
    shared: Mapping[UplinkId, IPv4Address]


def counting(told: Iterable[Told], fixed: IPv4Address) -> Mapping[IPv4Network, Told]:
    """Return the preferences that count for a fixed IP: for each prefix the most specific one.

    One for a floating IP counts only where that leads: at other addresses of the same guest it says nothing.
    """
    found: dict[IPv4Network, Told] = {}
    for each in sorted(told, key=lambda it: _RANKS[it.scope]):
        is_meant = each.fixed in (None, fixed)
        if is_meant and (each.way.floating is None or each.way.leads_to == fixed):
            found.setdefault(each.prefix, each)
    return found


def set_name(prefixes: Iterable[IPv4Network]) -> str:
    """Return the one text for a set of prefixes, whatever their order."""
    return " ".join(map(str, sorted(set(prefixes))))


def preferred(counted: Mapping[IPv4Network, Told], fixed: IPv4Address, known: Known) -> tuple[EgressPreference, ...]:
    """Return as whom a fixed IP leaves, by the preferences that count for it."""
    return tuple(
        EgressPreference(
            prefix,
            _way_out(each.way, known),
            _way_out(each.fallback, known) if _is_ours(each.fallback, fixed) and each.fallback is not None else None,
        )
        for prefix, each in sorted(counted.items())
    )


def described(preferences: Sequence[said.EgressPreference]) -> str:
    """Name preferences for a person: the first few."""
    named = [f"the egress preference {it.id} towards {it.prefix}" for it in preferences[:3]]
    return ", ".join(named) + (" and others" if len(preferences) > 3 else "")


def _is_ours(way: Way | None, fixed: IPv4Address) -> bool:
    return way is not None and (way.floating is None or way.leads_to == fixed)


def _way_out(way: Way, known: Known) -> WayOut:
    # An address that nobody has makes hosts let nothing out there, which is what an address that isn't there must come to.
    address = way.floating or known.floating.get(way.pool) or known.shared.get(way.uplink) or _NOBODY
    return WayOut(address, way.uplink, way.number)
