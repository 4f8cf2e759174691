"""`mooring doctor` tries for real, harms nothing, and says what each lack costs."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mooring.cli.doctor import devices, filters, kernel, limits, links, programs, trial
from mooring.cli.doctor.check import Check, Finding, Lacking, Limited, Verdict, carry_out
from tests.cli.conftest import Shell

NEEDED = {
    *(
        "Python",
        "dnsmasq",
        "unshare",
        "nsenter",
        "busybox",
        "network namespaces",
        "libnftables",
        "bridges and veth",
        "macvlan",
    ),
    *(
        "proxy ARP",
        "NAT by nft maps",
        "nft arp family",
        "connection tracking",
        "a floating IP",
        "bridge filtering",
        "database",
    ),
}


def _all() -> tuple[Check, ...]:
    some = (*programs.checks(), *kernel.checks(), *filters.checks(None))
    return (*some, *devices.checks(), *links.checks(None), *limits.checks(None))


def _doctor(*arguments: str, **environment: str) -> tuple[int, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "mooring.cli", "doctor", "--json", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **environment},
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return done.returncode, json.loads(done.stdout)


def _found(report: Any, name: str) -> Any:
    return next(each for each in report["checks"] if each["name"] == name)


def _here() -> str:
    """What the machine's own namespace holds: devices, rules, routes, settings."""
    looks = (["ip", "-o", "link"], ["ip", "route"], ["ip", "rule"], ["nft", "list", "ruleset"], ["ip", "netns", "list"])
    said = [subprocess.run(look, capture_output=True, text=True, check=False, timeout=30).stdout for look in looks]
    said += [Path("/proc/sys/net/ipv4", name).read_text() for name in ("ip_forward", "conf/all/proxy_arp")]
    return "\n".join(said)


@pytest.mark.kernel
def test_the_machine_of_the_tests_can_do_the_main_job_and_is_left_as_it_was(tmp_path: Path) -> None:
    before = _here()
    code, report = _doctor("--config", str(_config(tmp_path, tmp_path)))
    assert code == 0, report
    assert report["ready"] is True
    assert {each["name"] for each in report["checks"] if each["needed"]} == NEEDED
    for each in report["checks"]:
        assert each["found"], each
        assert bool(each["cost"]) == (each["verdict"] != "ok"), each
        assert each["verdict"] == "ok" or not each["needed"], each
    assert _here() == before


@pytest.mark.kernel
def test_people_read_the_same(tmp_path: Path) -> None:
    said = Shell({}).said("doctor", "--config", str(_config(tmp_path, tmp_path)))
    assert "mooring can do its main job here" in said
    for check in _all():
        assert check.name in said


def test_every_cost_is_one_sentence() -> None:
    for check in _all():
        assert check.cost.endswith("."), check
        assert check.cost[0].isupper() or check.cost.startswith("mooring"), check
        assert check.cost.count(". ") == 0, check


def test_names_are_unique() -> None:
    names = [check.name for check in _all()]
    assert len(names) == len(set(names))


# ------------------------------------------------------------------------------------------------------- what is lacking


