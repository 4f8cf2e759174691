"""Networks between hosts, with real packets: tunnels that are told where everybody is, and one interface for all."""

import socket
from collections.abc import Generator
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

import pytest

from mooring.compile.facts import diff
from mooring.model.ids import NetworkId, NicId, RouterId, vlan_name
from mooring.model.subjects import (
    Carrier,
    HostRole,
    NetworkIntent,
    NicAddress,
    NicIntent,
    PublicAddress,
    RouterIntent,
    RouterPort,
    Subject,
    Trunk,
    TunnelPeer,
    Vlan,
    Vxlan,
)
from tests.backends.lab import eventually
from tests.backends.linux.hosts import ISP, Hosts, lease, tunnelled
from tests.strategies import SEGMENT, mac, router_uplink, uplink_id, uuid

pytestmark = pytest.mark.kernel

OWN = IPv4Interface("10.0.0.1/24")
PUBLIC = IPv4Address("198.51.100.16")
ARP, BROADCAST = b"\x08\x06", b"\xff" * 6
GATEWAY, COMPUTE, PEER = HostRole.GATEWAY, HostRole.COMPUTE, HostRole.PEER


@pytest.fixture
def hosts(tmp_path: Path) -> Generator[Hosts]:
    tmp_path.chmod(0o755)
    made = Hosts(Path("/run") / tmp_path.name, 3)
    yield made
    made.close()


class Project:
    """A project's network, its router on host 0, and guests that are .11, .12 ... with the same addresses and MACs in each project."""

    def __init__(self, hosts: Hosts, number: int, kind: type[Carrier] = Vxlan) -> None:
        self.hosts, self.number, self.kind = hosts, number, kind
        self.network, self.router = NetworkId(uuid("a", number)), RouterId(uuid("b", number))
        self.where: dict[int, int] = {}
        self.floating: dict[int, PublicAddress] = {}

    def nic(self, guest: int) -> NicIntent:
        fixed = NicAddress(OWN.ip + 10 + guest, (self.floating[guest],) if guest in self.floating else ())
        return NicIntent(
            id=NicId(uuid("d", 100 * self.number + guest)),
            generation=1,
            network=self.network,
            router=self.router,
            mac=mac(0xD0, guest),
            hostname=f"guest-{guest}",
            addresses=(fixed,),
            shared=(PublicAddress(router_uplink(self.number, 0).address.ip, uplink_id(0)),),
            endpoint=self.hosts.endpoint(self.where[guest]) if self.kind is Vxlan else None,
        )

    def placed(self, host: int) -> list[tuple[Subject, HostRole]]:
        port = RouterPort(self.network, mac(0xA0, 1), OWN, (), 1400, 3600)
        peer = TunnelPeer(port.mac, OWN.ip, self.hosts.endpoint(0)) if host else None
        carriers: dict[type[Carrier], Carrier] = {
            Vxlan: Vxlan(16 + self.number, self.hosts.endpoint(host), peer),
            Vlan: Vlan(SEGMENT, 100 + self.number),
            Trunk: Trunk(SEGMENT),
        }
        placed: list[tuple[Subject, HostRole]] = [(NetworkIntent(self.network, 1, 1400, carriers[self.kind]), COMPUTE)]
        if not host:
            placed.append((RouterIntent(self.router, 1, (port,), (router_uplink(self.number, 0),)), GATEWAY))
        for guest, at in self.where.items():
            nic = self.nic(guest)
            placed += [(nic, GATEWAY)] if not host else []
            if at == host:
                placed.append((nic, COMPUTE))
            elif self.kind is Vxlan:
                placed.append((nic, PEER))
        return placed


def settle(hosts: Hosts, *projects: Project) -> None:
    for host in range(len(hosts.labs)):
        hosts.settle(host, [each for project in projects for each in project.placed(host)])


def plug(hosts: Hosts, project: Project, guest: int, *, configured: bool = True) -> str:
    return hosts.guest(project.where[guest], project.nic(guest), OWN.ip if configured else None)


def address(guest: int) -> IPv4Address:
    return OWN.ip + 10 + guest


@pytest.fixture
def red(hosts: Hosts) -> Project:
    """A project with a guest on each host."""
    project = Project(hosts, 1)
    project.where = {0: 0, 1: 1, 2: 2}
    return project


