"""What trace() says of filtered ports: who may send as whom, which rule of which group admits, and which groups were asked in vain."""

import re
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Address

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
from mooring.compile.naming import Names
from mooring.compile.trace import round_trip, trace
from mooring.model.groups import GroupRule, SecurityGroup
from mooring.model.ids import GroupId, ProjectId, RuleId, bridge_name, port_name
from mooring.model.subjects import Direction, FilterRule, GroupIntent
from tests.compile.filtered import (
    NETWORK,
    OWN,
    ROUTER,
    Filtered,
    address,
    address6,
    addresses,
    filtered,
    group,
    nic,
    sent,
)

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
    six = asked.header.dst.version == 6
    if not host.served and receiver.filter is None:
        assert journey.outcome is Outcome.NOT_MODELLED or (journey.outcome is Outcome.DROPPED)
        return
    admitted = host.admits(sender, receiver, asked.header)
    assert journey.outcome is (Outcome.DELIVERED if admitted else Outcome.DROPPED), journey
    if admitted:
        assert journey.mac in {receiver.mac, None}
        if sender.filter is not None or (host.served and not six):
            assert trip.answered, trip
    else:
        assert journey.steps[-1].event is Event.ENDED
        assert journey.steps[-1].at in ({"sent6", "received6"} if six else {"sent4", "received4"})


@given(filtered().flatmap(lambda host: st.tuples(st.just(host), sent(host), sent(host))))
def test_nobody_is_taken_for_another(data):
    """A packet with one guest's address from the port of another ends at that port, whatever the groups say."""
    host, (_, _, asked), (thief, _, _) = data
    if thief.filter is None or asked.header.src in addresses(thief):
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


# ---------------------------------------------------------------------------------------------------------------- IPv6

SIX = Filtered(
    nics=(nic(ALICE, (WEB,)), nic(BOB, (DB,)), nic(CAROL, ()), nic(EVE, None)),
    groups=(
        group(WEB, FilterRule(OUT, 6), FilterRule(IN, 6, 58, 0x8000, 0x80FF)),
        group(DB, FilterRule(IN, 6, 6, 5432, 5432, remote_group=WEB), FilterRule(OUT, 6, 17, 53, 53)),
    ),
)


def six(protocol: IpProtocol, src: int, dst: int, goal: int | None = None, *, port: str = "") -> Packet:
    header = Header(protocol, address6(src), address6(dst), None if goal is None else 40000, goal)
    return Packet(header, FromGuest(NETWORK, port))


STORIES_OF_SIX = {
    "members": six(IpProtocol.TCP, ALICE, BOB, 5432),
    "not-received": six(IpProtocol.ICMP, ALICE, BOB),
    "spoofed": six(IpProtocol.TCP, ALICE, BOB, 5432, port=port_name(SIX.nics[2].id)),
    "nobody": six(IpProtocol.TCP, ALICE, 77, 5432),
}


@pytest.mark.parametrize("name", STORIES_OF_SIX)
def test_a_journey_of_ipv6_reads_well(name, golden):
    golden(f"journey-filter6-{name}.txt", str(round_trip(SIX.state, STORIES_OF_SIX[name])))


@pytest.mark.parametrize(
    "asked, outcome, at",
    [
        (six(IpProtocol.TCP, ALICE, BOB, 5432), Outcome.DELIVERED, "bridge"),
        (six(IpProtocol.TCP, ALICE, BOB, 5433), Outcome.DROPPED, "received6"),
        (six(IpProtocol.TCP, BOB, ALICE, 80), Outcome.DROPPED, "sent6"),
        (six(IpProtocol.UDP, BOB, ALICE, 53), Outcome.DROPPED, "received6"),
        (six(IpProtocol.ICMP, CAROL, ALICE), Outcome.DROPPED, "sent6"),
        (six(IpProtocol.UDP, ALICE, BOB, 547), Outcome.DROPPED, "to_guest"),
        # Of a port without a filter no fact tells what IPv6 addresses it has.
        (six(IpProtocol.ICMP, ALICE, EVE), Outcome.NOT_MODELLED, "bridge"),
        (six(IpProtocol.ICMP, EVE, ALICE), Outcome.DELIVERED, "bridge"),
    ],
    ids=str,
)
def test_ipv6_passes_as_groups_say(asked, outcome, at):
    journey = trace(SIX.state, asked)
    assert (journey.outcome, journey.steps[-1].at) == (outcome, at)


