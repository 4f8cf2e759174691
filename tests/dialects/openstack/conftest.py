from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest

from mooring.dialects.openstack import create_app
from tests.cloud import Cloud
from tests.dialects.conftest import Stage

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
def http(cloud: Cloud, stage: tuple[Stage, str]) -> Iterator[httpx2.Client]:
    stage[0].app = create_app(cloud.operations, public_url=PUBLIC_URL)
    with httpx2.Client(base_url=stage[1], timeout=30) as client:
        yield client


@pytest.fixture
def as_user(cloud: Cloud, http: httpx2.Client) -> Callable[[str], Client]:
    return lambda user: Client(http, {"X-Auth-Token": cloud.token(user)})
