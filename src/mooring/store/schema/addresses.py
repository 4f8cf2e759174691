"""Tables of addresses in use: who has them, what they are associated with, and who may still hold them."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Named,
    PrimaryKeyConstraint,
    Table,
    Text,
    TypedColumns,
    UniqueConstraint,
    text,
)

from mooring.model.ids import AddressId, NetworkId, NicId, PoolId, ProjectId, RouterId, UplinkId
from mooring.model.nouns import MOST_PER_FIXED, AddressKind
from mooring.store.schema.columns import Listed, Marked, given, metadata, one_of, own_id, own_mac, some_text, to

BLOCK = 256
"""Addresses in use are counted in aligned blocks of this size, so that a gap among 100,000 is found by reading hundreds of rows."""


class AddressColumns(Marked, Listed):
    """Addresses in use; one that is in no row is free."""

    id: Named[AddressId] = own_id()
    scope: Named[str] = some_text()
    address: Named[str] = some_text()
    position: Named[int] = Column(BigInteger, nullable=False)
    kind: Named[str] = some_text()
    project: Named[ProjectId | None] = to("projects.id", optional=True)
    pool: Named[PoolId | None] = to("pools.id", optional=True)
    network: Named[NetworkId | None] = to("networks.id", optional=True)
    nic: Named[NicId | None] = to("nics.id", optional=True)
    releasing: Named[bool]


addresses = Table(
    "addresses",
    metadata,
    AddressColumns,
    UniqueConstraint("scope", "address"),
    UniqueConstraint("scope", "position"),
    one_of("kind", AddressKind),
    # Taken from one place only; a floating IP from a pool for a project, a fixed IP from a network.
    CheckConstraint("pool IS NULL OR network IS NULL", name="source"),
    CheckConstraint("kind <> 'floating' OR (pool IS NOT NULL AND project IS NOT NULL)", name="floating"),
    CheckConstraint("kind <> 'fixed' OR network IS NOT NULL", name="fixed"),
    CheckConstraint("kind = 'fixed' OR nic IS NULL", name="nic"),
    given("addresses", "project"),
    given("addresses", "pool", "kind", "releasing"),
    given("addresses", "network"),
    given("addresses", "nic"),
)


class BlockColumns(TypedColumns):
    """How many addresses of an aligned block are in use: changed in the statement's own transaction, like a quota."""

    scope: Named[str] = some_text()
    block: Named[int] = Column(BigInteger, nullable=False)
    used: Named[int]


address_blocks = Table(
    "address_blocks",
    metadata,
    BlockColumns,
    PrimaryKeyConstraint("scope", "block"),
    CheckConstraint(f"used BETWEEN 0 AND {BLOCK}", name="used"),
    Index(
        "ix_address_blocks_full",
        "scope",
        "block",
        sqlite_where=text(f"used = {BLOCK}"),
        postgresql_where=text(f"used = {BLOCK}"),
    ),
    sqlite_with_rowid=False,
)


class CursorColumns(TypedColumns):
    """The address that a pool or network gave out last.  No foreign key: the owner is of either kind."""

    owner: Named[str] = Column(Text, primary_key=True)
    position: Named[int] = Column(BigInteger, nullable=False)


cursors = Table("cursors", metadata, CursorColumns, sqlite_with_rowid=False)


class AssociationColumns(TypedColumns):
    """Floating to fixed: a floating IP has one at most, a fixed IP as many of a pool as that one lets it have slots, which is one as a rule.

    `position` is their order on the fixed IP: of those on one uplink the first is what it leaves as.  An `automatic` one was made with the
    instance, and when that ends, so does the project's hold on the address.
    """

    floating: Named[AddressId] = to("addresses.id")
    fixed: Named[AddressId] = to("addresses.id")
    pool: Named[PoolId] = to("pools.id")
    slot: Named[int]
    position: Named[int]
    automatic: Named[bool]


associations = Table(
    "associations",
    metadata,
    AssociationColumns,
    PrimaryKeyConstraint("floating"),
    UniqueConstraint("fixed", "pool", "slot"),
    UniqueConstraint("fixed", "position"),
    CheckConstraint("floating <> fixed", name="apart"),
    CheckConstraint(f"slot BETWEEN 1 AND {MOST_PER_FIXED}", name="slot"),
    Index(None, "pool"),
    sqlite_with_rowid=False,
)


class LingeringColumns(TypedColumns):
    """A NIC, or a router, whose hosts may hold an address until they confirm a generation.  No foreign key to it: it may go first."""

    address: Named[AddressId] = to("addresses.id", action="CASCADE")
    nic: Named[NicId] = some_text()
    generation: Named[int] = Column(BigInteger, nullable=False)


lingering = Table(
    "lingering",
    metadata,
    LingeringColumns,
    PrimaryKeyConstraint("address", "nic"),
    CheckConstraint("generation > 0", name="generation"),
    Index(None, "nic"),
    sqlite_with_rowid=False,
)


class RouterUplinkColumns(TypedColumns):
    """A router's device on an uplink, with the address of its own."""

    router: Named[RouterId] = to("routers.id")
    uplink: Named[UplinkId] = to("uplinks.id")
    mac: Named[str] = own_mac()
    address: Named[AddressId] = to("addresses.id", unique=True)


router_uplinks = Table(
    "router_uplinks",
    metadata,
    RouterUplinkColumns,
    PrimaryKeyConstraint("router", "uplink"),
    Index(None, "uplink"),
    sqlite_with_rowid=False,
)