def test_guests_of_all_hosts_reach_each_other_and_their_router(hosts: Hosts, red: Project) -> None:
    settle(hosts, red)
    names = [plug(hosts, red, guest) for guest in red.where]
    for sender in red.where:
        for receiver in red.where:
            if sender != receiver:
                assert hosts.ask(names[sender], address(receiver)) == (names[receiver], str(address(sender)))
        assert "1 received" in hosts.labs[0].at(names[sender], "ping", "-c1", "-W2", str(OWN.ip))


def test_projects_with_the_same_addresses_and_macs_are_not_mixed(hosts: Hosts, red: Project) -> None:
    blue = Project(hosts, 2)
    blue.where = {0: 2, 1: 1, 2: 2}
    settle(hosts, red, blue)
    for project in (red, blue):
        names = {guest: plug(hosts, project, guest) for guest in (1, 2)}
        for _ in range(3):
            assert hosts.ask(names[1], address(2)) == (names[2], str(address(1)))
            assert hosts.ask(names[2], address(1)) == (names[1], str(address(2)))


def test_arp_is_never_seen_between_hosts(hosts: Hosts, red: Project) -> None:
    settle(hosts, red)
    names = [plug(hosts, red, guest) for guest in red.where]
    with hosts.capture("und0", 1) as one, hosts.capture("und0", 2) as other:
        for sender, receiver in ((0, 1), (1, 2), (2, 0), (2, 1)):
            hosts.labs[0].at(names[sender], "ip", "neigh", "flush", "all")
            assert hosts.ask(names[sender], address(receiver)) is not None
        for name in names:
            assert hosts.labs[0].ask(name, OWN.ip + 99, wait=0.3) is None, "nobody has that"
    inner = tunnelled([*one(), *other()])
    assert len(inner) > 8, "the datagrams themselves go through"
    assert {vni for vni, _ in inner} == {17}
    assert not [frame for _, frame in inner if frame[12:14] == ARP]


def test_broadcasts_and_the_unknown_go_to_the_gateways_host_only(hosts: Hosts, red: Project) -> None:
    settle(hosts, red)
    guest = plug(hosts, red, 1)
    sender = hosts.labs[0].open(guest, socket.AF_PACKET, socket.SOCK_RAW, 0)
    sender.bind(("eth0", 0))
    nobody = bytes.fromhex("0200000000ee")
    with hosts.capture("und0", 0) as gateway, hosts.capture("und0", 2) as other:
        for target in (BROADCAST, nobody, bytes.fromhex("01005e000005")):
            sender.send(target + bytes.fromhex(mac(0xD0, 1).replace(":", "")) + b"\x88\xb5" + bytes(50))
    seen = [frame[:6] for _, frame in tunnelled(gateway()) if frame[12:14] == b"\x88\xb5"]
    assert sorted(seen) == sorted([BROADCAST, nobody, bytes.fromhex("01005e000005")])
    assert tunnelled(other()) == []


def test_hosts_say_nothing_of_their_own_in_a_tunnel(hosts: Hosts, red: Project) -> None:
    with hosts.capture("und0", 0) as frames:
        settle(hosts, red)
        plug(hosts, red, 2)
    inner = [frame for _, frame in tunnelled(frames())]
    assert not [frame for frame in inner if frame[12:14] != b"\x86\xdd"], "only the guest's own IPv6 may be heard"


def test_a_guest_asks_by_dhcp_for_its_address_across_hosts(hosts: Hosts, red: Project) -> None:
    settle(hosts, red)
    guest = plug(hosts, red, 2, configured=False)
    assert f"{address(2)} by {OWN.ip}" in lease(hosts, guest)
    assert hosts.ask(guest, ISP) == (hosts.outside, str(router_uplink(1, 0).address.ip))


def test_a_guest_has_a_way_in_and_out_by_the_router_of_another_host(hosts: Hosts, red: Project) -> None:
    settle(hosts, red)
    guest = plug(hosts, red, 2)
    assert hosts.ask(guest, ISP) == (hosts.outside, str(router_uplink(1, 0).address.ip))
    red.floating = {2: PublicAddress(PUBLIC, uplink_id(0))}
    settle(hosts, red)
    assert hosts.ask(guest, ISP) == (hosts.outside, str(PUBLIC))
    assert hosts.ask(hosts.outside, PUBLIC) == (guest, str(ISP))
    # All that the network takes at once goes through the tunnel and out, in one piece.
    assert "1 received" in hosts.labs[0].at(guest, *f"ping -c1 -W2 -s{1400 - 28} -Mdo {ISP}".split())


