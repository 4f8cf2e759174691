"""api, controller and agent as real processes, on a real nats-server with real permissions, and a host that is a namespace."""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self

import httpx2

from mooring.demos.stage import HOST, UPLINK_INTERFACE, Places
from mooring.guests.netns import IMAGES
from mooring.main.busconfig import BusDirectory, Wish
from tests.bus.nats_server import NatsServer
from tests.journeys.town import eventually, ping_count
from tests.ports import free_port

PROCESSES = ("controller", "agent", "api")
_START = 60.0  # seconds: two slow cores are shared by many

_SERVICE = """
state_directory = "{directory}/state"
run_directory = "{directory}/run"

[database]
url = "{database}"

[bus]
servers = ["{bus}"]
credentials = "{directory}/bus/{process}.credentials"

[{process}]
{setting} = {port}

[log]
json_lines = true
"""

_ACCOUNTS = """
[[identity.accounts]]
user = "admin"
password = "{password}"
project = "admin"
role = "admin"
"""

_AGENT = """
state_directory = "{directory}/agent-state"
run_directory = "/run/mooring-trio"  # where daemons that run as nobody can read

[bus]
servers = ["{bus}"]
credentials = "{directory}/bus/host-1.credentials"

[agent]
status_port = {port}

[host]
name = "host-1"
namespace = "{host}"

[log]
json_lines = true
"""


