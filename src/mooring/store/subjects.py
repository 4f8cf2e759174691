"""Subjects from rows: what hosts pull, read in bulk by a fixed number of statements, however many subjects there are."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, collapse_addresses, summarize_address_range

from mooring.model.ids import InstanceId, NicId, RouterId, UplinkId
from mooring.model.subjects import (
    GuestNic,
    InstanceIntent,
    NetworkIntent,
    NicAddress,
    NicIntent,
    PublicAddress,
    RouterIntent,
    RouterPort,
    RouterUplink,
    Subject,
    SubjectKey,
    SubjectKind,
)
from mooring.store.hostnames import hostname
from mooring.store.selection import NAMED, Selection
from mooring.store.session import Session

LEASE = 3600
"""For how many seconds a guest may keep its address without asking again."""


def load(
    session: Session,
    wanted: Mapping[SubjectKey, int],
    selection: Selection,
    **parameters: object,
) -> Mapping[SubjectKey, Subject]:
    """Return the wanted subjects, each in the generation that goes with its key, as far as there are rows of them."""
    kinds: defaultdict[SubjectKind, list[str]] = defaultdict(list)
    for key in sorted(wanted):
        kinds[key.kind].append(key.id)
    found: dict[SubjectKey, Subject] = {}
    for kind, ids in kinds.items():
        read = _Read(session, selection, wanted, {kind.value: ids} if selection is NAMED else parameters)
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

    def _generation(self, kind: SubjectKind, identifier: str) -> int | None:
        return self.wanted.get(SubjectKey(kind, identifier))

    def _networks(self) -> Iterator[NetworkIntent]:
        for network, mtu in self.session.rows(self.selection.networks, **self.parameters):
            generation = self._generation(SubjectKind.NETWORK, network)
            if generation is not None:
                yield NetworkIntent(network, generation, mtu)

    def _routers(self) -> Iterator[RouterIntent]:
        ports: defaultdict[RouterId, list[RouterPort]] = defaultdict(list)
        for router, network, mac, gateway, cidr, dns, mtu in self.session.rows(self.selection.ports, **self.parameters):
            own = IPv4Interface((gateway, IPv4Network(cidr).prefixlen))
            servers = tuple(IPv4Address(server) for server in dns.split())
            ports[router].append(RouterPort(network, mac, own, servers, mtu, LEASE))
        owned: defaultdict[UplinkId, list[_OwnedRange]] = defaultdict(list)
        for uplink, cidr, gateway, first, last in self.session.rows(self.selection.ranges, **self.parameters):
            part = _OwnedRange(IPv4Network(cidr), IPv4Address(gateway), IPv4Address(first), IPv4Address(last))
            owned[uplink].append(part)
        ways: defaultdict[RouterId, list[RouterUplink]] = defaultdict(list)
        for router, uplink, interface, mac, position in self.session.rows(self.selection.uplinks, **self.parameters):
            address = IPv4Address(position)
            home = next(part for part in owned[uplink] if address in part.cidr)
            ways[router].append(
                RouterUplink(
                    uplink=uplink,
                    interface=interface,
                    mac=mac,
                    address=IPv4Interface((address, home.cidr.prefixlen)),
                    next_hop=home.gateway,
                    prefixes=tuple(sorted({part.cidr for part in owned[uplink]})),
                    ranges=_prefixes(owned[uplink]),
                ),
            )
        for (router,) in self.session.rows(self.selection.routers, **self.parameters):
            generation = self._generation(SubjectKind.ROUTER, router)
            if generation is not None:
                yield RouterIntent(router, generation, tuple(ports[router]), tuple(ways[router]))

    def _nics(self) -> Iterator[NicIntent]:
        shared: defaultdict[RouterId, list[PublicAddress]] = defaultdict(list)
        for router, position, uplink in self.session.rows(self.selection.shared, **self.parameters):
            shared[router].append(PublicAddress(IPv4Address(position), uplink))
        floating: defaultdict[tuple[NicId | None, int], list[PublicAddress]] = defaultdict(list)
        for nic, fixed, position, uplink in self.session.rows(self.selection.floating, **self.parameters):
            floating[nic, fixed].append(PublicAddress(IPv4Address(position), uplink))
        addresses: defaultdict[NicId | None, list[NicAddress]] = defaultdict(list)
        for nic, fixed in self.session.rows(self.selection.fixed, **self.parameters):
            public = floating.get((nic, fixed))
            addresses[nic].append(NicAddress(IPv4Address(fixed), tuple(sorted(public)) if public else ()))
        for nic, network, router, mac, name in self.session.rows(self.selection.nics, **self.parameters):
            generation = self._generation(SubjectKind.NIC, nic)
            if generation is None:
                continue
            own = tuple(addresses.get(nic, ()))
            yield NicIntent(
                id=nic,
                generation=generation,
                network=network,
                router=router,
                mac=mac,
                hostname=hostname(name, own[0].address if own else None),
                addresses=own,
                shared=tuple(shared.get(router, ())),
            )

    def _instances(self) -> Iterator[InstanceIntent]:
        nics: defaultdict[InstanceId, list[GuestNic]] = defaultdict(list)
        for instance, nic, network, mac, mtu in self.session.rows(self.selection.guest_nics, **self.parameters):
            nics[instance].append(GuestNic(nic, network, mac, mtu))
        for instance, name, image in self.session.rows(self.selection.instances, **self.parameters):
            generation = self._generation(SubjectKind.INSTANCE, instance)
            if generation is not None:
                yield InstanceIntent(instance, generation, name, image, tuple(nics[instance]))


def _prefixes(parts: Sequence[_OwnedRange]) -> tuple[IPv4Network, ...]:
    """Write ranges as the fewest prefixes, sorted."""
    return tuple(
        collapse_addresses(prefix for part in parts for prefix in summarize_address_range(part.first, part.last)),
    )
