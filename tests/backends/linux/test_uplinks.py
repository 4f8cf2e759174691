"""Several providers, with real packets: as whom guests are seen where, by which way answers come, and what a change costs those under way.

Every provider has the same hosts outside behind it, so that who answers says which way a packet took.
"""

import socket
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from threading import Event

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mooring.compile.facts import Delta, Refused
from mooring.compile.journey import FromGuest, FromUplink, Header, IpProtocol, Outcome, Packet
from mooring.compile.tables import CLASSES, PREFERS
from mooring.compile.trace import round_trip
from mooring.model.ids import uplink_name
from mooring.model.nouns import AddressRange
from mooring.model.subjects import Egress, EgressPreference, NicIntent, PublicAddress
from tests.backends.lab import ECHO, Lab, eventually
from tests.backends.linux.city import (
    COUNT,
    ELSEWHERE,
    FAR,
    HOSTS,
    IMPATIENCE,
    NEAR,
    PATIENCE,
    City,
    ask,
    outside,
    three_providers,
)
from tests.compile.small import ALICE, BOB, RED
from tests.compile.uplinks import ALICE_IP, ALICES, BOB_IP, BOBS, preferences, three, with_egress
from tests.strategies import Cloud, pool, preferring, router_uplink, uplink_id, way_out

pytestmark = pytest.mark.kernel


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Generator[City]:
    with three_providers(tmp_path_factory.mktemp("city")) as lab:
        yield City(lab)


@pytest.fixture
def city(built: City) -> City:
    """Return the city as it was built, whatever other tests left: it takes long to build."""
    built.become(three())
    built.lab.at(built.lab.router(built.cloud.routers[0]), "conntrack", "-F")
    return built


@pytest.fixture
def many(tmp_path: Path) -> Generator[Lab]:
    with three_providers(tmp_path) as lab:
        yield lab


def test_the_longest_prefix_says_by_whom_a_guest_leaves(city: City) -> None:
    assert city.seen(city.alice, NEAR) == (2, str(ALICES[2].address)), "192.0.2.64/26"
    assert city.seen(city.alice, FAR) == (1, str(ALICES[1].address)), "192.0.2.0/24"
    assert city.seen(city.alice, ELSEWHERE) == (0, str(ALICES[0].address)), "0.0.0.0/0"
    for target in (NEAR, FAR, ELSEWHERE):
        assert city.seen(city.bob, target) == (0, str(BOBS[0].address)), "who prefers nothing leaves by the first"
        assert city.seen(city.carol, target) == (0, str(router_uplink(0, 0).address.ip))


def test_answers_leave_by_the_uplink_that_asked(city: City) -> None:
    for isp, public in enumerate(ALICES):
        for source in (NEAR, FAR, ELSEWHERE):
            assert city.ask_from(isp, public.address, source) == (city.alice, str(source))
    for isp, public in enumerate(BOBS):
        assert city.ask_from(isp, public.address) == (city.bob, str(NEAR))
    for isp in range(COUNT):
        city.lab.at(city.isps[isp], "ping", "-c1", "-W9", "-I", str(NEAR), str(router_uplink(0, isp).address.ip))


def test_floating_ips_of_every_provider_are_reached_from_inside(city: City) -> None:
    for public in ALICES:
        assert city.lab.ask(city.alice, public.address, wait=PATIENCE) == (city.alice, str(ALICES[0].address)), (
            "one's own"
        )
        assert city.lab.ask(city.bob, public.address, wait=PATIENCE) == (city.alice, str(BOBS[0].address))
    for public in BOBS:
        assert city.lab.ask(city.alice, public.address, wait=PATIENCE) == (city.bob, str(ALICES[0].address))
    assert city.lab.ask(city.alice, BOB_IP, wait=PATIENCE) == (city.bob, str(ALICE_IP))


def test_a_preference_leads_to_nothing_inside(city: City) -> None:
    """Another network of the same router stays out of reach, and nobody outside is asked for it."""
    inside = next(nic for nic in city.cloud.nics if nic.network != RED).addresses[0].address
    assert city.lab.ask(city.alice, inside, wait=IMPATIENCE) is None
    flows = city.lab.at(city.lab.router(city.cloud.routers[0]), "conntrack", "-L", "-s", str(ALICE_IP))
    assert str(inside) not in flows


