"""What trace() is asked and what it answers: packets, the steps of their way through a host, and how it ends."""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv6Address
from typing import assert_never

from mooring.compile.facts import HOST, Fact, Key, Place, fact_line
from mooring.model.ids import NetworkId, RouterId

Address = IPv4Address | IPv6Address

BROADCAST = IPv4Address("255.255.255.255")
NOBODY = IPv4Address("0.0.0.0")  # noqa: S104 - an address in a packet, not one to listen on


class IpProtocol(StrEnum):
    """What a packet carries.  ICMP stands for an echo request, or for its reply where the packet is one."""

    ICMP = "icmp"
    TCP = "tcp"
    UDP = "udp"


@dataclass(frozen=True, slots=True)
class Header:
    """What of a packet decides about its way.  Ports may be left out; where a rule asks for one, the journey ends there.

    Both addresses are of one family, which is the packet's.
    """

    protocol: IpProtocol
    src: Address
    dst: Address
    sport: int | None = None
    dport: int | None = None

    def reversed(self) -> "Header":
        """Return the header of an answer."""
        return Header(self.protocol, self.dst, self.src, self.dport, self.sport)

    def __str__(self) -> str:
        """Write the header as protocol source -> destination, with the ports that are known."""
        return f"{self.protocol} {_end(self.src, self.sport)} -> {_end(self.dst, self.dport)}"


def _end(address: Address, port: int | None) -> str:
    if port is None:
        return str(address)
    return f"{address}:{port}" if isinstance(address, IPv4Address) else f"[{address}]:{port}"


@dataclass(frozen=True, slots=True)
class FromGuest:
    """A guest of this network sends.

    Which of them, its source address says; or `port` does, the device of a NIC on this host, which may try to send as somebody else.
    `router` is the address that DHCP told it as its router's, with the subnet: needed only where no router of the host serves the network.
    """

    network: NetworkId
    port: str = ""
    router: IPv4Interface | None = None

    def __str__(self) -> str:
        """Say where the packet comes from."""
        by = f" by {self.port}" if self.port else ""
        return f"from a guest of network {self.network}{by}"


@dataclass(frozen=True, slots=True)
class FromUplink:
    """The outside sends, on the wire of this uplink device.

    The outside asks by ARP who has the address.  Where `router` is given it does not ask: it has that router's hardware address already,
    from an ARP entry that may be out of date or because it routes by way of the router's own address.
    """

    device: str
    router: RouterId | None = None

    def __str__(self) -> str:
        """Say where the packet comes from."""
        straight = "" if self.router is None else f", straight to router {self.router}"
        return f"from the outside by {self.device}{straight}"


@dataclass(frozen=True, slots=True)
class FromRouter:
    """A router itself sends: its answers, its DNS server's questions."""

    router: RouterId

    def __str__(self) -> str:
        """Say where the packet comes from."""
        return f"from router {self.router} itself"


Entry = FromGuest | FromUplink | FromRouter


@dataclass(frozen=True, slots=True)
class Flow:
    """A connection as connection tracking knows it: the header of its first packet as it came, and of the answer expected.

    A router's translations are fixed by the first packet; later ones follow the flow, not the maps.  `router` is None of a flow that only a
    bridge with filtered ports has seen.  `answered` says whether an answer was seen.  `mark` is the number of the uplink that it keeps to, 0 if
    there is no choice.
    """

    router: RouterId | None
    original: Header
    reply: Header
    answered: bool = False
    mark: int = 0

    def has(self, header: Header) -> bool:
        """Say whether a packet with this header, where it enters, belongs to the flow."""
        return header in {self.original, self.reply}

    def is_answer(self, header: Header) -> bool:
        """Say whether such a packet goes the answers' way."""
        # An echo of a guest to its own floating IP looks alike both ways: the second packet is the answer.
        return header == self.reply and (header != self.original or not self.answered)


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet, where it enters the host, and the flow that it belongs to if it is not the first of one."""

    header: Header
    entry: Entry
    flow: Flow | None = None


class Event(StrEnum):
    """What a step did to a packet; `ENDED` is the last, and the journey's outcome says how."""

    SENT = "sent"
    ARP_ANSWERED = "arp answered"
    ARP_UNANSWERED = "arp unanswered"
    TRANSLATED = "translated"
    UNCHANGED = "unchanged"
    ROUTED = "routed"
    PASSED = "passed"
    ENDED = "ended"


