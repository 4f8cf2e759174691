"""Filters between hosts: each host asks the groups of its own guests, the sender's before the packet leaves and the receiver's when it comes."""

from dataclasses import replace

import pytest

from mooring.compile import tables
from mooring.compile.facts import HostState
from mooring.compile.host import compile_host
from mooring.compile.journey import BROADCAST, NOBODY, FromGuest, Header, IpProtocol, Outcome, Packet
from mooring.compile.trace import round_trip, trace
from mooring.model.ids import port_name
from mooring.model.subjects import (
    Carrier,
    Direction,
    FilterRule,
    HostRole,
    NetworkIntent,
    RouterIntent,
    RouterPort,
    Subject,
    TunnelPeer,
    Vlan,
    Vxlan,
)
from tests.compile.filtered import NETWORK, OWN, ROUTER, address, group, nic
from tests.strategies import ENDPOINT, PEERS, SEGMENT, mac

IN, OUT = Direction.INGRESS, Direction.EGRESS
ALICE, BOB, WEB, DB = 0, 1, 5, 7
GATEWAY, ALICES, BOBS = range(3)
ENDPOINTS = (ENDPOINT, *PEERS)

GROUPS = (group(WEB, FilterRule(OUT, 4)), group(DB, FilterRule(IN, 4, 6, 3306, 3306, remote_group=WEB)))
NICS = tuple(
    replace(nic(guest, (of,)), endpoint=ENDPOINTS[host]) for guest, of, host in ((ALICE, WEB, ALICES), (BOB, DB, BOBS))
)
PORT = RouterPort(NETWORK, mac(0xA0, 1), OWN, (), 1500, 3600)


def state(host: int, kind: type[Carrier] = Vxlan) -> HostState:
    """Return what one of three hosts holds: the first has the router, the others a guest each."""
    peer = TunnelPeer(PORT.mac, OWN.ip, ENDPOINT) if host else None
    carrier = Vxlan(17, ENDPOINTS[host], peer) if kind is Vxlan else Vlan(SEGMENT, 100)
    placed: list[tuple[Subject, HostRole]] = [(NetworkIntent(NETWORK, 1, 1450, carrier, zone=7), HostRole.COMPUTE)]
    if not host:
        placed.append((RouterIntent(ROUTER, 1, (PORT,), ()), HostRole.GATEWAY))
        placed += [(each, HostRole.GATEWAY) for each in NICS]
    for each in NICS:
        if each.endpoint == ENDPOINTS[host]:
            placed.append((each, HostRole.COMPUTE))
            placed += [(of, HostRole.COMPUTE) for of in GROUPS if each.filter and of.number in each.filter.groups]
        elif kind is Vxlan:
            placed.append((each, HostRole.PEER))
        placed += [(each, HostRole.MEMBER)] if host == BOBS else []
    return compile_host(placed)


def tcp(src: int, dst: int, port: int) -> Packet:
    return Packet(Header(IpProtocol.TCP, address(src), address(dst), 40000, port), FromGuest(NETWORK))


def test_the_senders_host_lets_it_leave():
    trip = round_trip(state(ALICES), tcp(ALICE, BOB, 3306))
    assert [step.at for step in trip.there.steps] == ["guest", "from_guest", "tunnel", "g_5_out", "tunnel"]
    assert (trip.there.outcome, trip.there.mac) == (Outcome.CARRIED, NICS[BOB].mac)
    assert str(PEERS[1]) in trip.there.end
    # The answer comes back to a flow that this host knows.
    assert trip.back is not None
    assert [step.at for step in trip.back.steps] == ["guest", "passing", "bridge"]
    assert (trip.back.outcome, trip.answered) == (Outcome.DELIVERED, True)


def test_what_its_groups_do_not_admit_never_leaves_the_senders_host():
    journey = trace(state(BOBS), tcp(BOB, ALICE, 80))
    assert (journey.outcome, journey.steps[-1].at) == (Outcome.DROPPED, "sent4")
    spoofed = replace(tcp(BOB, ALICE, 80), entry=FromGuest(NETWORK, port_name(NICS[ALICE].id)))
    journey = trace(state(ALICES), spoofed)
    assert (journey.outcome, journey.steps[-1].at) == (Outcome.DROPPED, "from_guest")


@pytest.mark.parametrize("kind", [Vxlan, Vlan])
def test_the_receivers_host_asks_the_receivers_groups_only(kind):
    trip = round_trip(state(BOBS, kind), tcp(ALICE, BOB, 3306))
    assert [step.at for step in trip.there.steps] == ["guest", "g_7_in", "bridge"]
    assert [fact.key.table for fact in trip.there.steps[1].facts][1:] == [tables.MEMBERS4, tables.PEERS_IN]
    assert (trip.there.outcome, trip.there.mac) == (Outcome.DELIVERED, NICS[BOB].mac)
    journey = trace(state(BOBS, kind), tcp(ALICE, BOB, 22))
    assert (journey.outcome, journey.steps[-1].at) == (Outcome.DROPPED, "received4")


def test_the_answer_leaves_the_receivers_host_by_the_flow():
    trip = round_trip(state(BOBS), tcp(ALICE, BOB, 3306))
    assert trip.back is not None
    assert [step.at for step in trip.back.steps] == ["guest", "from_guest", "tunnel", "passing", "tunnel"]
    assert (trip.back.outcome, trip.answered) == (Outcome.CARRIED, True)
    assert str(PEERS[0]) in trip.back.end


def test_a_guest_asks_the_router_of_another_host():
    question = Packet(Header(IpProtocol.UDP, address(ALICE), OWN.ip, 40000, 53), FromGuest(NETWORK))
    journey = trace(state(ALICES), question)
    assert [step.at for step in journey.steps] == ["guest", "from_guest", "tunnel", "g_5_out", "tunnel"]
    assert journey.outcome is Outcome.CARRIED
    there = trace(state(GATEWAY), question)
    assert there.outcome is Outcome.TAKEN
    assert not any(step.at.startswith(("g_", "from_guest")) for step in there.steps), "its own host has asked"


def test_a_tag_takes_what_no_filtered_port_has():
    """Who is where, a tag is not told; but that nobody here has an address, filters tell where all ports have one."""
    for host in (ALICES, GATEWAY):
        trip = round_trip(state(host, Vlan), tcp(ALICE, BOB, 3306))
        assert trip.there.outcome is Outcome.CARRIED
        assert f"by VLAN 100 of {SEGMENT}, to whoever has {address(BOB)}" in trip.there.end
        assert trip.there.steps[-1].facts[0].key.table == tables.VLAN
    journey = trace(state(BOBS, Vlan), tcp(BOB, ALICE, 80))
    assert (journey.outcome, journey.steps[-1].at) == (Outcome.DROPPED, "sent4")


def test_a_guest_without_an_address_asks_for_one_across_hosts():
    entry = FromGuest(NETWORK, port_name(NICS[ALICE].id))
    journey = trace(state(ALICES), Packet(Header(IpProtocol.UDP, NOBODY, BROADCAST, 68, 67), entry))
    assert [step.at for step in journey.steps] == ["guest", "from_guest", "judged", "tunnel"]
    assert journey.outcome is Outcome.CARRIED
    # It may not ask one server alone: it has no address yet.
    one = trace(state(ALICES), Packet(Header(IpProtocol.UDP, NOBODY, OWN.ip, 68, 67), entry))
    assert (one.outcome, one.steps[-1].at) == (Outcome.DROPPED, "asking4")
