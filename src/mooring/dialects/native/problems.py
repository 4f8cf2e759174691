"""How what goes wrong is told: one table from the faults of operations to a status and a type, and RFC 9457's way to write them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated

from pydantic import BaseModel, Field
from starlette.responses import Response

from mooring.dialects.faults import retry_after
from mooring.model.faults import (
    Changed,
    Conflict,
    Exhausted,
    Fault,
    Forbidden,
    InUse,
    Invalid,
    NotAssociated,
    NotFound,
    NotReady,
    QuotaExceeded,
    TooManyAttempts,
    Unauthenticated,
    Unavailable,
)

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of fault is told: `name` is the end of the problem's type, `title` what it means wherever it occurs."""

    status: int
    name: str
    title: str


# A fault is told by the nearest of its classes here.  None is told as 5xx but what a later try may cure.
TABLE: Mapping[type[Fault], Kind] = {
    Unauthenticated: Kind(401, "unauthenticated", "The request carries no valid token."),
    TooManyAttempts: Kind(
        429, "too-many-attempts", "Wrong passwords came too often; the same request may succeed later."
    ),
    Forbidden: Kind(403, "forbidden", "The caller's roles do not allow this."),
    NotFound: Kind(404, "not-found", "There is no such thing, as far as the caller may know."),
    NotAssociated: Kind(404, "not-associated", "The floating IP is not associated."),
    Invalid: Kind(422, "invalid", "A field has a value that cannot be."),
    Conflict: Kind(409, "conflict", "The request contradicts what exists."),
    Changed: Kind(412, "changed", "It is not what the caller saw: If-Match names another version."),
    InUse: Kind(409, "in-use", "Something else still needs this."),
    NotReady: Kind(409, "not-ready", "The instance has no fixed address yet."),
    QuotaExceeded: Kind(409, "quota-exceeded", "The project has as many as it may."),
    Exhausted: Kind(409, "exhausted", "There is no free address."),
    Unavailable: Kind(503, "unavailable", "A part of mooring is away; the same request may succeed later."),
}


# So that no answer is much larger than its request.
MOST_ERRORS = 20


class FieldFault(BaseModel):
    """One field of a request, and why its value cannot be."""

    field: str
    reason: str


class Problem(BaseModel):
    """What went wrong, as RFC 9457 tells it, with three members of our own: `request_id`, `field` and `errors`."""

    type: Annotated[
        str, Field(description="What kind of problem this is, for programs.", examples=["urn:mooring:in-use"])
    ]
    title: Annotated[str, Field(description="The same for people.")]
    status: Annotated[int, Field(description="The status code of the answer.")]
    detail: Annotated[str, Field(description="What is wrong here, and what can be done about it.")]
    request_id: Annotated[str, Field(description="Under what mooring's log knows the request.")]
    field: Annotated[str | None, Field(description="The field at fault, if it is one.")] = None
    errors: Annotated[
        list[FieldFault],
        Field(description=f"The fields at fault, if they were found together; the first {MOST_ERRORS}."),
    ] = []


def kind_of(fault: Fault) -> Kind:
    """Return how a fault is told.

    Raises:
        LookupError: neither its class nor any above it is in the table.
    """
    for known in type(fault).__mro__:
        if known in TABLE:
            return TABLE[known]
    raise LookupError(f"{type(fault).__name__} is not in the table of the native API") from fault


def of_fault(fault: Fault, request_id: str) -> Response:
    """Tell a fault of an operation."""
    kind = kind_of(fault)
    headers = retry_after(fault)
    if isinstance(fault, Unauthenticated):
        headers["WWW-Authenticate"] = 'Bearer realm="mooring"'
    problem = Problem(
        type=_type(kind.name),
        title=kind.title,
        status=kind.status,
        detail=fault.reason,
        request_id=request_id,
        field=fault.field,
    )
    return _answer(problem, headers)


def of_fields(faults: Sequence[FieldFault], request_id: str) -> Response:
    """Tell what is wrong with the fields of a request, before any operation was asked."""
    kind = TABLE[Invalid]
    first = faults[0]
    problem = Problem(
        type=_type(kind.name),
        title=kind.title,
        status=kind.status,
        detail=f"{first.field}: {first.reason}",
        request_id=request_id,
        field=first.field,
        errors=list(faults[:MOST_ERRORS]),
    )
    return _answer(problem, {})


def of_status(status: int, detail: str, request_id: str, headers: Mapping[str, str] | None = None) -> Response:
    """Tell what is wrong as HTTP: the status says it all, so the type is none of ours."""
    known = HTTPStatus(status)
    problem = Problem(type="about:blank", title=known.phrase, status=status, detail=detail, request_id=request_id)
    return _answer(problem, headers or {})


def _type(name: str) -> str:
    return f"urn:mooring:{name}"


def _answer(problem: Problem, headers: Mapping[str, str]) -> Response:
    # What has nothing to say is left out; the rest is always there.
    empty = {name for name in ("field", "errors") if not getattr(problem, name)}
    return Response(problem.model_dump_json(exclude=empty), problem.status, dict(headers), MEDIA_TYPE)
