"""What others do to a host: everything of ours is repaired, nothing of theirs is touched, and a new agent sees what the old one saw."""

import contextlib
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from mooring.agent.interfaces import Refused
from mooring.backends.linux import processes
from mooring.compile.facts import Delta, diff, lines
from mooring.compile.tables import BRIDGE, FIP_IN, PORT
from mooring.model.ids import bridge_name, guest_end_name, inner_name, plug_name, port_name, uplink_name
from tests.backends.lab import Lab, eventually
from tests.compile.small import ALICE, BLUE, FIRST, RED, small
from tests.strategies import uuid

pytestmark = pytest.mark.kernel

CLOUD = small()
STATE = CLOUD.state
UPLINK = uplink_name(FIRST.uplink)
BRIDGE_RED, PLUG, INNER, ALICES_PORT = bridge_name(RED), plug_name(RED), inner_name(RED), port_name(ALICE)
STRANGER = "mp0123456789a"

ON_THE_HOST = {
    "a bridge is deleted": f"ip link del {BRIDGE_RED}",
    "a bridge is down": f"ip link set {BRIDGE_RED} down",
    "a bridge has another mtu": f"ip link set {BRIDGE_RED} mtu 1280",
    "a bridge learns spanning trees": f"ip link set {BRIDGE_RED} type bridge stp_state 1",
    "a bridge speaks IPv6": f"sysctl -qw net.ipv6.conf.{BRIDGE_RED}.disable_ipv6=0",
    "a port is deleted": f"ip link del {ALICES_PORT}",
    "a port is unplugged": f"ip link set {ALICES_PORT} nomaster",
    "a port is in the wrong bridge": f"ip link set {ALICES_PORT} master {bridge_name(BLUE)}",
    "a port is down": f"ip link set {ALICES_PORT} down",
    "a port has another mtu": f"ip link set {ALICES_PORT} mtu 1280",
    "a guest's end has another name": f"ip link set {guest_end_name(ALICE)} name mg0123456789a",
    "a router is unplugged": f"ip link set {PLUG} nomaster",
    "a router is in the wrong bridge": f"ip link set {PLUG} master {bridge_name(BLUE)}",
    "a router's plug is down": f"ip link set {PLUG} down",
    "a router's plug is deleted": f"ip link del {PLUG}",
    "there is a bridge more": "ip link add mb0123456789a type bridge",
    "there is a port more": f"ip link add {STRANGER} type veth peer name mg0123456789a",
    "a bridge's name is a port's": f"ip link del {BRIDGE_RED}; ip link add {BRIDGE_RED} type veth peer name other",
}

IN_THE_ROUTER = {
    "a device has another hardware address": f"ip link set {INNER} address 02:00:00:00:00:99",
    "a device is down": f"ip link set {INNER} down",
    "a device has another mtu": f"ip link set {INNER} mtu 1280",
    "an uplink is down": f"ip link set {UPLINK} down",
    "an uplink is deleted": f"ip link del {UPLINK}",
    "an uplink is in no group": f"ip link set {UPLINK} group 0",
    "an uplink has another hardware address": f"ip link set {UPLINK} address 02:00:00:00:00:99",
    "an uplink is private": f"ip link set {UPLINK} type macvlan mode private",
    "there is a device more": "ip link add other type veth peer name another",
    "an address is deleted": f"ip address flush dev {INNER}",
    "there is an address more": f"ip address add 10.9.9.9/24 dev {INNER}",
    "the default route is deleted": "ip route del default",
    "the default route leads elsewhere": "ip route replace default via 198.51.100.77",
    "there are two default routes": "ip route add default via 198.51.100.77 metric 5",
    "there is a route more": "ip route add 192.0.2.0/24 via 198.51.100.77",
    "a route is a hole": "ip route replace blackhole 198.51.100.16/29",
    "the loopback is down": "ip link set lo down",
    "nothing is forwarded": "sysctl -qw net.ipv4.ip_forward=0",
    "arp is not proxied": f"sysctl -qw net.ipv4.conf.{UPLINK}.proxy_arp=0",
    "arp is answered late": f"sysctl -qw net.ipv4.neigh.{UPLINK}.proxy_delay=80",
    "bridges are filtered": "sysctl -qw net.bridge.bridge-nf-call-iptables=1",
    "an element is deleted": f"nft delete element ip mooring fip_in {{ {FIRST.address} }}",
    "an element is deleted from a set": "nft flush set ip mooring pair",
    "an element leads elsewhere": (
        f"nft delete element ip mooring fip_in {{ {FIRST.address} }}; "
        f"nft add element ip mooring fip_in {{ {FIRST.address} : 10.0.1.99 }}"
    ),
    "there is an element more": "nft add element ip mooring fip_in { 198.51.100.99 : 10.0.1.99 }",
    "there is a prefix more": f'nft add element ip mooring public {{ "{UPLINK}" . 10.0.0.0/8 }}',
    "there is a range more": f'nft add element ip mooring public {{ "{UPLINK}" . 10.0.0.1-10.0.0.9 }}',
    "there is an owned address more": f'nft add element arp mooring owned {{ "{UPLINK}" . 198.51.100.99 }}',
    "a rule is deleted": "nft flush chain ip mooring checked",
    "there is a rule more": "nft add rule ip mooring passing accept",
    "there is a chain more": "nft add chain ip mooring other",
    "there is a set more": "nft 'add set ip mooring other { type ipv4_addr; }'",
    "a chain's policy is another": "nft chain ip mooring passing { policy accept\\; }",
    "a set has other types": (
        "nft delete table ip mooring; nft add table ip mooring; "
        "nft 'add set ip mooring pair { type inet_service; elements = { 1, 2 } }'"
    ),
    "a table sleeps": "nft add table ip mooring { flags dormant\\; }",
    "a table is deleted": "nft delete table arp mooring",
    "all tables are deleted": "nft flush ruleset",
    "there is a table more": "nft add table inet mooring",
}


