"""Addresses that a NIC may use beside its own: who may say so, what hosts hear and when, and what is refused with which reason."""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network, ip_network

import pytest

from mooring.model.accounts import Caller
from mooring.model.faults import Conflict, Fault, Forbidden, Invalid, NotFound, NotReady, QuotaExceeded
from mooring.model.nouns import Instance, NetworkKind, Nic, Resource
from mooring.model.subjects import MAX_EXTRA, HostRole, NicIntent
from mooring.operations import NewInstance, NewNetwork, NewNic, NicChange
from mooring.operations.hosts import HostLinks
from tests.cloud import FLAVORS, IMAGES, Cloud
from tests.operations.fleet import Fleet

SHARED = "10.0.0.200"


class Scene:
    """A cloud in which Alice has two instances, and everybody may have so many addresses of NICs."""

    def __init__(self, cloud: Cloud, limit: int = 1000) -> None:
        for name in ("alice", "root"):
            project = cloud.caller(name).project.id
            cloud.operations.identity.set_quota(cloud.caller("root"), project, Resource.NIC_ADDRESSES, limit)
        self.cloud, self.nics, self.alice = cloud, cloud.operations.nics, cloud.caller("alice")
        self.root = cloud.caller("root")
        self.one, self.two = cloud.boot(self.alice, "one"), cloud.boot(self.alice, "two")

    def told(self, instance: Instance, role: HostRole = HostRole.COMPUTE) -> list[str]:
        """Return what a host was told that an instance may use beside its own, and has confirmed."""
        found = [
            placed.subject
            for (key, part), placed in self.cloud.host.held.items()
            if key.id == instance.nics[0].id and part is role
        ]
        (subject,) = found
        assert isinstance(subject, NicIntent)
        assert subject.filter is not None
        return [str(address) for address in subject.filter.extra]

    def used(self) -> int:
        """Return how many addresses the project has that count."""
        with self.cloud.store.read() as tx:
            return tx.quotas.get(self.alice.project.id, Resource.NIC_ADDRESSES).used


@pytest.fixture
def scene(make_cloud: Callable[..., Cloud]) -> Scene:
    return Scene(make_cloud())


def shown(nic: Nic) -> list[str]:
    return [str(prefix) for prefix in nic.allowed]


def test_hosts_have_confirmed_what_is_allowed_and_what_is_no_longer(scene: Scene) -> None:
    nic = scene.one.nics[0].id
    made = scene.nics.allow(scene.alice, nic, [SHARED, "10.0.0.208/30"])
    assert shown(made) == ["10.0.0.200/32", "10.0.0.208/30"]
    assert scene.told(scene.one) == [SHARED, "10.0.0.208", "10.0.0.209", "10.0.0.210", "10.0.0.211"]
    assert scene.told(scene.one, HostRole.MEMBER) == scene.told(scene.one)
    assert scene.used() == 5
    # What is allowed stays so; and nothing is counted twice.
    assert shown(scene.nics.allow(scene.alice, nic, [SHARED])) == shown(made)
    assert scene.used() == 5
    assert shown(scene.nics.disallow(scene.alice, nic, ["10.0.0.208/30"])) == ["10.0.0.200/32"]
    assert scene.told(scene.one) == [SHARED]
    assert shown(scene.cloud.operations.instances.of_nic(scene.alice, nic).nic) == ["10.0.0.200/32"]
    scene.nics.change(scene.alice, nic, NicChange(allowed=("10.0.0.201",)))
    assert scene.told(scene.one) == ["10.0.0.201"]
    assert scene.used() == 1
    scene.nics.change(scene.alice, nic, NicChange(allowed=()))
    assert (scene.told(scene.one), scene.used()) == ([], 0)


def test_two_of_a_project_share_an_address(scene: Scene) -> None:
    one, two = scene.one.nics[0], scene.two.nics[0]
    for nic in (one, two):
        scene.nics.allow(scene.alice, nic.id, [SHARED])
    # One may stand in for the other under its own address, too.
    scene.nics.allow(scene.alice, two.id, [str(one.fixed[0].address)])
    assert scene.told(scene.two) == sorted([SHARED, str(one.fixed[0].address)], key=IPv4Address)
    assert scene.told(scene.one) == [SHARED]


