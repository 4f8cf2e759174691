"""trace() against real packets past filters: what it says of any packet, answer and flow is what becomes of it, whatever the groups are.

Guests are bare devices that speak frames only, so that nothing answers by itself.
"""

import socket
import struct
from collections import Counter
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Network
from itertools import permutations

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mooring.compile.filters import link_local
from mooring.compile.journey import Flow, FromGuest, Header, IpProtocol, Outcome, Packet
from mooring.compile.trace import round_trip, trace, ways_in
from mooring.model.ids import guest_end_name, port_name
from mooring.model.subjects import Direction, FilterRule, NicIntent
from tests.backends.lab import ECHO, Lab, eventually
from tests.compile.filtered import NETWORK, Filtered, address, address6, filtered, nic, number, sent
from tests.compile.sending import CAROL_IP, OWN
from tests.compile.small import CAROL, FIRST, FREE, SECOND
from tests.compile.walled import OPEN, OUTWARD, group, own, walled
from tests.strategies import mac, provider

pytestmark = pytest.mark.kernel

GUESTS, ALL = 5, 3
ETHER_TYPES = {4: b"\x08\x00", 6: b"\x86\xdd"}
ECHO_REQUESTS, ECHO_REPLIES = {4: 8, 6: 128}, {4: 0, 6: 129}
SYN, SYN_ACK, ACK = 0x02, 0x12, 0x10

_patiently = settings(
    max_examples=6,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example),
)


def checksum(data: bytes) -> int:
    """Return the Internet checksum (RFC 1071)."""
    total: int = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


@dataclass(frozen=True)
class Talk:
    """A flow between two guests, told from all others by its number."""

    number: int
    header: Header
    sender: int
    receiver: int

    def payload(self, header: Header, turn: int) -> bytes:
        """Return what the packet carries: of TCP, the parts of a handshake and a segment after it."""
        token = struct.pack("!HH", self.number, turn)
        is_back = header != self.header
        version = header.dst.version
        if header.protocol is IpProtocol.ICMP:
            kind = (ECHO_REPLIES if is_back else ECHO_REQUESTS)[version]
            body = struct.pack("!BBHHH", kind, 0, 0, self.number, 1) + token
            # Only that of IPv6 is about the addresses, too.
            about = pseudo(header, len(body)) if version == 6 else b""
            return body[:2] + struct.pack("!H", checksum(about + body)) + body[4:]
        ports = struct.pack("!HH", header.sport or 0, header.dport or 0)
        if header.protocol is IpProtocol.UDP:
            body = ports + struct.pack("!HH", 12, 0) + token
            at = 6
        else:
            ours, theirs = (5000, 1000) if is_back else (1000, 5000)
            flags = (SYN, SYN_ACK)[turn] if turn < 2 else ACK
            numbers = (ours + (turn > 1), 0 if flags == SYN else theirs + 1)
            body = ports + struct.pack("!IIBBHHH", *numbers, 0x50, flags, 8192, 0, 0) + token
            at = 16
        return body[:at] + struct.pack("!H", checksum(pseudo(header, len(body)) + body)) + body[at + 2 :]

    def frame(self, header: Header, turn: int) -> bytes:
        """Return an Ethernet frame; the first packet has turn 0, its answer 1, and those after it 2."""
        there, here = (self.receiver, self.sender) if header == self.header else (self.sender, self.receiver)
        payload = self.payload(header, turn)
        version, ends = header.dst.version, header.src.packed + header.dst.packed
        if version == 6:
            head = struct.pack("!IHBB", 6 << 28, len(payload), number(header), 64) + ends
        else:
            head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), self.number, 0, 64, number(header), 0) + ends
            head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
        return hardware(there) + hardware(here) + ETHER_TYPES[version] + head + payload


def pseudo(header: Header, length: int) -> bytes:
    """Return what a checksum is about beside the packet."""
    return header.src.packed + header.dst.packed + struct.pack("!II", length, number(header))


def hardware(guest: int) -> bytes:
    return bytes.fromhex(mac(0xD0, guest).replace(":", ""))


