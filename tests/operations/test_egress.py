"""Egress preferences: who may say what of whom, what hosts are told, and what is refused with which reason."""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from mooring.model.accounts import Caller
from mooring.model.faults import Conflict, Fault, Forbidden, InUse, Invalid, NotFound
from mooring.model.ids import NicId, PreferenceId
from mooring.model.nouns import AddressRange, FloatingIp, Instance, NetworkKind
from mooring.model.preferences import EgressScope
from mooring.model.subjects import Egress, HostRole, NicIntent
from mooring.operations import NewInstance, NewNetwork, NewNic, NewPreference, NewWay
from mooring.operations.hosts import HostLinks
from mooring.policy.egress import MOST
from tests.cloud import Cloud

POOLS = tuple(
    (name, AddressRange(IPv4Address(first), IPv4Address(last)))
    for name, first, last in (
        ("isp-a", "198.51.100.10", "198.51.100.40"),
        ("isp-b", "203.0.113.10", "203.0.113.40"),
        ("isp-c", "192.0.2.10", "192.0.2.40"),
    )
)
EVERYWHERE, NEAR, NEARER = (IPv4Network(text) for text in ("0.0.0.0/0", "100.64.0.0/16", "100.64.7.0/24"))


class Scene:
    """A cloud with three providers; Alice has an instance with an address of the first two."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud, self.egress, self.alice = cloud, cloud.operations.egress, cloud.caller("alice")
        self.vm = cloud.boot(self.alice)
        self.a, self.b = (self.given(self.vm, pool) for pool in ("isp-a", "isp-b"))
        self.nic, self.fixed = self.vm.nics[0].id, self.vm.nics[0].fixed[0].address

    def given(self, instance: Instance, pool: str) -> FloatingIp:
        allocated = self.cloud.operations.addresses.allocate(self.alice, pool)
        return self.cloud.operations.addresses.associate(self.alice, instance.id, allocated.address)

    def prefer(
        self, prefix: IPv4Network, way: FloatingIp | str, caller: Caller | None = None, /, **more: Any
    ) -> PreferenceId:
        new = NewWay(pool=way) if isinstance(way, str) else NewWay(floating=way.address)
        return self.egress.create(caller or self.alice, NewPreference(prefix, new, **more)).id

    def told(self, instance: Instance | None = None) -> Egress | None:
        """Return what the gateway was told of an instance's first address, and has confirmed."""
        nic = (instance or self.vm).nics[0].id
        (subject,) = (
            placed.subject
            for (key, role), placed in self.cloud.host.held.items()
            if key.id == nic and role is HostRole.GATEWAY
        )
        assert isinstance(subject, NicIntent)
        return subject.addresses[0].egress

    def leaves(self, instance: Instance | None = None) -> dict[str, str]:
        """Return as whom an instance leaves, by prefix, as its gateway was told."""
        egress = self.told(instance)
        return {} if egress is None else {str(it.prefix): str(it.way.address) for it in egress.preferences}


@pytest.fixture
def scene(make_cloud: Callable[..., Cloud]) -> Scene:
    return Scene(make_cloud(pools=POOLS))


def test_without_preferences_hosts_are_told_of_none(scene: Scene) -> None:
    assert scene.told() is None


def test_the_gateway_is_told_as_whom_to_leave(scene: Scene) -> None:
    scene.prefer(EVERYWHERE, scene.a, instance=scene.vm.id)
    made = scene.prefer(NEAR, scene.b, instance=scene.vm.id, fallback=NewWay(pool="isp-a"))
    assert scene.leaves() == {"0.0.0.0/0": str(scene.a.address), "100.64.0.0/16": str(scene.b.address)}
    egress = scene.told()
    assert egress is not None
    assert egress.number > 0
    assert egress.preferences[1].fallback is not None
    assert egress.preferences[1].fallback.address == scene.a.address
    numbers = {it.way.uplink: it.way.number for it in egress.preferences}
    assert len(numbers) == len(set(numbers.values())) == 2
    scene.egress.delete(scene.alice, made)
    assert scene.leaves() == {"0.0.0.0/0": str(scene.a.address)}


