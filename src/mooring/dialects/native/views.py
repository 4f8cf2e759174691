"""What answers look like: nouns of the model as JSON."""

from datetime import datetime
from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import Self

from mooring.dialects.native.fields import View
from mooring.model.groups import GroupRule, SecurityGroup
from mooring.model.nouns import (
    FloatingIp,
    Host,
    Instance,
    InstanceState,
    Network,
    NetworkKind,
    Nic,
    Power,
    Quota,
    Resource,
    UplinkAway,
)
from mooring.model.subjects import Direction
from mooring.operations.hosts import Condition
from mooring.policy.allowed import written
from mooring.policy.rules import ICMP, protocol_name


class NetworkView(View):
    """A guest network; `project` is null for one that all projects share, `router` for one whose gateway is the operator's."""

    id: str
    name: str
    kind: NetworkKind
    project: str | None
    router: str | None
    cidr: IPv4Network
    gateway: IPv4Address
    dns: list[IPv4Address]
    mtu: int
    segment: int | None
    bridge: str | None
    cluster: str | None

    @classmethod
    def of(cls, network: Network) -> Self:
        """Show a network."""
        return cls(
            id=network.id,
            name=network.name,
            kind=network.kind,
            project=network.project,
            router=network.router,
            cidr=network.cidr,
            gateway=network.gateway,
            dns=list(network.dns),
            mtu=network.mtu,
            segment=network.segment,
            bridge=network.bridge,
            cluster=network.cluster,
        )


class AssociationView(View):
    """Where packets to a floating IP go; `instance` is null while the NIC is in none."""

    instance: str | None
    nic: str
    fixed_address: IPv4Address


class FloatingIpView(View):
    """A public address of a project; `association` is null while it is not associated.  An `automatic` one came with its instance, and goes with it."""

    id: str
    address: IPv4Address
    pool: str
    pool_name: str
    project: str
    association: AssociationView | None
    automatic: bool

    @classmethod
    def of(cls, floating: FloatingIp) -> Self:
        """Show a floating IP."""
        association = None
        if floating.nic is not None and floating.fixed is not None:
            association = AssociationView(instance=floating.instance, nic=floating.nic, fixed_address=floating.fixed)
        return cls(
            id=floating.id,
            address=floating.address,
            pool=floating.pool,
            pool_name=floating.pool_name,
            project=floating.project,
            association=association,
            automatic=floating.automatic,
        )


class NicView(View):
    """A guest's network card; `fixed` is empty until the instance's host has asked for an address.

    `security_groups` are names of groups; hosts hold only a `filtered` NIC to them.  `allowed` are addresses, and prefixes, that it may use
    beside its own.  An `own` one was made by its project, with a `name` that may be empty: it stays when its instance goes.
    """

    id: str
    network: str
    network_name: str
    mac: str
    fixed: list[IPv4Address]
    floating: list[IPv4Address]
    security_groups: list[str]
    filtered: bool
    allowed: list[str]
    own: bool
    name: str

    @classmethod
    def of(cls, nic: Nic) -> Self:
        """Show a NIC."""
        return cls(
            id=nic.id,
            network=nic.network,
            network_name=nic.network_name,
            mac=nic.mac,
            fixed=[fixed.address for fixed in nic.fixed],
            floating=[floating.address for floating in nic.floating],
            security_groups=[group.name for group in nic.groups],
            filtered=nic.filtered,
            allowed=[written(prefix) for prefix in nic.allowed],
            own=nic.own is not None,
            name=nic.own.name if nic.own is not None else "",
        )


class InstanceView(View):
    """A guest; `power` says whether an active one runs, `fault` why it is in state error, and `host` is for administrators only."""

    id: str
    name: str
    project: str
    user: str
    state: InstanceState
    power: Power
    image: str
    flavor: str
    host: str | None
    created: datetime
    updated: datetime
    nics: list[NicView]
    fault: str | None

    @classmethod
    def of(cls, instance: Instance, *, host_shown: bool) -> Self:
        """Show an instance."""
        return cls(
            id=instance.id,
            name=instance.name,
            project=instance.project,
            user=instance.user,
            state=instance.state,
            power=instance.power,
            image=instance.image,
            flavor=instance.flavor,
            host=instance.host if host_shown else None,
            created=instance.created,
            updated=instance.updated,
            nics=[NicView.of(nic) for nic in instance.nics],
            fault=instance.fault,
        )


