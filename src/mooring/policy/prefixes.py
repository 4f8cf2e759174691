"""Which prefix of a subnet pool to give out next."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network


def free_prefix(prefixes: Sequence[IPv4Network], taken: Iterable[IPv4Network], length: int) -> IPv4Network | None:
    """Return the lowest prefix of a length, in bits, that lies in one of `prefixes` and overlaps nothing taken; None if there is none."""
    size = 1 << (32 - length)
    # Not by their last addresses, which are objects that have to be made: there may be thousands.
    used = sorted((low := int(each.network_address), low + (1 << (32 - each.prefixlen)) - 1) for each in taken)
    for prefix in sorted(prefixes):
        last = int(prefix.broadcast_address)
        # A prefix that is shorter than what is wanted begins at a multiple of its size, and is passed over by its end.
        candidate = int(prefix.network_address)
        for low, high in used:
            if high < candidate:
                continue
            if low > candidate + size - 1:
                break
            candidate = -(-(high + 1) // size) * size
        if prefix.prefixlen <= length and candidate + size - 1 <= last:
            return IPv4Network((candidate, length))
    return None


def holds(prefixes: Iterable[IPv4Network], wanted: IPv4Network) -> bool:
    """Say whether all of a prefix lies in one of some others."""
    return any(wanted.subnet_of(prefix) for prefix in prefixes)
