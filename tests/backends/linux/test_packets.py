"""Real packets through the real kernel: who answers, as whom guests are seen, what never leaves, and what a change costs those under way."""

import random
import re
import signal
import socket
import struct
import subprocess
import threading
import time
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from mooring.compile.tables import PORT
from mooring.model.subjects import RouterIntent
from tests.backends.lab import ECHO, Lab, eventually
from tests.compile.small import ALICE, BOB, FIRST, FREE, SECOND, shared, small
from tests.strategies import Cloud, provider, router_uplink, uuid

pytestmark = pytest.mark.kernel

ETH_P_ALL, ETH_P_ARP = 3, 0x0806
ISP = provider(0).network_address + 1
ROUTERS_OWN = shared().address
ALICES, BOBS = IPv4Address("10.0.1.3"), IPv4Address("10.0.1.4")
LISTENS = 9999


class Town:
    """The small cloud with its guests plugged in, each answering datagrams on one port; so does the provider."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.cloud = small().without(FIRST).without(SECOND)
        lab.settle(self.cloud.state)
        router = self.cloud.routers[0]
        self.alice, self.bob, self.carol, self.dave = (lab.guest(nic, router) for nic in self.cloud.nics)
        self.isp = lab.isp(0)
        for each in (self.alice, self.bob, self.carol, self.dave, self.isp):
            lab.echo(each)

    def become(self, cloud: Cloud) -> None:
        self.lab.settle(cloud.state)
        self.cloud = cloud

    def associate(self, public: IPv4Address, nic: str, fixed: IPv4Address) -> None:
        address = next(each for each in self.cloud.pools() if each.address == public)
        self.become(self.cloud.associated(address, type(ALICE)(nic), fixed))

    def disassociate(self, public: IPv4Address) -> None:
        self.become(self.cloud.without(next(each for each in self.cloud.pools() if each.address == public)))


@pytest.fixture
def town(lab: Lab) -> Town:
    return Town(lab)


def arp(lab: Lab, namespace: str, address: IPv4Address) -> str | None:
    """Ask who has an address; return the answer's hardware address."""
    asker = lab.open(namespace, socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ARP))
    asker.bind(("eth0", ETH_P_ARP))
    asker.settimeout(0.15)
    mac = asker.getsockname()[4]
    head = b"\xff" * 6 + mac + struct.pack("!HHHBBH", ETH_P_ARP, 1, 0x0800, 6, 4, 1)
    asker.send(head + mac + ISP.packed + bytes(6) + address.packed)
    until = time.monotonic() + 0.15
    while time.monotonic() < until:
        try:
            frame = asker.recv(2048)
        except TimeoutError:
            return None
        if frame[20:22] == b"\0\2" and frame[28:32] == address.packed:
            return frame[22:28].hex(":")
    return None


def sources(frames: list[bytes]) -> set[IPv4Address]:
    """Return the senders of IPv4 packets."""
    return {IPv4Address(frame[26:30]) for frame in frames if frame[12:14] == b"\x08\x00"}


def announced(frames: list[bytes], address: IPv4Address) -> int:
    """Count gratuitous ARP requests."""
    return sum(
        frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\1" and frame[28:32] == frame[38:42] == address.packed
        for frame in frames
    )


def test_arp_is_answered_for_what_is_owned_and_nothing_else(town: Town) -> None:
    uplink = router_uplink(0, 0)
    town.associate(FIRST.address, ALICE, ALICES)
    assert arp(town.lab, town.isp, FIRST.address) == uplink.mac
    assert arp(town.lab, town.isp, ROUTERS_OWN) == uplink.mac
    for other in (SECOND.address, FREE.address, ALICES, IPv4Address("10.0.1.1"), IPv4Address("198.51.100.200")):
        assert arp(town.lab, town.isp, other) is None
    town.disassociate(FIRST.address)
    assert arp(town.lab, town.isp, FIRST.address) is None


def test_a_floating_ip_leads_to_its_guest(town: Town) -> None:
    assert town.lab.ask(town.isp, FIRST.address) is None
    town.associate(FIRST.address, ALICE, ALICES)
    assert town.lab.ask(town.isp, FIRST.address) == (town.alice, str(ISP))
    town.disassociate(FIRST.address)
    assert town.lab.ask(town.isp, FIRST.address) is None


def test_guests_are_seen_as_their_floating_ip_or_the_router(town: Town) -> None:
    town.associate(FIRST.address, ALICE, ALICES)
    assert town.lab.ask(town.alice, ISP) == (town.isp, str(FIRST.address))
    assert town.lab.ask(town.bob, ISP) == (town.isp, str(ROUTERS_OWN))
    assert town.lab.ask(town.dave, ISP) is None


def test_floating_ips_lead_to_guests_of_the_same_router_too(town: Town) -> None:
    town.associate(FIRST.address, ALICE, ALICES)
    town.associate(SECOND.address, BOB, BOBS)
    assert town.lab.ask(town.alice, FIRST.address) == (town.alice, str(FIRST.address))
    assert town.lab.ask(town.bob, FIRST.address) == (town.alice, str(SECOND.address))
    assert town.lab.ask(town.carol, FIRST.address) == (town.alice, str(ROUTERS_OWN))


