"""Who may say and hear what on a NATS server: a user for each host, one for all APIs, one for all controllers.

                publishes                                   hears
    a host      controller.ITSELF.*                         host.ITSELF, compute.ITSELF, its own inbox
    controller  host.*, compute.*, scheduler, settled,      controller.*.*, scheduler, settled, its own inbox
                and answers to what it was asked
    api         host.*, scheduler, settled                  settled, its own inbox

So a host can neither hear what another is told nor speak in its name, nor answer for the controller, nor ring anybody: whoever takes a
host has that host (T5 of the threat model).  What a server proves with this is who calls on `controller.HOST.METHOD`, and the controller
believes nothing else.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import bcrypt

from mooring.bus.nats import inbox_prefix
from mooring.bus.topics import (
    COMPUTES,
    CONTROLLER,
    HOSTS,
    SCHEDULER,
    SETTLED,
    compute_topic,
    controller_topic,
    host_topic,
)
from mooring.model.ids import HostId, host_id

# Passwords are 256 random bits, so that nobody guesses one however quickly it is checked; and a server that was away checks those of all
# its hosts at once: a thousand take a second of its time with this, and two minutes with bcrypt's usual 11.
_ROUNDS = 4
_LONGEST = 72  # bytes: bcrypt reads no more


class Kind(StrEnum):
    """What a user of the bus is."""

    API = "api"
    CONTROLLER = "controller"
    HOST = "host"


@dataclass(frozen=True, slots=True)
class BusUser:
    """Somebody who may come to the bus.  `hashed` is what the server knows of the password: bcrypt's text."""

    name: str
    kind: Kind
    hashed: str

    @property
    def inbox(self) -> str:
        """Return the word of the subjects on which the user is answered."""
        return host_id(self.name) if self.kind is Kind.HOST else self.kind.value

    @property
    def publishes(self) -> Sequence[str]:
        """Return the subjects on which the user may publish, apart from answers."""
        match self.kind:
            case Kind.HOST:
                return (controller_topic(HostId(self.inbox), "*"),)
            case Kind.CONTROLLER:
                return (HOSTS, COMPUTES, SCHEDULER, SETTLED)
            case Kind.API:
                return (HOSTS, SCHEDULER, SETTLED)

    @property
    def hears(self) -> Sequence[str]:
        """Return the subjects to which the user may subscribe."""
        inbox = f"{inbox_prefix(self.inbox)}.>"
        match self.kind:
            case Kind.HOST:
                host = HostId(self.inbox)
                return (host_topic(host), compute_topic(host), inbox)
            case Kind.CONTROLLER:
                return (CONTROLLER, SCHEDULER, SETTLED, inbox)
            case Kind.API:
                return (SETTLED, inbox)


@dataclass(frozen=True, slots=True)
class ServerTls:
    """The server's own certificate and key; with `ca`, clients must have certificates of it, too."""

    certificate: Path
    key: Path
    ca: Path | None = None


def hash_password(password: str) -> str:
    """Return what a server may know of a password.

    Raises:
        ValueError: it is longer than bcrypt reads.
    """
    if len(password.encode()) > _LONGEST:
        raise ValueError(f"a password on the bus has at most {_LONGEST} bytes")
    # Python writes $2b$, and nats-server's library, Go's, $2a$; both read both.
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(_ROUNDS)).decode("ascii")


def nats_config(users: Iterable[BusUser], tls: ServerTls | None = None) -> str:
    """Write the part of a nats-server's configuration that says who may come and do what."""
    lines = [
        '# Written by `mooring bus config`; changes are lost.  Put  include "mooring-users.conf"  into nats-server.conf, and',
        "# after a change `nats-server --signal reload`.",
    ]
    if tls is not None:
        lines += ["tls {", f"  cert_file: {_quoted(tls.certificate)}", f"  key_file: {_quoted(tls.key)}"]
        if tls.ca is not None:
            lines += [f"  ca_file: {_quoted(tls.ca)}", "  verify: true"]
        lines += ["}"]
    lines += ["authorization {", "  timeout: 5", "  users: ["]
    for user in sorted(users, key=lambda user: (user.kind, user.name)):
        lines += [
            "    {",
            f"      user: {_quoted(user.name)}, password: {_quoted(user.hashed)}",
            "      permissions: {",
            f"        publish: {{ allow: [{', '.join(map(_quoted, user.publishes))}] }}",
            f"        subscribe: {{ allow: [{', '.join(map(_quoted, user.hears))}] }}",
        ]
        if user.kind is Kind.CONTROLLER:
            # One answer to each call, within the time that anybody waits for it.
            lines += ['        allow_responses: { max: 1, expires: "1m" }']
        lines += ["      }", "    }"]
    return "\n".join([*lines, "  ]", "}", ""])


def _quoted(value: object) -> str:
    text = str(value)
    if not text.isprintable() or '"' in text or "\\" in text:
        raise ValueError(f"{text!r} can't stand in a nats-server's configuration")
    return f'"{text}"'
