"""Tables of addresses that NICs may use beside their own, and of whose they are on each network."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    Named,
    PrimaryKeyConstraint,
    Table,
    TypedColumns,
    UniqueConstraint,
)

from mooring.model.ids import AddressId, NetworkId, NicId, ProjectId
from mooring.model.subjects import MAX_EXTRA
from mooring.store.schema.columns import given, metadata, some_text, to


class ClaimColumns(TypedColumns):
    """Addresses that NICs of a network may use beside their own: all of them one project's.

    `own` is the address's row where it is of the network's subnet: a NIC's fixed IP, or one that nobody gets meanwhile.
    """

    network: Named[NetworkId] = to("networks.id")
    address: Named[str] = some_text()
    project: Named[ProjectId] = to("projects.id")
    own: Named[AddressId | None] = to("addresses.id", optional=True)


claims = Table(
    "claims",
    metadata,
    ClaimColumns,
    PrimaryKeyConstraint("network", "address"),
    Index(None, "project"),
    given("claims", "own"),
    sqlite_with_rowid=False,
)


class AllowanceColumns(TypedColumns):
    """Which NIC may use what: a row for each address, with the prefix that was asked for.

    `place` numbers those of a NIC and a family.  One that was taken away has none; `leaving` is the generation of the NIC without it, and the
    row stays until every host has confirmed that.
    """

    nic: Named[NicId] = to("nics.id")
    network: Named[NetworkId] = some_text()
    address: Named[str] = some_text()
    family: Named[int]
    prefix: Named[str] = some_text()
    place: Named[int | None] = Column(Integer)
    leaving: Named[int | None] = Column(BigInteger)


allowances = Table(
    "allowances",
    metadata,
    AllowanceColumns,
    PrimaryKeyConstraint("nic", "address"),
    ForeignKeyConstraint(["network", "address"], ["claims.network", "claims.address"], ondelete="RESTRICT"),
    UniqueConstraint("nic", "family", "place"),
    CheckConstraint("family IN (4, 6)", name="family"),
    CheckConstraint(f"place BETWEEN 0 AND {MAX_EXTRA - 1}", name="place"),
    CheckConstraint("(place IS NULL) <> (leaving IS NULL)", name="leaving"),
    Index(None, "network", "address"),
    given("allowances", "leaving"),
    sqlite_with_rowid=False,
)
