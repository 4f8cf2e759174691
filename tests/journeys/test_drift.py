"""Drift made by hand is repaired within a second of the kernel's telling, and strangers' things stay."""

import os
import signal
from collections.abc import Iterator
from ipaddress import IPv4Network

import pytest

from mooring.demos.stage import HOST
from tests.journeys.drifter import DRIFTS, Drifter
from tests.journeys.town import Town, eventually

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module")
def drifter(town: Town) -> Iterator[Drifter]:
    drifter = Drifter(town)
    eventually(drifter.right)
    yield drifter
    drifter.eye.close()


@pytest.mark.parametrize("kind", DRIFTS)
def test_drift_is_repaired_at_once(drifter: Drifter, kind: str) -> None:
    drifter.do(DRIFTS[kind])
    # Half of it for the reading eye, which is slower than the agent's on a busy machine.
    assert eventually(drifter.right, timeout=8) < 1.5
    # A guest whose port was made again has to ask for its address again.
    eventually(drifter.works, timeout=15)


def test_a_killed_dnsmasq_is_started_again(drifter: Drifter) -> None:
    listed = drifter.town.at(f"mooring-r-{drifter.router}", "pgrep", "-f", f"dnsmasq.*{drifter.router}")
    pids = [int(pid) for pid in listed.split()]
    assert pids
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    assert eventually(drifter.right, timeout=8) < 1.5
    newcomer = drifter.town.boot("after-dnsmasq")
    assert drifter.town.fixed(newcomer) in IPv4Network("10.0.0.0/24")


def test_what_is_not_ours_stays(drifter: Drifter) -> None:
    foreign = (
        "{router} nft add table ip stranger",
        "{router} nft add table arp stranger",
        "{host} nft add table ip stranger",
        "{host} ip link add br-stranger type bridge",
        "{host} ip address add 192.0.2.99/32 dev ext0",
        "{host} ip route add 192.0.2.98/32 dev ext0",
    )
    for command in foreign:
        drifter.do(command)
    # Something of ours drifts too, so that the agent certainly looks and mends around it.
    drifter.do(DRIFTS["map element"])
    drifter.do(DRIFTS["bridge port"])
    eventually(drifter.right)
    for namespace in (f"mooring-r-{drifter.router}", HOST):
        assert "table ip stranger" in drifter.town.at(namespace, "nft", "list", "tables")
    assert "table arp stranger" in drifter.town.at(f"mooring-r-{drifter.router}", "nft", "list", "tables")
    assert "br-stranger" in drifter.town.at(HOST, "ip", "-brief", "link")
    assert "192.0.2.99" in drifter.town.at(HOST, "ip", "address", "show", "dev", "ext0")
    assert "192.0.2.98" in drifter.town.at(HOST, "ip", "route")
