"""Forwarded ports: what they are made of, where their packets go, and that their flows end with them."""

from dataclasses import replace
from ipaddress import IPv4Address
from itertools import pairwise

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from mooring.compile.facts import diff, lines, union
from mooring.compile.host import compile_host, facts_of
from mooring.compile.journey import FromGuest, FromUplink, Header, IpProtocol, Outcome, Packet
from mooring.compile.nat import pieces
from mooring.compile.trace import round_trip, trace
from mooring.model.ids import bridge_name, uplink_name
from mooring.model.subjects import HostRole, PortForwarding, PublicAddress, Transport
from tests.compile.sending import ALICE_IP, BOB_IP, CAROL_IP, CLOUD, OUTSIDE, STRAIGHT, STRANGER, packet, tcp, udp
from tests.compile.small import ALICE, BLUE, BOB, CAROL, FIRST, FREE, RED, small
from tests.strategies import FORWARDED_PORTS, PORTS, Cloud, forwarding
from tests.strategies import OUTSIDE as WORLD

SSH = PortForwarding(FREE, Transport.TCP, 2222, 2222, 22)
WEB = PortForwarding(FREE, Transport.TCP, 80, 80, 80)
DNS = PortForwarding(FREE, Transport.UDP, 53, 53, 53)
MANY = PortForwarding(FREE, Transport.UDP, 7936, 8209, 7936)
SHIFTED = PortForwarding(FREE, Transport.TCP, 9000, 9003, 9100)
FORWARDS = (
    CLOUD.forwarding(SSH, BOB, BOB_IP)
    .forwarding(WEB, CAROL, CAROL_IP)
    .forwarding(DNS, BOB, BOB_IP)
    .forwarding(MANY, BOB, BOB_IP)
    .forwarding(SHIFTED, BOB, BOB_IP)
)
STATE = FORWARDS.state

RANGES = st.tuples(st.integers(1, 65535), st.integers(1, 65535)).map(sorted)


@given(RANGES)
def test_a_range_is_cut_into_few_blocks_that_hold_its_ports_and_no_others(ends):
    first, last = ends
    cut = list(pieces(PortForwarding(FREE, Transport.TCP, first, last, first)))
    assert [port for port, size in cut for port in range(port, port + size)] == list(range(first, last + 1))
    assert all(size in {1, 16, 256} and port % size == 0 for port, size in cut)
    assert len(cut) <= 15 + 15 + 255 + 15 + 15


def test_the_widest_range_and_one_that_many_use():
    assert len(list(pieces(PortForwarding(FREE, Transport.TCP, 1, 65535, 1)))) == 15 + 15 + 255
    assert len(list(pieces(PortForwarding(FREE, Transport.UDP, 10000, 20000, 10000)))) == 56


@given(RANGES, st.integers(1, 65535))
def test_ports_that_become_others_are_one_element_each(ends, to):
    first = ends[0]
    last = min(ends[1], first + 300)
    cut = list(pieces(PortForwarding(FREE, Transport.TCP, first, last, to)))
    if to != first:
        assert cut == [(port, 1) for port in range(first, last + 1)]


def test_what_a_nic_with_forwarded_ports_makes_true(golden):
    nic = next(nic for nic in FORWARDS.nics if nic.id == BOB)
    golden("nic-forwards.txt", "".join(f"{line}\n" for line in lines(union(facts_of(nic, HostRole.GATEWAY)))))


@pytest.mark.parametrize("others", [0, 1, 60])
@pytest.mark.parametrize(
    "name, change, size",
    [
        # To an address that is not in use: it is owned and has ports from now on.
        ("forward-first", (CLOUD, SSH), 4),
        ("forward-another", (CLOUD.forwarding(WEB, CAROL, CAROL_IP), SSH), 2),
        ("forward-range", (CLOUD.forwarding(WEB, CAROL, CAROL_IP), MANY), 2 * 4),
    ],
)
def test_a_change_is_so_many_lines_whoever_else_is_there(name, change, size, others, golden):
    before, forward = change
    before = replace(before, nics=(*before.nics, *small(others=others).nics[len(CLOUD.nics) :]))
    for number in range(others):
        public = PublicAddress(IPv4Address("198.51.100.128") + number, FIRST.uplink)
        before = before.forwarding(PortForwarding(public, Transport.TCP, 2222, 2222, 22), BOB, BOB_IP)
    delta = diff(before.state, before.forwarding(forward, BOB, BOB_IP).state)
    golden(f"delta-{name}.txt", str(delta))
    assert len(delta.put) + len(delta.drop) == size


