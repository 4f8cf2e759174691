"""The rows of the simulated database, and how a transaction changes them without anybody else seeing it.

A committed table is never changed again.  A transaction starts with the committed tables and copies one when it first writes to it, so that
a snapshot, a rollback and a backup all cost nothing: they keep or drop a reference.  The order of a table is the order of insertion, as
`seq` is in the real schema.
"""

from collections.abc import ItemsView, KeysView, ValuesView
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Generic, TypeVar

from mooring.model.accounts import Project, Role
from mooring.model.events import Event
from mooring.model.groups import GroupRule
from mooring.model.ids import (
    AddressId,
    ForwardingId,
    GroupId,
    HostId,
    InstanceId,
    KeyId,
    NetworkId,
    NicId,
    PoolId,
    PreferenceId,
    ProjectId,
    RouterId,
    RuleId,
    SubnetPoolId,
    UplinkId,
    UserId,
)
from mooring.model.nouns import (
    AddressPool,
    Host,
    InstanceState,
    Network,
    OwnSubnet,
    PortForwarding,
    Power,
    Resource,
    Uplink,
    UplinkAway,
)
from mooring.model.own import BareNetwork, SubnetPool
from mooring.model.pools import PoolDay
from mooring.model.preferences import EgressPreference
from mooring.model.records import (
    AddressRow,
    Credentials,
    Duplicate,
    InstanceRow,
    KeyCredentials,
    NicRow,
    Referenced,
    Remembered,
    RouterRow,
    TokenRow,
)
from mooring.model.subjects import HostRole, SubjectKey

K = TypeVar("K")
V = TypeVar("V")


class CheckFailed(Exception):
    """A CHECK constraint refused a row: always a mistake of ours, so it is no Fault."""


class Table(Generic[K, V]):
    """Rows by primary key, copied at the first write of a transaction."""

    __slots__ = ("_mine", "_rows", "_writable")

    def __init__(self, rows: dict[K, V] | None = None, *, writable: bool = False) -> None:
        self._rows: dict[K, V] = rows if rows is not None else {}
        self._writable = writable
        self._mine = False

    def fork(self, *, writable: bool) -> "Table[K, V]":
        return Table(self._rows, writable=writable)

    def _own(self) -> dict[K, V]:
        if not self._mine:
            if not self._writable:
                raise RuntimeError("a read transaction cannot write")
            self._rows = dict(self._rows)
            self._mine = True
        return self._rows

    def put(self, key: K, row: V) -> None:
        self._own()[key] = row

    def drop(self, key: K) -> None:
        del self._own()[key]

    def get(self, key: K) -> V | None:
        return self._rows.get(key)

    def __getitem__(self, key: K) -> V:
        return self._rows[key]

    def __contains__(self, key: object) -> bool:
        return key in self._rows

    def __len__(self) -> int:
        return len(self._rows)

    def keys(self) -> KeysView[K]:
        return self._rows.keys()

    def values(self) -> ValuesView[V]:
        return self._rows.values()

    def items(self) -> ItemsView[K, V]:
        return self._rows.items()


def owned(nic: NicRow) -> InstanceId:
    """Return the instance that a NIC is in: in the simulation every one is in one."""
    if nic.instance is None:
        raise AssertionError(f"nobody in the simulation makes {nic}")
    return nic.instance


@dataclass(frozen=True, slots=True)
class InstanceRecord:
    """An instance's row with what changes in it."""

    row: InstanceRow
    state: InstanceState
    host: HostId | None
    updated: datetime
    fault: str | None = None
    power: Power = Power.RUNNING
    boots: int = 0
    launched: datetime | None = None


