"""For whom pools are there: what others see of them, what a withdrawal leaves, shares, and several floating IPs on one fixed IP."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from mooring.model.accounts import Caller
from mooring.model.faults import Conflict, Exhausted, Fault, Forbidden, InUse, Invalid, NotFound, QuotaExceeded
from mooring.model.ids import NicId
from mooring.model.nouns import AddressRange, FloatingIp, Instance, NetworkKind
from mooring.model.pools import PoolFill
from mooring.model.subjects import HostRole, NicIntent, SubjectKey, SubjectKind
from mooring.operations import (
    NewFloatingIp,
    NewInstance,
    NewNetwork,
    NewNic,
    NewPool,
    NewPreference,
    NewWay,
    PoolChange,
)
from mooring.operations.hosts import HostLinks
from tests.cloud import FLAVORS, IMAGES, Cloud, StoppedClock
from tests.operations import laws

SUBNET = IPv4Network("203.0.113.0/24")
FIRST = SUBNET[10]


@pytest.fixture
def cloud(make_cloud: Callable[..., Cloud]) -> Cloud:
    """A cloud with a second pool, on an uplink of its own, that is not for everybody."""
    made = make_cloud()
    new = NewPool("second", SUBNET, SUBNET[1], (AddressRange(FIRST, SUBNET[29]),), "another", "eth1", public=False)
    made.operations.pools.create(made.caller("root"), new)
    return made


@pytest.fixture
def root(cloud: Cloud) -> Caller:
    return cloud.caller("root")


@pytest.fixture
def alice(cloud: Cloud) -> Caller:
    return cloud.caller("alice")


def _granted(cloud: Cloud, project: str = "boats") -> None:
    cloud.operations.grants.grant(cloud.caller("root"), "second", project)


def _associated(cloud: Cloud, caller: Caller, server: Instance, pool: str = "second") -> FloatingIp:
    floating = cloud.operations.addresses.allocate(caller, pool)
    return cloud.operations.addresses.associate(caller, server.id, floating.address)


def _leaves_as(cloud: Cloud, nic: NicId) -> list[str]:
    """Return the floating IPs of a NIC as its hosts were told, in their order."""
    return [str(public.address) for own in _told(cloud, nic).addresses for public in own.floating]


def _told(cloud: Cloud, nic: NicId) -> NicIntent:
    told = cloud.host.held[SubjectKey(SubjectKind.NIC, nic), HostRole.GATEWAY].subject
    assert isinstance(told, NicIntent)
    return told


# ---------------------------------------------------------------------------------------------------------- visibility


def test_a_pool_that_is_not_granted_is_as_if_it_were_not(cloud: Cloud, alice: Caller) -> None:
    do = cloud.operations
    server = cloud.boot(alice)
    assert [pool.name for pool in do.pools.listing(alice)] == ["public"]
    asked: list[Callable[[str], Any]] = [
        lambda name: do.pools.usage(alice, name),
        lambda name: do.pools.report(alice, name),
        lambda name: do.addresses.allocate(alice, name),
        lambda name: do.addresses.make(alice, NewFloatingIp(name, FIRST)),
        lambda name: do.egress.create(
            alice, NewPreference(IPv4Network("192.0.2.0/24"), NewWay(pool=name), instance=server.id)
        ),
        lambda name: do.egress.create(
            alice, NewPreference(IPv4Network("192.0.2.0/24"), NewWay(pool="public"), NewWay(pool=name))
        ),
    ]
    for ask in asked:
        with pytest.raises(NotFound) as hidden:
            ask("second")
        with pytest.raises(NotFound) as missing:
            ask("nowhere")
        assert str(hidden.value).replace("second", "nowhere") == str(missing.value)
    laws.check(cloud)


def test_a_network_that_overlaps_it_learns_no_name(cloud: Cloud, root: Caller) -> None:
    for subnet, named in ((SUBNET, "public addresses"), (IPv4Network("198.51.100.0/24"), "pool public")):
        with pytest.raises(Conflict, match=f"overlaps {named}") as refused:
            cloud.operations.networks.create(root, NewNetwork("over", subnet))
        assert "second" not in refused.value.reason


def test_a_granted_pool_is_there_for_that_project_only(cloud: Cloud, alice: Caller) -> None:
    _granted(cloud)
    assert [pool.name for pool in cloud.operations.pools.listing(alice)] == ["public", "second"]
    assert [pool.name for pool in cloud.operations.pools.listing(cloud.caller("bob"))] == ["public"]
    floating = _associated(cloud, alice, cloud.boot(alice))
    assert cloud.host.public_addresses() == {floating.address: floating.fixed}
    # Without a name it is still the first.
    assert cloud.operations.addresses.allocate(alice, None).pool_name == "public"
    laws.check(cloud)


def test_the_first_pool_is_the_first_that_one_may_use(cloud: Cloud, root: Caller, alice: Caller) -> None:
    cloud.operations.pools.update(root, "public", PoolChange(public=False))
    with pytest.raises(NotFound):
        cloud.operations.addresses.allocate(alice, None)
    _granted(cloud)
    assert cloud.operations.addresses.allocate(alice, None).pool_name == "second"


def test_administrators_see_and_use_all_pools(cloud: Cloud, root: Caller) -> None:
    assert [pool.name for pool in cloud.operations.pools.listing(root)] == ["public", "second"]
    assert cloud.operations.addresses.allocate(root, "second").pool_name == "second"


def test_only_administrators_grant(cloud: Cloud, alice: Caller) -> None:
    do = cloud.operations
    for attempt in (
        lambda: do.grants.grant(alice, "second", "boats"),
        lambda: do.grants.withdraw(alice, "second", "boats"),
        lambda: do.grants.limit(alice, "public", "boats", 99),
        lambda: do.pools.update(alice, "public", PoolChange(public=False)),
    ):
        with pytest.raises(Forbidden):
            attempt()


def test_grants_name_what_there_is(cloud: Cloud, root: Caller) -> None:
    grants = cloud.operations.grants
    attempts: list[tuple[Callable[[], Any], str]] = [
        (lambda: grants.grant(root, "nowhere", "boats"), "Pool"),
        (lambda: grants.grant(root, "second", "nobody"), "Project"),
        (lambda: grants.withdraw(root, "second", "boats"), "Grant"),
        (lambda: grants.limit(root, "second", "nobody", 1), "Project"),
    ]
    for attempt, noun in attempts:
        with pytest.raises(NotFound, match=f"^{noun} "):
            attempt()
    assert [grants.grant(root, "second", "boats").used for _ in range(2)] == [0, 0]


def test_a_router_of_its_own_leaves_only_by_what_its_project_may_use(cloud: Cloud, root: Caller, alice: Caller) -> None:
    do = cloud.operations
    bob = cloud.caller("bob")
    _granted(cloud)
    links = HostLinks(endpoint=IPv4Address("192.0.2.1"))
    do.hosts.register("host1", compute=True, gateway=True, links=links)
    for number, caller in enumerate((alice, bob)):
        new = NewNetwork(f"own{number}", IPv4Network("10.9.0.0/24"), kind=NetworkKind.VXLAN, project=caller.project.id)
        network = do.networks.create(root, new)
        do.instances.create(caller, NewInstance("vm", IMAGES[0].id, FLAVORS[0].id, (NewNic(network.id),)))
    found = {router.project: router for router in do.networks.routers(root)}
    pools = {pool.id: pool.name for pool in do.pools.listing(root)}
    ways = {project: [pools[way.pool] for way in router.ways_out] for project, router in found.items()}
    assert ways[alice.project.id] == ["public", "second"]
    # The shared one has no way there as long as nobody needs it: who prefers nothing must not leave by it.
    assert ways[bob.project.id] == ways[None] == ["public"]


def test_the_first_way_out_is_for_everybody(cloud: Cloud, alice: Caller) -> None:
    """By name, the uplink of the second pool comes before the first's; but who prefers nothing leaves by the public one."""
    _granted(cloud)
    server = cloud.boot(alice)
    _associated(cloud, alice, server)
    told = _told(cloud, server.nics[0].id)
    assert [str(public.address)[:3] for public in told.shared] == ["198", "203"]
    cloud.operations.pools.update(cloud.caller("root"), "second", PoolChange(public=True))
    told = _told(cloud, server.nics[0].id)
    assert [str(public.address)[:3] for public in told.shared] == ["203", "198"]
    laws.check(cloud)


