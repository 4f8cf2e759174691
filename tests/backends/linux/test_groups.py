"""What security groups admit, by real packets: at once, for flows that go on, too, and for nobody else."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Address, IPv4Network
from socket import AF_PACKET, SOCK_RAW, SOCK_STREAM, htons, socket

import pytest

from mooring.compile.facts import HOST, Key, diff
from mooring.compile.filters import link_local
from mooring.compile.tables import GROUP
from mooring.model.subjects import FilterRule, GroupIntent, NicAddress
from tests.backends.frames import ARP, BROADCAST, IP, TCP, UDP, arp, checksum, ether, ip, udp
from tests.backends.lab import ECHO, Lab, eventually
from tests.compile.walled import ICMP, IN, OPEN, OUT, OUTWARD, OWN, group, walled
from tests.strategies import Cloud, mac

pytestmark = pytest.mark.kernel

ALICES, BOBS, CAROLS, DAVES = "10.0.1.3", "10.0.1.4", "10.0.2.3", "10.0.2.4"
TO_ONE_AT_ONCE = 8 * 256
"""So many flows a guest may have open to one address, and eight times as many in all: it is written in the static rules."""


def udp_in(number: int, *more: FilterRule) -> GroupIntent:
    """Return a group whose members answer datagrams from everybody."""
    return group(number, *OUTWARD, FilterRule(IN, 4, UDP, ECHO, ECHO), *more)


CLOSED = group(5, *OUTWARD)


class Houses:
    """The small cloud with filtered ports; each guest answers datagrams."""

    def __init__(self, lab: Lab, cloud: Cloud) -> None:
        self.lab, self.cloud = lab, cloud
        lab.settle(cloud.state)
        self.guests = [lab.guest(nic, cloud.routers[0]) for nic in cloud.nics]
        self.alice, self.bob, self.carol, self.dave = self.guests
        for guest in self.guests:
            lab.echo(guest)

    def become(self, *groups: GroupIntent, members: tuple[tuple[int, ...], ...]) -> None:
        """Make it another cloud of the same guests."""
        self.cloud = walled(*groups, members=members)
        self.lab.settle(self.cloud.state)

    def reaches(self, guest: str, target: str) -> bool:
        return self.lab.ask(guest, target, wait=1) is not None

    def is_kept_from(self, guest: str, target: str) -> bool:
        return self.lab.ask(guest, target, wait=0.2) is None


def test_what_was_applied_is_what_is_read(lab: Lab) -> None:
    cloud = walled()
    lab.settle(cloud.state)
    assert lab.backend.read() == cloud.state
    lab.restart()
    assert not diff(lab.backend.read(), cloud.state)


def test_only_what_a_group_admits_comes_in(lab: Lab) -> None:
    houses = Houses(lab, walled(CLOSED, udp_in(6), members=((5,), (6,), (5,), (5, 6))))
    assert houses.reaches(houses.alice, BOBS)
    assert houses.is_kept_from(houses.bob, ALICES)
    assert houses.reaches(houses.carol, DAVES), "the second of two groups admits"
    assert houses.is_kept_from(houses.dave, CAROLS)


@pytest.mark.parametrize("others", [0, 1])
def test_what_the_host_has_set_for_all_its_bridges_changes_nothing(lab: Lab, others: int) -> None:
    for family in ("iptables", "ip6tables"):
        lab.at(lab.host, "sysctl", "-qw", f"net.bridge.bridge-nf-call-{family}={others}")
    houses = Houses(lab, walled(OPEN, CLOSED, members=((1,), (5,), (1,), (1,))))
    alice, bob = (link_local(mac(0xD0, number)) for number in range(2))
    for guest in houses.guests[:2]:
        eventually(partial(is_settled, lab, guest), 20)
    assert houses.reaches(houses.bob, ALICES)
    assert houses.is_kept_from(houses.alice, BOBS)
    lab.at(houses.bob, "ping", "-c1", "-W5", f"{alice}%eth0")
    with pytest.raises(AssertionError):
        lab.at(houses.alice, "ping", "-c1", "-W1", f"{bob}%eth0")


def test_only_what_a_group_admits_goes_out(lab: Lab) -> None:
    receiving = group(7, FilterRule(IN, 4))
    to_bob = group(8, FilterRule(IN, 4), FilterRule(OUT, 4, UDP, ECHO, ECHO, IPv4Network(f"{BOBS}/32")))
    houses = Houses(lab, walled(OPEN, receiving, to_bob, members=((8,), (1,), (1,), (7,))))
    assert houses.reaches(houses.alice, BOBS)
    assert houses.is_kept_from(houses.dave, CAROLS)
    assert houses.reaches(houses.carol, DAVES), "an answer needs no rule"


def test_a_port_without_groups_is_closed(lab: Lab) -> None:
    houses = Houses(lab, walled(OPEN, members=((), (1,), (), (1,))))
    assert houses.is_kept_from(houses.alice, BOBS)
    assert houses.is_kept_from(houses.bob, ALICES)
    # But for what keeps it on the network: who is who, and whether the router is there.
    assert "lladdr" in lab.ip(houses.bob, f"neighbour show {ALICES}")


def test_members_of_a_group_reach_each_other_and_nobody_else_reaches_them(lab: Lab) -> None:
    houses = Houses(lab, walled(OPEN, OWN, members=((2,), (2,), (2,), (1,))))
    assert houses.reaches(houses.alice, BOBS)
    assert houses.reaches(houses.bob, ALICES)
    assert houses.is_kept_from(houses.dave, CAROLS)
    houses.become(OPEN, OWN, members=((2,), (1,), (2,), (1, 2)))
    assert houses.is_kept_from(houses.bob, ALICES)
    assert houses.reaches(houses.dave, CAROLS)


def test_icmp_is_told_by_type(lab: Lab) -> None:
    echo = group(9, *OUTWARD, FilterRule(IN, 4, ICMP, 8 << 8, (8 << 8) + 255))
    stamp = group(10, *OUTWARD, FilterRule(IN, 4, ICMP, 13 << 8, 13 << 8))
    houses = Houses(lab, walled(echo, stamp, members=((9,), (10,), (9,), (9,))))
    lab.at(houses.bob, "ping", "-c1", "-W5", ALICES)
    with pytest.raises(AssertionError):
        lab.at(houses.alice, "ping", "-c1", "-W1", BOBS)


def test_other_protocols_have_no_ports(lab: Lab) -> None:
    vrrp = group(
        11, FilterRule(IN, 4, 112), FilterRule(OUT, 4, 112), FilterRule(OUT, 4, UDP), FilterRule(IN, 4, UDP, 9, 9)
    )
    houses = Houses(lab, walled(vrrp, members=((11,), (11,), (), ())))
    ear = hearing(lab, houses.bob)
    frames = [
        frame(0, 1, ip(ALICES, BOBS, 47, bytes(30))),
        frame(0, 1, ip(ALICES, BOBS, 112, bytes(30))),
        # To all of the network, and to those who listen.
        ether(BROADCAST, mac(0xD0, 0), IP, ip(ALICES, "255.255.255.255", UDP, udp(4000, 8))),
        ether("01:00:5e:00:00:12", mac(0xD0, 0), IP, ip(ALICES, "224.0.0.18", 112, b"\x21" * 20)),
        ether(BROADCAST, mac(0xD0, 0), IP, ip(ALICES, "255.255.255.255", UDP, udp(4000, 9))),
    ]
    mouth = hearing(lab, houses.alice)
    for each in frames:
        mouth.send(each)
    found: list[bytes] = []
    while not found or found[-1] != frames[-1].rstrip(b"\0"):
        if (got := ear.recv(4096).rstrip(b"\0")) in [it.rstrip(b"\0") for it in frames]:
            found.append(got)
    assert found == [frames[at].rstrip(b"\0") for at in (1, 3, 4)]


def test_an_error_about_no_flow_at_all_goes_nowhere(lab: Lab) -> None:
    houses = Houses(lab, walled(OPEN, CLOSED, members=((1,), (5,), (1,), (1,))))
    ear, mouth = hearing(lab, houses.bob), hearing(lab, houses.alice)
    inner = ip(BOBS, ALICES, UDP, udp(4000, 4001))
    message = b"\x03\x03\0\0\0\0\0\0" + inner
    wrong = frame(0, 1, ip(ALICES, BOBS, ICMP, message[:2] + checksum(message).to_bytes(2, "big") + message[4:]))
    lab.ask(houses.bob, ALICES, port=9)  # nobody is there, and that Bob may know
    fence = ether(BROADCAST, mac(0xD0, 0), ARP, arp(1, (mac(0xD0, 0), ALICES), (mac(0xD0, 0), ALICES)))
    mouth.send(wrong)
    mouth.send(fence)
    heard = [ear.recv(4096)]
    while heard[-1] != fence:
        heard.append(ear.recv(4096))
    errors = [it for it in heard if it[12:14] == b"\x08\0" and it[23] == ICMP and it[34] == 3]
    assert len(errors) == 1
    assert errors[0].rstrip(b"\0") != wrong.rstrip(b"\0")


def test_link_local_addresses_are_filtered_as_others_are(lab: Lab) -> None:
    houses = Houses(lab, walled(OPEN, CLOSED, members=((1,), (5,), (1,), (1,))))
    alice, bob = (link_local(mac(0xD0, number)) for number in range(2))
    for guest in houses.guests[:2]:
        eventually(partial(is_settled, lab, guest), 20)
    lab.at(houses.bob, "ping", "-c1", "-W5", f"{alice}%eth0")
    with pytest.raises(AssertionError):
        lab.at(houses.alice, "ping", "-c1", "-W1", f"{bob}%eth0")


def test_a_rule_that_goes_ends_its_flows_and_one_that_comes_opens(lab: Lab) -> None:
    with_rule, without = udp_in(6, FilterRule(IN, 4, TCP, 80, 80)), udp_in(6)
    members = ((5,), (6,), (5,), (6,))
    houses = Houses(lab, walled(CLOSED, with_rule, members=members))
    server = lab.stream(houses.bob, 80)
    client = lab.open(houses.alice, kind=SOCK_STREAM)
    client.settimeout(5)
    client.connect((BOBS, 80))
    answering = lab.keep(server.accept()[0])
    answering.settimeout(5)
    assert said(client, answering)
    assert said(answering, client)
    generation = lab.backend._spaces.host.nfnetlink.generation()
    delta = diff(houses.cloud.state, walled(CLOSED, without, members=members).state)
    assert str(delta) == "- host in4 6 6 80 0.0.0.0/0\n"
    lab.backend.apply(delta)
    assert lab.backend._spaces.host.nfnetlink.generation() == generation + 1, "one transaction"
    for one, other in ((client, answering), (answering, client)):
        one.send(b"more")
        other.settimeout(0.4)
        with pytest.raises(TimeoutError):
            other.recv(100)
        other.settimeout(10)
    # What was sent meanwhile is sent again by TCP, and arrives.
    houses.become(CLOSED, with_rule, members=members)
    assert answering.recv(100) == client.recv(100) == b"more"


def test_a_member_or_address_that_goes_ends_its_flows(lab: Lab) -> None:
    houses = Houses(lab, walled(CLOSED, OWN, members=((2,), (2,), (2,), (2,))))
    with talking(houses, houses.alice, BOBS) as talk:
        assert talk()
        # Alice leaves the group that Bob hears: a change of hers, not of his.
        houses.become(CLOSED, OWN, members=((5,), (2,), (2,), (2,)))
        assert not talk()
        houses.become(CLOSED, OWN, members=((2,), (2,), (2,), (2,)))
        assert talk()
        # Bob leaves.
        houses.become(CLOSED, OWN, members=((2,), (5,), (2,), (2,)))
        assert not talk()
        houses.become(CLOSED, OWN, members=((2,), (2,), (2,), (2,)))
        assert talk()
        lab.settle(
            {
                key: value
                for key, value in houses.cloud.state.items()
                if key != Key(GROUP, HOST, (2,)) and key.row[:1] != (2,)
            }
        )
        assert not talk()


def test_a_port_that_comes_to_be_filtered_loses_what_is_not_admitted(lab: Lab) -> None:
    cloud = walled(CLOSED, OPEN, members=((1,), (5,), (1,), (1,)))
    bob = cloud.nics[1]
    houses = Houses(lab, replace(cloud, nics=(cloud.nics[0], replace(bob, filter=None), *cloud.nics[2:])))
    with talking(houses, houses.alice, BOBS) as talk:
        assert talk()
        lab.settle(cloud.state)
        assert lab.backend.read() == cloud.state
        assert not talk()
        lab.settle(replace(cloud, nics=(cloud.nics[0], replace(bob, filter=None), *cloud.nics[2:])).state)
        assert talk()


def test_a_rule_that_comes_costs_nobody_a_packet_nor_does_another_group(lab: Lab) -> None:
    houses = Houses(lab, walled(CLOSED, udp_in(6), members=((5,), (6,), (6,), (6,))))
    client = lab.open(houses.alice)
    client.settimeout(5)
    client.connect((BOBS, ECHO))
    lost = 0
    for number in range(40):
        if number % 4 == 0:
            more = [FilterRule(IN, 4, TCP, port, port) for port in range(1, number + 2, 2)]
            houses.become(CLOSED, udp_in(6, *more), group(20 + number), members=((5,), (6,), (6,), (6, 20 + number)))
        client.send(b"%d" % number)
        try:
            lost += not client.recv(100).endswith(b" %d" % number)
        except TimeoutError:
            lost += 1
    assert lost == 0


def test_a_withdrawal_costs_flows_that_are_still_admitted_nothing(lab: Lab) -> None:
    members = ((5,), (6,), (6,), (6,))
    houses = Houses(lab, walled(CLOSED, udp_in(6), members=members))
    client = lab.open(houses.alice)
    client.settimeout(5)
    client.connect((BOBS, ECHO))
    for number in range(20):
        more = [FilterRule(IN, 4, TCP, 80, 80)] if number % 2 else []
        houses.become(CLOSED, udp_in(6, *more), members=members)
        client.send(b"%d" % number)
        assert client.recv(100).endswith(b" %d" % number)


def test_networks_of_the_same_addresses_are_apart(lab: Lab) -> None:
    """Carol and Dave have Alice's and Bob's addresses on another bridge, and speak with the same ports at the same time."""
    cloud = walled(OPEN, CLOSED, members=((1,), (1,), (1,), (5,)))
    nics = [
        replace(nic, router=None, addresses=(NicAddress(IPv4Address(address)),))
        for nic, address in zip(cloud.nics, (ALICES, BOBS, ALICES, BOBS), strict=True)
    ]
    state = replace(cloud, nics=tuple(nics), routers=()).state
    lab.settle({key: value for key, value in state.items() if key.place == HOST})
    guests = []
    for nic in nics:
        guest = lab.add(f"{lab.tag}-g{nic.id[1:8]}")
        lab.ip(lab.host, f"link set mg{nic.id.replace('-', '')[:11]} netns {guest} name eth0 address {nic.mac}")
        lab.ip(guest, f"address add {nic.addresses[0].address}/24 dev eth0")
        lab.ip(guest, "link set eth0 up")
        lab.echo(guest)
        guests.append(guest)
    for number in range(2):
        client = lab.open(guests[2 * number])
        client.settimeout(1)
        client.bind((ALICES, 5555))
        client.connect((BOBS, ECHO))
        client.send(b"hello")
        if number == 0:
            assert client.recv(100).startswith(guests[1].encode())
        else:
            with pytest.raises(TimeoutError):
                client.recv(100)
    # Fragments of one packet in one network, of the other in the other: they are never put together.
    ear, mouths = hearing(lab, guests[1]), [hearing(lab, guests[0]), hearing(lab, guests[2])]
    whole = udp(4000, 4001, b"A" * 56)
    mouths[0].send(frame(0, 1, ip(ALICES, BOBS, UDP, whole[:32], more=True)))
    mouths[1].send(frame(2, 3, ip(ALICES, BOBS, UDP, b"B" * 32, 32)))
    fence = frame(0, 1, ip(ALICES, BOBS, UDP, udp(4002, 4003)))
    mouths[0].send(fence)
    got: list[bytes] = []
    while not got or got[-1].rstrip(b"\0") != fence.rstrip(b"\0"):
        got.append(ear.recv(4096))
    assert not [it for it in got if b"BBBB" in it or b"AAAA" in it]


def test_a_guest_has_so_many_flows_and_takes_none_from_others(lab: Lab) -> None:
    houses = Houses(lab, walled(OPEN, members=((1,), (1,), (1,), (1,))))
    mouth = hearing(lab, houses.alice)
    # Half as many again: on a machine with much to do some are lost on the way.
    for port in range(TO_ONE_AT_ONCE * 3 // 2):
        mouth.send(frame(0, 1, ip(ALICES, BOBS, UDP, udp(1024 + port, 9))))
    assert houses.is_kept_from(houses.alice, BOBS)
    assert houses.reaches(houses.bob, ALICES)
    assert houses.reaches(houses.carol, DAVES)


def is_settled(lab: Lab, guest: str) -> bool:
    """Say whether a guest knows by now that nobody else has its link-local address."""
    return "tentative" not in lab.ip(guest, "-6 address show dev eth0")


def frame(source: int, target: int, packet: bytes) -> bytes:
    """Return a frame from one of the guests to another, by their numbers."""
    return ether(mac(0xD0, target), mac(0xD0, source), IP, packet)


def hearing(lab: Lab, guest: str) -> socket:
    """Return a socket that hears all frames that a guest is sent, and sends any."""
    made = lab.open(guest, AF_PACKET, SOCK_RAW, htons(3))
    made.bind(("eth0", 3))
    made.settimeout(10)
    return made


def said(one: socket, other: socket) -> bool:
    """Say whether the other side of a connection hears."""
    one.send(b"hello")
    return other.recv(100) == b"hello"


@contextmanager
def talking(houses: Houses, guest: str, target: str) -> Iterator:
    """Open a flow that goes on, and give a function that says whether it gets through now."""
    client = houses.lab.open(guest)
    client.connect((target, ECHO))
    count = 0

    def goes() -> bool:
        nonlocal count
        count += 1
        client.settimeout(1)
        client.send(b"%d" % count)
        try:
            return client.recv(100).endswith(b" %d" % count)
        except TimeoutError:
            return False

    yield goes
