"""Which addresses a guest may be allowed beside its own: never one that means several machines, or that goes with a hardware address."""

import itertools
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from mooring.model.faults import Invalid
from mooring.model.nouns import Network
from mooring.model.subjects import MAX_EXTRA
from mooring.policy.addresses import usable

FIELD = "allowed_addresses"

_NOBODYS: tuple[tuple[str, tuple[IPv4Network | IPv6Network, ...]], ...] = (
    ("is no machine's own address", (IPv4Network("0.0.0.0/8"), IPv6Network("::/127"), IPv6Network("::ffff:0:0/96"))),
    ("is a machine's address for itself", (IPv4Network("127.0.0.0/8"),)),
    ("is for one link only", (IPv4Network("169.254.0.0/16"), IPv6Network("fe80::/10"))),
    ("is for several machines", (IPv4Network("224.0.0.0/4"), IPv6Network("ff00::/8"))),
    ("is nobody's to give", (IPv4Network("240.0.0.0/4"),)),
)


def prefix_of(text: str) -> IPv4Network | IPv6Network:
    """Read an address, or a prefix without bits beyond it, that a guest may be allowed.

    Raises:
        Invalid: it is none, or one that no guest may have, or it holds too many addresses.
    """
    shown = text[:64]
    try:
        # Python would take an interface's name too, after a % sign.
        loose = ip_network(text.replace("%", " "), strict=False)
    except ValueError as error:
        raise Invalid(FIELD, f"{shown!r} is no address, nor a prefix") from error
    if loose.num_addresses > MAX_EXTRA:
        shortest = 24 if loose.version == 4 else 120
        raise Invalid(FIELD, f"{shown} holds more than {MAX_EXTRA} addresses: its length must be {shortest} or more")
    try:
        found = ip_network(text)
    except ValueError as error:
        raise Invalid(FIELD, f"{shown} has bits beyond its prefix, which is {loose}") from error
    for why, parts in _NOBODYS:
        if any(_overlap(found, part) for part in parts):
            raise Invalid(FIELD, f"{written(found)} {why}")
    return found


def check_apart(prefixes: Sequence[IPv4Network | IPv6Network]) -> None:
    """Refuse prefixes of which one holds addresses of another, and too many of a family.

    Raises:
        Invalid: with what is wrong.
    """
    for family in (4, 6):
        of_family = sorted(
            (prefix for prefix in prefixes if prefix.version == family), key=lambda it: int(it.network_address)
        )
        for one, next_one in itertools.pairwise(of_family):
            if _overlap(one, next_one):
                raise Invalid(FIELD, f"{written(one)} and {written(next_one)} have addresses in common")
        if (count := sum(prefix.num_addresses for prefix in of_family)) > MAX_EXTRA:
            raise Invalid(FIELD, f"{count} addresses of IPv{family} are more than the {MAX_EXTRA} that a NIC may use")


def check_fits(prefix: IPv4Network | IPv6Network, network: Network) -> None:
    """Refuse what a network has for itself.

    Raises:
        Invalid: with what is wrong.
    """
    if isinstance(prefix, IPv6Network) or not prefix.overlaps(network.cidr):
        return
    if network.gateway in prefix:
        raise Invalid(FIELD, f"{network.gateway} is the gateway of network {network.name}")
    for address in (network.cidr.network_address, network.cidr.broadcast_address):
        if address in prefix:
            raise Invalid(FIELD, f"{address} is no machine's address on network {network.name} ({network.cidr})")


def is_inside(address: IPv4Address | IPv6Address, network: Network) -> bool:
    """Say whether an address is one that a network gives to machines."""
    return isinstance(address, IPv4Address) and address in usable(network.cidr)


def _overlap(one: IPv4Network | IPv6Network, other: IPv4Network | IPv6Network) -> bool:
    if isinstance(one, IPv4Network):
        return isinstance(other, IPv4Network) and one.overlaps(other)
    return isinstance(other, IPv6Network) and one.overlaps(other)


def written(prefix: IPv4Network | IPv6Network) -> str:
    """Write a prefix that holds one address as that address."""
    return str(prefix.network_address) if prefix.num_addresses == 1 else str(prefix)
