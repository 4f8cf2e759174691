"""Drift made by hand is repaired: within a second when the kernel tells, within ten when it does not; strangers' things stay."""

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from mooring.backends.linux.backend import LinuxBackend
from mooring.compile.facts import diff
from mooring.demos.stage import HOST, Stage
from mooring.model.ids import NetworkId, NicId, RouterId, bridge_name, inner_name, port_name, uplink_name
from tests.journeys.town import Town, eventually

pytestmark = pytest.mark.kernel

# Each takes something of ours away, or adds something foreign to it, as root would with the usual tools.
DRIFTS = {
    "map element": "{router} nft delete element ip mooring fip_in {{ {public} }}",
    "owned element": '{router} nft delete element arp mooring owned {{ "{uplink}" . {public} }}',
    "pair element": "{router} nft delete element ip mooring pair {{ {public} . {fixed} }}",
    "whole map": "{router} nft flush map ip mooring fip_in",
    "foreign element": "{router} nft add element ip mooring fip_in {{ 198.51.100.77 : 10.0.0.77 }}",
    "wrong value": "{router} nft delete element ip mooring fip_in {{ {public} }} ; "
    "{router} nft add element ip mooring fip_in {{ {public} : 10.0.0.99 }}",
    "rule": "{router} nft flush chain ip mooring passing_in",
    "foreign rule": "{router} nft insert rule ip mooring passing drop",
    "table": "{router} nft delete table ip mooring",
    "route": "{router} ip route delete default",
    "foreign route": "{router} ip route add 192.0.2.0/24 dev lo",
    "address": "{router} ip address delete 10.0.0.1/24 dev {inner}",
    "uplink address": "{router} ip address flush dev {uplink}",
    "inner link": "{router} ip link delete {inner}",
    "uplink link": "{router} ip link delete {uplink}",
    "uplink down": "{router} ip link set {uplink} down",
    "bridge port": "{host} ip link set {port} nomaster",
    "bridge port down": "{host} ip link set {port} down",
    "guest's port": "{host} ip link delete {port}",
    "bridge": "{host} ip link delete {bridge}",
    "sysctl": "{router} sysctl -qw net.ipv4.ip_forward=0",
}


class Drifter:
    """Knows the kernel's names of one guest's things, and whether they are as they should be."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.guest = town.boot("drift")
        self.public = town.float_to(self.guest)
        nic = town.operations.instances.get(town.demo, self.guest).nics[0]
        network = next(known for known in town.operations.networks.listing(town.admin) if known.id == nic.network)
        (uplink,) = town.operations.pools.uplinks(town.admin)
        self.router = network.router
        self.names = {
            "router": f"nsenter --net=/run/netns/mooring-r-{RouterId(network.router)}",
            "host": f"nsenter --net=/run/netns/{HOST}",
            "public": str(self.public),
            "fixed": str(nic.fixed[0].address),
            "uplink": uplink_name(uplink.id),
            "inner": inner_name(NetworkId(network.id)),
            "bridge": bridge_name(NetworkId(network.id)),
            "port": port_name(NicId(nic.id)),
        }
        self.eye = LinuxBackend(town.stage.node.settings.run_directory, HOST)

    def right(self) -> bool:
        """Say whether the kernel is as intent says, read with other eyes than the agent's."""
        return not diff(self.eye.read(), self.town.operations.hosts.state(self.town.admin, "host-1"))

    def do(self, drift: str) -> None:
        for command in drift.split(" ; "):
            subprocess.run(["sh", "-c", command.format(**self.names)], check=True, timeout=10, capture_output=True)

    def works(self) -> bool:
        return self.town.answers(self.public, wait=0.3)


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
    assert drifter.town.fixed(newcomer)


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


def test_drift_is_repaired_without_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """The events of the kernel are a hint: without them the periodic comparison finds the same."""
    monkeypatch.setattr(LinuxBackend, "watch", lambda *_: None)
    with Stage(keep_port=False) as stage:
        drifter = Drifter(Town(stage))
        eventually(drifter.right)
        for kind in ("map element", "rule", "foreign route", "guest's port"):
            drifter.do(DRIFTS[kind])
        assert eventually(drifter.right, timeout=12) < 10
        eventually(drifter.works)
        drifter.eye.close()
