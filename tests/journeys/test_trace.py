"""trace() against real packets: what it says of a ping is what happens to it, for every pair of places and addresses."""

from ipaddress import IPv4Address

import pytest

from mooring.compile.facts import HostState
from mooring.compile.journey import Header, IpProtocol, Outcome, Packet
from mooring.compile.trace import round_trip, ways_in
from mooring.demos.stage import OUTSIDE, OUTSIDE_ADDRESS
from tests.journeys.town import Town, ping_count

pytestmark = pytest.mark.kernel


def _says(state: HostState, src: IPv4Address, dst: IPv4Address) -> bool | None:
    """Return whether the trace expects an answer; None where it says that it does not know."""
    (entry,) = ways_in(state, src)
    trip = round_trip(state, Packet(Header(IpProtocol.ICMP, src, dst), entry))
    if Outcome.NOT_MODELLED in {trip.there.outcome, trip.back.outcome if trip.back else None}:
        return None
    return trip.answered


def test_pings_go_where_the_trace_says(town: Town) -> None:
    floating, second, shy = town.boot("t1"), town.boot("t2"), town.boot("t3")
    one, two = town.float_to(floating), town.float_to(second)
    idle = town.operations.addresses.allocate(town.demo, "public").address
    places = {town.fixed(guest): f"mooring-g-{guest}" for guest in (floating, second, shy)}
    places[OUTSIDE_ADDRESS] = OUTSIDE
    targets = [one, two, idle, *(town.fixed(guest) for guest in (floating, second, shy)), OUTSIDE_ADDRESS]
    targets += [IPv4Address("10.0.0.1"), IPv4Address("10.0.0.200"), IPv4Address("198.51.100.10")]
    state = town.operations.hosts.state(town.admin, "host-1")
    unknown, told = 0, {True: 0, False: 0}
    for src, namespace in places.items():
        for dst in targets:
            if src == dst:
                continue
            said = _says(state, src, dst)
            if said is None:
                unknown += 1
                continue
            told[said] += 1
            seen = ping_count(town.at(namespace, "ping", "-c", "1", "-W", "0.5", str(dst))).received == 1
            assert said == seen, f"{src} -> {dst}: the trace says {said}"
    # The comparison is worth something: both answers came up often, and "I don't know" did not.
    assert min(told.values()) >= 8, told
    assert unknown <= 2