def test_ipv6_is_for_guests_of_the_same_network_only():
    alone = replace(SIX, nics=SIX.nics[:3])
    nobody = trace(alone.state, six(IpProtocol.ICMP, ALICE, 77))
    assert nobody.outcome is Outcome.UNANSWERED
    assert nobody.steps[0].text == f"the guest asks its network who has {address6(77)}, for no router here routes IPv6"
    header = six(IpProtocol.ICMP, ALICE, BOB).header
    outside = trace(SIX.state, Packet(header, FromRouter(ROUTER)))
    assert (outside.outcome, outside.steps[-1].at) == (Outcome.UNANSWERED, "wire")
    mixed = trace(SIX.state, Packet(replace(header, dst=address(BOB)), FromGuest(NETWORK)))
    assert (mixed.outcome, "two families" in mixed.end) == (Outcome.NOT_MODELLED, True)
    many = trace(SIX.state, Packet(replace(header, dst=IPv6Address("ff02::1")), FromGuest(NETWORK)))
    assert many.outcome is Outcome.NOT_MODELLED


def test_who_may_not_answer_neighbour_discovery_is_not_found():
    key = Key(tables.TARGET6, HOST, (port_name(SIX.nics[BOB].id), SIX.nics[BOB].mac, address6(BOB)))
    state = {it: value for it, value in SIX.state.items() if it != key}
    journey = trace(state, six(IpProtocol.TCP, ALICE, BOB, 5432))
    assert (journey.outcome, journey.steps[-1].missing) == (Outcome.UNANSWERED, (key,))


# --------------------------------------------------------------------------------------------------------------- names

PROJECT = ProjectId("p")


def made(name: str, number: int, *rules: GroupRule) -> SecurityGroup:
    return SecurityGroup(GroupId(name), PROJECT, name, "", number, rules)


def rule(
    way: Direction, protocol: int | None = None, first: int | None = None, last: int | None = None, **more
) -> GroupRule:
    return GroupRule(RuleId("r"), GroupId("g"), way, more.pop("family", 4), protocol, first, last, **more)


def as_made(of: GroupIntent) -> SecurityGroup:
    """Return a group as its project sees it, of which hosts know this."""

    def back(each: FilterRule) -> GroupRule:
        span: tuple[int | None, int | None] = (each.first, each.last)
        if span == (0, 65535):
            span = (None, None)
        elif each.protocol in {1, 58}:
            span = (each.first >> 8, None if each.last - each.first == 255 else each.first & 255)
        remote = None if each.remote_group is None else GroupId(str(each.remote_group))
        return rule(each.direction, each.protocol, *span, family=each.family, prefix=each.remote_prefix, remote=remote)

    return SecurityGroup(GroupId(str(of.number)), PROJECT, f"n{of.number}", "", of.number, tuple(map(back, of.rules)))


MADE = Names(
    [
        made("web", WEB, rule(OUT), rule(IN, 6, 80, 443), rule(IN, 6, 80, 81), rule(IN, 1, 8)),
        made(
            "db",
            DB,
            rule(IN, 6, 3306, 3306, remote=GroupId("web")),
            rule(IN, 17, 53, 53, prefix=IPv4Network("10.0.0.0/8")),
            rule(IN, 47),
        ),
    ]
)


@pytest.mark.parametrize(
    "asked, said",
    [
        (tcp(EVE, ALICE, 80), "group web (5) admits tcp 80-443 from anybody"),
        (tcp(ALICE, BOB, 3306), "group db (7) admits tcp 3306 from members of group web (5)"),
        (tcp(ALICE, BOB, 3306), "group web (5) admits any protocol to anybody"),
        (packet(IpProtocol.ICMP, ALICE, CAROL), "group web (5) admits icmp type 8 from anybody"),
        (tcp(ALICE, BOB, 22), "no rule of groups db (7), 9 admits tcp 22 from 10.0.0.11"),
    ],
)
def test_groups_and_rules_are_called_what_those_call_them_who_made_them(asked, said):
    assert said in str(trace(STATE, asked, MADE))


def test_a_rule_that_is_not_known_is_told_as_the_host_has_it():
    lost = Names([made("web", WEB)])
    assert "group web (5) admits tcp 80-81 from 0.0.0.0/0" in str(trace(STATE, tcp(EVE, ALICE, 80), lost))


@given(filtered().flatmap(lambda host: st.tuples(st.just(host), sent(host))))
def test_the_rule_that_is_named_is_one_that_admits(pair):
    host, (sender, receiver, asked) = pair
    made_of = {of.number: of for of in map(as_made, host.groups)}
    names = Names(made_of.values())
    for step in trace(host.state, asked, names).steps:
        if admitting := re.search(r"may (send|receive) this: group \w+ \((\d+)\) admits (.+)", step.text):
            way, one, other = (OUT, sender, receiver) if admitting[1] == "send" else (IN, receiver, sender)
            letting = host.letting(way, one, other, asked.header)
            number = int(admitting[2])
            admits = {
                names.written(made_rule)
                for of in host.groups
                for each, made_rule in zip(of.rules, made_of[of.number].rules, strict=True)
                if of.number == number and each in letting
            }
            assert admitting[3] in admits, step
