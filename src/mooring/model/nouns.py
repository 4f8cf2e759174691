"""What a cloud's addresses are about: the things that operations create, list and return."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Network

from mooring.model.groups import GroupName
from mooring.model.ids import (
    AddressId,
    ForwardingId,
    HostId,
    InstanceId,
    NetworkId,
    NicId,
    PoolId,
    ProjectId,
    RouterId,
    SubnetPoolId,
    UplinkId,
    UserId,
)
from mooring.model.marks import UNMARKED, Marks
from mooring.model.subjects import Transport


class NetworkKind(StrEnum):
    """How a network is carried between hosts, and who hands out its addresses."""

    FLAT = "flat"
    FLAT_DHCP = "flat_dhcp"
    VLAN = "vlan"
    VXLAN = "vxlan"


class InstanceState(StrEnum):
    """Where an instance is in its life."""

    BUILDING = "building"
    ACTIVE = "active"
    ERROR = "error"
    DELETING = "deleting"


class Power(StrEnum):
    """Whether the guest of an instance that was launched runs, or what it is being made to do."""

    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    STARTING = "starting"
    REBOOTING = "rebooting"
    RESETTING = "resetting"

    @property
    def runs(self) -> bool:
        """Whether the guest is to run."""
        return self not in (Power.STOPPING, Power.STOPPED)

    @property
    def outcome(self) -> "Power":
        """What it is when its host has done what is asked."""
        return Power.RUNNING if self.runs else Power.STOPPED


class AddressKind(StrEnum):
    """What an address row is for."""

    FIXED = "fixed"
    FLOATING = "floating"
    ROUTER = "router"
    GATEWAY = "gateway"


class Resource(StrEnum):
    """What a project's quota counts: rules and members of security groups in each group, the others in the whole project.

    Addresses of NICs are those beside the first of each: fixed IPs, and others that it may use.  NICs are those that the project made itself.
    """

    INSTANCES = "instances"
    FLOATING_IPS = "floating_ips"
    SECURITY_GROUPS = "security_groups"
    SECURITY_GROUP_RULES = "security_group_rules"
    SECURITY_GROUP_MEMBERS = "security_group_members"
    NIC_ADDRESSES = "nic_addresses"
    PORT_FORWARDINGS = "port_forwardings"
    NETWORKS = "networks"
    SUBNETS = "subnets"
    ROUTERS = "routers"
    SUBNET_POOLS = "subnet_pools"
    NICS = "nics"


@dataclass(frozen=True, slots=True)
class Host:
    """A machine that runs an agent.

    What connects it to others: `endpoint` is its address for VXLAN tunnels, `vlan_interface` carries tagged networks and
    `trunk_interface` an untagged one; each is None where the host has no such thing.  Hosts of one `cluster` share the operator's flat
    networks.  `machine` tells one machine from another that claims the same name.  `last_seen` is when it was last heard of.
    """

    id: HostId
    name: str
    compute: bool
    gateway: bool
    cluster: str = "default"
    endpoint: IPv4Address | None = None
    vlan_interface: str | None = None
    trunk_interface: str | None = None
    machine: str = ""
    last_seen: datetime | None = None


@dataclass(frozen=True, slots=True)
class Uplink:
    """A way out towards one provider: an interface of every gateway host that has it.

    `misses` is after how many questions in a row, one a second, that its next hop did not answer nothing leaves there any more; 0 is never.
    """

    id: UplinkId
    name: str
    interface: str
    misses: int = 3


@dataclass(frozen=True, slots=True)
class UplinkAway:
    """A host finds that nothing leaves by an uplink at the moment, and why, and since when."""

    uplink: Uplink
    reason: str
    since: datetime


@dataclass(frozen=True, slots=True)
class AddressRange:
    """An inclusive range of addresses."""

    first: IPv4Address
    last: IPv4Address

    def __len__(self) -> int:
        """Count the addresses."""
        return int(self.last) - int(self.first) + 1

    def __contains__(self, address: IPv4Address) -> bool:
        """Say whether an address lies in the range."""
        return self.first <= address <= self.last

    def __str__(self) -> str:
        """Write the range as first-last."""
        return f"{self.first}-{self.last}"


MOST_PER_FIXED = 64
"""So many floating IPs of one pool a fixed IP can have, if the pool lets it."""


@dataclass(frozen=True, slots=True)
class AddressPool:
    """Public addresses that projects may allocate, routed to us through one uplink.

    `cidr` is the provider's subnet, `gateway` the provider's router in it; only addresses inside `ranges` are ours to give out.  One that is
    not `public` is there for projects that it is granted to.  `per_fixed` is how many of its floating IPs one fixed IP may have.
    """

    id: PoolId
    name: str
    uplink: UplinkId
    cidr: IPv4Network
    gateway: IPv4Address
    ranges: tuple[AddressRange, ...]
    public: bool = True
    per_fixed: int = 1
    marks: Marks = field(default=UNMARKED, compare=False)
    subnet_marks: Marks = field(default=UNMARKED, compare=False)


@dataclass(frozen=True, slots=True)
class OwnSubnet:
    """What a project said of the subnet of a network that it made: its name, what addresses are given out of, and the pool that it is from.

    Without `ranges`, every address of the subnet is given out.  `mac` is that of the gateway's port, which a store tells, as it does since when a
    router that the project made serves it: `served`.
    """

    name: str
    ranges: tuple[AddressRange, ...] = ()
    pool: SubnetPoolId | None = None
    mac: str = ""
    served: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Network:
    """A guest network.  `project` is None for one that all projects share.

    `router` is None for a network whose gateway is the operator's (kind flat).  `segment` is the VLAN tag or VXLAN identifier, `bridge` the
    operator's bridge and `cluster` the hosts that have it, each where the kind has such a thing.  `own` is there if the project made it.
    """

    id: NetworkId
    name: str
    kind: NetworkKind
    project: ProjectId | None
    router: RouterId | None
    cidr: IPv4Network
    gateway: IPv4Address
    dns: tuple[IPv4Address, ...]
    mtu: int
    segment: int | None = None
    bridge: str | None = None
    cluster: str | None = None
    own: OwnSubnet | None = None
    marks: Marks = field(default=UNMARKED, compare=False)
    subnet_marks: Marks = field(default=UNMARKED, compare=False)


@dataclass(frozen=True, slots=True)
class WayOut:
    """Where a router meets a pool's uplink, and its own address there."""

    pool: PoolId
    address: IPv4Address


