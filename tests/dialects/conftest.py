"""A cloud for each test, and who speaks to it; how requests are made in a dialect is the dialect's own, as `as_user`."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.cloud import Cloud, Server, StoppedClock


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    made = Cloud(tmp_path / "cloud.db", StoppedClock(), settle_timeout=0.2)
    yield made
    made.close()


class Stage:
    """An application that is another one for each test: starting a server takes longer than most tests."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


@pytest.fixture(scope="session")
def stage() -> Iterator[tuple[Stage, str]]:
    made = Stage()
    with Server(made) as server:
        yield made, server.url


@pytest.fixture
def alice(as_user: Callable[[str], Any]) -> Any:
    """A member of the project boats."""
    return as_user("alice")


@pytest.fixture
def bob(as_user: Callable[[str], Any]) -> Any:
    """A member of the project barges."""
    return as_user("bob")


@pytest.fixture
def rita(as_user: Callable[[str], Any]) -> Any:
    """A reader of the project boats."""
    return as_user("rita")


@pytest.fixture
def root(as_user: Callable[[str], Any]) -> Any:
    """An administrator, in the project harbour."""
    return as_user("root")
