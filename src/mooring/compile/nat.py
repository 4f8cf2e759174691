"""Address translation as elements of the router's static sets and maps: one floating IP is six of them, whatever else exists.

A forwarded port is an element that says where to, and one that lets its flows pass.  A range whose ports stay the same is cut into blocks
that begin at multiples of their size, so that it is few elements in sets which are found by one look: a change costs the same however many
there are, which it would not in a set of intervals.  Ports that become others are one element each.
"""

from collections.abc import Iterator

from mooring.compile.facts import Fact, Key, Place
from mooring.compile.links import router_place
from mooring.compile.tables import (
    FIP_IN,
    FIP_OUT,
    HAIR,
    JOINED,
    MAY_OUT,
    OWNED,
    PAIR,
    PF_IN,
    PF_IN_BLOCKS,
    PF_PAIR,
    PF_PAIR_BLOCKS,
    PORTS,
    PUBLIC,
)
from mooring.model.ids import inner_name, uplink_name
from mooring.model.subjects import NicAddress, NicIntent, PortForwarding, RouterIntent, Transport

PROTOCOLS = {Transport.TCP: 6, Transport.UDP: 17}
"""The protocols' numbers (IANA)."""

BLOCKS = {16: (PF_IN_BLOCKS[0], PF_PAIR_BLOCKS[0]), 256: (PF_IN_BLOCKS[1], PF_PAIR_BLOCKS[1])}
"""How many ports an element of these tables stands for."""


def router(subject: RouterIntent) -> Iterator[Fact]:
    """A router owns its own address on each uplink, and lets only that uplink's addresses leave there; it may join its networks."""
    place = router_place(subject.id)
    if subject.joined and len(subject.ports) > 1:
        for port in subject.ports:
            yield Fact(Key(JOINED, place, (inner_name(port.network),)))
    for uplink in subject.uplinks:
        device = uplink_name(uplink.uplink)
        yield Fact(Key(OWNED, place, (device, uplink.address.ip)))
        for prefix in uplink.prefixes:
            yield Fact(Key(PUBLIC, place, (device, prefix)))


def nic(subject: NicIntent) -> Iterator[Fact]:
    """A NIC's floating IPs are translated both ways; where it has none, the router's own address stands in for outbound flows."""
    if subject.router is None:
        return
    place = router_place(subject.router)
    for fixed in subject.addresses:
        sources = {public.uplink: public.address for public in reversed(subject.shared)}
        for public in reversed(fixed.floating):
            sources[public.uplink] = public.address
            yield Fact(Key(OWNED, place, (uplink_name(public.uplink), public.address)))
            yield Fact(Key(FIP_IN, place, (public.address,)), (fixed.address,))
        for public in sorted({*subject.shared, *fixed.floating}):
            yield Fact(Key(PAIR, place, (public.address, fixed.address)))
        for uplink, address in sources.items():
            yield Fact(Key(FIP_OUT, place, (fixed.address, uplink_name(uplink))), (address,))
            yield Fact(Key(MAY_OUT, place, (fixed.address, uplink_name(uplink))))
        if known := (*fixed.floating, *subject.shared):
            yield Fact(Key(HAIR, place, (fixed.address,)), (known[0].address,))
        yield from _forwarded(place, fixed)


def _forwarded(place: Place, fixed: NicAddress) -> Iterator[Fact]:
    """Ports of public addresses lead to a guest; it leaves as before."""
    for public in sorted({forward.public for forward in fixed.forwards}):
        yield Fact(Key(OWNED, place, (uplink_name(public.uplink), public.address)))
        yield Fact(Key(PORTS, place, (public.address,)))
    for forward in fixed.forwards:
        for port, size in pieces(forward):
            key = (forward.public.address, PROTOCOLS[forward.protocol], port)
            if size == 1:
                goal = (fixed.address, port - forward.first + forward.to)
                yield Fact(Key(PF_IN, place, key), goal)
                yield Fact(Key(PF_PAIR, place, (*key, *goal)))
            else:
                leads, pair = BLOCKS[size]
                yield Fact(Key(leads, place, key), (fixed.address,))
                yield Fact(Key(pair, place, (*key, fixed.address)))


def pieces(forward: PortForwarding) -> Iterator[tuple[int, int]]:
    """Return the first ports and the sizes of the blocks that a forwarding is cut into, in order."""
    port = forward.first
    while port <= forward.last:
        sizes = BLOCKS if forward.to == forward.first else ()
        fitting = (size for size in sizes if port % size == 0 and port + size - 1 <= forward.last)
        size = max(fitting, default=1)
        yield port, size
        port += size
