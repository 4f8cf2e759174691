"""A floating IP moves: in one change on one gateway, and to another gateway only when the old one has let go."""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network

import pytest

from mooring.model.ids import HostId, InstanceId
from mooring.model.nouns import InstanceState, NetworkKind
from mooring.model.subjects import HostRole, NicIntent, Report
from mooring.operations import NewInstance, NewNetwork, NewNic
from mooring.operations.hosts import HostLinks
from tests.cloud import FLAVORS, IMAGES, Cloud


class Scene:
    """Two gateways that do only what a test says, an instance behind each, and a third beside the first."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.operations = cloud.operations
        self.alice = cloud.caller("alice")
        cloud.host.away = True
        for number, name in enumerate(("host1", "host2"), 1):
            links = HostLinks(endpoint=IPv4Address("192.0.2.0") + number)
            cloud.operations.hosts.register(name, compute=True, gateway=True, links=links)
        cloud.operations.networks.create(
            cloud.caller("root"),
            NewNetwork("tunnel", IPv4Network("10.7.0.0/24"), kind=NetworkKind.VXLAN, project=self.alice.project.id),
        )
        self.one, self.beside, self.other = (self.boot(name) for name in ("private", "private", "tunnel"))
        self.floating = cloud.operations.addresses.allocate(self.alice, None)
        self.associate(self.one)
        self.confirm()
        (self.old,) = self.answering()

    def boot(self, network: str) -> InstanceId:
        made = self.operations.instances.create(
            self.alice, NewInstance("vm", IMAGES[0].id, FLAVORS[0].id, (NewNic(network),))
        )
        host = self.operations.launches.schedule(made.id)
        assert host is not None
        self.operations.launches.set_up_network(host, made.id)
        self.operations.launches.allocate_fixed_ips(host, made.id)
        self.confirm()
        assert self.operations.instances.get(self.alice, made.id).state is InstanceState.ACTIVE
        return made.id

    def associate(self, instance: InstanceId) -> None:
        self.operations.addresses.associate(self.alice, instance, self.floating.address)

    def confirm(self, *hosts: HostId) -> None:
        """Let hosts, or all of them, make true what they are told until there is nothing left."""
        settlement = self.operations.settlement
        while some := [host for host in settlement.behind() if not hosts or host in hosts]:
            for host in some:
                told = settlement.pull(host, None)
                settlement.report(host, [Report(each.key, each.role, each.generation) for each in told])

    def answering(self) -> list[HostId]:
        """Return the hosts that are told to answer at the floating IP, whether they have confirmed that or not."""
        found: list[HostId] = []
        for host in self.operations.hosts.listing(self.cloud.caller("root")):
            for placed in self.operations.hosts.placements(self.cloud.caller("root"), host.name):
                nic = placed.subject
                if isinstance(nic, NicIntent) and placed.role is HostRole.GATEWAY:
                    public = [one.address for address in nic.addresses for one in address.floating]
                    found += [host.id] if self.floating.address in public else []
        return found


@pytest.fixture
def scene(make_cloud: Callable[..., Cloud]) -> Scene:
    return Scene(make_cloud(settle_timeout=0.0))


def test_on_one_gateway_it_moves_in_one_change(scene: Scene) -> None:
    scene.associate(scene.beside)
    assert scene.answering() == [scene.old]


def test_another_gateway_waits_for_the_old_one(scene: Scene) -> None:
    scene.associate(scene.other)
    (new,) = (host.id for host in scene.operations.hosts.listing(scene.cloud.caller("root")) if host.id != scene.old)
    assert scene.answering() == []
    # The new gateway is up to date, and still waits: it does not answer while the old one may.
    scene.confirm(new)
    assert scene.answering() == []
    scene.confirm(scene.old)
    assert scene.answering() == [new]
    assert list(scene.operations.settlement.behind()) == [new]
    scene.confirm()
    assert scene.answering() == [new]


def test_what_was_taken_off_while_the_old_gateway_was_away_waits_for_it_too(scene: Scene) -> None:
    scene.operations.addresses.disassociate(scene.alice, scene.one, scene.floating.address)
    scene.associate(scene.other)
    scene.confirm(*[host for host in scene.operations.settlement.behind() if host != scene.old])
    assert scene.answering() == []
    scene.confirm()
    assert len(scene.answering()) == 1
    assert scene.answering() != [scene.old]


def test_the_instance_it_was_on_is_deleted(scene: Scene) -> None:
    scene.operations.instances.delete(scene.alice, scene.one)
    scene.associate(scene.other)
    assert scene.answering() == []
    scene.confirm()
    assert len(scene.answering()) == 1


def test_it_goes_there_and_back(scene: Scene) -> None:
    scene.associate(scene.other)
    scene.associate(scene.one)
    scene.confirm()
    assert scene.answering() == [scene.old]


def test_the_call_waits_until_the_new_gateway_answers(scene: Scene) -> None:
    """When it returns in time, packets flow: the hosts are told, one after the other, while it waits."""
    told: list[bool] = []

    def wait(done: Callable[[], bool], timeout: float) -> bool:
        told.append(done())
        scene.confirm(scene.old)
        told.append(done())
        scene.confirm()
        told.append(done())
        return told[-1]

    scene.cloud.host.wait_settled = wait  # type: ignore[method-assign]
    scene.associate(scene.other)
    assert told == [False, False, True]
