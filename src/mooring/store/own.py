"""What projects make themselves, in the database."""

from collections.abc import Sequence
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network

from sqlalchemy import Row, bindparam, delete, null, or_, select, update

from mooring.model.ids import NetworkId, PoolId, ProjectId, RouterId, SubnetPoolId
from mooring.model.marks import Tagged
from mooring.model.nouns import Network, OwnSubnet
from mooring.model.own import BareNetwork, SubnetPool
from mooring.model.records import RouterRow
from mooring.model.subjects import SubjectKey, SubjectKind
from mooring.store.generations import forget
from mooring.store.marks import changed, forget_tags, marks_of, tags_of
from mooring.store.networks import NETWORKS, network_of, ranges_text
from mooring.store.routers import ROUTERS, router_of
from mooring.store.schema import bare_networks, networks, own_routers, own_subnets, routers, subnet_pools
from mooring.store.schema.columns import unseen
from mooring.store.session import Session

_BARES = select(
    bare_networks.c.id,
    bare_networks.c.name,
    bare_networks.c.project,
    bare_networks.c.revision,
    bare_networks.c.created,
    bare_networks.c.updated,
    tags_of(Tagged.NETWORK, bare_networks.c.id),
).order_by(bare_networks.c.seq)
_BARE = _BARES.where(bare_networks.c.id == bindparam("network"))
_BARES_FOR = _BARES.where(bare_networks.c.project == bindparam("project"))
_DELETE_BARE = delete(bare_networks).where(bare_networks.c.id == bindparam("network"))
# What gets a subnet is the network that was there, and it has changed by that.
_GO_ON = (
    update(networks)
    .where(networks.c.id == bare_networks.c.id, bare_networks.c.id == bindparam("of_network"))
    .values(revision=bare_networks.c.revision + 1, created=bare_networks.c.created)
)
_RENAME = tuple(
    update(table).where(table.c.id == bindparam("of_network")).values(name=bindparam("new_name"))
    for table in (bare_networks, networks)
)
_CHANGE_SUBNET = (
    update(own_subnets)
    .where(own_subnets.c.network == bindparam("of_network"))
    .values(name=bindparam("new_name"), ranges=bindparam("new_ranges"))
)
_SET_DNS = update(networks).where(networks.c.id == bindparam("of_network")).values(dns=bindparam("new_dns"))
_SET_ROUTER = (
    update(networks)
    .where(networks.c.id == bindparam("of_network"), networks.c.router == bindparam("old_router"))
    .values(router=bindparam("new_router"))
)
_SERVE = (
    update(own_subnets)
    .where(own_subnets.c.network == bindparam("of_network"))
    .values(served=bindparam("now_served", type_=own_subnets.c.served.type))
)
_MADE = ROUTERS.where(own_routers.c.made)
_MADE_FOR = _MADE.where(routers.c.project == bindparam("project"))
_RENAME_ROUTER = update(routers).where(routers.c.id == bindparam("of_router")).values(name=bindparam("new_name"))
_LEAD = update(own_routers).where(own_routers.c.router == bindparam("of_router")).values(pool=bindparam("new_pool"))
_UNMAKE = (
    update(own_routers)
    .where(own_routers.c.router == bindparam("of_router"), own_routers.c.made)
    .values(made=False, pool=null())
)
_POOLS = select(
    subnet_pools.c.id,
    subnet_pools.c.name,
    subnet_pools.c.project,
    subnet_pools.c.prefixes,
    subnet_pools.c.default_length,
    subnet_pools.c.shortest,
    subnet_pools.c.longest,
    subnet_pools.c.description,
    subnet_pools.c.revision,
    subnet_pools.c.created,
    subnet_pools.c.updated,
    tags_of(Tagged.SUBNET_POOL, subnet_pools.c.id),
).order_by(subnet_pools.c.seq)
_POOL = _POOLS.where(subnet_pools.c.id == bindparam("pool"))
_POOLS_FOR = _POOLS.where(or_(subnet_pools.c.project == bindparam("project"), subnet_pools.c.project.is_(null())))
_CHANGE_POOL = (
    update(subnet_pools)
    .where(subnet_pools.c.id == bindparam("of_pool"))
    .values(
        name=bindparam("new_name"),
        prefixes=bindparam("new_prefixes"),
        default_length=bindparam("new_default"),
        shortest=bindparam("new_shortest"),
        longest=bindparam("new_longest"),
        description=bindparam("new_description"),
    )
)
_DELETE_POOL = delete(subnet_pools).where(subnet_pools.c.id == bindparam("pool"))
_TAKE_TURN = (
    update(subnet_pools)
    .where(subnet_pools.c.id == bindparam("of_pool"))
    .values(taken=subnet_pools.c.taken + 1, **unseen(subnet_pools))
)
_FROM_POOL = NETWORKS.where(own_subnets.c.pool == bindparam("pool"))
_TAKEN = (
    select(networks.c.cidr)
    .join(own_subnets, own_subnets.c.network == networks.c.id)
    .where(own_subnets.c.pool == bindparam("pool"))
)

_BareRow = Row[NetworkId, str, ProjectId, int, datetime, datetime, str]
_PoolRow = Row[SubnetPoolId, str, ProjectId | None, str, int, int, int, str, int, datetime, datetime, str]