# ---------------------------------------------------------------------------------------------------------- withdrawal


def test_what_a_withdrawal_leaves(cloud: Cloud, root: Caller, alice: Caller) -> None:
    do = cloud.operations
    _granted(cloud)
    server = cloud.boot(alice)
    kept = _associated(cloud, alice, server)
    idle = do.addresses.allocate(alice, "second")
    preferred = NewPreference(IPv4Network("192.0.2.0/24"), NewWay(kept.address), instance=server.id)
    preference = do.egress.create(alice, preferred)
    assert do.grants.withdraw(root, "second", "boats").used == 2
    # What leads somewhere goes on doing so, and what is the project's is its own ...
    assert cloud.host.public_addresses() == {kept.address: kept.fixed}
    assert {each.address for each in do.addresses.listing(alice)} == {kept.address, idle.address}
    # ... but nothing new begins.
    refused: list[tuple[type[Fault], Callable[[], Any]]] = [
        (NotFound, lambda: do.addresses.allocate(alice, "second")),
        (Conflict, lambda: do.addresses.associate(alice, server.id, idle.address)),
        (Conflict, lambda: do.addresses.point(alice, idle.id, server.nics[0].id)),
        (Conflict, lambda: do.egress.update(alice, preference.id, NewWay(kept.address))),
        (Conflict, lambda: do.egress.create(alice, replace(preferred, way=NewWay(pool="second"), instance=None))),
    ]
    for kind, attempt in refused:
        with pytest.raises(kind, match="was withdrawn from project boats" if kind is Conflict else "Pool second"):
            attempt()
    do.egress.delete(alice, preference.id)
    do.addresses.disassociate(alice, server.id, kept.address)
    for each in (kept, idle):
        do.addresses.release(alice, each.id)
    with pytest.raises(NotFound):
        do.egress.create(alice, replace(preferred, way=NewWay(pool="second"), instance=None))
    assert do.pools.usage(root, "second").allocated == 0
    laws.check(cloud)