def test_who_share_an_address_are_in_the_same_groups(scene: Scene) -> None:
    groups = scene.cloud.operations.groups
    web = groups.create(scene.alice, "web")
    one, two = scene.one.nics[0], scene.two.nics[0]
    scene.nics.allow(scene.alice, one.id, [SHARED])
    groups.join(scene.alice, scene.one.id, "web")
    with pytest.raises(Conflict, match=r"must be in the same security groups"):
        scene.nics.allow(scene.alice, two.id, [SHARED])
    assert (scene.told(scene.two), scene.used()) == ([], 1)
    (default,) = [group for group in groups.listing(scene.alice) if group.is_default]
    scene.nics.change(scene.alice, two.id, NicChange(groups=(default.id, web.id), allowed=(SHARED,)))
    changes: list[Callable[[], object]] = [
        lambda: groups.leave(scene.alice, scene.one.id, "web"),
        lambda: groups.assign(scene.alice, two.id, ["web"]),
        lambda: scene.nics.change(scene.alice, two.id, NicChange(groups=())),
    ]
    for change in changes:
        with pytest.raises(Conflict, match=r"must be in the same security groups"):
            change()
    # With the address, the reason goes; and both at once is one change.
    scene.nics.change(scene.alice, two.id, NicChange(groups=(web.id,), allowed=()))
    groups.leave(scene.alice, scene.one.id, "web")


def test_nobody_else_gets_an_address_that_a_guest_may_use(make_cloud: Callable[..., Cloud]) -> None:
    scene = Scene(make_cloud())
    nic, bob = scene.one.nics[0].id, scene.cloud.caller("bob")
    following = str(scene.two.nics[0].fixed[0].address + 1)
    scene.nics.allow(scene.alice, nic, [following])
    assert str(scene.cloud.boot(bob).nics[0].fixed[0].address) != following
    for caller in (bob, scene.alice):
        new = NewInstance("vm", IMAGES[0].id, FLAVORS[0].id, (NewNic("private", IPv4Address(following)),))
        with pytest.raises(Conflict, match="is taken"):
            scene.cloud.operations.instances.create(caller, new)
    # Once it isn't allowed any longer, it is an address like others.
    scene.nics.disallow(scene.alice, nic, [following])
    chosen = NewInstance("vm", IMAGES[0].id, FLAVORS[0].id, (NewNic("private", IPv4Address(following)),))
    scene.cloud.operations.instances.create(bob, chosen)
    with pytest.raises(Conflict, match=f"Address {following} is another project's"):
        scene.nics.allow(scene.alice, nic, [following])


def test_an_address_stays_taken_while_somebody_may_use_it_whose_own_it_was_not(scene: Scene) -> None:
    one, two = scene.one.nics[0], scene.two.nics[0]
    own = one.fixed[0].address
    scene.nics.allow(scene.alice, two.id, [str(own)])
    scene.cloud.operations.instances.delete(scene.alice, scene.one.id)
    with pytest.raises(NotFound):
        scene.cloud.operations.instances.get(scene.alice, scene.one.id)
    bob = scene.cloud.caller("bob")
    chosen = NewInstance("vm", IMAGES[0].id, FLAVORS[0].id, (NewNic("private", own),))
    with pytest.raises(Conflict, match="is taken"):
        scene.cloud.operations.instances.create(bob, chosen)
    assert scene.told(scene.two) == [str(own)]
    scene.cloud.operations.instances.delete(scene.alice, scene.two.id)
    assert scene.used() == 0
    scene.cloud.operations.instances.create(bob, chosen)


def test_what_is_taken_away_is_nobodys_before_hosts_have_confirmed(make_cloud: Callable[..., Cloud]) -> None:
    scene = Scene(make_cloud(quota=100, settle_timeout=0.0))
    nic, bob = scene.one.nics[0].id, scene.cloud.caller("bob")
    theirs = scene.cloud.boot(bob).nics[0].id
    scene.nics.allow(scene.alice, nic, [SHARED])
    scene.cloud.host.away = True
    scene.nics.disallow(scene.alice, nic, [SHARED])
    with pytest.raises(Conflict, match="is another project's"):
        scene.nics.allow(bob, theirs, [SHARED])
    # The project itself may have it back, here or there.
    scene.nics.allow(scene.alice, nic, [SHARED])
    scene.nics.allow(scene.alice, scene.two.nics[0].id, [SHARED])
    for each in (nic, scene.two.nics[0].id):
        scene.nics.disallow(scene.alice, each, [SHARED])
    scene.cloud.host.come_back()
    assert scene.told(scene.one) == []
    scene.nics.allow(bob, theirs, [SHARED])


