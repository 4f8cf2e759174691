"""Hypothesis strategies for clouds: networks, routers, NICs and floating IPs that are valid together, for any test to draw from.

Identifiers are unique in the digits that device names keep.  Routers share uplinks and their pools; networks of different routers may
have the same subnet, as those of different projects do.  Where a cloud is carried, its networks reach other hosts: some NICs are there, and the
routers of some networks too.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from hypothesis import strategies as st

from mooring.compile.facts import HostState
from mooring.compile.host import compile_host
from mooring.compile.journey import Entry, FromGuest, FromRouter, FromUplink, Header, IpProtocol, Packet
from mooring.model.ids import NetworkId, NicId, RouterId, UplinkId, uplink_name
from mooring.model.subjects import (
    Carrier,
    Egress,
    EgressPreference,
    GroupIntent,
    HostRole,
    NetworkIntent,
    NicAddress,
    NicIntent,
    PortForwarding,
    PublicAddress,
    RouterIntent,
    RouterPort,
    RouterUplink,
    Subject,
    Transport,
    Trunk,
    TunnelPeer,
    Vlan,
    Vxlan,
    WayOut,
)

SEGMENT = "seg0"
"""The host's interface towards other hosts."""
ENDPOINT = IPv4Address("192.168.77.1")
PEERS = tuple(IPv4Address("192.168.77.2") + number for number in range(2))
"""The tunnel endpoints of the host and of two others."""
POOL_SIZE = 8
OUTSIDE = IPv4Address("192.0.2.77")
PREFIX_SETS = tuple(
    tuple(map(IPv4Network, texts))
    for texts in (
        ("0.0.0.0/0",),
        ("192.0.2.0/24",),
        ("0.0.0.0/0", "192.0.2.0/24", "192.0.2.64/26", "192.0.2.77/32"),
        ("192.0.2.0/25", "192.0.2.128/25", "192.0.2.0/24", "128.0.0.0/1"),
        ("0.0.0.0/2", "192.0.2.76/31", "198.51.101.128/25"),
    )
)
"""Sets of prefixes by which guests prefer; their numbers are their places, from 1."""
DESTINATIONS = tuple(
    IPv4Address(text)
    for text in ("192.0.2.77", "192.0.2.76", "192.0.2.78", "192.0.2.64", "192.0.2.63", "192.0.2.128", "192.0.2.255")
) + tuple(IPv4Address(text) for text in ("192.0.3.0", "9.9.9.9", "126.255.255.255", "198.51.101.200", "198.51.100.200"))
"""Addresses outside, many of them where a prefix begins or ends."""

PORTS = tuple(
    (protocol, first, last, to)
    for first, last, to in (
        (22, 22, 22),
        (80, 80, 8080),
        (2222, 2223, 22),
        (8000, 8100, 8000),
        (16, 21, 16),
        (512, 1300, 512),
        (9000, 9040, 9020),
    )
    for protocol in Transport
)
"""Ports that can be forwarded from one address: protocol, first, last, and the first port of the guest; no two are the same."""
FORWARDED_PORTS = (15, 16, 21, 22, 80, 512, 1023, 1300, 1301, 2223, 8015, 8016, 8100, 8101, 9000, 9019, 9040)
"""Ports to ask at, many of them where a block begins or ends."""


def uuid(kind: str, number: int) -> str:
    """Return an identifier of one hexadecimal digit for the kind of thing and a number."""
    return f"{kind}{number:07x}-0000-4000-8000-{number:012x}"


def mac(kind: int, number: int) -> str:
    """Return a locally administered hardware address."""
    return f"02:00:{kind:02x}:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"


def uplink_id(number: int) -> UplinkId:
    """Return the id of the n-th uplink."""
    return UplinkId(uuid("c", number))


def provider(uplink: int) -> IPv4Network:
    """Return the provider's subnet of the n-th uplink."""
    return IPv4Network((f"198.51.{100 + uplink}.0", 24))


def pool(uplink: int) -> tuple[PublicAddress, ...]:
    """Return the addresses of the n-th uplink that projects may have."""
    first = provider(uplink).network_address + 16
    return tuple(PublicAddress(first + offset, uplink_id(uplink)) for offset in range(POOL_SIZE))


