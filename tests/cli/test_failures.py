"""What may be expected to fail is told in one sentence on stderr, with exit code 1; wrong usage with 2; never a traceback."""

import contextlib
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from tests.cli.conftest import Shell
from tests.cloud import Cloud, Server

COMMANDS = (
    *(
        ("network", "list"),
        ("pool", "list"),
        ("ip", "list"),
        ("instance", "list"),
        ("host", "list"),
        ("uplink", "list"),
    ),
    *(
        ("trace", "10.0.0.2", "192.0.2.1"),
        ("quota", "list"),
        ("host", "show", "h", "--facts"),
        ("ip", "delete", "192.0.2.1"),
    ),
)


def _sentence(shell: Shell, *arguments: str) -> str:
    result = shell(*arguments)
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("mooring: ")
    return line


@pytest.fixture
def nobody() -> str:
    """A URL where nobody answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def _openrc(url: str) -> Shell:
    return Shell({"OS_AUTH_URL": f"{url}/identity/v3", "OS_USERNAME": "u", "OS_PASSWORD": "p", "OS_PROJECT_NAME": "q"})


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_server_that_is_away(nobody: str, command: tuple[str, ...]) -> None:
    said = _sentence(_openrc(nobody), *command)
    assert nobody in said
    assert "mooring up" in said


@pytest.mark.parametrize(
    "url", ["http://", "no url", "http://nowhere.invalid", "http://[::1", "ftp://127.0.0.1", "http://127.0.0.1:99999"]
)
def test_a_url_that_is_none(url: str) -> None:
    assert "does not answer" in _sentence(_openrc(url), "ip", "list")


@pytest.mark.parametrize("status,text", [(404, "not here"), (200, "<html>"), (500, "oops")])
def test_a_server_of_somebody_else(status: int, text: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse(text, status)(scope, receive, send)

    with Server(app) as server:
        assert "is not mooring" in _sentence(_openrc(server.url), "ip", "list")


def test_an_api_of_somebody_else(url: str, alice: Shell) -> None:
    """The log-in is right, but what follows is not JSON."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        answer = PlainTextResponse("x", 201 if scope["path"].startswith("/identity") else 200, {"X-Subject-Token": "t"})
        await answer(scope, receive, send)

    with Server(app) as server:
        assert "no JSON" in _sentence(_openrc(server.url), "ip", "list")


def test_wrong_credentials(alice: Shell) -> None:
    for name, value in (("OS_USERNAME", "mallory"), ("OS_PASSWORD", "guess"), ("OS_PROJECT_NAME", "barges")):
        said = _sentence(Shell({**alice.variables, name: value}), "ip", "list")
        assert "does not know user" in said
        assert "guess" not in said
    assert alice("--user", "mallory", "ip", "list").exit_code == 1
    assert alice("--user", "alice", "--project", "boats", "ip", "list").exit_code == 0


def test_no_credentials() -> None:
    said = _sentence(Shell({}), "ip", "list")
    for name in ("OS_AUTH_URL", "OS_USERNAME", "OS_PASSWORD", "OS_PROJECT_NAME", "openrc"):
        assert name in said
    assert "OS_USERNAME" not in _sentence(Shell({"OS_USERNAME": "u"}), "ip", "list")


def test_options_instead_of_an_openrc(url: str, alice: Shell) -> None:
    known = Shell({"OS_PASSWORD": alice.variables["OS_PASSWORD"]})
    known.said("--url", url, "--user", "alice", "--project", "boats", "instance", "list")
    known.said("--url", f"{url}/", "--user", "alice", "--project", "boats", "instance", "list")
    for ending in ("/identity/v3/", "/identity", "/v3", ""):
        Shell({**alice.variables, "OS_AUTH_URL": url + ending}).said("instance", "list")


class Line:
    """A line to a server that breaks once: after a floating IP was asked for and made, before the answer."""

    def __init__(self, url: str) -> None:
        self._server = url.removeprefix("http://").split(":")
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.broken = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._socket.accept()
                threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        seen: list[bool] = []
        with client, socket.create_connection((self._server[0], int(self._server[1]))) as server:
            threading.Thread(target=self._pass_on, args=(client, server, seen), daemon=True).start()
            while answer := server.recv(65536):
                if seen and not self.broken:
                    self.broken += 1
                    client.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(answer)

    def _pass_on(self, client: socket.socket, server: socket.socket, seen: list[bool]) -> None:
        with contextlib.suppress(OSError):
            while asked := client.recv(65536):
                if asked.startswith(b"POST /v1/floating-ips"):
                    seen.append(True)
                server.sendall(asked)
            server.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._socket.close()


