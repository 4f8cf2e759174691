"""Changes by others are noticed within moments; one's own transactions are not taken for somebody else's."""

import subprocess
import time

import pytest

from mooring.backends.linux import processes
from mooring.compile.facts import HOST, Place, diff
from mooring.compile.links import router_place
from mooring.model.ids import bridge_name, plug_name, port_name, uplink_name
from tests.backends.lab import Lab, eventually
from tests.compile.small import ALICE, FIRST, RED, ROUTER, small

pytestmark = pytest.mark.kernel

STATE = small().state
PLACE = router_place(ROUTER)
SOON = 1.0


class Doubts:
    """What was doubted, and when."""

    def __init__(self) -> None:
        self.places: list[Place] = []

    def __call__(self, place: Place) -> None:
        self.places.append(place)

    def quiet(self) -> None:
        """Wait until nothing comes any more, and forget what came."""
        while True:
            count = len(self.places)
            time.sleep(0.2)
            if len(self.places) == count:
                break
        self.places.clear()


@pytest.fixture
def doubts(lab: Lab) -> Doubts:
    lab.settle(STATE)
    heard = Doubts()
    lab.backend.watch(heard)
    lab.backend.read()
    heard.quiet()
    return heard


HOST_COMMANDS = {
    "a bridge goes": (f"ip link del {bridge_name(RED)}", {HOST, PLACE}),
    "a port goes": (f"ip link del {port_name(ALICE)}", {HOST}),
    "a port is unplugged": (f"ip link set {port_name(ALICE)} nomaster", {HOST}),
    "a port is down": (f"ip link set {port_name(ALICE)} down", {HOST}),
    "a router is unplugged": (f"ip link set {plug_name(RED)} nomaster", {HOST, PLACE}),
}
ROUTER_COMMANDS = {
    "an uplink goes": f"ip link del {uplink_name(FIRST.uplink)}",
    "an uplink is down": f"ip link set {uplink_name(FIRST.uplink)} down",
    "an address goes": f"ip address flush dev {uplink_name(FIRST.uplink)}",
    "a route goes": "ip route del default",
    "a setting changes": "sysctl -qw net.ipv4.ip_forward=0",
    "a device's setting changes": f"sysctl -qw net.ipv4.conf.{uplink_name(FIRST.uplink)}.proxy_arp=0",
    "an element goes": f"nft delete element ip mooring fip_in {{ {FIRST.address} }}",
    "an element comes": "nft add element ip mooring fip_in { 198.51.100.99 : 10.0.1.99 }",
    "rules go": "nft flush ruleset",
}


@pytest.mark.parametrize("command, places", HOST_COMMANDS.values(), ids=HOST_COMMANDS)
def test_it_is_noticed_on_the_host_when(lab: Lab, doubts: Doubts, command: str, places: set[Place]) -> None:
    lab.at(lab.host, "sh", "-ec", command)
    eventually(lambda: places <= set(doubts.places), SOON)


@pytest.mark.parametrize("command", ROUTER_COMMANDS.values(), ids=ROUTER_COMMANDS)
def test_it_is_noticed_in_a_router_when(lab: Lab, doubts: Doubts, command: str) -> None:
    lab.at(lab.router(small().routers[0]), "sh", "-ec", command)
    eventually(lambda: PLACE in doubts.places, SOON)


def test_a_server_that_ends_is_noticed(lab: Lab, doubts: Doubts) -> None:
    for process in processes.named("dnsmasq"):
        if any(str(lab.run) in word for word in process.arguments):
            subprocess.run(["kill", "-9", str(process.id)], check=True)
    eventually(lambda: PLACE in doubts.places, SOON)


def test_a_namespace_that_loses_its_name_is_noticed(lab: Lab, doubts: Doubts) -> None:
    subprocess.run(["ip", "netns", "delete", lab.router(small().routers[0])], check=True)
    eventually(lambda: PLACE in doubts.places, SOON)


def test_a_router_that_comes_later_is_watched_too(lab: Lab, doubts: Doubts) -> None:
    lab.settle({})
    lab.settle(STATE)
    doubts.quiet()
    lab.ip(lab.router(small().routers[0]), "route del default")
    eventually(lambda: PLACE in doubts.places, SOON)


def test_what_is_not_ours_raises_no_doubt(lab: Lab, doubts: Doubts) -> None:
    for command in (
        "link add docker0 type bridge",
        "link set docker0 up",
        "address add 172.17.0.1/16 dev docker0",
        "link del docker0",
    ):
        lab.ip(lab.host, command)
    lab.at(lab.host, "nft", "add", "table", "ip", "other")
    time.sleep(0.2)
    assert doubts.places == []


def test_own_transactions_raise_no_doubt(lab: Lab, doubts: Doubts) -> None:
    for state in (small().without(FIRST).state, STATE) * 3:
        lab.settle(state)
    time.sleep(0.2)
    assert doubts.places == []


def test_own_changes_of_links_raise_a_doubt_or_two_and_no_storm(lab: Lab, doubts: Doubts) -> None:
    lab.settle({})
    lab.settle(STATE)
    time.sleep(0.5)
    assert len(doubts.places) <= 4
    doubts.places.clear()
    for _ in range(3):
        lab.backend.read()
    time.sleep(0.2)
    assert doubts.places == [], "reading is no change"


def test_another_agents_transactions_are_noticed(lab: Lab, doubts: Doubts) -> None:
    other = lab.another_backend()
    other.apply(diff(other.read(), small().without(FIRST).state))
    eventually(lambda: doubts.places == [PLACE], SOON)


def test_doubts_end_with_the_watch(lab: Lab, doubts: Doubts) -> None:
    lab.restart()
    lab.ip(lab.router(small().routers[0]), "route del default")
    time.sleep(0.2)
    assert doubts.places == []


def test_drift_is_repaired_within_a_second(lab: Lab) -> None:
    lab.settle(STATE)

    def repair(place: Place) -> None:
        here = {key: value for key, value in STATE.items() if key.place == place}
        lab.backend.apply(diff(lab.backend.read(place), here))

    lab.backend.watch(repair)
    lab.at(lab.router(small().routers[0]), "nft", "flush", "ruleset")
    eventually(lambda: lab.backend.read() == STATE, SOON)
