"""Egress preferences as facts: the longest prefix as ranges, what a change costs, and who leaves by which uplink as whom."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from itertools import pairwise

import pytest
from hypothesis import event, example, given
from hypothesis import strategies as st

from mooring.compile import tables
from mooring.compile.egress import NEXT_HOP_AWAY, NO_CARRIER, classes_of, flattened, prefix_of
from mooring.compile.facts import Contradiction, Key, diff, lines, union
from mooring.compile.host import facts_of
from mooring.compile.journey import FromGuest, FromUplink, Header, IpProtocol, Outcome, Packet
from mooring.compile.links import router_place
from mooring.compile.naming import Names
from mooring.compile.trace import round_trip, trace
from mooring.model.ids import uplink_name
from mooring.model.nouns import Uplink
from mooring.model.subjects import Egress, EgressPreference, HostRole, NicAddress, NicIntent, RouterIntent, WayOut
from tests.compile.small import RED
from tests.compile.uplinks import (
    ALICE_IP,
    ALICES,
    BOB_IP,
    BOBS,
    OUTSIDE,
    PLACE,
    preferences,
    three,
    with_egress,
)
from tests.strategies import DESTINATIONS, Cloud, pool, preferring, router_uplink, uplink_id, way_out

ADDRESSES = st.integers(0, 2**32 - 1).map(IPv4Address)
NEAR = st.sampled_from([IPv4Address("192.0.2.0") + number for number in range(64)])


@st.composite
def prefixes(draw: st.DrawFn) -> IPv4Network:
    """Draw prefixes, most of them close together, so that they hold each other."""
    address, length = draw(NEAR | ADDRESSES), draw(st.integers(20, 32) | st.integers(0, 32))
    return IPv4Network((address, length), strict=False)


def longest(among, address: IPv4Address) -> IPv4Network | None:
    """Match the longest prefix naively."""
    return max((prefix for prefix in among if address in prefix), key=lambda it: it.prefixlen, default=None)


@given(st.sets(prefixes(), max_size=12), st.lists(NEAR | ADDRESSES, max_size=20))
@example({IPv4Network("0.0.0.0/0"), IPv4Network("255.255.255.255/32"), IPv4Network("0.0.0.0/32")}, [])
def test_ranges_say_what_the_longest_prefix_says(among, addresses):
    classes = classes_of(among)
    parts = list(flattened(classes))
    for one, other in pairwise(parts):
        assert one[0].last < other[0].first, "in order, without overlaps"
    edges = [edge for part, _ in parts for edge in (part.first, part.last)]
    edges += [edge for prefix in among for edge in (prefix.network_address, prefix.broadcast_address)]
    beside = [IPv4Address(min(max(int(edge) + by, 0), 2**32 - 1)) for edge in edges for by in (-1, 0, 1)]
    for address in (*addresses, *beside):
        found = [number for part, number in parts if address in part]
        wanted = longest(among, address)
        assert found == ([] if wanted is None else [classes[wanted]])
        if wanted is not None:
            assert prefix_of(address, found[0]) == wanted, "a class tells its prefix"


@given(st.sets(prefixes(), max_size=12))
def test_there_are_at_most_two_ranges_for_each_prefix(among):
    assert len(list(flattened(classes_of(among)))) <= 2 * len(among)


def text(facts) -> str:
    return "".join(f"{line}\n" for line in lines(union(facts)))


def test_a_router_with_several_uplinks_makes_true(golden):
    golden("router-uplinks.txt", text(facts_of(three().routers[0], HostRole.GATEWAY)))


def test_a_guest_that_prefers_makes_true(golden):
    golden("nic-egress.txt", text(facts_of(three().nics[0], HostRole.GATEWAY)))


def test_without_a_second_uplink_there_is_no_rule():
    router = replace(three().routers[0], uplinks=(router_uplink(0, 0),))
    facts = union(facts_of(router, HostRole.GATEWAY))
    assert not {tables.RULE, tables.MARKED, tables.WAYS, tables.ROUTE_IN} & {key.table for key in facts}


def test_an_uplink_without_a_number_is_none_to_choose():
    router = three().routers[0]
    nameless = replace(router, uplinks=(router.uplinks[0], replace(router.uplinks[1], number=0)))
    assert not {tables.MARKED, tables.WAYS} & {key.table for key in union(facts_of(nameless, HostRole.GATEWAY))}


def changed(before: Cloud, after: Cloud) -> int:
    delta = diff(before.state, after.state)
    return len({*delta.put, *delta.drop})


def test_another_address_for_a_prefix_is_a_few_elements():
    """The set of prefixes stays; so do its ranges, of which each change costs what all of them cost."""
    cloud = three()
    other = preferences(("0.0.0.0/0", ALICES[0]), ("192.0.2.0/24", ALICES[0]), ("192.0.2.64/26", ALICES[2]))
    after = with_egress(cloud, ALICE_IP, Egress(1, other))
    delta = diff(cloud.state, after.state)
    assert {key.table for key in (*delta.put, *delta.drop)} == {tables.CHOICES, tables.CHOSEN}
    assert len({*delta.put, *delta.drop}) == 2


def test_a_second_guest_with_the_same_prefixes_adds_no_ranges():
    cloud = three()
    assert cloud.nics[1].addresses[0].egress is None
    same = preferences(("0.0.0.0/0", BOBS[1]), ("192.0.2.0/24", BOBS[1]), ("192.0.2.64/26", BOBS[1]))
    after = with_egress(cloud, BOB_IP, Egress(1, same))
    delta = diff(cloud.state, after.state)
    assert {key.table for key in delta.put} == {tables.PREFERS, tables.CHOICES, tables.CHOSEN}
    assert len(delta.put) == 1 + 3 + 1
    assert not delta.drop


def test_what_nobody_prefers_any_more_is_gone():
    cloud = three()
    delta = diff(cloud.state, with_egress(cloud, ALICE_IP, None).state)
    assert {key.table for key in delta.drop} == {tables.PREFERS, tables.CLASSES, tables.CHOICES, tables.CHOSEN}
    assert not delta.put


def test_one_prefix_twice_is_a_contradiction():
    twice = preferences(("0.0.0.0/0", ALICES[0]), ("0.0.0.0/0", ALICES[1]))
    with pytest.raises(Contradiction, match="choices"):
        _ = with_egress(three(), ALICE_IP, Egress(2, twice)).state


# ----------------------------------------------------------------------------------------------------- whole journeys


def sent(dst: str | IPv4Address, src=ALICE_IP) -> Packet:
    return Packet(Header(IpProtocol.TCP, src, IPv4Address(dst), 40000, 443), FromGuest(RED))


STORIES = {
    "out-chosen": sent("192.0.2.77"),
    "out-chosen-default": sent("203.0.113.9"),
    "out-not-preferred": sent("192.0.2.77", BOB_IP),
    "in-second-uplink": Packet(
        Header(IpProtocol.TCP, OUTSIDE, BOBS[1].address, 40000, 80), FromUplink(uplink_name(uplink_id(1)))
    ),
    "ping-second-uplink": Packet(
        Header(IpProtocol.ICMP, OUTSIDE, router_uplink(0, 1).address.ip), FromUplink(uplink_name(uplink_id(1)))
    ),
}


@pytest.mark.parametrize("name", STORIES)
def test_a_journey_tells_why_it_takes_that_uplink(name, golden):
    trip = round_trip(three().state, STORIES[name])
    assert trip.answered
    golden(f"journey-{name}.txt", str(trip))


def test_an_uplink_is_called_as_it_was_named():
    names = Names(uplinks=[Uplink(uplink_id(2), "isp-c", "ext2")])
    there = round_trip(three().state, sent("192.0.2.77"), names).there
    (chosen,) = (step.text for step in there.steps if step.at == "choosing")
    device = uplink_name(uplink_id(2))
    assert chosen == (
        f"192.0.2.64/26 is the longest match of what {ALICE_IP} prefers: uplink isp-c ({device}) as {ALICES[2].address}"
    )


def test_a_flow_keeps_to_its_uplink_when_the_preference_changes():
    cloud = three()
    trip = round_trip(cloud.state, sent("192.0.2.77"))
    assert trip.back is not None
    after = with_egress(cloud, ALICE_IP, Egress(1, preferences(("0.0.0.0/0", ALICES[0]), ("192.0.2.0/24", ALICES[0]))))
    later = trace(after.state, replace(sent("192.0.2.77"), flow=trip.back.flow))
    assert (later.outcome, later.device, later.header.src) == (Outcome.LEFT, trip.there.device, trip.there.header.src)
    assert "keeps to" in str(later)
    anew = trace(after.state, sent("192.0.2.77"))
    assert (anew.outcome, anew.header.src) == (Outcome.LEFT, ALICES[0].address)


def test_what_is_inside_is_reached_whatever_is_preferred():
    journey = trace(three().state, sent(BOBS[0].address))
    assert (journey.outcome, journey.header.dst) == (Outcome.DELIVERED, BOB_IP)


def without_routes_of(cloud: Cloud, uplink: int):
    """Return the facts as they look to the kernel while an uplink leads nowhere."""
    device = uplink_name(uplink_id(uplink))
    return {
        key: value
        for key, value in cloud.state.items()
        if not (key.table in {tables.ROUTE, tables.ROUTE_IN} and value[0] == device)
    }


@pytest.mark.parametrize("fallback, left", [(None, None), (1, 1), (2, 2)])
def test_while_an_uplink_leads_nowhere_what_begins_falls_back_as_it_was_told(fallback, left):
    way = EgressPreference(
        IPv4Network("0.0.0.0/0"), way_out(ALICES[0]), None if fallback is None else way_out(ALICES[fallback])
    )
    cloud = with_egress(three(), ALICE_IP, Egress(2, (way,)))
    assert trace(cloud.state, sent("192.0.2.77")).header.src == ALICES[0].address
    journey = trace(without_routes_of(cloud, 0), sent("192.0.2.77"))
    if left is None:
        assert journey.outcome is Outcome.DROPPED
    else:
        assert (journey.outcome, journey.header.src) == (Outcome.LEFT, ALICES[left].address)


@pytest.mark.parametrize("reason", [NO_CARRIER, NEXT_HOP_AWAY])
@pytest.mark.parametrize("fallback, left", [(ALICES[2], 2), (None, None)], ids=["fallback", "closed"])
def test_a_trace_knows_that_an_uplink_is_away(reason, fallback, left):
    way = EgressPreference(IPv4Network("0.0.0.0/0"), way_out(ALICES[1]), way_out(fallback) if fallback else None)
    state = with_egress(three(), ALICE_IP, Egress(2, (way,))).state
    assert trace(state, sent("192.0.2.77")).device == uplink_name(uplink_id(1))
    journey = trace({**state, Key(tables.AWAY, PLACE, (uplink_name(uplink_id(1)),)): (reason,)}, sent("192.0.2.77"))
    assert f"leads nowhere: {reason}" in str(journey)
    if left is None:
        assert journey.outcome is Outcome.DROPPED
    else:
        assert (journey.device, journey.header.src) == (uplink_name(uplink_id(left)), ALICES[left].address)


def test_two_addresses_on_one_uplink_can_both_be_preferred():
    second = pool(0)[5]
    cloud = three().associated(second, three().nics[0].id, ALICE_IP)
    told = preferences(("0.0.0.0/0", second), ("192.0.2.0/24", ALICES[0]))
    cloud = with_egress(cloud, ALICE_IP, Egress(2, told))
    assert trace(cloud.state, sent("192.0.2.77")).header.src == ALICES[0].address
    assert trace(cloud.state, sent("9.9.9.9")).header.src == second.address


# --------------------------------------------------------------------------------------------------------- properties


def expected(router: RouterIntent, nic: NicIntent, fixed: NicAddress, dst: IPv4Address) -> WayOut | None:
    """Return as whom a new flow leaves: the naive longest match, then the first of its ways that leads anywhere; None if it stays."""
    sides = {side.uplink for side in router.uplinks}
    own = {public.address for public in (*fixed.floating, *nic.shared)}
    among = {} if fixed.egress is None else {it.prefix: it for it in fixed.egress.preferences}
    prefix = longest(among, dst)
    if prefix is None:
        # What is on an uplink's own wire is reached there.
        near = (side.uplink for side in router.uplinks if dst in side.address.network)
        first = next(near, router.uplinks[0].uplink)
        sources = [public for public in (*fixed.floating, *nic.shared) if public.uplink == first]
        return way_out(sources[0]) if sources else None
    ways = [among[prefix].way]
    if (fallback := among[prefix].fallback) is not None and fallback.uplink != ways[0].uplink:
        ways.append(fallback)
    way = next((way for way in ways if way.uplink in sides), None)
    return way if way is not None and way.address in own else None


@given(preferring(), st.sampled_from(DESTINATIONS))
def test_guests_leave_as_the_longest_match_says(cloud: Cloud, dst: IPv4Address):
    state = cloud.state
    for nic in cloud.nics:
        router = cloud.router_of(nic)
        if not router.uplinks:
            continue
        for fixed in nic.addresses:
            packet = Packet(Header(IpProtocol.ICMP, fixed.address, dst), FromGuest(nic.network))
            trip = round_trip(state, packet)
            way = expected(router, nic, fixed, dst)
            event("leaves" if way else "stays")
            if way is None:
                assert trip.there.outcome is Outcome.DROPPED, trip
            else:
                assert trip.there.outcome is Outcome.LEFT, trip
                assert (trip.there.device, trip.there.header.src) == (uplink_name(way.uplink), way.address), trip
                assert trip.answered, trip


@given(preferring())
def test_answers_leave_by_the_uplink_that_asked(cloud: Cloud):
    state = cloud.state
    for public, (nic, fixed) in cloud.associations.items():
        device = uplink_name(public.uplink)
        packet = Packet(Header(IpProtocol.TCP, OUTSIDE, public.address, 40000, 80), FromUplink(device))
        trip = round_trip(state, packet)
        assert (trip.there.outcome, trip.there.header.dst) == (Outcome.DELIVERED, fixed)
        assert trip.back is not None
        assert (trip.back.device, trip.back.header.src, trip.answered) == (device, public.address, True), nic


def test_a_number_that_no_uplink_has_leads_nowhere():
    cloud = three()
    marks = [
        key for key in cloud.state if key.table == tables.MARKED and key.place == router_place(cloud.routers[0].id)
    ]
    assert len(marks) == 6
    state = {key: value for key, value in cloud.state.items() if key not in marks}
    journey = trace(state, sent("192.0.2.1"))
    assert journey.outcome is Outcome.DROPPED
    assert Key(tables.PREFERS, PLACE, (ALICE_IP,)) in state