def test_a_withdrawal_can_take_back_what_leads_nowhere(cloud: Cloud, root: Caller, alice: Caller) -> None:
    do = cloud.operations
    _granted(cloud)
    kept = _associated(cloud, alice, cloud.boot(alice))
    for _ in range(3):
        do.addresses.allocate(alice, "second")
    other = do.addresses.allocate(alice, "public")
    share = do.grants.withdraw(root, "second", "boats", release=True)
    assert (share.used, do.pools.usage(root, "second").allocated) == (1, 1)
    assert {each.address for each in do.addresses.listing(alice)} == {kept.address, other.address}
    assert cloud.host.public_addresses() == {kept.address: kept.fixed}
    laws.check(cloud)


def test_a_public_pool_can_become_one_for_some(cloud: Cloud, root: Caller, alice: Caller) -> None:
    do = cloud.operations
    held = do.addresses.allocate(alice, "public")
    server = cloud.boot(alice)
    do.pools.update(root, "public", PoolChange(public=False))
    with pytest.raises(Conflict, match="was withdrawn from project boats"):
        do.addresses.associate(alice, server.id, held.address)
    do.grants.grant(root, "public", "boats")
    do.addresses.associate(alice, server.id, held.address)
    laws.check(cloud)


# --------------------------------------------------------------------------------------------------- shares and choice


