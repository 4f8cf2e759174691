"""Subjects: immutable, self-contained values that say what a host must make true.

A subject is at once the message to a host, the unit of compilation, of retry and of status.  Its `generation` only grows: an agent
never goes back to an older one, and an acknowledgement counts only for the generation that it names.
"""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Network

from mooring.model.ids import GroupId, InstanceId, NetworkId, NicId, RouterId, UplinkId


class HostRole(StrEnum):
    """What part a host plays for a subject: the same NIC is a port on one host and an address translation on another.

    A `PEER` has the subject's network, and must know on which host it is to reach it.  A `MEMBER` has a security group with a rule about
    members of one of the NIC's groups, and must know by which addresses to tell them.
    """

    COMPUTE = "compute"
    GATEWAY = "gateway"
    PEER = "peer"
    MEMBER = "member"


class SubjectKind(StrEnum):
    """Which kind of subject a key names."""

    NETWORK = "network"
    ROUTER = "router"
    NIC = "nic"
    INSTANCE = "instance"
    GROUP = "group"


@dataclass(frozen=True, slots=True, order=True)
class SubjectKey:
    """The name of a subject, whatever its generation."""

    kind: SubjectKind
    id: str

    def __str__(self) -> str:
        """Write the key as kind/id."""
        return f"{self.kind}/{self.id}"


@dataclass(frozen=True, slots=True)
class OperatorBridge:
    """A bridge that the operator made and connected: guests are plugged into it, and nothing else of it is ours."""

    name: str


@dataclass(frozen=True, slots=True)
class Trunk:
    """An interface of the host that carries one network between hosts, untagged."""

    interface: str


@dataclass(frozen=True, slots=True)
class Vlan:
    """An IEEE 802.1Q tag on an interface of the host."""

    interface: str
    tag: int


@dataclass(frozen=True, slots=True)
class TunnelPeer:
    """Something on another host's side of a VXLAN: who, under which address, behind which tunnel endpoint."""

    mac: str
    address: IPv4Address
    endpoint: IPv4Address


@dataclass(frozen=True, slots=True)
class Vxlan:
    """A VXLAN (RFC 7348) between the hosts' tunnel endpoints.

    `gateway` is the router's port, where that is on another host: what guests broadcast, they ask of it.
    """

    vni: int
    endpoint: IPv4Address
    gateway: TunnelPeer | None = None


Carrier = OperatorBridge | Trunk | Vlan | Vxlan


@dataclass(frozen=True, slots=True)
class NetworkIntent:
    """A guest network as a host sees it: one bridge, and how it is carried to the other hosts; None where it is on this host only.

    `zone` tells its flows from those of other networks, which may have the same addresses: a number from 1 to 65535 that no other network
    has; 0 means that no port of it is filtered.
    """

    id: NetworkId
    generation: int
    mtu: int
    carrier: Carrier | None = None
    zone: int = 0

    @property
    def key(self) -> SubjectKey:
        """Return the subject's name."""
        return SubjectKey(SubjectKind.NETWORK, self.id)


MOST_UPLINKS = 4095
"""An uplink's number fits into twelve bits of a packet's mark."""


@dataclass(frozen=True, slots=True)
class RouterPort:
    """A router's side of one of its networks, with what its DHCP server tells guests.  `lease` is in seconds."""

    network: NetworkId
    mac: str
    address: IPv4Interface
    dns: tuple[IPv4Address, ...]
    mtu: int
    lease: int


@dataclass(frozen=True, slots=True)
class RouterUplink:
    """A router's side of one uplink: the host's interface and the router's own address there.

    `prefixes` are the providers' subnets of the pools on this uplink: what may leave.  `ranges` are the parts of them that are ours
    to answer for, as prefixes.  `alone` says that no other router is on this uplink: then nobody behind this router has to reach one of
    those addresses there.  `number` is the uplink's short name in the kernel, from 1 to `MOST_UPLINKS`, which no other uplink has; 0 says that
    it has none, and nothing can be told to leave there.  `misses` is after how many questions without an answer the next hop counts as away; 0
    is never.
    """

    uplink: UplinkId
    interface: str
    mac: str
    address: IPv4Interface
    next_hop: IPv4Address
    prefixes: tuple[IPv4Network, ...]
    ranges: tuple[IPv4Network, ...]
    alone: bool = True
    number: int = 0
    misses: int = 0


