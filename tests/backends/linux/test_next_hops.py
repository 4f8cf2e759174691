"""Next hops that fall silent on a wire that keeps its carrier, with real packets: what begins falls back or stays, and returns."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from mooring.backends.linux import nexthops
from mooring.compile.egress import FIRST_TABLE, NEXT_HOP_AWAY, NO_CARRIER
from mooring.compile.facts import Key, diff
from mooring.compile.tables import AWAY, PROBED
from mooring.model.ids import uplink_name
from mooring.model.subjects import Egress, EgressPreference, PublicAddress
from tests.backends.lab import eventually
from tests.backends.linux.city import IMPATIENCE, NEAR, City, three_providers
from tests.compile.uplinks import ALICE_IP, ALICES, BOBS, PLACE, three, with_egress
from tests.strategies import Cloud, provider, uplink_id, way_out

pytestmark = pytest.mark.kernel

MISSES = 10
SECONDS = 60
SECOND = uplink_name(uplink_id(1))
AWAY_THERE = Key(AWAY, PLACE, (SECOND,))


def watched(fallback: PublicAddress | None, misses: int = MISSES) -> Cloud:
    """Return the cloud whose next hops are watched, and where Alice leaves by the second provider, or else as `fallback`."""
    cloud = three()
    router = cloud.routers[0]
    uplinks = tuple(replace(uplink, misses=misses) for uplink in router.uplinks)
    way = EgressPreference(IPv4Network("0.0.0.0/0"), way_out(ALICES[1]), way_out(fallback) if fallback else None)
    return with_egress(replace(cloud, routers=(replace(router, uplinks=uplinks),)), ALICE_IP, Egress(2, (way,)))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[City]:
    with three_providers(tmp_path_factory.mktemp("hops")) as lab, pytest.MonkeyPatch.context() as patch:
        patch.setattr(nexthops, "EVERY", 0.05)
        yield City(lab)


@pytest.fixture
def city(built: City) -> City:
    """Return the city as it was built, with a back-end that knows nothing and watches nobody."""
    built.become(three())
    built.lab.restart()
    return built


@contextmanager
def silent(city: City, isp: int) -> Generator[None]:
    """Take its address from a provider's router; the wire keeps its carrier."""
    address = f"address %s {provider(isp).network_address + 1}/24 dev eth0"
    city.lab.ip(city.isps[isp], address % "del")
    try:
        yield
    finally:
        city.lab.ip(city.isps[isp], address % "add")


def is_away(city: City) -> bool:
    return city.lab.backend.read().get(AWAY_THERE) == (NEXT_HOP_AWAY,)


def test_what_begins_falls_back_while_the_next_hop_is_silent_and_then_returns(city: City) -> None:
    there, instead = (1, str(ALICES[1].address)), (2, str(ALICES[2].address))
    city.become(watched(ALICES[2]))
    city.lab.backend.watch(lambda _: None)
    assert city.seen(city.alice, NEAR) == there
    with silent(city, 1):
        eventually(lambda: city.seen(city.alice, NEAR, IMPATIENCE) == instead, SECONDS)
        assert city.seen(city.bob, NEAR) == (0, str(BOBS[0].address)), "others don't notice"
        assert is_away(city)
    eventually(lambda: city.seen(city.alice, NEAR, IMPATIENCE) == there, SECONDS)
    assert not is_away(city)
    assert city.lab.backend.read() == city.cloud.state


def test_without_a_fallback_nothing_leaves_meanwhile(city: City) -> None:
    city.become(watched(None))
    city.lab.backend.watch(lambda _: None)
    assert city.seen(city.alice, NEAR) == (1, str(ALICES[1].address))
    with silent(city, 1):
        eventually(lambda: is_away(city), SECONDS)
        with city.lab.capture(city.isps[0]) as first, city.lab.capture(city.isps[2]) as third:
            assert city.stays(city.alice, NEAR)
        assert not any(ALICES[1].address.packed in frame or ALICE_IP.packed in frame for frame in (*first(), *third()))
    eventually(lambda: city.seen(city.alice, NEAR, IMPATIENCE) == (1, str(ALICES[1].address)), SECONDS)


