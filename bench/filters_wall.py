"""A host full of filtered ports, as mooring is told of it: ports of one network, ten to a security group of twenty rules.

The group's rules are one for anything outward of each family; sixteen for TCP from some prefix; in the midst of these one that admits the
benchmark's packets, so that who goes through rules one after the other has half of them to go through; and one for its own members.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from ipaddress import IPv4Address, IPv4Network
from uuid import UUID

from bench.blast import Flow
from mooring.compile.facts import Delta, diff
from mooring.compile.host import compile_host
from mooring.model.ids import GroupId, NetworkId, NicId, bridge_name, guest_end_name, port_name
from mooring.model.subjects import (
    Direction,
    FilterRule,
    GroupIntent,
    HostRole,
    NetworkIntent,
    NicAddress,
    NicFilter,
    NicIntent,
    Subject,
)

RULES, PER_GROUP = 20, 10
_TCP, _UDP = 6, 17
_FIRST = IPv4Address("10.64.0.0")  # 1,000 ports of 256 addresses are a /14
_ELSEWHERE = IPv4Address("10.128.0.0")
_PORT, _PORTS = 7_500, (7_000, 7_999)
_STEP = 7_919  # a prime: through all ports, and not in their order
_MIX = 0x9E3779B1  # odd, and its bits are no pattern
MTU = 1500

IN, OUT = Direction.INGRESS, Direction.EGRESS
MORE = FilterRule(IN, 4, _UDP, 53, 53)
"""The rule that comes and goes."""


@dataclass(frozen=True, slots=True)
class Port:
    """A filtered port: `addresses` from `first` on are its guest's."""

    number: int
    mac: str
    first: IPv4Address
    addresses: int

    @property
    def id(self) -> NicId:
        """Return the NIC."""
        # Devices are named by the first 11 digits: what tells one from another has to be there.
        return NicId(str(UUID(int=0xA5 << 120 | self.number << 88 | 0x4000_8000_0000_0000_0001)))

    @property
    def device(self) -> str:
        """Return the host's end."""
        return port_name(self.id)

    @property
    def guest_end(self) -> str:
        """Return the guest's end."""
        return guest_end_name(self.id)

    @property
    def own(self) -> list[IPv4Address]:
        """Return as whom the guest may send."""
        return [self.first + number for number in range(self.addresses)]


@dataclass(frozen=True, slots=True)
class Sent:
    """A packet from one port to another."""

    source: Port
    target: Port
    flow: Flow

    @property
    def answer(self) -> "Sent":
        """Return the packet that goes back."""
        source, source_port, target, target_port = self.flow
        return Sent(self.target, self.source, (target, target_port, source, source_port))


@dataclass(frozen=True)
class Wall:
    """So many ports, with so many addresses each."""

    size: int
    addresses: int

    network = NetworkIntent(
        NetworkId(str(UUID(int=0xB5 << 120 | 0x4000_8000_0000_0000_0001))), generation=1, mtu=MTU, zone=7
    )

    @property
    def bridge(self) -> str:
        """Return the bridge that all ports are on."""
        return bridge_name(self.network.id)

    @cached_property
    def ports(self) -> list[Port]:
        """Return the ports."""
        return [self._port(number, _FIRST + number * self.addresses) for number in range(self.size)]

    @cached_property
    def elsewhere(self) -> Port:
        """Return a port of another host."""
        return self._port(self.size, _ELSEWHERE)

    @property
    def another(self) -> IPv4Address:
        """Return an address that nobody has."""
        return _ELSEWHERE + self.addresses

    @property
    def groups(self) -> range:
        """Return the numbers of the security groups."""
        return range(1, 2 + (self.size - 1) // PER_GROUP)

    def members(self, group: int) -> list[Port]:
        """Return the ports that are in a group."""
        return self.ports[(group - 1) * PER_GROUP : group * PER_GROUP]

    def rules(self, group: int) -> tuple[FilterRule, ...]:
        """Return a group's rules, in the order in which they were made."""
        web = [
            FilterRule(
                IN, 4, _TCP, 8_000 + 10 * number, 8_005 + 10 * number, IPv4Network((0xAC100000 + number * 256, 24))
            )
            for number in range(RULES - 4)
        ]
        half = len(web) // 2
        wanted = FilterRule(IN, 4, _UDP, *_PORTS)
        own = FilterRule(IN, 4, remote_group=group)
        return (FilterRule(OUT, 4), FilterRule(OUT, 6), *web[:half], wanted, *web[half:], own)

    def subjects(self) -> Iterator[tuple[Subject, HostRole]]:
        """Return what the host is told."""
        yield self.network, HostRole.COMPUTE
        for group in self.groups:
            yield self._group(group), HostRole.COMPUTE
        for port in self.ports:
            yield from self._here(self._nic(port))

    def rule(self) -> Delta:
        """Return the change that is one rule more."""
        group = self._group(1)
        return _change([(group, HostRole.COMPUTE)], [(replace(group, rules=(*group.rules, MORE)), HostRole.COMPUTE)])

    def member(self) -> Delta:
        """Return the change that is one member more, with its addresses, on another host."""
        group = (self._group(1), HostRole.COMPUTE)
        return _change([group], [group, (self._nic(self.elsewhere, 1), HostRole.MEMBER)])

    def address(self) -> Delta:
        """Return the change that is one address more for a port of this host."""
        nic = self._nic(self.ports[0])
        given = NicFilter((1,), (*self.ports[0].own[1:], self.another))
        return _change(self._here(nic), self._here(replace(nic, filter=given)))

    def flows(self) -> Iterator[Sent]:
        """Return the first packets of flows, spread over all ports and addresses, no two alike."""
        for number in range(60_000 * self.size):
            turn, source = divmod(number, self.size)
            one = self.ports[source * _STEP % self.size]
            other = self.ports[(one.number + 1 + (turn + source) % (self.size - 1)) % self.size]
            # Ports in order, as a guest's kernel gives them; addresses in none, so that neither's last bits go with the other's.
            mixed = (number * _MIX & 0xFFFFFFFF) >> 8
            there, back = one.first + mixed % self.addresses, other.first + (mixed >> 8) % self.addresses
            yield Sent(one, other, (there, 1_024 + turn, back, _PORT))

    def _port(self, number: int, first: IPv4Address) -> Port:
        return Port(number, f"fa:16:3f:00:{number >> 8:02x}:{number & 0xFF:02x}", first, self.addresses)

    def _group(self, number: int) -> GroupIntent:
        id_ = GroupId(str(UUID(int=0xC5 << 120 | number << 88 | 0x4000_8000_0000_0000_0001)))
        return GroupIntent(id_, 1, number, self.rules(number))

    def _nic(self, port: Port, group: int | None = None) -> NicIntent:
        return NicIntent(
            id=port.id,
            generation=1,
            network=self.network.id,
            router=None,
            mac=port.mac,
            hostname=f"guest-{port.number}",
            addresses=(NicAddress(port.first),),
            filter=NicFilter((group or 1 + port.number // PER_GROUP,), tuple(port.own[1:])),
        )

    @staticmethod
    def _here(nic: NicIntent) -> list[tuple[Subject, HostRole]]:
        return [(nic, HostRole.COMPUTE), (nic, HostRole.MEMBER)]


def _change(before: list[tuple[Subject, HostRole]], after: list[tuple[Subject, HostRole]]) -> Delta:
    return diff(compile_host(before), compile_host(after))