def test_a_guest_that_moves_is_found_on_its_new_host(hosts: Hosts, red: Project) -> None:
    red.where = {0: 0, 1: 1}
    settle(hosts, red)
    names = [plug(hosts, red, guest) for guest in red.where]
    assert hosts.ask(names[0], address(1)) == (names[1], str(address(0)))
    red.where = {0: 0, 1: 2}
    settle(hosts, red)
    moved = plug(hosts, red, 1)
    eventually(lambda: hosts.ask(names[0], address(1)) == (moved, str(address(0))))
    assert hosts.ask(moved, ISP) == (hosts.outside, str(router_uplink(1, 0).address.ip))


def test_back_ends_that_start_anew_know_all_and_lose_no_packet(hosts: Hosts, red: Project) -> None:
    settle(hosts, red)
    names = [plug(hosts, red, guest) for guest in red.where]
    assert hosts.ask(names[1], address(2)) is not None
    for number, lab in enumerate(hosts.labs):
        before = hosts.read(number)
        lab.restart()
        assert str(diff(hosts.read(number), before)) == ""
    assert hosts.ask(names[1], address(2)) == (names[2], str(address(1)))
    assert hosts.ask(names[2], address(0)) == (names[0], str(address(2)))


def _one_wire(hosts: Hosts, kind: type[Carrier]) -> None:
    """Hold for a network that is not told where guests are: they ask each other and the router themselves."""
    project = Project(hosts, 1, kind)
    project.where = {0: 0, 1: 1, 2: 2}
    settle(hosts, project)
    names = [plug(hosts, project, guest) for guest in project.where]
    for sender, receiver in ((0, 1), (1, 2), (2, 0)):
        assert hosts.ask(names[sender], address(receiver)) == (names[receiver], str(address(sender)))
    for name in names:
        assert hosts.ask(name, ISP) == (hosts.outside, str(router_uplink(1, 0).address.ip))
    # The network goes from a host: its guest is alone then, and the operator's interface as before.
    hosts.settle(2, [])
    assert hosts.ask(names[0], address(2)) is None
    assert hosts.ask(names[0], address(1)) == (names[1], str(address(0)))
    assert "master" not in hosts.labs[2].ip(hosts.labs[2].host, f"link show {SEGMENT}")


def test_one_interface_carries_a_network_between_hosts(hosts: Hosts) -> None:
    _one_wire(hosts, Trunk)


@pytest.mark.vm
def test_a_tag_carries_a_network_between_hosts(hosts: Hosts) -> None:
    _one_wire(hosts, Vlan)


@pytest.mark.vm
def test_tags_keep_projects_with_the_same_addresses_apart(hosts: Hosts) -> None:
    """Two projects between two hosts on one cable: each guest gets its address by DHCP, and reaches its own project's guests and router."""
    red, blue = projects = [Project(hosts, number, Vlan) for number in (1, 2)]
    red.where, blue.where = {1: 1, 2: 2}, {1: 1, 2: 2, 3: 1}
    settle(hosts, *projects)
    names = {
        project.number: {guest: plug(hosts, project, guest, configured=False) for guest in project.where}
        for project in projects
    }
    for project in projects:
        inside = names[project.number]
        for guest, name in inside.items():
            assert f"{address(guest)} by {OWN.ip}" in lease(hosts, name)
        for one, other in ((1, 2), (2, 1)):
            assert hosts.ask(inside[one], address(other)) == (inside[other], str(address(one)))
            assert "1 received" in hosts.labs[0].at(inside[one], *f"ping -c1 -W2 {address(other)}".split())
            assert hosts.ask(inside[one], ISP) == (hosts.outside, str(router_uplink(project.number, 0).address.ip))
    assert hosts.ask(names[2][2], address(3)) == (names[2][3], str(address(2)))
    # The other project's is on the same cable, and nobody that red could ask.
    assert hosts.ask(names[1][1], address(3)) is None
    assert hosts.ask(names[1][2], address(3)) is None
    for project in projects:
        device = vlan_name(project.network)
        for lab in hosts.labs:
            assert f"802.1Q id {100 + project.number} " in lab.ip(lab.host, f"-details link show {device}")