def shell(lab: Lab, namespace: str, command: str) -> None:
    lab.at(namespace, "sh", "-ec", command)


def check_repair(lab: Lab) -> Delta:
    """Repair as an agent does, and see that nothing is left; return what it took."""
    delta = diff(lab.backend.read(), STATE)
    assert delta, "it was not noticed"
    lab.backend.apply(delta)
    assert str(diff(lab.backend.read(), STATE)) == ""
    return delta


@pytest.mark.parametrize("command", ON_THE_HOST.values(), ids=ON_THE_HOST)
def test_the_host_is_repaired_when(lab: Lab, command: str) -> None:
    lab.settle(STATE)
    shell(lab, lab.host, command)
    check_repair(lab)


@pytest.mark.parametrize("command", IN_THE_ROUTER.values(), ids=IN_THE_ROUTER)
def test_the_router_is_repaired_when(lab: Lab, command: str) -> None:
    lab.settle(STATE)
    shell(lab, lab.router(CLOUD.routers[0]), command)
    check_repair(lab)


def test_a_router_whose_name_is_gone_is_made_again(lab: Lab) -> None:
    lab.settle(STATE)
    subprocess.run(["ip", "netns", "delete", lab.router(CLOUD.routers[0])], check=True)
    check_repair(lab)


def test_a_router_that_was_made_by_hand_meanwhile_is_completed(lab: Lab) -> None:
    lab.settle(STATE)
    name = lab.router(CLOUD.routers[0])
    for verb in ("delete", "add"):
        subprocess.run(["ip", "netns", verb, name], check=True)
    check_repair(lab)


def test_a_name_that_a_crash_left_is_no_router(lab: Lab) -> None:
    Path("/run/netns", lab.router(CLOUD.routers[0])).touch()
    check_repair(lab)
    lab.settle({})
    Path("/run/netns", lab.router(CLOUD.routers[0])).touch()
    lab.settle({})
    assert lab.backend.read() == {}


def test_a_device_that_is_made_anew_has_its_server_again(lab: Lab) -> None:
    lab.settle(STATE)
    before = {process.id for process in servers(lab)}
    shell(lab, lab.host, f"ip link del {PLUG}")
    check_repair(lab)
    assert len(before & {process.id for process in servers(lab)}) == 1, "the other network's goes on"


def test_what_is_right_is_left_alone_when_something_beside_it_is_repaired(lab: Lab) -> None:
    lab.settle(STATE)
    router = lab.router(CLOUD.routers[0])
    before = lab.ip(router, "-o link show")
    shell(lab, lab.host, f"ip link set {PLUG} nomaster; ip link set {BRIDGE_RED} mtu 1280")
    shell(lab, router, "nft flush ruleset; ip route del default")
    check_repair(lab)
    assert lab.ip(router, "-o link show") == before


def test_a_guest_keeps_its_end_when_the_port_is_repaired(lab: Lab) -> None:
    lab.settle(STATE)
    guest = lab.guest(CLOUD.nics[0], CLOUD.routers[0])
    assert lab.backend.read() == STATE
    shell(lab, lab.host, f"ip link set {ALICES_PORT} nomaster down")
    assert {key.table for key in check_repair(lab).put} == {PORT}
    assert "eth0" in lab.ip(guest, "-o link show")