def is_told(receiver: NicIntent, header: Header) -> bool:
    """Say whether facts tell of a packet's goal: of an unfiltered NIC they do not tell all addresses that it takes for itself."""
    return receiver.filter is not None or header.dst in {fixed.address for fixed in receiver.addresses}


class Guests:
    """Five guests that can send and hear frames."""

    def __init__(self, lab: Lab) -> None:
        self.lab, self._round, self._talks = lab, 0, 0
        self.nics = tuple(nic(guest, None) for guest in range(GUESTS))
        lab.settle(Filtered(self.nics, ()).state)
        self.wires: list[socket.socket] = []
        for guest, each in enumerate(self.nics):
            name = lab.add(f"{lab.tag}-g{guest}")
            lab.ip(lab.host, f"link set {guest_end_name(each.id)} netns {name} name eth0 address {each.mac}")
            lab.at(name, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1")
            lab.ip(name, "link set eth0 up")
            wire = lab.open(name, socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL))
            wire.bind(("eth0", ALL))
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            wire.settimeout(0.01)
            self.wires.append(wire)

    def talk(self, header: Header, sender: int, receiver: int) -> Talk:
        """Begin a flow that no other is taken for."""
        self._talks += 1
        if header.sport is not None and header.sport > 1024:
            header = replace(header, sport=20000 + self._talks)
        return Talk(self._talks, header, sender, receiver)

    def exchange(self, frames: list[tuple[int, bytes]]) -> dict[bytes, set[int]]:
        """Send frames, each from a guest; return who heard which of them."""
        for wire in self.wires:
            self._drain(wire)
        for guest, frame in frames:
            self.wires[guest].send(frame)
        # Each guest's question for itself comes after all that was sent before it, and to everybody.
        self._round += 1
        mark = struct.pack("!I", self._round)
        for guest, wire in enumerate(self.wires):
            question = struct.pack("!HHHBBH", 0x0806, 1, 0x0800, 6, 4, 1) + hardware(guest) + address(guest).packed
            wire.send(b"\xff" * 6 + hardware(guest) + question + mark + bytes(2) + address(guest).packed)
        heard: dict[bytes, set[int]] = {}
        marks: Counter[int] = Counter()

        def listen() -> bool:
            for guest, wire in enumerate(self.wires):
                for frame in self._drain(wire):
                    if frame[12:14] == b"\x08\x06" and frame[32:36] == mark:
                        marks[guest] += 1
                    elif frame[12:14] in ETHER_TYPES.values():
                        heard.setdefault(frame, set()).add(guest)
            return all(marks[guest] == GUESTS - 1 for guest in range(GUESTS))

        eventually(listen, 20)
        return heard

    @staticmethod
    def _drain(wire: socket.socket) -> list[bytes]:
        frames: list[bytes] = []
        while True:
            try:
                frame, (_, _, kind, *_) = wire.recvfrom(2048)
            except TimeoutError:
                return frames
            if kind != socket.PACKET_OUTGOING:
                frames.append(frame)


@pytest.fixture
def guests(lab: Lab) -> Guests:
    return Guests(lab)


@dataclass
class Comparison:
    """Holds what is said against what is seen."""

    guests: Guests
    seen: Counter[str]

    def compare(self, host: Filtered, asked: list[tuple[Talk, Header, Flow | None, int]]) -> list[Flow | None]:
        """Send packets and hold each against its trace; return the flows that are remembered of those that came through."""
        frames = [
            (talk.sender if header == talk.header else talk.receiver, talk.frame(header, turn))
            for talk, header, _, turn in asked
        ]
        state, heard = host.state, self.guests.exchange(frames)
        flows: list[Flow | None] = []
        for (talk, header, flow, turn), (sender, frame) in zip(asked, frames, strict=True):
            port = port_name(self.guests.nics[sender].id)
            journey = trace(state, Packet(header, FromGuest(NETWORK, port), flow))
            goal = talk.receiver if header == talk.header else talk.sender
            others = heard.get(frame, set()) - {goal}
            came = goal in heard.get(frame, set())
            assert all(host.nics[other].filter is None for other in others), (
                "no filtered guest hears what is for another"
            )
            assert came is (journey.outcome is Outcome.DELIVERED), (
                f"turn {turn}, {'came' if came else 'lost'}: {journey}"
            )
            self.seen[f"{turn} {journey.outcome} {'' if came else journey.steps[-1].at}"] += 1
            self.seen[f"IPv{header.dst.version} {journey.outcome}"] += 1
            flows.append(journey.flow)
        return flows


