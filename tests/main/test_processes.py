"""Three processes are one mooring: each may die at any time, and what they say to others and to the log has no secret in it."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.journeys.town import eventually
from tests.main.trio import PROCESSES, Trio

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trio]:
    with Trio(tmp_path_factory.mktemp("trio")) as made:
        made.prepare()
        yield made
        _no_secret_was_told(made)


def _no_secret_was_told(trio: Trio) -> None:
    """The whole run, at its end: logs, argument lists, environments, and all that the API answered."""
    assert len(trio.secrets) > 4
    places = {"log": trio.log.read_text(), "answers": "\n".join(trio.answers)}
    for process in PROCESSES:
        places[f"{process}'s arguments"] = trio.proc(process, "cmdline")
        places[f"{process}'s environment"] = trio.proc(process, "environ")
        metrics = trio.status(process, "metrics")
        assert metrics is not None
        places[f"{process}'s metrics"] = metrics.text
    for place, text in places.items():
        assert text, place
        for secret in trio.secrets:
            assert secret not in text, f"a secret is in the {place}"
    for file in (trio.directory / "bus").glob("*.credentials"):
        assert file.stat().st_mode & 0o077 == 0


def _lines(trio: Trio) -> list[dict[str, Any]]:
    return [json.loads(line) for line in trio.log.read_text().splitlines() if line.startswith("{")]


def test_an_instance_and_a_floating_ip_across_three_processes(trio: Trio) -> None:
    server = trio.boot("web-1")
    address = trio.float_to(server)
    assert trio.answers_ping(address)


def test_a_request_can_be_followed_through_all_processes(trio: Trio) -> None:
    answer = trio.http.post(
        "/compute/v2.1/servers",
        json={"server": {"name": "web-2", "imageRef": _image(trio), "flavorRef": "1"}},
    )
    trio.wait_active(answer.json()["server"]["id"])
    request = answer.headers["x-openstack-request-id"]

    def seen() -> set[str]:
        return {line["process"] for line in _lines(trio) if request in line.get("request_id", "")}

    eventually(lambda: seen() == {"api", "controller", "agent"})


def _image(trio: Trio) -> str:
    return str(trio.http.get("/image/v2/images").json()["images"][0]["id"])


@pytest.mark.parametrize("process", PROCESSES)
def test_kill_9_loses_no_packet_and_forgets_nothing(trio: Trio, process: str) -> None:
    server = trio.boot(f"before-{process}")
    address = trio.float_to(server)
    assert trio.answers_ping(address)

    def die_and_return() -> None:
        trio.kill(process)
        time.sleep(0.3)
        trio.start(process)
        trio.wait_ready(process)
        time.sleep(1)

    sent, lost = trio.lost_while(address, die_and_return)
    assert sent > 300
    assert lost == 0
    shown = trio.ask("GET", "/compute/v2.1/os-floating-ips").json()["floating_ips"]
    assert {entry["ip"]: entry["instance_id"] for entry in shown}[address] == server
    other = trio.boot(f"after-{process}")
    trio.associate(other, address)
    assert trio.answers_ping(address)
    for gone in (server, other):
        trio.ask("DELETE", f"/compute/v2.1/servers/{gone}")
    eventually(lambda: not trio.answers_ping(address))


def test_what_is_asked_for_without_a_controller_or_an_agent_is_done_when_they_are_back(trio: Trio) -> None:
    for process in ("controller", "agent"):
        trio.kill(process)
        server = trio.create(f"without-{process}")
        time.sleep(0.5)
        assert trio.server(server)["status"] == "BUILD"
        trio.start(process)
        trio.wait_ready(process)
        trio.wait_active(server)
        trio.ask("DELETE", f"/compute/v2.1/servers/{server}")


def test_while_the_bus_is_away_changes_are_refused_and_everything_else_goes_on(trio: Trio) -> None:
    server = trio.boot("through-it")
    address = trio.float_to(server)

    def away() -> None:
        before = trio.ask("GET", "/compute/v2.1/os-floating-ips").json()
        trio.nats.kill()
        eventually(lambda: _ready(trio, "api") == 503)
        began = time.monotonic()
        for process in PROCESSES:
            assert _ready(trio, process) == 503
            alive = trio.status(process, "healthz")
            assert alive is not None
            assert alive.status_code == 200
        assert time.monotonic() - began < 6
        for path, body in (
            ("/compute/v2.1/os-floating-ips", {"pool": "public"}),
            ("/v1/floating-ips", {"pool": "public"}),
            ("/v1/networks", {"name": "other", "cidr": "10.9.0.0/24"}),
        ):
            answer = trio.ask("POST", path, body)
            assert answer.status_code == 503, answer.text
            assert int(answer.headers["Retry-After"]) > 0
        # Who asks is still answered, and may still log in.
        trio.log_in()
        assert trio.ask("GET", "/compute/v2.1/os-floating-ips").json() == before
        trio.nats.start()
        for process in PROCESSES:
            trio.wait_ready(process)

    sent, lost = trio.lost_while(address, away)
    assert sent > 300
    assert lost == 0
    assert trio.answers_ping(trio.float_to(trio.boot("after-it")))


def _ready(trio: Trio, process: str) -> int | None:
    answer = trio.status(process)
    if answer is not None and answer.status_code == 503:
        assert "bus" in answer.json()
        assert answer.headers["Retry-After"]
    return None if answer is None else answer.status_code


def test_metrics_say_what_happened_and_name_no_tenant(trio: Trio) -> None:
    texts: dict[str, str] = {}
    for process in PROCESSES:
        answer = trio.status(process, "metrics")
        assert answer is not None
        assert answer.headers["content-type"].startswith("text/plain")
        texts[process] = answer.text
    assert (
        'mooring_api_requests_total{dialect="openstack",method="POST",route="server-create",status="202"}'
        in texts["api"]
    )
    assert 'mooring_api_request_seconds_bucket{dialect="native",le="0.1",route="create_network"}' in texts["api"]
    assert 'mooring_settle_seconds_count{outcome="settled"}' in texts["api"]
    for wanted in ("mooring_controller_hosts_behind", "mooring_controller_launches_total"):
        assert f"\n{wanted} " in texts["controller"]
    assert 'mooring_bus_handled_seconds_count{outcome="done",topic="controller.heartbeat"}' in texts["controller"]
    for wanted in ("facts", "refused_parts", "guests", "drift_facts_total", "compare_seconds_count"):
        assert f"\nmooring_agent_{wanted} " in texts["agent"]
    assert 'mooring_agent_changed_facts_total{kind="put"}' in texts["agent"]
    for text in texts.values():
        assert "web-1" not in text
        assert "198.51.100." not in text
        series = [line for line in text.splitlines() if line.startswith("mooring_") and "_bucket" not in line]
        assert len(series) < 200


def test_the_agent_puts_right_what_others_change_and_counts_it(trio: Trio) -> None:
    def drift() -> float:
        answer = trio.status("agent", "metrics")
        assert answer is not None
        (line,) = [line for line in answer.text.splitlines() if line.startswith("mooring_agent_drift_facts_total ")]
        return float(line.split()[1])

    server = trio.boot("drifts")
    address = trio.float_to(server)
    before = drift()
    router = next(path.name for path in Path("/run/netns").iterdir() if path.name.startswith("mooring-r-"))
    subprocess.run([*trio.places.at(router, "nft", "flush", "ruleset")], check=True, timeout=30)
    eventually(lambda: trio.answers_ping(address), timeout=30)
    eventually(lambda: drift() > before)


def test_another_machine_cannot_take_a_living_hosts_name(trio: Trio) -> None:
    text = (trio.directory / "agent.toml").read_text()
    text = text.replace("agent-state", "impostor-state").replace(
        f"status_port = {trio.ports['agent']}", "status_port = 0"
    )
    trio._config("impostor", text)
    command = [sys.executable, "-m", "mooring.cli", "agent", "--config", str(trio.directory / "impostor.toml")]
    with subprocess.Popen(command, stdout=trio._log, stderr=trio._log) as impostor:
        try:
            eventually(lambda: any("another machine" in line.get("reason", "") for line in _lines(trio)), timeout=60)
        finally:
            impostor.terminate()


@pytest.mark.parametrize("process", PROCESSES)
def test_processes_stop_when_they_are_told_to(trio: Trio, process: str) -> None:
    assert trio.stop(process) == 0
    trio.start(process)
    trio.wait_ready(process)


def test_nobody_has_a_database_but_those_who_need_one(trio: Trio) -> None:
    database = str(trio.directory / "state" / "mooring.db")

    def opened(process: str) -> set[str]:
        return {str(path.readlink()) for path in Path(f"/proc/{trio.pid(process)}/fd").iterdir() if path.is_symlink()}

    assert database in opened("api")
    assert database in opened("controller")
    assert not any("mooring.db" in each for each in opened("agent"))


def test_errors_say_nothing_of_the_inside(trio: Trio) -> None:
    for answer in (
        trio.ask("POST", "/identity/v3/auth/tokens", {"auth": {"identity": {"methods": ["password"], "password": {}}}}),
        httpx2.get(f"{trio.url}/v1/networks", headers={"X-Auth-Token": "x" * 43}, trust_env=False),
        trio.ask("GET", "/v1/nothing"),
    ):
        assert answer.status_code in {400, 401, 404}
        assert "Traceback" not in answer.text
        assert str(trio.directory) not in answer.text
