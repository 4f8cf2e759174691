"""What others do to a router that has all that a router can have: each kind of thing is repaired, and packets go as before."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from mooring.backends.linux import nexthops
from mooring.compile.facts import Atom, Delta, HostState, Key, Row, Stage, Table, diff
from mooring.compile.tables import (
    AWAY,
    CHOICES,
    CHOSEN,
    CLASSES,
    FIP_IN,
    FIP_OUT,
    HAIR,
    JOINED,
    MARKED,
    MAY_OUT,
    OWNED,
    PAIR,
    PF_IN,
    PF_IN_BLOCKS,
    PF_PAIR,
    PF_PAIR_BLOCKS,
    PORTS,
    PREFERS,
    PROBED,
    PUBLIC,
    RENEWED,
    ROUTE_IN,
    RULE,
    WAYS,
)
from mooring.model.nouns import AddressRange
from mooring.model.subjects import Egress, EgressPreference, PortForwarding, Transport
from tests.backends.lab import ECHO, eventually
from tests.backends.linux.city import ELSEWHERE, FAR, NEAR, PATIENCE, City, ask, three_providers
from tests.compile.small import BOB, FREE
from tests.compile.uplinks import ALICE_IP, ALICES, BOB_IP, PLACE, three, with_egress
from tests.strategies import Cloud, way_out

pytestmark = pytest.mark.kernel

KINDS = {
    *(OWNED, PUBLIC, FIP_IN, FIP_OUT, HAIR, PAIR, MAY_OUT, JOINED, WAYS, PREFERS, CLASSES, CHOICES, CHOSEN, RENEWED),
    *(PORTS, PF_IN, *PF_IN_BLOCKS, PF_PAIR, *PF_PAIR_BLOCKS, PROBED),
}
"""All kinds of elements that a router can have."""


def rich() -> Cloud:
    """Return the cloud with three providers whose next hops are watched, joined networks, fallbacks and forwarded ports."""
    cloud = three()
    (router,) = cloud.routers
    uplinks = tuple(replace(uplink, misses=1000) for uplink in router.uplinks)
    cloud = replace(cloud, routers=(replace(router, uplinks=uplinks, joined=True),))
    ways = (
        EgressPreference(IPv4Network("0.0.0.0/0"), way_out(ALICES[0]), way_out(ALICES[1])),
        EgressPreference(IPv4Network("192.0.2.0/24"), way_out(ALICES[1]), way_out(ALICES[2])),
    )
    cloud = with_egress(cloud, ALICE_IP, Egress(1, ways, 1))
    for first, last, to in ((ECHO, ECHO, ECHO), (2000, 2000, ECHO), (7936, 8209, 7936)):
        cloud = cloud.forwarding(PortForwarding(FREE, Transport.UDP, first, last, to), BOB, BOB_IP)
    return cloud


STATE = rich().state


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    with three_providers(tmp_path_factory.mktemp("drift")) as lab, pytest.MonkeyPatch.context() as patch:
        patch.setattr(nexthops, "EVERY", 0.05)
        yield City(lab)


@pytest.fixture
def city(built: City) -> City:
    built.become(rich())
    return built


def works(city: City) -> bool:
    """Say whether packets go by all that is there: by preference, in by each provider, and to forwarded ports."""
    assert city.seen(city.alice, NEAR) == city.seen(city.alice, FAR) == (1, str(ALICES[1].address))
    assert city.seen(city.alice, ELSEWHERE) == (0, str(ALICES[0].address))
    for isp, public in enumerate(ALICES):
        assert city.ask_from(isp, public.address) == (city.alice, str(NEAR))
    assert ask(city.lab, city.isps[0], (NEAR, FREE.address), PATIENCE) == (city.bob, str(NEAR))
    assert city.lab.ask(city.isps[0], FREE.address, 2000, PATIENCE) is not None
    carols = next(nic.addresses[0].address for nic in city.cloud.nics if nic.network != city.cloud.nics[0].network)
    assert city.lab.ask(city.alice, carols, wait=PATIENCE) == (city.carol, str(ALICE_IP)), "their networks are joined"
    return True


def one_of_each() -> dict[Key, Row]:
    """Return one element of each kind."""
    return {key: STATE[key] for key in {key.table: key for key in STATE if key.table in KINDS}.values()}


def another(atom: Atom) -> Atom:
    """Return something of the same type that is nowhere."""
    match atom:
        case IPv4Address():
            return atom + 0x100000
        case AddressRange():
            return AddressRange(IPv4Address("100.64.0.1"), IPv4Address("100.64.0.9"))
        case IPv4Network():
            return IPv4Network("100.64.0.0/24")
        case int():
            return (atom + 3) % 200
        case _:
            return f"{str(atom)[:-3]}fff"


def repaired(city: City, before: HostState) -> Delta:
    """Repair as an agent does; return what it took."""
    delta = diff(city.lab.backend.read(), before)
    city.lab.backend.apply(delta)
    assert str(diff(city.lab.backend.read(), before)) == ""
    return delta


def test_a_new_agent_has_nothing_to_do(city: City) -> None:
    assert {key.table for key in STATE if key.place == PLACE and key.table.stage is Stage.ELEMENT} == KINDS
    assert works(city)
    city.lab.restart()
    assert str(diff(city.lab.backend.read(), STATE)) == ""


def test_elements_of_each_kind_that_go_come_or_change_are_put_right(city: City) -> None:
    stranger = city.lab.another_backend()
    own = one_of_each()
    stranger.apply(Delta({}, own))
    assert repaired(city, STATE) == Delta(own, {})
    foreign = {replace(key, row=tuple(map(another, key.row))): value for key, value in own.items()}
    stranger.apply(Delta(foreign, {}))
    assert repaired(city, STATE) == Delta({}, foreign)
    wrong = {key: tuple(map(another, value)) for key, value in own.items() if value}
    right = {key: own[key] for key in wrong}
    stranger.apply(Delta(wrong, right))
    assert repaired(city, STATE) == Delta(right, wrong)
    assert works(city)


BY_HAND: Mapping[str, tuple[str, Table]] = {
    "an uplink's default route is gone": ("ip route del default table 1002", ROUTE_IN),
    "an uplink's subnet is gone": ("ip route flush table 1003", ROUTE_IN),
    "what is inside is unknown": ("ip route flush table 901", ROUTE_IN),
    "an uplink's default route leads elsewhere": ("ip route replace default via 198.51.100.77 table 1001", ROUTE_IN),
    "an uplink seems to be away": ("ip route add throw default table 1002", AWAY),
    "an uplink's rule is gone": ("ip rule del fwmark 0x2/0xfff", MARKED),
    "a fallback's rule is gone": ("ip rule del fwmark 0x3000/0xfff000", MARKED),
    "the rule for what is inside is gone": ("ip rule del priority 95", RULE),
    "there is a rule more": ("ip rule add priority 50 fwmark 0x7/0xff lookup 1003", MARKED),
}


def test_routes_and_rules_of_uplinks_are_noticed_and_put_right(city: City) -> None:
    router = city.lab.router(city.cloud.routers[0])
    doubts: list[object] = []
    city.lab.backend.watch(doubts.append)
    for name, (command, table) in BY_HAND.items():
        doubts.clear()
        city.lab.at(router, *command.split())
        eventually(lambda: PLACE in doubts, 20)
        if table is AWAY:
            # Its next hop answers, so whoever asks it finds out.
            eventually(lambda: city.lab.backend.read() == STATE, 20)
            continue
        delta = repaired(city, STATE)
        assert {key.table for key in (*delta.put, *delta.drop)} == {table}, name
    city.lab.restart()
    assert works(city)