def test_a_host_that_is_away_does_not_make_the_database_grow(make_cloud: Callable[..., Cloud]) -> None:
    scene = Scene(make_cloud(quota=5000, settle_timeout=0.0))
    nic = scene.cloud.boot(scene.root, "administrators").nics[0].id
    scene.cloud.host.away = True
    for part in range(3):
        scene.nics.change(scene.root, nic, NicChange(allowed=(f"192.0.{part}.0/24",)))
    with pytest.raises(Conflict, match="have not let go yet"):
        scene.nics.change(scene.root, nic, NicChange(allowed=()))


REFUSED = (
    (["0.0.0.0/0"], "holds more than 256 addresses: its length must be 24 or more"),
    (["10.0.0.0/23"], "holds more than 256"),
    (["2001:db8::/64"], "its length must be 120 or more"),
    (["10.0.0.9/30"], "has bits beyond its prefix, which is 10.0.0.8/30"),
    (["224.0.0.18"], "224.0.0.18 is for several machines"),
    (["ff02::12"], "is for several machines"),
    (["255.255.255.255"], "is nobody's to give"),
    (["0.0.0.7"], "is no machine's own address"),
    (["::"], "is no machine's own address"),
    (["127.0.0.1"], "is a machine's address for itself"),
    (["169.254.169.254"], "is for one link only"),
    (["fe80::1"], "is for one link only"),
    (["fe80::1%eth0"], "is no address, nor a prefix"),
    (["10.0.0.1"], "10.0.0.1 is the gateway of network private"),
    (["10.0.0.0/28"], "10.0.0.1 is the gateway"),
    (["10.0.0.255"], "is no machine's address on network private"),
    (["10.0.0.208/30", "10.0.0.209"], "10.0.0.208/30 and 10.0.0.209 have addresses in common"),
    (["10.0.3.0/24", "10.0.4.0"], "258 addresses of IPv4 are more than the 256"),
    (["ten"], "'ten' is no address, nor a prefix"),
    ([""], "'' is no address, nor a prefix"),
)


def test_what_no_guest_may_have_is_refused(scene: Scene) -> None:
    nic = scene.one.nics[0].id
    for wanted, reason in REFUSED:
        texts = ("10.0.0.77", *wanted)
        with pytest.raises(Invalid, match=reason.replace(".", r"\.")) as caught:
            scene.nics.allow(scene.alice, nic, texts)
        assert caught.value.field == "allowed_addresses"
        with pytest.raises(Invalid):
            scene.nics.change(scene.alice, nic, NicChange(allowed=texts, groups=()))
    assert (scene.told(scene.one), scene.used()) == ([], 0)
    assert scene.cloud.operations.instances.get(scene.alice, scene.one.id) == scene.one


def test_who_may_say_so(scene: Scene) -> None:
    nic, bob = scene.one.nics[0].id, scene.cloud.caller("bob")
    scene.nics.allow(scene.alice, nic, ["10.0.0.77"])

    def refused(caller: Caller, fault: type[Fault]) -> None:
        changes: list[Callable[[], object]] = [
            lambda: scene.nics.allow(caller, nic, [SHARED]),
            lambda: scene.nics.disallow(caller, nic, ["10.0.0.77"]),
            lambda: scene.nics.change(caller, nic, NicChange(allowed=())),
            lambda: scene.nics.add_fixed(caller, nic),
            lambda: scene.nics.remove_fixed(caller, nic, scene.one.nics[0].fixed[0].address),
        ]
        for change in changes:
            with pytest.raises(fault):
                change()

    refused(scene.cloud.caller("rita"), Forbidden)
    refused(bob, NotFound)
    refused(scene.root, NotFound)
    with pytest.raises(Conflict, match="is another project's on network private"):
        scene.nics.allow(bob, scene.cloud.boot(bob).nics[0].id, [str(scene.two.nics[0].fixed[0].address)])
    with pytest.raises(NotFound, match=r"10\.0\.0\.78"):
        scene.nics.disallow(scene.alice, nic, ["10.0.0.78"])
    assert scene.told(scene.one) == ["10.0.0.77"]


def test_on_a_network_of_all_projects_members_have_addresses_of_that_network(scene: Scene) -> None:
    for outside in ("192.0.2.7", "2001:db8::7"):
        with pytest.raises(Forbidden, match=f"{outside}: it is no address of network private"):
            scene.nics.allow(scene.alice, scene.one.nics[0].id, [outside])
    mine = scene.cloud.boot(scene.root, "administrators")
    scene.nics.allow(scene.root, mine.nics[0].id, ["192.0.2.7", "2001:db8::7"])
    assert scene.told(mine) == ["192.0.2.7", "2001:db8::7"]