def test_any_packet_goes_where_the_trace_says(guests: Guests) -> None:
    comparison = Comparison(guests, Counter())

    @_patiently
    @given(st.lists(filtered(GUESTS, served=True), min_size=2, max_size=3), st.data())
    def hold(hosts: list[Filtered], data: st.DataObject) -> None:
        known: list[tuple[Talk, Flow]] = []
        for host in hosts:
            guests.lab.settle(host.state)
            # What was known before is judged anew, both ways.
            comparison.compare(
                host,
                [
                    (talk, header, flow, 2)
                    for talk, flow in known
                    for header, goal in ((flow.original, talk.receiver), (flow.reply, talk.sender))
                    if is_told(host.nics[goal], header)
                ],
            )
            talks: list[Talk] = []
            lies: list[Talk] = []
            for turn in range(24):
                sender, receiver, packet = data.draw(sent(host, 4 if turn % 3 else 6))
                speaker, listener = host.nics.index(sender), host.nics.index(receiver)
                liar = data.draw(st.sampled_from((None, None, None, *range(GUESTS))))
                if liar in {None, speaker}:
                    talks.append(guests.talk(packet.header, speaker, listener))
                elif liar is not None and liar != listener:
                    lies.append(guests.talk(packet.header, liar, listener))
            comparison.compare(host, [(talk, talk.header, None, 0) for talk in lies])
            first = comparison.compare(host, [(talk, talk.header, None, 0) for talk in talks])
            begun = [(talk, flow) for talk, flow in zip(talks, first, strict=True) if flow is not None]
            answers = comparison.compare(host, [(talk, flow.reply, flow, 1) for talk, flow in begun])
            both = zip(begun, answers, strict=True)
            known += [(talk, flow) for (talk, _), flow in both if flow is not None and flow.answered]

    hold()
    # The comparison is worth something: all ways to end came up.
    for ending in ("0 delivered to a guest ", "1 delivered to a guest ", "2 delivered to a guest "):
        assert comparison.seen[ending] >= 5, comparison.seen
    for ending in ("0 dropped from_guest", "0 dropped sent4", "0 dropped received4"):
        assert comparison.seen[ending] >= 5, comparison.seen
    assert sum(times for ending, times in comparison.seen.items() if ending.startswith("2 dropped")) >= 3
    assert comparison.seen["IPv6 dropped"] >= 5, comparison.seen


IN, OUT = Direction.INGRESS, Direction.EGRESS
WEB, DB = 5, 7
DB_RULES = (
    FilterRule(OUT, 6, 17, 53, 53),
    FilterRule(IN, 6, 6, 5432, 5432, remote_group=WEB),
    FilterRule(IN, 6, 17, 53, 53, IPv6Network((address6(2), 128))),
)


def six(*db: FilterRule) -> Filtered:
    """Return a host whose guests may speak IPv6 by groups; the fourth has none, and the fifth is not filtered."""
    web = group(WEB, FilterRule(OUT, 6), FilterRule(IN, 6, 58, 128 << 8, (128 << 8) + 255))
    nics = (nic(0, (WEB,)), nic(1, (DB,)), nic(2, (WEB, DB)), nic(3, ()), nic(4, None))
    return Filtered(nics, (web, group(DB, *db)))


