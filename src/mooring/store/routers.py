"""The statement that reads routers, and routers from their rows."""

from sqlalchemy import Row, select

from mooring.model.ids import HostId, PoolId, ProjectId, RouterId
from mooring.model.records import RouterRow
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
    )
    .outerjoin(own_routers, own_routers.c.router == routers.c.id)
    .order_by(routers.c.seq)
)
RouterFields = Row[RouterId, str, ProjectId | None, HostId | None, bool, bool, PoolId | None]


def router_of(row: RouterFields) -> RouterRow:
    router, name, project, host, private, made, pool = row
    return RouterRow(router, name, project, host, private, *_own(made), pool)


def _own(made: bool | None) -> tuple[bool, bool]:  # noqa: FBT001 - a column
    """Return whether a router is closed, and whether it was made: the outer join leaves it empty where there is no such row."""
    return made is not None, bool(made)
