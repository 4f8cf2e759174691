"""What is said of pools in the simulated database."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime

from mooring.model.accounts import Project
from mooring.model.ids import PoolId, ProjectId
from mooring.model.nouns import AddressKind, AddressPool
from mooring.model.pools import PoolDay, PoolShare
from tests.simulation.database.tables import Tables, check, needs


def _never() -> datetime:
    raise AssertionError("no day is asked for here")


class Pools:
    """See mooring.operations.interfaces_of_pools.Pools."""

    def __init__(self, tables: Tables, now: Callable[[], datetime] = _never) -> None:
        self._tables = tables
        self._now = now

    def forget(self, *, pool: PoolId | None = None, project: ProjectId | None = None) -> None:
        """Let what is said of a pool or a project go with it."""
        for table in (self._tables.pool_grants, self._tables.pool_shares):
            for key in [key for key in table.keys() if pool == key[0] or project == key[1]]:  # noqa: SIM118
                table.drop(key)

    def save(self, pool: AddressPool) -> None:
        known = self._tables.pools.get(pool.id)
        if known is not None:
            self._tables.pools.put(pool.id, replace(known, public=pool.public, per_fixed=pool.per_fixed))

    def granted(self, project: ProjectId) -> frozenset[PoolId]:
        return frozenset(pool for pool, to in self._tables.pool_grants.keys() if to == project)  # noqa: SIM118

    def grantees(self, pool: PoolId) -> Sequence[Project]:
        found = [self._tables.projects[to] for of, to in self._tables.pool_grants.keys() if of == pool]  # noqa: SIM118
        return sorted(found, key=lambda project: project.name)

    def grant(self, pool: PoolId, project: ProjectId) -> None:
        needs(pool in self._tables.pools, project in self._tables.projects)
        self._tables.pool_grants.put((pool, project), None)

    def withdraw(self, pool: PoolId, project: ProjectId) -> bool:
        if (pool, project) not in self._tables.pool_grants:
            return False
        self._tables.pool_grants.drop((pool, project))
        return True

    def take(self, pool: PoolId, project: ProjectId) -> bool:
        needs(pool in self._tables.pools, project in self._tables.projects)
        used, ceiling = self._tables.pool_shares.get((pool, project)) or (0, -1)
        if ceiling != -1 and used >= ceiling:
            return False
        self._tables.pool_shares.put((pool, project), (used + 1, ceiling))
        self._count(pool, taken=1, given=0)
        return True

    def give(self, pool: PoolId, project: ProjectId) -> None:
        row = self._tables.pool_shares.get((pool, project))
        if row is not None:
            check(row[0] > 0, "ck_pool_shares_used")
            self._tables.pool_shares.put((pool, project), (row[0] - 1, row[1]))
        self._count(pool, taken=0, given=1)

    def _count(self, pool: PoolId, *, taken: int, given: int) -> None:
        day = self._now().date()
        known = self._tables.pool_days.get((pool, day)) or PoolDay(day, 0, 0)
        self._tables.pool_days.put((pool, day), PoolDay(day, known.taken + taken, known.given + given))

    def limit(self, pool: PoolId, project: ProjectId, limit: int) -> None:
        needs(pool in self._tables.pools, project in self._tables.projects)
        check(limit >= -1, "ck_pool_shares_ceiling")
        used, _ = self._tables.pool_shares.get((pool, project)) or (0, -1)
        self._tables.pool_shares.put((pool, project), (used, limit))

    def share(self, pool: PoolId, project: Project) -> PoolShare:
        used, ceiling = self._tables.pool_shares.get((pool, project.id)) or (0, -1)
        return PoolShare(project.id, project.name, used, ceiling)

    def shares(self, pool: PoolId) -> Sequence[PoolShare]:
        found = [
            PoolShare(project, self._tables.projects[project].name, used, ceiling)
            for (of, project), (used, ceiling) in self._tables.pool_shares.items()
            if of == pool
        ]
        return sorted(found, key=lambda share: (-share.used, share.project_name))

    def counts(self, pool: PoolId) -> tuple[int, int]:
        owned = sum(used for (of, _), (used, _) in self._tables.pool_shares.items() if of == pool)
        rows = self._tables.addresses.values()
        return owned, sum(row.pool == pool and row.kind is AddressKind.ROUTER for row in rows)

    def days(self, pool: PoolId, since: date) -> Sequence[PoolDay]:
        found = [each for (of, day), each in self._tables.pool_days.items() if of == pool and day >= since]
        return sorted(found, key=lambda each: each.day)

    def first_day(self, pool: PoolId) -> date | None:
        return min((day for of, day in self._tables.pool_days.keys() if of == pool), default=None)  # noqa: SIM118
