"""Cards that come to a running instance and go: what hosts hear in which order, what is given back when, and what is refused."""

from collections.abc import Callable, Sequence
from ipaddress import IPv4Address, IPv4Network

import pytest

from mooring.model.events import Action, EventChoice
from mooring.model.faults import Conflict, Exhausted, Fault, Forbidden, InUse, Invalid, NotFound
from mooring.model.ids import NicId
from mooring.model.nouns import Instance, InstanceState, Resource
from mooring.model.subjects import HostRole, InstanceIntent, SubjectKind
from mooring.operations import NewForwarding, NewInstance, NewNetwork, NewNic, NewPreference, NewWay
from mooring.operations.instances import MAX_NICS
from tests.cloud import FLAVORS, IMAGES, Cloud
from tests.operations.test_allowances import Scene


@pytest.fixture
def scene(make_cloud: Callable[..., Cloud]) -> Scene:
    made = Scene(make_cloud(settle_timeout=0.2))
    made.cloud.operations.networks.create(made.root, NewNetwork("second", IPv4Network("10.8.0.0/24")))
    return made


def cards(scene: Scene, instance: Instance) -> list[NicId]:
    """Return the cards of an instance as its host has confirmed them."""
    (subject,) = (placed.subject for (key, _), placed in scene.cloud.host.held.items() if key.id == instance.id)
    assert isinstance(subject, InstanceIntent)
    return [nic.id for nic in subject.nics]


def roles(scene: Scene, nic: NicId) -> set[HostRole]:
    return {role for key, role in scene.cloud.host.held if key.id == nic}


def shown(scene: Scene, instance: Instance) -> Sequence[NicId]:
    return [nic.id for nic in scene.cloud.operations.instances.get(scene.alice, instance.id).nics]


def test_a_network_that_is_made_while_its_router_runs_is_on_the_routers_host(scene: Scene) -> None:
    """Before the router, which has a device on its bridge."""
    network = scene.cloud.operations.networks.get(scene.alice, "second")
    assert [role for key, role in scene.cloud.host.held if key.id == network.id] == [HostRole.COMPUTE]


def test_a_card_comes_and_goes(scene: Scene) -> None:
    attachments = scene.cloud.operations.attachments
    first = scene.one.nics[0].id
    made = attachments.attach(scene.alice, scene.one.id, NewNic("second"))
    assert made.network_name == "second"
    assert [name.name for name in made.groups] == ["default"]
    assert made.fixed[0].address in IPv4Network("10.8.0.0/24")
    assert cards(scene, scene.one) == shown(scene, scene.one) == [first, made.id]
    assert roles(scene, made.id) == {HostRole.COMPUTE, HostRole.GATEWAY, HostRole.MEMBER}
    floating = scene.cloud.operations.addresses.allocate(scene.alice, None)
    scene.cloud.operations.addresses.associate(scene.alice, scene.one.id, floating.address, made.fixed[0].address)
    scene.nics.allow(scene.alice, made.id, ["10.8.0.200"])
    attachments.detach(scene.alice, made.id)
    assert cards(scene, scene.one) == shown(scene, scene.one) == [first]
    assert roles(scene, made.id) == set()
    assert scene.used() == 0
    (left,) = scene.cloud.operations.addresses.listing(scene.alice)
    assert (left.address, left.nic) == (floating.address, None)
    found = scene.cloud.operations.events.listing(scene.alice, EventChoice(object=made.id))
    assert [event.action for event in found] == [Action.NIC_DETACH, Action.NIC_CHANGE, Action.NIC_ATTACH]
    assert found[1].about == {"fixed": str(made.fixed[0].address), "allowed": "10.8.0.200", "groups": "default"}
    # Its addresses are anybody's.
    for address in (made.fixed[0].address, IPv4Address("10.8.0.200")):
        again = attachments.attach(scene.alice, scene.two.id, NewNic("second", address))
        assert again.fixed[0].address == address


def test_the_last_one_may_go_and_another_come(scene: Scene) -> None:
    attachments = scene.cloud.operations.attachments
    attachments.detach(scene.alice, scene.one.nics[0].id)
    assert cards(scene, scene.one) == []
    made = attachments.attach(scene.alice, scene.one.id, NewNic("private"))
    assert cards(scene, scene.one) == [made.id]
    scene.cloud.operations.instances.delete(scene.alice, scene.one.id)
    with pytest.raises(NotFound):
        scene.cloud.operations.instances.get(scene.alice, scene.one.id)


def test_the_same_key_makes_one_card(scene: Scene) -> None:
    made = {
        scene.cloud.operations.attachments.attach(scene.alice, scene.one.id, NewNic("second"), "once").id
        for _ in range(3)
    }
    assert len(made) == 1
    assert len(shown(scene, scene.one)) == 2


def test_what_leaves_is_the_networks_before_it_is_anybodys(scene: Scene) -> None:
    attachments = scene.cloud.operations.attachments
    made = attachments.attach(scene.alice, scene.one.id, NewNic("second"))
    other = attachments.attach(scene.alice, scene.two.id, NewNic("second")).id
    scene.cloud.host.away = True
    attachments.detach(scene.alice, made.id)
    assert shown(scene, scene.one) == [scene.one.nics[0].id]
    with pytest.raises(NotFound, match="NIC"):
        attachments.detach(scene.alice, made.id)
    with pytest.raises(Conflict, match="is taken"):
        scene.nics.add_fixed(scene.alice, other, made.fixed[0].address)
    # The instance may go meanwhile; its host gives both up when it is back.
    scene.cloud.operations.instances.delete(scene.alice, scene.one.id)
    scene.cloud.host.come_back()
    with pytest.raises(NotFound):
        scene.cloud.operations.instances.get(scene.alice, scene.one.id)
    with scene.cloud.store.read() as tx:
        assert tx.instances.nic(made.id) is None
    scene.nics.add_fixed(scene.alice, other, made.fixed[0].address)


