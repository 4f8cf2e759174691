"""What all routes share: the operations, the threads that they run on, and who calls."""

import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, ParamSpec, TypeVar

from fastapi import Depends, Request
from fastapi.routing import APIRoute

from mooring.dialects.http import Lane, Lanes
from mooring.model.accounts import Caller
from mooring.operations import Operations

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Service:
    """What routes are built on."""

    operations: Operations
    lanes: Lanes

    def reads(self, work: Callable[P, R]) -> Callable[P, Awaitable[R]]:
        """Run a route's function, which changes nothing, on a thread."""
        return self._on(Lane.READ, work)

    def writes(self, work: Callable[P, R]) -> Callable[P, Awaitable[R]]:
        """Run a route's function, which may wait for hosts, on a thread."""
        return self._on(Lane.WRITE, work)

    def hashes(self, work: Callable[P, R]) -> Callable[P, Awaitable[R]]:
        """Run a route's function, which works on a password, on a thread: only as many at once as there is memory for."""
        return self._on(Lane.LOG_IN, work)

    def _on(self, lane: Lane, work: Callable[P, R]) -> Callable[P, Awaitable[R]]:
        @functools.wraps(work)
        async def run(*args: P.args, **kwargs: P.kwargs) -> R:
            return await self.lanes.run(lane, functools.partial(work, *args, **kwargs))

        return run


async def _caller(request: Request) -> Caller:
    caller: Caller = request.state.caller  # put there at the door, before the body was read
    return caller


CallerOf = Annotated[Caller, Depends(_caller)]


def operation_id(route: APIRoute) -> str:
    """Name an operation of the OpenAPI document: create_network, and so on; a test says that they are unique."""
    return route.name