@pytest.fixture
def only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let doctor find only some programs."""

    def leave(*names: str) -> None:
        place = tmp_path / "bin"
        place.mkdir()
        for name in names:
            found = shutil.which(name, path=trial.search_path())
            assert found is not None
            (place / name).symlink_to(found)
        monkeypatch.setattr(trial, "search_path", lambda: str(place))
        trial.fresh_network.cache_clear()

    return leave


def _by_name(checks: object) -> dict[str, Finding]:
    return {check.name: carry_out(check) for check in checks}  # type: ignore[attr-defined]


def test_programs_that_are_missing(only: Callable[..., None]) -> None:
    only("ip", "dnsmasq")
    found = _by_name(programs.checks())
    assert found["ip"].verdict is found["dnsmasq"].verdict is Verdict.OK
    assert found["busybox"].verdict is Verdict.MISSING
    assert found["busybox"].found == "not installed"
    assert "busybox-static" in found["busybox"].cost


def test_without_means_to_try_the_kernel_nothing_is_said_to_work(only: Callable[..., None]) -> None:
    only("ip")
    assert {found.verdict for found in _by_name(kernel.checks()).values()} == {Verdict.MISSING}
    trial.fresh_network.cache_clear()


@pytest.mark.kernel
def test_a_program_of_the_trial_that_is_missing_is_named(only: Callable[..., None]) -> None:
    only("unshare", "sh", "true", "mount", "ip", "grep", "setpriv")
    found = _by_name(kernel.checks())
    assert found["bridges and veth"].verdict is Verdict.OK
    assert found["NAT by nft maps"].verdict is Verdict.OK  # by the library, not by the program nft
    assert found["a floating IP"].verdict is Verdict.MISSING
    assert "ping" in found["a floating IP"].found


@pytest.mark.kernel
def test_a_script_stops_at_the_first_thing_that_fails() -> None:
    with pytest.raises(Lacking, match="Cannot find device"):
        trial.in_fresh_network("ip link set nosuch up; true")
    with pytest.raises(Lacking, match=r"not supported|Invalid|Unknown"):
        trial.in_fresh_network("ip link add x type nosuch")
    with pytest.raises(Lacking, match="syntax error"):
        trial.in_fresh_network("$probe nft 'add table of contents'")
    assert trial.in_fresh_network("ip -o link | wc -l").strip() == "1"


def test_a_finding_for_every_way_to_fail() -> None:
    def raises(error: BaseException) -> Callable[[], str]:
        def attempt() -> str:
            raise error

        return attempt

    def verdict(error: BaseException) -> tuple[Verdict, str, str]:
        found = carry_out(Check("g", "n", "It costs.", raises(error), needed=True))
        assert found.needed
        return found.verdict, found.found, found.cost

    assert verdict(Lacking("gone")) == (Verdict.MISSING, "gone", "It costs.")
    assert verdict(Limited("half", "A half.")) == (Verdict.LIMITED, "half", "A half.")
    assert verdict(PermissionError(1, "not you")) == (Verdict.MISSING, "not you", "It costs.")
    assert verdict(subprocess.TimeoutExpired("x", 3)) == (Verdict.MISSING, "no end after 3 seconds", "It costs.")
    assert carry_out(Check("g", "n", "c", lambda: "fine")).verdict is Verdict.OK
    with pytest.raises(ZeroDivisionError):  # an error of ours is not a finding
        verdict(ZeroDivisionError())


# ---------------------------------------------------------------------------------------------------- to other hosts


@pytest.fixture
def without_vlans(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this kernel make no VLAN devices, if it can make any."""
    ip = shutil.which("ip", path=trial.search_path())
    place = tmp_path / "ip"
    place.write_text(
        "#!/bin/sh\n"
        'case "$*" in *"type vlan"*) echo "Error: Unknown device type." >&2; exit 2 ;; esac\n'
        f'exec {ip} "$@"\n'
    )
    place.chmod(0o755)
    searched = trial.search_path()
    monkeypatch.setattr(trial, "search_path", lambda: f"{tmp_path}:{searched}")


def _host(tmp_path: Path, **settings: str) -> Path:
    file = tmp_path / "host.toml"
    file.write_text("[host]\n" + "".join(f'{name} = "{value}"\n' for name, value in settings.items()))
    return file


@pytest.mark.kernel
@pytest.mark.usefixtures("without_vlans")
def test_a_kernel_without_vlans_is_told_with_what_to_do(tmp_path: Path) -> None:
    found = _by_name(kernel.checks())
    vlans = found.pop(kernel.VLANS)
    assert (vlans.verdict, vlans.found) == (Verdict.MISSING, "Unknown device type")
    assert "modprobe 8021q" in vlans.cost
    assert "vxlan" in vlans.cost
    assert not vlans.needed
    assert not [each for each in found.values() if each.needed and each.verdict is Verdict.MISSING]
    # Who says in the configuration that tagged networks come here is told that they can't.
    (promised,) = _by_name(links.checks(_host(tmp_path, vlan_interface="lo"))).values()
    assert promised.needed
    assert (promised.verdict, promised.name) == (Verdict.MISSING, "vlan_interface")
    assert promised.found == "lo is there, but this kernel carries no VLANs: Unknown device type"


@pytest.mark.vm
def test_a_kernel_with_vlans_carries_them(tmp_path: Path) -> None:
    assert _by_name(kernel.checks())[kernel.VLANS].verdict is Verdict.OK
    (promised,) = _by_name(links.checks(_host(tmp_path, vlan_interface="lo"))).values()
    assert (promised.verdict, promised.found) == (Verdict.OK, "lo is up, and takes 65536 bytes")