@dataclass(frozen=True, slots=True)
class RouterIntent:
    """The gateway of one or more networks: a network namespace on its gateway host.

    Guests on different networks of a `joined` one reach each other; those of another one only by way of floating IPs.
    """

    id: RouterId
    generation: int
    ports: tuple[RouterPort, ...]
    uplinks: tuple[RouterUplink, ...]
    joined: bool = False

    @property
    def key(self) -> SubjectKey:
        """Return the subject's name."""
        return SubjectKey(SubjectKind.ROUTER, self.id)


@dataclass(frozen=True, slots=True, order=True)
class PublicAddress:
    """A floating IP that is associated with a fixed IP, and the uplink through which the world reaches it."""

    address: IPv4Address
    uplink: UplinkId


@dataclass(frozen=True, slots=True, order=True)
class WayOut:
    """A public address to leave as, and its uplink by name and by number (see `RouterUplink`)."""

    address: IPv4Address
    uplink: UplinkId
    number: int


@dataclass(frozen=True, slots=True)
class EgressPreference:
    """Towards destinations in `prefix`, leave as `way`; of several prefixes that hold a destination, the longest counts.

    While the uplink of `way` leads nowhere, what begins leaves as `fallback`; without one it does not leave at all.
    """

    prefix: IPv4Network
    way: WayOut
    fallback: WayOut | None = None


@dataclass(frozen=True, slots=True)
class Egress:
    """All egress preferences of a fixed IP, each with a prefix of its own.

    `number` is the short name in the kernel of this set of prefixes, from 1 to 2^32 - 1, which no other set has: fixed IPs that prefer by the same
    prefixes have the same, whatever addresses they prefer.  `renewed` counts how often flows that the fixed IP opened were ended so that they
    begin anew.
    """

    number: int
    preferences: tuple[EgressPreference, ...]
    renewed: int = 0


class Transport(StrEnum):
    """A protocol that has ports which can be forwarded."""

    TCP = "tcp"
    UDP = "udp"


@dataclass(frozen=True, slots=True, order=True)
class PortForwarding:
    """The ports from `first` to `last` of a public address, both included, lead to as many of a fixed IP, the first of them to `to`.

    No other fixed IP is reached by the same ports of the address, but others may be by other ones.  The address leads nowhere else.
    """

    public: PublicAddress
    protocol: Transport
    first: int
    last: int
    to: int


@dataclass(frozen=True, slots=True)
class NicAddress:
    """A fixed IP of a NIC, the floating IPs associated with it in the order in which they came, and the ports of others that are forwarded to it, sorted.

    The first of each uplink is its outbound source there; a forwarding says nothing of that.  Which uplink it is, `egress` says; where it says
    nothing, it is the router's first.
    """

    address: IPv4Address
    floating: tuple[PublicAddress, ...] = ()
    egress: Egress | None = None
    forwards: tuple[PortForwarding, ...] = ()


class Direction(StrEnum):
    """Which way a flow goes, as its guest sees it: whoever sends the first packet decides."""

    INGRESS = "ingress"
    EGRESS = "egress"


@dataclass(frozen=True, slots=True)
class FilterRule:
    """What a security group admits: flows of one direction and family (4 or 6).

    `protocol` is an IP protocol's number (ICMP for IPv6 is 58), None for any.  `first` and `last` are destination ports for TCP, UDP, UDP-Lite,
    DCCP and SCTP, type * 256 + code for ICMP, and 0 and 65535 for all others.  The other side is in `remote_prefix`, of the rule's
    family, or has a NIC in the group of number `remote_group`; with neither it is anybody.
    """

    direction: Direction
    family: int
    protocol: int | None = None
    first: int = 0
    last: int = 65535
    remote_prefix: IPv4Network | IPv6Network | None = None
    remote_group: int | None = None


@dataclass(frozen=True, slots=True)
class GroupIntent:
    """A security group: what its members may send and receive is what at least one rule of one of their groups admits.

    `number` is its short name in the kernel, from 1 to 2^32 - 1, which no other group has, nor had while a host may still know it.
    """

    id: GroupId
    generation: int
    number: int
    rules: tuple[FilterRule, ...] = ()

    @property
    def key(self) -> SubjectKey:
        """Return the subject's name."""
        return SubjectKey(SubjectKind.GROUP, self.id)


