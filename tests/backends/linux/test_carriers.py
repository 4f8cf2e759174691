"""Carriers in the kernel: what others do to them is noticed and repaired, what is the operator's is left alone."""

import errno
import json
import time
from ipaddress import IPv4Address
from typing import Any

import pytest

from mooring.agent.ledger import Ledger
from mooring.agent.settle import settle
from mooring.backends.linux.rtnl import Rtnl
from mooring.compile.carriers import EVERYBODY
from mooring.compile.facts import HOST, Delta, HostState, Key, Place, Refused, diff
from mooring.compile.host import compile_host
from mooring.compile.tables import FDB, NEIGHBOUR, TRUNK, VLAN, VXLAN
from mooring.model.ids import NetworkId, NicId, bridge_name, port_name, vxlan_name
from mooring.model.subjects import (
    Carrier,
    HostRole,
    NetworkIntent,
    NicAddress,
    NicIntent,
    Placement,
    Subject,
    Trunk,
    TunnelPeer,
    Vlan,
    Vxlan,
)
from tests.backends.lab import Lab, eventually
from tests.strategies import ENDPOINT, PEERS, SEGMENT, mac, uuid

pytestmark = pytest.mark.kernel

RED, BLUE = NetworkId(uuid("a", 7)), NetworkId(uuid("a", 8))
TUNNEL, BRIDGE, BLUE_BRIDGE = vxlan_name(RED), bridge_name(RED), bridge_name(BLUE)
GATEWAY = TunnelPeer(mac(0xA1, 0), IPv4Address("10.0.0.1"), PEERS[0])
GUEST, FAR = mac(0xD0, 1), IPv4Address("10.0.0.11")
SOON = 1.0
LINKWATCH = 1.2
"""Seconds after which the kernel says nothing more of a link that changed: some of it it saves up for a second."""


def nic(number: int, network: NetworkId = RED, endpoint: IPv4Address | None = PEERS[1]) -> NicIntent:
    address = NicAddress(IPv4Address("10.0.0.10") + number)
    return NicIntent(NicId(uuid("d", number)), 1, network, None, mac(0xD0, number), "g", (address,), endpoint=endpoint)


def network(id: NetworkId, carrier: Carrier | None, mtu: int = 1450) -> tuple[Subject, HostRole]:
    return NetworkIntent(id, 1, mtu, carrier), HostRole.COMPUTE


PEER = (nic(1), HostRole.PEER)
BASE = [network(RED, Vxlan(17, ENDPOINT, GATEWAY)), network(BLUE, Trunk(SEGMENT), 1500)]
STATE = compile_host([*BASE, PEER])

COMMANDS = {
    "the trunk is let go": f"ip link set {SEGMENT} nomaster",
    "the trunk is put elsewhere": f"ip link set {SEGMENT} master {BRIDGE}",
    "a stranger is put into our bridge": f"ip link add s0 type veth peer name s1; ip link set s0 master {BLUE_BRIDGE}",
    "the tunnel goes": f"ip link del {TUNNEL}",
    "the tunnel is unplugged": f"ip link set {TUNNEL} nomaster",
    "the tunnel is down": f"ip link set {TUNNEL} down",
    "the tunnel was down": f"ip link set {TUNNEL} down; ip link set {TUNNEL} up",
    "the tunnel's mtu changes": f"ip link set {TUNNEL} mtu 1300",
    "the tunnel has another mac": f"ip link set {TUNNEL} address 02:00:00:00:00:77",
    "the tunnel has another end": f"ip link set {TUNNEL} type vxlan id 17 local 192.168.77.9",
    "the tunnel speaks IPv6": f"sysctl -qw net.ipv6.conf.{TUNNEL}.disable_ipv6=0; ip link set {TUNNEL} down",
    "the tunnel is another one": f"ip link del {TUNNEL}; ip link add {TUNNEL} type vxlan id 17 dstport 4789; "
    f"ip link set {TUNNEL} master {BRIDGE} up",
    "the tunnel's name is a bridge's": f"ip link del {TUNNEL}; ip link add {TUNNEL} type bridge",
    "the bridge doesn't learn from the tunnel": f"bridge link set dev {TUNNEL} learning off",
    "the bridge doesn't flood the tunnel": f"bridge link set dev {TUNNEL} flood off",
    "the bridge sends back into the tunnel": f"bridge link set dev {TUNNEL} hairpin on",
    "a forwarding entry goes": f"bridge fdb del {GUEST} dev {TUNNEL} self",
    "a forwarding entry leads elsewhere": f"bridge fdb replace {GUEST} dev {TUNNEL} dst 192.168.77.9 self permanent",
    "a forwarding entry has a VNI of its own": f"bridge fdb replace {GUEST} dev {TUNNEL} dst {PEERS[1]} vni 5 self permanent",
    "a forwarding entry comes": f"bridge fdb add 02:00:00:00:00:55 dev {TUNNEL} dst {PEERS[1]} self permanent",
    "a forwarding entry is of one that fades": f"bridge fdb replace {GUEST} dev {TUNNEL} dst {PEERS[1]} self dynamic",
    "everybody has nobody": f"bridge fdb del {EVERYBODY} dev {TUNNEL} self",
    "everybody has another": f"bridge fdb append {EVERYBODY} dev {TUNNEL} dst 192.168.77.9 self permanent; "
    f"bridge fdb del {EVERYBODY} dev {TUNNEL} dst {PEERS[0]} self",
    "everybody has two": f"bridge fdb append {EVERYBODY} dev {TUNNEL} dst 192.168.77.9 self permanent",
    "forwarding is flushed": f"bridge fdb flush dev {TUNNEL}",
    "a neighbour goes": f"ip neigh del {FAR} dev {TUNNEL}",
    "a neighbour is another": f"ip neigh replace {FAR} dev {TUNNEL} lladdr 02:00:00:00:00:55 nud permanent",
    "a neighbour may fade": f"ip neigh replace {FAR} dev {TUNNEL} lladdr {GUEST} nud stale",
    "a neighbour comes": f"ip neigh add 10.0.0.99 dev {TUNNEL} lladdr 02:00:00:00:00:55 nud permanent",
    "neighbours are flushed": f"ip neigh flush dev {TUNNEL} nud permanent",
}