def test_networks_of_one_router_meet_only_by_floating_ips(town: Town) -> None:
    assert town.lab.ask(town.carol, ALICES) is None
    assert town.lab.ask(town.bob, ALICES) == (town.alice, str(BOBS))


def test_a_router_itself_answers_pings_and_the_questions_of_guests_and_nothing_else(town: Town) -> None:
    """Even if something listens there."""
    lab, router = town.lab, town.lab.router(town.cloud.routers[0])
    lab.echo(router, LISTENS)
    lab.stream(router, LISTENS)
    for who, address in (
        (town.alice, "10.0.1.1"),
        (town.alice, "10.0.2.1"),
        (town.alice, ROUTERS_OWN),
        (town.isp, ROUTERS_OWN),
    ):
        assert lab.ask(who, address, LISTENS, 0.1) is None
        with pytest.raises(TimeoutError):
            connect(lab, who, str(address), 0.2)
        lab.at(who, "ping", "-c1", "-W9", str(address))
    assert is_told_names(lab, town.alice, "10.0.1.1", 9)
    assert not is_told_names(lab, town.isp, str(ROUTERS_OWN), 0.1)
    # But for the rules they would reach it.
    lab.at(router, "nft", "insert", "rule", "ip", "mooring", "own", "accept")
    assert lab.ask(town.alice, "10.0.1.1", LISTENS, 9) is not None
    connect(lab, town.isp, str(ROUTERS_OWN), 9)


def connect(lab: Lab, who: str, address: str, wait: float) -> None:
    caller = lab.open(who, kind=socket.SOCK_STREAM)
    caller.settimeout(wait)
    caller.connect((address, LISTENS))


def is_told_names(lab: Lab, who: str, server: str, wait: float) -> bool:
    """Say whether somebody gets an answer from a DNS server."""
    client = lab.open(who)
    client.settimeout(wait)
    client.sendto(b"\0\7" + b"\0\0\0\1" + bytes(6) + b"\7mooring\x08internal\0" + b"\0\1\0\1", (server, 53))
    try:
        return client.recv(512)[:2] == b"\0\7"
    except TimeoutError:
        return False


def test_no_private_source_ever_leaves(town: Town) -> None:
    stop = threading.Event()

    def chatter(guest: str) -> None:
        # Some flows last, some are new each time.
        talkers = [town.lab.open(guest) for _ in range(20)]
        talkers[0].bind(("", 4000))
        while not stop.is_set():
            for target in (str(ISP), "192.0.2.1"):
                for talker in (talkers[0], random.choice(talkers)):
                    talker.sendto(b"hello", (target, random.randrange(5000, 6000)))
                talkers[0].sendto(b"hello", (target, ECHO))
            time.sleep(0.002)

    talkers = [
        threading.Thread(target=chatter, args=(guest,)) for guest in (town.alice, town.bob, town.carol, town.dave)
    ]
    with town.lab.capture(town.isp, outgoing=False) as frames:
        for talker in talkers:
            talker.start()
        for _ in range(6):
            town.associate(FIRST.address, ALICE, ALICES)
            town.associate(FIRST.address, BOB, BOBS)
            town.disassociate(FIRST.address)
        ports = {key: value for key, value in town.cloud.state.items() if key.table == PORT}
        town.lab.settle({**replace(town.cloud, nics=()).state, **ports})
        town.become(town.cloud)
        stop.set()
        for talker in talkers:
            talker.join()
        time.sleep(0.1)
        seen = sources(frames())
    assert seen == {FIRST.address, ROUTERS_OWN}