class Outcome(StrEnum):
    """How a journey ends."""

    DELIVERED = "delivered to a guest"
    LEFT = "left by an uplink"
    CARRIED = "carried to another host"
    TAKEN = "taken by the router itself"
    DROPPED = "dropped"
    UNANSWERED = "nobody is there"
    NOT_MODELLED = "not modelled"


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened to a packet, and why.

    `at` is the chain of the ruleset or the part of the kernel, `rule` the rule that decided, `facts` the facts that it went by, and
    `missing` those that would have changed it had they been there.
    """

    place: Place
    at: str
    event: Event
    text: str
    rule: str = ""
    facts: tuple[Fact, ...] = ()
    missing: tuple[Key, ...] = ()

    def __str__(self) -> str:
        """Write the step as one line, and a line below it for each reason; what holds in the same place is said without it."""
        own = f"{self.place} "
        reasons = [f"by rule  {self.rule}"] if self.rule else []
        reasons += [f"because  {str(fact).removeprefix(own)}" for fact in self.facts]
        reasons += [f"without  {fact_line(key, ()).removeprefix(own)}" for key in self.missing]
        return "".join(f"{line}\n" for line in (f"{self.at:12} {self.text}", *(f"{'':14} {line}" for line in reasons)))


@dataclass(frozen=True, slots=True)
class Onward:
    """Where a packet goes that is carried to another host: by which network, and to whom there.

    `endpoint` is the tunnel's on that host; None says that whoever has the address `hop` takes it, on whatever host.
    """

    network: NetworkId
    hop: Address
    endpoint: IPv4Address | None = None


@dataclass(frozen=True, slots=True)
class Journey:
    """A packet's way through a host.

    `header` is the packet as it came out, or as it was where it ended.  `device` is where: the bridge of the guest's network, the
    uplink's device, or the carrier's.  `mac` names the guest's NIC; a guest's secondary address is in no DHCP entry, so there it is
    None.  `reached` is where an answer would enter, and `flow` what connection tracking remembers, of a packet that got through.
    `port` is the sender's, where that is a filtered port of this host, and `onward` says where it is carried to.
    """

    packet: Packet
    steps: tuple[Step, ...]
    outcome: Outcome
    header: Header
    device: str | None = None
    mac: str | None = None
    reached: Entry | None = None
    flow: Flow | None = None
    port: str | None = None
    onward: Onward | None = None

    def __str__(self) -> str:
        """Write the journey for a person: the packet, the steps by place, the end."""
        text = [f"{self.packet.header}, {self.packet.entry}\n"]
        place: Place | None = None
        for step in self.steps:
            if step.place != place:
                place = step.place
                text.append(f"  {'the host' if place == HOST else place}\n")
            text += [f"    {line}\n" for line in str(step).splitlines()]
        text.append(f"  => {self.end}\n")
        return "".join(text)

    @property
    def end(self) -> str:
        """Say in one line how the journey ends."""
        match self.outcome:
            case Outcome.DELIVERED:
                return f"{self.outcome}, {self.mac or 'by a secondary address'} on {self.device}: {self.header}"
            case Outcome.LEFT:
                return f"left by {self.device} as {self.header.src}: {self.header}"
            case Outcome.CARRIED:
                return f"{self.steps[-1].text}: {self.header}"
            case Outcome.DROPPED:
                return f"dropped at {self.steps[-1].at}: {self.steps[-1].text.removeprefix('dropped: ')}"
            case Outcome.TAKEN | Outcome.UNANSWERED | Outcome.NOT_MODELLED:
                return f"{self.outcome}: {self.steps[-1].text}"
            case _:
                assert_never(self.outcome)


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """A packet's way and that of the answer to it; `back` is None where nobody could answer, or where that is another host's business."""

    there: Journey
    back: Journey | None

    @property
    def answered(self) -> bool:
        """Whether the sender gets an answer that it knows for one: from the address it sent to, to the one it sent from."""
        return (
            self.back is not None
            and self.back.outcome in {Outcome.DELIVERED, Outcome.LEFT, Outcome.CARRIED, Outcome.TAKEN}
            and self.back.header == self.there.packet.header.reversed()
        )

    def __str__(self) -> str:
        """Write both journeys and the verdict."""
        if self.there.outcome is Outcome.CARRIED and self.back is None:
            return f"{self.there}the rest is up to that host\n"
        back = "" if self.back is None else f"and back: {self.back}"
        return f"{self.there}{back}{'answered' if self.answered else 'no answer'}\n"
