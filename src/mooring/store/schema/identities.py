"""Tables of projects, users, roles, keys and log-ins."""

from datetime import datetime

from sqlalchemy import (
    Boolean,
    Column,
    Index,
    Named,
    PrimaryKeyConstraint,
    Table,
    Text,
    TypedColumns,
    UniqueConstraint,
    true,
)

from mooring.model.accounts import Role
from mooring.model.ids import KeyId, ProjectId, UserId
from mooring.store.schema.columns import Listed, Moment, given, metadata, one_of, own_id, some_text, to


class ProjectColumns(Listed):
    """Who owns things."""

    id: Named[ProjectId] = own_id()
    name: Named[str] = own_id()
    description: Named[str] = Column(Text, nullable=False, server_default="")
    enabled: Named[bool] = Column(Boolean, nullable=False, server_default=true())


projects = Table("projects", metadata, ProjectColumns)


class UserColumns(Listed):
    """Who can log in.  A user without a password has an empty hash, which none matches."""

    id: Named[UserId] = own_id()
    name: Named[str] = own_id()
    password_hash: Named[str] = some_text()
    enabled: Named[bool]
    description: Named[str] = Column(Text, nullable=False, server_default="")
    email: Named[str] = Column(Text, nullable=False, server_default="")
    # No reference: it is a wish of the user's, and the project may be gone.
    default_project: Named[str | None] = Column(Text)


users = Table("users", metadata, UserColumns)


class GrantColumns(TypedColumns):
    """A role of a user in a project."""

    user_id: Named[UserId] = to("users.id")
    project: Named[ProjectId] = to("projects.id")
    role: Named[str] = some_text()


grants = Table(
    "grants",
    metadata,
    GrantColumns,
    PrimaryKeyConstraint("user_id", "project", "role"),
    one_of("role", Role),
    Index(None, "project"),
    sqlite_with_rowid=False,
)


class KeyColumns(Listed):
    """What programs log in with in a user's name."""

    id: Named[KeyId] = own_id()
    name: Named[str] = some_text()
    user_id: Named[UserId] = to("users.id")
    project: Named[ProjectId] = to("projects.id")
    secret_hash: Named[str] = some_text()
    description: Named[str] = some_text()
    created: Named[datetime] = Column(Moment, nullable=False)
    expires: Named[datetime | None] = Column(Moment)
    restricted: Named[bool]


keys = Table("keys", metadata, KeyColumns, UniqueConstraint("user_id", "name"), Index(None, "project"))


class KeyRoleColumns(TypedColumns):
    """A role that a key has while its user has it too."""

    key: Named[KeyId] = to("keys.id", action="CASCADE")
    role: Named[str] = some_text()


key_roles = Table(
    "key_roles",
    metadata,
    KeyRoleColumns,
    PrimaryKeyConstraint("key", "role"),
    one_of("role", Role),
    sqlite_with_rowid=False,
)


class TokenColumns(TypedColumns):
    """A log-in.  What a token may do is not kept here: it is read from the grants at each use.

    The log-ins of a key go with it.
    """

    digest: Named[str] = some_text()
    user_id: Named[UserId] = to("users.id")
    project: Named[ProjectId | None] = to("projects.id", optional=True)
    issued_at: Named[datetime] = Column(Moment, nullable=False)
    expires_at: Named[datetime] = Column(Moment, nullable=False)
    key: Named[KeyId | None] = to("keys.id", optional=True, action="CASCADE")


tokens = Table(
    "tokens",
    metadata,
    TokenColumns,
    PrimaryKeyConstraint("digest"),
    Index(None, "expires_at"),
    Index(None, "user_id"),
    Index(None, "project"),
    given("tokens", "key"),
    sqlite_with_rowid=False,
)
