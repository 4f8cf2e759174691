"""What a guest sends that it must not: none of it arrives anywhere.  And what it may send: all of it does.

Each frame is followed by one that is in order, on the same way: when that one has arrived, the other would have.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from socket import AF_INET6, AF_PACKET, SOCK_RAW, htons, socket

import pytest

from mooring.compile.filters import link_local
from mooring.model.ids import bridge_name, inner_name
from mooring.model.subjects import NicFilter
from tests.backends.frames import (
    ARP,
    BROADCAST,
    DESTINATION_OPTIONS,
    FRAGMENT,
    HOP_BY_HOP,
    ICMP6,
    IP,
    IP6,
    QINQ,
    UDP,
    VLAN,
    advertisement,
    arp,
    ether,
    fragment6,
    icmp6,
    ip,
    ip6,
    llc,
    options,
    raw,
    router_advertisement,
    solicitation,
    udp,
)
from tests.backends.lab import Lab, eventually
from tests.compile.small import RED, small
from tests.compile.walled import OPEN, walled
from tests.strategies import Cloud, mac

pytestmark = pytest.mark.kernel

ETH_P_ALL = 3
MALLORY, VICTIM, GATEWAY = mac(0xD0, 0), mac(0xD0, 1), mac(0xA0, 1)
MINE, VICTIMS, GATEWAYS, NOBODYS = "10.0.1.3", "10.0.1.4", "10.0.1.1", "10.0.1.99"
ANY, NONE = "0.0.0.0", "00:00:00:00:00:00"  # noqa: S104 - the address of who has none
MINE6, VICTIMS6, GATEWAYS6 = str(link_local(MALLORY)), str(link_local(VICTIM)), str(link_local(GATEWAY))
ALL_NODES, ALL_ROUTERS, SERVERS6 = "ff02::1", "ff02::2", "ff02::1:2"
MULTICAST6 = "33:33:00:00:00:01"

HELLO = udp(4000, 4001)
SPOOFED = ip(VICTIMS, GATEWAYS, UDP, HELLO)
CLAIM = arp(2, (MALLORY, GATEWAYS), (VICTIM, VICTIMS))
OFFER = b"\x02\x01\x06\x00" + b"\x07" * 236 + b"\x63\x82\x53\x63\x35\x01\x02\xff"
DISCOVER = b"\x01\x01\x06\x00" + b"\x07" * 24 + raw(MALLORY) + bytes(202) + b"\x63\x82\x53\x63\x35\x01\x01\xff"
YOURS = DISCOVER.replace(raw(MALLORY), raw(VICTIM))
RA = router_advertisement(MINE6, ALL_NODES, MALLORY)
REDIRECT = icmp6(MINE6, VICTIMS6, 137, bytes(4) + IPv6Address(MINE6).packed + IPv6Address("2001:db8::1").packed)
NA = advertisement(MINE6, VICTIMS6, GATEWAYS6, MALLORY)


def at(target: str, kind: int, payload: bytes, *tags: int) -> bytes:
    """Return a frame from the attacker under its own hardware address."""
    return ether(target, MALLORY, kind, payload, *tags)


def six(target: str, protocol: int, payload: bytes, source: str = MINE6) -> bytes:
    return at(MULTICAST6, IP6, ip6(source, target, protocol, payload))


def two(ends: tuple[str, str]) -> list[IPv6Address]:
    return [IPv6Address(end) for end in ends]


ATTACKS: dict[str, bytes] = {
    # Somebody else's addresses
    "arp: I am the gateway": at(VICTIM, ARP, CLAIM),
    "arp: I am the gateway, to all": at(BROADCAST, ARP, arp(1, (MALLORY, GATEWAYS), (NONE, GATEWAYS))),
    "arp: I am you, to the gateway": at(GATEWAY, ARP, arp(2, (MALLORY, VICTIMS), (GATEWAY, GATEWAYS))),
    "arp: nobody's address": at(BROADCAST, ARP, arp(1, (MALLORY, NOBODYS), (NONE, VICTIMS))),
    "arp: my address is elsewhere": at(BROADCAST, ARP, arp(2, (VICTIM, MINE), (NONE, GATEWAYS))),
    "arp: a hardware address of another": ether(GATEWAY, VICTIM, ARP, arp(2, (VICTIM, VICTIMS), (GATEWAY, GATEWAYS))),
    "arp: a probe that makes you give up": at(BROADCAST, ARP, arp(1, (MALLORY, ANY), (NONE, VICTIMS))),
    "arp: an answer from nowhere": at(VICTIM, ARP, arp(2, (MALLORY, ANY), (VICTIM, VICTIMS))),
    "arp: of other hardware": at(BROADCAST, ARP, arp(2, (MALLORY, MINE), (NONE, VICTIMS), kind=6)),
    "arp: the reverse": at(BROADCAST, ARP, arp(4, (MALLORY, MINE), (NONE, VICTIMS))),
    "ipv4: your address": at(GATEWAY, IP, SPOOFED),
    "ipv4: nobody's address": at(VICTIM, IP, ip(NOBODYS, VICTIMS, UDP, HELLO)),
    "ipv4: the gateway's address": at(VICTIM, IP, ip(GATEWAYS, VICTIMS, UDP, HELLO)),
    "ipv4: no address": at(VICTIM, IP, ip(ANY, VICTIMS, UDP, HELLO)),
    "ipv4: its own machine's address": at(VICTIM, IP, ip("127.0.0.1", VICTIMS, UDP, HELLO)),
    "ipv4: a first fragment": at(GATEWAY, IP, ip(VICTIMS, GATEWAYS, UDP, HELLO + b"123", more=True)),
    "ipv4: a later fragment": at(GATEWAY, IP, ip(VICTIMS, GATEWAYS, UDP, b"x" * 32, 16)),
    "ipv4: a hardware address of another": ether(VICTIM, GATEWAY, IP, ip(MINE, VICTIMS, UDP, HELLO)),
    "ipv4: both of another": ether(GATEWAY, VICTIM, IP, SPOOFED),
    "ipv6: your address": at(
        MULTICAST6, IP6, ip6(VICTIMS6, ALL_NODES, UDP, udp(1, 2, b"", two((VICTIMS6, ALL_NODES))))
    ),
    "ipv6: nobody's address": six(ALL_NODES, UDP, udp(1, 2, b"", two(("2001:db8::99", ALL_NODES))), "2001:db8::99"),
    "ipv6: a hardware address of another": ether(MULTICAST6, VICTIM, IP6, ip6(MINE6, ALL_NODES, UDP, HELLO)),
    # Tags, and frames that are no IP at all
    "tag: arp": at(VICTIM, ARP, CLAIM, VLAN),
    "tag: arp, two tags": at(VICTIM, ARP, CLAIM, VLAN, VLAN),
    "tag: arp, a provider's": at(VICTIM, ARP, CLAIM, QINQ),
    "tag: ipv4": at(GATEWAY, IP, SPOOFED, VLAN),
    "tag: ipv4, a provider's tag around": at(GATEWAY, IP, SPOOFED, QINQ, VLAN),
    "tag: in order but for the tag": at(VICTIM, IP, ip(MINE, VICTIMS, UDP, HELLO), VLAN),
    "tag: router advertisement": at(MULTICAST6, IP6, ip6(MINE6, ALL_NODES, ICMP6, RA), VLAN),
    "llc: spanning tree": llc("01:80:c2:00:00:00", MALLORY, b"\x42\x42\x03" + bytes(35)),
    "llc: spanning tree, to you": llc(VICTIM, MALLORY, b"\x42\x42\x03" + bytes(35)),
    "llc: arp in snap": llc(VICTIM, MALLORY, b"\xaa\xaa\x03\0\0\0\x08\x06" + CLAIM),
    "type: lldp": at("01:80:c2:00:00:0e", 0x88CC, bytes(40)),
    "type: lldp, to you": at(VICTIM, 0x88CC, bytes(40)),
    "type: slow protocols": at(VICTIM, 0x8809, bytes(40)),
    "type: 802.1x": at(VICTIM, 0x888E, bytes(40)),
    "type: pppoe": at(BROADCAST, 0x8863, bytes(40)),
    "type: mpls": at(VICTIM, 0x8847, b"\0\0\x11\x40" + SPOOFED),
    "type: reverse arp": at(BROADCAST, 0x8035, arp(3, (MALLORY, MINE), (VICTIM, VICTIMS))),
    "type: nobody's": at(VICTIM, 0x88B5, bytes(40)),
    "runt": raw(VICTIM) + raw(MALLORY) + b"\x08\x00" + b"\x45",
    # What routers and servers say
    "dhcp: an offer": at(VICTIM, IP, ip(MINE, VICTIMS, UDP, udp(67, 68, OFFER))),
    "dhcp: an offer, to all": at(BROADCAST, IP, ip(MINE, "255.255.255.255", UDP, udp(67, 68, OFFER))),
    "dhcp: an offer's first fragment": at(VICTIM, IP, ip(MINE, VICTIMS, UDP, udp(67, 68, OFFER)[:64], more=True)),
    "dhcp: an offer from no address": at(BROADCAST, IP, ip(ANY, "255.255.255.255", UDP, udp(67, 68, OFFER))),
    "dhcp: in your name": at(BROADCAST, IP, ip(ANY, "255.255.255.255", UDP, udp(68, 67, YOURS))),
    "dhcp: in your name, from my address": at(GATEWAY, IP, ip(MINE, GATEWAYS, UDP, udp(68, 67, YOURS))),
    "dhcp: in nobody's name": at(
        BROADCAST, IP, ip(ANY, "255.255.255.255", UDP, udp(68, 67, DISCOVER.replace(raw(MALLORY), bytes(6))))
    ),
    "dhcp: in whose name the second fragment says": at(
        GATEWAY, IP, ip(MINE, GATEWAYS, UDP, udp(68, 67, DISCOVER)[:32], more=True)
    ),
    "dhcpv6: a reply": six(ALL_NODES, UDP, udp(547, 546, b"\x07" * 20, two((MINE6, ALL_NODES)))),
    "dhcpv6: a reply's fragment": six(ALL_NODES, FRAGMENT, fragment6(UDP, udp(547, 546, b"\x07" * 24), more=True)),
    "nd: router advertisement": six(ALL_NODES, ICMP6, RA),
    "nd: router advertisement behind options": six(ALL_NODES, DESTINATION_OPTIONS, options(ICMP6, RA)),
    "nd: router advertisement behind two headers": six(
        ALL_NODES, HOP_BY_HOP, options(DESTINATION_OPTIONS, options(ICMP6, RA))
    ),
    "nd: router advertisement in fragments": six(ALL_NODES, FRAGMENT, fragment6(ICMP6, RA[:8], more=True)),
    "nd: router advertisement, hidden in the second": six(
        ALL_NODES, FRAGMENT, fragment6(DESTINATION_OPTIONS, options(ICMP6, b""), more=True)
    ),
    "nd: the second fragment": six(ALL_NODES, FRAGMENT, fragment6(ICMP6, RA[8:], 8)),
    "nd: redirect": six(VICTIMS6, ICMP6, REDIRECT),
    "nd: I am the gateway": six(VICTIMS6, ICMP6, NA),
    "nd: I am the gateway, to all": six(ALL_NODES, ICMP6, advertisement(MINE6, ALL_NODES, GATEWAYS6, MALLORY)),
    "nd: I am the gateway, behind options": six(VICTIMS6, DESTINATION_OPTIONS, options(ICMP6, NA)),
    "nd: I am the gateway, from no address": six(
        ALL_NODES, ICMP6, advertisement("::", ALL_NODES, GATEWAYS6, MALLORY), source="::"
    ),
    "nd: a probe that makes you give up": six(ALL_NODES, ICMP6, solicitation("::", ALL_NODES, VICTIMS6), source="::"),
    "nd: who are you, says the gateway": six(ALL_NODES, ICMP6, solicitation(GATEWAYS6, ALL_NODES, VICTIMS6), GATEWAYS6),
    "mld: a query": six(ALL_NODES, ICMP6, icmp6(MINE6, ALL_NODES, 130, bytes(20))),
    "ipv6: renumbering": six(ALL_NODES, ICMP6, icmp6(MINE6, ALL_NODES, 138, bytes(12))),
    # What is not for the one it is sent to
    "ipv4: to you, for another": at(VICTIM, IP, ip(MINE, NOBODYS, UDP, HELLO)),
}

NOT_FORWARDED = {"llc: spanning tree", "type: lldp", "runt"}
"""A bridge keeps such frames for its host, and we keep them from that; and a packet without a whole header goes nowhere anyhow."""


def core(frame: bytes) -> bytes:
    """Return what stays of a frame on its way: the kernel takes a tag out and tells of it apart, and cuts what pads a packet."""
    rest = frame[12:]
    while rest[:2] in {b"\x81\x00", b"\x88\xa8"}:
        rest = rest[4:]
    return frame[:12] + rest.rstrip(b"\0")


WHO = (("victim", VICTIM, VICTIMS), ("router", GATEWAY, GATEWAYS))


class Street:
    """A bridge with an attacker, a victim and a router, and who listens there."""

    def __init__(self, lab: Lab, cloud: Cloud) -> None:
        self.lab = lab
        lab.settle(cloud.state)
        router = cloud.routers[0]
        self.mallory, self.victim = (lab.guest(nic, router) for nic in cloud.nics[:2])
        for guest in (self.mallory, self.victim):
            eventually(partial(self._is_settled, guest), 20)
        self.sender = self.on(self.mallory, "eth0")
        places = {"victim": (self.victim, "eth0"), "router": (lab.router(router), inner_name(RED))}
        self.ears = {name: self.on(*place) for name, place in places.items()}
        self.host = self.on(lab.host, bridge_name(RED))

    def _is_settled(self, guest: str) -> bool:
        """Say whether a guest knows by now that nobody else has its link-local address."""
        return "tentative" not in self.lab.ip(guest, "-6 address show dev eth0")

    def on(self, namespace: str, device: str) -> socket:
        made = self.lab.open(namespace, AF_PACKET, SOCK_RAW, htons(ETH_P_ALL))
        made.bind((device, ETH_P_ALL))
        return made

    def heard(self, *frames: bytes) -> set[str]:
        """Send frames as the attacker, and then one that is in order; return who heard any of them before that."""
        # A bridge that was told by the last one that somebody is where he isn't hears of him again.
        for (name, hardware, address), other in zip(WHO, reversed(WHO), strict=True):
            self.ears[name].send(here := ether(BROADCAST, hardware, ARP, arp(1, (hardware, address), (NONE, address))))
            assert list(self._until(self.ears[other[0]], here)) is not None
        for frame in frames:
            self.sender.send(frame)
        fence = at(BROADCAST, ARP, arp(1, (MALLORY, MINE), (NONE, MINE)))
        self.sender.send(fence)
        heard = {name: list(self._until(ear, fence)) for name, ear in self.ears.items()}
        heard["host"] = list(self._at_once(self.host))
        wanted = {core(frame) for frame in frames}
        return {name for name, some in heard.items() if any(core(got) in wanted for got in some)}

    def _until(self, ear: socket, fence: bytes) -> Iterator[bytes]:
        ear.settimeout(10)
        while (got := ear.recv(4096)) != fence:
            yield got

    def _at_once(self, ear: socket) -> Iterator[bytes]:
        """Yield what the host's own side of the bridge has heard by now, where nothing of a filtered port's arrives, the fence neither."""
        ear.settimeout(0)
        try:
            while True:
                yield ear.recv(4096)
        except BlockingIOError:
            return


@pytest.fixture
def street(lab: Lab) -> Street:
    return Street(lab, walled(OPEN, members=((1,), (1,), (1,), (1,))))


def test_no_attack_arrives_anywhere(street: Street) -> None:
    arrived = {name: heard for name, frame in ATTACKS.items() if (heard := street.heard(frame))}
    assert arrived == {}


def test_each_attack_would_arrive_but_for_the_filter(lab: Lab) -> None:
    """Else it would say nothing that it doesn't."""
    street = Street(lab, small())
    silent = {name for name, frame in ATTACKS.items() if not street.heard(frame)}
    assert silent <= NOT_FORWARDED