def test_a_change_is_for_what_begins_after_it(city: City) -> None:
    talk = city.lab.open(city.alice)
    talk.settimeout(PATIENCE)
    talk.connect((str(NEAR), ECHO))

    def seen() -> str:
        talk.send(b"hello")
        return talk.recv(2048).decode().split(" ")[1]

    assert seen() == str(ALICES[2].address)
    for public, number in ((ALICES[1], 1), (ALICES[0], 0)):
        city.prefer(("0.0.0.0/0", public))
        assert city.seen(city.alice, NEAR) == (number, str(public.address)), "at once"
        assert seen() == str(ALICES[2].address), "who has begun goes on"
    city.become(with_egress(city.cloud, ALICE_IP, None))
    assert seen() == str(ALICES[2].address)


def test_what_has_begun_is_cut_where_that_is_wanted(city: City) -> None:
    talk, others = city.lab.open(city.alice), city.lab.open(city.bob)
    for each in (talk, others):
        each.settimeout(PATIENCE)
        each.connect((str(NEAR), ECHO))

    def seen(by: socket.socket) -> str:
        by.send(b"hello")
        return by.recv(2048).decode().split(" ")[1]

    assert (seen(talk), seen(others)) == (str(ALICES[2].address), str(BOBS[0].address))
    for renewed, public in ((1, ALICES[1]), (2, ALICES[0])):
        city.prefer(("0.0.0.0/0", public), renewed=renewed)
        assert (seen(talk), seen(others)) == (str(public.address), str(BOBS[0].address))
    assert city.ask_from(2, ALICES[2].address) == (city.alice, str(NEAR))


def test_a_connection_survives_that_its_preference_goes_and_its_provider_stays(city: City) -> None:
    listener = city.lab.stream(city.isps[2], 8)
    caller = city.lab.open(city.alice, kind=socket.SOCK_STREAM)
    caller.settimeout(PATIENCE)
    caller.connect((str(NEAR), 8))
    answerer, (source, _) = listener.accept()
    city.lab.keep(answerer).settimeout(PATIENCE)
    assert source == str(ALICES[2].address)
    for egress in (Egress(2, preferences(("0.0.0.0/0", ALICES[0]))), None):
        city.become(with_egress(city.cloud, ALICE_IP, egress))
        for one, other in ((caller, answerer), (answerer, caller)):
            one.send(b"still here")
            assert other.recv(100) == b"still here"


def test_the_end_of_an_association_ends_what_left_by_preference(city: City) -> None:
    assert city.seen(city.alice, NEAR) == (2, str(ALICES[2].address))
    cloud = city.cloud.without(ALICES[2])
    city.become(cloud)
    assert city.stays(city.alice, NEAR), "as an address that one has no longer nothing leaves, not even as another"
    assert city.seen(city.alice, FAR) == (1, str(ALICES[1].address))
    city.become(cloud.associated(ALICES[2], ALICE, ALICE_IP))
    assert city.seen(city.alice, NEAR) == (2, str(ALICES[2].address))


def test_two_addresses_on_one_uplink_are_told_apart(city: City) -> None:
    second = pool(1)[5]
    city.become(city.cloud.associated(second, ALICE, ALICE_IP))
    city.prefer(("0.0.0.0/0", second), ("192.0.2.0/25", ALICES[1]), number=3)
    assert city.seen(city.alice, NEAR) == (1, str(ALICES[1].address))
    assert city.seen(city.alice, FAR) == (1, str(second.address))


def falling_back(fallback: PublicAddress | None) -> Egress:
    way = EgressPreference(IPv4Network("0.0.0.0/0"), way_out(ALICES[1]), way_out(fallback) if fallback else None)
    return Egress(2, (way,))


@contextmanager
def without_cable(city: City, isp: int) -> Generator[None]:
    city.lab.ip(city.isps[isp], "link set eth0 down")
    try:
        yield
    finally:
        city.lab.ip(city.isps[isp], "link set eth0 up")


