"""NICs that projects make themselves: whose their addresses are, through what instances they go, and what is refused."""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from mooring.model.events import Action, EventChoice
from mooring.model.faults import Conflict, Exhausted, Fault, Forbidden, InUse, Invalid, NotFound, QuotaExceeded
from mooring.model.ids import InstanceId, NicId
from mooring.model.nouns import Instance, InstanceState, NetworkKind, Nic, Resource
from mooring.model.subjects import HostRole, SubjectKey, SubjectKind
from mooring.operations import (
    NewForwarding,
    NewInstance,
    NewNetwork,
    NewNic,
    NewOwnNic,
    NewPreference,
    NewWay,
    NicChange,
)
from tests.cloud import FLAVORS, IMAGES, Cloud
from tests.operations.fleet import Fleet
from tests.operations.test_allowances import Scene


@pytest.fixture
def scene(make_cloud: Callable[..., Cloud]) -> Scene:
    return Scene(make_cloud())


def make(scene: Scene, **said: object) -> Nic:
    return scene.cloud.operations.own_nics.create(scene.alice, replace(NewOwnNic("private"), **said))  # type: ignore[arg-type]


def boot(scene: Scene, *nics: NewNic) -> Instance:
    new = NewInstance("own", IMAGES[0].id, FLAVORS[0].id, nics)
    return scene.cloud.operations.instances.create(scene.alice, new)


def now(scene: Scene, nic: Nic | NicId) -> tuple[Nic, InstanceId | None]:
    card = scene.cloud.operations.instances.of_nic(scene.alice, nic if isinstance(nic, str) else nic.id)
    return card.nic, card.instance.id if card.instance is not None else None


def roles(scene: Scene, nic: Nic) -> set[HostRole]:
    return {role for key, role in scene.cloud.host.held if key.id == nic.id}


def used(scene: Scene, resource: Resource = Resource.NICS) -> int:
    with scene.cloud.store.read() as tx:
        return tx.quotas.get(scene.alice.project.id, resource).used


def test_it_is_there_before_its_instance_and_after_it(scene: Scene) -> None:
    operations, wanted = scene.cloud.operations, IPv4Address("10.0.0.77")
    made = make(scene, fixed=(wanted,), name="left")
    assert [fixed.address for fixed in made.fixed] == [wanted]
    assert [group.name for group in made.groups] == ["default"]
    assert made.own is not None
    assert (made.own.name, made.own.project) == ("left", scene.alice.project.id)
    # No host hears of it, and nobody else gets its address.
    assert roles(scene, made) == set()
    assert operations.own_nics.listing(scene.alice) == [made]
    with pytest.raises(Conflict, match="taken"):
        boot(scene, NewNic("private", wanted))
    instance = boot(scene, NewNic(nic=made.id))
    known = operations.instances.get(scene.alice, instance.id)
    assert known.state is InstanceState.ACTIVE
    assert known.nics == (made,)
    assert roles(scene, made) == {HostRole.COMPUTE, HostRole.GATEWAY, HostRole.MEMBER}
    assert operations.own_nics.listing(scene.alice) == []
    with pytest.raises(InUse, match=f"instance {instance.id}"):
        operations.own_nics.delete(scene.alice, made.id)
    operations.instances.delete(scene.alice, instance.id)
    with pytest.raises(NotFound):
        operations.instances.get(scene.alice, instance.id)
    assert now(scene, made) == (made, None)
    assert roles(scene, made) == set()
    # Once more, elsewhere, and with another one.
    again = boot(scene, NewNic("private"), NewNic("private", nic=made.id))
    assert [nic.id == made.id for nic in operations.instances.get(scene.alice, again.id).nics] == [False, True]
    operations.instances.delete(scene.alice, again.id)
    assert used(scene) == 1
    operations.own_nics.delete(scene.alice, made.id)
    assert used(scene) == 0
    with pytest.raises(NotFound):
        now(scene, made)
    # The address is anybody's.
    boot(scene, NewNic("private", wanted))
    found = operations.events.listing(scene.alice, EventChoice(object=made.id))
    assert [event.action for event in found] == [Action.NIC_DELETE, Action.NIC_CREATE]