def test_a_project_has_no_more_of_a_pool_than_its_share(cloud: Cloud, root: Caller, alice: Caller) -> None:
    do = cloud.operations
    do.grants.limit(root, "public", "boats", 2)
    held = [do.addresses.allocate(alice, "public") for _ in range(2)]
    with pytest.raises(QuotaExceeded, match="floating IPs of pool public: the limit is 2"):
        do.addresses.allocate(alice, "public")
    # What was refused is counted nowhere.
    assert do.addresses.quota(alice).used == do.pools.report(alice, "public").own.used == 2
    do.addresses.allocate(cloud.caller("bob"), "public")
    do.addresses.release(alice, held[0].id)
    do.addresses.allocate(alice, "public")
    do.grants.limit(root, "public", "boats", -1)
    do.addresses.allocate(alice, "public")
    for limit in (-2, 2**31):
        with pytest.raises(Invalid, match="limit: must be from -1"):
            do.grants.limit(root, "public", "boats", limit)
    laws.check(cloud)


def test_what_could_not_be_taken_is_not_counted(cloud: Cloud, root: Caller, alice: Caller) -> None:
    do = cloud.operations
    _granted(cloud)
    do.ranges.remove(root, AddressRange(SUBNET[12], SUBNET[29]))
    for _ in range(2):
        do.addresses.allocate(alice, "second")
    with pytest.raises(Exhausted):
        do.addresses.allocate(alice, "second")
    assert do.pools.report(alice, "second").own.used == do.addresses.quota(alice).used == 2


def test_who_may_choose_an_address(cloud: Cloud, root: Caller, alice: Caller) -> None:
    do = cloud.operations
    with pytest.raises(Forbidden):
        do.addresses.make(alice, NewFloatingIp("public", IPv4Address("198.51.100.33")))
    _granted(cloud)
    assert do.addresses.make(alice, NewFloatingIp("second", FIRST + 5)).address == FIRST + 5
    assert do.addresses.make(root, NewFloatingIp(address=IPv4Address("198.51.100.33"))).pool_name == "public"
    with pytest.raises(Conflict, match="is in use"):
        do.addresses.make(alice, NewFloatingIp("second", FIRST + 5))
    with pytest.raises(Invalid, match="is not an address of pool second"):
        do.addresses.make(alice, NewFloatingIp("second", IPv4Address("198.51.100.34")))
    # A grant of what is for everybody lets nobody choose there.
    do.pools.update(root, "second", PoolChange(public=True))
    with pytest.raises(Forbidden):
        do.addresses.make(alice, NewFloatingIp("second", FIRST + 6))


# ------------------------------------------------------------------------------------------- several on one fixed IP


def test_a_pool_may_let_a_fixed_ip_have_several(cloud: Cloud, root: Caller, alice: Caller) -> None:
    do = cloud.operations
    server = cloud.boot(alice)
    (nic,) = server.nics
    first = _associated(cloud, alice, server, "public")
    with pytest.raises(Conflict, match=f"already has a floating IP of pool public: {first.address}"):
        _associated(cloud, alice, server, "public")
    assert do.pools.update(root, "public", PoolChange(per_fixed=3)).per_fixed == 3
    lower, *more = sorted(do.addresses.listing(alice), key=lambda each: each.address)
    assert lower == first
    second = do.addresses.associate(alice, server.id, more[0].address)
    third = _associated(cloud, alice, server, "public")
    with pytest.raises(Conflict, match="has 3 floating IPs of pool public, the most it may"):
        _associated(cloud, alice, server, "public")
    assert cloud.host.public_addresses() == dict.fromkeys((first.address, second.address, third.address), first.fixed)
    # It leaves as the first that came; when that goes, as the next.
    assert _leaves_as(cloud, nic.id) == [str(each.address) for each in (first, second, third)]
    do.addresses.disassociate(alice, server.id, first.address)
    again = do.addresses.associate(alice, server.id, first.address)
    assert _leaves_as(cloud, nic.id) == [str(each.address) for each in (second, third, again)]
    # Fewer for those to come: what is there stays.
    do.pools.update(root, "public", PoolChange(per_fixed=1))
    do.addresses.disassociate(alice, server.id, third.address)
    with pytest.raises(Conflict):
        do.addresses.associate(alice, server.id, third.address)
    assert _leaves_as(cloud, nic.id) == [str(each.address) for each in (second, again)]
    laws.check(cloud)


