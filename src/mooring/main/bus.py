"""The way to a NATS server, and who we are there."""

import os
import tomllib
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mooring.bus.nats import NatsAccess, NatsBus, NatsTls
from mooring.config import BusSettings, ConfigurationError, Problem
from mooring.main.status import Check
from mooring.model.faults import Unavailable


class Credentials(BaseModel):
    """What a credentials file says: who may come to the bus, in whose name, with which password.

    `inbox` is the single word of the subjects on which the user is answered: a host's id, or the name of a kind of process.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    user: str = Field(min_length=1)
    inbox: str = Field(pattern=r"^[\w-]+$")
    password: str = Field(min_length=1, repr=False)


def read_credentials(path: Path) -> Credentials:
    """Read a credentials file.

    Raises:
        ConfigurationError: it can't be read, or is none.
    """
    try:
        return Credentials.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigurationError(Problem(path, "", error.strerror or str(error))) from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, ValidationError):
        # Without the parser's words, which quote the file.
        raise ConfigurationError(
            Problem(path, "", "it is no credentials file; `mooring bus config` writes them")
        ) from None


def write_credentials(path: Path, credentials: Credentials) -> None:
    """Write a credentials file that only its owner can read, whole or not at all."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(f'user = "{credentials.user}"\ninbox = "{credentials.inbox}"\npassword = "{credentials.password}"\n')
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)


def open_bus(settings: BusSettings, credentials: Credentials, registry: CollectorRegistry) -> NatsBus:
    """Connect in the background.

    Raises:
        ConfigurationError: a certificate can't be used.
    """
    encrypted = any(server.startswith("tls://") for server in settings.servers)
    given = settings.tls
    tls = NatsTls(given.ca, given.certificate, given.key) if given else NatsTls()
    access = NatsAccess(
        settings.servers, credentials.inbox, credentials.user, credentials.password, tls if encrypted else None
    )
    try:
        bus = NatsBus(access)
    except OSError as error:
        raise ConfigurationError(Problem(None, "bus.tls", str(error))) from error
    connected = Gauge("mooring_bus_connected", "Whether there is a connection to the bus.", registry=registry)
    connected.set_function(lambda: float(bus.connected))
    return bus


def bus_check(bus: NatsBus) -> Check:
    """Return what asks the bus whether it is there."""

    def check() -> None:
        if not bus.alive():
            raise Unavailable("The message bus is not available.")

    return check
