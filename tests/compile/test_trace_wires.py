"""Where packets go of networks that reach other hosts, as each of these hosts tells it."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from mooring.compile import tables
from mooring.compile.carriers import EVERYBODY as ALL_MACS
from mooring.compile.facts import HOST, Atom, HostState, Key, Table
from mooring.compile.host import compile_host
from mooring.compile.journey import Event, FromGuest, FromRouter, FromUplink, Outcome
from mooring.compile.trace import round_trip, trace, ways_in
from mooring.model.ids import bridge_name, vlan_name, vxlan_name
from mooring.model.subjects import Carrier, HostRole, NetworkIntent, Trunk, TunnelPeer, Vlan, Vxlan
from tests.compile.sending import (
    ALICE_IP,
    BOB_IP,
    CLOUD,
    EVERYBODY,
    NOBODY,
    OUTSIDE,
    OWN,
    STRANGER,
    UPLINK,
    packet,
    tcp,
    udp,
)
from tests.compile.small import ALICE, BOB, FIRST, FREE, RED, ROUTER
from tests.strategies import ENDPOINT, PEERS, SEGMENT, Cloud, mac

TUNNEL, VNI = vxlan_name(RED), 17
INNER_IP = IPv4Address("10.0.1.1")
ALL_IN_RED = {"alice": ALICE_IP, "bob": BOB_IP}


def carried_by(carrier: Carrier) -> Cloud:
    """Return the small cloud with that network between hosts."""
    networks = tuple(replace(net, carrier=carrier) if net.id == RED else net for net in CLOUD.networks)
    return replace(CLOUD, networks=networks)


def tunnelled(cloud: Cloud = CLOUD) -> Cloud:
    """Return the cloud with a VXLAN: Alice is on the gateway's host, Bob on another."""
    places = {ALICE: ENDPOINT, BOB: PEERS[0]}
    nics = tuple(replace(nic, endpoint=places.get(nic.id)) for nic in cloud.nics)
    return replace(carried_by(Vxlan(VNI, ENDPOINT)), nics=nics, remote=frozenset({BOB}))


GATEWAY = dict(tunnelled().state)
"""The host with the router and Alice."""


def elsewhere(endpoint: IPv4Address) -> HostState:
    """Return another host of the network: at the first peer's endpoint is Bob, at the second's nobody."""
    gateway = TunnelPeer(mac(0xA0, 1), INNER_IP, ENDPOINT)
    network = NetworkIntent(RED, 1, 1500, Vxlan(VNI, endpoint, gateway))
    nics = [nic for nic in tunnelled().nics if nic.network == RED]
    placed = [(nic, HostRole.COMPUTE if nic.endpoint == endpoint else HostRole.PEER) for nic in nics]
    return compile_host([(network, HostRole.COMPUTE), *placed])


BOBS, THIRD = (dict(elsewhere(endpoint)) for endpoint in PEERS)


def told(table: Table, about: Atom, state: HostState = GATEWAY) -> HostState:
    """Return a host state without one thing that the tunnel was told."""
    key = Key(table, HOST, (TUNNEL, about))
    assert key in state
    return {other: value for other, value in state.items() if other != key}


STORIES = {
    "bridge": (GATEWAY, packet(ALICE_IP, BOB_IP, FromGuest(RED))),
    "bridge-elsewhere": (BOBS, packet(BOB_IP, ALICE_IP, FromGuest(RED))),
    "third-host": (THIRD, packet(ALICE_IP, BOB_IP, FromGuest(RED))),
    "out": (GATEWAY, tcp(BOB_IP, STRANGER, FromGuest(RED), 443)),
    "out-elsewhere": (BOBS, tcp(BOB_IP, STRANGER, FromGuest(RED), 443)),
    "in": (dict(tunnelled(CLOUD.associated(FREE, BOB, BOB_IP)).state), tcp(STRANGER, FREE.address, OUTSIDE, 80)),
    "dhcp": (BOBS, udp(NOBODY, EVERYBODY, FromGuest(RED), 67)),
    "vlan": (dict(carried_by(Vlan(SEGMENT, 100)).state), packet(ALICE_IP, BOB_IP, FromGuest(RED))),
}