@dataclass(frozen=True, slots=True)
class Router:
    """The gateway of some networks.  `project` is None for one that all projects share; only networks that the caller may use are named.

    A `made` one was made by its project, and goes out by `pool` alone; None is nowhere.
    """

    id: RouterId
    name: str
    project: ProjectId | None
    networks: tuple[NetworkId, ...]
    ways_out: tuple[WayOut, ...] = ()
    made: bool = False
    pool: PoolId | None = None
    marks: Marks = field(default=UNMARKED, compare=False)


@dataclass(frozen=True, slots=True)
class FixedIp:
    """A private address of a NIC."""

    id: AddressId
    address: IPv4Address


@dataclass(frozen=True, slots=True)
class FloatingIp:
    """A public address of a project, and the fixed address, instance, NIC and network it is associated with, if any.

    An `automatic` one came with its instance: it leads nowhere else, and goes back to the pool with it.  The NIC may be in no
    instance.
    """

    id: AddressId
    address: IPv4Address
    pool: PoolId
    pool_name: str
    project: ProjectId
    fixed: IPv4Address | None = None
    instance: InstanceId | None = None
    nic: NicId | None = None
    network: NetworkId | None = None
    automatic: bool = False
    marks: Marks = field(default=UNMARKED, compare=False)


@dataclass(frozen=True, slots=True)
class PortForwarding:
    """The ports from `first` to `last` of a floating IP, both included, lead to as many of a NIC's fixed address, the first of them to `to`."""

    id: ForwardingId
    project: ProjectId
    floating: AddressId
    address: IPv4Address
    protocol: Transport
    first: int
    last: int
    to: int
    fixed: IPv4Address
    nic: NicId
    instance: InstanceId | None
    network: NetworkId
    description: str = ""

    @property
    def to_last(self) -> int:
        """The last of the ports that they lead to."""
        return self.to + self.last - self.first

    def __str__(self) -> str:
        """Name the ports of the floating IP."""
        ports = f"port {self.first}" if self.first == self.last else f"ports {self.first}-{self.last}"
        return f"{self.protocol} {ports} of {self.address}"


@dataclass(frozen=True, slots=True)
class OwnNic:
    """What a project said of a NIC that it made itself: such a one is there without an instance, too, and stays when its instance goes."""

    project: ProjectId
    name: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True)
class Nic:
    """A guest's network card.  `fixed` is empty until the compute host has asked for an address.

    `groups` are its security groups by name; they say nothing unless it is `filtered`.  `allowed` are addresses, as prefixes, that it may use
    beside its own.  `own` is there if the project made it, and not its instance.
    """

    id: NicId
    network: NetworkId
    network_name: str
    mac: str
    fixed: tuple[FixedIp, ...] = ()
    floating: tuple[FloatingIp, ...] = ()
    groups: tuple[GroupName, ...] = ()
    filtered: bool = False
    allowed: tuple[IPv4Network | IPv6Network, ...] = ()
    own: OwnNic | None = None
    marks: Marks = field(default=UNMARKED, compare=False)


@dataclass(frozen=True, slots=True)
class Instance:
    """A guest, as the project that owns it sees it.  `launched` is when it first ran."""

    id: InstanceId
    name: str
    project: ProjectId
    user: UserId
    state: InstanceState
    image: str
    flavor: str
    host: HostId | None
    created: datetime
    updated: datetime
    nics: tuple[Nic, ...] = ()
    fault: str | None = None
    power: Power = Power.RUNNING
    launched: datetime | None = None


@dataclass(frozen=True, slots=True)
class Quota:
    """How many of a resource a project has, and may have; a limit of -1 is none.  What is counted in each group: the fullest one's."""

    resource: Resource
    used: int
    limit: int


@dataclass(frozen=True, slots=True)
class PoolUsage:
    """How full a pool is.

    `allocated` counts addresses that projects own, `releasing` those not yet free again, and `routers` those that routers have for themselves.
    """

    pool: AddressPool
    total: int
    allocated: int
    associated: int
    releasing: int
    routers: int = 0

    @property
    def free(self) -> int:
        """How many can be given out."""
        return self.total - self.allocated - self.releasing - self.routers


@dataclass(frozen=True, slots=True)
class Image:
    """What a guest driver can boot: its size in bytes and, where that is known here, hashes of its content in hexadecimal."""

    id: str
    name: str
    size: int
    md5: str | None = None
    sha512: str | None = None


@dataclass(frozen=True, slots=True)
class Flavor:
    """How large a guest is: memory in MiB, disk in GiB."""

    id: str
    name: str
    vcpus: int
    ram: int
    disk: int
