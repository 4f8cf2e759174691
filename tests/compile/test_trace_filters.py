"""What trace() says of filtered ports: who may send as whom, which rule of which group admits, and which groups were asked in vain."""

from dataclasses import replace
from ipaddress import IPv4Network

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from mooring.compile import tables
from mooring.compile.facts import HOST, Key, Span
from mooring.compile.journey import (
    BROADCAST,
    NOBODY,
    Event,
    FromGuest,
    FromRouter,
    Header,
    IpProtocol,
    Outcome,
    Packet,
)
from mooring.compile.trace import round_trip, trace
from mooring.model.ids import bridge_name, port_name
from mooring.model.subjects import Direction, FilterRule
from tests.compile.filtered import NETWORK, OWN, ROUTER, Filtered, address, filtered, group, nic, sent

IN, OUT = Direction.INGRESS, Direction.EGRESS
ALICE, BOB, CAROL, DAVE, EVE = range(5)
WEB, DB, OPEN, GONE = 5, 7, 9, 11

HOST_OF_FIVE = Filtered(
    nics=(nic(ALICE, (WEB,)), nic(BOB, (DB, OPEN)), nic(CAROL, (WEB, GONE)), nic(DAVE, ()), nic(EVE, None)),
    groups=(
        group(
            WEB,
            FilterRule(OUT, 4),
            FilterRule(IN, 4, 6, 80, 81),
            FilterRule(IN, 4, 1, 0x0800, 0x08FF, IPv4Network("10.0.0.0/24")),
        ),
        group(DB, FilterRule(IN, 4, 6, 3306, 3306, remote_group=WEB)),
        group(OPEN, FilterRule(OUT, 4, 17, 53, 53)),
    ),
)
"""Alice and Carol serve the web; Bob a database for them, and he may ask DNS servers; Dave is in no group, and Eve not filtered.  One of
Carol's groups has not come to the host."""
STATE = HOST_OF_FIVE.state


def packet(protocol: IpProtocol, src: int, dst: int, goal: int | None = None, *, port: str = "") -> Packet:
    header = Header(protocol, address(src), address(dst), None if goal is None else 40000, goal)
    return Packet(header, FromGuest(NETWORK, port))


def tcp(src: int, dst: int, port: int) -> Packet:
    return packet(IpProtocol.TCP, src, dst, port)


STORIES = {
    "admitted": tcp(EVE, ALICE, 80),
    "members": tcp(ALICE, BOB, 3306),
    "ping": packet(IpProtocol.ICMP, ALICE, CAROL),
    "not-received": tcp(ALICE, BOB, 22),
    "not-sent": tcp(BOB, ALICE, 80),
    "no-group": tcp(DAVE, ALICE, 80),
    "spoofed": packet(IpProtocol.TCP, ALICE, CAROL, 80, port=port_name(HOST_OF_FIVE.nics[BOB].id)),
    "dns": Packet(Header(IpProtocol.UDP, address(BOB), OWN.ip, 40000, 53), FromGuest(NETWORK)),
    "dhcp": Packet(
        Header(IpProtocol.UDP, NOBODY, BROADCAST, 68, 67),
        FromGuest(NETWORK, port_name(HOST_OF_FIVE.nics[DAVE].id)),
    ),
    "rogue-dhcp": Packet(Header(IpProtocol.UDP, address(EVE), address(ALICE), 67, 68), FromGuest(NETWORK)),
}


@pytest.mark.parametrize("name", STORIES)
def test_a_journey_past_filters_reads_well(name, golden):
    golden(f"journey-filter-{name}.txt", str(round_trip(STATE, STORIES[name])))


