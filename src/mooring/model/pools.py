"""What is known of a pool beside its addresses: each project's share, how much came and went, and what may come of it."""

from dataclasses import dataclass
from datetime import date

from mooring.model.ids import ProjectId
from mooring.model.nouns import PoolUsage


@dataclass(frozen=True, slots=True)
class PoolShare:
    """How many floating IPs of a pool a project has, and may have beside its quota; a limit of -1 is none."""

    project: ProjectId
    project_name: str
    used: int
    limit: int = -1


@dataclass(frozen=True, slots=True)
class PoolDay:
    """How many floating IPs of a pool projects took and gave back on a day, in UTC."""

    day: date
    taken: int
    given: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """When a pool will have no free address, if it goes on as it did.

    `days` is how many days of history there are, today among them; `per_day` how many addresses more are in use each day, None where there
    is too little history to say; `exhausted` the day on which none would be free, None where that can't be told or is too far away.  `reason`
    says in words what is known.
    """

    days: int
    per_day: float | None
    exhausted: date | None
    reason: str


@dataclass(frozen=True, slots=True)
class PoolFill:
    """How full a pool is, counted without reading its addresses one by one.

    `owned` are addresses of projects, `routers` those that routers have for themselves, `free` those that can be given out, and `quarantined` all
    others: nobody's any longer, and not yet free, because hosts may hold them still.
    """

    name: str
    owned: int
    routers: int
    quarantined: int
    free: int


@dataclass(frozen=True, slots=True)
class PoolReport:
    """A pool as one who asks for it sees it: how full it is, and one's own share.

    For administrators only are `grants`, the projects that a pool which is not public is granted to, `shares`, those of all projects that
    have or had any, and the forecast; they are None for others.
    """

    usage: PoolUsage
    own: PoolShare
    grants: tuple[PoolShare, ...] | None = None
    shares: tuple[PoolShare, ...] | None = None
    forecast: Forecast | None = None
