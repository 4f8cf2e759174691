"""What each process needs of a file, and what must not be in it.

api and controller may share a file.  An agent's is its own: its machine runs guests, and whoever breaks out of one finds what is in there.
"""

import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, assert_never

from mooring.config.settings import BusSettings, HostSettings, Settings


class Process(StrEnum):
    """What a file is for: one of three processes, or all of them in one."""

    UP = "up"
    API = "api"
    CONTROLLER = "controller"
    AGENT = "agent"


@dataclass(frozen=True, slots=True)
class Misfit:
    """Why a setting, or its absence, is wrong for a process."""

    setting: str
    reason: str


# What would be of use to whoever takes an agent's machine.
_NOT_FOR_AGENTS = {
    "database": "an agent has no database: it asks the controller over the bus",
    "identity": "an agent knows nobody's password",
    "bootstrap": "an agent makes no accounts",
    "api": "an agent has no API",
    "controller": "an agent is no controller",
    "quotas": "an agent knows no quotas",
    "networks": "an agent is told its networks by the controller",
    "dns": "an agent answers no questions of the DNS",
}
_PASSWORD = re.compile(r"//[^/@:]*:[^/@]+@")
_LOOPBACK = re.compile(r"nats://(?:127\.|localhost|\[::1\])")
_NAMELESS = {"", "localhost", "localhost.localdomain"}


def fits(settings: Settings, values: Mapping[str, Any]) -> Sequence[Process]:
    """Return what a file can be for, by the sections that it has."""
    if settings.bus is None:
        return [Process.UP]
    return [Process.AGENT] if "host" in values or "agent" in values else [Process.API, Process.CONTROLLER]


def credentials_file(process: Process, bus: BusSettings, host: HostSettings) -> Path:
    """Return the file with a process's credentials for the bus: the one that is named, or its own of the directory that is named."""
    name = host.name if process is Process.AGENT else process.value
    return bus.credentials / f"{name}.credentials" if bus.credentials.is_dir() else bus.credentials


def misfits(process: Process, settings: Settings, values: Mapping[str, Any]) -> Sequence[Misfit]:
    """Return all that is wrong with settings for a process; `values` is what the file itself sets."""
    match process:
        case Process.UP:
            return [*_for_up(settings), *_keystone(settings, values)]
        case Process.API | Process.CONTROLLER:
            service = _for_service(process, settings, values)
            return [*_bus(process, settings), *service, *_keystone(settings, values)]
        case Process.AGENT:
            return [*_bus(process, settings), *_for_agent(settings, values)]
        case _:
            assert_never(process)


def warnings(path: Path | None, settings: Settings, values: Mapping[str, Any]) -> Sequence[str]:
    """Return what is allowed, and not wise."""
    found: list[str] = []
    secrets = bool(settings.database.password or _PASSWORD.search(settings.database.url or ""))
    accounts = [*values.get("identity", {}).get("accounts", ()), *values.get("bootstrap", {}).get("users", ())]
    secrets = secrets or any("password" in account for account in accounts)
    secrets = secrets or not {"password", "secret"}.isdisjoint(values.get("identity", {}).get("keystone", {}))
    if path is not None and secrets and path.stat().st_mode & stat.S_IROTH:
        found.append(f"{path} holds passwords and can be read by everybody: chmod 0640 it, or use password_file")
    found += [
        f"bus.servers: passwords travel unencrypted to {server}; tls:// encrypts them"
        for server in (settings.bus.servers if settings.bus is not None else ())
        if server.startswith("nats://") and not _LOOPBACK.match(server)
    ]
    return found


def _for_up(settings: Settings) -> list[Misfit]:
    if settings.bus is None:
        return []
    return [
        Misfit("bus", "`mooring up` is one process and uses no bus; leave it out, or run api, controller and agent")
    ]


def _bus(process: Process, settings: Settings) -> list[Misfit]:
    if settings.bus is None:
        return [Misfit("bus", f"is missing: {process} needs the bus's servers and its credentials")]
    found: list[Misfit] = []
    credentials = credentials_file(process, settings.bus, settings.host)
    try:
        mode = credentials.stat().st_mode
    except OSError as error:
        return [Misfit("bus.credentials", f"{credentials}: {error.strerror}")]
    if mode & (stat.S_IROTH | stat.S_IWOTH | stat.S_IWGRP):
        found.append(Misfit("bus.credentials", f"{credentials} can be read by everybody: chmod 0600 or 0640 it"))
    if not os.access(credentials, os.R_OK):
        found.append(Misfit("bus.credentials", f"{credentials} can't be read by this user"))
    if settings.bus.tls is not None:
        given = settings.bus.tls
        files: dict[str, Path | None] = {"ca": given.ca, "certificate": given.certificate, "key": given.key}
        found += [
            Misfit(f"bus.tls.{name}", f"{path} can't be read")
            for name, path in files.items()
            if path is not None and not os.access(path, os.R_OK)
        ]
        if not all(server.startswith("tls://") for server in settings.bus.servers):
            found.append(Misfit("bus.servers", "with [bus.tls], every server must be tls://"))
    return found


def _for_service(process: Process, settings: Settings, values: Mapping[str, Any]) -> list[Misfit]:
    found = [
        Misfit(section, f"is of use to an agent only, which has a file of its own; not to {process}")
        for section in ("host", "agent")
        if section in values
    ]
    accounts = settings.identity.accounts or settings.bootstrap.users or settings.identity.keystone
    if process is Process.API and not accounts and settings.database.url is None:
        found.append(Misfit("identity.accounts", "nobody could log in: name at least one account"))
    return found


def _keystone(settings: Settings, values: Mapping[str, Any]) -> list[Misfit]:
    keystone = settings.identity.keystone
    if keystone is None:
        return []
    found: list[Misfit] = []
    if "bootstrap" in values:
        found.append(Misfit("bootstrap", "with [identity.keystone], accounts are made in that Keystone"))
    if keystone.ca is not None and not os.access(keystone.ca, os.R_OK):
        found.append(Misfit("identity.keystone.ca", f"{keystone.ca} can't be read"))
    return found


def _for_agent(settings: Settings, values: Mapping[str, Any]) -> list[Misfit]:
    found = [Misfit(section, reason) for section, reason in _NOT_FOR_AGENTS.items() if section in values]
    named = "name" in values.get("host", {})
    if not named and settings.host.name in _NAMELESS:
        found.append(Misfit("host.name", f"is missing, and the machine's own name, {settings.host.name!r}, is none"))
    return found