def test_it_comes_to_a_running_instance_and_goes_to_another(scene: Scene) -> None:
    operations = scene.cloud.operations
    made = make(scene)
    floating = operations.addresses.allocate(scene.alice, None)
    pointed = operations.addresses.point(scene.alice, floating.id, made.id)
    assert (pointed.nic, pointed.instance, pointed.fixed) == (made.id, None, made.fixed[0].address)
    assert scene.cloud.host.public_addresses() == {}
    attached = operations.attachments.attach(scene.alice, scene.one.id, NewNic(nic=made.id))
    assert (attached.mac, attached.fixed) == (made.mac, made.fixed)
    assert scene.cloud.host.public_addresses() == {floating.address: made.fixed[0].address}
    assert operations.addresses.get(scene.alice, floating.id).instance == scene.one.id
    with pytest.raises(Conflict, match="is still in use"):
        operations.attachments.attach(scene.alice, scene.two.id, NewNic(nic=made.id))
    operations.attachments.detach(scene.alice, made.id, scene.one.id)
    assert scene.cloud.host.public_addresses() == {}
    assert operations.addresses.get(scene.alice, floating.id).instance is None
    with pytest.raises(NotFound):
        operations.attachments.detach(scene.alice, made.id)
    operations.attachments.attach(scene.alice, scene.two.id, NewNic(nic=made.id))
    assert scene.cloud.host.public_addresses() == {floating.address: made.fixed[0].address}
    operations.instances.delete(scene.alice, scene.two.id)
    assert operations.addresses.get(scene.alice, floating.id).nic == made.id
    # What leads to a NIC that goes leads nowhere.
    operations.own_nics.delete(scene.alice, made.id)
    assert operations.addresses.get(scene.alice, floating.id).nic is None
    operations.addresses.release(scene.alice, floating.id)


def test_it_is_in_use_until_its_hosts_have_let_go(scene: Scene) -> None:
    operations = scene.cloud.operations
    made = make(scene)
    operations.attachments.attach(scene.alice, scene.one.id, NewNic(nic=made.id))
    scene.cloud.host.away = True
    operations.attachments.detach(scene.alice, made.id)
    assert now(scene, made) == (made, None)
    assert operations.own_nics.listing(scene.alice) == [made]
    with pytest.raises(InUse, match="not let go of it yet"):
        operations.own_nics.delete(scene.alice, made.id)
    with pytest.raises(Conflict, match="still in use"):
        operations.attachments.attach(scene.alice, scene.two.id, NewNic(nic=made.id))
    # The instance may go first.
    operations.instances.delete(scene.alice, scene.one.id)
    scene.cloud.host.come_back()
    with pytest.raises(NotFound):
        operations.instances.get(scene.alice, scene.one.id)
    operations.attachments.attach(scene.alice, scene.two.id, NewNic(nic=made.id))
    scene.cloud.host.away = True
    operations.instances.delete(scene.alice, scene.two.id)
    assert now(scene, made) == (made, scene.two.id)
    with pytest.raises(InUse, match=f"instance {scene.two.id}"):
        operations.own_nics.delete(scene.alice, made.id)
    with pytest.raises(Conflict):
        boot(scene, NewNic(nic=made.id))
    scene.cloud.host.come_back()
    assert now(scene, made) == (made, None)
    operations.own_nics.delete(scene.alice, made.id)


def test_all_that_it_has_stays_with_it(scene: Scene) -> None:
    operations = scene.cloud.operations
    operations.groups.create(scene.alice, "web", "")
    fixed = (None, IPv4Address("10.0.0.90"), None)
    made = make(scene, fixed=fixed, groups=("web",), allowed=("10.0.0.200",), description="of two")
    assert made.fixed[0].address == IPv4Address("10.0.0.90")
    assert (len(made.fixed), [str(prefix) for prefix in made.allowed]) == (3, ["10.0.0.200/32"])
    assert used(scene, Resource.NIC_ADDRESSES) == 3
    # It can be changed as it is.
    made = scene.nics.allow(scene.alice, made.id, ["10.0.0.201"])
    scene.nics.remove_fixed(scene.alice, made.id, made.fixed[2].address)
    operations.groups.assign(scene.alice, made.id, ["web", "default"])
    made = scene.nics.change(scene.alice, made.id, NicChange(name="right"))
    assert made.own is not None
    assert (made.own.name, made.own.description) == ("right", "of two")
    floating = operations.addresses.allocate(scene.alice, None)
    forwarding = operations.forwardings.create(
        scene.alice, floating.id, NewForwarding("tcp", 80, nic=made.id, fixed=made.fixed[1].address)
    )
    assert forwarding.instance is None
    instance = boot(scene, NewNic(nic=made.id))
    assert operations.forwardings.get(scene.alice, forwarding.id).instance == instance.id
    operations.instances.delete(scene.alice, instance.id)
    known, holder = now(scene, made)
    assert (known, holder) == (made, None)
    assert [group.name for group in known.groups] == ["default", "web"]
    assert operations.forwardings.get(scene.alice, forwarding.id).nic == made.id
    assert used(scene, Resource.NIC_ADDRESSES) == 3
    with pytest.raises(InUse, match="web is in use by NIC"):
        operations.groups.delete(scene.alice, next(group.id for group in known.groups if group.name == "web"))
    operations.own_nics.delete(scene.alice, made.id)
    assert used(scene, Resource.NIC_ADDRESSES) == 0
    assert used(scene, Resource.PORT_FORWARDINGS) == 0
    operations.groups.delete(scene.alice, next(group.id for group in known.groups if group.name == "web"))
    operations.addresses.release(scene.alice, floating.id)
    boot(scene, NewNic("private", IPv4Address("10.0.0.201")))


