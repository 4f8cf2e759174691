"""kill -9 of the whole service: no packet is lost, nothing is forgotten, and what came in meanwhile is made up for."""

import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx2
import pytest

from mooring.config import load
from mooring.demos.stage import HOST, OUTSIDE_ADDRESS, UPLINK_INTERFACE, Places
from mooring.guests.netns import IMAGES
from tests.journeys.town import eventually, ping_count, probe
from tests.ports import free_port

pytestmark = pytest.mark.kernel

_CONFIG = """
state_directory = "{state}"
run_directory = "{run}"

[api]
port = {port}

[host]
name = "host-1"
namespace = "{host}"

[[identity.accounts]]
user = "admin"
password = "secret"
project = "admin"
role = "admin"
"""


class Service:
    """mooring as a process of its own, spoken to over HTTP."""

    def __init__(self, directory: Path) -> None:
        self.config = directory / "mooring.toml"
        self.port = free_port()
        run = Path("/run/mooring-kill")
        self.config.write_text(_CONFIG.format(state=directory / "state", run=run, port=self.port, host=HOST))
        self.log = (directory / "log").open("a")
        self.process: subprocess.Popen[bytes]
        self.url = f"http://127.0.0.1:{self.port}"
        self.http = httpx2.Client(base_url=self.url, timeout=30, trust_env=False)

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mooring.cli", "up", "--config", str(self.config)], stdout=self.log, stderr=self.log
        )
        eventually(self._healthy, timeout=30)

    def _healthy(self) -> bool:
        assert self.process.poll() is None, "mooring up has ended"
        try:
            return self.http.get("/healthz").status_code == 200
        except httpx2.TransportError:
            return False

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=10)

    def log_in(self) -> None:
        body = {
            "auth": {
                "identity": {
                    "methods": ["password"],
                    "password": {"user": {"name": "admin", "domain": {"id": "default"}, "password": "secret"}},
                },
                "scope": {"project": {"name": "admin", "domain": {"id": "default"}}},
            }
        }
        answer = self.http.post("/identity/v3/auth/tokens", json=body)
        self.http.headers["X-Auth-Token"] = answer.headers["X-Subject-Token"]

    def post(self, path: str, body: dict[str, object]) -> dict[str, object]:
        answer = self.http.post(path, json=body)
        assert answer.status_code < 300, answer.text
        return dict(answer.json()) if answer.content else {}

    def boot(self, name: str) -> str:
        made = self.post(
            "/compute/v2.1/servers", {"server": {"name": name, "imageRef": IMAGES[0].id, "flavorRef": "1"}}
        )
        server = made["server"]
        assert isinstance(server, dict)
        eventually(lambda: self.server(server["id"])["status"] == "ACTIVE", timeout=30)
        return str(server["id"])

    def server(self, name: str) -> dict[str, object]:
        return dict(self.http.get(f"/compute/v2.1/servers/{name}").json()["server"])


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with Places():
        service = Service(tmp_path)
        assert load(service.config).host.namespace == HOST
        try:
            service.start()
            service.log_in()
            service.post("/v1/networks", {"name": "private", "cidr": "10.0.0.0/24"})
            service.post(
                "/v1/pools",
                {
                    "name": "public",
                    "cidr": "198.51.100.0/24",
                    "gateway": "198.51.100.1",
                    "ranges": [{"first": "198.51.100.10", "last": "198.51.100.60"}],
                    "uplink": "isp-a",
                    "interface": UPLINK_INTERFACE,
                },
            )
            service.post("/v1/security-groups/default/rules", {})
            yield service
        finally:
            if service.process.poll() is None:
                service.kill()
            service.http.close()
            service.log.close()


def test_kill_9_loses_no_packet_and_forgets_nothing(service: Service) -> None:
    places = Places()
    server = service.boot("web-1")
    floating = service.post("/compute/v2.1/os-floating-ips", {"pool": "public"})["floating_ip"]
    assert isinstance(floating, dict)
    address = str(floating["ip"])
    service.post(f"/compute/v2.1/servers/{server}/action", {"addFloatingIp": {"address": address}})
    # An active guest may still be asking for its address.
    eventually(partial(_answers, address))
    with (
        probe(places.at("outside"), address) as inward,
        probe(places.at(f"mooring-g-{server}"), OUTSIDE_ADDRESS) as outward,
    ):
        for _ in range(3):
            time.sleep(0.3)
            service.kill()
            service.start()
        time.sleep(1)
        counts = [ping_count(running.communicate(timeout=10)[0]) for running in (inward, outward)]
    for count in counts:
        assert count.sent > 500
        assert count.lost == 0
    # What was acknowledged before is still true, and work goes on.
    shown = service.http.get("/compute/v2.1/os-floating-ips").json()["floating_ips"]
    assert [entry["ip"] for entry in shown] == [address]
    assert shown[0]["instance_id"] == server
    second = service.boot("web-2")
    service.post(f"/compute/v2.1/servers/{second}/action", {"addFloatingIp": {"address": address}})
    eventually(partial(_answers, address))


def _answers(address: str) -> bool:
    ping = Places().at("outside", "ping", "-c", "1", "-W", "1", address)
    return ping_count(subprocess.run([*ping], capture_output=True, text=True, check=False).stdout).received == 1


def test_what_was_asked_for_when_it_died_is_done_when_it_returns(service: Service) -> None:
    """The intent of a call that was cut off is either whole or not there, and what is there becomes true."""
    server = service.boot("web-1")
    for round_ in range(5):
        floating = service.post("/compute/v2.1/os-floating-ips", {"pool": "public"})["floating_ip"]
        assert isinstance(floating, dict)
        killer = subprocess.Popen(["sh", "-c", f"sleep 0.00{round_ * 2}; kill -9 {service.process.pid}"])
        with contextlib.suppress(httpx2.TransportError):
            service.http.post(
                f"/compute/v2.1/servers/{server}/action", json={"addFloatingIp": {"address": floating["ip"]}}
            )
        killer.wait(timeout=10)
        service.process.wait(timeout=10)
        service.start()
        shown = service.http.get(f"/compute/v2.1/os-floating-ips/{floating['id']}").json()["floating_ip"]
        address = str(floating["ip"])
        if shown["instance_id"] is None:
            assert not _answers(address)
        else:
            eventually(partial(_answers, address), timeout=15)
        service.http.delete(f"/compute/v2.1/os-floating-ips/{floating['id']}")
        assert not _answers(address)