@pytest.mark.parametrize("fallback", [None, 0, 2], ids=["closed", "to the first", "to the third"])
def test_while_a_provider_is_away_what_begins_falls_back_and_then_returns(city: City, fallback: int | None) -> None:
    city.become(
        with_egress(city.cloud, ALICE_IP, falling_back(None if fallback is None else ALICES[fallback])),
    )
    there, instead = (1, str(ALICES[1].address)), None
    if fallback is not None:
        instead = (fallback, str(ALICES[fallback].address))
    eventually(lambda: city.seen(city.alice, NEAR, IMPATIENCE) == there, seconds=20)
    talk = city.lab.open(city.alice)
    talk.settimeout(PATIENCE)
    talk.connect((str(NEAR), ECHO))
    older = city.lab.open(city.alice)
    older.connect((str(NEAR), ECHO))

    def older_seen() -> str | None:
        try:
            older.send(b"hello")
            return older.recv(2048).decode().split(" ")[1]
        except OSError:  # no answer, or the router's that it knows no way
            return None

    older.settimeout(PATIENCE)
    assert older_seen() == there[1]
    older.settimeout(IMPATIENCE)
    with without_cable(city, 1):
        # The kernel may take a moment to see that the cable is out.
        eventually(lambda: city.seen(city.alice, NEAR, IMPATIENCE) == instead, seconds=20)
        if instead is not None:
            talk.send(b"hello")
            assert talk.recv(2048).decode().split(" ")[1] == instead[1]
        assert older_seen() is None, "what began before waits, and is nobody else meanwhile"
        assert city.seen(city.bob, NEAR) == (0, str(BOBS[0].address)), "others don't notice"
    eventually(lambda: city.seen(city.alice, NEAR, IMPATIENCE) == there, seconds=20)
    eventually(lambda: older_seen() == there[1], seconds=20)
    if instead is not None:
        talk.send(b"hello")
        assert talk.recv(2048).decode().split(" ")[1] == instead[1], "what began meanwhile goes on as it began"


def test_a_router_gets_more_uplinks_and_fewer(city: City) -> None:
    router, nics = city.cloud.routers[0], city.cloud.nics
    full = city.cloud
    for uplinks in (router.uplinks[:1], router.uplinks[:2], router.uplinks):
        among = {uplink.uplink for uplink in uplinks}
        kept = tuple(
            replace(
                nic,
                shared=tuple(public for public in nic.shared if public.uplink in among),
                addresses=tuple(
                    replace(fixed, floating=tuple(public for public in fixed.floating if public.uplink in among))
                    for fixed in nic.addresses
                ),
            )
            for nic in nics
        )
        city.become(replace(full, routers=(replace(router, uplinks=uplinks),), nics=kept))
        assert city.lab.backend.read() == city.cloud.state
        for target, number in ((NEAR, 2), (FAR, 1), (ELSEWHERE, 0)):
            if number < len(uplinks):
                assert city.seen(city.alice, target) == (number, str(ALICES[number].address))
            else:
                assert city.stays(city.alice, target)


def test_two_sets_of_prefixes_under_one_number_are_refused(city: City) -> None:
    parts = AddressRange(IPv4Address("192.0.2.0"), IPv4Address("192.0.2.255"))
    key = next(key for key in city.cloud.state if key.table == PREFERS)
    wide = replace(key, table=CLASSES, row=(1, parts))
    with pytest.raises(Refused, match="classes"):
        city.lab.backend.apply(Delta({wide: (7,)}, {}))
    assert city.lab.backend.read() == city.cloud.state


def test_by_hand_made_rules_and_routes_are_put_right(city: City) -> None:
    router = city.lab.router(city.cloud.routers[0])
    for command in (
        "rule del fwmark 0x2/0xfff",
        "rule add prio 101 fwmark 0x2/0xfff lookup 1003",
        "rule add prio 50 fwmark 0x7/0xff lookup 1003",
        "rule add prio 101 fwmark 0x3/0xfff iif lo lookup 1002",
        "route del default table 1002",
        "route add 192.0.2.0/24 via 198.51.100.1 table 1002",
    ):
        city.lab.ip(router, command)
    city.lab.settle(city.cloud.state)
    assert city.lab.backend.read() == city.cloud.state
    assert city.seen(city.alice, FAR) == (1, str(ALICES[1].address))
    assert city.seen(city.alice, NEAR) == (2, str(ALICES[2].address))