def test_the_rule_that_admits_is_named_on_both_sides():
    journey = trace(STATE, tcp(ALICE, BOB, 3306))
    assert journey.outcome is Outcome.DELIVERED
    by_chain = {step.at: step for step in journey.steps}
    assert by_chain["from_guest"].facts[0].key.table == tables.OWN4
    assert by_chain["g_5_out"].text.endswith("group 5 admits protocols 0-255 to 0.0.0.0/0")
    received = by_chain["g_7_in"]
    assert received.text.endswith("group 7 admits tcp 3306 from members of group 5")
    assert [fact.key.table for fact in received.facts] == [tables.SLOTS4[0], tables.MEMBERS4, tables.PEERS_IN]


@pytest.mark.parametrize(
    "asked, at, said",
    [
        (tcp(ALICE, BOB, 22), "received4", "groups 7, 9 admits tcp 22 from 10.0.0.11"),
        (tcp(EVE, BOB, 3306), "received4", "groups 7, 9 admits tcp 3306"),
        (tcp(BOB, ALICE, 80), "sent4", "groups 7, 9 admits tcp 80 to 10.0.0.11"),
        (packet(IpProtocol.ICMP, BOB, ALICE), "sent4", "groups 7, 9 admits icmp to"),
        (tcp(DAVE, ALICE, 80), "sent4", "its port is in no group"),
        (tcp(ALICE, DAVE, 80), "received4", "its port is in no group"),
        (tcp(EVE, CAROL, 443), "received4", "groups 5, 11 admits tcp 443"),
    ],
    ids=str,
)
def test_what_no_rule_admits_is_dropped_and_the_groups_that_were_asked_are_named(asked, at, said):
    journey = trace(STATE, asked)
    assert (journey.outcome, journey.steps[-1].at) == (Outcome.DROPPED, at)
    assert said.split(" ", 1)[1] in journey.end
    assert journey.steps[-1].facts, "by what the groups are known"


def test_what_would_have_admitted_is_missed():
    last = trace(STATE, tcp(EVE, BOB, 3306)).steps[-1]
    assert Key(tables.IN4, HOST, (DB, 6, 3306, address(EVE))) in last.missing
    assert Key(tables.MEMBERS4, HOST, (WEB, address(EVE))) in last.missing
    last = trace(STATE, tcp(EVE, CAROL, 443)).steps[-1]
    assert Key(tables.GROUP, HOST, (GONE,)) in last.missing


def test_an_answer_belongs_to_the_flow_and_needs_no_rule_of_its_own():
    trip = round_trip(STATE, tcp(ALICE, BOB, 3306))
    assert trip.answered
    assert trip.back is not None
    (passed,) = (step for step in trip.back.steps if step.at == "passing")
    assert passed.rule == "meta pkttype host ct mark @current accept"
    assert [fact.key.table for fact in passed.facts if fact.key.table in tables.OF_GROUPS] == [
        tables.OUT4,
        tables.PEERS_IN,
    ]
    # The same packet without its flow is another matter: Bob may not open one.
    alone = trace(STATE, replace(trip.back.packet, flow=None))
    assert (alone.outcome, alone.steps[-1].at) == (Outcome.DROPPED, "sent4")


def test_a_rule_that_is_taken_away_ends_the_flow_both_ways():
    trip = round_trip(STATE, tcp(ALICE, BOB, 3306))
    assert trip.back is not None
    flow = trip.back.flow
    assert flow is not None
    assert flow.answered
    closed = replace(HOST_OF_FIVE, groups=tuple(each for each in HOST_OF_FIVE.groups if each.number != DB)).state
    for one in (trip.there, trip.back):
        again = replace(one.packet, flow=flow)
        assert trace(STATE, again).outcome is Outcome.DELIVERED
        journey = trace(closed, again)
        assert (journey.outcome, journey.steps[-1].at) == (Outcome.DROPPED, "received4")