def test_the_same_key_makes_one(scene: Scene) -> None:
    new = NewOwnNic("private")
    made = {scene.cloud.operations.own_nics.create(scene.alice, new, "once").id for _ in range(3)}
    assert len(made) == used(scene) == 1


def test_a_failed_launch_leaves_it_with_its_instance_until_that_goes(scene: Scene) -> None:
    operations = scene.cloud.operations
    made = make(scene)
    scene.cloud.host.failing = "no such image here"
    instance = boot(scene, NewNic(nic=made.id))
    known = operations.instances.get(scene.alice, instance.id)
    assert known.state is InstanceState.ERROR
    assert known.nics == (made,)
    assert roles(scene, made) == set()
    operations.instances.delete(scene.alice, instance.id)
    assert now(scene, made) == (made, None)
    scene.cloud.host.failing = None
    again = boot(scene, NewNic(nic=made.id))
    assert operations.instances.get(scene.alice, again.id).state is InstanceState.ACTIVE


def test_it_moves_with_its_launch_from_a_dead_host(make_cloud: Callable[..., Cloud]) -> None:
    cloud = make_cloud()
    fleet, alice = Fleet.build(cloud), cloud.caller("alice")
    one, two = fleet.hosts[1:]
    made = cloud.operations.own_nics.create(alice, NewOwnNic("private"))
    new = NewInstance("own", IMAGES[0].id, FLAVORS[0].id, (NewNic(nic=made.id),))
    instance = cloud.operations.instances.create(alice, new)
    fleet.launch(instance.id, one)
    fleet.work(one)
    assert cloud.operations.launches.relaunch(instance.id, one, "it died")
    fleet.launch(instance.id, two)
    fleet.catch_up()
    known = cloud.operations.instances.get(alice, instance.id)
    assert (known.state, known.host, known.nics) == (InstanceState.ACTIVE, two, (made,))
    key = SubjectKey(SubjectKind.NIC, made.id)
    assert [host for host in fleet.hosts if (key, HostRole.COMPUTE) in fleet.held[host]] == [two]
    cloud.operations.instances.delete(alice, instance.id)
    fleet.catch_up()
    assert cloud.operations.own_nics.listing(alice) == [made]
    cloud.operations.own_nics.delete(alice, made.id)


