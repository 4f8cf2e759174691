"""A packet at one hook of the kernel, and what rules may look at of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from mooring.compile.facts import Atom
from mooring.compile.journey import BROADCAST, Address, Header, IpProtocol

UPLINK_GROUP, GUEST_GROUP = "100", "200"

_NUMBERS = {
    4: {IpProtocol.ICMP: 1, IpProtocol.TCP: 6, IpProtocol.UDP: 17},
    6: {IpProtocol.ICMP: 58, IpProtocol.TCP: 6, IpProtocol.UDP: 17},
}
_ECHO_REQUESTS, _ECHO_REPLIES = {4: 8, 6: 128}, {4: 0, 6: 129}
_TYPES = {4: "ip", 6: "ip6"}
_EPHEMERAL = "ephemeral"


class NotModelledError(Exception):
    """Something that this model of a router does not know; the message says what."""


class Direction(StrEnum):
    """Which way of a flow a packet goes, in nft's words."""

    ORIGINAL = "original"
    REPLY = "reply"


@dataclass(frozen=True, slots=True)
class Moment:
    """A packet at one hook, as far as rules may look at it; a device is empty where there is none.

    `status` are words of `ct status`: confirmed (not the flow's first packet), dnat, snat.  `smac` and `dmac` are those of the frame, on a
    bridge.  `mark` and `priority` are what rules write on the packet, `flow_mark` what they write on its flow.
    """

    header: Header
    original: Header
    reply: Header
    direction: Direction = Direction.ORIGINAL
    new: bool = True
    status: str = ""
    iif: str = ""
    oif: str = ""
    uplinks: frozenset[str] = frozenset()
    guests: frozenset[str] = frozenset()
    smac: str = ""
    dmac: str = ""
    mark: int = 0
    priority: int = 0
    flow_mark: int = 0

    def group(self, device: str) -> str | None:
        """Return the interface group of a device; a rule that asks for that of no device does not match."""
        if not device:
            return None
        if device in self.guests:
            return GUEST_GROUP
        return UPLINK_GROUP if device in self.uplinks else "0"

    def port(self, protocol: IpProtocol) -> str | None:
        """Return the destination port, if the packet is of this protocol; an answer's is the question's source port.

        Raises:
            NotModelledError: the packet has one, but was described without.
        """
        if self.header.protocol is not protocol:
            return None
        if self.direction is Direction.REPLY and self.header.dport is None:
            return _EPHEMERAL
        return str(_known(self.header.dport, protocol))

    def source_port(self, protocol: IpProtocol) -> str | None:
        """Return the source port, if the packet is of this protocol; one that was left out is taken for one that no service has."""
        if self.header.protocol is not protocol:
            return None
        return _EPHEMERAL if self.header.sport is None else str(self.header.sport)

    def icmp_type(self) -> str | None:
        """Return nft's name of the ICMP type: here a new flow is a request and all else is an answer."""
        if self.header.protocol is not IpProtocol.ICMP or self.header.dst.version != 4:
            return None
        return "echo-request" if self.direction is Direction.ORIGINAL else "echo-reply"

    def icmpv6_type(self) -> str | None:
        """Return the ICMPv6 type."""
        if self.header.protocol is not IpProtocol.ICMP or self.header.dst.version != 6:
            return None
        return str((_ECHO_REQUESTS if self.direction is Direction.ORIGINAL else _ECHO_REPLIES)[6])

    def goal(self) -> int:
        """Return the flow's destination port, or its ICMP type and code in one.

        Raises:
            NotModelledError: it has a port, but was described without.
        """
        protocol = self.original.protocol
        if protocol is IpProtocol.ICMP:
            return _ECHO_REQUESTS[self.original.dst.version] << 8
        return _known(self.original.dport, protocol)

    def number(self) -> int:
        """Return the number of the flow's protocol."""
        return _NUMBERS[self.original.dst.version][self.original.protocol]

    def aim(self) -> int | None:
        """Return the packet's destination port, if it has ports.

        Raises:
            NotModelledError: it has, but was described without.
        """
        protocol = self.header.protocol
        return None if protocol is IpProtocol.ICMP else _known(self.header.dport, protocol)

    def answering(self) -> int | None:
        """Return the port that answers in the flow, if it has ports.

        Raises:
            NotModelledError: it has, but was described without.
        """
        protocol = self.reply.protocol
        return None if protocol is IpProtocol.ICMP else _known(self.reply.sport, protocol)

    def audience(self) -> str:
        """Return to whom the frame goes."""
        dst = self.header.dst
        return "broadcast" if dst == BROADCAST else "multicast" if dst.is_multicast else "host"


