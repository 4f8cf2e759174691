"""Which clock counts: the database's, and what is done when that one is set back or forward."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from mooring.model.nouns import InstanceState
from mooring.operations import NewInstance
from mooring.operations.memory import REMEMBERED
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
    long_ago = clock.moment - timedelta(days=9)
    assert list(cloud.operations.launches.stranded(long_ago)) == []
    clock.moment += timedelta(hours=hours)
    assert [one.id for one in cloud.operations.launches.stranded(long_ago)] == [made.id]
    cloud.operations.hosts.heartbeat(host.id)
    assert list(cloud.operations.launches.stranded(long_ago)) == []


def test_a_launch_that_does_not_move_is_found_after_the_clock_was_set_back(cloud, clock) -> None:
    made = cloud.operations.instances.create(cloud.caller("alice"), WANTED)
    assert list(cloud.operations.launches.stuck()) == []
    clock.moment -= timedelta(hours=1)
    assert [one.id for one in cloud.operations.launches.stuck()] == [made.id]
    assert cloud.operations.instances.get(cloud.caller("alice"), made.id).state is InstanceState.BUILDING


def test_nobody_is_dead_for_having_been_silent_while_nobody_could_be_heard(cloud, clock) -> None:
    """The database was away for a day: all hosts seem dead.  One of them is the first to be heard of again."""
    other = cloud.operations.hosts.register("host2", compute=True, gateway=False)
    made = [cloud.operations.instances.create(cloud.caller("alice"), WANTED).id for _ in range(2)]
    hosts = {cloud.operations.launches.schedule(one) for one in made}
    assert len(hosts) == 2
    launches = cloud.operations.launches
    assert launches.hearing(None) == clock.moment
    clock.moment += timedelta(hours=25)
    assert launches.hearing(clock.moment) is None
    cloud.operations.hosts.heartbeat(other.id)
    hearing = launches.hearing(None)
    assert hearing == clock.moment
    assert list(launches.stranded(hearing)) == []
    clock.moment += timedelta(hours=23)
    assert launches.hearing(hearing) == hearing
    assert list(launches.stranded(hearing)) == []
    cloud.operations.hosts.heartbeat(other.id)
    clock.moment += timedelta(hours=2)
    (stranded,) = launches.stranded(launches.hearing(hearing))
    assert stranded.host != other.id


def test_a_launch_waits_a_while_for_hosts_that_are_away(cloud, clock) -> None:
    clock.moment += timedelta(hours=25)
    made = cloud.operations.instances.create(cloud.caller("alice"), WANTED)
    assert cloud.operations.launches.schedule(made.id) is None
    clock.moment += timedelta(seconds=20)
    assert [one.id for one in cloud.operations.launches.stuck()] == [made.id]
    assert cloud.operations.launches.schedule(made.id) is None
    (host,) = cloud.operations.hosts.listing(cloud.caller("root"))
    cloud.operations.hosts.heartbeat(host.id)
    assert cloud.operations.launches.schedule(made.id) == host.id
    late = cloud.operations.instances.create(cloud.caller("alice"), WANTED)
    clock.moment += timedelta(hours=25)
    assert cloud.operations.launches.schedule(late.id) is None
    failed = cloud.operations.instances.get(cloud.caller("alice"), late.id)
    assert (failed.state, failed.fault) == (
        InstanceState.ERROR,
        "No host can run this instance: host host1 is away.",
    )


def test_an_idempotency_key_is_good_for_a_week(cloud, clock) -> None:
    caller = cloud.caller("alice")
    first = cloud.operations.addresses.allocate(caller, "public", "key")
    clock.moment += REMEMBERED
    assert cloud.operations.memory.forget() == 0
    assert cloud.operations.addresses.allocate(caller, "public", "key").id == first.id
    clock.moment += timedelta(seconds=1)
    assert cloud.operations.memory.forget() == 1
    assert cloud.operations.addresses.allocate(caller, "public", "key").id != first.id
