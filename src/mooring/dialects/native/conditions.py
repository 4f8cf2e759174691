"""Conditional requests: an ETag on what can be shown alone, and If-Match on what changes it."""

import re
from dataclasses import dataclass, replace
from typing import Annotated, TypeVar

from fastapi import Depends, Header, HTTPException, Request, Response
from fastapi.routing import APIRoute

from mooring.dialects.native.service import CallerOf
from mooring.model.accounts import Caller
from mooring.model.faults import Invalid
from mooring.policy.versions import version

T = TypeVar("T")

_TAG = r'(?:W/)?"[\x21\x23-\x7e]*"'
_TAGS = re.compile(rf"{_TAG}(?:[ \t]*,[ \t]*{_TAG})*")
_LONGEST = 2000


@dataclass(frozen=True, slots=True)
class Tag:
    """What marks an answer with the version of the thing that it shows."""

    response: Response

    def __call__(self, thing: T) -> T:
        """Mark the answer, and return the thing."""
        self.response.headers["ETag"] = f'"{version(thing)}"'
        return thing


async def _tag(response: Response) -> Tag:
    return Tag(response)


TagOf = Annotated[Tag, Depends(_tag)]

_IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        description="ETags, of which the thing must have one, or `*`: if it was changed since, nothing is done and the answer is 412.",
    ),
]


async def _expecting(caller: CallerOf, if_match: _IfMatch = None) -> Caller:
    if if_match is None or if_match.strip() == "*":
        # What isn't there is 404 in any case.
        return caller
    if len(if_match) > _LONGEST or not _TAGS.fullmatch(if_match.strip()):
        raise Invalid("If-Match", 'must be *, or ETags in double quotes with commas between, as in "0123abcd"')
    # A weak one never matches: RFC 9110, 13.1.1.
    strong = (tag for tag in re.findall(_TAG, if_match) if not tag.startswith("W/"))
    return replace(caller, expected=frozenset(tag.strip('"') for tag in strong))


ExpectingOf = Annotated[Caller, Depends(_expecting)]
"""Who calls, and which version of the thing they mean to change, for routes whose operation looks at that."""


async def no_condition_is_ignored(request: Request) -> None:
    """Refuse a condition at which the route would not look: whoever says one must not find it passed over."""
    route = request.scope.get("route")
    looks = isinstance(route, APIRoute) and any(part.call is _expecting for part in route.dependant.dependencies)
    if request.method != "GET" and "if-match" in request.headers and not looks:
        raise HTTPException(412, "If-Match: there is no version to compare here.")
