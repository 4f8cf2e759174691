"""What trace() says where something is missing, where the kernel refuses, and where it does not know."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest

from mooring.compile import tables
from mooring.compile.facts import HOST, Key
from mooring.compile.journey import (
    FromGuest,
    FromRouter,
    Header,
    IpProtocol,
    Outcome,
    Packet,
)
from mooring.compile.trace import trace, ways_in
from mooring.model.ids import NetworkId, NicId, RouterId, bridge_name, inner_name
from tests.compile.sending import (
    ALICE_IP,
    BOB_IP,
    CAROL_IP,
    CAROLS_SECOND,
    CLOUD,
    EVERYBODY,
    HAIRPIN,
    INBOUND,
    NOBODY,
    OUTBOUND,
    OUTSIDE,
    OWN,
    STATE,
    STRAIGHT,
    STRANGER,
    UPLINK,
    key,
    packet,
    udp,
    without,
)
from tests.compile.small import BLUE, FIRST, FREE, RED, ROUTER
from tests.strategies import uuid

# ---------------------------------------------------------------------------------------------------- broken and foreign


@pytest.mark.parametrize(
    "gone, sent, at",
    [
        (Key(tables.BRIDGE, HOST, (bridge_name(RED),)), OUTBOUND, "bridge"),
        (Key(tables.BRIDGE, HOST, (bridge_name(RED),)), INBOUND, "bridge"),
        (key(tables.INNER, inner_name(RED)), OUTBOUND, "bridge"),
        (key(tables.ADDRESS, inner_name(RED), IPv4Interface("10.0.1.1/24")), OUTBOUND, "arp"),
        (key(tables.UPLINK, UPLINK), INBOUND, "wire"),
    ],
    ids=str,
)
def test_where_something_is_missing_nobody_is_there(gone, sent, at):
    journey = trace(without(gone), sent)
    assert (journey.outcome, journey.steps[-1].at) == (Outcome.UNANSWERED, at)


@pytest.mark.parametrize(
    "gone, sent, at",
    [
        (key(tables.FIP_IN, FIRST.address), INBOUND, "passing_in"),
        (key(tables.PAIR, FIRST.address, ALICE_IP), INBOUND, "passing_in"),
        (key(tables.PAIR, FIRST.address, ALICE_IP), HAIRPIN, "passing"),
        (key(tables.MAY_OUT, ALICE_IP, UPLINK), OUTBOUND, "passing_out"),
        (key(tables.FIP_OUT, ALICE_IP, UPLINK), OUTBOUND, "checked"),
        (key(tables.PUBLIC, UPLINK, IPv4Network("198.51.100.0/24")), OUTBOUND, "checked"),
        (key(tables.SYSCTL, "ipv4/ip_forward"), OUTBOUND, "routing"),
        (key(tables.ROUTE, IPv4Network("0.0.0.0/0")), OUTBOUND, "routing"),
    ],
    ids=str,
)
def test_each_fact_of_a_way_is_needed(gone, sent, at):
    journey = trace(without(gone), sent)
    assert (journey.outcome, journey.steps[-1].at) == (Outcome.DROPPED, at)
    assert journey.steps[-1].missing or at == "passing", "it says what is missing"
    assert journey.flow is None


@pytest.mark.parametrize("src", [OWN, "10.0.2.1", "127.0.0.1", "224.0.0.1", NOBODY, EVERYBODY])
def test_nobody_may_have_such_a_source(src):
    journey = trace(STATE, packet(src, FIRST.address, OUTSIDE))
    assert (journey.outcome, journey.steps[-1].at) == (Outcome.DROPPED, "routing")


NOT_MODELLED = {
    "itself": (STATE, packet(ALICE_IP, ALICE_IP, FromGuest(RED))),
    "multicast": (STATE, packet(ALICE_IP, "224.0.0.251", FromGuest(RED))),
    "multicast from outside": (STATE, packet(STRANGER, "224.0.0.251", STRAIGHT)),
    "loopback": (STATE, packet(ALICE_IP, "127.0.0.1", FromGuest(RED))),
    "a network without a router": (STATE, packet(ALICE_IP, BOB_IP, FromGuest(NetworkId(uuid("a", 7))))),
    "a router elsewhere": (STATE, packet(OWN, STRANGER, FromRouter(RouterId("elsewhere")))),
    "a router to itself": (STATE, packet(OWN, "10.0.1.1", FromRouter(ROUTER))),
    "a router to its pool": (STATE, packet(OWN, FREE.address, FromRouter(ROUTER))),
    "a port left out": (
        STATE,
        Packet(Header(IpProtocol.UDP, ALICE_IP, IPv4Address("10.0.1.1")), FromGuest(RED)),
    ),
    "dns to another network's server": (STATE, udp(ALICE_IP, "10.0.2.1", FromGuest(RED), 53)),
    "no ruleset": (without(key(tables.RULESET, "router")), INBOUND),
    "no namespace": (without(key(tables.NAMESPACE)), OUTBOUND),
    "no dns server": (without(key(tables.DHCP_SERVER, RED)), udp(CAROL_IP, "10.0.1.1", FromGuest(BLUE), 53)),
    "no dhcp server where it goes": (without(key(tables.DHCP_SERVER, RED)), INBOUND),
    "two routes": (STATE | {key(tables.ROUTE, IPv4Network("10.0.1.0/24")): ("lo", "")}, INBOUND),
}


@pytest.mark.parametrize("name", NOT_MODELLED)
def test_what_is_not_known_is_not_guessed(name):
    state, sent = NOT_MODELLED[name]
    journey = trace(state, sent)
    assert journey.outcome is Outcome.NOT_MODELLED, journey
    assert str(journey).splitlines()[-1].startswith("  => not modelled: ")


# ------------------------------------------------------------------------------------------------------------- ways in


def test_an_address_says_where_its_packets_can_enter():
    assert ways_in(STATE, ALICE_IP) == (FromGuest(RED),)
    assert ways_in(STATE, CAROLS_SECOND) == (FromGuest(BLUE),)
    assert ways_in(STATE, STRANGER) == (OUTSIDE,)
    assert ways_in({}, STRANGER) == ()


def test_an_address_that_two_projects_use_can_enter_in_both():
    red, other, router = NetworkId(uuid("a", 1)), NetworkId(uuid("a", 3)), RouterId(uuid("b", 1))
    port = replace(CLOUD.routers[0].ports[0], network=other)
    network = replace(CLOUD.networks[0], id=other)
    twin = replace(
        CLOUD.nics[0],
        id=NicId(uuid("d", 9)),
        network=other,
        router=router,
        addresses=(replace(CLOUD.nics[1].addresses[0], address=ALICE_IP),),
    )
    cloud = replace(
        CLOUD,
        networks=(*CLOUD.networks, network),
        routers=(*CLOUD.routers, replace(CLOUD.routers[0], id=router, ports=(port,), uplinks=())),
        nics=(*CLOUD.nics, twin),
    )
    assert ways_in(cloud.state, ALICE_IP) == (FromGuest(red), FromGuest(other))
