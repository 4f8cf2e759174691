"""The epoch that an operator begins after a database was put back: later than any that a host may have seen."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from mooring.operations.settlement import SettlementOperations
from tests.cloud import Cloud, StoppedClock


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
def settlement(make_cloud: Callable[..., Cloud], clock: StoppedClock) -> SettlementOperations:
    return make_cloud(clock=clock).operations.settlement


def test_it_is_the_time_because_a_backup_does_not_know_how_many_there_were(settlement, clock) -> None:
    assert settlement.renew() == int(clock.moment.timestamp())
    clock.advance(1)
    assert settlement.renew() == int(clock.moment.timestamp())


def test_it_is_later_than_the_one_before_although_the_clock_was_set_back(settlement, clock) -> None:
    first = settlement.renew()
    clock.moment -= timedelta(days=1)
    assert settlement.renew() > first


def test_it_is_later_than_the_one_that_hosts_speak_of(settlement, clock) -> None:
    seen = int(clock.moment.timestamp()) + 100_000
    assert settlement.renew(seen) > seen


def test_a_backup_that_is_put_back_twice_while_the_clock_is_off_begins_different_epochs(make_cloud, clock) -> None:
    clouds = [make_cloud(clock=clock) for _ in range(2)]
    seen = int(clock.moment.timestamp())
    assert len({cloud.operations.settlement.renew(seen) for cloud in clouds}) == 2
