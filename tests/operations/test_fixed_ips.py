"""Fixed IPs beside a NIC's first: taken, told to hosts, given back, and nobody else's before that is confirmed."""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network

import pytest

from mooring.model.faults import Conflict, Exhausted, InUse, Invalid, NotFound
from mooring.model.nouns import Instance, Resource
from mooring.model.subjects import HostRole, NicIntent
from mooring.operations import NewInstance, NewNetwork, NewNic, NewPreference, NewWay, NicChange
from tests.cloud import FLAVORS, IMAGES, Cloud
from tests.operations.test_allowances import Scene

CHOSEN = IPv4Address("10.0.0.66")


@pytest.fixture
def scene(make_cloud: Callable[..., Cloud]) -> Scene:
    return Scene(make_cloud())


def held(scene: Scene, instance: Instance, role: HostRole) -> list[IPv4Address]:
    """Return the fixed IPs of an instance's only NIC as a host has confirmed them."""
    (subject,) = (
        placed.subject
        for (key, part), placed in scene.cloud.host.held.items()
        if key.id == instance.nics[0].id and part is role
    )
    assert isinstance(subject, NicIntent)
    return [own.address for own in subject.addresses]


def test_every_host_that_knows_the_nic_has_confirmed_it(scene: Scene) -> None:
    nic, first = scene.one.nics[0].id, scene.one.nics[0].fixed[0].address
    made = scene.nics.add_fixed(scene.alice, nic, CHOSEN)
    assert [fixed.address for fixed in made.fixed] == [first, CHOSEN]
    for role in (HostRole.COMPUTE, HostRole.GATEWAY, HostRole.MEMBER):
        assert held(scene, scene.one, role) == [first, CHOSEN]
    # One that it has stays, and isn't counted twice.
    assert scene.nics.add_fixed(scene.alice, nic, CHOSEN) == made
    assert scene.used() == 1
    following = scene.nics.add_fixed(scene.alice, nic).fixed[2].address
    assert following == scene.two.nics[0].fixed[0].address + 1
    scene.nics.remove_fixed(scene.alice, nic, CHOSEN)
    assert held(scene, scene.one, HostRole.GATEWAY) == [first, following]
    assert scene.used() == 1


def test_a_floating_ip_leads_to_the_one_that_is_named(scene: Scene) -> None:
    scene.nics.add_fixed(scene.alice, scene.one.nics[0].id, CHOSEN)
    floating = scene.cloud.operations.addresses.allocate(scene.alice, None)
    scene.cloud.operations.addresses.associate(scene.alice, scene.one.id, floating.address, CHOSEN)
    assert scene.cloud.host.public_addresses() == {floating.address: CHOSEN}


def test_what_is_in_use_stays(scene: Scene) -> None:
    nic, first = scene.one.nics[0].id, scene.one.nics[0].fixed[0].address
    scene.nics.add_fixed(scene.alice, nic, CHOSEN)
    floating = scene.cloud.operations.addresses.allocate(scene.alice, None)
    scene.cloud.operations.addresses.associate(scene.alice, scene.one.id, floating.address, CHOSEN)
    changes: list[Callable[[], object]] = [
        lambda: scene.nics.remove_fixed(scene.alice, nic, CHOSEN),
        lambda: scene.nics.change(scene.alice, nic, NicChange(fixed=(first,))),
    ]
    for change in changes:
        with pytest.raises(InUse, match=f"floating IP {floating.address}"):
            change()
    scene.cloud.operations.addresses.disassociate(scene.alice, scene.one.id, floating.address)
    way = NewWay(pool="public")
    preferred = scene.cloud.operations.egress.create(
        scene.alice, NewPreference(IPv4Network("192.0.2.0/24"), way, instance=scene.one.id, fixed=CHOSEN)
    )
    with pytest.raises(InUse, match=r"192\.0\.2\.0/24"):
        scene.nics.remove_fixed(scene.alice, nic, CHOSEN)
    scene.cloud.operations.egress.delete(scene.alice, preferred.id)
    scene.nics.remove_fixed(scene.alice, nic, CHOSEN)
    with pytest.raises(Conflict, match="is the first of NIC"):
        scene.nics.remove_fixed(scene.alice, nic, first)
    with pytest.raises(NotFound, match=f"Fixed IP {CHOSEN}"):
        scene.nics.remove_fixed(scene.alice, nic, CHOSEN)
    assert held(scene, scene.one, HostRole.COMPUTE) == [first]


def test_it_is_given_again_when_hosts_have_confirmed(make_cloud: Callable[..., Cloud]) -> None:
    scene = Scene(make_cloud(settle_timeout=0.0))
    scene.nics.add_fixed(scene.alice, scene.one.nics[0].id, CHOSEN)
    scene.cloud.host.away = True
    scene.nics.remove_fixed(scene.alice, scene.one.nics[0].id, CHOSEN)
    for _ in range(2):
        with pytest.raises(Conflict, match=f"{CHOSEN} is taken"):
            scene.nics.add_fixed(scene.alice, scene.two.nics[0].id, CHOSEN)
    with pytest.raises(Conflict, match="is being given back"):
        scene.nics.allow(scene.alice, scene.two.nics[0].id, [str(CHOSEN)])
    scene.cloud.host.come_back()
    scene.nics.add_fixed(scene.alice, scene.two.nics[0].id, CHOSEN)
    assert CHOSEN in held(scene, scene.two, HostRole.COMPUTE)


def test_what_is_wanted_of_several_is_all_or_nothing(scene: Scene) -> None:
    nic, first = scene.one.nics[0].id, scene.one.nics[0].fixed[0].address
    theirs = scene.two.nics[0].fixed[0].address
    for wanted, fault in (
        ((first, CHOSEN, theirs), Conflict),
        ((first, CHOSEN, IPv4Address("10.1.0.1")), Invalid),
        ((CHOSEN,), Conflict),
        ((), Conflict),
    ):
        with pytest.raises(fault):
            scene.nics.change(scene.alice, nic, NicChange(fixed=wanted, allowed=("10.0.0.77",)))
    assert held(scene, scene.one, HostRole.COMPUTE) == [first]
    assert (scene.told(scene.one), scene.used()) == ([], 0)
    # Any two beside the one that is named: the first is one of them.
    made = scene.nics.change(scene.alice, nic, NicChange(fixed=(CHOSEN, None, None)))
    assert [fixed.address for fixed in made.fixed] == [first, CHOSEN, theirs + 1]
    made = scene.nics.change(scene.alice, nic, NicChange(fixed=(None,)))
    assert [fixed.address for fixed in made.fixed] == [first]
    assert scene.used() == 0


def test_a_full_network_has_none(make_cloud: Callable[..., Cloud]) -> None:
    scene = Scene(make_cloud())
    small = NewNetwork("small", IPv4Network("10.8.0.0/29"))
    scene.cloud.operations.networks.create(scene.root, small)
    new = NewInstance("vm", IMAGES[0].id, FLAVORS[0].id, (NewNic("small"),))
    nic = scene.cloud.operations.instances.create(scene.alice, new).nics[0].id
    for _ in range(4):
        scene.nics.add_fixed(scene.alice, nic)
    with pytest.raises(Exhausted, match="No more addresses are available on network small"):
        scene.nics.add_fixed(scene.alice, nic)
    with scene.cloud.store.read() as tx:
        assert tx.quotas.get(scene.alice.project.id, Resource.NIC_ADDRESSES).used == 4
    assert [key for key, _ in scene.cloud.host.held if key.id == nic]