def test_the_same_prefixes_have_one_number_and_others_another(scene: Scene) -> None:
    other = scene.cloud.boot(scene.alice, "other")
    scene.prefer(EVERYWHERE, scene.a, instance=scene.vm.id)
    scene.prefer(EVERYWHERE, "isp-c", instance=other.id)
    first, second = scene.told(), scene.told(other)
    assert first is not None
    assert second is not None
    assert first.number == second.number
    scene.prefer(NEAR, "isp-c", instance=other.id)
    changed = scene.told(other)
    assert changed is not None
    assert changed.number != first.number


def test_of_one_prefix_the_most_specific_counts(scene: Scene) -> None:
    """From the project down to the address, each wider one is put aside by the next."""
    made: list[PreferenceId] = []
    pools = {pool.name: pool for pool in scene.cloud.operations.pools.listing(scene.alice)}
    for pool, more in (
        ("isp-c", {}),
        ("isp-a", {"network": "private"}),
        ("isp-b", {"instance": scene.vm.id}),
        ("isp-a", {"nic": scene.nic}),
        ("isp-b", {"instance": scene.vm.id, "fixed": scene.fixed}),
    ):
        made.append(scene.prefer(NEAR, pool, **more))
        (address,) = scene.leaves().values()
        assert IPv4Address(address) in pools[pool].cidr
    scopes = [it.scope for it in scene.egress.listing(scene.alice)]
    assert scopes == list(reversed(EgressScope))
    for preference in reversed(made):
        assert len(scene.leaves()) == 1
        scene.egress.delete(scene.alice, preference)
    assert scene.leaves() == {}


def test_a_pool_means_each_guests_own_address_or_its_routers(scene: Scene) -> None:
    other = scene.cloud.boot(scene.alice, "other")
    scene.prefer(NEAR, "isp-b", network="private")
    assert scene.leaves() == {str(NEAR): str(scene.b.address)}
    (shared,) = scene.leaves(other).values()
    assert shared != str(scene.b.address)
    late = scene.cloud.boot(scene.alice, "late")
    assert scene.leaves(late) == {str(NEAR): shared}, "a guest that comes later prefers the same from the first"


def test_guests_on_a_network_of_later_find_the_way_that_is_preferred(scene: Scene) -> None:
    """A network with a router of its own has no way out by any uplink until somebody needs one."""
    scene.prefer(NEAR, "isp-b")
    operations, alice = scene.cloud.operations, scene.alice
    links = HostLinks(endpoint=IPv4Address("192.0.2.1"))
    operations.hosts.register("host1", compute=True, gateway=True, links=links)
    operations.networks.create(
        scene.cloud.caller("root"),
        NewNetwork("tunnel", IPv4Network("10.7.0.0/24"), kind=NetworkKind.VXLAN, project=alice.project.id),
    )
    image, flavor = operations.instances.images()[0].id, operations.instances.flavors()[0].id
    new = NewInstance("inside", image, flavor, (NewNic("tunnel"),))
    made = operations.instances.get(alice, operations.instances.create(alice, new).id)
    (way,) = scene.leaves(made).values()
    (pool,) = (each for each in operations.pools.listing(alice) if each.name == "isp-b")
    assert any(IPv4Address(way) in part for part in pool.ranges), "its router's own address"


def test_other_projects_on_the_same_network_are_not_concerned(scene: Scene) -> None:
    bob = scene.cloud.caller("bob")
    his = scene.cloud.boot(bob, "his")
    everyone: dict[str, Any] = {}
    for more in (everyone, {"network": "private"}):
        scene.prefer(NEAR if more else NEARER, "isp-b", **more)
    assert scene.leaves(his) == {}
    assert not scene.egress.listing(bob)


def test_cutting_is_told_as_a_number_that_grows(scene: Scene) -> None:
    made = scene.prefer(NEAR, scene.b, instance=scene.vm.id)
    drained = scene.told()
    assert drained is not None
    assert drained.renewed == 0
    scene.prefer(EVERYWHERE, scene.a, instance=scene.vm.id, cut=True)
    cut = scene.told()
    assert cut is not None
    assert cut.renewed == 1
    scene.egress.delete(scene.alice, made, cut=True)
    again = scene.told()
    assert again is not None
    assert again.renewed == 2


