"""What is kept of the nouns: the rows that operations write and a store gives back, and what a store's constraints refuse."""

from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Address

from mooring.model.accounts import Key, Project, Role, User
from mooring.model.ids import (
    AddressId,
    HostId,
    InstanceId,
    NetworkId,
    NicId,
    PoolId,
    ProjectId,
    RouterId,
    UserId,
)
from mooring.model.marks import UNMARKED, Marks
from mooring.model.nouns import AddressKind
from mooring.model.subjects import HostRole, SubjectKey


class Duplicate(Exception):
    """A unique constraint refused a row; the message names the constraint's columns."""


class Referenced(Exception):
    """A foreign key refused a deletion: another row still needs this one."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What is stored of a user: never the password, only its Argon2 hash; an empty one for a user without a password."""

    user: User
    password_hash: str


@dataclass(frozen=True, slots=True)
class KeyCredentials:
    """What is stored of a key: never the secret, only its Argon2 hash."""

    key: Key
    secret_hash: str


@dataclass(frozen=True, slots=True)
class TokenRow:
    """What is stored of a token, under the SHA-256 of its secret; `key` is the key that it was issued for, if it was one."""

    user: User
    project: Project | None
    roles: frozenset[Role]
    issued_at: datetime
    expires_at: datetime
    key: Key | None = None


@dataclass(frozen=True, slots=True)
class FloatingChoice:
    """Which floating IPs are asked for, in the order of their allocation.

    Of each kind that is given, those that have one of the values; an empty tuple is none at all.  `associated` is whether they lead somewhere,
    `automatic` whether they came with an instance.
    `after` and `until` are ids: what was allocated after that one, or until and with it.  At most `limit` are returned.
    """

    ids: tuple[str, ...] | None = None
    addresses: tuple[IPv4Address, ...] | None = None
    pools: tuple[str, ...] | None = None
    projects: tuple[str, ...] | None = None
    nics: tuple[str, ...] | None = None
    fixed: tuple[IPv4Address, ...] | None = None
    associated: bool | None = None
    automatic: bool | None = None
    after: AddressId | None = None
    until: AddressId | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class AddressRow:
    """An address in use, of whatever kind.

    `scope` makes it unique: the network's id for private addresses, "public" for all that an uplink may see.  `pool` or `network` says
    where it was taken from.  An address that was withdrawn from NICs is remembered with each of them and the generation without it: until
    every host of every such NIC has confirmed, the row may not go.  `release_nic` and `release_generation` are one of these that is not
    confirmed yet, if there is one (a store works them out; they mean nothing in a row to be taken).
    """

    id: AddressId
    scope: str
    address: IPv4Address
    kind: AddressKind
    project: ProjectId | None = None
    pool: PoolId | None = None
    network: NetworkId | None = None
    nic: NicId | None = None
    releasing: bool = False
    release_nic: NicId | None = None
    release_generation: int = 0


@dataclass(frozen=True, slots=True)
class RouterRow:
    """A router and the gateway host that runs it, once there is one.  A `private` one serves networks of one project and not all flat ones.

    A `closed` one goes out by `pool` and nothing else; None is nowhere.  A `made` one was made by its project, and stays without networks.
    """

    id: RouterId
    name: str
    project: ProjectId | None
    host: HostId | None
    private: bool = False
    closed: bool = False
    made: bool = False
    pool: PoolId | None = None
    marks: Marks = field(default=UNMARKED, compare=False)


@dataclass(frozen=True, slots=True)
class InstanceRow:
    """A new instance."""

    id: InstanceId
    name: str
    project: ProjectId
    user: UserId
    image: str
    flavor: str
    created: datetime


@dataclass(frozen=True, slots=True)
class NicRow:
    """A NIC without its addresses; `position` is its place in the instance, from 0.  A `filtered` one is held to its security groups.

    One that is `leaving` was taken from its instance, and goes when every host has confirmed that; one that its project made is then in
    none.
    """

    id: NicId
    instance: InstanceId | None
    network: NetworkId
    mac: str
    position: int
    filtered: bool = False
    leaving: bool = False


@dataclass(frozen=True, slots=True)
class Remembered:
    """What an idempotency key was used for: a fingerprint of the request and the id of what it made."""

    fingerprint: str
    object_id: str


@dataclass(frozen=True, slots=True)
class Page:
    """A part of what a host has to hold: in the database's order, after one entry, and at most so many."""

    after: tuple[SubjectKey, HostRole] | None = None
    most: int | None = None


WHOLE = Page()
