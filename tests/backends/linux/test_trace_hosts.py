"""trace() against real packets between hosts: what each host's facts say of a way is what is seen on the wires between them."""

from collections.abc import Generator, Mapping
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from mooring.compile.host import compile_host
from mooring.compile.journey import Address, FromGuest, FromUplink, Header, IpProtocol, Outcome, Packet
from mooring.compile.tour import tour
from mooring.compile.trace import round_trip, trace
from mooring.model.ids import uplink_name
from mooring.model.subjects import (
    Carrier,
    Direction,
    FilterRule,
    HostRole,
    NetworkIntent,
    NicFilter,
    NicIntent,
    PublicAddress,
    Subject,
    Trunk,
    Vxlan,
)
from tests.backends.lab import ECHO, eventually
from tests.backends.linux.hosts import ISP, Hosts, tunnelled
from tests.backends.linux.test_hosts import OWN, PUBLIC, Project, address, plug, settle
from tests.compile.walled import OUTWARD, group, own
from tests.strategies import uplink_id

pytestmark = pytest.mark.kernel


@pytest.fixture
def hosts(tmp_path: Path) -> Generator[Hosts]:
    tmp_path.chmod(0o755)
    made = Hosts(Path("/run") / tmp_path.name, 3)
    yield made
    made.close()


def asked(project: Project, src: IPv4Address, dst: IPv4Address) -> Packet:
    """Return the datagram that `Hosts.ask` sends."""
    entry = FromUplink(uplink_name(uplink_id(0))) if src == ISP else FromGuest(project.network)
    return Packet(Header(IpProtocol.UDP, src, dst, 40000, ECHO), entry)


def seen(frames: list[bytes], src: IPv4Address, dst: IPv4Address) -> bool:
    """Say whether a datagram went through a tunnel between these two."""
    pair = src.packed + dst.packed
    return any(
        inner[12:14] == b"\x08\x00" and inner[23] == 17 and inner[26:34] == pair for _, inner in tunnelled(frames)
    )


def test_a_datagram_goes_where_its_hosts_say(hosts: Hosts) -> None:
    """Two guests on each host but the third, whose guests are gone: from everybody to everybody, the router and nobody."""
    project = Project(hosts, 1)
    project.where = {0: 0, 1: 1, 2: 2, 3: 1}
    project.floating = {1: PublicAddress(PUBLIC, uplink_id(0))}
    settle(hosts, project)
    names = {guest: plug(hosts, project, guest) for guest in project.where}
    states = [compile_host(project.placed(host)) for host in range(3)]
    counts = dict.fromkeys(Outcome, 0)
    for sender, at in project.where.items():
        for dst in (*(address(guest) for guest in project.where if guest != sender), OWN.ip + 99):
            src = address(sender)
            journey = trace(states[at], asked(project, src, dst))
            with hosts.capture("und0", at) as frames:
                answer = hosts.ask(names[sender], dst)
            counts[journey.outcome] += 1
            assert seen(frames(), src, dst) is (journey.outcome is Outcome.CARRIED), f"{src} -> {dst}: {journey}"
            if journey.outcome is Outcome.CARRIED:
                (there,) = (guest for guest in project.where if address(guest) == dst)
                assert str(hosts.endpoint(project.where[there])) in journey.end
                assert journey.mac == project.nic(there).mac
            if at == 0:  # this host knows the whole network
                assert (answer is not None) is round_trip(states[0], asked(project, src, dst)).answered
    assert counts[Outcome.CARRIED] >= 8
    assert counts[Outcome.UNANSWERED] >= 1, counts


def test_the_gateways_host_says_what_becomes_of_guests_of_all_hosts(hosts: Hosts) -> None:
    project = Project(hosts, 1)
    project.where = {0: 0, 1: 1, 2: 2}
    project.floating = {2: PublicAddress(PUBLIC, uplink_id(0))}
    settle(hosts, project)
    names: dict[Address, str] = {address(guest): plug(hosts, project, guest) for guest in project.where}
    names[ISP] = hosts.outside
    state = compile_host(project.placed(0))
    for src, dst in ((address(0), ISP), (address(1), ISP), (address(2), ISP), (ISP, PUBLIC), (address(1), PUBLIC)):
        trip = round_trip(state, asked(project, src, dst))
        assert trip.answered, trip
        reached, as_whom = trip.there.header.dst, str(trip.there.header.src)
        assert hosts.ask(names[src], dst) == (names[reached], as_whom)
    nobody = asked(project, ISP, PUBLIC + 1)
    assert not round_trip(state, nobody).answered
    assert hosts.ask(hosts.outside, PUBLIC + 1) is None