def test_what_is_not_ours_is_never_touched(lab: Lab) -> None:
    router = lab.router(CLOUD.routers[0])
    lab.settle(STATE)
    foreign = lab.add(f"{lab.tag}-other")
    shell(
        lab,
        lab.host,
        "ip link add docker0 type bridge; ip link set docker0 up; ip address add 172.17.0.1/16 dev docker0;"
        "ip link add mbridge type bridge; ip link add mp-mine type veth peer name mg-mine;"
        "ip address add 192.0.2.5/24 dev ext0; ip route add 203.0.113.0/24 via 192.0.2.1; nft add table ip mooring;"
        "nft add table inet filter",
    )
    shell(lab, router, "nft add table inet other; nft add chain inet other c")
    shell(lab, foreign, "nft add table ip mooring; ip link add mb0123456789a type bridge")

    def everything() -> list[str]:
        looks = ("ip -o link", "ip -o -4 address", "ip route", "nft list tables", "ip rule")
        return [lab.at(where, *look.split()) for where in (lab.host, foreign) for look in looks]

    def theirs() -> list[str]:
        kept = ("docker0", "mbridge", "mp-mine", "mg-mine", "ext0", "203.0.113", "inet", "ip mooring", "mb0123456789a")
        return [
            line.split("@")[0] for text in everything() for line in text.splitlines() if any(it in line for it in kept)
        ]

    before = theirs()
    assert lab.backend.read() == STATE
    lab.settle({**{key: value for key, value in STATE.items() if key.table == BRIDGE}})
    lab.settle(STATE)
    lab.settle({})
    assert [line for line in theirs() if "link/ether" not in line] == [
        line for line in before if "link/ether" not in line
    ]


def servers(lab: Lab) -> list[processes.Process]:
    return [each for each in processes.named("dnsmasq") if any(str(lab.run) in word for word in each.arguments)]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV])
def test_a_server_that_ends_is_started_again(lab: Lab, number: signal.Signals) -> None:
    lab.settle(STATE)
    for process in servers(lab):
        subprocess.run(["kill", f"-{number.value}", str(process.id)], check=True)
    eventually(lambda: not servers(lab))
    check_repair(lab)


@pytest.mark.parametrize(
    "command",
    [
        "for f in $(find . -name 'server-*.conf'); do echo '# by hand' >> $f; done",
        "find . -name 'server-*.conf' -delete",
        "rm -r *",
        "find . -name hosts -delete",
        "for f in $(find . -name hosts); do echo 02:00:00:00:00:98,10.0.1.98 >> $f; done",
        "for f in $(find . -name hosts); do echo dhcp-range=1.2.3.4 >> $f; done",
        "for f in $(find . -name hosts); do cat $f $f > new; mv new $f; done",
        "for f in $(find . -name hosts); do rm $f; mkdir $f; done",
    ],
)
def test_files_of_a_server_are_repaired(lab: Lab, command: str) -> None:
    lab.settle(STATE)
    subprocess.run(["sh", "-ec", command], cwd=lab.run / "dnsmasq", check=True)
    check_repair(lab)


def test_a_second_server_of_a_network_is_ended(lab: Lab) -> None:
    lab.settle(STATE)
    first = servers(lab)[0]
    other = lab.add(f"{lab.tag}-other")
    shell(lab, other, f"ip link add {INNER} type veth peer name x; ip address add 10.0.1.1/24 dev {INNER}")
    shell(
        lab,
        other,
        f"ip link add {inner_name(BLUE)} type veth peer name y; ip address add 10.0.2.1/24 dev {inner_name(BLUE)}",
    )
    lab.at(other, *first.arguments)
    check_repair(lab)
    assert len(servers(lab)) == 2


def test_a_new_agent_sees_what_the_old_one_saw(lab: Lab) -> None:
    lab.settle(STATE)
    lab.restart()
    assert list(lines(lab.backend.read())) == list(lines(STATE))


_AGENT = """
import sys
from pathlib import Path
from mooring.backends.linux.backend import LinuxBackend
from mooring.compile.facts import diff
from tests.compile.small import small
backend = LinuxBackend(Path(sys.argv[1]), sys.argv[2])
backend.watch(lambda place: None)
state = small(others=200).state
for _ in range(1000):
    print("now", flush=True)
    backend.apply(diff(backend.read(), state))
    backend.apply(diff(backend.read(), {}))
"""


@pytest.mark.parametrize("moment", [0.0, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.25])
def test_an_agent_killed_at_any_moment_is_followed_by_one_that_completes_its_work(lab: Lab, moment: float) -> None:
    command = [sys.executable, "-c", _AGENT, str(lab.run), lab.host]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, env={"PYTHONPATH": "src:.", "PATH": "/usr/sbin:/usr/bin"}
    ) as agent:
        assert agent.stdout is not None
        agent.stdout.readline()
        with contextlib.suppress(subprocess.TimeoutExpired):
            agent.wait(moment)
        agent.kill()
    lab.settle(STATE)
    assert list(lines(lab.backend.read())) == list(lines(STATE))
    lab.settle({})
    assert lab.backend.read() == {}
    assert not servers(lab)


def test_a_refusal_is_followed_by_what_the_kernel_says(lab: Lab) -> None:
    lab.settle(STATE)
    shell(lab, lab.router(CLOUD.routers[0]), f"nft delete element ip mooring fip_in {{ {FIRST.address} }}")
    stale = diff(STATE, CLOUD.without(FIRST).state)
    assert any(key.table == FIP_IN for key in stale.drop)
    with pytest.raises(Refused, match="fip_in"):
        lab.backend.apply(stale)
    assert uuid("c", 0) == FIRST.uplink
    lab.settle(CLOUD.without(FIRST).state)
    assert lab.backend.read() == CLOUD.without(FIRST).state
