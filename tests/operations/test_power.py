"""Stopping, starting and rebooting: intent that a host makes true, once or as often as it is asked."""

from collections.abc import Callable

import pytest

from mooring.model.accounts import Caller
from mooring.model.faults import Conflict, Forbidden, Invalid, NotFound
from mooring.model.ids import InstanceId
from mooring.model.nouns import Instance, InstanceState, Power
from mooring.model.subjects import HostRole, InstanceIntent, Report, SubjectKey, SubjectKind
from mooring.operations import NewInstance
from tests.cloud import FLAVORS, IMAGES, Cloud


@pytest.fixture
def alice(cloud: Cloud) -> Caller:
    return cloud.caller("alice")


@pytest.fixture
def guest(cloud: Cloud, alice: Caller) -> Instance:
    return cloud.boot(alice)


def told(cloud: Cloud, guest: Instance) -> InstanceIntent:
    subject = cloud.host.held[SubjectKey(SubjectKind.INSTANCE, guest.id), HostRole.COMPUTE].subject
    assert isinstance(subject, InstanceIntent)
    return subject


def power(cloud: Cloud, caller: Caller, guest: Instance) -> Power:
    return cloud.operations.instances.get(caller, guest.id).power


def test_a_stopped_guest_keeps_everything(cloud: Cloud, alice: Caller, guest: Instance) -> None:
    floating = cloud.operations.addresses.allocate(alice, None)
    cloud.operations.addresses.associate(alice, guest.id, floating.address)
    before = cloud.operations.instances.get(alice, guest.id)
    public = cloud.host.public_addresses()
    stopped = cloud.operations.power.stop(alice, guest.id)
    assert (stopped.state, stopped.power, stopped.nics) == (InstanceState.ACTIVE, Power.STOPPED, before.nics)
    assert stopped.launched == before.launched is not None
    assert not told(cloud, guest).running
    assert cloud.host.public_addresses() == public != {}
    started = cloud.operations.power.start(alice, guest.id)
    assert (started.power, started.nics) == (Power.RUNNING, before.nics)
    assert (told(cloud, guest).running, told(cloud, guest).boots) == (True, 1)


def test_what_is_so_already_changes_nothing(cloud: Cloud, alice: Caller, guest: Instance) -> None:
    operations = cloud.operations.power
    first = told(cloud, guest).generation
    operations.start(alice, guest.id)
    assert told(cloud, guest).generation == first
    for _ in range(2):
        assert operations.stop(alice, guest.id).power is Power.STOPPED
    assert told(cloud, guest).generation == first + 1
    for _ in range(2):
        assert operations.start(alice, guest.id).power is Power.RUNNING
    assert (told(cloud, guest).generation, told(cloud, guest).boots) == (first + 2, 1)


@pytest.mark.parametrize("hard", [False, True])
def test_each_reboot_is_one(cloud: Cloud, alice: Caller, guest: Instance, hard: bool) -> None:
    for boots in (1, 2):
        assert cloud.operations.power.reboot(alice, guest.id, hard=hard).power is Power.RUNNING
        assert told(cloud, guest).boots == boots
    for _ in range(2):
        cloud.operations.power.reboot(alice, guest.id, hard=hard, idempotency_key="k")
        assert told(cloud, guest).boots == 3
    with pytest.raises(Invalid, match="different request"):
        cloud.operations.power.reboot(alice, guest.id, hard=not hard, idempotency_key="k")
    assert told(cloud, guest).boots == 3


def test_a_host_that_was_away_does_what_was_asked_last(cloud: Cloud, alice: Caller, guest: Instance) -> None:
    operations = cloud.operations.power
    cloud.host.away = True
    asked: list[tuple[Callable[[Caller, InstanceId], Instance], Power]] = [
        (operations.reboot, Power.REBOOTING),
        (operations.reboot, Power.REBOOTING),
        (operations.stop, Power.STOPPING),
        (operations.start, Power.STARTING),
        (operations.stop, Power.STOPPING),
    ]
    for ask, seen in asked:
        assert ask(alice, guest.id).power is seen
    cloud.host.come_back()
    assert power(cloud, alice, guest) is Power.STOPPED
    assert (told(cloud, guest).running, told(cloud, guest).boots) == (False, 2)


def test_an_answer_to_an_older_question_says_nothing(cloud: Cloud, alice: Caller, guest: Instance) -> None:
    cloud.host.away = True
    key, first = SubjectKey(SubjectKind.INSTANCE, guest.id), told(cloud, guest).generation
    cloud.operations.power.stop(alice, guest.id)
    cloud.operations.power.start(alice, guest.id)
    assert guest.host is not None
    cloud.operations.settlement.report(guest.host, [Report(key, HostRole.COMPUTE, first + 1)])
    assert power(cloud, alice, guest) is Power.STARTING
    cloud.operations.settlement.report(guest.host, [Report(key, HostRole.COMPUTE, first + 2)])
    assert power(cloud, alice, guest) is Power.RUNNING


def test_only_a_hard_reboot_starts_what_is_stopped(cloud: Cloud, alice: Caller, guest: Instance) -> None:
    cloud.operations.power.stop(alice, guest.id)
    with pytest.raises(Conflict, match="is stopped"):
        cloud.operations.power.reboot(alice, guest.id)
    assert power(cloud, alice, guest) is Power.STOPPED
    assert cloud.operations.power.reboot(alice, guest.id, hard=True).power is Power.RUNNING
    assert told(cloud, guest).running


def test_a_guest_that_does_not_come_up_again(cloud: Cloud, alice: Caller, guest: Instance) -> None:
    cloud.host.failing = "no room"
    broken = cloud.operations.power.reboot(alice, guest.id)
    assert (broken.state, broken.fault) == (InstanceState.ERROR, "no room")
    cloud.host.failing = None
    mended = cloud.operations.power.stop(alice, guest.id)
    assert (mended.state, mended.power, mended.fault) == (InstanceState.ACTIVE, Power.STOPPED, None)


def test_what_has_no_guest_has_no_power(cloud: Cloud, alice: Caller, guest: Instance) -> None:
    operations = cloud.operations
    cloud.host.away = True
    building = operations.instances.create(alice, NewInstance("vm", IMAGES[0].id, FLAVORS[0].id))
    operations.instances.delete(alice, guest.id)
    for ask in (operations.power.stop, operations.power.start, operations.power.reboot):
        with pytest.raises(Conflict, match="has not been launched"):
            ask(alice, building.id)
        with pytest.raises(Conflict, match="is being deleted"):
            ask(alice, guest.id)
    cloud.host.come_back()
    for ask in (operations.power.stop, operations.power.start, operations.power.reboot):
        with pytest.raises(NotFound):
            ask(alice, guest.id)


def test_it_is_ones_own_guests(cloud: Cloud, guest: Instance) -> None:
    before = told(cloud, guest)
    for ask in (cloud.operations.power.stop, cloud.operations.power.start, cloud.operations.power.reboot):
        with pytest.raises(NotFound):
            ask(cloud.caller("bob"), guest.id)
        with pytest.raises(Forbidden):
            ask(cloud.caller("rita"), guest.id)
    assert told(cloud, guest) == before


def test_a_stopped_guest_can_be_deleted(cloud: Cloud, alice: Caller, guest: Instance) -> None:
    cloud.operations.power.stop(alice, guest.id)
    cloud.operations.instances.delete(alice, guest.id)
    assert cloud.operations.instances.listing(alice) == ()
