"""What the API serves, as the configuration has it."""

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from prometheus_client import CollectorRegistry

from mooring.config import Settings
from mooring.config.settings import ApiSettings
from mooring.main.api import build_app
from tests.cloud import Cloud, Server


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    made = Cloud(tmp_path / "cloud.db")
    yield made
    made.close()


@pytest.mark.parametrize("api, there", [(ApiSettings(), True), (ApiSettings(neutron=False), False)])
def test_neutron_is_there_unless_it_is_taken_away(cloud: Cloud, api: ApiSettings, *, there: bool) -> None:
    app = build_app(cloud.operations, Settings(api=api), CollectorRegistry(), {})
    headers = {"X-Auth-Token": cloud.token("alice")}
    with Server(app) as server, httpx2.Client(base_url=server.url, headers=headers) as http:
        catalogue = http.get("/identity/v3/auth/catalog").json()["catalog"]
        assert ("network" in {entry["type"] for entry in catalogue}) is there
        for path in ("/network", "/network/", "/network/v2.0/networks"):
            assert http.get(path).status_code == (200 if there else 404)
        assert http.get("/compute/v2.1/os-floating-ips").status_code == 200