def test_a_tunnel_that_is_not_told_where_a_guest_is_loses_what_is_for_it_or_knows_nobody(hosts: Hosts) -> None:
    """The facts of a peer are taken away on one host: that host's trace says so before anybody sends."""
    project = Project(hosts, 1)
    project.where = {1: 1, 2: 2}
    settle(hosts, project)
    names = {guest: plug(hosts, project, guest) for guest in project.where}
    sent = asked(project, address(1), address(2))
    assert trace(compile_host(project.placed(1)), sent).outcome is Outcome.CARRIED
    assert hosts.ask(names[1], address(2)) is not None
    lost = [(subject, role) for subject, role in project.placed(1) if subject != project.nic(2)]
    hosts.settle(1, lost)
    hosts.labs[1].at(names[1], "ip", "neigh", "flush", "all")
    assert trace(compile_host(lost), sent).outcome is Outcome.NOT_MODELLED
    assert hosts.ask(names[1], address(2)) is None
    settle(hosts, project)
    eventually(lambda: hosts.ask(names[1], address(2)) == (names[2], str(address(1))))


class Walled(Project):
    """A project whose ports are filtered; `members` are the groups of its guests."""

    groups = (own(2), group(3, *OUTWARD, FilterRule(Direction.INGRESS, 4, 17, ECHO, ECHO, remote_group=2)))
    members: Mapping[int, tuple[int, ...]] = {}

    def placed(self, host: int) -> list[tuple[Subject, HostRole]]:
        placed = [(self.walled(subject), role) for subject, role in super().placed(host)]
        placed += [(each, HostRole.COMPUTE) for each in self.groups]
        return [*placed, *((self.walled(self.nic(guest)), HostRole.MEMBER) for guest in self.where)]

    def walled(self, subject: Subject) -> Subject:
        if isinstance(subject, NetworkIntent):
            return replace(subject, zone=self.number)
        if isinstance(subject, NicIntent):
            guest = next(guest for guest in self.where if self.nic(guest).id == subject.id)
            return replace(subject, filter=NicFilter(self.members[guest]))
        return subject


@pytest.mark.parametrize("kind", [Vxlan, Trunk])
def test_filters_of_all_hosts_let_through_what_the_trace_says(hosts: Hosts, kind: type[Carrier]) -> None:
    """From everybody to everybody, the router's own and the provider, on three hosts; then with other groups."""
    project = Walled(hosts, 1, kind)
    project.where = {0: 0, 1: 1, 2: 2, 3: 1}
    project.floating = {1: PublicAddress(PUBLIC, uplink_id(0))}
    names: dict[IPv4Address, str] = {ISP: hosts.outside}
    told = {True: 0, False: 0}
    for members in ({0: (2,), 1: (2,), 2: (3,), 3: ()}, {0: (3,), 1: (2, 3), 2: (2,), 3: (3,)}):
        project.members = members
        settle(hosts, project)
        if len(names) == 1:
            names |= {address(guest): plug(hosts, project, guest) for guest in project.where}
        states = {str(host): compile_host(project.placed(host)) for host in range(3)}
        for src, name in names.items():
            at = str(next((host for guest, host in project.where.items() if address(guest) == src), 0))
            for dst in (*names, PUBLIC, OWN.ip + 99):
                if src == dst or (src == ISP and dst != PUBLIC):
                    continue  # the provider has no route to private addresses
                found = tour(states, at, asked(project, src, dst))
                last = found.there[-1].journey
                assert last.outcome is not Outcome.NOT_MODELLED or dst == OWN.ip + 99, str(found)
                told[found.answered] += 1
                answer = hosts.labs[0].ask(name, dst, wait=10 if found.answered else 0.4)
                assert (answer is not None) is found.answered, str(found)
    assert min(told.values()) >= 10, told
