"""Tables of guests and their network cards."""

from datetime import datetime

from sqlalchemy import (
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
    false,
)

from mooring.model.ids import HostId, InstanceId, NetworkId, NicId, ProjectId, UserId
from mooring.model.nouns import InstanceState, Power
from mooring.store.schema.columns import Listed, Marked, Moment, metadata, one_of, own_id, own_mac, some_text, to


class InstanceColumns(Listed):
    """Guests.  `updated` is when the state, the power or the host last changed, `launched` when it first was active."""

    id: Named[InstanceId] = own_id()
    name: Named[str] = some_text()
    project: Named[ProjectId] = to("projects.id")
    user_id: Named[UserId] = to("users.id")
    state: Named[str] = some_text()
    image: Named[str] = some_text()
    flavor: Named[str] = some_text()
    host: Named[HostId | None] = to("hosts.id", optional=True)
    created: Named[datetime] = Column(Moment, nullable=False)
    updated: Named[datetime] = Column(Moment, nullable=False)
    fault: Named[str | None] = Column(Text)
    power: Named[str] = Column(Text, one_of("power", Power), nullable=False, server_default=Power.RUNNING.value)
    boots: Named[int] = Column(Integer, nullable=False, server_default="0")
    launched: Named[datetime | None] = Column(Moment)


instances = Table(
    "instances",
    metadata,
    InstanceColumns,
    one_of("state", InstanceState),
    Index(None, "project", "created", "id"),
    Index(None, "state", "updated"),
    Index(None, "host"),
)


class FailedLaunchColumns(TypedColumns):
    """Hosts on which an instance could not be launched: the scheduler avoids them."""

    instance: Named[InstanceId] = to("instances.id", action="CASCADE")
    host: Named[HostId] = to("hosts.id", action="CASCADE")


failed_launches = Table(
    "failed_launches",
    metadata,
    FailedLaunchColumns,
    PrimaryKeyConstraint("instance", "host"),
    sqlite_with_rowid=False,
)


class NicColumns(Marked, Listed):
    """Network cards, in the order of their positions in the instance; a `filtered` one is held to its security groups.

    One that is `leaving` is no longer the instance's, but hosts may still have it.  Only one that a project made itself, see `own_nics`, may
    be in no instance.
    """

    id: Named[NicId] = own_id()
    instance: Named[InstanceId | None] = to("instances.id", optional=True)
    network: Named[NetworkId] = to("networks.id")
    mac: Named[str] = own_mac()
    position: Named[int]
    filtered: Named[bool]
    leaving: Named[bool] = Column(Boolean, server_default=false(), nullable=False)


nics = Table(
    "nics",
    metadata,
    NicColumns,
    UniqueConstraint("instance", "position"),
    CheckConstraint("position >= 0", name="position"),
    Index(None, "network"),
)
