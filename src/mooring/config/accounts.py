"""Settings of who may log in, and who is there before anybody could ask."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from mooring.config.sections import Secret, Section, text_of
from mooring.model.accounts import Role

_ARGON2 = re.compile(r"\$argon2id?\$v=\d+\$m=\d+,t=\d+,p=\d+\$[\w+/]+\$[\w+/]+")


def _hash(text: str) -> str:
    if not _ARGON2.fullmatch(text):
        raise ValueError("must be an Argon2 hash, as `mooring user hash` prints one")
    return text


class AccountSettings(Section):
    """A user, and the role it has in a project."""

    user: Annotated[str, Field(min_length=1, description="the user's name")]
    password: Annotated[
        str,
        Field(min_length=1, repr=False, description="the password; or password_file, a file that holds it"),
        Secret(),
    ]
    project: Annotated[str, Field(min_length=1, description="the project's name")]
    role: Annotated[Role, Field(description="admin, member or reader")] = Role.MEMBER

    @model_validator(mode="before")
    @classmethod
    def _read_file(cls, values: object) -> object:
        return text_of(values, "password")


class IdentitySettings(Section):
    """Who may log in; what the file no longer names stays as it is."""

    token_lifetime: Annotated[
        int, Field(ge=60, le=30 * 86400, description="how long a token is good, in seconds: 60 to 2592000")
    ] = 3600
    failures_per_account: Annotated[
        int,
        Field(
            ge=0,
            le=10_000,
            description="how many wrong passwords a minute for one account, from places that it hasn't logged in from; 0 is no limit",
        ),
    ] = 10
    failures_per_source: Annotated[
        int, Field(ge=0, le=10_000, description="how many wrong passwords a minute from one address; 0 is no limit")
    ] = 30
    accounts: Annotated[
        tuple[AccountSettings, ...], Field(description="users: a section [[identity.accounts]] each")
    ] = ()


class FirstProjectSettings(Section):
    """A project that there is to be."""

    name: Annotated[str, Field(min_length=1, description="the project's name")]
    description: Annotated[str, Field(description="what it is for; without it, the description stays as it is")] = ""


class FirstRoleSettings(Section):
    """A role that the user is to have in a project, which is made if it is not there."""

    project: Annotated[str, Field(min_length=1, description="the project's name")]
    role: Annotated[Role, Field(description="admin, member or reader")] = Role.MEMBER


class FirstUserSettings(Section):
    """A user that there is to be.  Without a password of any form, whatever password there is stays."""

    name: Annotated[str, Field(min_length=1, description="the user's name")]
    password: Annotated[
        str | None,
        Field(
            min_length=1,
            repr=False,
            description="the password; or password_file or password_credential, where it is; not needed with password_hash",
        ),
        Secret(),
    ] = None
    password_hash: Annotated[
        str | None,
        AfterValidator(_hash),
        Field(repr=False, description="the password's Argon2 hash, as `mooring user hash` prints it"),
        Secret(),
    ] = None
    description: Annotated[str, Field(description="who it is; without it, the description stays as it is")] = ""
    email: Annotated[str, Field(description="their e-mail address; without it, that stays as it is")] = ""
    roles: Annotated[
        tuple[FirstRoleSettings, ...], Field(description="roles: a section [[bootstrap.users.roles]] each")
    ] = ()

    @model_validator(mode="before")
    @classmethod
    def _read_file(cls, values: object) -> object:
        return text_of(values, "password")

    @model_validator(mode="after")
    def _one(self) -> "FirstUserSettings":
        if self.password is not None and self.password_hash is not None:
            raise ValueError("has both password and password_hash")
        return self


class BootstrapSettings(Section):
    """Projects and users that are made at each start if they are not there; what the file no longer names stays as it is."""

    projects: Annotated[
        tuple[FirstProjectSettings, ...], Field(description="projects: a section [[bootstrap.projects]] each")
    ] = ()
    users: Annotated[tuple[FirstUserSettings, ...], Field(description="users: a section [[bootstrap.users]] each")] = ()
