"""The fake back-end's own rules: what a stranger does, what fails, and what a device takes along."""

from ipaddress import IPv4Address, IPv4Network

import pytest

from mooring.agent.interfaces import Refused
from mooring.backends.fake import FakeBackend
from mooring.compile.facts import HOST, Delta, Key, Place, diff
from mooring.compile.links import router_place
from mooring.compile.tables import ADDRESS, DHCP_SERVER, FIP_IN, INNER, NAMESPACE, PUBLIC, ROUTE, SYSCTL, UPLINK
from tests.compile.small import FIRST, ROUTER, small

STATE = small().state
PLACE = router_place(ROUTER)


@pytest.fixture
def settled() -> FakeBackend:
    fake = FakeBackend()
    fake.apply(Delta(STATE, {}))
    return fake


def test_a_refusal_that_was_asked_for_leaves_all_as_it_was(settled: FakeBackend) -> None:
    settled.refuse(after=1, reason="no more room")
    settled.apply(Delta({}, {}))
    with pytest.raises(Refused, match="no more room"):
        settled.apply(Delta({}, STATE))
    assert settled.read() == STATE
    settled.apply(Delta({}, STATE))
    assert settled.read() == {}


def test_a_torn_change_is_half_done_and_can_be_completed() -> None:
    fake = FakeBackend()
    fake.tear(3)
    with pytest.raises(Refused):
        fake.apply(Delta(STATE, {}))
    assert 0 < len(fake.read()) < len(STATE)
    fake.apply(diff(fake.read(), STATE))
    assert fake.read() == STATE


def test_strangers_are_noticed_unless_they_are_silent(settled: FakeBackend) -> None:
    doubts: list[Place] = []
    settled.watch(doubts.append)
    key = Key(FIP_IN, PLACE, (FIRST.address,))
    settled.tamper(drop=[key])
    assert doubts == [PLACE]
    settled.tamper({key: (IPv4Address("10.0.1.99"),)}, silent=True)
    assert doubts == [PLACE]
    settled.close()
    settled.doubt(HOST)
    assert doubts == [PLACE]


def test_a_dropped_device_takes_along_what_hangs_on_it(settled: FakeBackend) -> None:
    for table in (UPLINK, INNER):
        key = next(key for key in STATE if key.table == table)
        settled.apply(Delta({}, {key: STATE[key]}))
        left = settled.read()
        device = key.row[0]
        assert not any(each.table == ADDRESS and each.row[0] == device for each in left)
        assert not any(each.table == ROUTE and value[0] == device for each, value in left.items())
        assert not any(each.table == SYSCTL and f"/{device}/" in str(each.row[0]) for each in left)
        assert not any(each.table == DHCP_SERVER and value[0] == device for each, value in left.items())


def test_a_dropped_namespace_takes_all_of_its_place_along(settled: FakeBackend) -> None:
    settled.apply(Delta({}, {Key(NAMESPACE, PLACE, ()): ()}))
    assert {key.place for key in settled.read()} == {HOST}


def test_what_is_not_as_it_was_said_to_be_is_not_dropped(settled: FakeBackend) -> None:
    key = Key(FIP_IN, PLACE, (FIRST.address,))
    with pytest.raises(Refused, match="its value is"):
        settled.apply(Delta({}, {key: (IPv4Address("10.0.1.99"),)}))


def test_prefixes_of_one_uplink_do_not_overlap(settled: FakeBackend) -> None:
    key = next(key for key in STATE if key.table == PUBLIC)
    device, prefix = key.row
    assert isinstance(prefix, IPv4Network)
    with pytest.raises(Refused, match="overlaps"):
        settled.apply(Delta({Key(PUBLIC, PLACE, (device, next(prefix.subnets()))): ()}, {}))


def test_facts_have_the_types_of_their_table(settled: FakeBackend) -> None:
    with pytest.raises(Refused, match="types"):
        settled.apply(Delta({Key(FIP_IN, PLACE, ("198.51.100.9",)): (IPv4Address("10.0.1.3"),)}, {}))
