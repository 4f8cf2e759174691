"""Who acts: projects, users, their roles in projects, and what they prove themselves with."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from mooring.model.ids import KeyId, ProjectId, UserId


class Role(StrEnum):
    """What a user may do in a project."""

    ADMIN = "admin"
    MEMBER = "member"
    READER = "reader"


@dataclass(frozen=True, slots=True)
class Project:
    """Who owns things: OpenStack's project or tenant, EC2's and CloudStack's account.

    Nobody can act in one that is not `enabled`; what it owns goes on as it is.
    """

    id: ProjectId
    name: str
    description: str = ""
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who can log in, while `enabled`.  `default_project` is where a log-in goes that names none; it may be gone by then."""

    id: UserId
    name: str
    enabled: bool = True
    description: str = ""
    email: str = ""
    default_project: ProjectId | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """A role of a user in a project."""

    user: User
    project: Project
    role: Role


@dataclass(frozen=True, slots=True)
class Key:
    """What a program logs in with in a user's name: an id and a secret, for one project and no more roles than the user has there.

    `expires` is None for one that does not end by itself.  With a `restricted` one, keys can neither be made nor deleted.
    """

    id: KeyId
    name: str
    user: UserId
    project: ProjectId
    roles: frozenset[Role]
    created: datetime
    expires: datetime | None = None
    description: str = ""
    restricted: bool = True


@dataclass(frozen=True, slots=True)
class Caller:
    """On whose behalf an operation runs, as proved by a dialect's credentials; `key` is the key that they came with, if it was one.

    `expected` are the versions of which the thing that is to be changed or deleted must have one, and `revision` is the revision that it must
    have; None is any.
    """

    user: User
    project: Project
    roles: frozenset[Role]
    request_id: str = "-"
    key: Key | None = None
    expected: frozenset[str] | None = None
    revision: int | None = None

    @property
    def is_admin(self) -> bool:
        """Whether the caller administers the whole installation."""
        return Role.ADMIN in self.roles


@dataclass(frozen=True, slots=True)
class Token:
    """A proof of identity that a caller was given, for a password or a `key`; `secret` is known only at the moment of issue."""

    secret: str
    user: User
    project: Project | None
    roles: frozenset[Role]
    issued_at: datetime
    expires_at: datetime
    key: Key | None = None
