"""Address translation as elements of the router's static sets and maps: one floating IP is six of them, whatever else exists."""

from collections.abc import Iterator

from mooring.compile.facts import Fact, Key
from mooring.compile.links import router_place
from mooring.compile.tables import FIP_IN, FIP_OUT, HAIR, JOINED, MAY_OUT, OWNED, PAIR, PUBLIC
from mooring.model.ids import inner_name, uplink_name
from mooring.model.subjects import NicIntent, RouterIntent


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