def test_a_preference_is_led_elsewhere(scene: Scene) -> None:
    for more in ({"fixed": scene.fixed, "nic": scene.nic}, {"nic": scene.nic}, {"instance": scene.vm.id}):
        made = scene.prefer(NEAR, scene.a, **more)
        changed = scene.egress.update(scene.alice, made, NewWay(scene.b.address), NewWay(pool="isp-a"), cut=True)
        assert (changed.way.address, str(changed.fallback)) == (scene.b.address, "pool isp-a")
        assert scene.leaves() == {str(NEAR): str(scene.b.address)}
        with pytest.raises(Invalid, match="fallback"):
            scene.egress.update(scene.alice, made, NewWay(scene.b.address), NewWay(pool="isp-b"))
        assert scene.egress.get(scene.alice, made) == changed
        scene.egress.delete(scene.alice, made)
    wides: list[dict[str, Any]] = [{"network": "private"}, {}]
    for wide in wides:
        made = scene.prefer(NEAR, "isp-a", **wide)
        assert scene.egress.update(scene.alice, made, NewWay(pool="isp-b")).way.pool_name == "isp-b"
        assert scene.leaves() == {str(NEAR): str(scene.b.address)}
        with pytest.raises(Invalid, match="floating_ip"):
            scene.egress.update(scene.alice, made, NewWay(scene.b.address))
        scene.egress.delete(scene.alice, made)


def test_a_request_repeated_with_its_key_makes_one(scene: Scene) -> None:
    new = NewPreference(NEAR, NewWay(pool="isp-b"), instance=scene.vm.id)
    first = scene.egress.create(scene.alice, new, "key")
    assert scene.egress.create(scene.alice, new, "key") == first
    assert len(scene.egress.listing(scene.alice)) == 1


def test_an_address_that_guests_prefer_stays_where_it_leads(scene: Scene) -> None:
    made = scene.prefer(NEAR, scene.b, instance=scene.vm.id)
    addresses = scene.cloud.operations.addresses
    other = scene.cloud.boot(scene.alice, "other")
    for refused in (
        lambda: addresses.disassociate(scene.alice, scene.vm.id, scene.b.address),
        lambda: addresses.release(scene.alice, scene.b.id),
        lambda: addresses.associate(scene.alice, other.id, scene.b.address),
        lambda: addresses.point(scene.alice, scene.b.id, None),
    ):
        with pytest.raises(InUse, match=f"{scene.b.address} is in use by the egress preference {made} towards {NEAR}"):
            refused()
    assert scene.leaves() == {str(NEAR): str(scene.b.address)}
    scene.egress.delete(scene.alice, made)
    addresses.release(scene.alice, scene.b.id)


def test_a_pool_that_guests_prefer_stays(scene: Scene) -> None:
    made = scene.prefer(NEAR, "isp-c", network="private")
    root = scene.cloud.caller("root")
    with pytest.raises(InUse, match=f"Pool isp-c is in use by the egress preference {made}"):
        scene.cloud.operations.pools.delete(root, "isp-c")
    scene.egress.delete(scene.alice, made)
    scene.cloud.operations.pools.delete(root, "isp-c")


def test_preferences_go_with_their_guest(scene: Scene) -> None:
    scene.prefer(NEAR, scene.b, instance=scene.vm.id)
    scene.prefer(NEAR, scene.b, nic=scene.nic)
    scene.prefer(NEAR, scene.b, nic=scene.nic, fixed=scene.fixed)
    kept = scene.prefer(EVERYWHERE, "isp-a")
    scene.cloud.operations.instances.delete(scene.alice, scene.vm.id)
    assert [it.id for it in scene.egress.listing(scene.alice)] == [kept]
    scene.cloud.operations.addresses.release(scene.alice, scene.b.id)