@pytest.mark.kernel
def test_what_joins_a_host_to_others_must_be_there(tmp_path: Path) -> None:
    subprocess.run(["ip", "netns", "add", "doctored"], check=True, timeout=10)
    try:
        for command in (
            "link set lo up",
            "link add down0 type veth peer name down1",
            "address add 192.0.2.1/32 dev lo",
        ):
            subprocess.run(["ip", "-n", "doctored", *command.split()], check=True, timeout=10)

        def said(**settings: str) -> str:
            (found,) = _by_name(links.checks(_host(tmp_path, namespace="doctored", **settings))).values()
            assert found.needed
            return f"{found.verdict.value}: {found.found}"

        assert said(trunk_interface="lo") == "ok: lo is up, and takes 65536 bytes"
        assert said(trunk_interface="down0") == "missing: down0 is down"
        assert said(trunk_interface="gone0") == "missing: the host has no interface gone0"
        assert said(vlan_interface="gone0") == "missing: the host has no interface gone0"
        assert said(endpoint="192.0.2.1") == "ok: 192.0.2.1 is on lo"
        assert said(endpoint="192.0.2.2") == "missing: no interface of the host has 192.0.2.2"
    finally:
        subprocess.run(["ip", "netns", "delete", "doctored"], check=True, timeout=10)


def test_where_nothing_is_named_nothing_is_asked(tmp_path: Path) -> None:
    assert not list(links.checks(_host(tmp_path)))
    assert not list(links.checks(tmp_path / "nowhere.toml"))


# --------------------------------------------------------------------------------------------------------------- limits


def _config(tmp_path: Path, state: Path) -> Path:
    file = tmp_path / "mooring.toml"
    file.write_text(f'state_directory = "{state}"\n')
    return file


def _database(config: Path) -> Finding:
    return _by_name(limits.checks(config))["database"]


def test_a_database_that_can_be_made_or_written(tmp_path: Path) -> None:
    config = _config(tmp_path, tmp_path / "not" / "yet")
    assert _database(config).verdict is Verdict.OK
    assert sorted(tmp_path.iterdir()) == [config]  # nothing is left behind
    state = tmp_path / "state"
    state.mkdir()
    config = _config(tmp_path, state)
    assert "can be made" in _database(config).found
    sqlite3.connect(state / "mooring.db").close()
    assert "can be written" in _database(config).found


def test_a_database_that_cannot(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    assert _database(_config(tmp_path, tmp_path / "file")).verdict is Verdict.MISSING
    state = tmp_path / "state"
    state.mkdir()
    (state / "mooring.db").write_text("not a database, but a text that is long enough to be none" * 20)
    found = _database(_config(tmp_path, state))
    assert found.verdict is Verdict.MISSING
    assert "not a database" in found.found
    (tmp_path / "bad.toml").write_text("state_directory = 3")
    assert _database(tmp_path / "bad.toml").verdict is Verdict.MISSING


def test_a_database_that_another_process_writes_to(tmp_path: Path) -> None:
    config = _config(tmp_path, tmp_path)
    writer = sqlite3.connect(tmp_path / "mooring.db", isolation_level=None)
    writer.execute("PRAGMA journal_mode=WAL")
    writer.execute("BEGIN IMMEDIATE")
    assert "locked" in _database(config).found
    writer.execute("ROLLBACK")
    writer.close()


def test_the_exit_code_says_whether_the_main_job_can_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, report = _doctor("--config", str(_config(tmp_path, tmp_path / "file")))
    assert code == 1
    assert report["ready"] is False
    assert _found(report, "database")["verdict"] == "missing"


def test_a_setting_that_is_too_low_is_a_limit() -> None:
    attempt = limits._setting("kernel/pid_max", 2**40, "At most {} of them.")
    with pytest.raises(Limited) as raised:
        attempt()
    assert raised.value.cost == f"At most {raised.value} of them. Raise it with sysctl -w."
    with pytest.raises(Lacking):
        limits._setting("no/such", 1, "{}")()
    assert limits._setting("kernel/pid_max", 1, "{}")().isdigit()
