"""Hosts, uplinks, pools, routers and networks in the database."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network

from sqlalchemy import Row, bindparam, delete, func, null, select, update

from mooring.model.ids import AddressId, HostId, NetworkId, NicId, PoolId, ProjectId, RouterId, UplinkId
from mooring.model.marks import Tagged
from mooring.model.nouns import (
    AddressKind,
    AddressPool,
    AddressRange,
    Host,
    Network,
    NetworkKind,
    PoolUsage,
    Uplink,
    UplinkAway,
)
from mooring.model.records import AddressRow, RouterRow
from mooring.model.subjects import SubjectKey, SubjectKind
from mooring.store import macs, numbers
from mooring.store.addresses import Addresses
from mooring.store.generations import forget
from mooring.store.hosts import HEARD_OF, HOST, HOST_BY_NAME, HOSTS, SAVE_HOST, SOME_HOSTS, host_of, values
from mooring.store.marks import changed, forget_tags, marks_of, tags_of
from mooring.store.networks import (
    DELETE_NETWORK,
    FIRST_SEGMENT,
    NETWORK,
    NETWORK_MAC,
    NETWORKS,
    NETWORKS_FOR,
    NETWORKS_OF,
    SEGMENT_GAP,
    network_of,
)
from mooring.store.routers import ROUTERS, router_of
from mooring.store.schema import (
    addresses,
    associations,
    cursors,
    hosts,
    networks,
    nics,
    pool_ranges,
    pools,
    router_uplinks,
    routers,
    uplinks,
    uplinks_away,
)
from mooring.store.schema.columns import unseen
from mooring.store.session import Session

_UPLINKS = select(uplinks.c.id, uplinks.c.name, uplinks.c.interface, uplinks.c.misses).order_by(uplinks.c.seq)
_SET_MISSES = update(uplinks).where(uplinks.c.id == bindparam("which")).values(misses=bindparam("new_misses"))
_AWAY = (
    select(
        uplinks.c.id, uplinks.c.name, uplinks.c.interface, uplinks.c.misses, uplinks_away.c.reason, uplinks_away.c.since
    )
    .join(uplinks_away, uplinks_away.c.uplink == uplinks.c.id)
    .where(uplinks_away.c.host == bindparam("host"))
    .order_by(uplinks.c.seq)
)
_NOT_AWAY = delete(uplinks_away).where(
    uplinks_away.c.host == bindparam("host"), uplinks_away.c.uplink == bindparam("uplink")
)
_DELETE_UPLINK = delete(uplinks).where(uplinks.c.id == bindparam("uplink"))
_UPLINK_BY_NAME = _UPLINKS.where(uplinks.c.name == bindparam("name"))

_POOLS = (
    select(
        pools.c.id,
        pools.c.name,
        pools.c.uplink,
        pools.c.cidr,
        pools.c.gateway,
        pools.c.public,
        pools.c.per_fixed,
        pool_ranges.c.first,
        pool_ranges.c.last,
        pools.c.revision,
        pools.c.created,
        pools.c.updated,
        tags_of(Tagged.NETWORK, pools.c.id),
        tags_of(Tagged.SUBNET, pools.c.id),
    )
    .join(pool_ranges, pool_ranges.c.pool == pools.c.id)
    .order_by(pools.c.seq, pool_ranges.c.first)
)
_POOL = _POOLS.where(pools.c.id == bindparam("pool"))
_POOL_BY_NAME = _POOLS.where(pools.c.name == bindparam("name"))
_DELETE_POOL = delete(pools).where(pools.c.id == bindparam("pool"))
_FORGET_RANGES = delete(pool_ranges).where(pool_ranges.c.pool == bindparam("pool"))
_FORGET_CURSOR = delete(cursors).where(cursors.c.owner == bindparam("owner"))
_POOL_USAGE = (
    select(addresses.c.kind, addresses.c.releasing, func.count())
    .where(addresses.c.pool == bindparam("pool"))
    .group_by(addresses.c.kind, addresses.c.releasing)
)
_POOL_ASSOCIATED = select(func.count()).select_from(associations).where(associations.c.pool == bindparam("pool"))

_ROUTER = ROUTERS.where(routers.c.id == bindparam("router"))
_DELETE_ROUTER = delete(routers).where(routers.c.id == bindparam("router"))
_SHARED_ROUTER = ROUTERS.where(~routers.c.private)
_CLAIM = (
    update(routers)
    .where(routers.c.id == bindparam("router"), routers.c.host.is_(null()))
    .values(host=bindparam("new_host"), **unseen(routers))
)
_ROUTER_ADDRESS = select(router_uplinks.c.address).where(
    router_uplinks.c.router == bindparam("router"),
    router_uplinks.c.uplink == bindparam("uplink"),
)
_ROUTERS_ON = (
    select(router_uplinks.c.router)
    .join(routers, routers.c.id == router_uplinks.c.router)
    .where(router_uplinks.c.uplink == bindparam("uplink"))
    .order_by(routers.c.seq)
)
_PER_HOST = (
    select(routers.c.host, func.count())
    .where(routers.c.host.is_not(null()))
    .group_by(routers.c.host)
    .order_by(routers.c.host)
)
_OTHERS_ON = (
    select(router_uplinks.c.router)
    .where(router_uplinks.c.uplink == bindparam("uplink"), router_uplinks.c.router != bindparam("router"))
    .limit(2)
)
_REMOVE_UPLINK = (
    delete(router_uplinks)
    .where(
        router_uplinks.c.router == bindparam("router"),
        router_uplinks.c.uplink == bindparam("uplink"),
    )
    .returning(router_uplinks.c.mac)
)

_NICS_OF = (
    select(nics.c.id)
    .join(networks, networks.c.id == nics.c.network)
    .where(networks.c.router == bindparam("router"))
    .order_by(nics.c.seq)
)

_NICS_ON = select(nics.c.id).where(nics.c.network == bindparam("network")).order_by(nics.c.seq)

_PoolFields = Row[PoolId, str, UplinkId, str, str, bool, int, int, int, int, datetime, datetime, str, str]


class Topology:
    """See mooring.operations.interfaces.Topology."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add_host(self, host: Host) -> None:
        self._session.add(hosts, id=host.id, name=host.name, **values(host))

    def save_host(self, host: Host) -> None:
        self._session.change(SAVE_HOST, host=host.id, **{f"new_{name}": value for name, value in values(host).items()})

    def heard_of(self, hosts: Collection[HostId], now: datetime) -> None:
        self._session.change(HEARD_OF, hosts=sorted(hosts), new_last_seen=now)

    def host(self, host: HostId) -> Host | None:
        row = self._session.row(HOST, host=host)
        return host_of(row) if row else None

    def host_by_name(self, name: str) -> Host | None:
        row = self._session.row(HOST_BY_NAME, name=name)
        return host_of(row) if row else None

    def hosts(self) -> Sequence[Host]:
        return [host_of(row) for row in self._session.rows(HOSTS)]

    def some_hosts(self, hosts: Collection[HostId]) -> Sequence[Host]:
        return [host_of(row) for row in self._session.rows(SOME_HOSTS, hosts=sorted(hosts))]

    def add_uplink(self, uplink: Uplink) -> None:
        values = {"id": uplink.id, "name": uplink.name, "interface": uplink.interface, "misses": uplink.misses}
        self._session.add(uplinks, **values)

    def uplink_by_name(self, name: str) -> Uplink | None:
        row = self._session.row(_UPLINK_BY_NAME, name=name)
        return Uplink(*row) if row else None

    def uplinks(self) -> Sequence[Uplink]:
        return [Uplink(*row) for row in self._session.rows(_UPLINKS)]

    def set_misses(self, uplink: UplinkId, misses: int) -> None:
        self._session.change(_SET_MISSES, which=uplink, new_misses=misses)

    def away(self, host: HostId) -> Sequence[UplinkAway]:
        return [UplinkAway(Uplink(*row[:4]), *row[4:]) for row in self._session.rows(_AWAY, host=host)]

    def set_away(self, host: HostId, away: Mapping[UplinkId, str], now: datetime) -> None:
        known = {each.uplink.id: each.reason for each in self.away(host)}
        with self._session.whole():
            for uplink in sorted(uplink for uplink, reason in known.items() if away.get(uplink) != reason):
                self._session.change(_NOT_AWAY, host=host, uplink=uplink)
            for uplink, reason in sorted(away.items()):
                if known.get(uplink) != reason:
                    self._session.add(uplinks_away, host=host, uplink=uplink, reason=reason, since=now)

    def delete_uplink(self, uplink: UplinkId) -> None:
        self._session.refusable(_DELETE_UPLINK, uplink=uplink)

    def add_pool(self, pool: AddressPool) -> None:
        if not pool.ranges:
            raise ValueError("a pool has at least one range")
        with self._session.whole():
            self._session.add(
                pools,
                id=pool.id,
                name=pool.name,
                uplink=pool.uplink,
                cidr=str(pool.cidr),
                gateway=str(pool.gateway),
                public=pool.public,
                per_fixed=pool.per_fixed,
            )
            self._add_ranges(pool.id, pool.ranges)

    def set_ranges(self, pool: PoolId, ranges: Sequence[AddressRange]) -> None:
        if not ranges:
            raise ValueError("a pool has at least one range")
        with self._session.whole():
            self._session.change(_FORGET_RANGES, pool=pool)
            self._add_ranges(pool, ranges)
            changed(self._session, pools, pool)

    def _add_ranges(self, pool: PoolId, ranges: Sequence[AddressRange]) -> None:
        for part in ranges:
            self._session.add(pool_ranges, pool=pool, first=int(part.first), last=int(part.last), name=str(part))

    def pool(self, pool: PoolId) -> AddressPool | None:
        return next(iter(_pools(self._session.rows(_POOL, pool=pool))), None)

    def pool_by_name(self, name: str) -> AddressPool | None:
        return next(iter(_pools(self._session.rows(_POOL_BY_NAME, name=name))), None)

    def pools(self) -> Sequence[AddressPool]:
        return _pools(self._session.rows(_POOLS))

    def pool_usage(self, pool: PoolId) -> PoolUsage | None:
        known = self.pool(pool)
        if known is None:
            return None
        allocated = releasing = routers = 0
        for kind, is_releasing, count in self._session.rows(_POOL_USAGE, pool=pool):
            if is_releasing:
                releasing += count
            elif kind == AddressKind.FLOATING.value:
                allocated += count
            else:
                routers += count
        associated = self._session.row(_POOL_ASSOCIATED, pool=pool)
        return PoolUsage(
            pool=known,
            total=sum(len(part) for part in known.ranges),
            allocated=allocated,
            associated=associated[0] if associated else 0,
            releasing=releasing,
            routers=routers,
        )

    def delete_pool(self, pool: PoolId) -> None:
        self._session.refusable(_DELETE_POOL, pool=pool)
        self._session.change(_FORGET_CURSOR, owner=pool)
        for kind in (Tagged.NETWORK, Tagged.SUBNET):
            forget_tags(self._session, kind, pool)

    def add_router(self, router: RouterRow) -> None:
        self._session.add(
            routers,
            id=router.id,
            name=router.name,
            project=router.project,
            host=router.host,
            private=router.private,
        )

    def router(self, router: RouterId) -> RouterRow | None:
        row = self._session.row(_ROUTER, router=router)
        return router_of(row) if row else None

    def shared_router(self) -> RouterRow | None:
        row = self._session.row(_SHARED_ROUTER)
        return router_of(row) if row else None

    def routers(self) -> Sequence[RouterRow]:
        return [router_of(row) for row in self._session.rows(ROUTERS)]

    def routers_per_host(self) -> Mapping[HostId, int]:
        return {host: count for host, count in self._session.rows(_PER_HOST) if host is not None}

    def delete_router(self, router: RouterId) -> None:
        self._session.refusable(_DELETE_ROUTER, router=router)
        forget_tags(self._session, Tagged.ROUTER, router)
        forget(self._session, SubjectKey(SubjectKind.ROUTER, router))

    def claim_router(self, router: RouterId, host: HostId) -> bool:
        return self._session.refusable(_CLAIM, router=router, new_host=host) == 1

    def add_router_uplink(self, router: RouterId, uplink: UplinkId, mac: str, address: AddressId) -> None:
        with self._session.whole():
            macs.claim(self._session, mac)
            self._session.add(router_uplinks, router=router, uplink=uplink, mac=mac, address=address)
            changed(self._session, routers, router)

    def router_has_uplink(self, router: RouterId, uplink: UplinkId) -> bool:
        return self._session.row(_ROUTER_ADDRESS, router=router, uplink=uplink) is not None

    def routers_on(self, uplink: UplinkId) -> Sequence[RouterId]:
        return [router for (router,) in self._session.rows(_ROUTERS_ON, uplink=uplink)]

    def others_on(self, uplink: UplinkId, router: RouterId) -> Sequence[RouterId]:
        return [other for (other,) in self._session.rows(_OTHERS_ON, router=router, uplink=uplink)]

    def router_address(self, router: RouterId, uplink: UplinkId) -> AddressRow | None:
        row = self._session.row(_ROUTER_ADDRESS, router=router, uplink=uplink)
        return Addresses(self._session).get(row[0]) if row else None

    def remove_router_uplink(self, router: RouterId, uplink: UplinkId) -> None:
        for (mac,) in self._session.rows(_REMOVE_UPLINK, router=router, uplink=uplink):
            macs.drop(self._session, mac)
            changed(self._session, routers, router)

    def add_network(self, network: Network, mac: str) -> None:
        with self._session.whole():
            macs.claim(self._session, mac)
            self._session.add(
                networks,
                id=network.id,
                name=network.name,
                kind=network.kind.value,
                project=network.project,
                router=network.router,
                cidr=str(network.cidr),
                gateway=str(network.gateway),
                dns=" ".join(str(server) for server in network.dns),
                mtu=network.mtu,
                mac=mac,
                segment=network.segment,
                bridge=network.bridge,
                cluster=network.cluster,
            )

    def give_zone(self, network: NetworkId) -> bool:
        return numbers.add_zone(self._session, network)

    def network(self, network: NetworkId) -> Network | None:
        row = self._session.row(NETWORK, network=network)
        return network_of(row) if row else None

    def free_segment(self, kind: NetworkKind, first: int, last: int) -> int | None:
        if first > last:
            return None
        if self._session.row(FIRST_SEGMENT, kind=kind.value, first=first) is None:
            return first
        row = self._session.row(SEGMENT_GAP, kind=kind.value, first=first, last=last)
        return row[0] if row else None

    def networks(self, project: ProjectId | None) -> Sequence[Network]:
        if project is None:
            return [network_of(row) for row in self._session.rows(NETWORKS)]
        return [network_of(row) for row in self._session.rows(NETWORKS_FOR, project=project)]

    def networks_of_router(self, router: RouterId) -> Sequence[Network]:
        return [network_of(row) for row in self._session.rows(NETWORKS_OF, router=router)]

    def delete_network(self, network: NetworkId) -> None:
        row = self._session.row(NETWORK_MAC, network=network)
        if row is None:
            return
        self._session.refusable(DELETE_NETWORK, network=network)
        macs.drop(self._session, row[0])
        self._session.change(_FORGET_CURSOR, owner=network)
        for kind in (Tagged.NETWORK, Tagged.SUBNET):
            forget_tags(self._session, kind, network)
        forget(self._session, SubjectKey(SubjectKind.NETWORK, network))

    def nics_of_network(self, network: NetworkId) -> Sequence[NicId]:
        return [nic for (nic,) in self._session.rows(_NICS_ON, network=network)]

    def nics_of_router(self, router: RouterId) -> Sequence[NicId]:
        return [nic for (nic,) in self._session.rows(_NICS_OF, router=router)]


def _pools(rows: Iterable[_PoolFields]) -> list[AddressPool]:
    """Put pools together from one row for each range."""
    found: dict[PoolId, tuple[_PoolFields, list[AddressRange]]] = {}
    for row in rows:
        found.setdefault(row[0], (row, []))[1].append(AddressRange(IPv4Address(row[7]), IPv4Address(row[8])))
    return [
        AddressPool(
            id=pool,
            name=row[1],
            uplink=row[2],
            cidr=IPv4Network(row[3]),
            gateway=IPv4Address(row[4]),
            ranges=tuple(ranges),
            public=row[5],
            per_fixed=row[6],
            marks=marks_of(*row[9:13]),
            subnet_marks=marks_of(*row[9:12], row[13]),
        )
        for pool, (row, ranges) in found.items()
    ]