MAX_GROUPS = 8
"""A NIC may be in so many security groups."""

MAX_EXTRA = 256
"""A NIC may use so many addresses of each family beside its first fixed IP."""


@dataclass(frozen=True, slots=True)
class NicFilter:
    """What a NIC may send and receive: only as itself, and only what its security groups admit; without any, nothing.

    `groups` are the groups' numbers, sorted, at most `MAX_GROUPS`.  `extra` are addresses that the NIC may use beside its own.
    """

    groups: tuple[int, ...] = ()
    extra: tuple[IPv4Address | IPv6Address, ...] = ()


@dataclass(frozen=True, slots=True)
class NicIntent:
    """A NIC: a bridge port on its compute host, a DHCP entry and translations on its network's gateway host.

    `shared` are the router's own addresses (uplink, address) behind which the NIC reaches the world where it has no floating IP.
    `router` is None on a network without one.  `bridge` is the operator's bridge, where the network is not a bridge of ours.  `endpoint` is
    the tunnel endpoint of the NIC's host, where the network is a VXLAN.  `filter` is None for a NIC that may send as anybody and receive
    everything; only a network with a zone has NICs with a filter.
    """

    id: NicId
    generation: int
    network: NetworkId
    router: RouterId | None
    mac: str
    hostname: str
    addresses: tuple[NicAddress, ...]
    shared: tuple[PublicAddress, ...] = ()
    bridge: str | None = None
    endpoint: IPv4Address | None = None
    filter: NicFilter | None = None

    @property
    def key(self) -> SubjectKey:
        """Return the subject's name."""
        return SubjectKey(SubjectKind.NIC, self.id)


@dataclass(frozen=True, slots=True)
class InjectedAddress:
    """What a guest is told at its start about a NIC, where no DHCP server would tell it (networks of kind flat)."""

    address: IPv4Interface
    gateway: IPv4Address | None = None
    dns: tuple[IPv4Address, ...] = ()
    hostname: str = ""


@dataclass(frozen=True, slots=True)
class GuestNic:
    """What a guest driver must know of a NIC.  Without `injected` the guest asks a DHCP server."""

    id: NicId
    network: NetworkId
    mac: str
    mtu: int
    injected: InjectedAddress | None = None


@dataclass(frozen=True, slots=True)
class InstanceIntent:
    """A guest of this host.

    It must run, or if not `running` have its ports and all else in place but not run.  `boots` counts how often it was told to begin anew:
    one that runs since an earlier count begins anew.
    """

    id: InstanceId
    generation: int
    name: str
    image: str
    nics: tuple[GuestNic, ...]
    running: bool = True
    boots: int = 0

    @property
    def key(self) -> SubjectKey:
        """Return the subject's name."""
        return SubjectKey(SubjectKind.INSTANCE, self.id)


class GuestFailure(Exception):
    """A guest could not be started or stopped; the message is the reason."""


Subject = NetworkIntent | RouterIntent | NicIntent | InstanceIntent | GroupIntent


@dataclass(frozen=True, slots=True)
class Placement:
    """A subject on a host in a role; `subject` is None where the host must hold it no longer."""

    key: SubjectKey
    generation: int
    role: HostRole
    subject: Subject | None


@dataclass(frozen=True, slots=True)
class DigestEntry:
    """One line of a host's digest: the newest generation of a subject in a role; `present` is False for one to be given up."""

    key: SubjectKey
    role: HostRole
    generation: int
    present: bool


@dataclass(frozen=True, slots=True)
class Digest:
    """Everything that a host should hold or has to give up, in one snapshot.

    Generations only grow, unless the database was put back to an older state.  An operator who did that begins a new `epoch`, in which
    everything has a newer generation than ever before: what a host holds and no longer finds listed then is to go.  Within one epoch
    nothing gets older and nothing disappears that was not withdrawn.
    """

    epoch: int
    entries: tuple[DigestEntry, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """What a host says of a subject: that generation holds in its kernel, or why it does not."""

    key: SubjectKey
    role: HostRole
    generation: int
    error: str | None = None