def test_nobody_sends_as_somebody_else():
    bobs = port_name(HOST_OF_FIVE.nics[BOB].id)
    journey = trace(STATE, packet(IpProtocol.ICMP, ALICE, CAROL, port=bobs))
    assert (journey.outcome, journey.steps[-1].at) == (Outcome.DROPPED, "from_guest")
    mac = HOST_OF_FIVE.nics[BOB].mac
    assert journey.steps[-1].missing == (Key(tables.OWN4, HOST, (bobs, mac, address(ALICE))),)
    assert trace(STATE, packet(IpProtocol.TCP, BOB, ALICE, 80, port=bobs)).steps[-1].at == "sent4"


def test_an_address_that_was_taken_away_can_neither_send_nor_be_reached():
    one = HOST_OF_FIVE.nics[ALICE]
    gone = Key(tables.OWN4, HOST, (port_name(one.id), one.mac, address(ALICE)))
    state = {key: value for key, value in STATE.items() if key != gone}
    sending = trace(state, tcp(ALICE, EVE, 80))
    assert (sending.outcome, sending.steps[-1].missing) == (Outcome.DROPPED, (gone,))
    reached = trace(state, tcp(EVE, ALICE, 80))
    assert (reached.outcome, reached.steps[-1].missing) == (Outcome.UNANSWERED, (gone,))


def test_dhcp_goes_to_the_router_whatever_groups_say():
    trip = round_trip(STATE, STORIES["dhcp"])
    assert trip.there.outcome is Outcome.TAKEN
    assert "udp sport . udp dport" in "".join(step.rule for step in trip.there.steps)


@pytest.mark.parametrize("sport, dport, at", [(68, 67, "to_guest"), (67, 68, None), (40000, 67, "to_guest")])
def test_no_guest_is_asked_for_an_address(sport, dport, at):
    sender = address(EVE)
    journey = trace(STATE, Packet(Header(IpProtocol.UDP, sender, address(ALICE), sport, dport), FromGuest(NETWORK)))
    if at is None:  # Eve is not filtered: she may be a DHCP server
        assert journey.outcome is Outcome.DELIVERED
    else:
        assert (journey.outcome, journey.steps[-1].at) == (Outcome.DROPPED, at)


def test_a_filtered_guest_is_no_dhcp_server():
    sent_by_alice = Packet(Header(IpProtocol.UDP, address(ALICE), address(EVE), 67, 68), FromGuest(NETWORK))
    journey = trace(STATE, sent_by_alice)
    assert (journey.outcome, journey.steps[-1].at, journey.steps[-1].rule) == (
        Outcome.DROPPED,
        "from_guest4",
        "udp sport 67 drop",
    )


def test_the_router_is_the_receivers_groups_business_too():
    for target, outcome in ((ALICE, Outcome.DELIVERED), (BOB, Outcome.DROPPED)):
        header = Header(IpProtocol.ICMP, OWN.ip, address(target))
        trip = round_trip(STATE, Packet(header, FromRouter(ROUTER)))
        assert trip.there.outcome is outcome
        assert trip.answered is (outcome is Outcome.DELIVERED)


def test_without_its_ruleset_a_host_is_not_known():
    state = {key: value for key, value in STATE.items() if key != Key(tables.RULESET, HOST, ("host",))}
    assert trace(state, tcp(ALICE, BOB, 3306)).outcome is Outcome.NOT_MODELLED


def test_a_group_that_is_not_as_it_should_be_is_not_known():
    state = {**STATE, Key(tables.GROUP, HOST, (DB,)): ("not as it was made",)}
    journey = trace(state, tcp(ALICE, BOB, 3306))
    assert (journey.outcome, "group 7 is not as it was made" in journey.end) == (Outcome.NOT_MODELLED, True)


def test_rules_that_do_not_see_the_bridge_judge_nothing():
    gone = Key(tables.BRIDGE_FILTER, HOST, (bridge_name(NETWORK),))
    state = {key: value for key, value in STATE.items() if key != gone}
    assert trace(state, tcp(DAVE, BOB, 22)).outcome is Outcome.DELIVERED