class Doubts(list[Place]):
    """What was doubted."""

    def quiet(self, seconds: float = 0.2) -> None:
        while True:
            count = len(self)
            time.sleep(seconds)
            if len(self) == count:
                break
        self.clear()


@pytest.fixture
def doubts(lab: Lab) -> Doubts:
    lab.settle(STATE)
    heard = Doubts()
    lab.backend.watch(heard.append)
    lab.backend.read()
    heard.quiet()
    return heard


def link(lab: Lab, name: str) -> dict[str, Any] | None:
    found: list[dict[str, Any]] = json.loads(lab.at(lab.host, "ip", "-json", "-details", "link", "show"))
    return next((each for each in found if each["ifname"] == name), None)


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_it_is_noticed_and_repaired_when(lab: Lab, doubts: Doubts, command: str) -> None:
    lab.at(lab.host, "sh", "-ec", command)
    eventually(lambda: HOST in doubts, SOON)
    delta = diff(lab.backend.read(), STATE)
    if "address 02" in command:  # its neighbours go with its old one, and it may have any
        assert {key.table for key in delta.put} == {NEIGHBOUR}
    assert delta
    lab.backend.apply(delta)
    assert str(diff(lab.backend.read(), STATE)) == ""


def test_a_tunnel_is_repaired_in_place(lab: Lab) -> None:
    lab.settle(STATE)
    before = link(lab, TUNNEL)
    lab.at(lab.host, "sh", "-ec", f"ip link set {TUNNEL} nomaster mtu 1300; bridge link set dev {SEGMENT} learning off")
    lab.settle(STATE)
    after = link(lab, TUNNEL)
    assert before is not None
    assert after is not None
    assert before["ifindex"] == after["ifindex"]


def test_a_tunnel_says_nothing_of_its_own_and_learns_nothing(lab: Lab) -> None:
    lab.settle(STATE)
    found = link(lab, TUNNEL)
    assert found is not None
    data = found["linkinfo"]["info_data"]
    assert (data["id"], data["local"], data["port"], data["learning"], data["proxy"], data["ttl"]) == (
        17,
        str(ENDPOINT),
        4789,
        False,
        True,
        64,
    )
    assert found["inet6_addr_gen_mode"] == "none"
    assert lab.at(lab.host, "sysctl", "-n", f"net.ipv6.conf.{TUNNEL}.disable_ipv6").strip() == "1"


