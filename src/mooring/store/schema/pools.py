"""Tables of what is said of pools: who may use them, how much each project has of them, and how that came day by day."""

from datetime import date

from sqlalchemy import CheckConstraint, Column, Date, Index, Named, PrimaryKeyConstraint, Table, TypedColumns

from mooring.model.ids import PoolId, ProjectId
from mooring.store.schema.columns import metadata, to


class GrantColumns(TypedColumns):
    """A project that may use a pool which is not public."""

    pool: Named[PoolId] = to("pools.id", action="CASCADE")
    project: Named[ProjectId] = to("projects.id", action="CASCADE")


pool_grants = Table(
    "pool_grants",
    metadata,
    GrantColumns,
    PrimaryKeyConstraint("pool", "project"),
    Index(None, "project"),
    sqlite_with_rowid=False,
)


class ShareColumns(TypedColumns):
    """How many floating IPs of a pool a project has, and may have; a ceiling of -1 is none.

    As with quotas, `used <= ceiling` is no CHECK: a ceiling may be set below what is used.
    """

    pool: Named[PoolId] = to("pools.id", action="CASCADE")
    project: Named[ProjectId] = to("projects.id", action="CASCADE")
    used: Named[int]
    ceiling: Named[int]


pool_shares = Table(
    "pool_shares",
    metadata,
    ShareColumns,
    PrimaryKeyConstraint("pool", "project"),
    CheckConstraint("used >= 0", name="used"),
    CheckConstraint("ceiling >= -1", name="ceiling"),
    Index(None, "project"),
    sqlite_with_rowid=False,
)


class DayColumns(TypedColumns):
    """How many floating IPs of a pool projects took and gave back on a day, in UTC."""

    pool: Named[PoolId] = to("pools.id", action="CASCADE")
    day: Named[date] = Column(Date, nullable=False)
    taken: Named[int]
    given: Named[int]


pool_days = Table(
    "pool_days",
    metadata,
    DayColumns,
    PrimaryKeyConstraint("pool", "day"),
    CheckConstraint("taken >= 0 AND given >= 0", name="counts"),
    sqlite_with_rowid=False,
)
