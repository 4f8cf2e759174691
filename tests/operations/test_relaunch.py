"""A launch that is taken back from its host: what the tenant chose or built on stays, and nothing leaks."""

from collections.abc import Callable
from ipaddress import IPv4Address

import pytest

from mooring.model.accounts import Caller
from mooring.model.ids import HostId, InstanceId
from mooring.model.nouns import InstanceState
from mooring.model.subjects import Report, SubjectKind
from mooring.operations import NewInstance, NewNic
from tests.cloud import FLAVORS, IMAGES, Cloud

CHOSEN = IPv4Address("10.0.0.77")


@pytest.fixture
def cloud(make_cloud: Callable[..., Cloud]) -> Cloud:
    """A cloud of three hosts that do nothing by themselves."""
    cloud = make_cloud(settle_timeout=0.0)
    cloud.host.away = True
    for name in ("host2", "host3"):
        cloud.operations.hosts.register(name, compute=True, gateway=False)
    return cloud


@pytest.fixture
def alice(cloud: Cloud) -> Caller:
    return cloud.caller("alice")


def launch(cloud: Cloud, instance: InstanceId) -> HostId:
    """Take a launch as far as the addresses; return its host."""
    host = cloud.operations.launches.schedule(instance)
    assert host is not None
    cloud.operations.launches.set_up_network(host, instance)
    cloud.operations.launches.allocate_fixed_ips(host, instance)
    return host


def confirm(cloud: Cloud) -> None:
    """Let every host report everything that it is told as true."""
    settlement = cloud.operations.settlement
    while hosts := settlement.behind():
        for host in hosts:
            told = settlement.pull(host, None)
            settlement.report(host, [Report(each.key, each.role, each.generation) for each in told])


def test_what_the_tenant_chose_and_built_on_stays(cloud: Cloud, alice: Caller) -> None:
    wanted = NewInstance("vm", IMAGES[0].id, FLAVORS[0].id, (NewNic("private", CHOSEN), NewNic("private")))
    made = cloud.operations.instances.create(alice, wanted)
    first = launch(cloud, made.id)
    second_fixed = cloud.operations.instances.get(alice, made.id).nics[1].fixed[0].address
    floating = cloud.operations.addresses.allocate(alice, None)
    cloud.operations.addresses.associate(alice, made.id, floating.address, second_fixed)
    assert cloud.operations.launches.relaunch(made.id, first, "no room")
    second = launch(cloud, made.id)
    assert second != first
    confirm(cloud)
    now = cloud.operations.instances.get(alice, made.id)
    assert now.state is InstanceState.ACTIVE
    assert [fixed.address for nic in now.nics for fixed in nic.fixed] == [CHOSEN, second_fixed]
    assert cloud.operations.addresses.get(alice, floating.id).fixed == second_fixed


def test_a_launch_that_failed_for_good_gives_its_addresses_back(cloud: Cloud, alice: Caller) -> None:
    wanted = NewInstance("vm", IMAGES[0].id, FLAVORS[0].id, (NewNic("private", CHOSEN),))
    made = cloud.operations.instances.create(alice, wanted)
    for again in (True, True, False):
        assert cloud.operations.launches.relaunch(made.id, launch(cloud, made.id), "no room") is again
    failed = cloud.operations.instances.get(alice, made.id)
    assert (failed.state, failed.fault, failed.nics[0].fixed) == (InstanceState.ERROR, "no room", ())
    confirm(cloud)
    heir = cloud.operations.instances.create(alice, wanted)
    assert heir.nics[0].fixed[0].address == CHOSEN


def test_a_chosen_address_that_no_host_ever_saw_is_free_at_once(cloud: Cloud, alice: Caller) -> None:
    wanted = NewInstance("vm", IMAGES[0].id, FLAVORS[0].id, (NewNic("private", CHOSEN),))
    made = cloud.operations.instances.create(alice, wanted)
    for _ in range(3):
        host = cloud.operations.launches.schedule(made.id)
        assert host is not None
        cloud.operations.launches.relaunch(made.id, host, "no room")
    assert cloud.operations.instances.get(alice, made.id).state is InstanceState.ERROR
    assert cloud.operations.instances.create(alice, wanted).nics[0].fixed[0].address == CHOSEN


def test_an_association_outlives_a_launch_that_failed_for_good(cloud: Cloud, alice: Caller) -> None:
    made = cloud.operations.instances.create(alice, NewInstance("vm", IMAGES[0].id, FLAVORS[0].id))
    host = launch(cloud, made.id)
    floating = cloud.operations.addresses.allocate(alice, None)
    cloud.operations.addresses.associate(alice, made.id, floating.address)
    for _ in range(2):
        assert cloud.operations.launches.relaunch(made.id, host, "no room")
        host = launch(cloud, made.id)
    assert not cloud.operations.launches.relaunch(made.id, host, "no room")
    assert cloud.operations.addresses.get(alice, floating.id).instance == made.id
    cloud.operations.instances.delete(alice, made.id)
    confirm(cloud)
    assert cloud.operations.addresses.get(alice, floating.id).instance is None
    assert list(cloud.operations.instances.listing(alice)) == []


def test_a_host_that_refuses_a_network_gets_no_guest_on_it(cloud: Cloud, alice: Caller) -> None:
    settlement = cloud.operations.settlement
    reason = "the kernel has no 802.1Q"

    def report(refusing: HostId) -> list[InstanceId]:
        """Let every host report; one of them can't have the network, and says so once."""
        failed: list[InstanceId] = []
        for host in settlement.behind():
            reports = [
                Report(
                    each.key,
                    each.role,
                    each.generation,
                    reason if host == refusing and each.key.kind is SubjectKind.NETWORK else None,
                )
                for each in settlement.pull(host, None)
            ]
            said = settlement.report(host, reports).failed
            assert all(launch.reason == reason for launch in said)
            failed += [launch.instance for launch in said]
        return failed

    first, second = (
        cloud.operations.instances.create(alice, NewInstance(name, IMAGES[0].id, FLAVORS[0].id)) for name in "ab"
    )
    refusing = launch(cloud, first.id)
    while cloud.operations.instances.get(alice, second.id).host != refusing:
        # The gateway's host has the network, too, and could run it as well.
        host = launch(cloud, second.id)
        if host != refusing:
            cloud.operations.launches.relaunch(second.id, host, "elsewhere")
    assert sorted(report(refusing)) == sorted([first.id, second.id])
    assert cloud.operations.launches.relaunch(first.id, refusing, reason)
    assert launch(cloud, first.id) != refusing
    confirm(cloud)
    assert cloud.operations.instances.get(alice, first.id).state is InstanceState.ACTIVE
