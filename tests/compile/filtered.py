"""Hosts with filtered ports: random groups, rules and packets, and what the rules as they are written say of these."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Network

from hypothesis import strategies as st

from mooring.compile.facts import HostState
from mooring.compile.filters import link_local
from mooring.compile.host import compile_host
from mooring.compile.journey import Address, FromGuest, Header, IpProtocol, Packet
from mooring.model.ids import GroupId, NetworkId, NicId, RouterId
from mooring.model.subjects import (
    Direction,
    FilterRule,
    GroupIntent,
    HostRole,
    NetworkIntent,
    NicAddress,
    NicFilter,
    NicIntent,
    RouterIntent,
    RouterPort,
    Subject,
)
from tests.strategies import mac, uuid

NETWORK, ROUTER = NetworkId(uuid("a", 1)), RouterId(uuid("b", 1))
OWN = IPv4Interface("10.0.0.1/24")
PORTS = (22, 53, 80, 81, 443, 40000)
ECHO, ECHO6 = 8 << 8, 128 << 8


def address(guest: int) -> IPv4Address:
    """Return the n-th guest's address."""
    return OWN.ip + 10 + guest


def address6(guest: int) -> IPv6Address:
    """Return the n-th guest's IPv6 address, which it has where it is filtered, beside the one that it gives itself."""
    return IPv6Address("2001:db8::10") + guest


def number(header: Header) -> int:
    """Return the number of a packet's protocol."""
    if header.protocol is IpProtocol.ICMP:
        return {4: 1, 6: 58}[header.dst.version]
    return {IpProtocol.TCP: 6, IpProtocol.UDP: 17}[header.protocol]


@dataclass(frozen=True)
class Filtered:
    """A network of one host whose NICs have filters; with a router, and without."""

    nics: tuple[NicIntent, ...]
    groups: tuple[GroupIntent, ...]
    served: bool = True

    @property
    def placed(self) -> list[tuple[Subject, HostRole]]:
        """The subjects with the roles that the host plays for them."""
        placed: list[tuple[Subject, HostRole]] = [(NetworkIntent(NETWORK, 1, 1500, zone=7), HostRole.COMPUTE)]
        if self.served:
            port = RouterPort(NETWORK, mac(0xA0, 1), OWN, (), 1500, 3600)
            placed.append((RouterIntent(ROUTER, 1, (port,), ()), HostRole.GATEWAY))
            placed += [(nic, HostRole.GATEWAY) for nic in self.nics]
        placed += [(nic, HostRole.COMPUTE) for nic in self.nics]
        placed += [(nic, HostRole.MEMBER) for nic in self.nics]
        placed += [(group, HostRole.COMPUTE) for group in self.groups]
        return placed

    @property
    def state(self) -> HostState:
        """What the host's agent makes true."""
        return compile_host(self.placed)

    def letting(self, way: Direction, one: NicIntent, other: NicIntent, header: Header) -> list[FilterRule]:
        """Return the rules that let a NIC send this to another, or receive it from there."""
        remote = header.dst if way is Direction.EGRESS else header.src
        numbers = one.filter.groups if one.filter else ()
        return [
            rule
            for group in self.groups
            if group.number in numbers
            for rule in group.rules
            if (rule.direction, rule.family) == (way, header.dst.version)
            and rule.protocol in {None, number(header)}
            and (rule.protocol is None or rule.first <= goal(header) <= rule.last)
            and (rule.remote_prefix is None or remote in rule.remote_prefix)
            and (rule.remote_group is None or (other.filter and rule.remote_group in other.filter.groups))
        ]

    def admits(self, sender: NicIntent, receiver: NicIntent, header: Header) -> bool:
        """Say what the rules say, read as they are written."""
        return all(
            one.filter is None or self.letting(way, one, other, header)
            for one, other, way in (
                (sender, receiver, Direction.EGRESS),
                (receiver, sender, Direction.INGRESS),
            )
        )


def goal(header: Header) -> int:
    """Return by what a rule knows a packet."""
    if header.dport is None:
        return {4: ECHO, 6: ECHO6}[header.dst.version]
    return header.dport


def addresses(nic: NicIntent) -> list[Address]:
    """Return all addresses that facts tell of a NIC."""
    more = (link_local(nic.mac), *nic.filter.extra) if nic.filter else ()
    return [*(fixed.address for fixed in nic.addresses), *more]