def way_out(public: PublicAddress) -> WayOut:
    """Return a public address as a preference names it."""
    return WayOut(public.address, public.uplink, int(public.uplink[1:8], 16) + 1)


def router_uplink(router: int, uplink: int) -> RouterUplink:
    """Return the n-th router's side of an uplink."""
    subnet = provider(uplink)
    return RouterUplink(
        uplink=uplink_id(uplink),
        interface=f"ext{uplink}",
        mac=mac(0xC0 + uplink, router),
        address=IPv4Interface((subnet.network_address + 2 + router, 24)),
        next_hop=subnet.network_address + 1,
        prefixes=(subnet,),
        ranges=(IPv4Network((pool(uplink)[0].address, 29)),),
        number=uplink + 1,
        misses=3,
    )


@dataclass(frozen=True)
class Cloud:
    """Subjects that are valid together on one host that is gateway and compute.

    `remote` are the NICs whose guests are on other hosts; `foreign` those on networks whose router is on another host.  `groups` are the
    security groups of those whose guests are here.
    """

    networks: tuple[NetworkIntent, ...]
    routers: tuple[RouterIntent, ...]
    nics: tuple[NicIntent, ...]
    remote: frozenset[NicId] = frozenset()
    foreign: tuple[NicIntent, ...] = ()
    groups: tuple[GroupIntent, ...] = ()

    @property
    def placed(self) -> list[tuple[Subject, HostRole]]:
        """The subjects with the roles that the host plays for them."""
        both: tuple[Subject, ...] = (*self.networks, *self.routers)
        placed: list[tuple[Subject, HostRole]] = [(subject, HostRole.GATEWAY) for subject in both]
        placed += [(nic, HostRole.GATEWAY) for nic in self.nics]
        placed += [(nic, self.part(nic)) for nic in (*self.nics, *self.foreign)]
        placed += [(group, HostRole.COMPUTE) for group in self.groups]
        spoken_of = {rule.remote_group for group in self.groups for rule in group.rules}
        for nic in (*self.nics, *self.foreign):
            if nic.filter is not None and spoken_of.intersection(nic.filter.groups):
                placed.append((nic, HostRole.MEMBER))
        return placed

    def part(self, nic: NicIntent) -> HostRole:
        """Return what the host is for a NIC beside a gateway."""
        return HostRole.PEER if nic.id in self.remote else HostRole.COMPUTE

    @property
    def state(self) -> HostState:
        """What the host's agent makes true."""
        return compile_host(self.placed)

    @property
    def associations(self) -> dict[PublicAddress, tuple[NicIntent, IPv4Address]]:
        """The floating IPs that lead somewhere."""
        return {
            public: (nic, fixed.address) for nic in self.nics for fixed in nic.addresses for public in fixed.floating
        }

    def router_of(self, nic: NicIntent) -> RouterIntent:
        """Return the router of a NIC's network."""
        return next(router for router in self.routers if router.id == nic.router)

    def pools(self) -> list[PublicAddress]:
        """Return every address that a router of this cloud could answer for."""
        uplinks = sorted({uplink.uplink for router in self.routers for uplink in router.uplinks})
        return [public for number in range(8) if uplink_id(number) in uplinks for public in pool(number)]

    @property
    def forwards(self) -> dict[PortForwarding, tuple[NicIntent, IPv4Address]]:
        """The forwarded ports, and where they lead."""
        return {
            forward: (nic, fixed.address) for nic in self.nics for fixed in nic.addresses for forward in fixed.forwards
        }

    def forwarding(self, forward: PortForwarding, nic: NicId, fixed: IPv4Address) -> "Cloud":
        """Return the cloud after ports are forwarded to a fixed address; if they were to another, they have moved."""
        return self.unforwarding(forward)._each_address(
            lambda one, it: (
                replace(it, forwards=tuple(sorted((*it.forwards, forward))))
                if (one.id, it.address) == (nic, fixed)
                else it
            )
        )

    def unforwarding(self, forward: PortForwarding) -> "Cloud":
        """Return the cloud after ports are forwarded no longer."""
        return self._each_address(
            lambda _, it: replace(it, forwards=tuple(each for each in it.forwards if each != forward))
        )

    def _each_address(self, change: Callable[[NicIntent, NicAddress], NicAddress]) -> "Cloud":
        nics = (replace(nic, addresses=tuple(change(nic, it) for it in nic.addresses)) for nic in self.nics)
        return replace(self, nics=tuple(nics))

    def without(self, public: PublicAddress) -> "Cloud":
        """Return the cloud after a floating IP is disassociated."""
        return replace(self, nics=tuple(_without(nic, public) for nic in self.nics))

    def associated(self, public: PublicAddress, nic: NicId, fixed: IPv4Address) -> "Cloud":
        """Return the cloud after a floating IP is associated with a fixed address; if it was with another, it has moved."""
        nics = [_without(one, public) for one in self.nics]
        return replace(self, nics=tuple(_with(one, public, fixed) if one.id == nic else one for one in nics))


