"""Tables of egress preferences: as whom guests leave towards which destinations."""

from sqlalchemy import (
    BigInteger,
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
)

from mooring.model.ids import AddressId, InstanceId, NetworkId, NicId, PoolId, PreferenceId, ProjectId
from mooring.model.preferences import EgressScope
from mooring.store.schema.columns import Listed, given, metadata, one_of, own_id, some_text, to

LAST_SET = 2**31 - 1


class PreferenceColumns(Listed):
    """Egress preferences of projects.

    `target` is the id of what the scope names, of which one of the four columns after it says the same, so that a preference goes with what it
    is of; a project's has none of them, and an address's NIC is named beside it.  `floating` is one address of `pool`, or any where it is empty;
    so with the fallback.
    """

    id: Named[PreferenceId] = own_id()
    project: Named[ProjectId] = to("projects.id")
    scope: Named[str] = some_text()
    target: Named[str] = some_text()
    fixed: Named[AddressId | None] = to("addresses.id", optional=True, action="CASCADE")
    nic: Named[NicId | None] = to("nics.id", optional=True, action="CASCADE")
    instance: Named[InstanceId | None] = to("instances.id", optional=True, action="CASCADE")
    network: Named[NetworkId | None] = to("networks.id", optional=True, action="CASCADE")
    prefix: Named[str] = some_text()
    pool: Named[PoolId] = to("pools.id")
    floating: Named[AddressId | None] = to("addresses.id", optional=True)
    fallback_pool: Named[PoolId | None] = to("pools.id", optional=True)
    fallback_floating: Named[AddressId | None] = to("addresses.id", optional=True)


egress_preferences = Table(
    "egress_preferences",
    metadata,
    PreferenceColumns,
    UniqueConstraint("project", "target", "prefix"),
    one_of("scope", EgressScope),
    CheckConstraint("fallback_floating IS NULL OR fallback_pool IS NOT NULL", name="fallback"),
    Index(None, "pool"),
    given("egress_preferences", "fixed"),
    given("egress_preferences", "nic"),
    given("egress_preferences", "instance"),
    given("egress_preferences", "network"),
    given("egress_preferences", "floating"),
    given("egress_preferences", "fallback_pool"),
    given("egress_preferences", "fallback_floating"),
)


class SetColumns(TypedColumns):
    """Sets of prefixes that some address prefers by, or once did, each with the number by which hosts know it; no number is ever given again."""

    number: Named[int] = Column(BigInteger, primary_key=True, autoincrement=False)
    prefixes: Named[str] = Column(Text, nullable=False, unique=True)


egress_sets = Table(
    "egress_sets",
    metadata,
    SetColumns,
    CheckConstraint(f"number BETWEEN 1 AND {LAST_SET}", name="number"),
    sqlite_with_rowid=False,
)


class RenewalColumns(TypedColumns):
    """How often the flows that an address opened were ended so that they begin anew."""

    fixed: Named[AddressId] = to("addresses.id", action="CASCADE")
    times: Named[int] = Column(Integer, nullable=False)


egress_renewals = Table(
    "egress_renewals",
    metadata,
    RenewalColumns,
    PrimaryKeyConstraint("fixed"),
    CheckConstraint("times > 0", name="times"),
    sqlite_with_rowid=False,
)