def test_a_port_that_was_left_out_is_not_guessed_where_a_group_asks_for_it():
    header = Header(IpProtocol.TCP, address(ALICE), address(BOB))
    assert trace(STATE, Packet(header, FromGuest(NETWORK))).outcome is Outcome.NOT_MODELLED


@pytest.mark.parametrize("protocol", [IpProtocol.TCP, IpProtocol.UDP])
def test_a_source_port_may_be_left_out(protocol):
    header = Header(protocol, address(ALICE), address(EVE), None, 80)
    assert round_trip(STATE, Packet(header, FromGuest(NETWORK))).answered


def test_a_host_without_the_router_knows_its_filtered_ports():
    state = replace(HOST_OF_FIVE, served=False).state
    trip = round_trip(state, tcp(ALICE, BOB, 3306))
    assert (trip.there.outcome, trip.there.mac, trip.answered) == (Outcome.DELIVERED, HOST_OF_FIVE.nics[BOB].mac, True)
    assert trace(state, tcp(ALICE, BOB, 22)).outcome is Outcome.DROPPED
    spoofed = trace(state, packet(IpProtocol.ICMP, ALICE, CAROL, port=port_name(HOST_OF_FIVE.nics[BOB].id)))
    assert (spoofed.outcome, spoofed.steps[-1].at) == (Outcome.DROPPED, "from_guest")
    # Who has Eve's address, no fact tells: her port is not filtered.
    assert trace(state, tcp(ALICE, EVE, 80)).outcome is Outcome.NOT_MODELLED


# --------------------------------------------------------------------------------------------------- against the rules


@given(filtered().flatmap(lambda host: st.tuples(st.just(host), sent(host))))
def test_a_trace_says_what_the_rules_say(pair):
    host, (sender, receiver, asked) = pair
    state = host.state
    trip = round_trip(state, asked)
    journey = trip.there
    event(f"{journey.outcome}, {'served' if host.served else 'alone'}")
    for step in journey.steps:
        assert all(state[fact.key] == fact.value for fact in step.facts), "only facts that hold are named"
        assert not any(key in state for key in step.missing), "only facts that do not hold are missed"
    if not host.served and receiver.filter is None:
        assert journey.outcome is Outcome.NOT_MODELLED or (journey.outcome is Outcome.DROPPED)
        return
    admitted = host.admits(sender, receiver, asked.header)
    assert journey.outcome is (Outcome.DELIVERED if admitted else Outcome.DROPPED), journey
    if admitted:
        assert journey.mac in {receiver.mac, None}
        if sender.filter is not None or host.served:
            assert trip.answered, trip
    else:
        assert journey.steps[-1].event is Event.ENDED
        assert journey.steps[-1].at in {"sent4", "received4"}


@given(filtered().flatmap(lambda host: st.tuples(st.just(host), sent(host), sent(host))))
def test_nobody_is_taken_for_another(data):
    """A packet with one guest's address from the port of another ends at that port, whatever the groups say."""
    host, (_, _, asked), (thief, _, _) = data
    if thief.filter is None or asked.header.src in {fixed.address for fixed in thief.addresses}:
        return
    journey = trace(host.state, replace(asked, entry=FromGuest(NETWORK, port_name(thief.id))))
    assert (journey.outcome, journey.steps[-1].at) == (Outcome.DROPPED, "from_guest")


def test_boxes_cover_what_they_say():
    """One number of a span is in it, its neighbours are not."""
    rows = [key.row for key in STATE if key.table == tables.IN4 and key.row[1] == Span(6, 6)]
    assert rows == [(WEB, Span(6, 6), Span(80, 81), IPv4Network("0.0.0.0/0"))]
    for port, outcome in (
        (79, Outcome.DROPPED),
        (80, Outcome.DELIVERED),
        (81, Outcome.DELIVERED),
        (82, Outcome.DROPPED),
    ):
        assert trace(STATE, tcp(EVE, ALICE, port)).outcome is outcome