def nic(guest: int, groups: tuple[int, ...] | None, count: int = 1) -> NicIntent:
    """Return the n-th guest's NIC; without groups it is filtered and gets nothing, None says that it is not filtered."""
    return NicIntent(
        id=NicId(uuid("d", guest)),
        generation=1,
        network=NETWORK,
        router=ROUTER,
        mac=mac(0xD0, guest),
        hostname=f"guest-{guest}",
        addresses=tuple(NicAddress(address(guest) + 100 * each) for each in range(count)),
        filter=None if groups is None else NicFilter(groups, (address6(guest),)),
    )


def group(number: int, *rules: FilterRule) -> GroupIntent:
    """Return a group."""
    return GroupIntent(GroupId(uuid("e", number)), 1, number, rules)


@st.composite
def filter_rules(draw: st.DrawFn, groups: int) -> FilterRule:
    """Draw a rule: broad or narrow, about prefixes, about members of groups, or about anybody."""
    way, family = draw(st.sampled_from(Direction)), draw(st.sampled_from((4, 4, 6)))
    icmp, echo = {4: (1, ECHO), 6: (58, ECHO6)}[family]
    protocol = draw(st.sampled_from((icmp, 6, 17, 47, None, None)))
    first, last = 0, 65535
    if protocol in {6, 17}:
        first, last = sorted((draw(st.sampled_from((0, *PORTS, 65535))), draw(st.sampled_from((0, *PORTS, 65535)))))
    elif protocol == icmp:
        first, last = draw(
            st.sampled_from(((0, 65535), (echo, echo | 255), (echo, echo), (0, 255), (13 << 8, 13 << 8)))
        )
    about = draw(st.sampled_from(("anybody", "anybody", "prefix", "group")))
    if about == "group":
        return FilterRule(way, family, protocol, first, last, remote_group=draw(st.integers(1, groups)))
    if about == "prefix" and family == 6:
        whose = draw(st.sampled_from((address6(0), address6(2), link_local(mac(0xD0, 1)))))
        length = draw(st.sampled_from((10, 64, 124, 127, 128)))
        return FilterRule(way, 6, protocol, first, last, IPv6Network((whose, length), strict=False))
    if about == "prefix":
        base, length = (
            draw(st.sampled_from((address(0), address(2), OWN.ip))),
            draw(st.sampled_from((8, 24, 28, 31, 32))),
        )
        return FilterRule(way, 4, protocol, first, last, IPv4Network((base, length), strict=False))
    return FilterRule(way, family, protocol, first, last)


@st.composite
def filtered(draw: st.DrawFn, guests: int = 0, *, served: bool = False) -> Filtered:
    """Draw a host with so many guests, or two to five, in up to three groups each; a `served` one has a router."""
    count = draw(st.integers(1, 4))
    groups = tuple(
        group(number, *draw(st.lists(filter_rules(count), min_size=1, max_size=6))) for number in range(1, count + 1)
    )
    # A group may not have come to the host yet: it admits nothing.
    gone = draw(st.sampled_from((None, None, None, 1)))
    member = st.lists(st.integers(1, count), max_size=3, unique=True).map(lambda found: tuple(sorted(found)))
    choices = st.integers(0, 5).flatmap(lambda die: member if die else st.none())
    nics: list[NicIntent] = []
    for guest in range(guests or draw(st.integers(2, 5))):
        numbers = draw(choices)
        # Of a second address only a filter tells.
        nics.append(nic(guest, numbers, 1 if numbers is None else draw(st.sampled_from((1, 1, 2)))))
    with_router = served or draw(st.sampled_from((True, True, False)))
    return Filtered(tuple(nics), tuple(one for one in groups if one.number != gone), with_router)


@st.composite
def sent(draw: st.DrawFn, host: Filtered, version: int = 0) -> tuple[NicIntent, NicIntent, Packet]:
    """Draw a packet from guest to guest, with sender and receiver, of a version of IP or of any.

    One of IPv6 is only between those of whose addresses facts tell: where there are no two, it is of IPv4.
    """
    filtered = [one for one in host.nics if one.filter is not None]
    is_six = len(filtered) > 1 and (version or draw(st.sampled_from((4, 4, 6)))) == 6
    some = filtered if is_six else host.nics
    sender = draw(st.sampled_from(some))
    receiver = draw(st.sampled_from([one for one in some if one != sender]))
    src, dst = (
        draw(st.sampled_from([each for each in addresses(one) if each.version == (6 if is_six else 4)]))
        for one in (sender, receiver)
    )
    protocol = draw(st.sampled_from(IpProtocol))
    ports = (
        (None, None)
        if protocol is IpProtocol.ICMP
        else (draw(st.sampled_from((33000, 80))), draw(st.sampled_from(PORTS)))
    )
    return sender, receiver, Packet(Header(protocol, src, dst, *ports), FromGuest(NETWORK))
