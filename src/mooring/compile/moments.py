"""A packet at one hook of the kernel, and what rules may look at of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from mooring.compile.facts import Atom
from mooring.compile.journey import Header, IpProtocol

UPLINK_GROUP = "100"


class NotModelledError(Exception):
    """Something that this model of a router does not know; the message says what."""


class Direction(StrEnum):
    """Which way of a flow a packet goes, in nft's words."""

    ORIGINAL = "original"
    REPLY = "reply"


@dataclass(frozen=True, slots=True)
class Moment:
    """A packet at one hook, as far as rules may look at it; a device is empty where there is none.

    `status` are words of `ct status`: confirmed (not the flow's first packet), dnat, snat.
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

    def group(self, device: str) -> str | None:
        """Return the interface group of a device; a rule that asks for that of no device does not match."""
        if not device:
            return None
        return UPLINK_GROUP if device in self.uplinks else "0"

    def port(self, protocol: IpProtocol) -> str | None:
        """Return the destination port, if the packet is of this protocol.

        Raises:
            NotModelledError: the packet has one, but was described without.
        """
        if self.header.protocol is not protocol:
            return None
        if self.header.dport is None:
            raise NotModelledError(f"a rule asks for the {protocol} port, and the packet was described without one")
        return str(self.header.dport)

    def icmp_type(self) -> str | None:
        """Return nft's name of the ICMP type: here a new flow is a request and all else is an answer."""
        if self.header.protocol is not IpProtocol.ICMP:
            return None
        return "echo-request" if self.direction is Direction.ORIGINAL else "echo-reply"


# None means that there is no such thing in this packet or at this hook: the rule does not match.
SELECTORS: Mapping[str, Callable[[Moment], Atom | None]] = {
    "arp operation": lambda _: "request",
    "arp daddr ip": lambda moment: moment.header.dst,
    "ct original ip daddr": lambda moment: moment.original.dst,
    "ct original ip saddr": lambda moment: moment.original.src,
    "ct reply ip daddr": lambda moment: moment.reply.dst,
    "ct reply ip saddr": lambda moment: moment.reply.src,
    "ct direction": lambda moment: moment.direction,
    "ct state": lambda moment: "new" if moment.new else "established",
    "ct status": lambda moment: moment.status,
    "icmp type": Moment.icmp_type,
    "iifgroup": lambda moment: moment.group(moment.iif),
    "iifname": lambda moment: moment.iif or None,
    "ip daddr": lambda moment: moment.header.dst,
    "ip saddr": lambda moment: moment.header.src,
    "oifgroup": lambda moment: moment.group(moment.oif),
    "oifname": lambda moment: moment.oif or None,
    "tcp dport": lambda moment: moment.port(IpProtocol.TCP),
    "udp dport": lambda moment: moment.port(IpProtocol.UDP),
}
