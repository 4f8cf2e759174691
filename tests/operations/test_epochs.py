"""The epoch that an operator begins after a database was put back: later than any that a host may have seen; and who follows into it."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from mooring.model.nouns import InstanceState
from mooring.operations import NewInstance
from mooring.operations.epochs import EpochOperations, Laggard
from tests.cloud import FLAVORS, IMAGES, Cloud, StoppedClock


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
def cloud(make_cloud: Callable[..., Cloud], clock: StoppedClock) -> Cloud:
    return make_cloud(clock=clock)


@pytest.fixture
def epochs(cloud: Cloud, clock: StoppedClock) -> EpochOperations:
    return EpochOperations(cloud.store, clock)


def test_it_is_the_time_because_a_backup_does_not_know_how_many_there_were(epochs, clock) -> None:
    assert epochs.begin() == int(clock.moment.timestamp())
    clock.advance(1)
    assert epochs.begin() == int(clock.moment.timestamp())


def test_it_is_later_than_the_one_before_although_the_clock_was_set_back(epochs, clock) -> None:
    first = epochs.begin()
    clock.moment -= timedelta(days=1)
    assert epochs.begin() > first


def test_it_is_later_than_the_one_that_hosts_speak_of(epochs, clock) -> None:
    seen = int(clock.moment.timestamp()) + 100_000
    assert epochs.begin(seen) > seen


def test_a_backup_that_is_put_back_twice_while_the_clock_is_off_begins_different_epochs(make_cloud, clock) -> None:
    stores = [make_cloud(clock=clock).store for _ in range(2)]
    seen = int(clock.moment.timestamp())
    assert len({EpochOperations(store, clock).begin(seen) for store in stores}) == 2


def test_nobody_has_followed_because_the_clock_was_set_back(cloud, epochs, clock) -> None:
    cloud.operations.hosts.heartbeat(cloud.operations.hosts.listing(cloud.caller("root"))[0].id)
    clock.moment -= timedelta(days=1)
    epochs.begin()
    assert epochs.laggards(epochs.now()) == [Laggard("host1", "has not been heard of for long enough")]


def test_who_has_not_followed(cloud, epochs, clock) -> None:
    made = cloud.operations.instances.create(cloud.caller("alice"), NewInstance("vm", IMAGES[0].id, FLAVORS[0].id))
    assert cloud.operations.instances.get(cloud.caller("alice"), made.id).state is InstanceState.ACTIVE
    since = epochs.now()
    assert epochs.laggards(since) == [Laggard("host1", "has not been heard of for long enough")]
    (host,) = cloud.operations.hosts.listing(cloud.caller("root"))
    clock.advance(80)
    cloud.operations.hosts.heartbeat(host.id)
    assert epochs.laggards(since) == []
    epochs.begin()
    assert epochs.laggards(since) == [Laggard("host1", "has not confirmed everything")]
    cloud.host.come_back()
    assert epochs.laggards(since) == []