def test_own_entries_raise_no_doubt(lab: Lab, doubts: Doubts) -> None:
    moved = compile_host([*BASE, (nic(1, endpoint=PEERS[0]), HostRole.PEER)])
    more = compile_host([*BASE, PEER, (nic(2), HostRole.PEER)])
    other = TunnelPeer(mac(0xA1, 5), GATEWAY.address, PEERS[1])
    gateway = compile_host([network(RED, Vxlan(17, ENDPOINT, other)), BASE[1], PEER])
    doubts.quiet(LINKWATCH)
    for state in (more, STATE, moved, STATE, gateway, STATE):
        lab.settle(state)
        time.sleep(0.1)  # two changes back and forth at once may be taken for somebody's
    time.sleep(0.2)
    assert doubts == []


def test_what_bridges_and_the_host_learn_raises_no_doubt(lab: Lab, doubts: Doubts) -> None:
    lab.ip(lab.host, f"link set {SEGMENT}-end up")
    doubts.quiet(LINKWATCH)
    for command in (
        f"bridge fdb add 02:00:00:00:00:66 dev {SEGMENT} master dynamic",
        "ip neigh add 10.99.0.1 lladdr 02:00:00:00:00:66 dev ext0",
        "ip neigh del 10.99.0.1 dev ext0",
        "ip link add own0 type vxlan id 99 dstport 4790 remote 192.0.2.1",
        "bridge fdb add 02:00:00:00:00:66 dev own0 dst 192.0.2.2",
        "ip link del own0",
    ):
        lab.at(lab.host, *command.split())
    time.sleep(0.3)
    assert doubts == []
    assert lab.backend.read() == STATE


def test_after_a_restart_all_is_known(lab: Lab) -> None:
    lab.settle(STATE)
    lab.restart()
    assert not diff(lab.backend.read(), STATE)
    lab.settle({})
    assert lab.backend.read() == {}
    assert link(lab, TUNNEL) is None


# ------------------------------------------------------------------------------------------------ the operator's interface


def test_of_a_trunk_nothing_changes_but_whose_port_it_is(lab: Lab) -> None:
    lab.ip(lab.host, f"link set {SEGMENT} mtu 1400 alias spare")
    volatile = {"master", "promiscuity", "allmulti"}

    def features() -> dict[str, Any]:
        found = link(lab, SEGMENT)
        assert found is not None
        found["linkinfo"] = found["linkinfo"]["info_kind"]
        return {name: value for name, value in found.items() if name not in volatile}

    before = features()
    lab.settle(STATE)
    found = link(lab, SEGMENT)
    assert found is not None
    assert found["master"] == BLUE_BRIDGE
    lab.settle({})
    found = link(lab, SEGMENT)
    assert found is not None
    assert "master" not in found
    assert features() == before


@pytest.mark.parametrize(
    "command, reason",
    [
        (f"ip link add br0 type bridge; ip link set {SEGMENT} master br0", "is a port of br0, which is not ours"),
        (f"ip address add 172.16.0.1/24 dev {SEGMENT}", r"addresses of the host's own \(172.16.0.1/24\)"),
        (f"ip link del {SEGMENT}", f"the host has no interface {SEGMENT}"),
    ],
)
def test_an_interface_that_serves_another_purpose_is_not_taken(lab: Lab, command: str, reason: str) -> None:
    lab.at(lab.host, "sh", "-ec", command)
    with pytest.raises(Refused, match=reason):
        lab.settle(STATE)


def test_a_trunk_that_vanishes_is_absent_and_taken_when_it_is_back(lab: Lab, doubts: Doubts) -> None:
    lab.ip(lab.host, f"link del {SEGMENT}")
    eventually(lambda: HOST in doubts, SOON)
    gone = diff(lab.backend.read(), STATE)
    assert [key.table for key in gone.put] == [TRUNK]
    assert not gone.drop
    with pytest.raises(Refused, match=SEGMENT):
        lab.backend.apply(gone)
    doubts.quiet()
    lab.ip(lab.host, f"link add {SEGMENT} type veth peer name {SEGMENT}-end")
    eventually(lambda: HOST in doubts, SOON)
    lab.settle(STATE)
    assert lab.backend.read() == STATE


# --------------------------------------------------------------------------------------------------------------- VLANs


def placements(*placed: tuple[Subject, HostRole]) -> list[Placement]:
    return [Placement(subject.key, subject.generation, role, subject) for subject, role in placed]


