"""The statements that read subjects, once for each way to choose them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy import Column, ColumnElement, FromClause, Select, and_, bindparam, exists, null, or_, select

from mooring.model.ids import AddressId, GroupId, HostId, InstanceId, NetworkId, NicId, PoolId, RouterId, UplinkId
from mooring.model.nouns import AddressKind
from mooring.model.subjects import HostRole, SubjectKind
from mooring.store.allowances import ADDRESSES
from mooring.store.egress import TellsSelect, tells
from mooring.store.rules import RULES, RuleSelect
from mooring.store.schema import (
    addresses,
    allowances,
    associations,
    deliveries,
    egress_renewals,
    hosts,
    instances,
    lingering,
    networks,
    nic_groups,
    nics,
    own_routers,
    pool_ranges,
    pools,
    port_forwardings,
    router_uplinks,
    routers,
    security_group_rules,
    security_groups,
    uplinks,
    zones,
)

_PUBLIC = addresses.alias("public")


def _held_elsewhere(floating: Column[AddressId], by: FromClause) -> Select[NicId]:
    """Select a gateway on another host that may still answer at a floating IP named in `by`, for a NIC that had it or ports of it before."""
    return (
        select(lingering.c.nic)
        .join(deliveries, and_(deliveries.c.kind == SubjectKind.NIC.value, deliveries.c.subject == lingering.c.nic))
        .where(
            lingering.c.address == floating,
            lingering.c.nic != addresses.c.nic,
            deliveries.c.role == HostRole.GATEWAY.value,
            deliveries.c.host != bindparam("at"),
            deliveries.c.confirmed < lingering.c.generation,
        )
        .correlate(by, addresses)
    )


_OPEN = pools.alias("open")

_FOR_SOME = ~exists(select(_OPEN.c.id).where(_OPEN.c.uplink == uplinks.c.id, _OPEN.c.public).correlate(uplinks))
"""An uplink whose pools are not for everybody: it is no router's first where there is another, for by that leave all who prefer nothing."""

_OTHERS = router_uplinks.alias("others")

_LED = pools.alias("led")

_SHUT = exists(
    select(own_routers.c.router)
    .outerjoin(_LED, _LED.c.id == own_routers.c.pool)
    .where(
        own_routers.c.router == router_uplinks.c.router,
        or_(_LED.c.uplink.is_(null()), _LED.c.uplink != router_uplinks.c.uplink),
    )
    .correlate(router_uplinks)
)
"""An uplink at which a router keeps its address, and by which it goes out no longer: its project chose another one, or none."""

_Selector = Callable[[Column[Any], SubjectKind], ColumnElement[bool]]


def _named(column: Column[Any], kind: SubjectKind) -> ColumnElement[bool]:
    return column.in_(bindparam(kind.value, expanding=True))


def _held(column: Column[Any], kind: SubjectKind) -> ColumnElement[bool]:
    return column.in_(
        select(deliveries.c.subject).where(
            deliveries.c.host == bindparam("host"),
            deliveries.c.kind == kind.value,
            deliveries.c.present,
        ),
    )


def _behind(column: Column[Any], kind: SubjectKind) -> ColumnElement[bool]:
    return column.in_(
        select(deliveries.c.subject).where(
            deliveries.c.host == bindparam("host"),
            deliveries.c.kind == kind.value,
            deliveries.c.present,
            deliveries.c.confirmed < deliveries.c.generation,
        ),
    )


