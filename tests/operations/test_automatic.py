"""Floating IPs that come with an instance and go with it: whatever becomes of the launch, nothing is left over; nobody parts them."""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network

import pytest

from mooring.model.faults import Exhausted, Forbidden, QuotaExceeded
from mooring.model.nouns import AddressRange, InstanceState
from mooring.operations import AUTOMATIC, FloatingChoice, NewInstance, NewPreference, NewWay, PoolChange
from tests.cloud import FLAVORS, IMAGES, POOL_RANGE, Cloud
from tests.operations import laws

SECOND = AddressRange(IPv4Address("203.0.113.10"), IPv4Address("203.0.113.29"))
POOLS = (("public", POOL_RANGE), ("second", SECOND))


@pytest.fixture
def cloud(make_cloud: Callable[..., Cloud]) -> Cloud:
    return make_cloud(auto_assign="second", pools=POOLS)


def _new(name: str = "vm") -> NewInstance:
    return NewInstance(name, IMAGES[0].id, FLAVORS[0].id)


def test_an_instance_comes_and_goes_with_its_floating_ip(cloud: Cloud) -> None:
    alice, do = cloud.caller("alice"), cloud.operations
    server = cloud.boot(alice)
    (floating,) = server.nics[0].floating
    assert (floating.pool_name, floating.fixed) == ("second", server.nics[0].fixed[0].address)
    assert cloud.host.public_addresses() == {floating.address: floating.fixed}
    laws.check(cloud)
    do.instances.delete(alice, server.id)
    assert list(do.addresses.listing(alice)) == []
    assert do.pools.usage(cloud.caller("root"), "second").allocated == 0
    laws.check(cloud)


def test_it_is_given_again_only_when_hosts_let_go(cloud: Cloud) -> None:
    alice, do, root = cloud.caller("alice"), cloud.operations, cloud.caller("root")
    server = cloud.boot(alice)
    cloud.host.away = True
    do.instances.delete(alice, server.id)
    assert (do.pools.usage(root, "second").allocated, do.pools.usage(root, "second").releasing) == (0, 1)
    cloud.host.come_back()
    assert do.pools.usage(root, "second").releasing == 0
    laws.check(cloud)


@pytest.mark.parametrize("who", ["alice", "root"])
def test_nobody_takes_it_off_moves_it_or_releases_it(cloud: Cloud, who: str) -> None:
    alice, do = cloud.caller("alice"), cloud.operations
    one, two = cloud.boot(alice, "one"), cloud.boot(alice, "two")
    (floating,) = one.nics[0].floating
    assert floating.automatic
    caller, before = cloud.caller(who), cloud.host.public_addresses()
    parting: list[Callable[[], object]] = [
        lambda: do.addresses.release(caller, floating.id),
        lambda: do.addresses.point(caller, floating.id, None),
    ]
    if who == "alice":
        parting += [
            lambda: do.addresses.disassociate(caller, one.id, floating.address),
            lambda: do.addresses.associate(caller, two.id, floating.address),
            lambda: do.addresses.point(caller, floating.id, two.nics[0].id),
            lambda: do.addresses.point_at(caller, floating.id, two.nics[0].fixed[0].address),
        ]
    for part in parting:
        with pytest.raises(Forbidden, match=f"{floating.address} came with instance {one.id}") as refused:
            part()
        assert refused.value.field == AUTOMATIC
    # Where it is already, nothing happens.
    assert do.addresses.associate(alice, one.id, floating.address) == floating
    assert cloud.host.public_addresses() == before
    laws.check(cloud)
    do.instances.delete(alice, one.id)
    assert [each.address for each in do.addresses.listing(alice)] == [two.nics[0].floating[0].address]
    laws.check(cloud)


def test_what_the_project_added_is_its_own_and_stays(cloud: Cloud) -> None:
    alice, do = cloud.caller("alice"), cloud.operations
    one = cloud.boot(alice, "one")
    added = do.addresses.allocate(alice, "public")
    added = do.addresses.associate(alice, one.id, added.address)
    assert not added.automatic
    for automatic, wanted in ((False, [added]), (True, list(one.nics[0].floating)), (None, None)):
        found = [each for piece in do.addresses.walk(alice, FloatingChoice(automatic=automatic)) for each in piece]
        assert found == (list(do.addresses.listing(alice)) if wanted is None else wanted)
    idle = do.addresses.allocate(alice, "public")
    assert list(do.addresses.walk(alice, FloatingChoice(automatic=False))) == [[added, idle]]
    do.instances.delete(alice, one.id)
    assert {each.address for each in do.addresses.listing(alice)} == {added.address, idle.address}
    laws.check(cloud)


