"""A packet at one hook of the kernel, and what rules may look at of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from mooring.compile.facts import Atom
from mooring.compile.journey import BROADCAST, Header, IpProtocol

UPLINK_GROUP, GUEST_GROUP = "100", "200"

_NUMBERS = {IpProtocol.ICMP: 1, IpProtocol.TCP: 6, IpProtocol.UDP: 17}
_ECHO_REQUEST = 8 << 8
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
        if self.header.protocol is not IpProtocol.ICMP:
            return None
        return "echo-request" if self.direction is Direction.ORIGINAL else "echo-reply"

    def goal(self) -> int:
        """Return the flow's destination port, or its ICMP type and code in one.

        Raises:
            NotModelledError: it has a port, but was described without.
        """
        protocol = self.original.protocol
        return _ECHO_REQUEST if protocol is IpProtocol.ICMP else _known(self.original.dport, protocol)

    def audience(self) -> str:
        """Return to whom the frame goes."""
        dst = self.header.dst
        return "broadcast" if dst == BROADCAST else "multicast" if dst.is_multicast else "host"


def _known(port: int | None, protocol: IpProtocol) -> int:
    if port is None:
        raise NotModelledError(f"a rule asks for the {protocol} port, and the packet was described without one")
    return port


def _absent(_: Moment) -> None:
    """Packets here are IPv4: there is no such thing in them."""


# None means that there is no such thing in this packet or at this hook: the rule does not match.
SELECTORS: Mapping[str, Callable[[Moment], Atom | None]] = {
    "arp operation": lambda _: "request",
    "arp daddr ip": lambda moment: moment.header.dst,
    "ct original ip daddr": lambda moment: moment.original.dst,
    "ct original ip saddr": lambda moment: moment.original.src,
    "ct original proto-dst": Moment.goal,
    "ct protocol": lambda moment: _NUMBERS[moment.original.protocol],
    "ct reply ip daddr": lambda moment: moment.reply.dst,
    "ct reply ip saddr": lambda moment: moment.reply.src,
    "ct direction": lambda moment: moment.direction,
    "ct mark": lambda moment: moment.flow_mark,
    "ct state": lambda moment: "new" if moment.new else "established",
    "ct status": lambda moment: moment.status,
    "ether daddr": lambda moment: moment.dmac or None,
    "ether saddr": lambda moment: moment.smac or None,
    "ether type": lambda _: "ip",
    "icmp type": Moment.icmp_type,
    "iifgroup": lambda moment: moment.group(moment.iif),
    "iifname": lambda moment: moment.iif or None,
    "ip daddr": lambda moment: moment.header.dst,
    "ip saddr": lambda moment: moment.header.src,
    "meta mark": lambda moment: moment.mark,
    "meta nfproto": lambda _: "ipv4",
    "meta pkttype": Moment.audience,
    "meta priority": lambda moment: moment.priority or "none",
    "oifgroup": lambda moment: moment.group(moment.oif),
    "oifname": lambda moment: moment.oif or None,
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
            "ct original ip6 daddr",
            "ct original ip6 saddr",
            "exthdr frag",
            "icmpv6 type",
            "ip6 daddr",
            "ip6 saddr",
        ),
        _absent,
    ),
}