ORDERLY: dict[str, tuple[bytes, set[str]]] = {
    "arp: who has your address": (at(BROADCAST, ARP, arp(1, (MALLORY, MINE), (NONE, VICTIMS))), {"victim", "router"}),
    "arp: here I am": (at(BROADCAST, ARP, arp(2, (MALLORY, MINE), (BROADCAST, MINE))), {"victim", "router"}),
    "arp: is anybody else me": (at(BROADCAST, ARP, arp(1, (MALLORY, ANY), (NONE, MINE))), {"victim", "router"}),
    "arp: an answer": (at(VICTIM, ARP, arp(2, (MALLORY, MINE), (VICTIM, VICTIMS))), {"victim"}),
    "dhcp: who gives me an address": (
        at(BROADCAST, IP, ip(ANY, "255.255.255.255", UDP, udp(68, 67, DISCOVER))),
        {"router"},
    ),
    "dhcp: may I keep it": (at(GATEWAY, IP, ip(MINE, GATEWAYS, UDP, udp(68, 67, DISCOVER))), {"router"}),
    "dhcpv6: who gives me an address": (
        six(SERVERS6, UDP, udp(546, 547, b"\x01" * 20, two((MINE6, SERVERS6)))),
        {"router"},
    ),
    "ipv4: to you": (at(VICTIM, IP, ip(MINE, VICTIMS, UDP, HELLO)), {"victim"}),
    "ipv4: to all": (at(BROADCAST, IP, ip(MINE, "255.255.255.255", UDP, HELLO)), {"victim", "router"}),
    "ipv4: to some": (at("01:00:5e:00:00:12", IP, ip(MINE, "224.0.0.18", 112, b"\x21" * 20)), {"victim", "router"}),
    "nd: is anybody else me": (six(ALL_NODES, ICMP6, solicitation("::", ALL_NODES, MINE6), "::"), {"victim", "router"}),
    "nd: who are you": (six(ALL_NODES, ICMP6, solicitation(MINE6, ALL_NODES, VICTIMS6)), {"victim", "router"}),
    "nd: here I am": (
        six(ALL_NODES, ICMP6, advertisement(MINE6, ALL_NODES, MINE6, MALLORY)),
        {"victim", "router"},
    ),
    "nd: are there routers": (six(ALL_ROUTERS, ICMP6, icmp6(MINE6, ALL_ROUTERS, 133, bytes(4))), {"victim", "router"}),
    "mld: I listen": (six("ff02::16", ICMP6, icmp6(MINE6, "ff02::16", 143, bytes(4))), {"victim", "router"}),
    "ipv6: behind options": (
        six(ALL_NODES, DESTINATION_OPTIONS, options(UDP, udp(4000, 4001, b"hello", two((MINE6, ALL_NODES))))),
        {"victim", "router"},
    ),
    "ipv6: behind two headers": (
        six(
            ALL_NODES,
            HOP_BY_HOP,
            options(DESTINATION_OPTIONS, options(UDP, udp(4000, 4001, b"hello", two((MINE6, ALL_NODES))))),
        ),
        {"victim", "router"},
    ),
}


