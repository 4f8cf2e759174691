"""What goes over the bus, and how it is written: one versioned JSON envelope, the same on every adapter.

What is asked, and by whom, is said by the topic (see `topics`).  Every request carries the id of the API request that it is part of, so that
the log lines of all processes can be put together.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError
from structlog.contextvars import bound_contextvars, get_contextvars

from mooring.model import faults
from mooring.model.faults import Fault, Invalid, Unavailable
from mooring.model.ids import InstanceId
from mooring.model.subjects import (
    Digest,
    GroupIntent,
    HostRole,
    InstanceIntent,
    NetworkIntent,
    NicIntent,
    Placement,
    Report,
    RouterIntent,
    Subject,
    SubjectKey,
    SubjectKind,
)

VERSION = 1

# What is logged of a stranger's request id: it comes from hosts, too.
_REQUEST_ID = re.compile(r"[\w., -]{1,400}")


class UnknownVersion(Exception):
    """A message of a newer version than this process knows: it is refused, not guessed at."""


@dataclass(frozen=True, slots=True)
class Request:
    """A call or cast: its argument as JSON values, and for which API request it is made."""

    argument: Any = None
    request_id: str = ""
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to a call: a result, or the class name and reason of a fault."""

    result: Any = None
    fault: str | None = None
    reason: str = ""
    version: int = VERSION


@dataclass(frozen=True, slots=True)
class Registration:
    """Who a host says it is and how it is connected; see model.nouns.Host."""

    name: str
    machine: str
    compute: bool
    gateway: bool
    cluster: str
    endpoint: IPv4Address | None = None
    vlan_interface: str | None = None
    trunk_interface: str | None = None


_REQUEST = TypeAdapter(Request)
_REGISTRATION = TypeAdapter(Registration)
_REPLY = TypeAdapter(Reply)
_DIGEST = TypeAdapter(Digest)
_REPORTS = TypeAdapter(list[Report])
_AWAY = TypeAdapter(dict[str, str])
_SUBJECTS: dict[SubjectKind, TypeAdapter[Any]] = {
    SubjectKind.NETWORK: TypeAdapter(NetworkIntent),
    SubjectKind.ROUTER: TypeAdapter(RouterIntent),
    SubjectKind.NIC: TypeAdapter(NicIntent),
    SubjectKind.INSTANCE: TypeAdapter(InstanceIntent),
    SubjectKind.GROUP: TypeAdapter(GroupIntent),
}


@dataclass(frozen=True, slots=True)
class _Placed:
    key: SubjectKey
    generation: int
    role: HostRole
    subject: Any


_PLACED = TypeAdapter(list[_Placed])


def ask(argument: Any = None) -> bytes:
    """Write a request, with the id of the API request that this thread works for."""
    return encode_request(Request(argument, current_request_id()))


def current_request_id() -> str:
    """Return the id of the API request that this thread works for; empty if it works for none."""
    return str(get_contextvars().get("request_id", ""))


def working_on(request: Request) -> AbstractContextManager[None]:
    """Let this thread's log lines, and what it asks others, carry the request's id while the block lasts."""
    known = _REQUEST_ID.fullmatch(request.request_id)
    return bound_contextvars(**({"request_id": request.request_id} if known else {}))


def encode_request(request: Request) -> bytes:
    """Write a request."""
    return _REQUEST.dump_json(request)


def decode_request(message: bytes) -> Request:
    """Read a request.

    Raises:
        UnknownVersion: it is newer than this process, or not a request at all.
    """
    try:
        request = _REQUEST.validate_json(message)
    except ValidationError as error:
        raise UnknownVersion("not a request of a known version") from error
    if request.version > VERSION:
        raise UnknownVersion(f"version {request.version}; this process knows {VERSION}")
    return request


def answer(handle: Callable[[Request], Any], message: bytes) -> bytes:
    """Answer a call: the result of `handle`, or the fault that it raised."""
    try:
        request = decode_request(message)
        with working_on(request):
            return _REPLY.dump_json(Reply(handle(request)))
    except Fault as fault:
        return _REPLY.dump_json(Reply(fault=type(fault).__name__, reason=fault.reason))
    except UnknownVersion as error:
        return _REPLY.dump_json(Reply(fault=Unavailable.__name__, reason=f"Message refused: {error}."))


class Remote(Exception):
    """The other side of the bus raised a fault of class `kind`; the message is its reason.  Not a Fault itself: no dialect tells it."""

    def __init__(self, kind: type[Fault], reason: str) -> None:
        """Keep the class of the fault there, and its reason."""
        super().__init__(reason)
        self.kind = kind
        self.reason = reason


def decode_reply(message: bytes) -> Any:
    """Return the result of a call.

    Raises:
        Unavailable: the other side said so, or is newer than this process.
        Remote: the other side raised another fault.
    """
    reply = _REPLY.validate_json(message)
    if reply.version > VERSION:
        raise Unavailable(f"The answer is of version {reply.version}; this process knows {VERSION}.")
    if reply.fault is None:
        return reply.result
    if reply.fault == Unavailable.__name__:
        raise Unavailable(reply.reason)
    kind = getattr(faults, reply.fault, Fault)
    raise Remote(cast("type[Fault]", kind), reply.reason)


def dump_digest(digest: Digest) -> Any:
    """Write a digest as JSON values."""
    return _DIGEST.dump_python(digest, mode="json")


def load_digest(value: Any) -> Digest:
    """Read a digest."""
    return _DIGEST.validate_python(value)


def dump_reports(reports: Sequence[Report]) -> Any:
    """Write reports as JSON values."""
    return _REPORTS.dump_python(list(reports), mode="json")


def load_reports(value: Any) -> Sequence[Report]:
    """Read reports."""
    return _REPORTS.validate_python(value)


def dump_placements(placements: Sequence[Placement]) -> Any:
    """Write placements as JSON values; the key's kind says which kind of subject follows."""
    return _PLACED.dump_python(
        [_Placed(p.key, p.generation, p.role, _dump_subject(p)) for p in placements], mode="json"
    )


def _dump_subject(placement: Placement) -> Any:
    if placement.subject is None:
        return None
    return _SUBJECTS[placement.key.kind].dump_python(placement.subject, mode="json")


def load_placements(value: Any) -> Sequence[Placement]:
    """Read placements."""
    return [Placement(p.key, p.generation, p.role, _load_subject(p)) for p in _PLACED.validate_python(value)]


def _load_subject(placed: _Placed) -> Subject | None:
    if placed.subject is None:
        return None
    return cast("Subject", _SUBJECTS[placed.key.kind].validate_python(placed.subject))


def dump_registration(registration: Registration) -> Any:
    """Write a registration as JSON values."""
    return _REGISTRATION.dump_python(registration, mode="json")


def load_registration(value: Any) -> Registration:
    """Read a registration.

    Raises:
        Invalid: it is none.
    """
    try:
        return _REGISTRATION.validate_python(value)
    except ValidationError as error:
        raise Invalid("registration", "is not what a host says of itself") from error


def dump_away(away: Mapping[str, str]) -> Any:
    """Write by which uplink devices nothing leaves, and why."""
    return dict(away)


def load_away(value: Any) -> Mapping[str, str]:
    """Read by which uplink devices nothing leaves, and why."""
    return _AWAY.validate_python(value)


def load_instance(value: Any) -> InstanceId:
    """Read an instance id."""
    return InstanceId(str(value))
