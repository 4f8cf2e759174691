"""Who may come to the bus, as files in one directory: `mooring bus config`.

    users.json            who there is, with what the server knows of their passwords; nothing in it opens anything
    mooring-users.conf    the same for nats-server, with what each may say and hear
    NAME.credentials      the password of one, for the machine that needs it; it may be gone from here once it is there

Running it again changes nothing that is there: passwords are made once, and anew only for who is named.
"""

import json
import os
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mooring.bus.access import BusUser, Kind, ServerTls, hash_password, nats_config
from mooring.config import ConfigurationError
from mooring.main.bus import Credentials, write_credentials
from mooring.policy.names import name_fault

_SERVICES = {"api": Kind.API, "controller": Kind.CONTROLLER}


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted: hosts that there must be, users that get a new password, hosts that are to go."""

    hosts: Sequence[str] = ()
    renew: Sequence[str] = ()
    remove: Sequence[str] = ()


class BusDirectory:
    """The directory."""

    def __init__(self, path: Path) -> None:
        """Name it."""
        self.path = path

    @property
    def server_file(self) -> Path:
        """Return the file for nats-server."""
        return self.path / "mooring-users.conf"

    def credentials(self, name: str) -> Path:
        """Return the credentials file of a user."""
        return self.path / f"{name}.credentials"

    def users(self) -> Mapping[str, BusUser]:
        """Return who there is.

        Raises:
            ConfigurationError: the list is damaged.
        """
        file = self.path / "users.json"
        try:
            known = json.loads(file.read_text(encoding="utf-8"))
            return {each["name"]: BusUser(each["name"], Kind(each["kind"]), each["hashed"]) for each in known}
        except FileNotFoundError:
            return {}
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigurationError(f"{file}: it is damaged: {error}") from error

    def write(self, wish: Wish, tls: ServerTls | None = None) -> Sequence[Path]:
        """Make it so; return the credentials files that were written.

        Raises:
            ConfigurationError: a name can't be a host's, or is of nobody.
            OSError: the directory can't be written to.
        """
        users = dict(self.users())
        _check(wish, users)
        for name in wish.remove:
            del users[name]
            self.credentials(name).unlink(missing_ok=True)
        wanted = (
            dict(_SERVICES) | dict.fromkeys(wish.hosts, Kind.HOST) | {name: users[name].kind for name in wish.renew}
        )
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        written: list[Path] = []
        for name, kind in wanted.items():
            if name in users and name not in wish.renew:
                continue
            password = secrets.token_urlsafe(32)
            users[name] = user = BusUser(name, kind, hash_password(password))
            # The password first: a user whose password nobody has would be there for ever, and this one is made again.
            write_credentials(self.credentials(name), Credentials(user=name, inbox=user.inbox, password=password))
            written.append(self.credentials(name))
        listed = [{"name": user.name, "kind": user.kind, "hashed": user.hashed} for user in _sorted(users.values())]
        _replace(self.path / "users.json", json.dumps(listed, indent=1) + "\n")
        _replace(self.server_file, nats_config(users.values(), tls))
        return written


def _check(wish: Wish, users: Mapping[str, BusUser]) -> None:
    for name in wish.hosts:
        reason = name_fault(name) or _file_fault(name)
        if reason is not None:
            raise ConfigurationError(f"{name!r} can't be a host's name here: {reason}")
        if name in _SERVICES:
            raise ConfigurationError(f"{name!r} can't be a host's name here: it is the user of every {name}")
    for name in (*wish.renew, *wish.remove):
        if name not in users:
            raise ConfigurationError(
                f"there is no {name!r} on the bus; there are: {', '.join(sorted(users)) or 'none'}"
            )
        if name in wish.remove and name in _SERVICES:
            raise ConfigurationError(f"{name} can't be removed: nothing works without it")


def _file_fault(name: str) -> str | None:
    """Say why a file can't be named after a host."""
    if name != name.strip() or name.startswith(".") or not set(name).isdisjoint('/"\\'):
        return "it begins with a point, ends with a space, or has a slash, a quote or a backslash"
    return None


def _sorted(users: Iterable[BusUser]) -> list[BusUser]:
    return sorted(users, key=lambda user: (user.kind, user.name))


def _replace(path: Path, text: str) -> None:
    """Write a file, whole or not at all.  The server, which is another user, may have to read it: nothing in it opens anything."""
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o640)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)