@pytest.mark.parametrize("number", [0, -1, 65])
def test_as_many_as_cannot_be(cloud: Cloud, root: Caller, number: int) -> None:
    with pytest.raises(Invalid, match="floating_ips_per_fixed_ip: must be from 1 to 64"):
        cloud.operations.pools.update(root, "public", PoolChange(per_fixed=number))
    with pytest.raises(NotFound):
        cloud.operations.pools.update(root, "nowhere", PoolChange(per_fixed=1))


# ------------------------------------------------------------------------------------------------ reports and refusals


def test_a_report_tells_administrators_more(cloud: Cloud, root: Caller, alice: Caller) -> None:
    do = cloud.operations
    _granted(cloud)
    for _ in range(2):
        do.addresses.allocate(alice, "second")
    do.addresses.allocate(root, "second")
    told = do.pools.report(alice, "second")
    assert (told.own.used, told.grants, told.shares, told.forecast) == (2, None, None, None)
    known = do.pools.report(root, "second")
    assert (known.usage.allocated, known.usage.free, known.own.used) == (3, 17, 1)
    assert [(share.project_name, share.used) for share in known.shares or ()] == [("boats", 2), ("harbour", 1)]
    assert [share.project_name for share in known.grants or ()] == ["boats"]
    assert known.forecast is not None
    assert known.forecast.reason == "not enough history: 1 of at least 7 days"


def test_a_forecast_follows_the_days(make_cloud: Callable[..., Cloud]) -> None:
    clock = StoppedClock()
    cloud = make_cloud(clock=clock, quota=-1)
    root = cloud.caller("root")
    for _ in range(9):
        cloud.operations.addresses.allocate(root, "public")
        clock.advance(86400)
    found = cloud.operations.pools.report(root, "public")
    assert found.forecast is not None
    # One a day in nine of ten days, and 20 are free.
    assert (found.usage.free, found.forecast.days) == (20, 10)
    assert found.forecast.per_day == pytest.approx(0.945, abs=0.01)
    assert found.forecast.exhausted == clock.now().date() + timedelta(days=22)


def test_a_pool_in_use_is_not_deleted_and_says_who_uses_it(cloud: Cloud, root: Caller, alice: Caller) -> None:
    do = cloud.operations
    held = do.addresses.allocate(alice, "public")
    do.addresses.allocate(cloud.caller("bob"), "public")
    with pytest.raises(InUse, match=r"by floating IPs of projects: barges \(1\), boats \(1\)"):
        do.pools.delete(root, "public")
    do.addresses.associate(alice, cloud.boot(alice).id, held.address)
    cloud.host.away = True
    do.addresses.release(alice, held.id)
    with pytest.raises(InUse, match=r"projects: barges \(1\); addresses that hosts have not let go yet \(1\)"):
        do.pools.delete(root, "public")


