from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from mooring.dialects.native import create_app
from tests.cloud import Cloud, Server, StoppedClock


@dataclass
class Client:
    """Requests in the name of one user, to a cloud's native API."""

    http: httpx2.Client
    headers: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, method: str, path: str, json: Any = None, **more: Any) -> httpx2.Response:
        headers = {**self.headers, **more.pop("headers", {})}
        return self.http.request(method, f"/v1{path}", json=json, headers=headers, **more)

    def made(self, path: str, json: Any, **more: Any) -> Any:
        """Make something, and return what the API says of it."""
        answer = self("POST", path, json, **more)
        assert answer.is_success, answer.text
        return answer.json()


@pytest.fixture
def http(cloud: Cloud) -> Iterator[httpx2.Client]:
    yield from _served(cloud)


def _served(cloud: Cloud) -> Iterator[httpx2.Client]:
    app = Starlette(routes=[Mount("/v1", create_app(cloud.operations))])
    with Server(app) as server, httpx2.Client(base_url=server.url, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """The administrator of a cloud that a whole module uses: for requests after which nothing has changed."""
    made = Cloud(tmp_path_factory.mktemp("standing") / "cloud.db", StoppedClock(), settle_timeout=0.2)
    for client in _served(made):
        yield Client(client, {"X-Auth-Token": made.token("root")})
    made.close()


@pytest.fixture
def as_user(cloud: Cloud, http: httpx2.Client) -> Callable[[str], Client]:
    return lambda user: Client(http, {"X-Auth-Token": cloud.token(user)})
