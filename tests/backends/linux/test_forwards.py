"""Forwarded ports with real packets: who is reached by which port, what ends with a forwarding and what goes on, and by which way answers come.

There are two providers, guests leave by the first.
"""

import socket
from collections.abc import Generator
from dataclasses import replace
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from mooring.compile.journey import FromGuest, FromUplink, Header, IpProtocol, Outcome, Packet
from mooring.compile.trace import round_trip
from mooring.model.ids import NicId, uplink_name
from mooring.model.subjects import NicIntent, PortForwarding, PublicAddress, Transport
from tests.backends.lab import ECHO, Lab
from tests.compile.small import ALICE, BOB, CAROL, FREE, small
from tests.strategies import Cloud, forwarding, pool, provider, router_uplink, uplink_id

pytestmark = pytest.mark.kernel

PATIENCE, IMPATIENCE = 10.0, 0.3
"""For how many seconds an answer is awaited that must come, and one that must not."""
ISP = provider(0).network_address + 1
ALICES, BOBS, CAROLS = (IPv4Address(text) for text in ("10.0.1.3", "10.0.1.4", "10.0.2.3"))
SECOND = pool(1)[3]
"""An address of the second provider."""
SAME_PORTS = (8000, 8015, 8016, 8255, 8256, 8300)
"""Some of a range that is forwarded as it is, at the ends of its blocks."""


def udp(first: int, last: int, to: int, public: PublicAddress = FREE) -> PortForwarding:
    return PortForwarding(public, Transport.UDP, first, last, to)


def tcp(port: int, to: int) -> PortForwarding:
    return PortForwarding(FREE, Transport.TCP, port, port, to)


def two_providers() -> Cloud:
    """Return the small cloud with a second uplink; nobody has a floating IP."""
    cloud = small().without(pool(0)[0]).without(pool(0)[1])
    uplinks = tuple(router_uplink(0, number) for number in range(2))
    shared = tuple(PublicAddress(side.address.ip, side.uplink) for side in uplinks)
    nics = tuple(replace(nic, shared=shared if nic.shared else ()) for nic in cloud.nics)
    return replace(cloud, routers=(replace(cloud.routers[0], uplinks=uplinks),), nics=nics)


