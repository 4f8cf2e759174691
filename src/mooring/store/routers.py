"""The statement that reads routers, and routers from their rows."""

from datetime import datetime

from sqlalchemy import Row, select

from mooring.model.ids import HostId, PoolId, ProjectId, RouterId
from mooring.model.marks import Tagged
from mooring.model.records import RouterRow
from mooring.store.marks import marks_of, tags_of
from mooring.store.schema import own_routers, routers

ROUTERS = (
    select(
        routers.c.id,
        routers.c.name,
        routers.c.project,
        routers.c.host,
        routers.c.private,
        own_routers.c.made,
        own_routers.c.pool,
        routers.c.revision,
        routers.c.created,
        routers.c.updated,
        tags_of(Tagged.ROUTER, routers.c.id),
    )
    .outerjoin(own_routers, own_routers.c.router == routers.c.id)
    .order_by(routers.c.seq)
)
RouterFields = Row[
    RouterId, str, ProjectId | None, HostId | None, bool, bool, PoolId | None, int, datetime, datetime, str
]


def router_of(row: RouterFields) -> RouterRow:
    router, name, project, host, private, made, pool, *_ = row
    return RouterRow(router, name, project, host, private, *_own(made), pool, marks_of(*row[7:11]))


def _own(made: bool | None) -> tuple[bool, bool]:  # noqa: FBT001 - a column
    """Return whether a router is closed, and whether it was made: the outer join leaves it empty where there is no such row."""
    return made is not None, bool(made)