STORIES = {
    "forwarded": tcp(STRANGER, FREE.address, OUTSIDE, 2222),
    "forwarded-range": udp(STRANGER, FREE.address, OUTSIDE, 8131),
    "forwarded-other-port": tcp(STRANGER, FREE.address, STRAIGHT, 2223),
    "forwarded-other-protocol": udp(STRANGER, FREE.address, STRAIGHT, 2222),
    "forwarded-ping": packet(STRANGER, FREE.address, STRAIGHT),
    "forwarded-hairpin": tcp(ALICE_IP, FREE.address, FromGuest(RED), 2222),
    "forwarded-hairpin-own": tcp(BOB_IP, FREE.address, FromGuest(RED), 9002),
    "forwarded-across": tcp(BOB_IP, FREE.address, FromGuest(RED), 80),
}


@pytest.mark.parametrize("name", STORIES)
def test_a_journey_to_a_forwarded_port_reads_well(name, golden):
    golden(f"journey-{name}.txt", str(round_trip(STATE, STORIES[name])))


@pytest.mark.parametrize(
    "sent, to",
    [
        (tcp(STRANGER, FREE.address, OUTSIDE, 2222), (BOB_IP, 22)),
        (tcp(STRANGER, FREE.address, OUTSIDE, 80), (CAROL_IP, 80)),
        (udp(STRANGER, FREE.address, OUTSIDE, 53), (BOB_IP, 53)),
        (tcp(STRANGER, FREE.address, OUTSIDE, 9003), (BOB_IP, 9103)),
        (udp(STRANGER, FREE.address, OUTSIDE, 8209), (BOB_IP, 8209)),
        (tcp(STRANGER, FREE.address, STRAIGHT, 9004), None),
        (udp(STRANGER, FREE.address, STRAIGHT, 8210), None),
        (udp(STRANGER, FREE.address, STRAIGHT, 7935), None),
        (udp(STRANGER, FREE.address, STRAIGHT, 80), None),
        (packet(STRANGER, FREE.address, STRAIGHT), None),
        (tcp(ALICE_IP, FREE.address, FromGuest(RED), 2222), (BOB_IP, 22)),
        (tcp(BOB_IP, FREE.address, FromGuest(RED), 80), (CAROL_IP, 80)),
    ],
)
def test_only_what_is_forwarded_passes_and_is_answered(sent, to):
    trip = round_trip(STATE, sent)
    if to is None:
        assert (trip.there.outcome, trip.there.steps[-1].at) == (Outcome.DROPPED, "forwarded")
    else:
        assert trip.there.outcome is Outcome.DELIVERED
        assert (trip.there.header.dst, trip.there.header.dport) == to
        assert trip.answered, trip


def test_a_guest_with_forwarded_ports_leaves_as_before():
    before = CLOUD.unforwarding(SSH)
    for guest, network in ((BOB_IP, RED), (CAROL_IP, BLUE)):
        sent = tcp(guest, STRANGER, FromGuest(network), 443)
        assert trace(STATE, sent).header == trace(before.state, sent).header


@given(forwarding())
def test_nothing_contradicts_itself_and_every_fact_has_its_types(cloud):
    state = compile_host(cloud.placed)
    for key, value in state.items():
        assert [type(part) for part in (*key.row, *value)] == [*key.table.key, *key.table.value]