def test_what_is_in_order_arrives_where_it_should(street: Street) -> None:
    arrived = {name: street.heard(frame) for name, (frame, _) in ORDERLY.items()}
    assert arrived == {name: wanted for name, (_, wanted) in ORDERLY.items()}


def test_fragments_of_what_is_in_order_are_put_together(lab: Lab) -> None:
    cloud, wide = walled(OPEN, members=((1,),) * 4), ("2001:db8::a", "2001:db8::b")
    nics = [replace(nic, filter=NicFilter((1,), (IPv6Address(it),))) for nic, it in zip(cloud.nics, wide, strict=False)]
    street = Street(lab, replace(cloud, nics=(*nics, *cloud.nics[2:])))
    for guest, address in zip((street.mallory, street.victim), wide, strict=True):
        lab.ip(guest, f"-6 address add {address}/64 dev eth0 nodad")
    lab.echo(street.victim)
    client = lab.open(street.mallory)
    client.settimeout(5)
    client.sendto(b"x" * 1900, (VICTIMS, 7))
    assert client.recv(4096).endswith(b"x" * 1900)
    client, server = lab.open(street.mallory, AF_INET6), lab.open(street.victim, AF_INET6)
    server.bind(("::", 9))
    server.settimeout(5)
    client.sendto(b"y" * 1900, (wide[1], 9))
    assert server.recv(4096) == b"y" * 1900
    # Between addresses that are for one link only there are no fragments: what hosts must believe there always fits into one packet.
    scope = int(lab.ip(street.mallory, "-o link show dev eth0").split(":")[0])
    client.sendto(b"y" * 1900, (VICTIMS6, 9, 0, scope))
    client.sendto(b"y" * 1000, (VICTIMS6, 9, 0, scope))
    assert server.recv(4096) == b"y" * 1000


