"""Tables of what projects make themselves: networks, subnets, routers, subnet pools and network cards."""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    Named,
    PrimaryKeyConstraint,
    Table,
    TypedColumns,
)

from mooring.model.ids import NetworkId, NicId, PoolId, ProjectId, RouterId, SubnetPoolId
from mooring.store.schema.columns import Listed, Marked, Moment, given, metadata, own_id, some_text, to


class BareNetworkColumns(Marked, Listed):
    """Networks without a subnet.  With one, a network is in `networks` under the same id, and here no longer."""

    id: Named[NetworkId] = own_id()
    name: Named[str] = some_text()
    project: Named[ProjectId] = to("projects.id")


bare_networks = Table("bare_networks", metadata, BareNetworkColumns, Index(None, "project"))


class SubnetPoolColumns(Marked, Listed):
    """Prefixes that subnets are taken from, a list with blanks between.  Who takes one counts `taken` upwards first, and so is alone."""

    id: Named[SubnetPoolId] = own_id()
    name: Named[str] = some_text()
    project: Named[ProjectId | None] = to("projects.id", optional=True)
    prefixes: Named[str] = some_text()
    default_length: Named[int] = Column(Integer, nullable=False)
    shortest: Named[int] = Column(Integer, nullable=False)
    longest: Named[int] = Column(Integer, nullable=False)
    description: Named[str] = some_text()
    taken: Named[int] = Column(BigInteger, nullable=False)


subnet_pools = Table(
    "subnet_pools",
    metadata,
    SubnetPoolColumns,
    CheckConstraint("shortest <= default_length AND default_length <= longest", name="lengths"),
    given("subnet_pools", "project"),
)


class OwnSubnetColumns(Marked):
    """Of networks that projects made: what is given out of, as ranges with blanks between or an empty text for all, and the pool it is from.

    `served` is since when a router that the project made serves it.
    """

    network: Named[NetworkId] = to("networks.id", action="CASCADE")
    name: Named[str] = some_text()
    ranges: Named[str] = some_text()
    pool: Named[SubnetPoolId | None] = to("subnet_pools.id", optional=True)
    served: Named[datetime | None] = Column(Moment)


own_subnets = Table(
    "own_subnets",
    metadata,
    OwnSubnetColumns,
    PrimaryKeyConstraint("network"),
    given("own_subnets", "pool"),
    sqlite_with_rowid=False,
)


class OwnRouterColumns(TypedColumns):
    """Routers that go out by a pool of their project's choice and nothing else; those that are not `made` go with their network."""

    router: Named[RouterId] = to("routers.id", action="CASCADE")
    made: Named[bool]
    pool: Named[PoolId | None] = to("pools.id", optional=True)


own_routers = Table(
    "own_routers",
    metadata,
    OwnRouterColumns,
    PrimaryKeyConstraint("router"),
    CheckConstraint("made OR pool IS NULL", name="pool"),
    given("own_routers", "pool"),
    sqlite_with_rowid=False,
)


class OwnNicColumns(TypedColumns):
    """Network cards that projects made: they stay when their instance goes."""

    nic: Named[NicId] = to("nics.id", action="CASCADE")
    project: Named[ProjectId] = to("projects.id")
    name: Named[str] = some_text()
    description: Named[str] = some_text()


own_nics = Table(
    "own_nics",
    metadata,
    OwnNicColumns,
    PrimaryKeyConstraint("nic"),
    Index(None, "project"),
    sqlite_with_rowid=False,
)