def test_what_is_refused_changes_nothing(scene: Scene) -> None:
    operations, bob, own = scene.cloud.operations, scene.cloud.caller("bob"), scene.cloud.operations.own_nics
    operations.networks.create(scene.root, NewNetwork("second", IPv4Network("10.8.0.0/24")))
    operations.networks.create(scene.root, NewNetwork("small", IPv4Network("10.9.0.0/29")))
    made, new = make(scene), NewOwnNic("private")
    taken = scene.one.nics[0].fixed[0].address
    theirs = NewNic(nic=made.id)
    with_it = NewInstance("own", IMAGES[0].id, FLAVORS[0].id, (theirs,))
    floating = operations.addresses.allocate(scene.alice, None)
    operations.identity.set_quota(scene.root, scene.alice.project.id, Resource.NICS, 2)
    refused: list[tuple[type[Fault], str, Callable[[], object]]] = [
        (Forbidden, "", lambda: own.create(scene.cloud.caller("rita"), new)),
        (Forbidden, "", lambda: own.delete(scene.cloud.caller("rita"), made.id)),
        (NotFound, "", lambda: own.delete(bob, made.id)),
        (NotFound, "", lambda: own.delete(scene.root, made.id)),
        (NotFound, "", lambda: own.delete(scene.alice, NicId("none"))),
        (NotFound, "", lambda: scene.nics.change(bob, made.id, NicChange(name="mine"))),
        (NotFound, "", lambda: operations.instances.create(bob, with_it)),
        (NotFound, "", lambda: operations.instances.create(scene.root, with_it)),
        (NotFound, "", lambda: operations.instances.of_nic(bob, made.id)),
        (NotFound, "", lambda: operations.addresses.point(bob, floating.id, made.id)),
        (NotFound, "nowhere", lambda: own.create(scene.alice, NewOwnNic("nowhere"))),
        (NotFound, "web", lambda: make(scene, groups=("web",))),
        (InUse, "", lambda: own.delete(scene.alice, scene.one.nics[0].id)),
        (Invalid, "at least one", lambda: make(scene, fixed=())),
        (Invalid, "10.9.0.1", lambda: make(scene, fixed=(IPv4Address("10.9.0.1"),))),
        (Invalid, "name", lambda: make(scene, name="\0")),
        (Invalid, "description", lambda: make(scene, description="x" * 256)),
        (Invalid, "allowed", lambda: make(scene, allowed=("everything",))),
        (Conflict, "taken", lambda: make(scene, fixed=(None, taken))),
        (
            Invalid,
            "no name of its own",
            lambda: scene.nics.change(scene.alice, scene.one.nics[0].id, NicChange(name="mine")),
        ),
        (Invalid, "its own addresses", lambda: boot(scene, NewNic("private", taken, made.id))),
        (Invalid, "not on second", lambda: boot(scene, NewNic("second", nic=made.id))),
        (Conflict, "still in use", lambda: boot(scene, NewNic(nic=scene.one.nics[0].id))),
        (Conflict, "still in use", lambda: boot(scene, theirs, theirs)),
    ]
    before = operations.instances.listing(scene.root, every_project=True)
    for fault, said, change in refused:
        with pytest.raises(fault, match=said or None):
            change()
    assert operations.instances.listing(scene.root, every_project=True) == before
    assert own.listing(scene.root, every_project=True) == [made]
    assert (used(scene), used(scene, Resource.NIC_ADDRESSES)) == (1, 0)
    make(scene)
    with pytest.raises(QuotaExceeded, match="NICs of its own"):
        make(scene)
    operations.identity.set_quota(scene.root, scene.alice.project.id, Resource.NICS, -1)
    for _ in range(5):
        make(scene, network="small")
    with pytest.raises(Exhausted, match="small"):
        make(scene, network="small")


def test_what_guests_prefer_keeps_it(scene: Scene) -> None:
    operations = scene.cloud.operations
    made = make(scene)
    prefix, floating = IPv4Network("192.0.2.0/24"), operations.addresses.allocate(scene.alice, None)
    operations.addresses.point(scene.alice, floating.id, made.id)
    way = NewWay(floating=floating.address)
    with pytest.raises(Conflict, match="in no instance"):
        operations.egress.create(scene.alice, NewPreference(prefix, way, nic=made.id))
    operations.attachments.attach(scene.alice, scene.one.id, NewNic(nic=made.id))
    preference = operations.egress.create(scene.alice, NewPreference(prefix, way, nic=made.id))
    with pytest.raises(InUse):
        operations.attachments.detach(scene.alice, made.id)
    operations.instances.delete(scene.alice, scene.one.id)
    with pytest.raises(InUse):
        operations.own_nics.delete(scene.alice, made.id)
    operations.egress.delete(scene.alice, preference.id)
    operations.own_nics.delete(scene.alice, made.id)


def test_an_automatic_floating_ip_goes_with_the_instance(make_cloud: Callable[..., Cloud]) -> None:
    scene = Scene(make_cloud(auto_assign="public"))
    made = make(scene)
    instance = boot(scene, NewNic(nic=made.id))
    assert len(now(scene, made)[0].floating) == 1
    scene.cloud.operations.instances.delete(scene.alice, instance.id)
    assert now(scene, made) == (made, None)


def test_its_network_stays_while_it_is_there(scene: Scene) -> None:
    operations = scene.cloud.operations
    operations.networks.create(scene.root, NewNetwork("late", IPv4Network("10.7.0.0/24"), kind=NetworkKind.VXLAN))
    made = make(scene, network="late")
    with pytest.raises(InUse):
        operations.networks.delete(scene.root, operations.networks.get(scene.alice, "late").id)
    operations.own_nics.delete(scene.alice, made.id)
    operations.networks.delete(scene.root, operations.networks.get(scene.alice, "late").id)