def test_a_port_has_room_for_257_addresses_and_no_more(lab: Lab) -> None:
    more = tuple(IPv4Address("10.0.1.0") + number for number in range(10, 256))
    more += tuple(IPv4Address("10.0.7.0") + number for number in range(10))
    six_more = tuple(IPv6Address("2001:db8::1") + number for number in range(256))
    assert len(more) == len(six_more) == 256
    cloud = walled(OPEN, members=((1,),) * 4)
    wide = (replace(cloud.nics[0], filter=NicFilter((1,), (*more, *six_more))), *cloud.nics[1:])
    street = Street(lab, replace(cloud, nics=wide))
    sources = [IPv4Address(MINE), *more]

    def sent(source: IPv4Address) -> bool:
        return street.heard(at(VICTIM, IP, ip(str(source), VICTIMS, UDP, HELLO))) == {"victim"}

    assert all(sent(source) for source in (sources[0], sources[1], sources[-1], sources[128]))
    own = {IPv4Address(line.split(" . ")[2]) for line in elements(lab, "own4") if MALLORY in line}
    assert own == {*sources, IPv4Address(ANY)}
    assert not sent(IPv4Address("10.0.7.10"))
    for source in (six_more[0], six_more[-1]):
        packet = udp(4000, 4001, b"hello", two((str(source), ALL_NODES)))
        assert street.heard(six(ALL_NODES, UDP, packet, str(source))) == {"victim", "router"}
    # What was taken away can't be used from then on.
    fewer = (replace(cloud.nics[0], filter=NicFilter((1,), (*more[1:], *six_more))), *cloud.nics[1:])
    lab.settle(replace(cloud, nics=fewer).state)
    assert not sent(sources[1])
    assert sent(sources[2])


