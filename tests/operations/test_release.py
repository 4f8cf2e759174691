"""An address that was given back is given again only when no host can hold it any longer."""

from collections.abc import Callable
from ipaddress import IPv4Address

import pytest

from mooring.model.faults import Conflict, Exhausted
from mooring.model.ids import InstanceId
from mooring.model.nouns import AddressRange, Instance, InstanceState
from mooring.model.subjects import Report
from mooring.operations import NewInstance, NewNic
from tests.cloud import FLAVORS, IMAGES, Cloud
from tests.operations import laws

FIRST = IPv4Address("198.51.100.10")


@pytest.fixture
def cloud(make_cloud: Callable[..., Cloud]) -> Cloud:
    """A cloud with one public address beside the router's own, and a host that doesn't keep callers waiting when it is away."""
    return make_cloud(settle_timeout=0.05, pools=(("public", AddressRange(FIRST, FIRST + 1)),))


def test_never_associated_is_free_at_once(cloud: Cloud) -> None:
    caller = cloud.caller("alice")
    cloud.host.away = True
    floating = cloud.operations.addresses.allocate(caller, None)
    with pytest.raises(Exhausted):
        cloud.operations.addresses.allocate(caller, None)
    cloud.operations.addresses.release(caller, floating.id)
    assert cloud.operations.addresses.allocate(caller, None).address == floating.address


def _release(cloud: Cloud, instance: Instance) -> None:
    caller = cloud.caller("alice")
    (floating,) = cloud.operations.addresses.listing(caller)
    cloud.operations.addresses.release(caller, floating.id)


def _disassociate_and_release(cloud: Cloud, instance: Instance) -> None:
    caller = cloud.caller("alice")
    (floating,) = cloud.operations.addresses.listing(caller)
    cloud.operations.addresses.disassociate(caller, instance.id, floating.address)
    cloud.operations.addresses.release(caller, floating.id)


def _delete_and_release(cloud: Cloud, instance: Instance) -> None:
    caller = cloud.caller("alice")
    cloud.operations.instances.delete(caller, instance.id)
    _release(cloud, instance)


@pytest.mark.parametrize("give_back", [_release, _disassociate_and_release, _delete_and_release])
def test_associated_waits_for_the_host(cloud: Cloud, give_back: Callable[[Cloud, Instance], None]) -> None:
    alice, bob = cloud.caller("alice"), cloud.caller("bob")
    instance = cloud.boot(alice)
    floating = cloud.operations.addresses.allocate(alice, None)
    cloud.operations.addresses.associate(alice, instance.id, floating.address)
    cloud.host.away = True
    give_back(cloud, instance)
    assert list(cloud.operations.addresses.listing(alice)) == []
    # The host has not heard of it: it still answers at the address.
    assert floating.address in cloud.host.public_addresses()
    with pytest.raises(Exhausted):
        cloud.operations.addresses.allocate(bob, None)
    cloud.host.come_back()
    assert cloud.host.public_addresses() == {}
    assert cloud.operations.addresses.allocate(bob, None).address == floating.address
    laws.check(cloud)


def test_an_old_report_frees_nothing(cloud: Cloud) -> None:
    """The address was on and off twice: that the host confirmed the first time says nothing of the second."""
    alice = cloud.caller("alice")
    instance = cloud.boot(alice)
    floating = cloud.operations.addresses.allocate(alice, None)
    cloud.operations.addresses.associate(alice, instance.id, floating.address)
    cloud.operations.addresses.disassociate(alice, instance.id, floating.address)
    cloud.operations.addresses.associate(alice, instance.id, floating.address)
    cloud.host.away = True
    cloud.operations.addresses.release(alice, floating.id)
    with pytest.raises(Exhausted):
        cloud.operations.addresses.allocate(alice, None)
    cloud.host.come_back()
    assert cloud.operations.addresses.allocate(alice, None).address == floating.address


def test_moved_waits_for_all_that_may_hold_it(cloud: Cloud) -> None:
    """The host confirms the instance that it was on last, and not yet the one that it was on before."""
    alice = cloud.caller("alice")
    first, second = cloud.boot(alice, "first"), cloud.boot(alice, "second")
    floating = cloud.operations.addresses.allocate(alice, None)
    cloud.operations.addresses.associate(alice, first.id, floating.address)
    cloud.host.away = True
    cloud.operations.addresses.associate(alice, second.id, floating.address)
    cloud.operations.addresses.release(alice, floating.id)
    (host,) = cloud.operations.settlement.behind()
    told = cloud.operations.settlement.pull(host, None)
    known = [Report(each.key, each.role, each.generation) for each in told if each.key.id == second.nics[0].id]
    cloud.operations.settlement.report(host, known)
    with pytest.raises(Exhausted):
        cloud.operations.addresses.allocate(alice, None)
    cloud.host.come_back()
    assert cloud.operations.addresses.allocate(alice, None).address == floating.address


def test_fixed_address_waits_too(cloud: Cloud) -> None:
    alice = cloud.caller("alice")
    instance = cloud.boot(alice)
    address = instance.nics[0].fixed[0].address
    wanted = NewInstance("heir", IMAGES[0].id, FLAVORS[0].id, (NewNic("private", address),))
    cloud.host.away = True
    cloud.operations.instances.delete(alice, instance.id)
    assert cloud.operations.instances.get(alice, InstanceId(instance.id)).state is InstanceState.DELETING
    with pytest.raises(Conflict, match="is taken"):
        cloud.operations.instances.create(alice, wanted)
    cloud.host.come_back()
    heir = cloud.operations.instances.create(alice, wanted)
    assert cloud.operations.instances.get(alice, heir.id).nics[0].fixed[0].address == address
    laws.check(cloud)


def test_a_host_that_is_away_keeps_nobody_waiting_for_ever(cloud: Cloud) -> None:
    alice = cloud.caller("alice")
    instance = cloud.boot(alice)
    floating = cloud.operations.addresses.allocate(alice, None)
    cloud.host.away = True
    associated = cloud.operations.addresses.associate(alice, instance.id, floating.address)
    assert associated.instance == instance.id
    assert cloud.host.public_addresses() == {}
    cloud.host.come_back()
    assert cloud.host.public_addresses() == {floating.address: instance.nics[0].fixed[0].address}
    laws.check(cloud)


def test_a_guest_that_does_not_start(cloud: Cloud) -> None:
    alice = cloud.caller("alice")
    cloud.host.failing = "no such image file"
    made = cloud.operations.instances.create(alice, NewInstance("vm", IMAGES[0].id, FLAVORS[0].id))
    failed = cloud.operations.instances.get(alice, made.id)
    assert (failed.state, failed.fault) == (InstanceState.ERROR, "no such image file")
    cloud.operations.instances.delete(alice, made.id)
    assert list(cloud.operations.instances.listing(alice)) == []
    laws.check(cloud)