def test_a_floating_ip_of_the_second_provider_moves_under_traffic(city: City) -> None:
    heard: list[str] = []
    moved = Event()

    def go_on() -> None:
        while not (moved.is_set() and heard[-1:] == [city.bob]):
            if (answer := ask(city.lab, city.isps[1], (NEAR, ALICES[1].address), IMPATIENCE)) is not None:
                assert answer[1] == str(NEAR)
                heard.append(answer[0])

    with ThreadPoolExecutor(1) as pool_of_one:
        traffic = pool_of_one.submit(go_on)
        eventually(lambda: len(heard) > 20, seconds=20)
        city.become(city.cloud.without(ALICES[1]).associated(ALICES[1], BOB, BOB_IP))
        moved.set()
        traffic.result(timeout=60)
    first = heard.index(city.bob)
    assert set(heard[:first]) == {city.alice}
    assert set(heard[first:]) == {city.bob}, "once it has moved nobody reaches who had it"
    assert city.seen(city.alice, NEAR) == (2, str(ALICES[2].address)), "others of its preferences hold"
    assert city.stays(city.alice, FAR), "and as that address it leaves no more"


# ------------------------------------------------------------------------------------------ packets against the oracle


_ways = st.dictionaries(
    st.builds(
        lambda address, length: IPv4Network((address, length), strict=False), st.sampled_from(HOSTS), st.integers(0, 32)
    ),
    st.sampled_from(range(COUNT)),
    min_size=1,
    max_size=10,
)


@given(wanted=_ways)
@settings(
    deadline=None,
    max_examples=12,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_packets_leave_by_the_longest_prefix_of_any_set(built: City, wanted: dict[IPv4Network, int]) -> None:
    """As a person would look it up: of all prefixes that hold the destination, the longest; by the first uplink if none does."""
    told = preferences(*((str(prefix), ALICES[number]) for prefix, number in sorted(wanted.items())))
    built.become(with_egress(three(), ALICE_IP, Egress(2, told)))
    for target in HOSTS[:6]:
        holding = [prefix for prefix in wanted if target in prefix]
        number = wanted[max(holding, key=lambda prefix: prefix.prefixlen)] if holding else 0
        assert built.seen(built.alice, target) == (number, str(ALICES[number].address)), f"{target} by {told}"


# ---------------------------------------------------------------------------------------------- trace against packets


_one_host = settings(
    deadline=None,
    max_examples=4,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@given(cloud=preferring(max_nics=2))
@_one_host
def test_packets_leave_as_the_trace_says(many: Lab, cloud: Cloud) -> None:
    """Any guests with any preferences towards any destination: by which provider, as whom, or not at all."""
    many.settle(cloud.state)
    isps = [outside_once(many, number) for number in range(COUNT)]
    made: list[tuple[NicIntent, str]] = []
    try:
        for nic in (nic for nic in cloud.nics if nic.addresses):
            made.append((nic, many.guest(nic, cloud.router_of(nic))))
            many.echo(made[-1][1])
        for nic, guest in made:
            for fixed in nic.addresses:
                for target in HOSTS[:8:2]:
                    header = Header(IpProtocol.UDP, fixed.address, target, 40000, ECHO)
                    trip = round_trip(cloud.state, Packet(header, FromGuest(nic.network)))
                    said = None
                    if trip.answered:
                        number = next(n for n in range(COUNT) if uplink_name(uplink_id(n)) == trip.there.device)
                        said = (isps[number], str(trip.there.header.src))
                    wait = PATIENCE if said else IMPATIENCE
                    assert ask(many, guest, (fixed.address, target), wait) == said, str(trip)
        for public, (nic, _) in cloud.associations.items():
            number = next(n for n in range(COUNT) if uplink_id(n) == public.uplink)
            header = Header(IpProtocol.UDP, NEAR, public.address, 40000, ECHO)
            trip = round_trip(cloud.state, Packet(header, FromUplink(uplink_name(public.uplink))))
            assert trip.there.outcome is Outcome.DELIVERED
            guest = next(guest for one, guest in made if one.id == nic.id)
            assert ask(many, isps[number], (NEAR, public.address), PATIENCE) == (guest, str(NEAR)), str(trip)
    finally:
        many.settle({})
        many.forget(guest for _, guest in made)


def outside_once(lab: Lab, number: int) -> str:
    isp = lab.isp(number)
    return isp if str(NEAR) in lab.ip(isp, "address show dev lo") else outside(lab, number)