def elements(lab: Lab, name: str) -> list[str]:
    """Return the elements of a set of the guard's, as nft writes them."""
    text = lab.at(lab.host, "nft", "list", "set", "bridge", "mooring", name).partition("elements = {")[2]
    return [" . ".join(part.strip() for part in it.split(" . ")) for it in text.partition("}")[0].split(",")]


ALLOWED, ALLOWED6 = "10.0.1.50", "2001:db8::50"
BESIDE_WHAT_IS_ALLOWED: dict[str, bytes] = {
    "the next address": at(VICTIM, IP, ip("10.0.1.51", VICTIMS, UDP, HELLO)),
    "under a hardware address of another": ether(GATEWAY, VICTIM, IP, ip(ALLOWED, GATEWAYS, UDP, HELLO)),
    "arp: it is at your place": at(BROADCAST, ARP, arp(2, (VICTIM, ALLOWED), (NONE, GATEWAYS))),
    "arp: it is nobody's, and yours is mine": at(BROADCAST, ARP, arp(1, (MALLORY, ANY), (NONE, VICTIMS))),
    "arp: yours is mine": at(BROADCAST, ARP, arp(2, (MALLORY, VICTIMS), (NONE, GATEWAYS))),
    "dhcp: an offer from there": at(VICTIM, IP, ip(ALLOWED, VICTIMS, UDP, udp(67, 68, OFFER))),
    "dhcp: in your name from there": at(GATEWAY, IP, ip(ALLOWED, GATEWAYS, UDP, udp(68, 67, YOURS))),
    "nd: it is at your place": ether(
        MULTICAST6, VICTIM, IP6, ip6(ALLOWED6, ALL_NODES, ICMP6, advertisement(ALLOWED6, ALL_NODES, ALLOWED6, VICTIM))
    ),
    "nd: the gateway's is mine": six(
        ALL_NODES, ICMP6, advertisement(ALLOWED6, ALL_NODES, GATEWAYS6, MALLORY), ALLOWED6
    ),
    "nd: router advertisement from there": six(
        ALL_NODES, ICMP6, router_advertisement(ALLOWED6, ALL_NODES, MALLORY), ALLOWED6
    ),
}


