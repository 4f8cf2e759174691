"""The statements about networks, and networks from their rows."""

from collections.abc import Iterable
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network

from sqlalchemy import Row, bindparam, delete, null, or_, select

from mooring.model.ids import NetworkId, ProjectId, RouterId, SubnetPoolId
from mooring.model.marks import Tagged
from mooring.model.nouns import AddressRange, Network, NetworkKind, OwnSubnet
from mooring.store.marks import marks_of, tags_of
from mooring.store.schema import networks, own_subnets

NETWORKS = (
    select(
        networks.c.id,
        networks.c.name,
        networks.c.kind,
        networks.c.project,
        networks.c.router,
        networks.c.cidr,
        networks.c.gateway,
        networks.c.dns,
        networks.c.mtu,
        networks.c.segment,
        networks.c.bridge,
        networks.c.cluster,
        own_subnets.c.name,
        own_subnets.c.ranges,
        own_subnets.c.pool,
        networks.c.mac,
        networks.c.revision,
        networks.c.created,
        networks.c.updated,
        tags_of(Tagged.NETWORK, networks.c.id),
        own_subnets.c.revision,
        own_subnets.c.created,
        own_subnets.c.updated,
        own_subnets.c.served,
        tags_of(Tagged.SUBNET, networks.c.id),
    )
    .outerjoin(own_subnets, own_subnets.c.network == networks.c.id)
    .order_by(networks.c.seq)
)
FIRST_SEGMENT = select(networks.c.segment).where(
    networks.c.kind == bindparam("kind"), networks.c.segment == bindparam("first")
)
_NEXT = networks.alias()
SEGMENT_GAP = (
    select(networks.c.segment + 1)
    .where(
        networks.c.kind == bindparam("kind"),
        networks.c.segment >= bindparam("first"),
        networks.c.segment < bindparam("last"),
        ~select(_NEXT.c.seq).where(_NEXT.c.kind == networks.c.kind, _NEXT.c.segment == networks.c.segment + 1).exists(),
    )
    .order_by(networks.c.segment)
    .limit(1)
)
NETWORK = NETWORKS.where(networks.c.id == bindparam("network"))
NETWORKS_FOR = NETWORKS.where(or_(networks.c.project == bindparam("project"), networks.c.project.is_(null())))
NETWORKS_OF = NETWORKS.where(networks.c.router == bindparam("router"))
NETWORK_MAC = select(networks.c.mac).where(networks.c.id == bindparam("network"))
DELETE_NETWORK = delete(networks).where(networks.c.id == bindparam("network"))
NetworkFields = Row[
    NetworkId,
    str,
    str,
    ProjectId | None,
    RouterId | None,
    str,
    str,
    str,
    int,
    int | None,
    str | None,
    str | None,
    str,
    str,
    SubnetPoolId | None,
    str,
    int,
    datetime,
    datetime,
    str,
    int,
    datetime,
    datetime,
    datetime | None,
    str,
]


def network_of(row: NetworkFields) -> Network:
    (
        network,
        name,
        kind,
        project,
        router,
        cidr,
        gateway,
        dns,
        mtu,
        segment,
        bridge,
        cluster,
        subnet,
        ranges,
        pool,
        mac,
        revision,
        created,
        updated,
        tags,
        own_revision,
        own_created,
        own_updated,
        served,
        subnet_tags,
    ) = row
    own = _own_subnet(subnet, ranges, pool, mac, served)
    subnet_marks = (revision, created, updated)
    if own is not None:
        # What changes of a network may be seen of its subnet, too: the sum of what only grows only grows.
        subnet_marks = (revision + own_revision, own_created, max(updated, own_updated))
    return Network(
        id=network,
        name=name,
        kind=NetworkKind(kind),
        project=project,
        router=router,
        cidr=IPv4Network(cidr),
        gateway=IPv4Address(gateway),
        dns=tuple(IPv4Address(server) for server in dns.split()),
        mtu=mtu,
        segment=segment,
        bridge=bridge,
        cluster=cluster,
        own=own,
        marks=marks_of(revision, created, updated, tags),
        subnet_marks=marks_of(*subnet_marks, subnet_tags),
    )


def _own_subnet(
    name: str | None, ranges: str | None, pool: SubnetPoolId | None, mac: str, served: datetime | None
) -> OwnSubnet | None:
    if name is None or ranges is None:
        return None
    parts = (part.split("-") for part in ranges.split())
    return OwnSubnet(
        name, tuple(AddressRange(IPv4Address(first), IPv4Address(last)) for first, last in parts), pool, mac, served
    )


def ranges_text(ranges: Iterable[AddressRange]) -> str:
    return " ".join(str(part) for part in ranges)