@dataclass(frozen=True, slots=True)
class GroupRecord:
    """A security group's row; its rules and members are counted where they are."""

    project: ProjectId
    name: str
    description: str
    number: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a host must make true in a role, what it said it did, and what it could not."""

    generation: int
    confirmed: int = 0
    present: bool = True
    failed: int = 0
    error: str | None = None

    def lacks(self, generation: int) -> bool:
        """Say whether a generation that was told here is not confirmed; who gives the subject up was told of all."""
        return self.confirmed < generation and (not self.present or self.generation >= generation)


@dataclass(frozen=True, slots=True)
class Seat:
    """What an association is beside whom it joins."""

    slot: int
    position: int
    automatic: bool


@dataclass(frozen=True, slots=True)
class AllowanceRow:
    """An address that a NIC may use beside its own, as part of a prefix; `leaving` is the NIC's generation without it."""

    network: NetworkId
    family: int
    prefix: str
    place: int | None
    leaving: int | None


Delivered = tuple[HostId, SubjectKey, HostRole]


@dataclass(slots=True)
class Tables:
    """The whole database."""

    projects: Table[ProjectId, Project] = field(default_factory=Table[ProjectId, Project])
    users: Table[UserId, Credentials] = field(default_factory=Table[UserId, Credentials])
    grants: Table[tuple[UserId, ProjectId, Role], None] = field(
        default_factory=Table[tuple[UserId, ProjectId, Role], None]
    )
    keys: Table[KeyId, KeyCredentials] = field(default_factory=Table[KeyId, KeyCredentials])
    tokens: Table[str, TokenRow] = field(default_factory=Table[str, TokenRow])
    hosts: Table[HostId, Host] = field(default_factory=Table[HostId, Host])
    uplinks: Table[UplinkId, Uplink] = field(default_factory=Table[UplinkId, Uplink])
    uplinks_away: Table[tuple[HostId, UplinkId], UplinkAway] = field(
        default_factory=Table[tuple[HostId, UplinkId], UplinkAway]
    )
    pools: Table[PoolId, AddressPool] = field(default_factory=Table[PoolId, AddressPool])
    routers: Table[RouterId, RouterRow] = field(default_factory=Table[RouterId, RouterRow])
    networks: Table[NetworkId, tuple[Network, str]] = field(default_factory=Table[NetworkId, tuple[Network, str]])
    macs: Table[str, None] = field(default_factory=Table[str, None])
    router_uplinks: Table[tuple[RouterId, UplinkId], tuple[str, AddressId]] = field(
        default_factory=Table[tuple[RouterId, UplinkId], tuple[str, AddressId]]
    )
    instances: Table[InstanceId, InstanceRecord] = field(default_factory=Table[InstanceId, InstanceRecord])
    failed_launches: Table[tuple[InstanceId, HostId], None] = field(
        default_factory=Table[tuple[InstanceId, HostId], None]
    )
    nics: Table[NicId, NicRow] = field(default_factory=Table[NicId, NicRow])
    addresses: Table[AddressId, AddressRow] = field(default_factory=Table[AddressId, AddressRow])
    places: Table[tuple[str, int], AddressId] = field(default_factory=Table[tuple[str, int], AddressId])
    associations: Table[AddressId, tuple[AddressId, PoolId]] = field(
        default_factory=Table[AddressId, tuple[AddressId, PoolId]]
    )
    seats: Table[AddressId, Seat] = field(default_factory=Table[AddressId, Seat])
    pool_grants: Table[tuple[PoolId, ProjectId], None] = field(default_factory=Table[tuple[PoolId, ProjectId], None])
    pool_shares: Table[tuple[PoolId, ProjectId], tuple[int, int]] = field(
        default_factory=Table[tuple[PoolId, ProjectId], tuple[int, int]]
    )
    pool_days: Table[tuple[PoolId, date], PoolDay] = field(default_factory=Table[tuple[PoolId, date], PoolDay])
    lingering: Table[tuple[AddressId, NicId], int] = field(default_factory=Table[tuple[AddressId, NicId], int])
    cursors: Table[str, int] = field(default_factory=Table[str, int])
    groups: Table[GroupId, GroupRecord] = field(default_factory=Table[GroupId, GroupRecord])
    rules: Table[RuleId, GroupRule] = field(default_factory=Table[RuleId, GroupRule])
    nic_groups: Table[tuple[NicId, GroupId], None] = field(default_factory=Table[tuple[NicId, GroupId], None])
    zones: Table[int, str] = field(default_factory=Table[int, str])
    counters: Table[str, int] = field(default_factory=Table[str, int])
    quotas: Table[tuple[ProjectId, Resource], tuple[int, int]] = field(
        default_factory=Table[tuple[ProjectId, Resource], tuple[int, int]]
    )
    uplink_numbers: Table[UplinkId, int] = field(default_factory=Table[UplinkId, int])
    preferences: Table[PreferenceId, tuple[EgressPreference, AddressId | None]] = field(
        default_factory=Table[PreferenceId, tuple[EgressPreference, AddressId | None]]
    )
    egress_sets: Table[str, int] = field(default_factory=Table[str, int])
    renewals: Table[AddressId, int] = field(default_factory=Table[AddressId, int])
    forwardings: Table[ForwardingId, tuple[PortForwarding, AddressId]] = field(
        default_factory=Table[ForwardingId, tuple[PortForwarding, AddressId]]
    )
    claims: Table[tuple[NetworkId, str], tuple[ProjectId, AddressId | None]] = field(
        default_factory=Table[tuple[NetworkId, str], tuple[ProjectId, AddressId | None]]
    )
    allowances: Table[tuple[NicId, str], AllowanceRow] = field(default_factory=Table[tuple[NicId, str], AllowanceRow])
    bares: Table[NetworkId, BareNetwork] = field(default_factory=Table[NetworkId, BareNetwork])
    own_subnets: Table[NetworkId, OwnSubnet] = field(default_factory=Table[NetworkId, OwnSubnet])
    own_routers: Table[RouterId, tuple[bool, PoolId | None]] = field(
        default_factory=Table[RouterId, tuple[bool, PoolId | None]]
    )
    subnet_pools: Table[SubnetPoolId, SubnetPool] = field(default_factory=Table[SubnetPoolId, SubnetPool])
    epochs: Table[int, None] = field(default_factory=Table[int, None])
    generations: Table[SubjectKey, int] = field(default_factory=Table[SubjectKey, int])
    deliveries: Table[Delivered, Delivery] = field(default_factory=Table[Delivered, Delivery])
    events: Table[int, Event] = field(default_factory=Table[int, Event])
    memory: Table[tuple[ProjectId, str], tuple[Remembered, datetime]] = field(
        default_factory=Table[tuple[ProjectId, str], tuple[Remembered, datetime]]
    )

    def fork(self, *, writable: bool) -> "Tables":
        return Tables(*[getattr(self, name).fork(writable=writable) for name in _NAMES])

    def count(self, name: str, step: int) -> int:
        """Count a counter upwards, and return it."""
        now = (self.counters.get(name) or 0) + step
        self.counters.put(name, now)
        return now


