"""Tables of hosts, uplinks, pools, routers and networks."""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    Named,
    PrimaryKeyConstraint,
    Table,
    Text,
    TypedColumns,
    UniqueConstraint,
    text,
    true,
)

from mooring.model.ids import HostId, NetworkId, PoolId, ProjectId, RouterId, UplinkId
from mooring.model.nouns import NetworkKind
from mooring.store.schema.columns import Listed, Marked, Moment, metadata, one_of, own_id, own_mac, some_text, to


class HostColumns(Listed):
    """Machines that run an agent."""

    id: Named[HostId] = own_id()
    name: Named[str] = own_id()
    compute: Named[bool]
    gateway: Named[bool]
    cluster: Named[str] = some_text()
    endpoint: Named[str | None] = Column(Text)
    vlan_interface: Named[str | None] = Column(Text)
    trunk_interface: Named[str | None] = Column(Text)
    machine: Named[str] = some_text()
    last_seen: Named[datetime | None] = Column(Moment)


hosts = Table("hosts", metadata, HostColumns)


class UplinkColumns(Listed):
    """Ways out."""

    id: Named[UplinkId] = own_id()
    name: Named[str] = own_id()
    interface: Named[str] = some_text()
    misses: Named[int] = Column(
        Integer, CheckConstraint("misses >= 0", name="misses"), nullable=False, server_default="3"
    )


uplinks = Table("uplinks", metadata, UplinkColumns)


class UplinkAwayColumns(TypedColumns):
    """By which uplinks a host finds that nothing leaves, for as long as that is so."""

    host: Named[HostId] = to("hosts.id", action="CASCADE")
    uplink: Named[UplinkId] = to("uplinks.id", action="CASCADE")
    reason: Named[str] = some_text()
    since: Named[datetime] = Column(Moment, nullable=False)


uplinks_away = Table(
    "uplinks_away",
    metadata,
    UplinkAwayColumns,
    PrimaryKeyConstraint("host", "uplink"),
    Index(None, "uplink"),
    sqlite_with_rowid=False,
)


class PoolColumns(Marked, Listed):
    """Public addresses; which of the subnet are ours is in pool_ranges, and who may use one that is not public in pool_grants."""

    id: Named[PoolId] = own_id()
    name: Named[str] = own_id()
    uplink: Named[UplinkId] = to("uplinks.id")
    cidr: Named[str] = some_text()
    gateway: Named[str] = some_text()
    public: Named[bool] = Column(Boolean, nullable=False, server_default=true())
    per_fixed: Named[int] = Column(Integer, nullable=False, server_default="1")


pools = Table("pools", metadata, PoolColumns, Index(None, "uplink"))


class PoolRangeColumns(TypedColumns):
    """An inclusive range of a pool, as text and as integers."""

    pool: Named[PoolId] = to("pools.id", action="CASCADE")
    first: Named[int] = Column(BigInteger, nullable=False)
    last: Named[int] = Column(BigInteger, nullable=False)
    name: Named[str] = some_text()


pool_ranges = Table(
    "pool_ranges",
    metadata,
    PoolRangeColumns,
    PrimaryKeyConstraint("pool", "first"),
    CheckConstraint("first <= last", name="order"),
    sqlite_with_rowid=False,
)


class RouterColumns(Marked, Listed):
    """Gateways of networks; a private one serves one network, and one that isn't serves all flat ones of all projects."""

    id: Named[RouterId] = own_id()
    name: Named[str] = some_text()
    project: Named[ProjectId | None] = to("projects.id", optional=True)
    host: Named[HostId | None] = to("hosts.id", optional=True)
    private: Named[bool]


routers = Table(
    "routers",
    metadata,
    RouterColumns,
    # Two controllers that make the shared router at once: one of them learns that it is there.
    Index(
        "uq_routers_shared",
        "name",
        unique=True,
        sqlite_where=text("NOT private"),
        postgresql_where=text("NOT private"),
    ),
)


class NetworkColumns(Marked, Listed):
    """Guest networks, each with the MAC address of its router's port.  `dns` is a list with blanks between."""

    id: Named[NetworkId] = own_id()
    name: Named[str] = some_text()
    kind: Named[str] = some_text()
    project: Named[ProjectId | None] = to("projects.id", optional=True)
    router: Named[RouterId | None] = to("routers.id", optional=True)
    cidr: Named[str] = some_text()
    gateway: Named[str] = some_text()
    dns: Named[str] = some_text()
    mtu: Named[int]
    mac: Named[str] = own_mac()
    segment: Named[int | None] = Column(Integer)
    bridge: Named[str | None] = Column(Text)
    cluster: Named[str | None] = Column(Text)


networks = Table(
    "networks",
    metadata,
    NetworkColumns,
    one_of("kind", NetworkKind),
    UniqueConstraint("kind", "segment"),
    Index(None, "router"),
    Index(None, "project"),
)
