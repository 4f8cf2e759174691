"""Wires carry packets where a plan says, and traffic is counted as it is."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from mooring.lab import wires
from mooring.lab.machine import NAMESPACES, LaboratoryFailed, Machine, child_of
from mooring.lab.plan import CONTROL, OPERATOR, Plan, flat_gateway
from mooring.lab.traffic import Flow, flowing

pytestmark = pytest.mark.kernel


@pytest.fixture
def world(run) -> Iterator[dict[str, Machine]]:
    plan = Plan(3, 2, 2)
    with ExitStack() as stack:
        stack.callback(wires.remove_namespaces, list(wires.namespaces(plan)))
        wires.make_namespaces(wires.namespaces(plan))
        machines = {name: Machine(name, run / name) for name in (CONTROL, *(host.name for host in plan.machines))}
        for machine in machines.values():
            stack.callback(machine.power_off)
            machine.boot()
        wires.lay(plan)
        yield machines
    assert list(NAMESPACES.iterdir()) == []


def answers(source, address) -> bool:
    done = subprocess.run([*source, "ping", "-c1", "-W2", str(address)], capture_output=True, check=False, timeout=10)
    return done.returncode == 0


def test_wires_lead_where_they_should(world):
    plan = Plan(3, 2, 2)
    first, last = world["host-1"], world["host-3"]
    assert answers(first.enter(), plan.machines[2].address.ip)
    assert answers(last.enter(), plan.control.ip)
    for number, provider in enumerate(plan.providers):
        # A gateway host has no address there: its routers have.
        address = provider.public[77]
        subprocess.run(
            first.enter("ip", "addr", "add", f"{address}/{provider.public.prefixlen}", "dev", f"ext{number}"),
            check=True,
        )
        assert answers(("nsenter", f"--net={NAMESPACES / provider.outside}"), address) is False
        subprocess.run(
            first.enter("ip", "route", "add", str(provider.far.network), "via", str(provider.gateway.ip)), check=True
        )
        assert answers(("nsenter", f"--net={NAMESPACES / provider.outside}"), address)
    assert "ext0" not in subprocess.run(last.enter("ip", "link"), capture_output=True, text=True, check=True).stdout
    subprocess.run(first.enter("ip", "addr", "add", "10.20.0.9/24", "dev", wires.FLAT_BRIDGE), check=True)
    assert answers(first.enter(), flat_gateway("east"))
    assert answers(("nsenter", f"--net={NAMESPACES / OPERATOR}"), "10.20.0.9")


def test_lost_packets_are_counted_and_nothing_else(world):
    host, other = world["host-1"], world["host-2"]
    address = str(Plan(3, 2, 2).machines[1].address.ip)
    with flowing(Flow("whole", host.enter(), address)) as traffic:
        time.sleep(0.5)
    (count,) = traffic.counts
    assert count.whole
    assert count.sent > 200
    assert traffic.whole
    with flowing(Flow("cut", host.enter(), address)) as traffic:
        time.sleep(0.2)
        subprocess.run(other.enter("ip", "link", "set", "eth0", "down"), check=True)
        time.sleep(0.2)
        subprocess.run(other.enter("ip", "link", "set", "eth0", "up"), check=True)
        time.sleep(0.2)
    (count,) = traffic.counts
    assert 50 < count.lost < count.sent
    assert count.longest > 0.15
    assert not traffic.whole
    with pytest.raises(LaboratoryFailed, match="does not answer"), flowing(Flow("none", host.enter(), "10.255.0.99")):
        pass


def test_what_a_probe_was_too_slow_to_take_is_told_apart(world):
    """A probe that is stopped sends nothing; here it is swamped meanwhile by answers to another in its namespace."""
    source, address = world["host-1"].enter(), str(Plan(3, 2, 2).machines[1].address.ip)
    starved = Flow("starved", source, address)
    with subprocess.Popen(starved.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as entrance:
        assert entrance.stdout is not None
        assert entrance.stdout.readline() == "ready\n"
        probe = child_of(entrance.pid)
        os.kill(probe, signal.SIGSTOP)
        with flowing(Flow("flood", source, address, interval=0.00001)):
            deadline = time.monotonic() + 60
            while dropped(source) == 0 and time.monotonic() < deadline:
                time.sleep(0.2)
        there = dropped(source)
        os.kill(probe, signal.SIGCONT)
        # What entered the namespace for it stopped with it.
        os.kill(entrance.pid, signal.SIGCONT)
        told = json.loads(entrance.communicate(timeout=30)[0])
    assert 0 < there <= told["missed"]


def dropped(source) -> int:
    """How many packets raw sockets of a namespace had no room for, as the kernel counts."""
    said = subprocess.run([*source, "cat", "/proc/net/raw"], capture_output=True, text=True, check=True, timeout=10)
    return sum(int(line.split()[-1]) for line in said.stdout.splitlines()[1:])


def test_a_session_that_is_reset_is_told(world):
    host, other = world["host-1"], world["host-2"]
    address = str(Plan(3, 2, 2).machines[1].address.ip)
    listener = [*other.enter("busybox", "nc", "-ll", "-p", "7", "-e", "busybox", "cat")]
    with subprocess.Popen(listener) as echo:
        time.sleep(0.3)
        with flowing(Flow("session", host.enter(), address, port=7)) as traffic:
            time.sleep(0.5)
        assert traffic.whole, str(traffic)
        assert traffic.counts[0].sent > 15
        with flowing(Flow("session", host.enter(), address, port=7)) as traffic:
            subprocess.run(other.enter("pkill", "-9", "-f", "busybox cat"), check=True)
            time.sleep(0.3)
        assert traffic.counts[0].error == "ConnectionResetError"
        assert not traffic.whole
        subprocess.run(other.enter("pkill", "-9", "busybox"), check=False)
        echo.wait(timeout=10)


def test_a_namespace_goes_whose_name_was_made_while_it_was_to_go() -> None:
    (NAMESPACES / "late").touch()
    for _ in range(2):
        # What was interrupted has left a child that mounts once more.
        subprocess.run(["unshare", f"--net={NAMESPACES / 'late'}", "true"], check=True, timeout=30)
    wires.remove_namespaces(["late"])
    assert not (NAMESPACES / "late").exists()
