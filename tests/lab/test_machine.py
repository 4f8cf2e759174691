"""Machines and what runs on them: each has what is its own, and all of it ends with it."""

import subprocess
import time
from pathlib import Path

import pytest

from mooring.lab import database
from mooring.lab.machine import NAMESPACES, LaboratoryFailed, Machine
from mooring.lab.program import Program

pytestmark = pytest.mark.kernel


def said(command) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout


def program(machine: Machine, run: Path, *command: str, ready="ready") -> Program:
    return Program("p", machine, command, run / "log", lambda words: ready in words)


def test_a_machine_has_a_name_processes_network_and_run_of_its_own(machine, run):
    assert said(machine.enter("uname", "-n")) == "m1\n"
    assert said(machine.enter("cat", "/proc/1/cmdline")).startswith("/")
    said(machine.enter("touch", "/run/here"))
    assert (run / "m1" / "here").exists()
    assert not Path("/run/here").exists()
    said(machine.enter("ip", "netns", "add", "inner"))
    assert not (NAMESPACES / "inner").exists()
    assert said(machine.at("inner", "ip", "-brief", "link")).startswith("lo")
    assert said(["ip", "-n", "m1", "-brief", "link"]).startswith("lo")


def test_a_machine_is_known_by_its_first_process(run):
    """Of a program that starts others on its way there, we must not take one of those for it."""
    machines = [Machine(f"m{number}", run / f"m{number}") for number in range(2, 8)]
    try:
        for machine in machines:
            machine.boot()
            assert b"init.sh" in Path(f"/proc/{machine.pid}/cmdline").read_bytes()
            assert (NAMESPACES / machine.name).stat().st_ino == Path(f"/proc/{machine.pid}/ns/net").stat().st_ino
    finally:
        for machine in machines:
            machine.power_off()
    assert list(NAMESPACES.iterdir()) == []


def test_what_was_left_running_stays_until_the_power_is_off(machine, run):
    said(machine.enter("sh", "-c", "sleep 1000 > /dev/null 2>&1 & echo left"))
    assert "1000" in said(machine.enter("pgrep", "-fa", "sleep 1000"))
    init = machine.pid
    machine.power_off()
    assert not machine.on
    assert not Path(f"/proc/{init}").exists()
    assert not (NAMESPACES / "m1").exists()
    assert subprocess.run(["pgrep", "-f", "sleep 1000"], check=False, stdout=subprocess.DEVNULL).returncode == 1
    machine.power_off()
    machine.boot()
    assert said(machine.enter("ls", "/run/netns")) == ""


def test_a_program_is_killed_paused_and_started_again(machine, run):
    runs = program(machine, run, "sh", "-c", "echo ready; while :; do sleep 0.01; echo x; done")
    with pytest.raises(ProcessLookupError):
        assert runs.pid
    runs.start()
    runs.wait()
    first = runs.pid
    assert said(machine.enter("pgrep", "-f", "echo ready")) != ""
    runs.pause()
    time.sleep(0.1)
    length = len(runs.said())
    time.sleep(0.2)
    assert len(runs.said()) == length
    runs.resume()
    time.sleep(0.2)
    assert len(runs.said()) > length
    runs.kill()
    assert not runs.runs
    assert not Path(f"/proc/{first}").exists()
    runs.start()
    runs.start()
    runs.wait()
    assert runs.pid != first
    runs.pause()
    runs.stop()
    assert not runs.runs


def test_a_program_that_ends_says_its_last_words(machine, run):
    ends = program(machine, run, "sh", "-c", "echo no such thing; exit 3")
    ends.start()
    with pytest.raises(LaboratoryFailed, match=r"p has ended.*\n.*no such thing"):
        ends.wait()
    late = program(machine, run, "sleep", "100")
    late.start()
    with pytest.raises(LaboratoryFailed, match="p is not ready"):
        late.wait(0.3)
    late.kill()


def test_a_killed_database_forgets_nothing(machine, run):
    database.prepare(machine)
    database.prepare(machine)
    server = database.server(machine, run / "log")
    server.start()
    server.wait()

    def ask(query: str) -> str:
        return said(machine.enter("psql", "-h", "/run/postgresql", "-U", "mooring", "-Atc", query))

    assert ask("SHOW synchronous_commit") == "on\n"
    # In /dev/shm a killed server would leave something behind.
    assert ask("SHOW dynamic_shared_memory_type") == "mmap\n"
    ask("CREATE TABLE t (n int)")
    for _ in range(3):
        ask("INSERT INTO t VALUES (1)")
        server.kill()
        server.start()
        server.wait()
    assert ask("SELECT count(*) FROM t") == "3\n"