def test_what_was_found_stays_through_changes_and_a_restart(city: City) -> None:
    city.become(watched(ALICES[0]))
    city.lab.backend.watch(lambda _: None)
    instead = (0, str(ALICES[0].address))
    with silent(city, 1):
        eventually(lambda: is_away(city), SECONDS)
        city.become(watched(ALICES[2]))
        assert is_away(city), "other preferences change nothing of it"
        city.become(watched(ALICES[0]))
        city.lab.restart()
        assert is_away(city), "the kernel keeps it for the next agent"
        assert not diff(city.lab.backend.read(), city.cloud.state), "and nobody takes it for a stray"
        assert city.seen(city.alice, NEAR) == instead
        city.lab.backend.watch(lambda _: None)
        city.lab.ip(city.lab.router(city.cloud.routers[0]), f"route del throw default table {_table(city)}")
        eventually(lambda: is_away(city), SECONDS)
    eventually(lambda: not is_away(city), SECONDS)
    assert city.seen(city.alice, NEAR) == (1, str(ALICES[1].address))


def test_who_is_not_watched_counts_as_there(city: City) -> None:
    city.become(watched(ALICES[0]))
    city.lab.backend.watch(lambda _: None)
    with silent(city, 1):
        eventually(lambda: is_away(city), SECONDS)
        city.become(watched(ALICES[0], misses=0))
        eventually(lambda: not is_away(city), SECONDS)
        with city.lab.capture(city.isps[1]) as frames:
            assert city.stays(city.alice, NEAR), "it is led to a next hop that isn't there"
        assert frames(), "somebody asks for it"
        assert not any(key.table is PROBED for key in city.lab.backend.read())


def test_another_next_hop_is_not_taken_for_the_silent_one(city: City) -> None:
    instead = provider(1).network_address + 250
    city.become(watched(ALICES[2]))
    city.lab.backend.watch(lambda _: None)
    with silent(city, 1):
        eventually(lambda: is_away(city), SECONDS)
        city.lab.ip(city.isps[1], f"address add {instead}/24 dev eth0")
        before = city.cloud
        (router,) = before.routers
        moved = tuple(replace(it, next_hop=instead) if it is router.uplinks[1] else it for it in router.uplinks)
        cloud = replace(before, routers=(replace(router, uplinks=moved),))
        # Nobody reads the host meanwhile, as between two comparisons.
        city.lab.backend.apply(diff(before.state, cloud.state))
        city.cloud = cloud
        eventually(lambda: city.seen(city.alice, NEAR, IMPATIENCE) == (1, str(ALICES[1].address)), SECONDS)
        city.lab.ip(city.isps[1], f"address del {instead}/24 dev eth0")


def test_a_wire_without_carrier_is_told_too(city: City) -> None:
    city.become(watched(ALICES[0]))
    city.lab.ip(city.isps[1], "link set eth0 down")
    reason = eventually(lambda: city.lab.backend.read().get(AWAY_THERE), SECONDS)
    assert reason == (NO_CARRIER,)
    city.lab.ip(city.isps[1], "link set eth0 up")
    eventually(lambda: city.lab.backend.read() == city.cloud.state, SECONDS)


def test_it_is_asked_by_arp_as_the_router(city: City) -> None:
    hop = provider(1).network_address + 1
    city.become(watched(None))
    with city.lab.capture(city.isps[1], outgoing=False) as frames:
        city.lab.backend.watch(lambda _: None)
        eventually(lambda: len([it for it in frames() if _asks_for(it, hop)]) > 3, SECONDS)
    senders = {frame[28:32] for frame in frames() if _asks_for(frame, hop)}
    assert senders == {city.cloud.routers[0].uplinks[1].address.ip.packed}


def _asks_for(frame: bytes, target: IPv4Address) -> bool:
    return frame[12:14] == b"\x08\x06" and frame[20:22] == b"\0\1" and frame[38:42] == target.packed


def _table(city: City) -> int:
    return FIRST_TABLE + city.cloud.routers[0].uplinks[1].number