@pytest.mark.parametrize("name", STORIES)
def test_a_journey_between_hosts_reads_well(name, golden):
    state, sent = STORIES[name]
    golden(f"journey-wire-{name}.txt", str(round_trip(state, sent)))


# ---------------------------------------------------------------------------------------------- on the gateway's host


def test_a_neighbour_on_another_host_is_reached_by_the_tunnel_and_answers_by_it():
    trip = round_trip(GATEWAY, packet(ALICE_IP, BOB_IP, FromGuest(RED)))
    assert (trip.there.outcome, trip.there.device, trip.there.mac) == (Outcome.CARRIED, TUNNEL, mac(0xD0, 1))
    assert str(PEERS[0]) in trip.there.end
    assert trip.back is not None
    assert (trip.back.outcome, trip.back.mac) == (Outcome.DELIVERED, mac(0xD0, 0))
    assert trip.answered


def test_what_comes_from_another_host_is_delivered_on_this_one():
    trip = round_trip(GATEWAY, packet(BOB_IP, ALICE_IP, FromGuest(RED)))
    assert trip.back is not None
    assert (trip.there.outcome, trip.back.outcome, trip.answered) == (Outcome.DELIVERED, Outcome.CARRIED, True)


def test_a_floating_ip_leads_to_another_host():
    state = tunnelled(CLOUD.associated(FREE, BOB, BOB_IP)).state
    trip = round_trip(state, tcp(STRANGER, FREE.address, OUTSIDE, 80))
    assert (trip.there.outcome, trip.there.device, trip.there.header.dst) == (Outcome.CARRIED, TUNNEL, BOB_IP)
    assert trip.there.flow is not None
    assert trip.back is not None
    assert (trip.back.outcome, trip.back.header.src) == (Outcome.LEFT, FREE.address)
    assert trip.answered


@pytest.mark.parametrize(
    "sent, outcome",
    [
        (tcp(BOB_IP, STRANGER, FromGuest(RED), 80), Outcome.LEFT),
        (udp(BOB_IP, INNER_IP, FromGuest(RED), 53), Outcome.TAKEN),
        (tcp(BOB_IP, FIRST.address, FromGuest(RED), 80), Outcome.DELIVERED),
    ],
    ids=["out", "dns", "hairpin"],
)
def test_a_guest_of_another_host_has_its_router_here(sent, outcome):
    trip = round_trip(GATEWAY, sent)
    assert (trip.there.outcome, trip.answered) == (outcome, True)
    assert str(PEERS[0]) in trip.there.steps[0].text
    assert not any(step.at == "arp" for step in trip.there.steps), "its own host's tunnel answers for the router"


def test_a_router_reaches_guests_of_all_hosts():
    for address, outcome in ((ALICE_IP, Outcome.DELIVERED), (BOB_IP, Outcome.CARRIED)):
        trip = round_trip(GATEWAY, packet(INNER_IP, address, FromRouter(ROUTER)))
        assert (trip.there.outcome, trip.answered) == (outcome, True)


def test_a_tunnel_that_was_not_told_where_to_drops():
    state = told(tables.FDB, mac(0xD0, 1))
    journey = trace(state, packet(ALICE_IP, BOB_IP, FromGuest(RED)))
    assert journey.outcome is Outcome.DROPPED
    assert journey.steps[-1].missing == (Key(tables.FDB, HOST, (TUNNEL, mac(0xD0, 1))),)


def test_of_whom_the_tunnel_was_told_nothing_is_taken_for_a_guest_of_this_host():
    state = told(tables.NEIGHBOUR, BOB_IP)
    assert trace(state, packet(ALICE_IP, BOB_IP, FromGuest(RED))).outcome is Outcome.DELIVERED
    assert trace(state, packet(ALICE_IP, "10.0.1.99", FromGuest(RED))).outcome is Outcome.UNANSWERED


# ------------------------------------------------------------------------------------------------------ on other hosts


