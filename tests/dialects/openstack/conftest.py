from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from mooring.dialects.openstack import create_app
from tests.cloud import Cloud, Server, StoppedClock

PUBLIC_URL = "http://cloud.example:8774"


@dataclass
class Client:
    """Requests in the name of one user, to a cloud's OpenStack API."""

    http: httpx2.Client
    headers: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, method: str, path: str, json: Any = None, **more: Any) -> httpx2.Response:
        headers = {**self.headers, **more.pop("headers", {})}
        path = path if path.startswith(("/compute", "/identity", "/image")) else "/compute/v2.1" + path
        return self.http.request(method, path, json=json, headers=headers, **more)


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
def http(cloud: Cloud, stage: tuple[Stage, str]) -> Iterator[httpx2.Client]:
    stage[0].app = create_app(cloud.operations, public_url=PUBLIC_URL)
    with httpx2.Client(base_url=stage[1], timeout=30) as client:
        yield client


@pytest.fixture
def as_user(cloud: Cloud, http: httpx2.Client) -> Callable[[str], Client]:
    return lambda user: Client(http, {"X-Auth-Token": cloud.token(user)})


@pytest.fixture
def alice(as_user: Callable[[str], Client]) -> Client:
    """A member of the project boats."""
    return as_user("alice")


@pytest.fixture
def bob(as_user: Callable[[str], Client]) -> Client:
    """A member of the project barges."""
    return as_user("bob")
