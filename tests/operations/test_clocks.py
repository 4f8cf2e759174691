"""Which clock counts: the database's, and what is done when that one is set back or forward."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from mooring.model.nouns import InstanceState
from mooring.operations import NewInstance
from tests.cloud import FLAVORS, IMAGES, Cloud, StoppedClock

WANTED = NewInstance("vm", IMAGES[0].id, FLAVORS[0].id)


@pytest.fixture
def clock() -> StoppedClock:
    return StoppedClock()


@pytest.fixture
def cloud(make_cloud: Callable[..., Cloud], clock: StoppedClock) -> Cloud:
    cloud = make_cloud(clock=clock, settle_timeout=0.0)
    cloud.host.away = True
    return cloud


@pytest.mark.parametrize("hours", [25, -25])
def test_a_host_that_is_not_heard_of_is_dead_however_the_clock_was_set(cloud, clock, hours) -> None:
    made = cloud.operations.instances.create(cloud.caller("alice"), WANTED)
    (host,) = cloud.operations.hosts.listing(cloud.caller("root"))
    assert cloud.operations.launches.schedule(made.id) == host.id
    assert list(cloud.operations.launches.stranded()) == []
    clock.moment += timedelta(hours=hours)
    assert [one.id for one in cloud.operations.launches.stranded()] == [made.id]
    cloud.operations.hosts.heartbeat(host.id)
    assert list(cloud.operations.launches.stranded()) == []


def test_a_launch_that_does_not_move_is_found_after_the_clock_was_set_back(cloud, clock) -> None:
    made = cloud.operations.instances.create(cloud.caller("alice"), WANTED)
    assert list(cloud.operations.launches.stuck()) == []
    clock.moment -= timedelta(hours=1)
    assert [one.id for one in cloud.operations.launches.stuck()] == [made.id]
    assert cloud.operations.instances.get(cloud.caller("alice"), made.id).state is InstanceState.BUILDING
