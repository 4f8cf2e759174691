"""When a pool is exhausted: by a straight line, and only where there is enough to draw one through."""

from datetime import date, timedelta
from ipaddress import IPv4Address, IPv4Network

import pytest

from mooring.model.ids import PoolId, UplinkId
from mooring.model.nouns import AddressPool, AddressRange, PoolUsage
from mooring.model.pools import PoolDay
from mooring.policy.forecast import HISTORY, LEAST, forecast

TODAY = date(2026, 11, 20)
SUBNET = IPv4Network("198.51.100.0/24")
POOL = AddressPool(
    PoolId("p"), "public", UplinkId("u"), SUBNET, SUBNET[1], (AddressRange(IPv4Address("198.51.100.10"), SUBNET[209]),)
)


def _usage(allocated: int) -> PoolUsage:
    return PoolUsage(POOL, 200, allocated, 0, 0)


def _days(*net: int) -> list[PoolDay]:
    """Return days of which the last is today."""
    first = TODAY - timedelta(days=len(net) - 1)
    return [PoolDay(first + timedelta(days=at), max(each, 0), max(-each, 0)) for at, each in enumerate(net) if each]


def test_a_steady_growth_goes_on() -> None:
    found = forecast(_days(*[4] * 10), TODAY - timedelta(days=9), _usage(100), TODAY)
    assert found.per_day == pytest.approx(4)
    assert (found.days, found.exhausted) == (10, TODAY + timedelta(days=25))


def test_one_leap_long_ago_is_no_growth() -> None:
    """What was taken on the first day was in use at the end of all days."""
    found = forecast(_days(50, *[0] * 13), TODAY - timedelta(days=13), _usage(50), TODAY)
    assert (found.per_day, found.exhausted) == (0, None)
    assert "no growth" in found.reason


def test_what_shrinks_is_never_exhausted() -> None:
    found = forecast(_days(90, *[-5] * 13), TODAY - timedelta(days=13), _usage(25), TODAY)
    assert found.per_day == pytest.approx(-5)
    assert found.exhausted is None


@pytest.mark.parametrize("days", range(LEAST + 1))
def test_a_week_is_the_least(days: int) -> None:
    first = TODAY - timedelta(days=days - 1) if days else None
    found = forecast(_days(*[10] * days), first, _usage(10 * days), TODAY)
    assert found.days == days
    assert (found.exhausted is not None) is (days == LEAST)
    assert (f"{days} of at least {LEAST} days" in found.reason) is (days < LEAST)


def test_only_the_last_weeks_count() -> None:
    quiet = [0] * (HISTORY.days - 1)
    found = forecast(_days(*[30, 30, 30, 1], *quiet), TODAY - timedelta(days=HISTORY.days + 2), _usage(91), TODAY)
    assert (found.days, found.per_day, found.exhausted) == (HISTORY.days, 0, None)


def test_what_is_full_is_exhausted_today() -> None:
    found = forecast([], None, _usage(200), TODAY)
    assert (found.exhausted, found.reason) == (TODAY, "no address is free")


def test_what_is_too_far_away_is_not_said() -> None:
    found = forecast(_days(1, *[0] * 20, 1), TODAY - timedelta(days=21), _usage(2), TODAY)
    assert found.per_day is not None
    assert 0 < found.per_day < 0.05
    assert found.exhausted is None or found.exhausted > TODAY


def test_a_clock_that_was_set_back_says_nothing() -> None:
    assert forecast([], TODAY + timedelta(days=3), _usage(5), TODAY).days == 0
