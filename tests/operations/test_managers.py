"""Networks of every kind, as operations make, place and carry them: who owns a segment, which hosts fit, where a flat network is."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest

from mooring.model.faults import Conflict, Exhausted, Invalid
from mooring.model.ids import RouterId
from mooring.model.nouns import AddressRange, InstanceState, NetworkKind
from mooring.model.subjects import HostRole, NetworkIntent, Report, RouterIntent, SubjectKey, SubjectKind
from mooring.operations import NewInstance, NewNetwork, NewNic
from mooring.operations.door import FirstNetwork
from mooring.operations.hosts import HostLinks
from tests.cloud import FLAVORS, IMAGES, Cloud

_CIDR = IPv4Network("10.5.0.0/24")


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    return Cloud(tmp_path / "mooring.db")


def _limits(cloud: Cloud, **changes: Any) -> None:
    """Change what this installation allows, in place: every operation shares one door."""
    door = cloud.operations.networks._door
    object.__setattr__(door, "limits", replace(door.limits, **changes))


def test_segments_are_taken_from_their_range_and_never_twice(cloud: Cloud) -> None:
    root = cloud.caller("root")
    _limits(cloud, vlans=range(100, 102))
    make = cloud.operations.networks.create
    made = [make(root, NewNetwork(name, _CIDR, kind=NetworkKind.VLAN)) for name in ("a", "b")]
    assert [network.segment for network in made] == [100, 101]
    with pytest.raises(Exhausted, match="vlan"):
        make(root, NewNetwork("c", _CIDR, kind=NetworkKind.VLAN))
    with pytest.raises(Conflict, match="taken"):
        make(root, NewNetwork("c", _CIDR, kind=NetworkKind.VLAN, segment=100))
    cloud.operations.networks.delete(root, made[0].id)
    assert make(root, NewNetwork("c", _CIDR, kind=NetworkKind.VLAN)).segment == 100


def test_private_networks_may_overlap_and_have_their_own_router(cloud: Cloud) -> None:
    root = cloud.caller("root")
    one, two = (cloud.operations.networks.create(root, NewNetwork(n, _CIDR, kind=NetworkKind.VXLAN)) for n in "ab")
    assert one.router != two.router
    assert one.mtu == 1450
    with pytest.raises(Conflict, match="overlaps"):
        cloud.operations.networks.create(root, NewNetwork("c", IPv4Network("10.0.0.0/16")))


@pytest.mark.parametrize(
    "new, field",
    [
        (NewNetwork("n", _CIDR, kind=NetworkKind.FLAT), "bridge"),
        (NewNetwork("n", _CIDR, kind=NetworkKind.FLAT, bridge="br 0"), "bridge"),
        (NewNetwork("n", _CIDR, bridge="br0"), "bridge"),
        (NewNetwork("n", _CIDR, cluster="c"), "cluster"),
        (NewNetwork("n", _CIDR, segment=5), "segment"),
        (NewNetwork("n", _CIDR, kind=NetworkKind.VLAN, segment=4095), "segment"),
        (NewNetwork("n", _CIDR, kind=NetworkKind.VXLAN, segment=1 << 24), "segment"),
        (NewNetwork("n", _CIDR, mtu=20), "mtu"),
    ],
)
def test_what_a_kind_has_no_use_for_is_refused(cloud: Cloud, new: NewNetwork, field: str) -> None:
    before = cloud.operations.networks.listing(cloud.caller("root"))
    with pytest.raises(Invalid) as refused:
        cloud.operations.networks.create(cloud.caller("root"), new)
    assert refused.value.field == field
    assert cloud.operations.networks.listing(cloud.caller("root")) == before


def test_a_network_that_comes_to_another_host_is_no_news_to_those_that_have_it(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path / "mooring.db", settle_timeout=0.05)
    alice = cloud.caller("alice")
    first = cloud.boot(alice).host
    other = cloud.operations.hosts.register("host2", compute=True, gateway=False).id
    key = SubjectKey(SubjectKind.NETWORK, cloud.network.id)
    with cloud.store.read() as tx:
        before = tx.deliveries.digest_of(key)
    made = cloud.operations.instances.create(alice, NewInstance("vm", IMAGES[0].id, FLAVORS[0].id))
    assert first != other == cloud.operations.instances.get(alice, made.id).host
    with cloud.store.read() as tx:
        after = tx.deliveries.digest_of(key)
        assert [placed.generation for placed in tx.deliveries.pending(other, [key])] == [before[0].generation]
        assert tx.deliveries.unconfirmed(key, before[0].generation)
    assert after == [*before, before[0]]
    cloud.operations.settlement.report(other, [Report(key, HostRole.COMPUTE, before[0].generation)])
    with cloud.store.read() as tx:
        assert not tx.deliveries.unconfirmed(key, before[0].generation)


def test_only_hosts_that_can_have_the_network_are_chosen_and_the_reasons_are_told(cloud: Cloud) -> None:
    root, alice = cloud.caller("root"), cloud.caller("alice")
    network = cloud.operations.networks.create(root, NewNetwork("v", _CIDR, kind=NetworkKind.VLAN))
    new = NewInstance("vm", IMAGES[0].id, FLAVORS[0].id, (NewNic(network.id),))
    made = cloud.operations.instances.create(alice, new)
    shown = cloud.operations.instances.get(alice, made.id)
    assert shown.state is InstanceState.ERROR
    assert "no interface for VLANs" in (shown.fault or "")
    links = HostLinks(vlan_interface="eth1", endpoint=IPv4Address("192.0.2.9"))
    cloud.operations.hosts.register("host2", compute=True, gateway=True, links=links)
    second = cloud.operations.instances.create(alice, new)
    host = cloud.operations.instances.get(alice, second.id).host
    assert host is not None
    assert cloud.operations.hosts.get(root, host).name == "host2"


def test_a_flat_network_follows_the_cluster_of_the_host(cloud: Cloud) -> None:
    root, alice = cloud.caller("root"), cloud.caller("alice")
    east = NewNetwork("flat", IPv4Network("10.6.0.0/24"), kind=NetworkKind.FLAT, bridge="br0", cluster="east")
    west = NewNetwork("flat", IPv4Network("10.7.0.0/24"), kind=NetworkKind.FLAT, bridge="br1", cluster="default")
    for new in (east, west):
        cloud.operations.networks.create(root, new)
    made = cloud.operations.instances.create(alice, NewInstance("vm", IMAGES[0].id, FLAVORS[0].id, (NewNic("flat"),)))
    shown = cloud.operations.instances.get(alice, made.id)
    assert shown.state is InstanceState.ACTIVE
    # The host is in cluster "default": so is the address.
    assert shown.nics[0].fixed[0].address in west.cidr
    floating = cloud.operations.addresses.allocate(alice, None)
    with pytest.raises(Conflict, match="router"):
        cloud.operations.addresses.associate(alice, made.id, floating.address)


def test_a_project_gets_its_network_on_first_use(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path / "mooring.db")
    root, alice = cloud.caller("root"), cloud.caller("alice")
    cloud.operations.networks.delete(root, cloud.network.id)
    _limits(cloud, first_network=FirstNetwork(NetworkKind.VXLAN, IPv4Network("10.0.0.0/24")))
    for caller in (alice, cloud.caller("bob"), alice):
        cloud.operations.instances.create(caller, NewInstance("vm", IMAGES[0].id, FLAVORS[0].id))
    networks = cloud.operations.networks.listing(root)
    assert sorted(network.name for network in networks) == ["barges", "boats"]
    assert {network.segment for network in networks} == {1, 2}
    assert {str(network.cidr) for network in networks} == {"10.0.0.0/24"}


def test_a_router_is_told_when_it_is_alone_on_an_uplink_no_more(cloud: Cloud) -> None:
    root, alice = cloud.caller("root"), cloud.caller("alice")
    cloud.operations.hosts.register("host1", compute=True, gateway=True, links=HostLinks(vlan_interface="eth1"))
    cloud.boot(alice)

    def routers() -> dict[str, tuple[bool, ...]]:
        held = [placed.subject for placed in cloud.host.held.values()]
        return {it.id: tuple(side.alone for side in it.uplinks) for it in held if isinstance(it, RouterIntent)}

    ((shared, alone),) = routers().items()
    assert alone == (True,)
    for name in ("v1", "v2"):
        cloud.operations.networks.create(root, NewNetwork(name, _CIDR, kind=NetworkKind.VLAN))
        cloud.operations.instances.create(alice, NewInstance("vm", IMAGES[0].id, FLAVORS[0].id, (NewNic(name),)))
        assert set(routers().values()) == {(False,)}
    assert len(routers()) == 3
    assert shared in routers()
    # With another pool on another uplink all of them are connected to that, sooner or later; none is alone there either.
    cloud.add_pool("other", AddressRange(IPv4Address("203.0.113.10"), IPv4Address("203.0.113.20")), 1)
    assert routers()[shared] == (False, True)
    for name in ("v1", "v2"):
        cloud.operations.instances.create(alice, NewInstance("vm", IMAGES[0].id, FLAVORS[0].id, (NewNic(name),)))
        assert routers()[shared] == (False, False)
    assert set(routers().values()) == {(False, False)}
    # A pool that goes takes the way out along; what the other one gave stays as it was.
    cloud.operations.pools.delete(root, "other")
    assert set(routers().values()) == {(False,)}


def test_a_private_network_takes_its_router_along_and_gives_its_public_address_back(tmp_path: Path) -> None:
    cloud = Cloud(tmp_path / "mooring.db", settle_timeout=0.0)
    root, alice = cloud.caller("root"), cloud.caller("alice")
    cloud.operations.hosts.register("host1", compute=True, gateway=True, links=HostLinks(vlan_interface="eth1"))
    cloud.boot(alice)

    def routers() -> dict[RouterId, tuple[IPv4Address, bool]]:
        with cloud.store.read() as tx:
            known = {router.id for router in tx.topology.routers()}
        held = [placed.subject for placed in cloud.host.held.values()]
        on_hosts = {
            it.id: (it.uplinks[0].address.ip, it.uplinks[0].alone) for it in held if isinstance(it, RouterIntent)
        }
        assert known >= on_hosts.keys()
        return on_hosts

    ((shared, (address, alone)),) = routers().items()
    assert alone
    network = cloud.operations.networks.create(root, NewNetwork("v", _CIDR, kind=NetworkKind.VLAN))
    wanted = NewInstance("vm", IMAGES[0].id, FLAVORS[0].id, (NewNic("v"),))
    instance = cloud.operations.instances.create(alice, wanted)
    assert routers()[shared] == (address, False)
    assert network.router is not None
    own, _ = routers()[network.router]
    cloud.operations.instances.delete(alice, instance.id)

    # As long as its host may answer at the router's address, nobody else gets it.
    cloud.host.away = True
    cloud.operations.networks.delete(root, network.id)
    with cloud.store.read() as tx:
        assert tx.topology.router(network.router) is not None
        assert tx.addresses.find("public", own) is not None
    cloud.host.come_back()
    with cloud.store.read() as tx:
        assert tx.topology.router(network.router) is None
        assert tx.addresses.find("public", own) is None
    assert routers() == {shared: (address, True)}

    # A router that no host ever had goes at once.
    unused = cloud.operations.networks.create(root, NewNetwork("w", _CIDR, kind=NetworkKind.VLAN))
    cloud.operations.networks.delete(root, unused.id)
    with cloud.store.read() as tx:
        assert [router.id for router in tx.topology.routers()] == [shared]
    cloud.close()


def test_hosts_look_at_what_guests_send_once_there_is_a_filtered_one(cloud: Cloud) -> None:
    alice = cloud.caller("alice")

    def zone() -> int:
        (network,) = [it.subject for it in cloud.host.held.values() if isinstance(it.subject, NetworkIntent)]
        return network.zone

    _limits(cloud, filters=False)
    cloud.boot(alice)
    assert zone() == 0
    _limits(cloud, filters=True)
    for _ in range(2):
        cloud.boot(alice)
        assert zone() == 1