def test_ipv6_goes_where_the_trace_says(guests: Guests) -> None:
    """Between all filtered guests, by both of their addresses, and after a rule has gone."""
    comparison, host = Comparison(guests, Counter()), six(*DB_RULES)
    guests.lab.settle(host.state)
    talks: list[Talk] = []
    for speaker, listener in permutations(range(4), 2):
        for src, dst in (
            (link_local(mac(0xD0, speaker)), link_local(mac(0xD0, listener))),
            (address6(speaker), address6(listener)),
        ):
            talks.append(guests.talk(Header(IpProtocol.ICMP, src, dst), speaker, listener))
            for protocol, port in (
                (IpProtocol.TCP, 5432),
                (IpProtocol.TCP, 80),
                (IpProtocol.UDP, 53),
                (IpProtocol.UDP, 547),
            ):
                talks.append(guests.talk(Header(protocol, src, dst, 40000, port), speaker, listener))
    liars = [replace(talk, sender=3) for talk in talks if talk.receiver != 3 and talk.sender != 3]
    comparison.compare(host, [(talk, talk.header, None, 0) for talk in liars])
    first = comparison.compare(host, [(talk, talk.header, None, 0) for talk in talks])
    begun = [(talk, flow) for talk, flow in zip(talks, first, strict=True) if flow is not None]
    answers = comparison.compare(host, [(talk, flow.reply, flow, 1) for talk, flow in begun])
    known = [(talk, flow) for (talk, _), flow in zip(begun, answers, strict=True) if flow is not None]
    less = six(*DB_RULES[:1])
    guests.lab.settle(less.state)
    comparison.compare(
        less, [(talk, header, flow, 2) for talk, flow in known for header in (flow.original, flow.reply)]
    )
    assert {ending for ending in comparison.seen if not ending.startswith("IPv6")} == {
        *("0 delivered to a guest ", "1 delivered to a guest ", "2 delivered to a guest "),
        *(
            "0 dropped from_guest",
            "0 dropped sent6",
            "0 dropped received6",
            "0 dropped to_guest",
            "2 dropped received6",
        ),
    }


def test_questions_are_answered_where_the_trace_says_through_routers_and_past_filters(lab: Lab) -> None:
    """Guests of two networks, floating IPs and the provider ask each other, in groups that let some of it through."""
    udp = FilterRule(Direction.INGRESS, 4, 17, ECHO, ECHO)
    groups = (
        OPEN,
        own(2),
        group(3, *OUTWARD, replace(udp, remote_prefix=provider(0))),
        group(4, replace(udp, remote_group=3), replace(udp, direction=Direction.EGRESS, remote_group=2)),
    )
    isp = provider(0).network_address + 1
    names: dict[IPv4Address, str] = {isp: lab.isp(0)}
    said, told = 0, {True: 0, False: 0}
    for members in (((1,), (2,), (3,), (4,)), ((2, 4), (2,), (4,), (3,)), ((3,), (4,), (1,), ())):
        # Of its second address nobody answers as that: the server behind it doesn't look.
        cloud = walled(*groups, members=members).associated(SECOND, CAROL, CAROL_IP)
        lab.settle(cloud.state)
        if len(names) == 1:
            lab.echo(lab.isp(0))
            for each in cloud.nics:
                name = lab.guest(each, cloud.routers[0])
                lab.echo(name)
                names[each.addresses[0].address] = name
        for src, name in names.items():
            for dst in (*names, FIRST.address, SECOND.address, FREE.address, OWN):
                if src == dst or (src == isp and dst not in provider(0)):
                    continue  # the provider has no route to private addresses
                (entry,) = ways_in(cloud.state, src)
                trip = round_trip(cloud.state, Packet(Header(IpProtocol.UDP, src, dst, None, ECHO), entry))
                if Outcome.NOT_MODELLED in {trip.there.outcome, trip.back.outcome if trip.back else None}:
                    continue
                said += 1
                told[trip.answered] += 1
                assert (lab.ask(name, dst, wait=10 if trip.answered else 0.3) is not None) is trip.answered, trip
    assert min(told.values()) >= 15, told
    assert said >= 80, "it rarely says that it does not know"
