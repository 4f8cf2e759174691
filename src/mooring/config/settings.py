"""The configuration file: TOML, checked as a whole before anything starts."""

import os
import socket
import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from mooring.model.nouns import Role

_DEFAULT_STATE = Path("/var/lib/mooring")
_DEFAULT_RUN = Path("/run/mooring")


class ConfigurationError(Exception):
    """The configuration cannot be used; the message names the file, the setting and the reason."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ApiSettings(_Section):
    """Where the API listens; port 0 takes any free one.  `public_url` is what clients are told, if it isn't where they came."""

    listen: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8774
    public_url: str | None = None


class DatabaseSettings(_Section):
    """Where intent is kept; None is a SQLite file in the state directory."""

    url: str | None = None


class HostSettings(_Section):
    """This machine's part.  `namespace` names a network namespace that plays the host; None is the process's own."""

    name: str = Field(default_factory=socket.gethostname, min_length=1, max_length=255)
    compute: bool = True
    gateway: bool = True
    namespace: str | None = None


class AccountSettings(_Section):
    """A user, and the role it has in a project."""

    user: str = Field(min_length=1)
    password: str = Field(min_length=1)
    project: str = Field(min_length=1)
    role: Role = Role.MEMBER


class IdentitySettings(_Section):
    """Who may log in; what the file no longer names stays as it is.  `token_lifetime` is in seconds."""

    token_lifetime: Annotated[int, Field(ge=60, le=30 * 86400)] = 3600
    accounts: tuple[AccountSettings, ...] = ()


class QuotaSettings(_Section):
    """What a new project may have; -1 is no limit."""

    instances: Annotated[int, Field(ge=-1)] = 10
    floating_ips: Annotated[int, Field(ge=-1)] = 10


class LogSettings(_Section):
    """How the log, which goes to stderr, is written."""

    json_lines: bool = False


class Settings(_Section):
    """Everything that an installation can set."""

    state_directory: Path = _DEFAULT_STATE
    run_directory: Path = _DEFAULT_RUN
    api: ApiSettings = ApiSettings()
    database: DatabaseSettings = DatabaseSettings()
    host: HostSettings = Field(default_factory=HostSettings)
    identity: IdentitySettings = IdentitySettings()
    quotas: QuotaSettings = QuotaSettings()
    log: LogSettings = LogSettings()

    @field_validator("state_directory", "run_directory")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        if not path.is_absolute():
            raise ValueError("must be an absolute path")
        return path

    @property
    def database_url(self) -> str:
        """Return the SQLAlchemy URL of the database."""
        return self.database.url or f"sqlite:///{self.state_directory / 'mooring.db'}"


def load(path: Path | None) -> Settings:
    """Read and check a configuration file; without one everything has its default.

    Raises:
        ConfigurationError: the file cannot be read, is no TOML, or sets something that cannot be.
    """
    path = path or _configured()
    if path is None:
        return Settings()
    try:
        with path.open("rb") as file:
            values: dict[str, Any] = tomllib.load(file)
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: {error}") from error
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(f"{path}: {where}: {first['msg']}") from error


def _configured() -> Path | None:
    named = os.environ.get("MOORING_CONFIG")
    return Path(named) if named else None
