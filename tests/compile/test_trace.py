"""Where packets go on the small host: every way in, every way out, and every reason to stop."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from mooring.compile import tables
from mooring.compile.facts import Key, Place, PlaceKind
from mooring.compile.journey import (
    Event,
    Flow,
    FromGuest,
    FromRouter,
    FromUplink,
    Header,
    IpProtocol,
    Outcome,
    Packet,
)
from mooring.compile.trace import round_trip, trace
from mooring.model.ids import RouterId, bridge_name
from tests.compile.sending import (
    ALICE_IP,
    BOB_IP,
    CAROL_IP,
    CAROLS_SECOND,
    CLOUD,
    DAVE_IP,
    EVERYBODY,
    HAIRPIN,
    INBOUND,
    NEIGHBOUR,
    NOBODY,
    OUTBOUND,
    OUTSIDE,
    OWN,
    PLACE,
    STATE,
    STRAIGHT,
    STRANGER,
    TO_ITSELF,
    UPLINK,
    key,
    packet,
    tcp,
    udp,
    without,
)
from tests.compile.small import BLUE, BOB, FIRST, FREE, RED, ROUTER, SECOND
from tests.strategies import mac, router_uplink, uuid

# ------------------------------------------------------------------------------------------------ whole stories, as text

STORIES = {
    "in": tcp(STRANGER, FIRST.address, OUTSIDE, 80),
    "in-secondary": packet(NEIGHBOUR, SECOND.address, OUTSIDE),
    "out": tcp(ALICE_IP, STRANGER, FromGuest(RED), 443),
    "out-shared": tcp(BOB_IP, STRANGER, FromGuest(RED), 443),
    "hairpin": tcp(BOB_IP, FIRST.address, FromGuest(RED), 80),
    "hairpin-own": packet(ALICE_IP, FIRST.address, FromGuest(RED)),
    "hairpin-across": packet(ALICE_IP, SECOND.address, FromGuest(RED)),
    "bridge": packet(ALICE_IP, BOB_IP, FromGuest(RED)),
    "dns": udp(BOB_IP, "10.0.1.1", FromGuest(RED), 53),
    "ping-router": packet(STRANGER, OWN, OUTSIDE),
    "unassociated": packet(STRANGER, FREE.address, OUTSIDE),
    "unassociated-stale-arp": packet(STRANGER, FREE.address, STRAIGHT),
    "unassociated-from-guest": packet(BOB_IP, FREE.address, FromGuest(RED)),
    "isolated": packet(DAVE_IP, STRANGER, FromGuest(BLUE)),
    "across": packet(ALICE_IP, CAROL_IP, FromGuest(RED)),
    "private-from-outside": packet(STRANGER, ALICE_IP, STRAIGHT),
}


@pytest.mark.parametrize("name", STORIES)
def test_a_journey_reads_well(name, golden):
    golden(f"journey-{name}.txt", str(round_trip(STATE, STORIES[name])))


# ------------------------------------------------------------------------------------------------------ where it comes to


def test_in_by_a_floating_ip():
    journey = trace(STATE, tcp(STRANGER, FIRST.address, OUTSIDE, 80))
    assert journey.outcome is Outcome.DELIVERED
    assert (journey.mac, journey.device) == (mac(0xD0, 0), bridge_name(RED))
    assert journey.header == Header(IpProtocol.TCP, STRANGER, ALICE_IP, 40000, 80)
    assert [step.at for step in journey.steps] == ["arp", "arriving", "routing", "passing_in", "bridge"]
    assert [step.event for step in journey.steps] == [
        Event.ARP_ANSWERED,
        Event.TRANSLATED,
        Event.ROUTED,
        Event.PASSED,
        Event.ENDED,
    ]
    assert journey.flow == Flow(ROUTER, journey.packet.header, journey.header.reversed())


@pytest.mark.parametrize(
    "src, network, as_address",
    [(ALICE_IP, RED, FIRST.address), (BOB_IP, RED, OWN), (CAROL_IP, BLUE, OWN), (CAROLS_SECOND, BLUE, SECOND.address)],
)
@pytest.mark.parametrize("dst", [STRANGER, NEIGHBOUR])
def test_out_as_the_floating_ip_or_as_the_router(src, network, as_address, dst):
    trip = round_trip(STATE, udp(src, dst, FromGuest(network), 123))
    assert trip.there.outcome is Outcome.LEFT
    assert (trip.there.device, trip.there.header.src, trip.there.mac) == (UPLINK, as_address, None)
    assert trip.answered


def test_every_guest_reaches_every_floating_ip_and_knows_the_answer():
    for src, network in ((ALICE_IP, RED), (BOB_IP, RED), (CAROL_IP, BLUE), (CAROLS_SECOND, BLUE)):
        for public, private in ((FIRST.address, ALICE_IP), (SECOND.address, CAROLS_SECOND)):
            trip = round_trip(STATE, tcp(src, public, FromGuest(network), 22))
            assert trip.there.header.dst == private
            assert trip.there.header.src in {FIRST.address, SECOND.address, OWN}, "nobody is shown a private address"
            assert trip.answered


def test_a_guest_whom_the_world_does_not_know_gets_answers_from_another_address_than_it_asked():
    """Dave has no public face: Carol's answer goes straight over the bridge, and Dave takes it for a stranger's."""
    trip = round_trip(STATE, packet(DAVE_IP, SECOND.address, FromGuest(BLUE)))
    assert trip.there.outcome is Outcome.DELIVERED
    assert trip.back is not None
    assert trip.back.outcome is Outcome.DELIVERED
    assert trip.back.header.src == CAROLS_SECOND
    assert not trip.answered


def test_neighbours_on_a_bridge_need_no_router():
    journey = trace(without(key(tables.RULESET, "router")), packet(ALICE_IP, BOB_IP, FromGuest(RED)))
    assert (journey.outcome, journey.mac, journey.flow) == (Outcome.DELIVERED, mac(0xD0, 1), None)


@pytest.mark.parametrize("dst", ["10.0.1.99", "10.0.1.0"])
def test_nobody_is_at_an_address_that_no_fact_knows(dst):
    assert trace(STATE, packet(ALICE_IP, dst, FromGuest(RED))).outcome is Outcome.UNANSWERED


@pytest.mark.parametrize(
    "sent",
    [
        packet(ALICE_IP, "10.0.1.1", FromGuest(RED)),
        packet(ALICE_IP, "10.0.2.1", FromGuest(RED)),
        packet(ALICE_IP, OWN, FromGuest(RED)),
        udp(ALICE_IP, "10.0.1.1", FromGuest(RED), 53),
        tcp(ALICE_IP, "10.0.1.1", FromGuest(RED), 53),
        udp(NOBODY, EVERYBODY, FromGuest(RED), 67),
        udp(ALICE_IP, "10.0.1.255", FromGuest(RED), 67),
        packet(STRANGER, OWN, OUTSIDE),
        packet(STRANGER, "10.0.1.1", STRAIGHT),
    ],
    ids=lambda sent: str(sent.header),
)
def test_the_router_takes(sent):
    journey = trace(STATE, sent)
    assert (journey.outcome, journey.device) == (Outcome.TAKEN, None)
    assert journey.reached == FromRouter(ROUTER)


@pytest.mark.parametrize(
    "sent",
    [
        tcp(ALICE_IP, "10.0.1.1", FromGuest(RED), 22),
        udp(ALICE_IP, "10.0.1.1", FromGuest(RED), 69),
        udp(STRANGER, OWN, OUTSIDE, 53),
        tcp(STRANGER, OWN, OUTSIDE, 53),
        udp(NOBODY, EVERYBODY, STRAIGHT, 67),
    ],
    ids=lambda sent: str(sent.header),
)
def test_the_router_does_not_take(sent):
    journey = trace(STATE, sent)
    assert (journey.outcome, journey.steps[-1].at) == (Outcome.DROPPED, "own")


def test_the_routers_answer_to_the_outside_never_has_a_private_source():
    trip = round_trip(STATE, packet(STRANGER, "10.0.1.1", STRAIGHT))
    assert trip.back is not None
    assert (trip.back.outcome, trip.back.steps[-1].at) == (Outcome.DROPPED, "checked")


def test_a_routers_own_question_leaves_as_itself():
    trip = round_trip(STATE, udp(OWN, "9.9.9.9", FromRouter(ROUTER), 53))
    assert (trip.there.outcome, trip.there.header.src) == (Outcome.LEFT, OWN)
    assert trip.answered


def test_a_router_reaches_a_guest():
    trip = round_trip(STATE, packet("10.0.1.1", BOB_IP, FromRouter(ROUTER)))
    assert (trip.there.outcome, trip.answered) == (Outcome.DELIVERED, True)


# --------------------------------------------------------------------------------------------------------------- flows


def flow_of(sent: Packet) -> Flow:
    trip = round_trip(STATE, sent)
    assert trip.answered
    assert trip.back is not None
    assert trip.back.flow is not None
    assert trip.back.flow.answered
    return trip.back.flow


@pytest.mark.parametrize("sent", [INBOUND, OUTBOUND, HAIRPIN, TO_ITSELF], ids=["in", "out", "hairpin", "to itself"])
def test_later_packets_go_the_first_ones_way(sent):
    flow = flow_of(sent)
    first, later = trace(STATE, sent), trace(STATE, replace(sent, flow=flow))
    assert (later.outcome, later.header, later.mac) == (first.outcome, first.header, first.mac)
    assert later.flow == flow
    assert not any(step.at in {"arriving", "leaving"} for step in later.steps), "the maps are asked once for a flow"


@pytest.mark.parametrize("sent", [INBOUND, OUTBOUND, HAIRPIN], ids=["in", "out", "hairpin"])
@pytest.mark.parametrize("moved", [False, True], ids=["disassociated", "moved"])
@pytest.mark.parametrize("answered", [True, False], ids=["answered", "one-way"])
def test_flows_end_with_their_association(sent, moved, answered):
    flow = replace(flow_of(sent), answered=answered)
    after = (CLOUD.associated(FIRST, BOB, BOB_IP) if moved else CLOUD.without(FIRST)).state
    entry = STRAIGHT if isinstance(sent.entry, FromUplink) else sent.entry
    there = trace(after, replace(sent, entry=entry, flow=flow))
    assert (there.outcome, [missing.table for missing in there.steps[-1].missing]) == (Outcome.DROPPED, [tables.PAIR])
    answer = Packet(flow.reply, STRAIGHT if sent is OUTBOUND else FromGuest(RED), flow)
    assert trace(after, answer).outcome is Outcome.DROPPED


def test_a_guest_does_not_go_on_appearing_to_neighbours_as_what_it_has_lost():
    sent = tcp(ALICE_IP, SECOND.address, FromGuest(RED), 80)
    flow = flow_of(sent)
    journey = trace(CLOUD.without(FIRST).state, replace(sent, flow=flow))
    assert (journey.outcome, journey.steps[-1].at) == (Outcome.DROPPED, "checked")
    assert journey.steps[-1].missing == (key(tables.PAIR, FIRST.address, ALICE_IP),)


def test_flows_of_a_guest_that_loses_its_own_floating_ip_go_on_behind_the_router():
    """Bob's flow began behind the router's address, which he keeps: a floating IP is for new flows."""
    sent = tcp(BOB_IP, STRANGER, FromGuest(RED), 80)
    flow = flow_of(sent)
    after = CLOUD.associated(FREE, BOB, BOB_IP).state
    assert trace(after, replace(sent, flow=flow)).header.src == OWN
    assert trace(after, sent).header.src == FREE.address


def test_a_flow_of_another_router_or_with_other_ports_is_none():
    flow = flow_of(INBOUND)
    for other in (replace(flow, router=RouterId("elsewhere")), replace(flow, original=replace(flow.original, sport=1))):
        journey = trace(STATE, replace(INBOUND, flow=other))
        assert any(step.at == "arriving" for step in journey.steps)
        assert journey.outcome is Outcome.DELIVERED


def test_an_answer_that_nobody_waits_for_is_a_new_packet():
    flow = flow_of(OUTBOUND)
    journey = trace(STATE, Packet(replace(flow.reply, dst=OWN), OUTSIDE))
    assert (journey.outcome, journey.steps[-1].at) == (Outcome.DROPPED, "own")


# -------------------------------------------------------------------------------------------------------- who is there


def test_only_owned_addresses_are_answered_for():
    for address in (FREE.address, NEIGHBOUR, IPv4Address("198.51.100.1")):
        journey = trace(STATE, packet(STRANGER, address, OUTSIDE))
        assert (journey.outcome, journey.steps[-1].event) == (Outcome.UNANSWERED, Event.ARP_UNANSWERED)
        assert journey.steps[-1].missing == (key(tables.OWNED, UPLINK, address),)


def test_nobody_asks_for_an_address_outside_the_providers_subnets():
    journey = trace(STATE, packet(STRANGER, ALICE_IP, OUTSIDE))
    assert (journey.outcome, journey.steps[-1].at) == (Outcome.UNANSWERED, "wire")


@pytest.mark.parametrize(
    "gone",
    [
        key(tables.SYSCTL, f"ipv4/conf/{UPLINK}/proxy_arp"),
        key(tables.SYSCTL, "ipv4/ip_forward"),
        key(tables.ROUTE, IPv4Network("198.51.100.16/29")),
    ],
    ids=str,
)
def test_without_its_settings_the_router_answers_for_itself_only(gone):
    journey = trace(without(gone), packet(STRANGER, FIRST.address, OUTSIDE))
    assert (journey.outcome, journey.steps[-1].at) == (Outcome.UNANSWERED, "arp")
    assert trace(without(gone), packet(STRANGER, OWN, OUTSIDE)).outcome is Outcome.TAKEN


def test_a_wire_without_a_router():
    for entry in (FromUplink("mu-none"), FromUplink(UPLINK, RouterId("elsewhere"))):
        assert trace(STATE, packet(STRANGER, FIRST.address, entry)).outcome is Outcome.UNANSWERED


def test_two_routers_that_answer_for_one_address_are_not_modelled():
    other = uuid("b", 9)
    doubled = STATE | {
        Key(key.table, Place(PlaceKind.ROUTER, other), key.row): value
        for key, value in STATE.items()
        if key.place == PLACE and key.table not in {tables.DHCP_SERVER, tables.DHCP_HOST}
    }
    assert trace(doubled, packet(STRANGER, FIRST.address, OUTSIDE)).outcome is Outcome.NOT_MODELLED


def test_of_several_routers_the_owner_answers():
    second = RouterId(uuid("b", 1))
    side = router_uplink(1, 0)
    cloud = replace(CLOUD, routers=(*CLOUD.routers, replace(CLOUD.routers[0], id=second, ports=(), uplinks=(side,))))
    assert trace(cloud.state, packet(STRANGER, FIRST.address, OUTSIDE)).outcome is Outcome.DELIVERED
    journey = trace(cloud.state, packet(STRANGER, side.address.ip, OUTSIDE))
    assert journey.reached == FromRouter(second)
    nobody = trace(cloud.state, packet(STRANGER, FREE.address, OUTSIDE))
    assert [step.place.id for step in nobody.steps] == [ROUTER, second], "both say why they are silent"
