"""What requests ask for: bodies as JSON, checked before any operation is asked."""

from dataclasses import replace
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, Strict

from mooring.compile.journey import IpProtocol
from mooring.dialects.native.fields import Address, AnyAddress, Body, Prefix
from mooring.model.faults import Invalid
from mooring.model.ids import ProjectId
from mooring.model.nouns import NetworkKind
from mooring.model.subjects import Direction
from mooring.operations import NewNetwork, NewRule

_PORT = Field(ge=1, le=65535)


def _protocol(value: object) -> object:
    # Before pydantic looks, which would name each of the two types as a field of its own.
    if value is not None and (isinstance(value, bool) or not isinstance(value, str | int)):
        raise ValueError("must be a protocol's name or number")
    return value


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


class FloatingIpWish(Body):
    """A floating IP to be allocated, of the pool with this name or id, or of the first one that the project may use.

    `address` asks for one of it by itself: administrators may, and others in pools that are granted to them and not public.
    """

    pool: str | None = None
    address: Address | None = None


class AssociationWish(Body):
    """Where packets to a floating IP shall go: an instance by name or id, and one of its fixed addresses or its first."""

    instance: str
    fixed_address: Address | None = None


class NicWish(Body):
    """A NIC to be made on a network with this name or id, with a fixed address of the caller's choice or any."""

    network: str
    fixed_ip: Address | None = None


class FixedAddressWish(Body):
    """A fixed IP that a NIC gets beside what it has: this one, or the network's next."""

    address: Address | None = None


class AllowedAddressesWish(Body):
    """Addresses that a NIC may use beside its own: each an address, or a prefix that holds 256 at most."""

    addresses: list[str]


class InstanceWish(Body):
    """An instance to be made; image and flavor by name or id.  Without networks it gets a NIC on the project's only network.

    `security_groups` are names or ids; null is the project's default group, and an empty list none: then nothing may be sent or received.
    """

    name: str
    image: str
    flavor: str
    networks: Annotated[list[NicWish], Field(default_factory=list)]
    security_groups: list[str] | None = None


class PowerWish(Body):
    """Whether a guest shall run."""

    running: bool


class SecurityGroupWish(Body):
    """A security group to be made, or what it is called from now on."""

    name: str
    description: str = ""


class PortsWish(Body):
    """An inclusive range of destination ports."""

    first: int
    last: int


class IcmpWish(Body):
    """An ICMP type, and a code or any."""

    type: int
    code: int | None = None


class GroupRuleWish(Body):
    """Something to be admitted.

    `protocol` is a name in any case or a number, null any; `ports` and `icmp` narrow it down where it has them.  The other side is in
    `remote_prefix`, or in the group `remote_group` (a name or id); with neither it is anybody.  `family` is 4 or 6: that of the prefix, or 4.
    """

    direction: Annotated[Direction, Strict(strict=False)] = Direction.INGRESS
    family: int | None = None
    protocol: Annotated[str | int | None, BeforeValidator(_protocol)] = None
    ports: PortsWish | None = None
    icmp: IcmpWish | None = None
    remote_prefix: str | None = None
    remote_group: str | None = None

    def new(self) -> NewRule:
        """Return what operations make of it.

        Raises:
            Invalid: it asks for ports and an ICMP type at once.
        """
        if self.ports is not None and self.icmp is not None:
            raise Invalid("icmp", "a protocol has ports, or a type and a code, but not both")
        new = NewRule(
            direction=self.direction,
            family=self.family,
            protocol=self.protocol,
            prefix=self.remote_prefix,
            remote=self.remote_group,
        )
        if self.ports is not None:
            return replace(new, first=self.ports.first, last=self.ports.last, meant="ports")
        if self.icmp is not None:
            return replace(new, first=self.icmp.type, last=self.icmp.code, meant="icmp")
        return new


class QuotaWish(Body):
    """How many of a resource a project may have from now on; -1 is no limit."""

    limit: Annotated[int, Field(ge=-1, le=2**31 - 1)]


class TraceWish(Body):
    """A packet to be followed.

    Without `host` the hosts are asked in turn.  `entry` says whether a guest sends it or the outside; without it, that is known by whether
    a guest has the source address.  `network` says which network's guest, where several have one of this address or none has.  `nic` is the
    id of one that sends, whosever address the source is.
    """

    source: AnyAddress
    destination: AnyAddress
    protocol: Annotated[IpProtocol, Strict(strict=False)] = IpProtocol.ICMP
    port: Annotated[int | None, _PORT] = None
    source_port: Annotated[int | None, _PORT] = None
    host: str | None = None
    entry: Literal["guest", "uplink"] | None = None
    network: str | None = None
    nic: str | None = None