_NAMES = tuple(Tables.__dataclass_fields__)


def unique(taken: bool, columns: str) -> None:
    """Refuse a row whose unique columns are taken."""
    if taken:
        raise Duplicate(f"{columns} must be unique")


def needs(*there: object) -> None:
    """Refuse a row that names something that is not there."""
    if not all(there):
        raise Referenced("another row needs this one, or this one a row that is not there")


def needed(users: bool) -> None:
    """Refuse to delete a row that others name."""
    needs(not users)


def check(truth: bool, name: str) -> None:
    """Refuse a row that cannot be."""
    if not truth:
        raise CheckFailed(f"CHECK constraint failed: {name}")


def forget(tables: Tables, key: SubjectKey) -> None:
    """Forget the generation of a subject whose row is gone and that no host has still to give up."""
    rows: Table[str, object] = {  # type: ignore[assignment]
        "network": tables.networks,
        "router": tables.routers,
        "nic": tables.nics,
        "instance": tables.instances,
        "group": tables.groups,
    }[key.kind.value]
    if key.id in rows or key.id in tables.bares:
        return
    if any(known == key for _, known, _ in tables.deliveries.keys()):  # noqa: SIM118 - a Table is no dict
        return
    if key in tables.generations:
        tables.generations.drop(key)
    for zone in [zone for zone, network in tables.zones.items() if network == key.id]:
        tables.zones.drop(zone)