class Ping:
    """Pings an address as a process of its own, whose packets wait for nobody here."""

    def __init__(self, lab: Lab, namespace: str, target: IPv4Address) -> None:
        command = ["nsenter", f"--net=/run/netns/{namespace}", "ping", "-n", "-i", "0.002", "-W", "1", str(target)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        time.sleep(0.2)

    def end(self) -> tuple[int, set[int]]:
        """Return how many were lost, and with which times to live the answers came.

        The signal that ends it comes between a question and its answer as well as elsewhere: what was asked in the last 100 ms isn't missed.
        """
        time.sleep(0.2)
        self._process.send_signal(signal.SIGINT)
        said, _ = self._process.communicate()
        sent = int(re.findall(r"(\d+) packets transmitted", said)[0])
        assert sent > 100
        answered = {int(number) for number in re.findall(r"icmp_seq=(\d+) ttl", said)}
        return len(set(range(1, sent - 49)) - answered), {int(ttl) for ttl in re.findall(r"ttl=(\d+)", said)}


def test_a_move_under_traffic_loses_nothing(town: Town) -> None:
    for ttl, guest in ((50, town.alice), (40, town.bob)):
        town.lab.at(guest, "sysctl", "-qw", f"net.ipv4.ip_default_ttl={ttl}")
    town.associate(FIRST.address, ALICE, ALICES)
    ping = Ping(town.lab, town.isp, FIRST.address)
    for _ in range(5):
        for nic, fixed in ((BOB, BOBS), (ALICE, ALICES)):
            town.associate(FIRST.address, nic, fixed)
            time.sleep(0.05)
    assert ping.end() == (0, {49, 39})


def test_neighbours_lose_nothing_when_an_address_moves(town: Town) -> None:
    town.associate(FIRST.address, ALICE, ALICES)
    town.associate(SECOND.address, BOB, BOBS)
    inbound, outbound = Ping(town.lab, town.isp, SECOND.address), Ping(town.lab, town.carol, ISP)
    for _ in range(5):
        town.disassociate(FIRST.address)
        town.associate(FIRST.address, ALICE, ALICES)
    assert inbound.end()[0] == outbound.end()[0] == 0


def connected(town: Town, client: str, server: str, target: IPv4Address) -> tuple[socket.socket, socket.socket]:
    """Connect by TCP; return both ends."""
    listener = town.lab.stream(server, 8)
    caller = town.lab.open(client, kind=socket.SOCK_STREAM)
    caller.connect((str(target), 8))
    answerer = town.lab.keep(listener.accept()[0])
    answerer.settimeout(0.5)
    listener.close()
    return caller, answerer


def passes(sender: socket.socket, receiver: socket.socket, text: bytes) -> bool:
    """Say whether something sent arrives."""
    try:
        sender.send(text)
        return receiver.recv(100) == text
    except (TimeoutError, ConnectionResetError):
        return False


def flows(town: Town, *options: str) -> str:
    return town.lab.at(town.lab.router(town.cloud.routers[0]), "conntrack", "-L", *options)


def test_flows_of_a_released_address_end_in_both_directions(town: Town) -> None:
    town.associate(FIRST.address, ALICE, ALICES)
    into = connected(town, town.isp, town.alice, FIRST.address)
    out = connected(town, town.alice, town.isp, ISP)
    for one, other in (into, out):
        assert passes(one, other, b"there")
        assert passes(other, one, b"and back")
    with town.lab.capture(town.isp, outgoing=False) as frames:
        town.disassociate(FIRST.address)
        assert flows(town, "-d", str(FIRST.address)) == flows(town, "-q", str(FIRST.address)) == ""
        for one, other in (into, out):
            assert not passes(one, other, b"more there")
            assert not passes(other, one, b"more back")
        assert FIRST.address not in sources(frames())


def test_a_released_address_takes_no_flow_of_others_along(town: Town) -> None:
    town.associate(FIRST.address, ALICE, ALICES)
    others = connected(town, town.bob, town.isp, ISP)
    town.disassociate(FIRST.address)
    town.become(replace(town.cloud, nics=tuple(nic for nic in town.cloud.nics if nic.id != ALICE)))
    assert passes(others[0], others[1], b"still there")
    assert passes(others[1], others[0], b"still back")


def test_an_association_leaves_flows_that_began_before(town: Town) -> None:
    old = connected(town, town.alice, town.isp, ISP)
    town.associate(FIRST.address, ALICE, ALICES)
    assert passes(old[0], old[1], b"still there")
    assert town.lab.ask(town.alice, ISP) == (town.isp, str(FIRST.address))


def test_an_address_is_announced_three_times(town: Town) -> None:
    with town.lab.capture(town.isp, outgoing=False) as frames:
        town.associate(FIRST.address, ALICE, ALICES)
        eventually(lambda: announced(frames(), FIRST.address) == 3)
    with town.lab.capture(town.isp, outgoing=False) as frames:
        town.associate(SECOND.address, BOB, BOBS)
        town.disassociate(SECOND.address)
        time.sleep(0.4)
        assert announced(frames(), SECOND.address) == 1


def test_neighbours_follow_an_address_to_another_router(town: Town) -> None:
    first = town.cloud.routers[0]
    other = RouterIntent(type(first.id)(uuid("b", 1)), 1, (), (router_uplink(1, 0),))
    town.become(replace(town.cloud, routers=(first, other)))
    town.associate(FIRST.address, ALICE, ALICES)
    assert town.lab.ask(town.isp, FIRST.address) == (town.alice, str(ISP))
    assert router_uplink(0, 0).mac in town.lab.ip(town.isp, f"neighbour show {FIRST.address}")
    owned = {key: value for key, value in town.cloud.state.items() if FIRST.address in key.row}
    without = {key: value for key, value in town.cloud.state.items() if key not in owned}
    there = {replace(key, place=replace(key.place, id=other.id)): value for key, value in owned.items()}
    devices = {"mu" + other.uplinks[0].uplink.replace("-", "")[:11]}
    assert all(not isinstance(key.row[0], str) or key.row[0] in devices for key in there)
    town.lab.settle({**without, **there})
    assert router_uplink(1, 0).mac in town.lab.ip(town.isp, f"neighbour show {FIRST.address}")