class Own:
    """See mooring.operations.interfaces_of_own.Own."""

    def __init__(self, session: Session) -> None:
        self._session = session

    # ----------------------------------------------------------------------------------------------------- networks

    def add_bare(self, network: BareNetwork) -> None:
        before = network.marks
        # What lost its subnet goes on as it was, and has changed by that.
        more = {"created": before.created} if before.revision else {}
        values = {"id": network.id, "name": network.name, "project": network.project}
        self._session.add(bare_networks, **values, revision=before.revision + 1, **more)

    def bare(self, network: NetworkId) -> BareNetwork | None:
        row = self._session.row(_BARE, network=network)
        return _bare(row) if row else None

    def bares(self, project: ProjectId | None) -> Sequence[BareNetwork]:
        found = self._session.rows(_BARES) if project is None else self._session.rows(_BARES_FOR, project=project)
        return [_bare(row) for row in found]

    def delete_bare(self, network: NetworkId) -> bool:
        gone = self._session.change(_DELETE_BARE, network=network) == 1
        forget_tags(self._session, Tagged.NETWORK, network)
        forget(self._session, SubjectKey(SubjectKind.NETWORK, network))
        return gone

    def rename(self, network: NetworkId, name: str) -> None:
        for statement in _RENAME:
            self._session.change(statement, of_network=network, new_name=name)

    def add_subnet(self, network: NetworkId, subnet: OwnSubnet) -> None:
        text = ranges_text(subnet.ranges)
        self._session.add(own_subnets, network=network, name=subnet.name, ranges=text, pool=subnet.pool)
        self._session.change(_GO_ON, of_network=network)

    def change_subnet(self, network: NetworkId, subnet: OwnSubnet, dns: Sequence[IPv4Address]) -> None:
        text = ranges_text(subnet.ranges)
        self._session.change(_CHANGE_SUBNET, of_network=network, new_name=subnet.name, new_ranges=text)
        self._session.change(_SET_DNS, of_network=network, new_dns=" ".join(str(server) for server in dns))

    def set_router(self, network: Network, router: RouterId) -> bool:
        moved = self._session.refusable(
            _SET_ROUTER, of_network=network.id, old_router=network.router, new_router=router
        )
        if moved:
            self._session.change(_SERVE, of_network=network.id, now_served=self._session.now())
        return moved == 1

    # ------------------------------------------------------------------------------------------------------ routers

    def close(self, router: RouterId, *, made: bool) -> None:
        self._session.add(own_routers, router=router, made=made, pool=None)

    def routers(self, project: ProjectId | None) -> Sequence[RouterRow]:
        found = self._session.rows(_MADE) if project is None else self._session.rows(_MADE_FOR, project=project)
        return [router_of(row) for row in found]

    def rename_router(self, router: RouterId, name: str) -> None:
        self._session.change(_RENAME_ROUTER, of_router=router, new_name=name)

    def lead(self, router: RouterId, pool: PoolId | None) -> None:
        self._session.refusable(_LEAD, of_router=router, new_pool=pool)
        changed(self._session, routers, router)

    def unmake(self, router: RouterId) -> bool:
        return self._session.change(_UNMAKE, of_router=router) == 1

    # ------------------------------------------------------------------------------------------------- subnet pools

    def add_pool(self, pool: SubnetPool) -> None:
        self._session.add(
            subnet_pools,
            id=pool.id,
            name=pool.name,
            project=pool.project,
            prefixes=" ".join(str(prefix) for prefix in pool.prefixes),
            default_length=pool.default_length,
            shortest=pool.shortest,
            longest=pool.longest,
            description=pool.description,
            taken=0,
        )

    def pool(self, pool: SubnetPoolId) -> SubnetPool | None:
        row = self._session.row(_POOL, pool=pool)
        return _pool(row) if row else None

    def pools(self, project: ProjectId | None) -> Sequence[SubnetPool]:
        found = self._session.rows(_POOLS) if project is None else self._session.rows(_POOLS_FOR, project=project)
        return [_pool(row) for row in found]

    def change_pool(self, pool: SubnetPool) -> None:
        self._session.change(
            _CHANGE_POOL,
            of_pool=pool.id,
            new_name=pool.name,
            new_prefixes=" ".join(str(prefix) for prefix in pool.prefixes),
            new_default=pool.default_length,
            new_shortest=pool.shortest,
            new_longest=pool.longest,
            new_description=pool.description,
        )

    def delete_pool(self, pool: SubnetPoolId) -> None:
        self._session.refusable(_DELETE_POOL, pool=pool)
        forget_tags(self._session, Tagged.SUBNET_POOL, pool)

    def networks_of_pool(self, pool: SubnetPoolId) -> Sequence[Network]:
        return [network_of(row) for row in self._session.rows(_FROM_POOL, pool=pool)]

    def prefixes_of_pool(self, pool: SubnetPoolId) -> Sequence[IPv4Network]:
        # In PostgreSQL this locks the pool's row until the transaction ends; in SQLite writers are alone anyway.
        self._session.change(_TAKE_TURN, of_pool=pool)
        return [IPv4Network(cidr) for (cidr,) in self._session.rows(_TAKEN, pool=pool)]


def _bare(row: _BareRow) -> BareNetwork:
    network, name, project, *_ = row
    return BareNetwork(network, name, project, marks_of(*row[3:7]))


def _pool(row: _PoolRow) -> SubnetPool:
    pool, name, project, prefixes, default, shortest, longest, description, *_ = row
    known = tuple(IPv4Network(prefix) for prefix in prefixes.split())
    return SubnetPool(pool, name, project, known, default, shortest, longest, description, marks_of(*row[8:12]))