def test_what_is_allowed_gives_nothing_beside_it(lab: Lab) -> None:
    cloud = walled(OPEN, members=((1,),) * 4)
    extra = (IPv4Address(ALLOWED), IPv6Address(ALLOWED6))
    street = Street(lab, replace(cloud, nics=(replace(cloud.nics[0], filter=NicFilter((1,), extra)), *cloud.nics[1:])))
    assert street.heard(at(VICTIM, IP, ip(ALLOWED, VICTIMS, UDP, HELLO))) == {"victim"}
    here = at(BROADCAST, ARP, arp(2, (MALLORY, ALLOWED), (NONE, ALLOWED)))
    assert street.heard(here) == {"victim", "router"}
    arrived = {name: heard for name, frame in BESIDE_WHAT_IS_ALLOWED.items() if (heard := street.heard(frame))}
    assert arrived == {}
    # It is for this wire: the router lets nobody out as it.
    far = "192.0.2.77"
    with lab.capture(lab.isp(0)) as frames:
        for source in (ALLOWED, MINE):
            assert street.heard(at(GATEWAY, IP, ip(source, far, UDP, HELLO))) == {"router"}
        eventually(lambda: [frame for frame in frames() if IPv4Address(far).packed in frame])
    packets = [frame[26:34] for frame in frames() if frame[30:34] == IPv4Address(far).packed]
    assert [source for source in packets if IPv4Address(ALLOWED).packed in source] == []


def test_what_the_bridge_does_not_know_is_not_flooded_to_guests(street: Street) -> None:
    stranger = mac(0xEE, 1)
    assert street.heard(at(stranger, IP, ip(MINE, NOBODYS, UDP, HELLO))) == {"router"}
    assert street.heard(at(stranger, ARP, arp(2, (MALLORY, MINE), (stranger, NOBODYS)))) == {"router"}


def test_nobody_takes_a_guests_place_from_elsewhere_on_the_bridge(street: Street) -> None:
    """Who is not filtered, as another host's guest may be, sends as the victim: the bridge goes on knowing where he is."""
    lab = street.lab
    lab.ip(lab.host, f"link add alien type veth peer name alien-end netns {street.mallory}")
    lab.ip(lab.host, f"link set alien master {bridge_name(RED)} up")
    lab.ip(street.mallory, "link set alien-end up")
    alien = street.on(street.mallory, "alien-end")
    alien.send(ether(BROADCAST, VICTIM, ARP, arp(1, (VICTIM, VICTIMS), (NONE, VICTIMS))))
    assert street.heard(at(VICTIM, IP, ip(MINE, VICTIMS, UDP, HELLO))) == {"victim"}