def test_what_is_refused_changes_nothing(scene: Scene) -> None:
    attachments, bob = scene.cloud.operations.attachments, scene.cloud.caller("bob")
    before = scene.cloud.operations.instances.listing(scene.root, every_project=True)
    wanted = NewNic("second")
    refused: list[tuple[type[Fault], Callable[[], object]]] = [
        (Forbidden, lambda: attachments.attach(scene.cloud.caller("rita"), scene.one.id, wanted)),
        (Forbidden, lambda: attachments.detach(scene.cloud.caller("rita"), scene.one.nics[0].id)),
        (NotFound, lambda: attachments.attach(bob, scene.one.id, wanted)),
        (NotFound, lambda: attachments.attach(scene.root, scene.one.id, wanted)),
        (NotFound, lambda: attachments.detach(bob, scene.one.nics[0].id)),
        (NotFound, lambda: attachments.detach(scene.root, scene.one.nics[0].id)),
        (NotFound, lambda: attachments.detach(scene.alice, scene.one.nics[0].id, scene.two.id)),
        (NotFound, lambda: attachments.attach(scene.alice, scene.one.id, NewNic("nowhere"))),
        (Invalid, lambda: attachments.attach(scene.alice, scene.one.id)),
        (Invalid, lambda: attachments.attach(scene.alice, scene.one.id, NewNic("second", IPv4Address("10.9.0.1")))),
        (
            Conflict,
            lambda: attachments.attach(
                scene.alice, scene.one.id, NewNic("private", scene.two.nics[0].fixed[0].address)
            ),
        ),
    ]
    for fault, change in refused:
        with pytest.raises(fault):
            change()
    assert scene.cloud.operations.instances.listing(scene.root, every_project=True) == before
    with scene.cloud.store.read() as tx:
        assert tx.quotas.get(scene.alice.project.id, Resource.NIC_ADDRESSES).used == 0


def test_a_floating_ip_that_guests_prefer_keeps_its_card(scene: Scene) -> None:
    floating = scene.cloud.operations.addresses.allocate(scene.alice, None)
    scene.cloud.operations.addresses.associate(scene.alice, scene.one.id, floating.address)
    way = NewWay(floating=floating.address)
    scene.cloud.operations.egress.create(
        scene.alice, NewPreference(IPv4Network("192.0.2.0/24"), way, instance=scene.one.id)
    )
    with pytest.raises(InUse):
        scene.cloud.operations.attachments.detach(scene.alice, scene.one.nics[0].id)
    assert cards(scene, scene.one) == [scene.one.nics[0].id]


def test_port_forwardings_go_with_their_card(scene: Scene) -> None:
    operations = scene.cloud.operations
    made = operations.attachments.attach(scene.alice, scene.one.id, NewNic("second"))
    floating = operations.addresses.allocate(scene.alice, None)
    operations.forwardings.create(scene.alice, floating.id, NewForwarding("tcp", 80, nic=made.id))
    operations.attachments.detach(scene.alice, made.id)
    assert operations.addresses.get(scene.alice, floating.id).nic is None
    operations.addresses.release(scene.alice, floating.id)
    again = operations.attachments.attach(scene.alice, scene.two.id, NewNic("second", made.fixed[0].address))
    assert again.fixed[0].address == made.fixed[0].address


def test_there_are_eight_at_most_and_none_while_it_is_launched(scene: Scene) -> None:
    attachments = scene.cloud.operations.attachments
    for _ in range(MAX_NICS - 1):
        attachments.attach(scene.alice, scene.one.id, NewNic("second"))
    with pytest.raises(Conflict, match="has 8 cards"):
        attachments.attach(scene.alice, scene.one.id, NewNic("second"))
    scene.cloud.host.away = True
    made = scene.cloud.operations.instances.create(
        scene.alice, NewInstance("vm", IMAGES[0].id, FLAVORS[0].id, (NewNic("private"),))
    )
    assert made.state is InstanceState.BUILDING
    with pytest.raises(Conflict, match="only an active one"):
        attachments.attach(scene.alice, made.id, NewNic("second"))
    with pytest.raises(Conflict, match="is being launched"):
        attachments.detach(scene.alice, made.nics[0].id)


def test_a_full_network_gives_no_card(scene: Scene) -> None:
    scene.cloud.operations.networks.create(scene.root, NewNetwork("small", IPv4Network("10.9.0.0/29")))
    for _ in range(5):
        scene.cloud.operations.attachments.attach(scene.alice, scene.one.id, NewNic("small"))
    with pytest.raises(Exhausted, match="small"):
        scene.cloud.operations.attachments.attach(scene.alice, scene.two.id, NewNic("small"))
    assert len(shown(scene, scene.two)) == 1
    assert {key.kind for key, _ in scene.cloud.host.held} >= {SubjectKind.NIC}
