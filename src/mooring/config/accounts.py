"""Settings of who may log in, and who is there before anybody could ask."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from mooring.config.sections import Secret, Section, text_of
from mooring.model.accounts import Role

_ARGON2 = re.compile(r"\$argon2id?\$v=\d+\$m=\d+,t=\d+,p=\d+\$[\w+/]+\$[\w+/]+")


def _hash(text: str) -> str:
    if not _ARGON2.fullmatch(text):
        raise ValueError("must be an Argon2 hash, as `mooring user hash` prints one")
    return text


def _keystone_url(url: str) -> str:
    if not re.fullmatch(r"https?://[^\s/?#@]+(?:/[^\s?#]*)?", url):
        raise ValueError("must be a URL as in https://cloud.example.org:5000/v3, without user and password")
    plain = url.rstrip("/")
    return plain if plain.endswith("/v3") else f"{plain}/v3"


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


class KeystoneSettings(Section):
    """A Keystone that knows who calls, instead of mooring itself, which then has no accounts and no /identity of its own."""

    url: Annotated[
        str,
        AfterValidator(_keystone_url),
        Field(description="where mooring asks it, as in http://10.0.0.5:5000/v3; at /v3 if the path says no version"),
    ]
    public_url: Annotated[
        str | None,
        AfterValidator(_keystone_url),
        Field(description="where users log in, as mooring tells them; without it, `url`"),
    ] = None
    username: Annotated[
        str | None, Field(min_length=1, description="the service's user, with a role by which it may validate tokens")
    ] = None
    password: Annotated[
        str | None,
        Field(min_length=1, repr=False, description="the user's; or password_file or password_credential, where it is"),
        Secret(),
    ] = None
    project: Annotated[str, Field(min_length=1, description="the project for which the service's user logs in")] = (
        "service"
    )
    domain: Annotated[
        str, Field(min_length=1, description="the name of the domain of the service's user and project")
    ] = "Default"
    credential: Annotated[
        str | None,
        Field(min_length=1, description="the id of an application credential, instead of username and password"),
    ] = None
    secret: Annotated[
        str | None,
        Field(min_length=1, repr=False, description="that credential's; or secret_file or secret_credential"),
        Secret(),
    ] = None
    ca: Annotated[
        Path | None, Field(description="the authorities to believe, in PEM; without it, those of Python's requests")
    ] = None
    timeout: Annotated[int, Field(ge=1, le=60, description="how long to wait for an answer, in seconds: 1 to 60")] = 5
    cache_seconds: Annotated[
        int,
        Field(ge=0, le=3600, description="how long an answer about a token is believed: 0 to 3600; 0 asks each time"),
    ] = 60
    cache_tokens: Annotated[
        int, Field(ge=1, le=1_000_000, description="about how many tokens answers are kept; the oldest go first")
    ] = 10_000

    @model_validator(mode="before")
    @classmethod
    def _read_files(cls, values: object) -> object:
        return text_of(text_of(values, "password"), "secret")

    @model_validator(mode="after")
    def _one(self) -> "KeystoneSettings":
        by_password = self.username is not None and self.password is not None
        by_credential = self.credential is not None and self.secret is not None
        given = [each is not None for each in (self.username, self.password, self.credential, self.secret)]
        if by_password == by_credential or sum(given) != 2:
            raise ValueError("needs either username and password, or credential and secret")
        return self

    @property
    def told_url(self) -> str:
        """Return where users are told to log in."""
        return self.public_url or self.url


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
    keystone: Annotated[
        KeystoneSettings | None,
        Field(description="a Keystone that knows who calls; a section of its own, instead of accounts"),
    ] = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "IdentitySettings":
        if self.keystone is not None and self.accounts:
            raise ValueError("has both accounts and keystone: with a Keystone, accounts are made there")
        return self


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
