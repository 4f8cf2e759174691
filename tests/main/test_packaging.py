"""What packaging/ installs: configuration that holds, units that systemd understands, and no more rights than are needed."""

import os
import re
import shutil
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from mooring.backends.linux import processes
from mooring.main.busconfig import BusDirectory, Wish
from tests.journeys.town import eventually
from tests.main.trio import PROCESSES, Trio
from tests.main.units import KNOWN, PACKAGING, as_the_unit_does, capabilities, lines, settings

UNITS = ("mooring", "mooring-api", "mooring-controller", "mooring-agent")

# What gives a service a mount namespace of its own (systemd.exec(5)): a router's name, which is a mount, would end with it.
MOUNTING = {
    "BindPaths",
    "BindReadOnlyPaths",
    "InaccessiblePaths",
    "MountFlags",
    "PrivateDevices",
    "PrivateMounts",
    "PrivateTmp",
    "ProcSubset",
    "ProtectControlGroups",
    "ProtectHome",
    "ProtectHostname",
    "ProtectKernelLogs",
    "ProtectKernelModules",
    "ProtectKernelTunables",
    "ProtectProc",
    "ProtectSystem",
    "ReadOnlyPaths",
    "ReadWritePaths",
    "RootDirectory",
    "TemporaryFileSystem",
}


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Return a root directory with everything laid out, and with the secrets that an installation makes."""
    root = tmp_path / "root"
    subprocess.run([str(PACKAGING / "install"), str(root)], check=True, timeout=30)
    etc = root / "etc/mooring"
    BusDirectory(etc / "bus").write(Wish(hosts=("host-1",)))
    for name in ("admin.password", "database.password"):
        (etc / name).write_text("geheim\n")
        (etc / name).chmod(0o600)
    return root


@pytest.mark.parametrize(
    "file, processes",
    [("mooring", ["up"]), ("service", ["api", "controller"]), ("agent", ["agent"])],
)
def test_the_examples_hold(installed: Path, file: str, processes: list[str]) -> None:
    path = installed / f"etc/mooring/{file}.toml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    path.write_text(path.read_text().replace("/etc/mooring", str(installed / "etc/mooring")))
    environment = {name: value for name, value in os.environ.items() if name != "MOORING_CONFIG"}
    for process in processes:
        command = [sys.executable, "-m", "mooring.cli", "config", "check", str(path), "--for", process]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=environment)
        assert done.returncode == 0, done.stderr
        assert "warning" not in done.stderr
        assert "geheim" not in done.stdout


def test_what_files_name_is_installed(installed: Path) -> None:
    pages = {path.name for path in (installed / "usr/share/doc/mooring/operating").iterdir()}
    assert {path.parent.name for path in (installed / "usr/lib").glob("*/mooring.conf")} == {
        "modules-load.d",
        "sysusers.d",
        "tmpfiles.d",
    }
    for unit in UNITS:
        (named,) = (value for _, name, value in lines(unit) if name == "Documentation")
        assert (installed / named.removeprefix("file:///")).is_file()
    for file in (installed / "etc/mooring").glob("*.toml"):
        for page in re.findall(r"operating/([\w-]+\.md)", file.read_text()):
            assert page in pages


def test_an_installed_configuration_is_not_overwritten(installed: Path) -> None:
    path = installed / "etc/mooring/agent.toml"
    path.write_text("# mine\n")
    subprocess.run([str(PACKAGING / "install"), str(installed)], check=True, timeout=30)
    assert path.read_text() == "# mine\n"


@pytest.mark.parametrize("unit", UNITS)
def test_units_run_what_is_there(unit: str) -> None:
    (command,) = settings(unit)["ExecStart"]
    program, process, option, file = command.split()
    assert (program, option) == ("/usr/bin/mooring", "--config")
    assert (PACKAGING / file.replace("/etc/mooring/", "etc/")).is_file()
    assert process == {"mooring": "up"}.get(unit, unit.removeprefix("mooring-"))
    assert settings(unit)["Restart"] == ["always"]
    assert settings(unit)["NoNewPrivileges"] == ["yes"]


@pytest.mark.parametrize("unit", ["mooring-api", "mooring-controller"])
def test_services_are_ordinary_users_without_capabilities(unit: str) -> None:
    assert capabilities(unit) == frozenset()
    assert settings(unit)["User"] == ["mooring"]
    assert settings(unit)["ProtectSystem"] == ["strict"]
    assert settings(unit)["LimitCORE"] == ["0"]


@pytest.mark.parametrize("unit", ["mooring", "mooring-agent"])
def test_an_agent_that_stops_takes_nothing_along(unit: str) -> None:
    known = settings(unit)
    assert known["KillMode"] == ["process"]
    assert known["RuntimeDirectoryPreserve"] == ["yes"]
    assert not MOUNTING & known.keys()
    assert "net_admin" in capabilities(unit)
    assert capabilities("mooring") == capabilities("mooring-agent")


# ------------------------------------------------------------------------------------------------- the rights, in force


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Trio]:
    """Return the three processes, each with no more capabilities than its unit leaves it."""
    before = {process: as_the_unit_does(f"mooring-{process}") for process in PROCESSES}
    with Trio(tmp_path_factory.mktemp("rights"), before=before) as made:
        made.prepare()
        yield made


def _figure(trio: Trio, name: str) -> float:
    answer = trio.status("agent", "metrics")
    assert answer is not None
    (value,) = re.findall(rf"^{name} (\S+)$", answer.text, re.MULTILINE)
    return float(value)


@pytest.mark.kernel
@pytest.mark.parametrize("process", PROCESSES)
def test_a_process_has_what_its_unit_leaves_it(trio: Trio, process: str) -> None:
    status = dict(line.split(":\t", 1) for line in trio.proc(process, "status").splitlines())
    for held in ("CapEff", "CapPrm", "CapBnd"):
        assert int(status[held], 16).bit_count() == len(capabilities(f"mooring-{process}"))
    assert status["NoNewPrivs"] == "1"


@pytest.mark.kernel
def test_a_floating_ip_comes_moves_and_goes_with_the_unit_s_rights(trio: Trio) -> None:
    first = trio.boot("first")
    address = trio.float_to(first)
    assert trio.answers_ping(address)
    # A new agent recognises what an earlier one made, DHCP servers of another user among it.
    trio.kill("agent")
    trio.start("agent")
    trio.wait_ready("agent")
    second = trio.boot("second")
    trio.associate(second, address)
    assert trio.answers_ping(address)
    compared = _figure(trio, "mooring_agent_compare_seconds_count")
    eventually(lambda: _figure(trio, "mooring_agent_compare_seconds_count") > compared + 1, timeout=60)
    assert _figure(trio, "mooring_agent_refused_parts") == 0
    assert _figure(trio, "mooring_agent_drift_facts_total") == 0, "what it can't look at seems to have been changed"
    for gone in (first, second):
        assert trio.ask("DELETE", f"/compute/v2.1/servers/{gone}").status_code == 204
    eventually(lambda: not trio.answers_ping(address))
    eventually(lambda: _figure(trio, "mooring_agent_guests") == 0)
    network = trio.ask("GET", "/v1/networks").json()["items"][0]["id"]
    assert trio.ask("DELETE", f"/v1/networks/{network}").status_code == 204
    eventually(lambda: not list(processes.named("dnsmasq")))


# ---------------------------------------------------------------------------------------------------- what systemd says


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_understands_the_units(installed: Path, unit: str) -> None:
    """Every setting is one that the oldest systemd in use has; a systemd that is there is asked itself."""
    for section, name, value in lines(unit):
        assert name in KNOWN[section], name
        assert value or name in {"CapabilityBoundingSet", "AmbientCapabilities"}
    assert settings(unit)["Type"] == ["exec"]
    if shutil.which("systemd-analyze") is None:
        return
    program = installed / "usr/bin/mooring"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    command = ["systemd-analyze", "verify", "--man=no", f"--root={installed}"]
    command.append(str(installed / f"lib/systemd/system/{unit}.service"))
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    # Of an empty root it misses other packages' units, which is not what is asked here.
    said = (done.stdout + done.stderr).splitlines()
    assert not [line for line in said if "mooring" in line and "not found" not in line]


def test_who_may_read_what() -> None:
    """Secrets are root's and, where a service needs them, its group's."""
    rules = (PACKAGING / "tmpfiles.d/mooring.conf").read_text().splitlines()
    kept = {}
    for kind, path, mode, user, group, age in (line.split() for line in rules if line and not line.startswith("#")):
        assert (kind, user, age) in {("z", "root", "-"), ("d", "root", "-")}
        assert int(mode, 8) & 0o027 == 0, f"{path} is everybody's"
        kept[path] = group
    assert kept["/etc/mooring/agent.toml"] == "root"
    assert kept["/etc/mooring/service.toml"] == kept["/etc/mooring/*.password"] == "mooring"


def test_what_runs_as_different_users_shares_no_state() -> None:
    """systemd gives a service's state directory to its user, with all that is in it."""
    assert settings("mooring-api")["StateDirectory"] != settings("mooring-agent")["StateDirectory"]
    for unit in UNITS:
        (_, _, _, file) = settings(unit)["ExecStart"][0].split()
        text = (PACKAGING / file.replace("/etc/mooring/", "etc/")).read_text()
        named = tomllib.loads(text).get("state_directory", "/var/lib/mooring")
        assert named == f"/var/lib/{settings(unit)['StateDirectory'][0]}"