class PortsView(View):
    """An inclusive range of destination ports."""

    first: int
    last: int


class IcmpView(View):
    """An ICMP type, and a code; null for any."""

    type: int
    code: int | None


class GroupNameView(View):
    """A security group, in short."""

    id: str
    name: str


class GroupRuleView(View):
    """What a security group admits: null stands for any, and for anybody."""

    id: str
    direction: Direction
    family: int
    protocol: str | None
    ports: PortsView | None
    icmp: IcmpView | None
    remote_prefix: IPv4Network | IPv6Network | None
    remote_group: GroupNameView | None

    @classmethod
    def of(cls, rule: GroupRule) -> Self:
        """Show a rule."""
        ports = icmp = remote = None
        if rule.first is not None and rule.protocol == ICMP[rule.family]:
            icmp = IcmpView(type=rule.first, code=rule.last)
        elif rule.first is not None and rule.last is not None:
            ports = PortsView(first=rule.first, last=rule.last)
        if rule.remote is not None:
            remote = GroupNameView(id=rule.remote, name=rule.remote_name or "")
        return cls(
            id=rule.id,
            direction=rule.direction,
            family=rule.family,
            protocol=protocol_name(rule.protocol),
            ports=ports,
            icmp=icmp,
            remote_prefix=rule.prefix,
            remote_group=remote,
        )


class SecurityGroupView(View):
    """Rules that say what its members may send and receive; `number` is what hosts call it."""

    id: str
    name: str
    description: str
    project: str
    number: int
    rules: list[GroupRuleView]

    @classmethod
    def of(cls, group: SecurityGroup) -> Self:
        """Show a security group."""
        return cls(
            id=group.id,
            name=group.name,
            description=group.description,
            project=group.project,
            number=group.number,
            rules=[GroupRuleView.of(rule) for rule in group.rules],
        )


class ImageView(View):
    """What can be booted; `size` is in bytes."""

    id: str
    name: str
    size: int


class FlavorView(View):
    """How large a guest is: `ram` in MiB, `disk` in GiB."""

    id: str
    name: str
    vcpus: int
    ram: int
    disk: int


class HostView(View):
    """A machine that runs an agent."""

    id: str
    name: str
    compute: bool
    gateway: bool

    @classmethod
    def of(cls, host: Host) -> Self:
        """Show a host."""
        return cls(id=host.id, name=host.name, compute=host.compute, gateway=host.gateway)


class TroubleView(View):
    """What a host could not make true, and why."""

    subject: str
    role: str
    generation: int
    reason: str


class UplinkAwayView(View):
    """An uplink by which nothing that begins leaves a host, where there is another way: why, and since when."""

    uplink: str
    interface: str
    reason: str
    since: datetime

    @classmethod
    def of(cls, found: UplinkAway) -> Self:
        """Show what a host found."""
        return cls(uplink=found.uplink.name, interface=found.uplink.interface, reason=found.reason, since=found.since)


class HostConditionView(HostView):
    """A host and how it keeps up: whether it has confirmed everything, its trouble, and the uplinks that lead nowhere."""

    settled: bool
    trouble: list[TroubleView]
    uplinks_away: list[UplinkAwayView]

    @classmethod
    def conditioned(cls, condition: Condition) -> Self:
        """Show a host with its condition."""
        trouble = [
            TroubleView(
                subject=str(report.key), role=report.role, generation=report.generation, reason=report.error or ""
            )
            for report in condition.trouble
        ]
        return cls(
            **HostView.of(condition.host).model_dump(),
            settled=condition.settled,
            trouble=trouble,
            uplinks_away=[UplinkAwayView.of(each) for each in condition.away],
        )


class FactView(View):
    """One statement about a host, with its parts as text."""

    place: str
    table: str
    key: list[str]
    value: list[str]


class FactsView(View):
    """What a host should hold, in the order of places, stages and keys."""

    items: list[FactView]


class QuotaView(View):
    """How many of a resource a project has, and may have; a limit of -1 is none."""

    resource: Resource
    used: int
    limit: int

    @classmethod
    def of(cls, quota: Quota) -> Self:
        """Show a quota."""
        return cls(resource=quota.resource, used=quota.used, limit=quota.limit)


class QuotasView(View):
    """A project's quotas."""

    items: list[QuotaView]
