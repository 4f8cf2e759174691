"""What requests ask for and answers look like where it is about pools of public addresses and uplinks."""

from datetime import date
from ipaddress import IPv4Address, IPv4Network
from typing import Self

from mooring.dialects.native.fields import Address, Body, Prefix, View
from mooring.model.nouns import AddressPool, AddressRange, PoolUsage, Uplink
from mooring.model.pools import Forecast, PoolReport, PoolShare
from mooring.operations import NewPool, PoolChange


class UplinkView(View):
    """A way out towards one provider: an interface of every gateway host that has it.

    `misses` is after how many unanswered questions, one a second, its next hop is away; 0 is never.
    """

    id: str
    name: str
    interface: str
    misses: int

    @classmethod
    def of(cls, uplink: Uplink) -> Self:
        """Show an uplink."""
        return cls(id=uplink.id, name=uplink.name, interface=uplink.interface, misses=uplink.misses)


class UplinkWish(Body):
    """A change of an uplink: after `misses` questions in a row, one a second, that its next hop did not answer it is away; 0 is never."""

    misses: int


class RangeWish(Body):
    """An inclusive range of addresses."""

    first: Address
    last: Address


class PoolWish(Body):
    """A pool to be made; `uplink` names one that exists, or is made for `interface`.

    `cidr` is the provider's subnet and `gateway` its router there; only addresses inside `ranges` are ours to give out.  One that is not
    `public` is for projects that it is granted to.  A fixed IP may have `floating_ips_per_fixed_ip` of its floating IPs.
    """

    name: str
    cidr: Prefix
    gateway: Address
    ranges: list[RangeWish]
    uplink: str
    interface: str | None = None
    public: bool = True
    floating_ips_per_fixed_ip: int = 1

    def new(self) -> NewPool:
        """Return what operations make of it."""
        ranges = tuple(AddressRange(part.first, part.last) for part in self.ranges)
        return NewPool(
            self.name,
            self.cidr,
            self.gateway,
            ranges,
            self.uplink,
            self.interface,
            self.public,
            self.floating_ips_per_fixed_ip,
        )


class PoolChangeWish(Body):
    """What is to be changed of a pool; what is null or left out stays."""

    public: bool | None = None
    floating_ips_per_fixed_ip: int | None = None

    def change(self) -> PoolChange:
        """Return what operations make of it."""
        return PoolChange(self.public, self.floating_ips_per_fixed_ip)


class RangeView(View):
    """An inclusive range of addresses."""

    first: IPv4Address
    last: IPv4Address


class PoolView(View):
    """Public addresses that projects may allocate; `gateway` is the provider's router, `uplink` the id of the way to it.

    One that is not `public` is there for projects that it is granted to.
    """

    id: str
    name: str
    uplink: str
    cidr: IPv4Network
    gateway: IPv4Address
    ranges: list[RangeView]
    public: bool
    floating_ips_per_fixed_ip: int

    @classmethod
    def of(cls, pool: AddressPool) -> Self:
        """Show a pool."""
        return cls(
            id=pool.id,
            name=pool.name,
            uplink=pool.uplink,
            cidr=pool.cidr,
            gateway=pool.gateway,
            ranges=[RangeView(first=part.first, last=part.last) for part in pool.ranges],
            public=pool.public,
            floating_ips_per_fixed_ip=pool.per_fixed,
        )


class UsageView(View):
    """How full a pool is: `allocated` addresses belong to projects, `releasing` ones are not yet free again, `routers` have theirs."""

    total: int
    free: int
    allocated: int
    associated: int
    releasing: int
    routers: int

    @classmethod
    def of(cls, usage: PoolUsage) -> Self:
        """Show a pool's usage."""
        return cls(
            total=usage.total,
            free=usage.free,
            allocated=usage.allocated,
            associated=usage.associated,
            releasing=usage.releasing,
            routers=usage.routers,
        )


class ShareView(View):
    """How many floating IPs of a pool a project has, and may have of this pool; a limit of -1 is none."""

    project: str
    project_name: str
    used: int
    limit: int

    @classmethod
    def of(cls, share: PoolShare) -> Self:
        """Show a share."""
        return cls(project=share.project, project_name=share.project_name, used=share.used, limit=share.limit)


class ForecastView(View):
    """When a pool will have no free address: `exhausted` is the day, null where none can be told, and `reason` says why.

    It is where the straight line of least squares through the last 28 days leads; below 7 days of history there is none.  `per_day` is how
    many addresses more are in use each day, by that line.
    """

    exhausted: date | None
    per_day: float | None
    days: int
    reason: str

    @classmethod
    def of(cls, forecast: Forecast) -> Self:
        """Show a forecast."""
        per_day = None if forecast.per_day is None else round(forecast.per_day, 3)
        return cls(exhausted=forecast.exhausted, per_day=per_day, days=forecast.days, reason=forecast.reason)


class PoolReportView(PoolView):
    """A pool, how full it is, and the project's `own` share.

    For administrators are `grants`, the projects that it is granted to, `shares`, those that have or had any of it, and the forecast; these
    are null for others.
    """

    usage: UsageView
    own: ShareView
    grants: list[ShareView] | None
    shares: list[ShareView] | None
    forecast: ForecastView | None

    @classmethod
    def told(cls, report: PoolReport) -> Self:
        """Show a pool with all that is known of it."""
        return cls(
            **PoolView.of(report.usage.pool).model_dump(),
            usage=UsageView.of(report.usage),
            own=ShareView.of(report.own),
            grants=None if report.grants is None else [ShareView.of(each) for each in report.grants],
            shares=None if report.shares is None else [ShareView.of(each) for each in report.shares],
            forecast=None if report.forecast is None else ForecastView.of(report.forecast),
        )
