"""A launch, step by step: the address is taken late, every step may be repeated, and deletion may come at any moment."""

import contextlib
from collections.abc import Callable

import pytest

from mooring.model.accounts import Caller
from mooring.model.faults import Invalid, NotFound
from mooring.model.ids import HostId
from mooring.model.nouns import Instance, InstanceState
from mooring.model.subjects import HostRole, Report, SubjectKind
from mooring.operations import NewInstance, NewNic
from tests.cloud import FLAVORS, IMAGES, Cloud
from tests.operations import laws

WANTED = NewInstance("vm", IMAGES[0].id, FLAVORS[0].id)


class Steps:
    """The scheduler's and the host's side of one launch, each step when a test says so."""

    def __init__(self, cloud: Cloud, instance: Instance) -> None:
        self.cloud = cloud
        self.instance = instance.id
        self.host = HostId("")

    def schedule(self) -> None:
        self.host = self.cloud.operations.launches.schedule(self.instance) or self.host

    def set_up_network(self) -> None:
        self.cloud.operations.launches.set_up_network(self.host, self.instance)

    def allocate(self) -> None:
        self.cloud.operations.launches.allocate_fixed_ips(self.host, self.instance)

    def confirm(self) -> None:
        """Report everything that the host is told as true."""
        operations = self.cloud.operations
        reports = [Report(each.key, each.role, each.generation) for each in operations.settlement.pull(self.host, None)]
        operations.settlement.report(self.host, reports)

    def all(self) -> list[Callable[[], None]]:
        return [self.schedule, self.set_up_network, self.confirm, self.allocate, self.confirm, self.confirm]


@pytest.fixture
def cloud(make_cloud: Callable[..., Cloud]) -> Cloud:
    """A cloud whose host does nothing by itself."""
    cloud = make_cloud(settle_timeout=0.0)
    cloud.host.away = True
    return cloud


@pytest.fixture
def alice(cloud: Cloud) -> Caller:
    return cloud.caller("alice")


def test_the_address_is_taken_late(cloud: Cloud, alice: Caller) -> None:
    made = cloud.operations.instances.create(alice, WANTED)
    assert (made.state, made.host, [nic.fixed for nic in made.nics]) == (InstanceState.BUILDING, None, [()])
    seen = []
    for step in Steps(cloud, made).all():
        step()
        now = cloud.operations.instances.get(alice, made.id)
        seen.append((now.state, now.host is not None, bool(now.nics[0].fixed)))
    building = InstanceState.BUILDING
    assert seen == [
        (building, True, False),
        (building, True, False),
        (building, True, False),
        (building, True, True),
        (building, True, True),
        (InstanceState.ACTIVE, True, True),
    ]


def test_every_step_may_be_repeated(cloud: Cloud, alice: Caller) -> None:
    made = cloud.operations.instances.create(alice, WANTED)
    steps = Steps(cloud, made)
    for count, step in enumerate(steps.all()):
        for again in (*steps.all()[:count], step, step):
            # Once it is active there is nothing to launch.
            with contextlib.suppress(NotFound):
                again()
    now = cloud.operations.instances.get(alice, made.id)
    assert (now.state, len(now.nics), len(now.nics[0].fixed)) == (InstanceState.ACTIVE, 1, 1)


@pytest.mark.parametrize("after", range(7))
def test_deletion_at_any_moment(cloud: Cloud, alice: Caller, after: int) -> None:
    made = cloud.operations.instances.create(alice, WANTED)
    steps = Steps(cloud, made)
    for step in steps.all()[:after]:
        step()
    cloud.operations.instances.delete(alice, made.id)
    for step in (steps.set_up_network, steps.allocate):
        with pytest.raises(NotFound):
            step()
    assert cloud.operations.launches.schedule(made.id) is None
    cloud.host.come_back()
    with pytest.raises(NotFound):
        cloud.operations.instances.get(alice, made.id)
    assert cloud.host.public_addresses() == {}
    assert not [key for key, _ in cloud.host.held if key.kind in {SubjectKind.NIC, SubjectKind.INSTANCE}]
    laws.check(cloud)


def test_guests_start_when_all_their_hosts_know_their_addresses(cloud: Cloud, alice: Caller) -> None:
    """Filters first, guest last: the gateway has not confirmed the NIC, so the compute host isn't told of the guest."""
    made = cloud.operations.instances.create(alice, WANTED)
    steps = Steps(cloud, made)
    for step in steps.all()[:4]:
        step()
    told = cloud.operations.settlement.pull(steps.host, None)
    compute = [each for each in told if each.key.kind is SubjectKind.NIC and each.role is HostRole.COMPUTE]
    reports = [Report(each.key, each.role, each.generation) for each in compute]
    cloud.operations.settlement.report(steps.host, reports)
    assert not [
        each for each in cloud.operations.settlement.pull(steps.host, None) if each.key.kind is SubjectKind.INSTANCE
    ]
    steps.confirm()
    assert [
        each for each in cloud.operations.settlement.pull(steps.host, None) if each.key.kind is SubjectKind.INSTANCE
    ]


def test_the_steps_of_another_host_are_refused(cloud: Cloud, alice: Caller) -> None:
    made = cloud.operations.instances.create(alice, WANTED)
    steps = Steps(cloud, made)
    steps.schedule()
    steps.host = cloud.operations.hosts.register("host2", compute=True, gateway=False).id
    for step in (steps.set_up_network, steps.allocate):
        with pytest.raises(NotFound):
            step()


def test_guests_are_spread(cloud: Cloud, alice: Caller) -> None:
    cloud.operations.hosts.register("host2", compute=True, gateway=False)
    cloud.operations.hosts.register("host3", compute=False, gateway=True)
    hosts = [cloud.operations.launches.schedule(cloud.operations.instances.create(alice, WANTED).id) for _ in range(4)]
    assert len(set(hosts[:2])) == len(set(hosts[2:])) == len(set(hosts)) == 2


@pytest.mark.parametrize(
    "wrong",
    [
        NewInstance("a\nb", WANTED.image, WANTED.flavor),
        NewInstance("vm", "no such image", WANTED.flavor),
        NewInstance("vm", WANTED.image, "no such flavor"),
        NewInstance("vm", WANTED.image, WANTED.flavor, (NewNic("private"),) * 9),
    ],
)
def test_instances_that_cannot_be(cloud: Cloud, alice: Caller, wrong: NewInstance) -> None:
    with pytest.raises(Invalid):
        cloud.operations.instances.create(alice, wrong)
    laws.check(cloud)


def test_two_nics_on_one_network(cloud: Cloud, alice: Caller) -> None:
    made = cloud.operations.instances.create(
        alice, NewInstance("vm", WANTED.image, WANTED.flavor, (NewNic("private"), NewNic("private")))
    )
    for step in Steps(cloud, made).all():
        step()
    now = cloud.operations.instances.get(alice, made.id)
    assert now.state is InstanceState.ACTIVE
    assert len({fixed.address for nic in now.nics for fixed in nic.fixed}) == 2