def _known(port: int | None, protocol: IpProtocol) -> int:
    if port is None:
        raise NotModelledError(f"a rule asks for the {protocol} port, and the packet was described without one")
    return port


def _masked(port: int | None, mask: int) -> int | None:
    return None if port is None else port & mask


def _absent(_: Moment) -> None:
    """There is no such thing in the packets that are described here."""


def _of(version: int, read: Callable[[Moment], Address]) -> Callable[[Moment], Atom | None]:
    """Return an address if it is of a family."""

    def select(moment: Moment) -> Atom | None:
        address = read(moment)
        return address if address.version == version else None

    return select


# None means that there is no such thing in this packet or at this hook: the rule does not match.
SELECTORS: Mapping[str, Callable[[Moment], Atom | None]] = {
    "arp operation": lambda _: "request",
    "arp daddr ip": lambda moment: moment.header.dst,
    "ct original ip daddr": _of(4, lambda moment: moment.original.dst),
    "ct original ip saddr": _of(4, lambda moment: moment.original.src),
    "ct original ip6 daddr": _of(6, lambda moment: moment.original.dst),
    "ct original ip6 saddr": _of(6, lambda moment: moment.original.src),
    "ct original proto-dst": Moment.goal,
    "(ct original proto-dst & 0xfff0)": lambda moment: moment.goal() & 0xFFF0,
    "(ct original proto-dst & 0xff00)": lambda moment: moment.goal() & 0xFF00,
    "ct protocol": Moment.number,
    "ct reply ip daddr": lambda moment: moment.reply.dst,
    "ct reply ip saddr": lambda moment: moment.reply.src,
    "ct reply proto-src": Moment.answering,
    "ct direction": lambda moment: moment.direction,
    "ct mark": lambda moment: moment.flow_mark,
    "ct state": lambda moment: "new" if moment.new else "established",
    "ct status": lambda moment: moment.status,
    "ether daddr": lambda moment: moment.dmac or None,
    "ether saddr": lambda moment: moment.smac or None,
    # Of a question by DHCP; an honest guest asks for itself.
    "@th,288,48": lambda moment: moment.smac or None,
    "ether type": lambda moment: _TYPES[moment.header.dst.version],
    "icmp type": Moment.icmp_type,
    "icmpv6 type": Moment.icmpv6_type,
    "iifgroup": lambda moment: moment.group(moment.iif),
    "iifname": lambda moment: moment.iif or None,
    "ip daddr": _of(4, lambda moment: moment.header.dst),
    "ip protocol": Moment.number,
    "ip saddr": _of(4, lambda moment: moment.header.src),
    "ip6 daddr": _of(6, lambda moment: moment.header.dst),
    "ip6 saddr": _of(6, lambda moment: moment.header.src),
    "meta mark": lambda moment: moment.mark,
    "meta nfproto": lambda moment: f"ipv{moment.header.dst.version}",
    "meta pkttype": Moment.audience,
    "meta priority": lambda moment: moment.priority or "none",
    "oifgroup": lambda moment: moment.group(moment.oif),
    "oifname": lambda moment: moment.oif or None,
    "th dport": Moment.aim,
    "(th dport & 0xfff0)": lambda moment: _masked(moment.aim(), 0xFFF0),
    "(th dport & 0xff00)": lambda moment: _masked(moment.aim(), 0xFF00),
    "tcp dport": lambda moment: moment.port(IpProtocol.TCP),
    "udp dport": lambda moment: moment.port(IpProtocol.UDP),
    "udp sport": lambda moment: moment.source_port(IpProtocol.UDP),
    **dict.fromkeys(
        (
            "@th,64,128",
            "arp hlen",
            "arp htype",
            "arp plen",
            "arp ptype",
            "arp saddr ether",
            "arp saddr ip",
            "exthdr frag",
        ),
        _absent,
    ),
}