class Trio:
    """The three processes and all that they need; `log` is what they said, `answers` what their API did.

    `before` are commands that come before a process's own, as those that take rights away from it.
    """

    def __init__(
        self, directory: Path, database: str | None = None, before: Mapping[str, Sequence[str]] = MappingProxyType({})
    ) -> None:
        self.directory = directory
        self.before = before
        self.password = secrets.token_urlsafe(16)
        self.secrets = [self.password]
        self.answers: list[str] = []
        self.log = directory / "log"
        (directory / "state").mkdir()
        self.bus_directory = BusDirectory(directory / "bus")
        self.bus_directory.write(Wish(hosts=("host-1", "host-2")))
        self.nats = NatsServer(directory, self.bus_directory.server_file.read_text())
        self._database = database or f"sqlite:///{directory}/state/mooring.db"
        self._log = self.log.open("a")
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.ports = {process: free_port() for process in PROCESSES}
        self.url = f"http://127.0.0.1:{self.ports['api']}"
        self.http = httpx2.Client(base_url=self.url, timeout=30, trust_env=False)
        self.places = Places()

    def __enter__(self) -> Self:
        self.places.__enter__()
        try:
            self._write()
            self.nats.start()
            for process in PROCESSES:
                self.start(process)
            for process in PROCESSES:
                self.wait_ready(process)
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in tuple(self._running):
            self.kill(process)
        self.nats.kill()
        self.http.close()
        self._log.close()
        self.places.__exit__(None, None, None)

    def _write(self) -> None:
        for process, setting in (("api", "port"), ("controller", "status_port")):
            text = _SERVICE.format(
                directory=self.directory,
                database=self._database,
                bus=self.nats.url,
                process=process,
                setting=setting,
                port=self.ports[process],
            )
            if process == "api":
                text += _ACCOUNTS.format(password=self.password)
            self._config(process, text)
        self._config(
            "agent", _AGENT.format(directory=self.directory, bus=self.nats.url, port=self.ports["agent"], host=HOST)
        )
        for file in (self.directory / "bus").glob("*.credentials"):
            self.secrets.append(file.read_text().split("password = ")[1].strip().strip('"'))

    def _config(self, process: str, text: str) -> None:
        path = self.directory / f"{process}.toml"
        path.write_text(text)
        path.chmod(0o600)

    # ------------------------------------------------------------------------------------------------------ processes

    def start(self, process: str) -> None:
        config = self.directory / f"{process}.toml"
        command = [*self.before.get(process, ()), sys.executable, "-m", "mooring.cli", process, "--config", str(config)]
        self._running[process] = subprocess.Popen(command, stdout=self._log, stderr=self._log)

    def kill(self, process: str) -> None:
        running = self._running.pop(process)
        running.kill()
        running.wait(timeout=10)

    def stop(self, process: str) -> int:
        """Stop as an init system does; return the exit code."""
        running = self._running.pop(process)
        running.send_signal(signal.SIGTERM)
        return running.wait(timeout=20)

    def pid(self, process: str) -> int:
        return self._running[process].pid

    def status(self, process: str, path: str = "readyz") -> httpx2.Response | None:
        """Return what a process says of itself; None if it says nothing."""
        try:
            return httpx2.get(f"http://127.0.0.1:{self.ports[process]}/{path}", timeout=5, trust_env=False)
        except httpx2.TransportError:
            return None

    def wait_ready(self, process: str) -> None:
        def ready() -> bool:
            running = self._running[process]
            assert running.poll() is None, f"{process} has ended:\n{self.log.read_text()[-2000:]}"
            answer = self.status(process)
            return answer is not None and answer.status_code == 200

        eventually(ready, timeout=_START)

    # ------------------------------------------------------------------------------------------------------------ API

    def log_in(self) -> None:
        body = {
            "auth": {
                "identity": {
                    "methods": ["password"],
                    "password": {"user": {"name": "admin", "domain": {"id": "default"}, "password": self.password}},
                },
                "scope": {"project": {"name": "admin", "domain": {"id": "default"}}},
            }
        }
        answer = self.http.post("/identity/v3/auth/tokens", json=body)
        assert answer.status_code == 201, answer.text
        token = answer.headers["X-Subject-Token"]
        self.secrets.append(token)
        self.http.headers["X-Auth-Token"] = token

    def ask(self, method: str, path: str, body: object = None) -> httpx2.Response:
        answer = self.http.request(method, path, json=body)
        self.answers.append(answer.text)
        return answer

    def post(self, path: str, body: object) -> dict[str, Any]:
        answer = self.ask("POST", path, body)
        assert answer.status_code < 300, answer.text
        return dict(answer.json()) if answer.content else {}

    def prepare(self) -> None:
        """Log in, and make a network and a pool."""
        self.log_in()
        self.post("/v1/networks", {"name": "private", "cidr": "10.0.0.0/24"})
        pool = {
            "name": "public",
            "cidr": "198.51.100.0/24",
            "gateway": "198.51.100.1",
            "ranges": [{"first": "198.51.100.10", "last": "198.51.100.60"}],
            "uplink": "isp-a",
            "interface": UPLINK_INTERFACE,
        }
        self.post("/v1/pools", pool)
        self.post("/v1/security-groups/default/rules", {})

    def create(self, name: str) -> str:
        """Ask for an instance; return its id at once."""
        wish = {"server": {"name": name, "imageRef": IMAGES[0].id, "flavorRef": "1"}}
        return str(self.post("/compute/v2.1/servers", wish)["server"]["id"])

    def server(self, server: str) -> dict[str, Any]:
        return dict(self.ask("GET", f"/compute/v2.1/servers/{server}").json()["server"])

    def boot(self, name: str) -> str:
        server = self.create(name)
        self.wait_active(server)
        return server

    def wait_active(self, server: str) -> None:
        eventually(lambda: self.server(server)["status"] == "ACTIVE", timeout=_START)
        # Its guest has taken its address when it can be reached from its host.
        address = self.server(server)["addresses"]["private"][0]["addr"]
        eventually(lambda: address in self._inside(server, "ip", "-4", "address", "show", "eth0"), timeout=_START)

    def float_to(self, server: str) -> str:
        address = str(self.post("/compute/v2.1/os-floating-ips", {"pool": "public"})["floating_ip"]["ip"])
        self.associate(server, address)
        return address

    def associate(self, server: str, address: str) -> None:
        self.post(f"/compute/v2.1/servers/{server}/action", {"addFloatingIp": {"address": address}})

    # -------------------------------------------------------------------------------------------------------- packets

    def _inside(self, server: str, *command: str) -> str:
        at = self.places.at(f"mooring-g-{server}", *command)
        return subprocess.run([*at], capture_output=True, text=True, check=False, timeout=30).stdout

    def answers_ping(self, address: str) -> bool:
        ping = self.places.at("outside", "ping", "-c", "1", "-W", "1", address)
        done = subprocess.run([*ping], capture_output=True, text=True, check=False, timeout=30)
        return ping_count(done.stdout).received == 1

    def lost_while(self, address: str, work: Callable[[], None]) -> tuple[int, int]:
        """Ping 500 times a second from outside while `work` lasts; return how many were sent, and lost."""
        ping = self.places.at("outside", "ping", "-q", "-i", "0.002", "-W", "1", address)
        with subprocess.Popen([*ping], stdout=subprocess.PIPE, text=True) as running:
            time.sleep(0.2)
            try:
                work()
                time.sleep(0.2)
            finally:
                running.send_signal(signal.SIGINT)
                count = ping_count(running.communicate(timeout=30)[0])
        return count.sent, count.lost

    # ------------------------------------------------------------------------------------------------------- /proc

    def proc(self, process: str, file: str) -> str:
        return Path(f"/proc/{self.pid(process)}/{file}").read_bytes().decode(errors="replace")


def environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("MOORING_")}
