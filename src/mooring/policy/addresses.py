"""Which address to give out next.

Addresses are given out in a ring: the first free one after the last that was given.  So an address rests as long as possible before its
next owner gets it, and finding one costs the same however many are in use.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network

from mooring.model.nouns import AddressRange, Network

_GUEST_PREFIXES = range(8, 30)


def search_order(ranges: Sequence[AddressRange], cursor: IPv4Address | None) -> Iterator[AddressRange]:
    """Return the parts of the ranges in the order in which to look for a free address: after the cursor first, then from the start."""
    ordered = sorted(ranges, key=lambda part: part.first)
    if cursor is None:
        yield from ordered
        return
    for part in ordered:
        if part.last > cursor:
            yield AddressRange(max(part.first, cursor + 1), part.last)
    for part in ordered:
        if part.first <= cursor:
            yield AddressRange(part.first, min(part.last, cursor))


def joined(ranges: Iterable[AddressRange]) -> tuple[AddressRange, ...]:
    """Return ranges that don't overlap in their order, those that touch as one."""
    made: list[AddressRange] = []
    for part in sorted(ranges, key=lambda part: part.first):
        if made and made[-1].last + 1 == part.first:
            made[-1] = AddressRange(made[-1].first, part.last)
        else:
            made.append(part)
    return tuple(made)


def without(ranges: Iterable[AddressRange], part: AddressRange) -> tuple[AddressRange, ...]:
    """Return what is left of ranges without the addresses of another."""
    made: list[AddressRange] = []
    for own in ranges:
        if part.last < own.first or own.last < part.first:
            made.append(own)
            continue
        if own.first < part.first:
            made.append(AddressRange(own.first, part.first - 1))
        if part.last < own.last:
            made.append(AddressRange(part.last + 1, own.last))
    return tuple(made)


def usable(cidr: IPv4Network) -> AddressRange:
    """Return the addresses of a subnet that a machine can have: all but the network's own and the broadcast address."""
    return AddressRange(cidr.network_address + 1, cidr.broadcast_address - 1)


def given_out(network: Network) -> tuple[AddressRange, ...]:
    """Return what fixed IPs of a network are given out of: every address of the subnet, unless the project that made it chose ranges."""
    own = network.own
    return own.ranges if own is not None and own.ranges else (usable(network.cidr),)


def guest_network_fault(cidr: IPv4Network) -> str | None:
    """Say why guests can't have a network's addresses, if they can't."""
    if cidr.prefixlen not in _GUEST_PREFIXES:
        return f"must have a prefix length from {_GUEST_PREFIXES.start} to {_GUEST_PREFIXES.stop - 1}"
    if cidr.is_loopback or cidr.is_multicast or cidr.is_link_local or cidr.is_unspecified:
        return f"{cidr} cannot be a guest network"
    return None


def overlapping(ranges: Iterable[AddressRange]) -> tuple[AddressRange, AddressRange] | None:
    """Return two ranges that share an address, if there are any."""
    ordered = sorted(ranges, key=lambda part: part.first)
    for left, right in itertools.pairwise(ordered):
        if right.first <= left.last:
            return left, right
    return None