class Quay:
    """The cloud with its guests plugged in, who answer datagrams; so do the providers."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.bare = self.cloud = two_providers()
        lab.settle(self.cloud.state)
        router = self.cloud.routers[0]
        self.alice, self.bob, self.carol, self.dave = (lab.guest(nic, router) for nic in self.cloud.nics)
        self.isps = [lab.isp(number) for number in range(2)]
        for each in (self.alice, self.bob, self.carol, self.dave, *self.isps):
            lab.echo(each)
        for port in (*SAME_PORTS, 7999, 8301):
            lab.echo(self.bob, port)

    def become(self, cloud: Cloud) -> None:
        self.lab.settle(cloud.state)
        self.cloud = cloud

    def forward(self, forward: PortForwarding, nic: NicId = BOB, fixed: IPv4Address = BOBS) -> None:
        self.become(self.cloud.forwarding(forward, nic, fixed))

    def end(self, forward: PortForwarding) -> None:
        self.become(self.cloud.unforwarding(forward))

    def ask(self, port: int, who: str = "", public: PublicAddress = FREE) -> tuple[str, str] | None:
        """Return who answers at a port, and as whom the asker was seen; the first provider asks."""
        return self.lab.ask(who or self.isps[0], public.address, port, PATIENCE)

    def silent(self, port: int, who: str = "", public: PublicAddress = FREE) -> bool:
        return self.lab.ask(who or self.isps[0], public.address, port, IMPATIENCE) is None

    def connected(self, port: int, server: str, to: int) -> tuple[socket.socket, socket.socket]:
        """Connect to a port from outside; return both ends."""
        listener = self.lab.stream(server, to)
        caller = self.lab.open(self.isps[0], kind=socket.SOCK_STREAM)
        caller.settimeout(PATIENCE)
        caller.connect((str(FREE.address), port))
        answerer = self.lab.keep(listener.accept()[0])
        listener.close()
        return caller, answerer

    def flows(self, *options: str) -> str:
        return self.lab.at(self.lab.router(self.cloud.routers[0]), "conntrack", "-L", *options)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Generator[Quay]:
    path = tmp_path_factory.mktemp("quay")
    path.chmod(0o755)
    lab = Lab(Path("/run") / path.name, uplinks=2)
    try:
        yield Quay(lab)
    finally:
        lab.close()


@pytest.fixture
def quay(built: Quay) -> Quay:
    """Return the quay as it was built, whatever other tests left."""
    built.become(built.bare)
    built.lab.at(built.lab.router(built.cloud.routers[0]), "conntrack", "-F")
    return built


def passes(sender: socket.socket, receiver: socket.socket, text: bytes, wait: float = PATIENCE) -> bool:
    """Say whether something sent arrives."""
    receiver.settimeout(wait)
    try:
        sender.send(text)
        return receiver.recv(100) == text
    except (TimeoutError, ConnectionResetError):
        return False


def test_ports_of_one_address_lead_to_several_guests_and_no_other_port_anywhere(quay: Quay) -> None:
    assert quay.silent(5300)
    quay.forward(udp(5300, 5300, ECHO))
    quay.forward(udp(5301, 5301, ECHO), CAROL, CAROLS)
    assert quay.ask(5300) == (quay.bob, str(ISP))
    assert quay.ask(5301) == (quay.carol, str(ISP))
    assert quay.silent(5302)
    assert quay.silent(ECHO)
    quay.end(udp(5300, 5300, ECHO))
    assert quay.silent(5300)
    assert quay.ask(5301) == (quay.carol, str(ISP))


def test_a_range_leads_as_it_is_or_to_as_many_other_ports(quay: Quay) -> None:
    quay.forward(udp(8000, 8300, 8000))
    quay.forward(udp(ECHO - 1, ECHO + 1, ECHO - 2), ALICE, ALICES)
    for port in SAME_PORTS:
        assert quay.ask(port) == (quay.bob, str(ISP)), port
    assert quay.ask(ECHO + 1) == (quay.alice, str(ISP))
    for port in (7999, 8301, ECHO):
        assert quay.silent(port), port


def test_guests_reach_forwarded_ports_too_and_themselves(quay: Quay) -> None:
    quay.forward(udp(5300, 5300, ECHO))
    routers_own = str(router_uplink(0, 0).address.ip)
    for guest in (quay.alice, quay.bob, quay.carol):
        assert quay.ask(5300, guest) == (quay.bob, routers_own)
    assert quay.silent(5301, quay.alice)


def test_a_guest_leaves_as_before_and_is_not_reached_by_its_own_address(quay: Quay) -> None:
    quay.forward(udp(5300, 5300, ECHO))
    assert quay.lab.ask(quay.bob, ISP, wait=PATIENCE) == (quay.isps[0], str(router_uplink(0, 0).address.ip))
    quay.lab.ip(quay.isps[0], f"route replace 10.0.1.0/24 via {router_uplink(0, 0).address.ip}")
    assert quay.lab.ask(quay.isps[0], BOBS, wait=IMPATIENCE) is None
    quay.lab.ip(quay.isps[0], "route del 10.0.1.0/24")


def test_the_address_is_owned_as_long_as_any_port_is_forwarded(quay: Quay) -> None:
    """Two guests say so: it takes both to end it."""
    quay.forward(udp(5300, 5300, ECHO))
    quay.forward(udp(5301, 5301, ECHO), CAROL, CAROLS)
    quay.end(udp(5300, 5300, ECHO))
    quay.lab.ip(quay.isps[0], "neighbour flush all")
    assert quay.ask(5301) == (quay.carol, str(ISP))
    quay.end(udp(5301, 5301, ECHO))
    quay.lab.ip(quay.isps[0], "neighbour flush all")
    assert quay.silent(5301)
    assert router_uplink(0, 0).mac not in quay.lab.ip(quay.isps[0], f"neighbour show {FREE.address}")


def test_a_connection_dies_with_its_forwarding_and_its_neighbour_goes_on(quay: Quay) -> None:
    """Both are between the same addresses."""
    quay.forward(tcp(2222, 22))
    quay.forward(tcp(8080, 80))
    ended, lasting = quay.connected(2222, quay.bob, 22), quay.connected(8080, quay.bob, 80)
    for one, other in (ended, lasting):
        assert passes(one, other, b"there")
        assert passes(other, one, b"and back")
    quay.end(tcp(2222, 22))
    assert quay.flows("-p", "tcp", "--orig-port-dst", "2222") == ""
    assert quay.flows("-p", "tcp", "--orig-port-dst", "8080")
    assert not passes(ended[0], ended[1], b"more there", IMPATIENCE)
    assert not passes(ended[1], ended[0], b"more back", IMPATIENCE)
    assert passes(lasting[0], lasting[1], b"still there")
    assert passes(lasting[1], lasting[0], b"still back")


def test_the_rules_end_a_flow_even_if_its_entry_stays(quay: Quay) -> None:
    quay.forward(tcp(2222, 22))
    quay.forward(tcp(8080, 80))
    ends = quay.connected(2222, quay.bob, 22)
    router = quay.lab.router(quay.cloud.routers[0])
    quay.lab.at(router, "nft", f"delete element ip mooring pf_pair {{ {FREE.address} . tcp . 2222 . {BOBS} . 22 }}")
    assert quay.flows("-p", "tcp", "--orig-port-dst", "2222")
    assert not passes(ends[0], ends[1], b"there", IMPATIENCE)
    assert not passes(ends[1], ends[0], b"back", IMPATIENCE)


def test_a_forwarding_that_moves_takes_datagrams_along_at_once(quay: Quay) -> None:
    quay.forward(udp(5300, 5300, ECHO))
    asker = quay.lab.open(quay.isps[0])
    asker.settimeout(PATIENCE)
    asker.connect((str(FREE.address), 5300))
    for nic, fixed, guest in ((CAROL, CAROLS, quay.carol), (BOB, BOBS, quay.bob)):
        quay.forward(udp(5300, 5300, ECHO), nic, fixed)
        asker.send(b"hello")
        assert asker.recv(100).decode().split()[0] == guest


def test_answers_leave_by_the_provider_by_which_the_question_came(quay: Quay) -> None:
    quay.forward(udp(5300, 5300, ECHO, SECOND))
    quay.forward(udp(8000, 8300, 8000, SECOND))
    quay.lab.ip(quay.isps[1], "address add 192.0.2.77/32 dev lo")
    for port in (5300, 8255):
        client = quay.lab.open(quay.isps[1])
        client.settimeout(PATIENCE)
        client.bind(("192.0.2.77", 0))
        client.connect((str(SECOND.address), port))
        client.send(b"hello")
        assert client.recv(100).decode().split()[:2] == [quay.bob, "192.0.2.77"]


def test_a_mistaken_element_is_put_right(quay: Quay) -> None:
    quay.forward(udp(5300, 5300, ECHO))
    quay.forward(udp(8000, 8300, 8000))
    router = quay.lab.router(quay.cloud.routers[0])
    for command in (
        f"delete element ip mooring pf_in {{ {FREE.address} . udp . 5300 }}",
        f"add element ip mooring pf_in {{ {FREE.address} . tcp . 22 : {ALICES} . 22 }}",
        "flush map ip mooring pf_in_16",
        f"add element ip mooring pf_pair_256 {{ {FREE.address} . tcp . 256 . {ALICES} }}",
    ):
        quay.lab.at(router, "nft", command)
        assert quay.lab.backend.read() != quay.cloud.state
        quay.become(quay.cloud)
        assert quay.lab.backend.read() == quay.cloud.state
    assert quay.ask(5300) == (quay.bob, str(ISP))
    assert quay.ask(8255) == (quay.bob, str(ISP))


# ---------------------------------------------------------------------------------------------- trace against packets

_one_host = settings(
    deadline=None,
    max_examples=2,
    # To shrink what was drawn takes minutes here.
    phases=[phase for phase in Phase if phase is not Phase.shrink],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
_ASKED = (21, 22, 80, 1023, 8016, 9040)


@given(cloud=forwarding(max_nics=2))
@_one_host
def test_packets_reach_whom_the_trace_says(lab: Lab, cloud: Cloud) -> None:
    """Any ports of any addresses, to any guests: from outside, and from a guest."""
    lab.settle(cloud.state)
    made: list[tuple[NicIntent, str]] = []
    try:
        for nic in (nic for nic in cloud.nics if nic.addresses):
            made.append((nic, lab.guest(nic, cloud.router_of(nic))))
            for port in {port - forward.first + forward.to for port, forward in _led(cloud)} | set(_ASKED):
                lab.echo(made[-1][1], port)
        names = {(nic.router, str(fixed.address)): name for nic, name in made for fixed in nic.addresses}
        for public in sorted({forward.public for forward in cloud.forwards}):
            number = next(number for number in range(2) if uplink_id(number) == public.uplink)
            isp, source = lab.isp(number), provider(number).network_address + 1
            router = next(nic.router for forward, (nic, _) in cloud.forwards.items() if forward.public == public)
            for port in _ASKED:
                header = Header(IpProtocol.UDP, source, public.address, 40000, port)
                trip = round_trip(cloud.state, Packet(header, FromUplink(uplink_name(public.uplink))))
                said = names[router, str(trip.there.header.dst)] if trip.answered else None
                answer = lab.ask(isp, public.address, port, PATIENCE if said else IMPATIENCE / 2)
                assert (answer and answer[0]) == said, str(trip)
            for nic, name in made[:1]:
                header = Header(IpProtocol.UDP, nic.addresses[0].address, public.address, 40000, _ASKED[1])
                trip = round_trip(cloud.state, Packet(header, FromGuest(nic.network)))
                # What leaves by an uplink nobody answers there.
                is_here = trip.answered and trip.there.outcome is Outcome.DELIVERED
                answer = lab.ask(name, public.address, _ASKED[1], PATIENCE if is_here else IMPATIENCE)
                assert (answer is not None) is is_here, str(trip)
    finally:
        lab.settle({})
        lab.forget(guest for _, guest in made)


def _led(cloud: Cloud) -> list[tuple[int, PortForwarding]]:
    return [
        (port, forward)
        for forward in cloud.forwards
        for port in _ASKED
        if forward.protocol is Transport.UDP and forward.first <= port <= forward.last
    ]
