"""What requests ask for: bodies as JSON, checked before any operation is asked."""

from typing import Annotated, Literal

from pydantic import Field, Strict

from mooring.compile.journey import IpProtocol
from mooring.dialects.native.fields import Address, Body, Prefix
from mooring.model.ids import ProjectId
from mooring.model.nouns import AddressRange, NetworkKind
from mooring.operations import NewNetwork, NewPool

_PORT = Field(ge=1, le=65535)


class NetworkWish(Body):
    """A network to be made; the gateway is the subnet's first address unless it is given, the mtu what the kind allows, in bytes.

    `project` (a name or id) owns a vlan or vxlan, whose `segment` is the next free one unless it is given; `bridge` and `cluster` are of a
    flat network.
    """

    name: str
    cidr: Prefix
    gateway: Address | None = None
    dns: Annotated[list[Address], Field(default_factory=list)]
    mtu: int | None = None
    kind: Annotated[NetworkKind, Strict(strict=False)] = NetworkKind.FLAT_DHCP
    project: str | None = None
    segment: int | None = None
    bridge: str | None = None
    cluster: str | None = None

    def new(self, project: ProjectId | None) -> NewNetwork:
        """Return what operations make of it; `project` is the id of the project that it names."""
        return NewNetwork(
            name=self.name,
            cidr=self.cidr,
            gateway=self.gateway,
            dns=tuple(self.dns),
            mtu=self.mtu,
            kind=self.kind,
            project=project,
            segment=self.segment,
            bridge=self.bridge,
            cluster=self.cluster,
        )


class RangeWish(Body):
    """An inclusive range of addresses."""

    first: Address
    last: Address


class PoolWish(Body):
    """A pool to be made; `uplink` names one that exists, or is made for `interface`.

    `cidr` is the provider's subnet and `gateway` its router there; only addresses inside `ranges` are ours to give out.
    """

    name: str
    cidr: Prefix
    gateway: Address
    ranges: list[RangeWish]
    uplink: str
    interface: str | None = None

    def new(self) -> NewPool:
        """Return what operations make of it."""
        ranges = tuple(AddressRange(part.first, part.last) for part in self.ranges)
        return NewPool(self.name, self.cidr, self.gateway, ranges, self.uplink, self.interface)


class FloatingIpWish(Body):
    """A floating IP to be allocated, of the pool with this name or id, or of the first one."""

    pool: str | None = None


class AssociationWish(Body):
    """Where packets to a floating IP shall go: an instance by name or id, and one of its fixed addresses or its first."""

    instance: str
    fixed_address: Address | None = None


class NicWish(Body):
    """A NIC to be made on a network with this name or id, with a fixed address of the caller's choice or any."""

    network: str
    fixed_ip: Address | None = None


class InstanceWish(Body):
    """An instance to be made; image and flavor by name or id.  Without networks it gets a NIC on the project's only network."""

    name: str
    image: str
    flavor: str
    networks: Annotated[list[NicWish], Field(default_factory=list)]


class QuotaWish(Body):
    """How many of a resource a project may have from now on; -1 is no limit."""

    limit: Annotated[int, Field(ge=-1, le=2**31 - 1)]


class TraceWish(Body):
    """A packet to be followed.

    Without `host` the hosts are asked in turn.  `entry` says whether a guest sends it or the outside; without it, that is known by whether
    a guest has the source address.  `network` says which network's guest, where several have one of this address or none has.
    """

    source: Address
    destination: Address
    protocol: Annotated[IpProtocol, Strict(strict=False)] = IpProtocol.ICMP
    port: Annotated[int | None, _PORT] = None
    source_port: Annotated[int | None, _PORT] = None
    host: str | None = None
    entry: Literal["guest", "uplink"] | None = None
    network: str | None = None