def test_an_answer_that_was_lost_makes_no_second_thing(url: str, alice: Shell) -> None:
    with contextlib.closing(Line(url)) as line:
        made = json.loads(alice.said("--url", line.url, "ip", "create", "--json"))
        assert line.broken == 1
    (only,) = json.loads(alice.said("ip", "list", "--json"))["items"]
    assert only["id"] == made["id"]


def test_a_reader_that_has_gone_away(alice: Shell, tmp_path: Path) -> None:
    environment = {**alice.variables, "PATH": "/usr/bin:/bin"}
    command = f"{sys.executable} -m mooring.cli instance list --json | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], env=environment, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path
    )
    assert "Traceback" not in done.stderr
    assert done.returncode in {0, 1}


def test_an_instance_that_cannot_start(cloud: Cloud, alice: Shell) -> None:
    cloud.host.failing = "no room"
    result = alice("instance", "create", "vm", "--image", "tiny", "--wait")
    assert result.exit_code == 1
    assert "vm is in state error: no room" in result.stderr


def test_an_instance_that_takes_too_long(cloud: Cloud, alice: Shell) -> None:
    make = ("instance", "create", "vm", "--image", "tiny")
    made = json.loads(alice.said(*make, "--json"))
    cloud.host.away = True
    assert "still building" in _sentence(alice, *make, "--wait", "--timeout", "0.3")
    assert "still there" in _sentence(alice, "instance", "delete", made["id"], "--wait", "--timeout", "0.3")
    cloud.host.come_back()
    assert "could not be found" in _sentence(alice, "instance", "show", made["id"])


def _up(config: Path) -> str:
    # In a process of its own, for it decides where the process's log goes.
    done = subprocess.run(
        [sys.executable, "-m", "mooring.cli", "up", "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith("mooring: ")
    return line


def test_up_tells_what_is_wrong_with_its_configuration(tmp_path: Path) -> None:
    file = tmp_path / "mooring.toml"
    for text, reason in (
        ("port = ", "Invalid value"),
        ("[api]\nport = 'many'\n", "api.port"),
        ("colour = 'red'\n", "colour"),
    ):
        file.write_text(text)
        assert reason in _up(file)
    assert "No such file" in _up(tmp_path / "none.toml")


def test_up_tells_that_its_port_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        file = tmp_path / "mooring.toml"
        file.write_text(
            f'state_directory = "{tmp_path}/state"\nrun_directory = "{tmp_path}/run"\n'
            f"[api]\nport = {taken.getsockname()[1]}\n"
        )
        assert "in use" in _up(file)


def test_an_unknown_demo_is_no_demo() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mooring.cli", "demo", "no-such"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("mooring: there is no demo no-such")


def test_wrong_usage_is_told_before_anybody_is_asked(nobody: str) -> None:
    for arguments in (
        ["ip", "associate", "1"],
        ["pool", "create"],
        ["instance", "create", "x", "--timeout", "soon"],
        ["ip", "--colour"],
    ):
        assert _openrc(nobody)(*arguments).exit_code == 2


def test_a_rule_is_named_by_its_whole_id(cloud: Cloud, alice: Shell) -> None:
    made = cloud.operations.groups.create(cloud.caller("alice"), "web")
    for odd in (f"{made.rules[0].id}?x", f"{made.rules[0].id}#x", f"../rules/{made.rules[0].id}"):
        _sentence(alice, "group", "revoke", "web", odd)
    assert cloud.operations.groups.get(cloud.caller("alice"), made.id).rules == made.rules


def test_many_at_once(shell: Callable[[str], Shell]) -> None:
    """Commands in several terminals don't hinder each other: all read one table."""
    alice = shell("alice")
    said: list[int] = []
    command = [sys.executable, "-m", "mooring.cli", "ip", "create", "--json"]

    def run() -> None:
        done = subprocess.run(
            command, env={**alice.variables, "PATH": "/usr/bin:/bin"}, capture_output=True, timeout=120, check=False
        )
        said.append(done.returncode)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said == [0, 0, 0, 0]
    assert len({each["id"] for each in json.loads(alice.said("ip", "list", "--json"))["items"]}) == 4
