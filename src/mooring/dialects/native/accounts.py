"""What requests ask for and answers look like where it is about projects, users, roles and keys."""

from datetime import datetime
from typing import Annotated, Any, Self

from pydantic import AwareDatetime, BeforeValidator, Field, Strict

from mooring.dialects.native.fields import Body, View
from mooring.model.accounts import Grant, Key, Project, Role, User
from mooring.operations import NewKey, NewProject, NewUser, ProjectChange, UserChange


def _moment(value: Any) -> Any:
    # pydantic makes moments of numbers too.
    if value is not None and not isinstance(value, str):
        raise ValueError("must be a text, as in 2027-01-31T12:00:00Z")
    return value


Moment = Annotated[AwareDatetime, Strict(strict=False), BeforeValidator(_moment)]
AnyRole = Annotated[Role, Strict(strict=False)]


# ----------------------------------------------------------------------------------------------------------------- wishes


class ProjectWish(Body):
    """A project to be made.  Nobody can act in one that is not enabled."""

    name: str
    description: str = ""
    enabled: bool = True

    def new(self) -> NewProject:
        """Return what operations make of it."""
        return NewProject(self.name, self.description, self.enabled)


class ProjectChangeWish(Body):
    """What is to be changed of a project; what is null or left out stays.  A disabled one's log-ins end."""

    name: str | None = None
    description: str | None = None
    enabled: bool | None = None

    def change(self) -> ProjectChange:
        """Return what operations make of it."""
        return ProjectChange(self.name, self.description, self.enabled)


class UserWish(Body):
    """A user to be made, who has no role anywhere yet.

    One without a password can't log in with one.  `default_project` (a name or id) is where a log-in goes that names no project.
    """

    name: str
    password: Annotated[str | None, Field(repr=False)] = None
    description: str = ""
    email: str = ""
    enabled: bool = True
    default_project: str | None = None

    def new(self) -> NewUser:
        """Return what operations make of it."""
        return NewUser(self.name, self.password, self.description, self.email, self.enabled, self.default_project)


class UserChangeWish(Body):
    """What is to be changed of a user; what is null or left out stays, and an empty `default_project` is none.

    With a new password, or when they are disabled, the user's log-ins end.
    """

    name: str | None = None
    password: Annotated[str | None, Field(repr=False)] = None
    description: str | None = None
    email: str | None = None
    enabled: bool | None = None
    default_project: str | None = None

    def change(self) -> UserChange:
        """Return what operations make of it."""
        return UserChange(self.name, self.password, self.description, self.email, self.enabled, self.default_project)


class PasswordWish(Body):
    """One's own password: the old one, and what it is from now on."""

    old: Annotated[str, Field(repr=False)]
    new: Annotated[str, Field(repr=False)]


class KeyWish(Body):
    """A key to be made, for the project that the request is made in.

    Without `roles` it has the caller's, without `expires` it does not end by itself.  With a `restricted` one, keys can neither be made nor
    deleted.
    """

    name: str
    description: str = ""
    roles: list[AnyRole] | None = None
    expires: Moment | None = None
    restricted: bool = True

    def new(self) -> NewKey:
        """Return what operations make of it."""
        roles = frozenset(self.roles) if self.roles is not None else None
        return NewKey(self.name, self.description, roles, self.expires, restricted=self.restricted)


# ------------------------------------------------------------------------------------------------------------------ views


class ProjectView(View):
    """Who owns things."""

    id: str
    name: str
    description: str
    enabled: bool

    @classmethod
    def of(cls, project: Project) -> Self:
        """Show a project."""
        return cls(id=project.id, name=project.name, description=project.description, enabled=project.enabled)


class UserView(View):
    """Who can log in; `default_project` is a project's id."""

    id: str
    name: str
    description: str
    email: str
    enabled: bool
    default_project: str | None

    @classmethod
    def of(cls, user: User) -> Self:
        """Show a user."""
        return cls(
            id=user.id,
            name=user.name,
            description=user.description,
            email=user.email,
            enabled=user.enabled,
            default_project=user.default_project,
        )


class NamedView(View):
    """A project or user by id and name."""

    id: str
    name: str


class GrantView(View):
    """A role of a user in a project; `id` is made of the three."""

    id: str
    user: NamedView
    project: NamedView
    role: Role

    @classmethod
    def of(cls, grant: Grant) -> Self:
        """Show a grant."""
        return cls(
            id=f"{grant.project.id}/{grant.user.id}/{grant.role}",
            user=NamedView(id=grant.user.id, name=grant.user.name),
            project=NamedView(id=grant.project.id, name=grant.project.name),
            role=grant.role,
        )


class KeyView(View):
    """What a program logs in with in a user's name; `user` and `project` are ids, and `expires` is null for one that doesn't."""

    id: str
    name: str
    description: str
    user: str
    project: str
    roles: list[Role]
    created: datetime
    expires: datetime | None
    restricted: bool

    @classmethod
    def of(cls, key: Key) -> Self:
        """Show a key."""
        return cls(**_fields(key))


class NewKeyView(KeyView):
    """A key that has just been made: its secret is told this once."""

    secret: str

    @classmethod
    def made(cls, key: Key, secret: str) -> Self:
        """Show a key and its secret."""
        return cls(**_fields(key), secret=secret)


def _fields(key: Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "description": key.description,
        "user": key.user,
        "project": key.project,
        "roles": sorted(key.roles),
        "created": key.created,
        "expires": key.expires,
        "restricted": key.restricted,
    }