def test_a_kernel_without_vlans_says_so_and_the_rest_goes_on(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def add(self: Rtnl, kind: str, name: str, **settings: Any) -> None:
        if kind == "vlan":
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        real(self, kind, name, **settings)

    real = Rtnl.add
    monkeypatch.setattr(Rtnl, "add", add)
    green = NetworkId(uuid("a", 9))
    tagged = network(green, Vlan(SEGMENT, 100))
    guests = [(nic(1), HostRole.PEER), (nic(2, BLUE, None), HostRole.COMPUTE), (nic(3, green, None), HostRole.COMPUTE)]
    ledger = Ledger()
    ledger.hold(placements(*BASE, tagged, *guests))
    ledger.observe(lab.backend.read())
    settle(ledger, lab.backend)
    (part,) = ledger.refused
    assert part.key == tagged[0].key
    assert ledger.refused[part].endswith("this kernel has no 802.1Q devices: modprobe 8021q, or use a vxlan network")
    state = compile_host([*BASE, tagged, *guests])
    wrong = diff(lab.backend.read(), state)
    assert [key.table for key in wrong.put] == [VLAN]
    assert link(lab, port_name(NicId(uuid("d", 3)))) is not None


def tagged(*tags: int, interface: str = SEGMENT, mtu: int = 1500) -> HostState:
    networks = [network(NetworkId(uuid("a", 20 + at)), Vlan(interface, tag), mtu) for at, tag in enumerate(tags)]
    return compile_host(networks)


@pytest.mark.vm
def test_vlans_come_change_and_go(lab: Lab) -> None:
    for tags in ((100, 200), (200, 100), (100,), (4094, 1), ()):
        lab.settle(tagged(*tags))
        assert str(diff(lab.backend.read(), tagged(*tags))) == ""
    lab.settle(tagged(100))
    lab.restart()
    assert lab.backend.read() == tagged(100)


@pytest.mark.vm
def test_a_vlan_that_somebody_changed_is_repaired(lab: Lab) -> None:
    (device,) = (str(key.row[0]) for key in tagged(100) if key.table == VLAN)
    for command in (
        f"ip link set {device} nomaster",
        f"ip link set {device} down",
        f"ip link set {device} mtu 1300",
        f"ip link del {device}",
        f"ip link del {device}; ip link add link {SEGMENT} name {device} type vlan id 7",
        f"ip link del {device}; ip link add link {SEGMENT} name {device} type vlan protocol 802.1ad id 100",
        f"ip link del {device}; ip link add link ext0 name {device} type vlan id 100",
        f"ip link set {SEGMENT} down; ip link set {SEGMENT} up; ip link set {device} down",
        f"bridge link set dev {device} learning off",
    ):
        lab.settle(tagged(100))
        lab.at(lab.host, "sh", "-ec", command)
        assert {key.table for key in diff(lab.backend.read(), tagged(100)).put} == {VLAN}
        lab.settle(tagged(100))
        assert lab.backend.read() == tagged(100)


@pytest.mark.vm
@pytest.mark.parametrize(
    "command, state, reason",
    [
        (
            f"ip link add link {SEGMENT} name theirs type vlan id 100",
            tagged(100),
            f"tag 100 of {SEGMENT} is in use by theirs",
        ),
        ("true", tagged(100, interface="nosuch0"), "the host has no interface nosuch0"),
        (f"ip link set {SEGMENT} down", tagged(100), f"{SEGMENT} is down"),
        (f"ip link set {SEGMENT} mtu 1400", tagged(100), f"{SEGMENT} takes 1400 bytes at most"),
    ],
)
def test_a_vlan_that_cannot_be_is_refused_with_its_reason(
    lab: Lab, command: str, state: HostState, reason: str
) -> None:
    lab.at(lab.host, "sh", "-ec", command)
    with pytest.raises(Refused, match=reason):
        lab.settle(state)


@pytest.mark.vm
def test_a_vlan_follows_its_interface(lab: Lab) -> None:
    lab.settle(tagged(100))
    lab.ip(lab.host, f"link set {SEGMENT} down")
    assert diff(lab.backend.read(), tagged(100))
    lab.ip(lab.host, f"link set {SEGMENT} up")
    assert lab.backend.read() == tagged(100)


@pytest.mark.vm
def test_an_interface_carries_tags_and_a_network_of_its_own(lab: Lab) -> None:
    state = compile_host([network(BLUE, Trunk(SEGMENT), 1500), network(RED, Vlan(SEGMENT, 100))])
    lab.settle(state)
    assert lab.backend.read() == state
    lab.ip(lab.host, f"link del {SEGMENT}")
    assert not any(key.table in (VLAN, TRUNK, VXLAN, FDB) for key in lab.backend.read())
    assert isinstance(diff(lab.backend.read(), state), Delta)
    assert Key(TRUNK, HOST, (SEGMENT,)) not in lab.backend.read()