def goal_of(cloud: Cloud, public: PublicAddress, header: Header):
    """Return where a packet to a port must get, by the forwardings alone."""
    for forward, (nic, fixed) in cloud.forwards.items():
        same = (forward.public, forward.protocol.value) == (public, header.protocol.value)
        if same and forward.first <= (header.dport or 0) <= forward.last:
            return nic, fixed, (header.dport or 0) - forward.first + forward.to
    return None


@given(forwarding(), st.sampled_from(FORWARDED_PORTS), st.sampled_from((IpProtocol.TCP, IpProtocol.UDP)))
def test_a_forwarded_port_leads_to_its_guest_and_no_other_port_leads_anywhere(cloud, port, protocol):
    state = cloud.state
    for public in sorted({forward.public for forward in cloud.forwards}):
        header = Header(protocol, WORLD, public.address, 40000, port)
        goal = goal_of(cloud, public, header)
        event("forwarded" if goal else "not forwarded")
        journey = trace(state, Packet(header, FromUplink(uplink_name(public.uplink))))
        if goal is None:
            assert (journey.outcome, journey.steps[-1].at) == (Outcome.DROPPED, "forwarded")
            continue
        nic, fixed, to = goal
        assert journey.outcome is Outcome.DELIVERED, journey
        assert journey.device == bridge_name(nic.network)
        assert journey.header == Header(protocol, WORLD, fixed, 40000, to)


@given(forwarding(max_uplinks=1), st.data())
def test_a_flow_does_not_outlive_its_forwarding(cloud, data):
    """Ended, or moved to another guest or another port, while others of the same address go on."""
    if not cloud.forwards:
        return
    forward = data.draw(st.sampled_from(sorted(cloud.forwards)))
    nic, fixed = cloud.forwards[forward]
    port = data.draw(st.sampled_from((forward.first, forward.last, (forward.first + forward.last) // 2)))
    protocol = IpProtocol(forward.protocol.value)
    sent = Packet(
        Header(protocol, WORLD, forward.public.address, 40000, port), FromUplink(uplink_name(forward.public.uplink))
    )
    trip = round_trip(cloud.state, sent)
    assert trip.answered, trip
    assert trip.back is not None
    flow = trip.back.flow
    others = [
        (one.id, it.address)
        for one in cloud.nics
        for it in one.addresses
        if one.router == nic.router and it.address != fixed
    ]
    change = data.draw(st.sampled_from(("end", "move", "shift") if others else ("end", "shift")))
    event(change)
    after = cloud.unforwarding(forward)
    if change == "move":
        after = cloud.forwarding(forward, *data.draw(st.sampled_from(others)))
    elif change == "shift":
        after = after.forwarding(replace(forward, to=forward.to + 1000), nic.id, fixed)
    straight = FromUplink(uplink_name(forward.public.uplink), nic.router)
    for header, entry in ((sent.header, straight), (trip.there.header.reversed(), FromGuest(nic.network))):
        assert trace(cloud.state, Packet(header, entry, flow)).outcome in {Outcome.DELIVERED, Outcome.LEFT}
        journey = trace(after.state, Packet(header, entry, flow))
        assert journey.outcome is Outcome.DROPPED, journey
    for other in sorted(after.forwards):
        if (other.public, other.protocol) != (forward.public, forward.protocol) or other.first == forward.first:
            continue
        there = replace(sent, header=replace(sent.header, dport=other.last))
        before = round_trip(cloud.state, there)
        assert before.back is not None
        assert trace(after.state, replace(there, flow=before.back.flow)).outcome is Outcome.DELIVERED


def test_the_ports_that_tests_draw_do_not_overlap():
    for protocol in Transport:
        ends = sorted((first, last) for each, first, last, _ in PORTS if each is protocol)
        assert all(one[1] < other[0] for one, other in pairwise(ends))


def test_a_guest_knows_nothing_of_others_forwardings():
    assert ALICE not in {nic.id for nic, _ in FORWARDS.forwards.values()}
    nic = next(nic for nic in FORWARDS.nics if nic.id == ALICE)
    assert list(facts_of(nic, HostRole.GATEWAY)) == list(
        facts_of(next(nic for nic in CLOUD.nics if nic.id == ALICE), HostRole.GATEWAY)
    )