def _without(nic: NicIntent, public: PublicAddress) -> NicIntent:
    addresses = (replace(a, floating=tuple(p for p in a.floating if p != public)) for a in nic.addresses)
    return replace(nic, addresses=tuple(addresses))


def _with(nic: NicIntent, public: PublicAddress, fixed: IPv4Address) -> NicIntent:
    addresses = (
        replace(a, floating=tuple(sorted((*a.floating, public)))) if a.address == fixed else a for a in nic.addresses
    )
    return replace(nic, addresses=tuple(addresses))


@st.composite
def clouds(draw: st.DrawFn, max_nics: int = 5, max_uplinks: int = 2, *, busy: bool = False) -> Cloud:
    """Draw a cloud that stays on its host; a `busy` one has a floating IP that is associated."""
    uplinks = draw(st.integers(1, max_uplinks))
    networks: list[NetworkIntent] = []
    routers: list[RouterIntent] = []
    subnets: dict[NetworkId, IPv4Network] = {}
    for number in range(draw(st.integers(1, 2))):
        # The second router's subnets may be the first one's: projects choose theirs without asking each other.
        block = draw(st.sampled_from((0, 8 * number)))
        ports: list[RouterPort] = []
        for index in range(draw(st.integers(1, 2))):
            network = NetworkId(uuid("a", len(networks)))
            subnet = IPv4Network((f"10.{block + index}.0.0", draw(st.sampled_from((16, 24, 28)))))
            mtu = draw(st.sampled_from((1400, 1500)))
            subnets[network] = subnet
            networks.append(NetworkIntent(network, 1, mtu))
            own = IPv4Interface((subnet.network_address + 1, subnet.prefixlen))
            ports.append(RouterPort(network, mac(0xA0, len(networks)), own, (), mtu, 3600))
        # Most routers have a way out.
        least = 1 if busy else draw(st.sampled_from((1, 1, 1, 0)))
        sides = draw(st.lists(st.integers(0, uplinks - 1), min_size=least, max_size=uplinks, unique=True))
        connected = tuple(router_uplink(number, uplink) for uplink in sorted(sides))
        joined = draw(st.booleans())
        routers.append(RouterIntent(RouterId(uuid("b", number)), 1, tuple(ports), connected, joined))
    routers = _told_of_each_other(routers)
    nics: list[NicIntent] = []
    for number in range(draw(st.integers(1 if busy else 0, max_nics))):
        router = draw(st.sampled_from(routers))
        port = draw(st.sampled_from(router.ports))
        # Two addresses for each NIC number: no two NICs can meet, in the smallest subnet too.
        first = subnets[port.network].network_address + 2 + 2 * number
        count = draw(st.sampled_from((1, 2) if busy and number == 0 else (1, 2, 0)))
        nics.append(_nic(number, router, port, tuple(NicAddress(first + offset) for offset in range(count))))
    lonely = draw(st.sets(st.integers(0, max_nics)))
    nics = [replace(nic, shared=()) if number in lonely else nic for number, nic in enumerate(nics)]
    cloud = Cloud(tuple(networks), tuple(routers), tuple(nics))
    for public in cloud.pools():
        takers = [
            (nic.id, fixed.address)
            for nic in nics
            for fixed in nic.addresses
            if any(side.uplink == public.uplink for side in cloud.router_of(nic).uplinks)
        ]
        must = busy and not cloud.associations
        if takers and (taker := draw(st.sampled_from(takers if must else [None, *takers]))) is not None:
            cloud = cloud.associated(public, *taker)
    return cloud


