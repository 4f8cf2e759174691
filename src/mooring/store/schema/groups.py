"""Tables of security groups, their rules and members, and of the numbers by which hosts know things."""

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
)

from mooring.model.ids import GroupId, NicId, ProjectId, RuleId
from mooring.model.subjects import Direction
from mooring.store.schema.columns import Listed, Marked, given, metadata, one_of, own_id, some_text, to

LAST_NUMBER = 2**31 - 1
LAST_ZONE = 65535


class GroupColumns(Marked, Listed):
    """Security groups.  `rules` and `members` count what is in the tables below, changed in the statement's own transaction, like a quota."""

    id: Named[GroupId] = own_id()
    project: Named[ProjectId] = to("projects.id")
    name: Named[str] = some_text()
    description: Named[str] = some_text()
    number: Named[int]
    rules: Named[int]
    members: Named[int]


security_groups = Table(
    "security_groups",
    metadata,
    GroupColumns,
    UniqueConstraint("project", "name"),
    UniqueConstraint("number"),
    CheckConstraint(f"number BETWEEN 1 AND {LAST_NUMBER}", name="number"),
    CheckConstraint("rules >= 0 AND members >= 0", name="counts"),
)


class RuleColumns(Marked, Listed):
    """Rules.  Two of one group never have one `meaning`, in which all is written down that tells them apart."""

    id: Named[RuleId] = own_id()
    group_id: Named[GroupId] = to("security_groups.id")
    direction: Named[str] = some_text()
    family: Named[int]
    protocol: Named[int | None]
    first: Named[int | None]
    last: Named[int | None]
    prefix: Named[str | None] = Column(Text)
    remote: Named[GroupId | None] = to("security_groups.id", optional=True)
    meaning: Named[str] = some_text()


security_group_rules = Table(
    "security_group_rules",
    metadata,
    RuleColumns,
    UniqueConstraint("group_id", "meaning"),
    one_of("direction", Direction),
    CheckConstraint("family IN (4, 6)", name="family"),
    CheckConstraint("prefix IS NULL OR remote IS NULL", name="remote"),
    given("security_group_rules", "remote", "group_id"),
)


class MemberColumns(TypedColumns):
    """Which NIC is in which group."""

    nic: Named[NicId] = to("nics.id")
    group_id: Named[GroupId] = to("security_groups.id")


nic_groups = Table(
    "nic_groups",
    metadata,
    MemberColumns,
    PrimaryKeyConstraint("nic", "group_id"),
    Index(None, "group_id", "nic"),
    sqlite_with_rowid=False,
)


class ZoneColumns(TypedColumns):
    """The number that tells a network's flows from others' on every host.

    No foreign key to the network: nobody else gets the number while a host may hold it.
    """

    zone: Named[int] = Column(BigInteger, primary_key=True, autoincrement=False)
    network: Named[str] = own_id()


zones = Table(
    "zones",
    metadata,
    ZoneColumns,
    CheckConstraint(f"zone BETWEEN 1 AND {LAST_ZONE}", name="zone"),
    sqlite_with_rowid=False,
)


class CounterColumns(TypedColumns):
    """The number of its kind that was given out last: a group's is never given again."""

    name: Named[str] = Column(Text, primary_key=True)
    last: Named[int] = Column(BigInteger, nullable=False)


counters = Table("counters", metadata, CounterColumns, sqlite_with_rowid=False)