def test_another_projects_preference_is_not_found(scene: Scene) -> None:
    made = scene.prefer(NEAR, scene.b, instance=scene.vm.id)
    bob = scene.cloud.caller("bob")
    for asked in (lambda: scene.egress.get(bob, made), lambda: scene.egress.delete(bob, made)):
        with pytest.raises(NotFound):
            asked()
    with pytest.raises(NotFound, match=str(scene.b.address)):
        scene.prefer(NEAR, scene.b, bob)
    for more in ({"instance": scene.vm.id}, {"nic": scene.nic}):
        with pytest.raises(NotFound):
            scene.prefer(NEAR, "isp-a", bob, **more)
        with pytest.raises(NotFound):
            scene.prefer(NEAR, "isp-a", scene.cloud.caller("root"), **more)
    with pytest.raises(Forbidden):
        scene.prefer(NEAR, "isp-a", scene.cloud.caller("rita"))


def test_what_cannot_be_is_refused_and_changes_nothing(scene: Scene) -> None:
    idle = scene.cloud.operations.addresses.allocate(scene.alice, "isp-c")
    other = scene.cloud.boot(scene.alice, "other")
    theirs = scene.given(other, "isp-c")
    vm: dict[str, Any] = {"instance": scene.vm.id}
    cases: list[tuple[type[Fault], str, NewPreference]] = [
        (Conflict, f"{idle.address} is not associated, not with", NewPreference(NEAR, NewWay(idle.address), **vm)),
        (Conflict, f"{theirs.address} is associated with", NewPreference(NEAR, NewWay(theirs.address), **vm)),
        (NotFound, "203.0.113.40", NewPreference(NEAR, NewWay(IPv4Address("203.0.113.40")), **vm)),
        (NotFound, "isp-z", NewPreference(NEAR, NewWay(pool="isp-z"), **vm)),
        (NotFound, "nowhere", NewPreference(NEAR, NewWay(pool="isp-a"), network="nowhere")),
        (NotFound, "nothing", NewPreference(NEAR, NewWay(pool="isp-a"), nic=NicId("nothing"))),
        (Invalid, "floating_ip: name a floating IP or a pool", NewPreference(NEAR, NewWay(), **vm)),
        (Invalid, "floating_ip: name", NewPreference(NEAR, NewWay(scene.a.address, "isp-a"), **vm)),
        (Invalid, "floating_ip: .* one guest's only", NewPreference(NEAR, NewWay(scene.a.address))),
        (Invalid, "floating_ip: .* one guest's", NewPreference(NEAR, NewWay(scene.a.address), network="private")),
        (Invalid, "network: ", NewPreference(NEAR, NewWay(pool="isp-a"), network="private", **vm)),
        (Invalid, "fixed_address: name", NewPreference(NEAR, NewWay(pool="isp-a"), fixed=scene.fixed)),
        (
            Invalid,
            "fixed_address: 10.0.0.250 is not",
            NewPreference(NEAR, NewWay(pool="isp-a"), fixed=IPv4Address("10.0.0.250"), **vm),
        ),
        (Invalid, "nic: ", NewPreference(NEAR, NewWay(pool="isp-a"), instance=other.id, nic=scene.nic)),
        (
            Invalid,
            "fallback: pool isp-a is on the uplink of",
            NewPreference(NEAR, NewWay(scene.a.address), NewWay(pool="isp-a"), **vm),
        ),
    ]
    for fault, reason, new in cases:
        with pytest.raises(fault, match=reason):
            scene.egress.create(scene.alice, new)
    scene.prefer(NEAR, scene.b, instance=scene.vm.id)
    with pytest.raises(Conflict, match=f"Instance vm has an egress preference towards {NEAR} already"):
        scene.prefer(NEAR, scene.a, instance=scene.vm.id)
    assert scene.leaves() == {str(NEAR): str(scene.b.address)}
    assert len(scene.egress.listing(scene.alice)) == 1


def test_one_thing_has_so_many_preferences_at_most(scene: Scene) -> None:
    for number in range(MOST):
        scene.prefer(IPv4Network((f"100.64.{number}.0", 24)), "isp-b", instance=scene.vm.id)
    with pytest.raises(Conflict, match=f"Instance vm has {MOST} egress preferences, which is the most"):
        scene.prefer(EVERYWHERE, "isp-b", instance=scene.vm.id)
    assert len(scene.leaves()) == MOST