def test_between_guests_of_other_hosts_without_this_one():
    for state in (THIRD, GATEWAY):
        moved = {**state, Key(tables.NEIGHBOUR, HOST, (TUNNEL, ALICE_IP)): (mac(0xD0, 0),)}
        moved[Key(tables.FDB, HOST, (TUNNEL, mac(0xD0, 0)))] = (PEERS[1],)
        trip = round_trip(moved, packet(ALICE_IP, BOB_IP, FromGuest(RED)))
        assert (trip.there.outcome, trip.back, trip.answered) == (Outcome.CARRIED, None, False)
        assert "not by this host" in trip.there.end
        assert str(trip).endswith("the rest is up to that host\n")


def test_a_host_without_the_router_knows_the_way_to_guests_and_the_router_of_other_hosts():
    for target, name in ((ALICE_IP, mac(0xD0, 0)), (INNER_IP, mac(0xA0, 1))):
        trip = round_trip(BOBS, packet(BOB_IP, target, FromGuest(RED)))
        assert (trip.there.outcome, trip.there.mac, trip.back) == (Outcome.CARRIED, name, None)
        assert str(ENDPOINT) in trip.there.end
        assert [step.event for step in trip.there.steps] == [Event.SENT, Event.ARP_ANSWERED, Event.ENDED]


def test_a_host_without_the_router_does_not_know_the_subnet():
    journey = trace(BOBS, packet(BOB_IP, STRANGER, FromGuest(RED)))
    assert journey.outcome is Outcome.NOT_MODELLED
    assert f"by VXLAN {VNI} towards endpoint {ENDPOINT}" in journey.end


def test_what_is_for_everybody_goes_to_the_routers_host():
    journey = trace(BOBS, udp(NOBODY, EVERYBODY, FromGuest(RED), 67))
    assert (journey.outcome, journey.device, journey.mac) == (Outcome.CARRIED, TUNNEL, None)
    assert str(ENDPOINT) in journey.end


def test_no_router_anywhere():
    journey = trace(told(tables.FDB, ALL_MACS, BOBS), packet(BOB_IP, STRANGER, FromGuest(RED)))
    assert (journey.outcome, "leads to none" in journey.end) == (Outcome.NOT_MODELLED, True)


def test_a_network_of_this_host_alone_without_a_router():
    state = {key: value for key, value in CLOUD.state.items() if key.place == HOST}
    journey = trace(state, packet(ALICE_IP, BOB_IP, FromGuest(RED)))
    assert (journey.outcome, "carried to no other" in journey.end) == (Outcome.NOT_MODELLED, True)


# ----------------------------------------------------------------------------------------------------- tags and trunks

UNTOLD: dict[str, Carrier] = {"VLAN 100 of seg0": Vlan(SEGMENT, 100), "seg0": Trunk(SEGMENT)}


@pytest.mark.parametrize("name", UNTOLD)
def test_nobody_here_knows_who_is_where(name):
    state = carried_by(UNTOLD[name]).state
    trip = round_trip(state, packet(ALICE_IP, BOB_IP, FromGuest(RED)))
    assert (trip.there.outcome, trip.there.device, trip.answered) == (Outcome.DELIVERED, bridge_name(RED), True)
    assert f"here or by {name} on another host" in trip.there.steps[-1].text
    device = vlan_name(RED) if isinstance(UNTOLD[name], Vlan) else SEGMENT
    assert trip.there.steps[-1].facts[-1].key.row == (device,)
    out = round_trip(state, tcp(BOB_IP, STRANGER, FromGuest(RED), 80))
    assert (out.there.outcome, out.there.header.src, out.answered) == (Outcome.LEFT, OWN, True)


@pytest.mark.parametrize("name", UNTOLD)
def test_a_host_without_the_router_knows_no_more_than_that_there_are_others(name):
    state = {key: value for key, value in carried_by(UNTOLD[name]).state.items() if key.place == HOST}
    journey = trace(state, packet(ALICE_IP, BOB_IP, FromGuest(RED)))
    assert (journey.outcome, f"by {name}, on another host" in journey.end) == (Outcome.NOT_MODELLED, True)


# ------------------------------------------------------------------------------------------------------------- ways in


def test_guests_of_other_hosts_enter_by_their_network_where_their_router_is():
    assert ways_in(GATEWAY, BOB_IP) == (FromGuest(RED),)
    assert ways_in(BOBS, BOB_IP) == ()
    assert ways_in(GATEWAY, STRANGER) == (FromUplink(UPLINK),)
