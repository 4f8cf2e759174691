"""Subjects from rows: what hosts pull, read in bulk by a fixed number of statements, however many subjects there are."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    collapse_addresses,
    ip_address,
    summarize_address_range,
)

from mooring.model.ids import GroupId, InstanceId, NicId, PoolId, RouterId, UplinkId
from mooring.model.nouns import Host, NetworkKind, Power
from mooring.model.subjects import (
    FilterRule,
    GroupIntent,
    GuestNic,
    InjectedAddress,
    InstanceIntent,
    NetworkIntent,
    NicAddress,
    NicFilter,
    NicIntent,
    PortForwarding,
    PublicAddress,
    RouterIntent,
    RouterPort,
    RouterUplink,
    Subject,
    SubjectKey,
    SubjectKind,
    Transport,
    TunnelPeer,
)
from mooring.policy.egress import Known
from mooring.policy.managers import carrier, manager_of
from mooring.policy.rules import filter_rule
from mooring.store.egress import Preferring, egress_of, told_of, uplink_number
from mooring.store.hostnames import hostname
from mooring.store.rules import group_rule
from mooring.store.selection import NAMED, Selection
from mooring.store.session import Session

LEASE = 3600
"""For how many seconds a guest may keep its address without asking again."""


def load(
    session: Session,
    wanted: Mapping[SubjectKey, int],
    selection: Selection,
    at: Host | None,
    **parameters: object,
) -> Mapping[SubjectKey, Subject]:
    """Return the wanted subjects as the host `at` sees them, each in the generation that goes with its key, where there are rows of them."""
    kinds: defaultdict[SubjectKind, list[str]] = defaultdict(list)
    for key in sorted(wanted):
        kinds[key.kind].append(key.id)
    found: dict[SubjectKey, Subject] = {}
    for kind, ids in kinds.items():
        read = _Read(session, selection, wanted, at, {kind.value: ids} if selection is NAMED else parameters)
        found.update((subject.key, subject) for subject in read.subjects(kind))
    return found


@dataclass(frozen=True, slots=True)
class _OwnedRange:
    """A range of a pool on an uplink, with the pool's subnet and its provider's router."""

    cidr: IPv4Network
    gateway: IPv4Address
    first: IPv4Address
    last: IPv4Address


@dataclass(frozen=True, slots=True)
class _Read:
    """One reading of subjects of one kind.  A selection may bring more than is wanted: that is left out."""

    session: Session
    selection: Selection
    wanted: Mapping[SubjectKey, int]
    at: Host | None
    parameters: Mapping[str, object]

    def subjects(self, kind: SubjectKind) -> Iterator[Subject]:
        match kind:
            case SubjectKind.NETWORK:
                return self._networks()
            case SubjectKind.ROUTER:
                return self._routers()
            case SubjectKind.NIC:
                return self._nics()
            case SubjectKind.INSTANCE:
                return self._instances()
            case SubjectKind.GROUP:
                return self._groups()

    def _generation(self, kind: SubjectKind, identifier: str) -> int | None:
        return self.wanted.get(SubjectKey(kind, identifier))

    def _networks(self) -> Iterator[NetworkIntent]:
        for row in self.session.rows(self.selection.networks, **self.parameters):
            network, mtu, kind, segment, bridge, mac, own, gateway, endpoint, zone = row
            generation = self._generation(SubjectKind.NETWORK, network)
            if generation is None:
                continue
            peer = None
            if self.at is not None and gateway != self.at.id and endpoint is not None:
                peer = TunnelPeer(mac, IPv4Address(own), IPv4Address(endpoint))
            joined = carrier(NetworkKind(kind), segment, bridge, self.at, peer) if self.at is not None else None
            yield NetworkIntent(network, generation, mtu, joined, zone or 0)

    def _routers(self) -> Iterator[RouterIntent]:
        ports: defaultdict[RouterId | None, list[RouterPort]] = defaultdict(list)
        inside: defaultdict[RouterId | None, list[IPv4Network]] = defaultdict(list)
        for router, network, mac, gateway, cidr, dns, mtu in self.session.rows(self.selection.ports, **self.parameters):
            own = IPv4Interface((gateway, IPv4Network(cidr).prefixlen))
            servers = tuple(IPv4Address(server) for server in dns.split())
            ports[router].append(RouterPort(network, mac, own, servers, mtu, LEASE))
            inside[router].append(own.network)
        owned: defaultdict[UplinkId, list[_OwnedRange]] = defaultdict(list)
        for uplink, cidr, gateway, first, last in self.session.rows(self.selection.ranges, **self.parameters):
            part = _OwnedRange(IPv4Network(cidr), IPv4Address(gateway), IPv4Address(first), IPv4Address(last))
            owned[uplink].append(part)
        ways: defaultdict[RouterId, list[RouterUplink]] = defaultdict(list)
        for row in self.session.rows(self.selection.uplinks, **self.parameters):
            router, uplink, interface, mac, position, number, misses, has_others = row
            address = IPv4Address(position)
            home = next(part for part in owned[uplink] if address in part.cidr)
            # Of a pool that came when a project had its addresses already, its router knows nothing.
            apart = [part for part in owned[uplink] if not any(part.cidr.overlaps(own) for own in inside[router])]
            ways[router].append(
                RouterUplink(
                    uplink=uplink,
                    interface=interface,
                    mac=mac,
                    address=IPv4Interface((address, home.cidr.prefixlen)),
                    next_hop=home.gateway,
                    prefixes=tuple(sorted({part.cidr for part in apart})),
                    ranges=_prefixes(apart),
                    alone=not has_others,
                    number=uplink_number(number),
                    misses=misses,
                ),
            )
        for router, joined in self.session.rows(self.selection.routers, **self.parameters):
            generation = self._generation(SubjectKind.ROUTER, router)
            if generation is not None:
                yield RouterIntent(router, generation, tuple(ports[router]), tuple(ways[router]), joined=joined)

    def _nics(self) -> Iterator[NicIntent]:
        shared: defaultdict[RouterId | None, list[PublicAddress]] = defaultdict(list)
        for router, position, uplink in self.session.rows(self.selection.shared, **self.parameters):
            shared[router].append(PublicAddress(IPv4Address(position), uplink))
        floating: defaultdict[tuple[NicId | None, int], list[PublicAddress]] = defaultdict(list)
        here = {"at": self.at.id if self.at is not None else ""}
        of_pools: defaultdict[tuple[NicId | None, int], dict[PoolId, IPv4Address]] = defaultdict(dict)
        for nic, fixed, position, uplink, pool in self.session.rows(self.selection.floating, **self.parameters, **here):
            floating[nic, fixed].append(PublicAddress(IPv4Address(position), uplink))
            of_pools[nic, fixed].setdefault(pool, IPv4Address(position))
        forwards: defaultdict[tuple[NicId | None, int], list[PortForwarding]] = defaultdict(list)
        for it in self.session.rows(self.selection.forwards, **self.parameters, **here):
            of, fixed, position, uplink, protocol, first, last, goal = it
            public = PublicAddress(IPv4Address(position), uplink)
            forwards[of, fixed].append(PortForwarding(public, Transport(protocol), first, last, goal))
        own: defaultdict[NicId | None, list[tuple[int, int]]] = defaultdict(list)
        for nic, fixed, times in self.session.rows(self.selection.fixed, **self.parameters):
            own[nic].append((fixed, times or 0))
        numbers: defaultdict[NicId, list[int]] = defaultdict(list)
        for nic, number in self.session.rows(self.selection.memberships, **self.parameters):
            numbers[nic].append(number)
        extra: defaultdict[NicId, list[IPv4Address | IPv6Address]] = defaultdict(list)
        for nic, text in self.session.rows(self.selection.allowed, **self.parameters):
            extra[nic].append(ip_address(text))
        told = told_of(self.session.rows(self.selection.told, **self.parameters))
        rows = self.session.rows(self.selection.nics, **self.parameters)
        preferring = [
            Preferring(nic, IPv4Address(fixed), times, Known(of_pools[nic, fixed], _by_uplink(shared[gate])))
            for nic, _, gate, *_ in rows
            for fixed, times in own[nic]
            if nic in told or times
        ]
        egress = egress_of(self.session, told, preferring)
        for row in rows:
            nic, network, gate, mac, name, kind, bridge, endpoint, filtered = row
            generation = self._generation(SubjectKind.NIC, nic)
            if generation is None:
                continue
            addresses = tuple(
                NicAddress(
                    IPv4Address(fixed),
                    tuple(floating[nic, fixed]),
                    egress.get((nic, IPv4Address(fixed))),
                    tuple(sorted(forwards[nic, fixed])),
                )
                for fixed, _ in own[nic]
            )
            yield NicIntent(
                id=nic,
                generation=generation,
                network=network,
                router=gate,
                mac=mac,
                hostname=hostname(name, addresses[0].address if addresses else None),
                addresses=addresses,
                shared=tuple(shared[gate]),
                bridge=bridge,
                endpoint=IPv4Address(endpoint) if endpoint and kind == NetworkKind.VXLAN.value else None,
                filter=NicFilter(tuple(numbers[nic]), tuple(sorted(extra[nic], key=_in_order))) if filtered else None,
            )

    def _groups(self) -> Iterator[GroupIntent]:
        rules: defaultdict[GroupId, list[FilterRule]] = defaultdict(list)
        for row in self.session.rows(self.selection.rules, **self.parameters):
            rule, remote = group_rule(row)
            rules[rule.group].append(filter_rule(rule, remote))
        for group, number in self.session.rows(self.selection.groups, **self.parameters):
            generation = self._generation(SubjectKind.GROUP, group)
            if generation is not None:
                yield GroupIntent(group, generation, number, tuple(rules[group]))

    def _instances(self) -> Iterator[InstanceIntent]:
        nics: defaultdict[InstanceId | None, list[GuestNic]] = defaultdict(list)
        fixed: dict[NicId | None, int] = {}
        for nic, position in self.session.rows(self.selection.guest_addresses, **self.parameters):
            fixed.setdefault(nic, position)
        for row in self.session.rows(self.selection.guest_nics, **self.parameters):
            instance, nic, network, mac, mtu, kind, cidr, gateway, dns, name = row
            injected = None
            if manager_of(NetworkKind(kind)).injected and nic in fixed:
                address = IPv4Address(fixed[nic])
                injected = InjectedAddress(
                    address=IPv4Interface((address, IPv4Network(cidr).prefixlen)),
                    gateway=IPv4Address(gateway),
                    dns=tuple(IPv4Address(server) for server in dns.split()),
                    hostname=hostname(name, address),
                )
            nics[instance].append(GuestNic(nic, network, mac, mtu, injected))
        for instance, name, image, power, boots in self.session.rows(self.selection.instances, **self.parameters):
            generation = self._generation(SubjectKind.INSTANCE, instance)
            if generation is not None:
                cards = tuple(nics[instance])
                yield InstanceIntent(instance, generation, name, image, cards, Power(power).runs, boots)


def _in_order(address: IPv4Address | IPv6Address) -> tuple[int, int]:
    return address.version, int(address)


def _by_uplink(shared: Sequence[PublicAddress]) -> dict[UplinkId, IPv4Address]:
    return {public.uplink: public.address for public in reversed(shared)}


def _prefixes(parts: Sequence[_OwnedRange]) -> tuple[IPv4Network, ...]:
    """Write ranges as the fewest prefixes, sorted."""
    return tuple(
        collapse_addresses(prefix for part in parts for prefix in summarize_address_range(part.first, part.last)),
    )