@dataclass(frozen=True, slots=True)
class Selection:
    """The statements that read some subjects, chosen in one way."""

    networks: Select[NetworkId, int, str, int | None, str | None, str, str, HostId | None, str | None, int]
    routers: Select[RouterId, bool]
    ports: Select[RouterId | None, NetworkId, str, str, str, str, int]
    uplinks: Select[RouterId, UplinkId, str, str, int, int, int, bool]
    ranges: Select[UplinkId, str, str, int, int]
    nics: Select[NicId, NetworkId, RouterId | None, str, str, str, str | None, str | None, bool]
    fixed: Select[NicId | None, int, int]
    floating: Select[NicId | None, int, int, UplinkId, PoolId]
    forwards: Select[NicId | None, int, int, UplinkId, str, int, int, int]
    told: TellsSelect
    shared: Select[RouterId, int, UplinkId]
    memberships: Select[NicId, int]
    allowed: Select[NicId, str]
    groups: Select[GroupId, int]
    rules: RuleSelect
    instances: Select[InstanceId, str, str, str, int]
    guest_nics: Select[InstanceId | None, NicId, NetworkId, str, int, str, str, str, str, str]
    guest_addresses: Select[NicId | None, int]

    @classmethod
    def where(cls, chosen: _Selector) -> Self:
        """Read the subjects whose ids a selector chooses."""
        of_routers = chosen(router_uplinks.c.router, SubjectKind.ROUTER)
        of_nics = chosen(nics.c.id, SubjectKind.NIC)
        return cls(
            networks=select(
                networks.c.id,
                networks.c.mtu,
                networks.c.kind,
                networks.c.segment,
                networks.c.bridge,
                networks.c.mac,
                networks.c.gateway,
                routers.c.host,
                hosts.c.endpoint,
                zones.c.zone,
            )
            .outerjoin(zones, zones.c.network == networks.c.id)
            .outerjoin(routers, routers.c.id == networks.c.router)
            .outerjoin(hosts, hosts.c.id == routers.c.host)
            .where(chosen(networks.c.id, SubjectKind.NETWORK)),
            routers=select(
                routers.c.id, exists(select(own_routers.c.router).where(own_routers.c.router == routers.c.id))
            ).where(chosen(routers.c.id, SubjectKind.ROUTER)),
            ports=select(
                networks.c.router,
                networks.c.id,
                networks.c.mac,
                networks.c.gateway,
                networks.c.cidr,
                networks.c.dns,
                networks.c.mtu,
            )
            .where(chosen(networks.c.router, SubjectKind.ROUTER))
            .order_by(networks.c.id),
            uplinks=select(
                router_uplinks.c.router,
                router_uplinks.c.uplink,
                uplinks.c.interface,
                router_uplinks.c.mac,
                addresses.c.position,
                uplinks.c.seq,
                uplinks.c.misses,
                select(_OTHERS.c.router)
                .where(_OTHERS.c.uplink == router_uplinks.c.uplink, _OTHERS.c.router != router_uplinks.c.router)
                .exists(),
            )
            .join(uplinks, uplinks.c.id == router_uplinks.c.uplink)
            .join(addresses, addresses.c.id == router_uplinks.c.address)
            .where(of_routers, ~_SHUT)
            .order_by(_FOR_SOME, uplinks.c.name),
            ranges=select(
                pools.c.uplink,
                pools.c.cidr,
                pools.c.gateway,
                pool_ranges.c.first,
                pool_ranges.c.last,
            )
            .join(pool_ranges, pool_ranges.c.pool == pools.c.id)
            .where(pools.c.uplink.in_(select(router_uplinks.c.uplink).where(of_routers)))
            .order_by(pools.c.seq, pool_ranges.c.first),
            nics=select(
                nics.c.id,
                nics.c.network,
                networks.c.router,
                nics.c.mac,
                instances.c.name,
                networks.c.kind,
                networks.c.bridge,
                hosts.c.endpoint,
                nics.c.filtered,
            )
            .join(networks, networks.c.id == nics.c.network)
            .join(instances, instances.c.id == nics.c.instance)
            .outerjoin(hosts, hosts.c.id == instances.c.host)
            .where(of_nics),
            fixed=select(addresses.c.nic, addresses.c.position, egress_renewals.c.times)
            .outerjoin(egress_renewals, egress_renewals.c.fixed == addresses.c.id)
            .where(
                chosen(addresses.c.nic, SubjectKind.NIC),
                addresses.c.kind == AddressKind.FIXED.value,
                ~addresses.c.releasing,
            )
            .order_by(addresses.c.seq),
            floating=select(addresses.c.nic, addresses.c.position, _PUBLIC.c.position, pools.c.uplink, pools.c.id)
            .join(associations, associations.c.fixed == addresses.c.id)
            .join(_PUBLIC, _PUBLIC.c.id == associations.c.floating)
            .join(pools, pools.c.id == associations.c.pool)
            .where(
                chosen(addresses.c.nic, SubjectKind.NIC),
                ~exists(_held_elsewhere(associations.c.floating, associations)),
            )
            .order_by(associations.c.position),
            forwards=select(
                addresses.c.nic,
                addresses.c.position,
                _PUBLIC.c.position,
                pools.c.uplink,
                port_forwardings.c.protocol,
                port_forwardings.c.first,
                port_forwardings.c.last,
                port_forwardings.c.goal,
            )
            .join(port_forwardings, port_forwardings.c.fixed == addresses.c.id)
            .join(_PUBLIC, _PUBLIC.c.id == port_forwardings.c.floating)
            .join(pools, pools.c.id == _PUBLIC.c.pool)
            .where(
                chosen(addresses.c.nic, SubjectKind.NIC),
                ~exists(_held_elsewhere(port_forwardings.c.floating, port_forwardings)),
            ),
            told=tells(of_nics),
            shared=select(router_uplinks.c.router, addresses.c.position, router_uplinks.c.uplink)
            .join(uplinks, uplinks.c.id == router_uplinks.c.uplink)
            .join(addresses, addresses.c.id == router_uplinks.c.address)
            .where(
                router_uplinks.c.router.in_(
                    select(networks.c.router).join(nics, nics.c.network == networks.c.id).where(of_nics),
                ),
                ~_SHUT,
            )
            .order_by(_FOR_SOME, uplinks.c.name),
            memberships=select(nic_groups.c.nic, security_groups.c.number)
            .join(security_groups, security_groups.c.id == nic_groups.c.group_id)
            .where(chosen(nic_groups.c.nic, SubjectKind.NIC))
            .order_by(security_groups.c.number),
            allowed=ADDRESSES.where(chosen(allowances.c.nic, SubjectKind.NIC)),
            groups=select(security_groups.c.id, security_groups.c.number).where(
                chosen(security_groups.c.id, SubjectKind.GROUP),
            ),
            rules=RULES.where(chosen(security_group_rules.c.group_id, SubjectKind.GROUP)),
            instances=select(
                instances.c.id,
                instances.c.name,
                instances.c.image,
                instances.c.power,
                instances.c.boots,
            ).where(
                chosen(instances.c.id, SubjectKind.INSTANCE),
            ),
            guest_nics=select(
                nics.c.instance,
                nics.c.id,
                nics.c.network,
                nics.c.mac,
                networks.c.mtu,
                networks.c.kind,
                networks.c.cidr,
                networks.c.gateway,
                networks.c.dns,
                instances.c.name,
            )
            .join(networks, networks.c.id == nics.c.network)
            .join(instances, instances.c.id == nics.c.instance)
            .where(chosen(nics.c.instance, SubjectKind.INSTANCE), ~nics.c.leaving)
            .order_by(nics.c.position),
            guest_addresses=select(addresses.c.nic, addresses.c.position)
            .join(nics, nics.c.id == addresses.c.nic)
            .where(
                chosen(nics.c.instance, SubjectKind.INSTANCE),
                addresses.c.kind == AddressKind.FIXED.value,
                ~addresses.c.releasing,
            )
            .order_by(addresses.c.seq),
        )


NAMED = Selection.where(_named)
"""By their ids: for a few."""

BEHIND = Selection.where(_behind)
"""What a host has not confirmed."""

ALL = Selection.where(_held)
"""Everything that a host holds."""