def test_an_instance_that_is_being_launched_has_to_wait(make_cloud: Callable[..., Cloud]) -> None:
    cloud = make_cloud()
    alice = cloud.caller("alice")
    cloud.host.away = True
    chosen = NewNic("private", IPv4Address("10.0.0.50"))
    made = cloud.operations.instances.create(alice, NewInstance("vm", IMAGES[0].id, FLAVORS[0].id, (chosen,)))
    changes: list[Callable[[], object]] = [
        lambda: cloud.operations.nics.allow(alice, made.nics[0].id, [SHARED]),
        lambda: cloud.operations.nics.add_fixed(alice, made.nics[0].id),
    ]
    for change in changes:
        with pytest.raises(NotReady):
            change()


def test_there_is_a_quota(make_cloud: Callable[..., Cloud]) -> None:
    scene = Scene(make_cloud(), limit=9)
    nic = scene.one.nics[0].id
    with pytest.raises(QuotaExceeded, match="addresses of NICs"):
        scene.nics.allow(scene.alice, nic, ["10.0.0.208/29", "10.0.0.200/31"])
    scene.nics.allow(scene.alice, nic, ["10.0.0.208/29"])
    scene.nics.add_fixed(scene.alice, nic)
    with pytest.raises(QuotaExceeded):
        scene.nics.add_fixed(scene.alice, nic)
    scene.cloud.operations.instances.delete(scene.alice, scene.one.id)
    assert scene.used() == 0


def test_on_a_vxlan_an_address_is_one_nics_and_every_host_can_find_it(make_cloud: Callable[..., Cloud]) -> None:
    cloud = make_cloud(settle_timeout=0.0, quota=100)
    alice = cloud.caller("alice")
    fleet = Fleet.build(cloud)
    for number, name in enumerate(("host1", "host2", "host3"), 1):
        links = HostLinks(endpoint=IPv4Address("192.0.2.0") + number)
        cloud.operations.hosts.register(name, compute=True, gateway=name == "host1", links=links)
    new = NewNetwork("own", IPv4Network("10.5.0.0/24"), kind=NetworkKind.VXLAN, project=alice.project.id)
    cloud.operations.networks.create(cloud.caller("root"), new)
    made = [
        cloud.operations.instances.create(alice, NewInstance(name, IMAGES[0].id, FLAVORS[0].id, (NewNic("own"),)))
        for name in ("one", "two")
    ]
    for instance, host in zip(made, fleet.hosts[1:], strict=True):
        fleet.launch(instance.id, host)
    fleet.catch_up()
    one, two = (cloud.operations.instances.get(alice, each.id).nics[0].id for each in made)
    # It is the project's own network: addresses of others may pass there, too.
    cloud.operations.nics.allow(alice, one, ["10.5.0.77", "192.0.2.7", "2001:db8::7"])
    fleet.catch_up()
    peers = [
        placed.subject
        for host in fleet.hosts
        for (key, role), placed in fleet.held[host].items()
        if key.id == one and role is HostRole.PEER
    ]
    assert len(peers) == 2
    for peer in peers:
        assert isinstance(peer, NicIntent)
        assert peer.filter is not None
        assert [str(it) for it in peer.filter.extra] == ["10.5.0.77", "192.0.2.7", "2001:db8::7"]
    with pytest.raises(Conflict, match="on a vxlan network an address is one NIC's"):
        cloud.operations.nics.allow(alice, two, ["10.5.0.77"])


def test_a_nic_has_room_for_256_of_each_family(make_cloud: Callable[..., Cloud]) -> None:
    scene = Scene(make_cloud())
    mine = scene.cloud.boot(scene.root, "administrators").nics[0].id
    prefixes = ["10.0.3.0/24", "2001:db8::/120"]
    assert scene.nics.allow(scene.root, mine, prefixes).allowed == tuple(ip_network(each) for each in prefixes)
    with pytest.raises(Invalid, match="257 addresses of IPv6"):
        scene.nics.allow(scene.root, mine, ["2001:db8:1::1"])
    with pytest.raises(Conflict, match=f"has {MAX_EXTRA} addresses"):
        scene.nics.add_fixed(scene.root, mine)