def test_pools_are_watched_without_reading_their_addresses(cloud: Cloud, root: Caller, alice: Caller) -> None:
    do = cloud.operations
    _granted(cloud)
    server = cloud.boot(alice)
    floating = _associated(cloud, alice, server)
    do.addresses.allocate(alice, "second")
    filled = {fill.name: fill for fill in do.pools.fill()}
    assert filled["second"] == PoolFill("second", owned=2, routers=1, quarantined=0, free=17)
    cloud.host.away = True
    do.addresses.release(alice, floating.id)
    assert do.pools.fill()[1] == PoolFill("second", owned=1, routers=1, quarantined=1, free=17)
    cloud.host.come_back()
    assert do.pools.fill()[1] == PoolFill("second", owned=1, routers=1, quarantined=0, free=18)
    for fill in do.pools.fill():
        usage = do.pools.usage(root, fill.name)
        assert (fill.owned, fill.routers, fill.quarantined) == (usage.allocated, usage.routers, usage.releasing)
        assert fill.free == usage.free


@pytest.mark.parametrize("sole", [True, False], ids=["sole", "with another pool"])
def test_a_routers_address_of_a_pool_that_went_is_given_once_its_gateway_let_go(
    cloud: Cloud, root: Caller, alice: Caller, *, sole: bool
) -> None:
    """Until then the gateway may answer at it, and guests may leave as it, while somebody else would have it."""
    do = cloud.operations
    _granted(cloud)
    server = cloud.boot(alice)
    floating = _associated(cloud, alice, server)
    (own,) = [public.address for public in _told(cloud, server.nics[0].id).shared if public.address in SUBNET]
    if not sole:
        beside = IPv4Network("198.18.7.0/24")
        do.pools.create(root, NewPool("beside", beside, beside[1], (AddressRange(beside[2], beside[9]),), "another"))
    do.addresses.release(alice, floating.id)
    cloud.host.away = True
    do.pools.delete(root, "second")
    do.pools.create(root, NewPool("second", SUBNET, SUBNET[1], (AddressRange(own, own),), "another", public=False))
    _granted(cloud)
    with pytest.raises(Exhausted):
        do.addresses.allocate(alice, "second")
    cloud.host.come_back()
    assert do.addresses.allocate(alice, "second").address == own
    laws.check(cloud)


def test_an_uplink_goes_after_its_pools(cloud: Cloud, root: Caller, alice: Caller) -> None:
    do = cloud.operations
    _granted(cloud)
    floating = _associated(cloud, alice, cloud.boot(alice))
    with pytest.raises(Forbidden):
        do.uplinks.delete(alice, "another")
    with pytest.raises(InUse, match="Uplink another is in use by pools: second"):
        do.uplinks.delete(root, "another")
    do.addresses.release(alice, floating.id)
    do.pools.delete(root, "second")
    do.uplinks.delete(root, "another")
    assert [uplink.name for uplink in do.pools.uplinks(root)] == ["uplink0"]
    with pytest.raises(NotFound):
        do.uplinks.delete(root, "another")
    # Its name and its interface are free for a new one.
    do.pools.create(root, NewPool("third", SUBNET, SUBNET[1], (AddressRange(FIRST, FIRST),), "another", "eth1"))
    laws.check(cloud)


@pytest.mark.parametrize(
    "gateway, first, field", [(12, 100, "gateway"), (2, 1, "ranges"), (2, 29, "ranges")], ids=["gateway", "its", "both"]
)
def test_pools_of_one_subnet_stay_apart(cloud: Cloud, root: Caller, gateway: int, first: int, field: str) -> None:
    part = AddressRange(SUBNET[first], SUBNET[first])
    with pytest.raises(Conflict, match="of pool second") as refused:
        cloud.operations.pools.create(root, NewPool("third", SUBNET, SUBNET[gateway], (part,), "another"))
    assert refused.value.field == field
    assert len(cloud.operations.pools.listing(root)) == 2


def test_a_pool_gains_no_gateway_of_another(cloud: Cloud, root: Caller) -> None:
    new = NewPool("third", SUBNET, SUBNET[2], (AddressRange(SUBNET[100], SUBNET[100]),), "another")
    cloud.operations.pools.create(root, new)
    with pytest.raises(Conflict, match="is the gateway of pool second"):
        cloud.operations.ranges.add(root, AddressRange(SUBNET[1], SUBNET[1]), "third")
