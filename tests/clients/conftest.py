from collections.abc import Iterator
from pathlib import Path

import pytest

from mooring.dialects.openstack import create_app
from mooring.dialects.openstack.services import Service
from tests.clients.keystones import Real
from tests.cloud import Cloud, Server


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    made = Cloud(tmp_path / "cloud.db")
    yield made
    made.close()


@pytest.fixture
def services() -> tuple[Service, ...]:
    """What the catalogue names beside nova: nothing, as with `[api] neutron = false`, unless a test says otherwise."""
    return ()


@pytest.fixture
def url(cloud: Cloud, services: tuple[Service, ...]) -> Iterator[str]:
    """Where the cloud's OpenStack API answers, over real HTTP."""
    with Server(create_app(cloud.operations, services=services)) as server:
        yield server.url


@pytest.fixture(scope="session")
def real_keystone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Real]:
    """A real Keystone, for slow tests."""
    made = Real(tmp_path_factory.mktemp("keystone") / "home")
    with made:
        yield made
