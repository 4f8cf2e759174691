"""A small world of subjects for tests of the agent: one router with two networks, an uplink, NICs, and a few public addresses."""

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from mooring.compile.facts import HostState
from mooring.compile.host import compile_host
from mooring.model.ids import NetworkId, NicId, RouterId, UplinkId
from mooring.model.subjects import (
    HostRole,
    NetworkIntent,
    NicAddress,
    NicIntent,
    Placement,
    PublicAddress,
    RouterIntent,
    RouterPort,
    RouterUplink,
    Subject,
    SubjectKey,
)

NETWORKS = tuple(NetworkId(f"{n:08x}-0000-4000-8000-0000000000aa") for n in (1, 2))
ROUTER = RouterId("00000000-0000-4000-8000-0000000000bb")
UPLINK = UplinkId("00000000-0000-4000-8000-0000000000cc")
OWN = PublicAddress(IPv4Address("198.51.100.2"), UPLINK)


def nic_id(number: int) -> NicId:
    """Return the id of the n-th NIC."""
    return NicId(f"{number:08x}-0000-4000-8000-0000000000dd")


def public(number: int) -> PublicAddress:
    """Return the n-th public address."""
    return PublicAddress(IPv4Address("198.51.100.10") + number, UPLINK)


@dataclass
class World:
    """Intent as a controller would hold it: which NICs there are, and which public address is on which."""

    generations: dict[SubjectKey, int] = field(default_factory=dict)
    subjects: dict[tuple[SubjectKey, HostRole], Subject] = field(default_factory=dict)
    nics: set[int] = field(default_factory=set)
    public: dict[int, int] = field(default_factory=dict)

    def _place(self, key: SubjectKey, role: HostRole, subject: Subject | None) -> Placement:
        if subject is None:
            self.subjects.pop((key, role), None)
        else:
            self.subjects[key, role] = subject
        return Placement(key, self.generations[key], role, subject)

    def _next(self, key: SubjectKey) -> int:
        self.generations[key] = self.generations.get(key, 0) + 1
        return self.generations[key]

    def base(self) -> list[Placement]:
        """Return the networks and the router."""
        placements = []
        for network in NETWORKS:
            intent = NetworkIntent(network, 1, 1500)
            self._next(intent.key)
            placements.append(self._place(intent.key, HostRole.COMPUTE, intent))
        ports = tuple(
            RouterPort(network, f"fa:16:3e:00:00:{n:02x}", IPv4Interface(f"10.0.{n}.1/24"), (), 1500, 3600)
            for n, network in enumerate(NETWORKS)
        )
        uplink = RouterUplink(
            UPLINK,
            "ext0",
            "fa:16:3e:00:01:00",
            IPv4Interface("198.51.100.2/24"),
            IPv4Address("198.51.100.1"),
            (IPv4Network("198.51.100.0/24"),),
            (IPv4Network("198.51.100.8/29"), IPv4Network("198.51.100.16/28")),
        )
        router = RouterIntent(ROUTER, 1, ports, (uplink,))
        self._next(router.key)
        placements.append(self._place(router.key, HostRole.GATEWAY, router))
        return placements

    def nic(self, number: int) -> list[Placement]:
        """Return a NIC as it is now, in both roles, in a new generation."""
        network = number % len(NETWORKS)
        key = NicIntent(nic_id(number), 0, NETWORKS[network], ROUTER, "", "", ()).key
        generation = self._next(key)
        subject = None
        if number in self.nics:
            floating = tuple(sorted(public(p) for p, owner in self.public.items() if owner == number))
            address = NicAddress(IPv4Address(f"10.0.{network}.{10 + number}"), floating)
            subject = NicIntent(
                nic_id(number),
                generation,
                NETWORKS[network],
                ROUTER,
                f"fa:16:3e:01:00:{number:02x}",
                f"guest-{number}",
                (address,),
                (OWN,),
            )
        return [self._place(key, role, subject) for role in HostRole]

    def move(self, address: int, nic: int | None) -> list[Placement]:
        """Put a public address on a NIC, or on none; return all that changes by it."""
        before = self.public.pop(address, None)
        if nic is not None:
            self.public[address] = nic
        changed = sorted(number for number in {before, nic} if number is not None)
        return [placed for number in changed for placed in self.nic(number)]

    def add(self, number: int) -> list[Placement]:
        """Make a NIC."""
        self.nics.add(number)
        return self.nic(number)

    def remove(self, number: int) -> list[Placement]:
        """Take a NIC away, and its public addresses from it."""
        self.nics.discard(number)
        self.public = {address: owner for address, owner in self.public.items() if owner != number}
        return self.nic(number)

    def compiled(self) -> HostState:
        """Return what the host must hold now."""
        return compile_host((subject, role) for (_, role), subject in self.subjects.items())