@st.composite
def forwarding(draw: st.DrawFn, max_nics: int = 4, max_uplinks: int = 2) -> Cloud:
    """Draw a cloud that forwards ports of most of the addresses that are not associated, each behind one router and there to any guest."""
    cloud: Cloud = draw(clouds(max_nics, max_uplinks, busy=True))
    for public in cloud.pools()[:: POOL_SIZE // 4]:
        takers = [
            (router.id, nic.id, fixed.address)
            for router in cloud.routers
            for nic in cloud.nics
            for fixed in nic.addresses
            if nic.router == router.id and public.uplink in {side.uplink for side in router.uplinks}
        ]
        if public in cloud.associations or not takers:
            continue
        router = draw(st.sampled_from(takers))[0]
        for ports in draw(st.lists(st.sampled_from(PORTS), max_size=4, unique=True)):
            _, nic_id, fixed_ip = draw(st.sampled_from([taker for taker in takers if taker[0] == router]))
            cloud = cloud.forwarding(PortForwarding(public, *ports), nic_id, fixed_ip)
    return cloud


@st.composite
def preferring(draw: st.DrawFn, max_nics: int = 4, max_uplinks: int = 3) -> Cloud:
    """Draw a cloud of guests that prefer uplinks and addresses, mostly their own, towards destinations."""
    cloud: Cloud = draw(clouds(max_nics, max_uplinks, busy=True))

    def egress(nic: NicIntent, fixed: NicAddress) -> Egress | None:
        number = draw(st.integers(0, len(PREFIX_SETS)))
        if not number:
            return None
        own = [*fixed.floating, *nic.shared]
        ways = st.sampled_from([way_out(public) for public in (*own, *own, *own, *cloud.pools())])
        preferences = [
            EgressPreference(prefix, draw(ways), draw(st.none() | ways)) for prefix in PREFIX_SETS[number - 1]
        ]
        return Egress(number, tuple(draw(st.permutations(preferences))), draw(st.integers(0, 2)))

    nics = (
        replace(nic, addresses=tuple(replace(fixed, egress=egress(nic, fixed)) for fixed in nic.addresses))
        for nic in cloud.nics
    )
    return replace(cloud, nics=tuple(nics))


@st.composite
def carried(draw: st.DrawFn, *, vlans: bool = True) -> Cloud:
    """Draw a cloud whose networks reach other hosts; with VLANs only where they are wanted."""
    cloud = draw(clouds(max_nics=4))
    kinds = [None, Trunk, Vxlan, *([Vlan] if vlans else [])]
    networks: list[NetworkIntent] = []
    for number, network in enumerate(cloud.networks):
        kind = draw(st.sampled_from(kinds))
        if kind is Trunk:
            kinds.remove(Trunk)  # an interface can be of one bridge only
        networks.append(replace(network, carrier=_carrier(kind, number)))
    far = tuple(_far_network(number) for number in range(draw(st.integers(0, 2))))
    nics = [replace(nic, endpoint=_endpoint(draw, nic, networks)) for nic in cloud.nics]
    foreign = [_foreign(number, draw(st.sampled_from(far))) for number in range(draw(st.integers(0, 3)) if far else 0)]
    foreign = [replace(nic, endpoint=draw(st.sampled_from((ENDPOINT, *PEERS)))) for nic in foreign]
    remote = frozenset(nic.id for nic in (*nics, *foreign) if nic.endpoint in PEERS)
    return Cloud((*networks, *far), cloud.routers, tuple(nics), remote, tuple(foreign))


def _carrier(kind: type[Carrier] | None, number: int) -> Carrier | None:
    if kind is Trunk:
        return Trunk(SEGMENT)
    if kind is Vlan:
        return Vlan(SEGMENT, 100 + number)
    return Vxlan(1 + number, ENDPOINT) if kind is Vxlan else None


def _endpoint(draw: st.DrawFn, nic: NicIntent, networks: list[NetworkIntent]) -> IPv4Address | None:
    carrier = next(network.carrier for network in networks if network.id == nic.network)
    return draw(st.sampled_from((ENDPOINT, *PEERS))) if isinstance(carrier, Vxlan) else None


def _far_network(number: int) -> NetworkIntent:
    """Return a network whose router is on another host."""
    gateway = TunnelPeer(mac(0xA1, number), IPv4Address("10.0.0.1"), PEERS[number % 2])
    return NetworkIntent(NetworkId(uuid("a", 100 + number)), 1, 1450, Vxlan(100 + number, ENDPOINT, gateway))


def _foreign(number: int, network: NetworkIntent) -> NicIntent:
    address = NicAddress(IPv4Address("10.0.0.2") + number)
    router = RouterId(uuid("b", 100))
    return NicIntent(NicId(uuid("d", 100 + number)), 1, network.id, router, mac(0xD1, number), "far", (address,))


def _told_of_each_other(routers: list[RouterIntent]) -> list[RouterIntent]:
    """Return routers that know on which uplinks they are not alone."""
    count = Counter(side.uplink for router in routers for side in router.uplinks)
    return [
        replace(router, uplinks=tuple(replace(side, alone=count[side.uplink] == 1) for side in router.uplinks))
        for router in routers
    ]


def _nic(number: int, router: RouterIntent, port: RouterPort, addresses: tuple[NicAddress, ...]) -> NicIntent:
    return NicIntent(
        id=NicId(uuid("d", number)),
        generation=1,
        network=port.network,
        router=router.id,
        mac=mac(0xD0, number),
        hostname=f"guest-{number}",
        addresses=addresses,
        shared=tuple(PublicAddress(side.address.ip, side.uplink) for side in router.uplinks),
    )


@st.composite
def packets(draw: st.DrawFn, cloud: Cloud) -> Packet:
    """Draw packets: half of them such as guests and the world send, half of them from anywhere to anywhere."""
    privates = [fixed.address for nic in cloud.nics for fixed in nic.addresses]
    owns = [side.address.ip for router in cloud.routers for side in router.uplinks]
    owns += [port.address.ip for router in cloud.routers for port in router.ports]
    # Those that lead somewhere twice: the others are many.
    publics = [public.address for public in (*cloud.associations, *cloud.pools())]
    forwarded = [forward.public.address for forward in cloud.forwards]
    publics += forwarded * 2
    strangers = [OUTSIDE, IPv4Address("198.51.100.200")]
    anywhere = [*privates, *owns, *publics, *strangers, IPv4Address("10.0.0.250"), IPv4Address("255.255.255.255")]
    ports = st.sampled_from((80, 53, 67, 40000, None, *(FORWARDED_PORTS if forwarded else ())))
    protocol, sport, dport = draw(st.sampled_from(IpProtocol)), draw(ports), draw(ports)
    guests: list[tuple[Entry, IPv4Address]] = [
        (FromGuest(nic.network), fixed.address) for nic in cloud.nics for fixed in nic.addresses
    ]
    devices = sorted({uplink_name(side.uplink) for router in cloud.routers for side in router.uplinks})
    from_guest, from_outside = draw(st.booleans()), draw(st.booleans())
    if guests and from_guest:
        entry, src = draw(st.sampled_from(guests))
        return Packet(
            Header(protocol, src, draw(st.sampled_from([*strangers, *publics, *privates, *owns])), sport, dport), entry
        )
    if devices and from_outside:
        entry, src = FromUplink(draw(st.sampled_from(devices))), draw(st.sampled_from(strangers))
        return Packet(Header(protocol, src, draw(st.sampled_from([*publics, *owns])), sport, dport), entry)
    entries: list[Entry] = [FromGuest(network.id) for network in cloud.networks]
    entries += [FromRouter(router.id) for router in cloud.routers]
    entries += [FromUplink(device) for device in devices]
    entries += [FromUplink(uplink_name(side.uplink), router.id) for router in cloud.routers for side in router.uplinks]
    src, dst = draw(st.sampled_from(anywhere)), draw(st.sampled_from(anywhere))
    return Packet(Header(protocol, src, dst, sport, dport), draw(st.sampled_from(entries)))
