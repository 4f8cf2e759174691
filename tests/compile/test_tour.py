"""From host to host: what comes of a packet in the end, and which host's rules decide."""

import pytest

from mooring.compile.journey import BROADCAST, NOBODY, FromGuest, FromUplink, Header, IpProtocol, Outcome, Packet
from mooring.compile.tour import tour
from mooring.model.ids import port_name, uplink_name
from mooring.model.subjects import Vlan
from tests.compile import test_trace_filters_hosts as filtered
from tests.compile.filtered import NETWORK, OWN, address
from tests.compile.sending import ALICE_IP, BOB_IP, CLOUD, STRANGER, packet, tcp
from tests.compile.small import BOB, FREE, RED
from tests.compile.test_trace_wires import BOBS, GATEWAY, THIRD, tunnelled
from tests.strategies import uplink_id

PLAIN = {"one": GATEWAY, "two": BOBS, "three": THIRD}
NAMES = ("gate", "alices", "bobs")
WALLED = {name: filtered.state(host) for host, name in enumerate(NAMES)}
TAGGED = {name: filtered.state(host, Vlan) for host, name in enumerate(NAMES)}


def hops(stretches) -> list[tuple[str, Outcome]]:
    return [(stretch.host, stretch.journey.outcome) for stretch in stretches]


def test_from_guest_to_guest_of_another_host_and_back():
    found = tour(PLAIN, "one", packet(ALICE_IP, BOB_IP, FromGuest(RED)))
    # That Bob is there, the tunnel's facts tell; his own host has none that does, for his port has no filter.
    assert hops(found.there) == [("one", Outcome.CARRIED)]
    assert hops(found.back) == [("one", Outcome.DELIVERED)]
    assert found.answered


def test_a_guest_goes_out_by_the_router_of_another_host():
    found = tour(PLAIN, "two", tcp(BOB_IP, STRANGER, FromGuest(RED), 443))
    assert hops(found.there) == [("two", Outcome.CARRIED), ("one", Outcome.LEFT)]
    assert "sent to the router 10.0.1.1" in str(found)
    assert hops(found.back) == [("one", Outcome.CARRIED)]
    assert found.answered


@pytest.mark.parametrize("states", [WALLED, TAGGED], ids=["tunnel", "tag"])
def test_filters_of_both_hosts_are_asked(states):
    found = tour(states, "alices", filtered.tcp(filtered.ALICE, filtered.BOB, 3306))
    assert hops(found.there) == [("alices", Outcome.CARRIED), ("bobs", Outcome.DELIVERED)]
    assert [step.at for step in found.there[0].journey.steps if step.at.startswith("g_")] == ["g_5_out"]
    assert [step.at for step in found.there[1].journey.steps if step.at.startswith("g_")] == ["g_7_in"]
    assert hops(found.back) == [("bobs", Outcome.CARRIED), ("alices", Outcome.DELIVERED)]
    assert all(any(step.at == "passing" for step in back.journey.steps) for back in found.back), "a flow on both"
    assert found.answered


@pytest.mark.parametrize(
    "asked, host, at",
    [
        (filtered.tcp(filtered.ALICE, filtered.BOB, 22), "bobs", "received4"),
        (filtered.tcp(filtered.BOB, filtered.ALICE, 80), "bobs", "sent4"),
    ],
    ids=["receiver", "sender"],
)
def test_the_host_that_decides_is_named(asked, host, at):
    start = "alices" if asked.header.src == address(filtered.ALICE) else "bobs"
    found = tour(WALLED, start, asked)
    last = found.there[-1]
    assert (last.host, last.journey.outcome, last.journey.steps[-1].at) == (host, Outcome.DROPPED, at)
    assert not found.back


@pytest.mark.parametrize("states", [WALLED, TAGGED], ids=["tunnel", "tag"])
def test_a_question_to_the_router_of_another_host_is_answered(states):
    question = Packet(Header(IpProtocol.UDP, address(filtered.ALICE), OWN.ip, 40000, 53), FromGuest(NETWORK))
    found = tour(states, "alices", question)
    assert hops(found.there) == [("alices", Outcome.CARRIED), ("gate", Outcome.TAKEN)]
    assert hops(found.back) == [("gate", Outcome.CARRIED), ("alices", Outcome.DELIVERED)]
    assert found.answered


@pytest.mark.parametrize("states", [WALLED, TAGGED], ids=["tunnel", "tag"])
def test_who_asks_for_an_address_is_heard_by_the_routers_host(states):
    question = Packet(
        Header(IpProtocol.UDP, NOBODY, BROADCAST, 68, 67),
        FromGuest(NETWORK, port_name(filtered.NICS[filtered.ALICE].id)),
    )
    found = tour(states, "alices", question)
    assert hops(found.there) == [("alices", Outcome.CARRIED), ("gate", Outcome.TAKEN)]


def test_in_by_a_floating_ip_to_a_guest_of_another_host():
    states = {"one": tunnelled(CLOUD.associated(FREE, BOB, BOB_IP)).state, "two": BOBS}
    found = tour(states, "one", tcp(STRANGER, FREE.address, FromUplink(uplink_name(uplink_id(0))), 80))
    assert hops(found.there) == [("one", Outcome.CARRIED)]
    assert hops(found.back) == [("one", Outcome.LEFT)]
    assert found.answered


def test_a_host_that_is_not_among_them_ends_it():
    found = tour({"alices": WALLED["alices"]}, "alices", filtered.tcp(filtered.ALICE, filtered.BOB, 3306))
    assert hops(found.there) == [("alices", Outcome.CARRIED)]
    between = tour({"three": THIRD}, "three", packet(ALICE_IP, BOB_IP, FromGuest(RED)))
    assert (hops(between.there), between.back, between.answered) == ([("three", Outcome.CARRIED)], (), False)
    assert str(between).endswith("the rest is up to that host\n")


def test_a_tour_reads_well(golden):
    golden("tour.txt", str(tour(WALLED, "alices", filtered.tcp(filtered.ALICE, filtered.BOB, 3306))))
