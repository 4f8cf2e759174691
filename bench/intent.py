"""Subjects as a gateway host is told them: a router with one network and one uplink, and NICs that have a floating IP each."""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Interface, summarize_address_range
from uuid import UUID

from bench.world import (
    FIRST_PRIVATE,
    FIRST_PUBLIC,
    GATEWAY,
    GUESTS,
    LAST_PUBLIC,
    OUTSIDE,
    POOL,
    ROUTER,
    UPLINK_INTERFACE,
)
from mooring.compile.facts import Key, Place, Row, Table
from mooring.compile.host import compile_host
from mooring.compile.links import router_place
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
)

MTU = 1500


@dataclass(frozen=True, slots=True)
class Site:
    """A gateway host with a number of its own, so that several fit into one sandbox: addresses are the same in each, ids are not."""

    number: int = 0

    @property
    def network(self) -> NetworkId:
        """Return the guests' network."""
        return NetworkId(self._id(0xB1, 0))

    @property
    def router(self) -> RouterId:
        """Return the network's router."""
        return RouterId(self._id(0xB2, 0))

    @property
    def uplink(self) -> UplinkId:
        """Return the way out."""
        return UplinkId(self._id(0xB3, 0))

    @property
    def place(self) -> Place:
        """Return where the router's facts hold."""
        return router_place(self.router)

    def gateway(self, associations: int) -> Iterator[Placement]:
        """Return what the host holds with so many associations."""
        yield _placed(NetworkIntent(self.network, 1, MTU), HostRole.COMPUTE)
        yield _placed(self._router(), HostRole.GATEWAY)
        for number in range(associations):
            yield self.nic(number, number)

    def nic(self, number: int, public: int | None, generation: int = 1) -> Placement:
        """Return the NIC with the fixed IP of that number, and the floating IP of the number `public` if it has one."""
        floating = () if public is None else (PublicAddress(FIRST_PUBLIC + public, self.uplink),)
        intent = NicIntent(
            id=NicId(self._id(0xA0, number)),
            generation=generation,
            network=self.network,
            router=self.router,
            mac=f"fa:16:3f:{number >> 16:02x}:{number >> 8 & 0xFF:02x}:{number & 0xFF:02x}",
            hostname=f"guest-{number}",
            addresses=(NicAddress(FIRST_PRIVATE + number, floating),),
            shared=(PublicAddress(ROUTER, self.uplink),),
        )
        return _placed(intent, HostRole.GATEWAY)

    def facts(self, associations: int, without: frozenset[Table] = frozenset()) -> dict[Key, Row]:
        """Return the facts of the host with so many associations, but for some tables."""
        placed = ((each.subject, each.role) for each in self.gateway(associations) if each.subject is not None)
        return {key: value for key, value in compile_host(placed).items() if key.table not in without}

    def _router(self) -> RouterIntent:
        own = IPv4Interface((GATEWAY, GUESTS.prefixlen))
        port = RouterPort(self.network, "fa:16:3e:00:00:01", own, (), MTU, 3600)
        uplink = RouterUplink(
            uplink=self.uplink,
            interface=UPLINK_INTERFACE,
            mac="fa:16:3e:00:00:02",
            address=IPv4Interface((ROUTER, POOL.prefixlen)),
            next_hop=OUTSIDE,
            prefixes=(POOL,),
            ranges=tuple(summarize_address_range(ROUTER, LAST_PUBLIC)),
        )
        return RouterIntent(self.router, 1, (port,), (uplink,))

    def _id(self, kind: int, number: int) -> str:
        # Devices are named by the first 11 digits: what tells one from another has to be there.
        return str(UUID(int=kind << 120 | self.number << 112 | number << 88 | 0x4000_8000_0000_0000_0001))


def _placed(subject: Subject, role: HostRole) -> Placement:
    return Placement(subject.key, subject.generation, role, subject)
