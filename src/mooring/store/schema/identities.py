"""Tables of projects, users, roles and log-ins."""

from datetime import datetime

from sqlalchemy import Column, Index, Named, PrimaryKeyConstraint, Table, TypedColumns

from mooring.model.ids import ProjectId, UserId
from mooring.model.nouns import Role
from mooring.store.schema.columns import Listed, Moment, metadata, one_of, own_id, some_text, to


class ProjectColumns(Listed):
    """Who owns things."""

    id: Named[ProjectId] = own_id()
    name: Named[str] = own_id()


projects = Table("projects", metadata, ProjectColumns)


class UserColumns(Listed):
    """Who can log in."""

    id: Named[UserId] = own_id()
    name: Named[str] = own_id()
    password_hash: Named[str] = some_text()
    enabled: Named[bool]


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
    sqlite_with_rowid=False,
)


class TokenColumns(TypedColumns):
    """A log-in.  What a token may do is not kept here: it is read from the grants at each use."""

    digest: Named[str] = some_text()
    user_id: Named[UserId] = to("users.id")
    project: Named[ProjectId | None] = to("projects.id", optional=True)
    issued_at: Named[datetime] = Column(Moment, nullable=False)
    expires_at: Named[datetime] = Column(Moment, nullable=False)


tokens = Table(
    "tokens",
    metadata,
    TokenColumns,
    PrimaryKeyConstraint("digest"),
    Index(None, "expires_at"),
    sqlite_with_rowid=False,
)
