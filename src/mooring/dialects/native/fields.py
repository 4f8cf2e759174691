"""What fields of requests and answers are made of, and lists in pages."""

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Header, Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict

T = TypeVar("T", bound=BaseModel)

_PREFIX = re.compile(r"[0-9.]+/[0-9]{1,2}")
_PAGE = 1000


class Body(BaseModel):
    """A request's body: no field that is not known, and no value that is only nearly of its type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class View(BaseModel):
    """A part of an answer: every field is always there."""

    model_config = ConfigDict(frozen=True, json_schema_serialization_defaults_required=True)


def _text(value: Any) -> str:
    # ipaddress makes addresses of numbers too, and pydantic lets it.
    if not isinstance(value, str):
        raise ValueError("must be a text")  # noqa: TRY004 - what pydantic makes a finding of
    return value


def _prefix(value: Any) -> str:
    # Neither 10.0.0.0/255.255.255.0 nor 10.0.0.0 alone, which would be /32.
    if not _PREFIX.fullmatch(_text(value)):
        raise ValueError("must be an address and a prefix length, as in 10.0.0.0/24")
    return str(value)


Address = Annotated[IPv4Address, Strict(strict=False), BeforeValidator(_text)]
AnyAddress = Annotated[
    Annotated[IPv4Address, Strict(strict=False)] | Annotated[IPv6Address, Strict(strict=False)], BeforeValidator(_text)
]
Prefix = Annotated[IPv4Network, Strict(strict=False), BeforeValidator(_prefix)]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="Any text that is new for every new request: a request repeated with it makes nothing a second time.",
    ),
]


class Page(BaseModel):
    """Which part of a list is asked for."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=_PAGE, description="How many at most.")] = _PAGE
    after: Annotated[str | None, Field(description="Where to go on: `next` of the page before.")] = None


class NamedPage(Page):
    """Which part of a list is asked for, or only what has a name."""

    name: Annotated[str | None, Field(description="Only what is named so.")] = None


PageOf = Annotated[Page, Query()]
NamedPageOf = Annotated[NamedPage, Query()]


class Listing(View, Generic[T]):
    """A part of a list, in the order of ids; `next` is where it goes on, or null at its end."""

    items: list[T]
    next: str | None


def listing(views: Iterable[T], page: Page) -> Listing[T]:
    """Cut a page out of a list; each view has an `id`."""

    def identity(view: T) -> str:
        return str(getattr(view, "id", ""))

    # By id and not by age: a page can then begin after something that has been deleted meanwhile.
    rest = sorted((view for view in views if page.after is None or identity(view) > page.after), key=identity)
    items = rest[: page.limit]
    return Listing(items=items, next=identity(items[-1]) if len(rest) > len(items) else None)
