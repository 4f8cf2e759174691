from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest

from mooring.dialects import neutron
from mooring.dialects.openstack import create_app
from tests.cloud import Cloud
from tests.dialects.conftest import Stage
from tests.dialects.openstack.conftest import PUBLIC_URL


@dataclass
class Client:
    """Requests in the name of one user, to a cloud's Neutron API."""

    http: httpx2.Client
    headers: dict[str, str] = field(default_factory=dict)

    def __call__(self, method: str, path: str, json: Any = None, **more: Any) -> httpx2.Response:
        target = (
            path if path.startswith(("/network/v2.0", "/network?")) or path == "/network" else f"/network/v2.0{path}"
        )
        return self.http.request(method, target, json=json, headers=self.headers, **more)

    def get(self, path: str) -> Any:
        """Return what a GET that must succeed says."""
        answer = self("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
def http(cloud: Cloud, stage: tuple[Stage, str]) -> Iterator[httpx2.Client]:
    stage[0].app = create_app(cloud.operations, public_url=PUBLIC_URL, services=[neutron.SERVICE])
    with httpx2.Client(base_url=stage[1], timeout=30) as client:
        yield client


@pytest.fixture
def as_user(cloud: Cloud, http: httpx2.Client) -> Callable[[str], Client]:
    return lambda user: Client(http, {"X-Auth-Token": cloud.token(user)})