def test_preferences_to_leave_as_it_go_with_it(cloud: Cloud) -> None:
    alice, do = cloud.caller("alice"), cloud.operations
    server = cloud.boot(alice)
    (floating,) = server.nics[0].floating
    do.egress.create(alice, NewPreference(IPv4Network("192.0.2.0/24"), NewWay(floating.address), instance=server.id))
    do.instances.delete(alice, server.id)
    assert list(do.egress.listing(alice)) == []
    assert list(do.addresses.listing(alice)) == []
    laws.check(cloud)


def test_a_launch_that_fails_gives_it_back(cloud: Cloud) -> None:
    alice, do = cloud.caller("alice"), cloud.operations
    cloud.host.failing = "no room"
    made = do.instances.create(alice, _new())
    failed = do.instances.get(alice, made.id)
    assert (failed.state, failed.nics[0].floating, failed.nics[0].fixed) == (InstanceState.ERROR, (), ())
    assert list(do.addresses.listing(alice)) == []
    laws.check(cloud)
    do.instances.delete(alice, made.id)
    laws.check(cloud)


def test_steps_that_are_repeated_give_one(cloud: Cloud) -> None:
    alice, do = cloud.caller("alice"), cloud.operations
    cloud.host.away = True
    made = do.instances.create(alice, _new())
    host = do.launches.schedule(made.id)
    assert host is not None
    do.launches.set_up_network(host, made.id)
    for _ in range(3):
        do.launches.allocate_fixed_ips(host, made.id)
    assert len(do.addresses.listing(alice)) == 1
    # Deleted in the middle of the launch.
    do.instances.delete(alice, made.id)
    cloud.host.come_back()
    assert list(do.addresses.listing(alice)) == []
    laws.check(cloud)


def test_a_launch_that_is_taken_to_another_host_keeps_it(cloud: Cloud) -> None:
    alice, do = cloud.caller("alice"), cloud.operations
    cloud.host.away = True
    other = do.hosts.register("host2", compute=True, gateway=False).id
    made = do.instances.create(alice, _new())
    hosts = []
    for _ in range(2):
        host = do.launches.schedule(made.id)
        assert host is not None
        hosts.append(host)
        do.launches.set_up_network(host, made.id)
        do.launches.allocate_fixed_ips(host, made.id)
        (floating,) = do.addresses.listing(alice)
        if len(hosts) == 1:
            assert do.launches.relaunch(made.id, host, "tried")
            assert list(do.addresses.listing(alice)) == [floating]
    assert len(set(hosts)) == 2
    assert other in hosts


def test_a_project_that_may_not_use_the_pool_gets_none(cloud: Cloud) -> None:
    cloud.operations.pools.update(cloud.caller("root"), "second", PoolChange(public=False))
    cloud.operations.grants.grant(cloud.caller("root"), "second", "barges")
    assert cloud.boot(cloud.caller("alice")).nics[0].floating == ()
    assert len(cloud.boot(cloud.caller("bob")).nics[0].floating) == 1
    laws.check(cloud)


def test_who_has_all_floating_ips_is_told_before_anything_is_made(cloud: Cloud) -> None:
    alice, do = cloud.caller("alice"), cloud.operations
    for _ in range(cloud.quota):
        do.addresses.allocate(alice, "public")
    with pytest.raises(QuotaExceeded, match="floating IPs"):
        do.instances.create(alice, _new())
    assert list(do.instances.listing(alice)) == []
    laws.check(cloud)


def test_a_launch_for_which_there_is_none_ends_with_the_reason(cloud: Cloud) -> None:
    alice, do = cloud.caller("alice"), cloud.operations
    root = cloud.caller("root")
    cloud.boot(alice, "first")
    do.ranges.remove(root, AddressRange(SECOND.first + 2, SECOND.last))
    made = do.instances.create(alice, _new())
    failed = do.instances.get(alice, made.id)
    assert (failed.state, failed.fault) == (InstanceState.ERROR, "No more floating IPs are available in pool second.")
    do.grants.limit(root, "second", "boats", 1)
    do.ranges.add(root, AddressRange(SECOND.first + 2, SECOND.last), "second")
    made = do.instances.create(alice, _new())
    assert "limit is 1" in (do.instances.get(alice, made.id).fault or "")
    laws.check(cloud)


def test_a_pool_that_is_not_there_is_named(make_cloud: Callable[..., Cloud]) -> None:
    cloud = make_cloud(auto_assign="nowhere")
    with pytest.raises(Exhausted, match="of pool nowhere, and there is no such pool"):
        cloud.operations.instances.create(cloud.caller("alice"), _new())
    laws.check(cloud)
