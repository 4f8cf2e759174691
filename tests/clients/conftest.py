from collections.abc import Iterator
from pathlib import Path

import pytest

from mooring.dialects.openstack import create_app
from tests.cloud import Cloud, Server


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    made = Cloud(tmp_path / "cloud.db")
    yield made
    made.close()


@pytest.fixture
def url(cloud: Cloud) -> Iterator[str]:
    """Where the cloud's OpenStack API answers, over real HTTP."""
    with Server(create_app(cloud.operations)) as server:
        yield server.url
