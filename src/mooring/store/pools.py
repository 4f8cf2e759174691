"""What is said of pools in the database: who may use them, each project's share, and how much of them came and went day by day."""

from collections.abc import Sequence
from datetime import date

from sqlalchemy import Select, bindparam, delete, func, or_, select, update

from mooring.model.accounts import Project
from mooring.model.ids import PoolId, ProjectId
from mooring.model.nouns import AddressKind, AddressPool
from mooring.model.pools import PoolDay, PoolShare
from mooring.store.schema import addresses, pool_days, pool_grants, pool_shares, pools, projects
from mooring.store.session import Session

_SAVE = (
    update(pools)
    .where(pools.c.id == bindparam("of_pool"))
    .values(public=bindparam("new_public"), per_fixed=bindparam("new_per_fixed"))
)
_GRANTED = select(pool_grants.c.pool).where(pool_grants.c.project == bindparam("project"))
_GRANTEES = (
    select(projects.c.id, projects.c.name, projects.c.description, projects.c.enabled)
    .join(pool_grants, pool_grants.c.project == projects.c.id)
    .where(pool_grants.c.pool == bindparam("pool"))
    .order_by(projects.c.name)
)
_WITHDRAW = delete(pool_grants).where(
    pool_grants.c.pool == bindparam("pool"), pool_grants.c.project == bindparam("project")
)
_MINE = (pool_shares.c.pool == bindparam("of_pool"), pool_shares.c.project == bindparam("of_project"))
_GIVE = update(pool_shares).where(*_MINE).values(used=pool_shares.c.used - 1)
_SHARES: Select[ProjectId, str, int, int] = (
    select(projects.c.id, projects.c.name, pool_shares.c.used, pool_shares.c.ceiling)
    .join(projects, projects.c.id == pool_shares.c.project)
    .where(pool_shares.c.pool == bindparam("of_pool"))
    .order_by(pool_shares.c.used.desc(), projects.c.name)
)
_SHARE = select(pool_shares.c.used, pool_shares.c.ceiling).where(*_MINE)
_OWNED = select(func.coalesce(func.sum(pool_shares.c.used), 0)).where(pool_shares.c.pool == bindparam("of_pool"))
_ROUTERS = (
    select(func.count())
    .select_from(addresses)
    .where(addresses.c.pool == bindparam("of_pool"), addresses.c.kind == AddressKind.ROUTER.value)
)
_DAYS = (
    select(pool_days.c.day, pool_days.c.taken, pool_days.c.given)
    .where(pool_days.c.pool == bindparam("pool"), pool_days.c.day >= bindparam("since"))
    .order_by(pool_days.c.day)
)
_FIRST_DAY = select(pool_days.c.day).where(pool_days.c.pool == bindparam("pool")).order_by(pool_days.c.day).limit(1)


class Pools:
    """See mooring.operations.interfaces_of_pools.Pools."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def save(self, pool: AddressPool) -> None:
        self._session.change(_SAVE, of_pool=pool.id, new_public=pool.public, new_per_fixed=pool.per_fixed)

    def granted(self, project: ProjectId) -> frozenset[PoolId]:
        return frozenset(pool for (pool,) in self._session.rows(_GRANTED, project=project))

    def grantees(self, pool: PoolId) -> Sequence[Project]:
        return [Project(*row) for row in self._session.rows(_GRANTEES, pool=pool)]

    def grant(self, pool: PoolId, project: ProjectId) -> None:
        statement = self._session.flavour.insert(pool_grants).on_conflict_do_nothing()
        self._session.refusable(statement, pool=pool, project=project)

    def withdraw(self, pool: PoolId, project: ProjectId) -> bool:
        return self._session.change(_WITHDRAW, pool=pool, project=project) == 1

    def take(self, pool: PoolId, project: ProjectId) -> bool:
        statement = self._session.flavour.insert(pool_shares)
        counted = statement.on_conflict_do_update(
            index_elements=[pool_shares.c.pool, pool_shares.c.project],
            set_={"used": pool_shares.c.used + 1},
            where=or_(pool_shares.c.ceiling == -1, pool_shares.c.used < pool_shares.c.ceiling),
        ).returning(pool_shares.c.used)
        with self._session.refusals():
            if self._session.row(counted, pool=pool, project=project, used=1, ceiling=-1) is None:
                return False
        self._count(pool, taken=1, given=0)
        return True

    def give(self, pool: PoolId, project: ProjectId) -> None:
        self._session.change(_GIVE, of_pool=pool, of_project=project)
        self._count(pool, taken=0, given=1)

    def _count(self, pool: PoolId, *, taken: int, given: int) -> None:
        statement = self._session.flavour.insert(pool_days)
        self._session.change(
            statement.on_conflict_do_update(
                index_elements=[pool_days.c.pool, pool_days.c.day],
                set_={
                    "taken": pool_days.c.taken + statement.excluded.taken,
                    "given": pool_days.c.given + statement.excluded.given,
                },
            ),
            pool=pool,
            day=self._session.now().date(),
            taken=taken,
            given=given,
        )

    def limit(self, pool: PoolId, project: ProjectId, limit: int) -> None:
        statement = self._session.flavour.insert(pool_shares)
        self._session.refusable(
            statement.on_conflict_do_update(
                index_elements=[pool_shares.c.pool, pool_shares.c.project],
                set_={"ceiling": statement.excluded.ceiling},
            ),
            pool=pool,
            project=project,
            used=0,
            ceiling=limit,
        )

    def share(self, pool: PoolId, project: Project) -> PoolShare:
        row = self._session.row(_SHARE, of_pool=pool, of_project=project.id)
        used, limit = row or (0, -1)
        return PoolShare(project.id, project.name, used, limit)

    def shares(self, pool: PoolId) -> Sequence[PoolShare]:
        return [PoolShare(*row) for row in self._session.rows(_SHARES, of_pool=pool)]

    def counts(self, pool: PoolId) -> tuple[int, int]:
        owned = self._session.row(_OWNED, of_pool=pool)
        routers = self._session.row(_ROUTERS, of_pool=pool)
        return owned[0] if owned else 0, routers[0] if routers else 0

    def days(self, pool: PoolId, since: date) -> Sequence[PoolDay]:
        return [PoolDay(*row) for row in self._session.rows(_DAYS, pool=pool, since=since)]

    def first_day(self, pool: PoolId) -> date | None:
        row = self._session.row(_FIRST_DAY, pool=pool)
        return row[0] if row else None
