"""Networks, subnets and routers that projects make: what follows for hosts, who may, and what is counted."""

import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.model.accounts import Caller
from mooring.model.faults import Conflict, Exhausted, Forbidden, InUse, Invalid, NotFound, QuotaExceeded
from mooring.model.ids import NetworkId, RouterId
from mooring.model.nouns import AddressRange, Instance, Network, Resource
from mooring.model.subjects import HostRole, NetworkIntent, NicIntent, RouterIntent, Vxlan
from mooring.operations import (
    NewInstance,
    NewNic,
    NewPool,
    NewPreference,
    NewSubnet,
    NewSubnetPool,
    NewWay,
    RouterChange,
    SubnetChange,
)
from mooring.operations.hosts import HostLinks
from mooring.policy.prefixes import free_prefix
from tests.cloud import FLAVORS, IMAGES, Cloud
from tests.operations.fleet import Fleet

_CIDR = IPv4Network("10.5.0.0/24")
_RESOURCES = (Resource.NETWORKS, Resource.SUBNETS, Resource.ROUTERS, Resource.SUBNET_POOLS)


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    return Cloud(tmp_path / "mooring.db")


@pytest.fixture
def alice(cloud: Cloud) -> Caller:
    return cloud.caller("alice")


def _network(cloud: Cloud, caller: Caller, name: str = "web", cidr: IPv4Network = _CIDR) -> Network:
    bare = cloud.operations.own_networks.create(caller, name)
    return cloud.operations.own_networks.add_subnet(caller, NewSubnet(bare.id, cidr=cidr))


def _router(cloud: Cloud, caller: Caller, name: str = "gate", *, out: bool = True) -> RouterId:
    pool = cloud.operations.pools.listing(caller)[0].id
    return cloud.operations.own_routers.create(caller, name, pool if out else None).id


def _boot(cloud: Cloud, caller: Caller, network: NetworkId, name: str = "vm") -> Instance:
    new = NewInstance(name, IMAGES[0].id, FLAVORS[0].id, (NewNic(network),))
    made = cloud.operations.instances.create(caller, new)
    return cloud.operations.instances.get(caller, made.id)


def _used(cloud: Cloud, caller: Caller) -> tuple[int, ...]:
    used = {quota.resource: quota.used for quota in cloud.operations.identity.quotas(caller, caller.project.id)}
    return tuple(used[resource] for resource in _RESOURCES)


def _routers(cloud: Cloud) -> dict[str, RouterIntent]:
    """Return the routers that the host has."""
    found = (placed.subject for placed in cloud.host.held.values())
    return {subject.id: subject for subject in found if isinstance(subject, RouterIntent)}


def _nic(cloud: Cloud, instance: Instance, role: HostRole = HostRole.GATEWAY) -> NicIntent:
    """Return an instance's NIC as the host knows it in a role."""
    (nic,) = instance.nics
    (found,) = (placed.subject for (key, part), placed in cloud.host.held.items() if key.id == nic.id and part is role)
    assert isinstance(found, NicIntent)
    return found


def test_a_network_without_a_subnet_is_nobody_elses_and_on_no_host(cloud: Cloud, alice: Caller) -> None:
    before = dict(cloud.host.held)
    bare = cloud.operations.own_networks.create(alice, "web")
    assert cloud.operations.own_networks.bare(alice) == [bare]
    assert cloud.operations.own_networks.bare(cloud.caller("bob")) == []
    assert cloud.host.held == before
    with pytest.raises(Invalid, match="has no subnet yet"):
        _boot(cloud, alice, bare.id)
    with pytest.raises(NotFound, match="Network"):
        _boot(cloud, cloud.caller("bob"), bare.id)
    assert _used(cloud, alice) == (1, 0, 0, 0)


def test_guests_get_addresses_before_there_is_a_router_and_go_nowhere(cloud: Cloud, alice: Caller) -> None:
    network = _network(cloud, alice)
    instance = _boot(cloud, alice, network.id)
    assert [str(fixed.address) for fixed in instance.nics[0].fixed] == ["10.5.0.2"]
    (served,) = (router for router in _routers(cloud).values() if router.ports[0].network == network.id)
    assert (served.uplinks, served.joined) == ((), True)
    assert _nic(cloud, instance).shared == ()
    # Nobody made that router, so nobody sees it.
    assert all(network.id not in router.networks for router in cloud.operations.networks.routers(alice))


def test_a_router_takes_over_what_is_there_and_leaves_it_again(cloud: Cloud, alice: Caller) -> None:
    network, gate = _network(cloud, alice), _router(cloud, alice)
    instance = _boot(cloud, alice, network.id)
    before = set(_routers(cloud))
    cloud.operations.own_routers.add_network(alice, gate, network.id)
    after = _routers(cloud)
    # One of its own for another: the one that stood in for it is gone.
    assert len(after) == len(before)
    assert gate in set(after) - before
    assert [port.network for port in after[gate].ports] == [network.id]
    assert len(after[gate].uplinks) == 1
    nic = _nic(cloud, instance)
    assert nic.router == gate
    assert [public.address for public in nic.shared] == [after[gate].uplinks[0].address.ip]
    floating = cloud.operations.addresses.allocate(alice, "public")
    cloud.operations.addresses.associate(alice, instance.id, floating.address)
    with pytest.raises(InUse, match=str(floating.address)):
        cloud.operations.own_routers.remove_network(alice, gate, network.id)
    with pytest.raises(InUse, match=str(floating.address)):
        cloud.operations.own_routers.change(alice, gate, RouterChange(led=True))
    cloud.operations.addresses.disassociate(alice, instance.id, floating.address)
    cloud.operations.own_routers.remove_network(alice, gate, network.id)
    nic = _nic(cloud, instance)
    assert nic.router != gate
    assert nic.shared == ()
    assert _routers(cloud)[gate].ports == ()
    with pytest.raises(Conflict, match="is on no router"):
        cloud.operations.addresses.associate(alice, instance.id, floating.address)
    cloud.operations.own_routers.delete(alice, gate)
    assert gate not in _routers(cloud)


def test_networks_of_one_router_are_joined_and_do_not_overlap(cloud: Cloud, alice: Caller) -> None:
    gate = _router(cloud, alice, out=False)
    one, two = _network(cloud, alice, "one"), _network(cloud, alice, "two", IPv4Network("10.6.0.0/24"))
    same = _network(cloud, alice, "same")
    _boot(cloud, alice, one.id)
    for network in (one, two):
        cloud.operations.own_routers.add_network(alice, gate, network.id)
    assert {port.network for port in _routers(cloud)[gate].ports} == {one.id, two.id}
    assert _routers(cloud)[gate].joined
    # The router is on its host already, and so the second network is there before any guest of it.
    networks = (placed.subject for placed in cloud.host.held.values())
    assert two.id in {subject.id for subject in networks if isinstance(subject, NetworkIntent)}
    with pytest.raises(Invalid, match="overlaps"):
        cloud.operations.own_routers.add_network(alice, gate, same.id)
    with pytest.raises(Conflict, match="already"):
        cloud.operations.own_routers.add_network(alice, _router(cloud, alice, "other"), one.id)
    with pytest.raises(InUse, match=one.id):
        cloud.operations.own_routers.delete(alice, gate)


def test_a_router_that_begins_to_run_has_the_networks_that_it_served_before(cloud: Cloud, alice: Caller) -> None:
    gate = _router(cloud, alice, out=False)
    empty, used = _network(cloud, alice, "empty"), _network(cloud, alice, "used", IPv4Network("10.6.0.0/24"))
    _boot(cloud, alice, used.id)
    for network in (empty, used):
        cloud.operations.own_routers.add_network(alice, gate, network.id)
    assert {port.network for port in _routers(cloud)[gate].ports} == {empty.id, used.id}
    networks = (placed.subject for placed in cloud.host.held.values())
    assert empty.id in {subject.id for subject in networks if isinstance(subject, NetworkIntent)}


def test_a_router_goes_out_by_the_pool_that_it_is_told_and_keeps_its_address(cloud: Cloud, alice: Caller) -> None:
    cloud.add_pool("other", AddressRange(IPv4Address("203.0.113.10"), IPv4Address("203.0.113.19")), 1)
    pools = {pool.name: pool.id for pool in cloud.operations.pools.listing(alice)}
    network, gate = _network(cloud, alice), _router(cloud, alice, out=False)
    cloud.operations.own_routers.add_network(alice, gate, network.id)
    instance = _boot(cloud, alice, network.id)
    assert _routers(cloud)[gate].uplinks == ()

    def lead(pool: str | None) -> list[str]:
        change = RouterChange(led=True, pool=pools[pool] if pool is not None else None)
        ways = cloud.operations.own_routers.change(alice, gate, change).ways_out
        assert [way.address for way in ways] == [side.address.ip for side in _routers(cloud)[gate].uplinks]
        return [str(way.address) for way in ways]

    first = lead("public")
    assert lead(None) == []
    assert lead("other") == ["203.0.113.11"]
    assert lead("public") == first
    floating = cloud.operations.addresses.allocate(alice, "other")
    with pytest.raises(Conflict, match="goes out by pool public only"):
        cloud.operations.addresses.associate(alice, instance.id, floating.address)
    with pytest.raises(InUse, match="router gate"):
        cloud.operations.pools.delete(cloud.caller("root"), "public")


def test_a_network_that_lost_its_subnet_may_get_another(cloud: Cloud, alice: Caller) -> None:
    """Its generations go on: a late word of its first life says nothing of the second."""
    network = _network(cloud, alice)
    instance = _boot(cloud, alice, network.id)
    with pytest.raises(InUse, match="server vm"):
        cloud.operations.own_networks.delete_subnet(alice, network.id)
    cloud.operations.instances.delete(alice, instance.id)
    first = _generation(cloud, network.id)
    cloud.operations.own_networks.delete_subnet(alice, network.id)
    assert [bare.id for bare in cloud.operations.own_networks.bare(alice)] == [network.id]
    assert _used(cloud, alice) == (1, 0, 0, 0)
    other = IPv4Network("10.8.0.0/24")
    again = cloud.operations.own_networks.add_subnet(alice, NewSubnet(network.id, cidr=other))
    assert (again.id, again.name, again.cidr) == (network.id, "web", other)
    _boot(cloud, alice, network.id)
    assert _generation(cloud, network.id) > first


def _generation(cloud: Cloud, network: NetworkId) -> int:
    return max(placed.generation for (key, _), placed in cloud.host.held.items() if key.id == network)


def test_addresses_are_given_out_of_the_ranges_alone(cloud: Cloud, alice: Caller) -> None:
    bare = cloud.operations.own_networks.create(alice, "small")
    part = AddressRange(IPv4Address("10.5.0.20"), IPv4Address("10.5.0.21"))
    network = cloud.operations.own_networks.add_subnet(alice, NewSubnet(bare.id, cidr=_CIDR, ranges=(part,)))
    given_out = [str(_boot(cloud, alice, network.id, name).nics[0].fixed[0].address) for name in ("a", "b")]
    assert given_out == ["10.5.0.20", "10.5.0.21"]
    with pytest.raises(Exhausted):
        _boot(cloud, alice, network.id, "c")
    more = (part, AddressRange(IPv4Address("10.5.0.40"), IPv4Address("10.5.0.49")))
    cloud.operations.own_networks.change_subnet(alice, network.id, SubnetChange(ranges=more))
    assert str(_boot(cloud, alice, network.id, "c").nics[0].fixed[0].address) == "10.5.0.40"


def test_only_its_project_and_administrators_change_it(cloud: Cloud, alice: Caller) -> None:
    network, gate = _network(cloud, alice), _router(cloud, alice)
    own, routers = cloud.operations.own_networks, cloud.operations.own_routers
    bob, rita = cloud.caller("bob"), cloud.caller("rita")
    calls: list[Callable[[Caller], object]] = [
        lambda caller: own.rename(caller, network.id, "mine"),
        lambda caller: own.delete(caller, network.id),
        lambda caller: own.delete_subnet(caller, network.id),
        lambda caller: own.change_subnet(caller, network.id, SubnetChange("mine")),
        lambda caller: routers.change(caller, gate, RouterChange("mine")),
        lambda caller: routers.add_network(caller, gate, network.id),
        lambda caller: routers.delete(caller, gate),
    ]
    for call in calls:
        with pytest.raises(NotFound):
            call(bob)
        with pytest.raises(Forbidden):
            call(rita)
    with pytest.raises(NotFound):
        routers.add_network(bob, _router(cloud, bob), network.id)
    with pytest.raises(Forbidden, match="is the operator's"):
        own.delete(alice, cloud.network.id)
    with pytest.raises(Conflict, match="operator's"):
        routers.add_network(cloud.caller("root"), gate, cloud.network.id)
    own.rename(cloud.caller("root"), network.id, "renamed")
    cloud.operations.networks.delete(cloud.caller("root"), network.id)
    assert _used(cloud, alice) == (0, 0, 1, 0)


def test_without_the_operators_leave_nobody_makes_any(tmp_path: Path) -> None:
    closed = Cloud(tmp_path / "mooring.db", own_kind=None)
    for user in ("alice", "root"):
        with pytest.raises(Forbidden, match="by the operator only"):
            closed.operations.own_networks.create(closed.caller(user), "web")
    assert _used(closed, closed.caller("alice")) == (0, 0, 0, 0)


def test_quotas_are_held_and_given_back(cloud: Cloud, alice: Caller) -> None:
    own, routers, pools = cloud.operations.own_networks, cloud.operations.own_routers, cloud.operations.subnet_pools
    cloud.operations.quotas.change(cloud.caller("root"), alice.project.id, dict.fromkeys(_RESOURCES, 1))
    network, gate = _network(cloud, alice), _router(cloud, alice)
    pool = pools.create(alice, NewSubnetPool("pool", (IPv4Network("10.0.0.0/16"),)))
    making: list[Callable[[], object]] = [
        lambda: own.create(alice, "two"),
        lambda: routers.create(alice, "two", None),
        lambda: pools.create(alice, NewSubnetPool("two", (IPv4Network("10.0.0.0/16"),))),
    ]
    for make in making:
        with pytest.raises(QuotaExceeded):
            make()
    assert _used(cloud, alice) == (1, 1, 1, 1)
    own.delete(alice, network.id)
    routers.delete(alice, gate)
    pools.delete(alice, pool.id)
    assert _used(cloud, alice) == (0, 0, 0, 0)
    for make in making:
        make()


def test_what_is_asked_twice_under_one_key_is_made_once(cloud: Cloud, alice: Caller) -> None:
    own, routers, pools = cloud.operations.own_networks, cloud.operations.own_routers, cloud.operations.subnet_pools
    network = own.create(alice, "web", "network").id
    new, pool = NewSubnet(network, cidr=_CIDR), NewSubnetPool("pool", (IPv4Network("10.0.0.0/16"),))
    assert len({own.add_subnet(alice, new, "subnet").id for _ in range(2)}) == 1
    assert len({own.create(alice, "web", "network").id, network}) == 1
    assert len({routers.create(alice, "gate", None, "router").id for _ in range(2)}) == 1
    assert len({pools.create(alice, pool, "pool").id for _ in range(2)}) == 1
    assert _used(cloud, alice) == (1, 1, 1, 1)


def test_subnets_of_a_pool_are_taken_at_once_and_never_overlap(cloud: Cloud, alice: Caller) -> None:
    prefixes = (IPv4Network("10.64.0.0/22"),)
    pool = cloud.operations.subnet_pools.create(alice, NewSubnetPool("pool", prefixes, shortest=24)).id
    bare = [cloud.operations.own_networks.create(alice, f"net{number}").id for number in range(8)]

    def take(network: NetworkId) -> Network | None:
        try:
            return cloud.operations.own_networks.add_subnet(alice, NewSubnet(network, pool=pool))
        except Exhausted:
            return None

    with ThreadPoolExecutor(8) as workers:
        made = [network.cidr for network in workers.map(take, bare) if network is not None]
    assert sorted(made) == [IPv4Network(f"10.64.{third}.0/24") for third in range(4)]
    # What was refused was not counted.
    assert _used(cloud, alice) == (8, 4, 0, 1)


@given(
    st.lists(st.tuples(st.integers(8, 14), st.integers(0, 3)), min_size=1, max_size=3),
    st.lists(st.integers(10, 16), max_size=12),
)
def test_prefixes_are_free_lowest_first_and_none_is_left_out(parts: list[tuple[int, int]], lengths: list[int]) -> None:
    prefixes = [IPv4Network((number << 24 | 10 << 28 & 0, length)) for length, number in parts]
    taken: list[IPv4Network] = []
    for length in lengths:
        every = (part for whole in prefixes if whole.prefixlen <= length for part in whole.subnets(new_prefix=length))
        free = [part for part in every if not any(part.overlaps(other) for other in taken)]
        found = free_prefix(prefixes, taken, length)
        assert found == min(free, default=None)
        if found is not None:
            taken.append(found)
    assert not any(one.overlaps(two) for one, two in itertools.combinations(taken, 2))


def test_a_router_elsewhere_takes_the_guests_of_a_network_to_its_host(cloud: Cloud, alice: Caller) -> None:
    """On several hosts: what the old gateway had, the new one has, and the old one no longer."""
    fleet = Fleet.build(cloud)
    hosts = [
        cloud.operations.hosts.register(
            f"host{number}", compute=True, gateway=True, links=HostLinks(endpoint=IPv4Address(f"192.0.2.{number}"))
        ).id
        for number in (1, 2, 3)
    ]
    networks = [_network(cloud, alice, name, IPv4Network(f"10.{number}.0.0/24")) for number, name in enumerate("ab")]
    gate = _router(cloud, alice)
    guests = []
    for network, host in zip(networks, hosts[1:], strict=True):
        new = NewInstance("vm", IMAGES[0].id, FLAVORS[0].id, (NewNic(network.id),))
        made = cloud.operations.instances.create(alice, new)
        with cloud.store.write() as tx:
            # Each has its gateway where its guest is.
            tx.topology.claim_router(network.router or RouterId(""), host)
        fleet.launch(made.id, host)
        guests.append(made.nics[0].id)
    fleet.catch_up()
    for network in networks:
        cloud.operations.own_routers.add_network(alice, gate, network.id)
    fleet.catch_up()
    gateways = {
        key.id: host
        for host in fleet.hosts
        for key, role in fleet.held[host]
        if role is HostRole.GATEWAY and key.id in (*guests, gate)
    }
    holders = [
        key.id
        for host in fleet.hosts
        for key, role in fleet.held[host]
        if role is HostRole.GATEWAY and key.id in guests
    ]
    assert set(gateways.values()) == {hosts[1]}
    assert sorted(holders) == sorted(guests)
    seen = [
        placed.subject.carrier
        for host in fleet.hosts
        for placed in fleet.held[host].values()
        if isinstance(placed.subject, NetworkIntent) and placed.subject.id == networks[1].id and host != hosts[1]
    ]
    tunnels = [carrier for carrier in seen if isinstance(carrier, Vxlan)]
    assert len(tunnels) == len(seen) >= 1
    assert {str(tunnel.gateway.endpoint) for tunnel in tunnels if tunnel.gateway is not None} == {"192.0.2.2"}
    # Nobody is left who serves the two alone.
    routers = {key.id for host in fleet.hosts for key, _ in fleet.held[host] if key.kind.value == "router"}
    assert routers == {gate}


def test_what_projects_made_keeps_nobody_from_making_a_pool(cloud: Cloud, alice: Caller) -> None:
    """Its guests go without the pool's addresses: their router knows nothing of them, and none of them can lead there."""
    taken = IPv4Network("203.0.113.0/24")
    gate, network = _router(cloud, alice), _network(cloud, alice, cidr=taken)
    cloud.operations.own_routers.add_network(alice, gate, network.id)
    instance = _boot(cloud, alice, network.id)
    _boot(cloud, cloud.caller("bob"), cloud.network.id)
    before = _routers(cloud)[gate].uplinks
    # On the very uplink by which the router goes out.
    part = AddressRange(IPv4Address("203.0.113.10"), IPv4Address("203.0.113.19"))
    new = NewPool("new", taken, IPv4Address("203.0.113.254"), (part,), "uplink0")
    cloud.operations.pools.create(cloud.caller("root"), new)
    (told,) = _routers(cloud)[gate].uplinks
    assert told == before[0]
    (shared,) = [each for each in _routers(cloud).values() if each.id != gate]
    assert taken in shared.uplinks[0].prefixes
    floating = cloud.operations.addresses.allocate(alice, "new")
    with pytest.raises(Conflict, match="Network web behind router gate has addresses of pool new itself"):
        cloud.operations.addresses.associate(alice, instance.id, floating.address)
    other = cloud.operations.addresses.allocate(alice, "public")
    cloud.operations.addresses.associate(alice, instance.id, other.address)
    assert _nic(cloud, instance).addresses[0].floating[0].address == other.address
    # Without the old pool there is no address left that its router could have.
    cloud.operations.addresses.disassociate(alice, instance.id, other.address)
    cloud.operations.own_routers.change(alice, gate, RouterChange(led=True))
    pools = {pool.name: pool.id for pool in cloud.operations.pools.listing(alice)}
    with pytest.raises(Conflict, match=r"overlaps 203\.0\.113\.0/24 of pool new"):
        cloud.operations.own_routers.change(alice, gate, RouterChange(led=True, pool=pools["new"]))
    cloud.operations.addresses.release(alice, other.id)
    cloud.operations.pools.delete(cloud.caller("root"), "public")
    assert _routers(cloud)[gate].uplinks == ()


def test_a_network_does_not_join_a_router_that_goes_out_by_its_addresses(cloud: Cloud, alice: Caller) -> None:
    network = _network(cloud, alice, cidr=IPv4Network("203.0.113.0/24"))
    cloud.add_pool("new", AddressRange(IPv4Address("203.0.113.10"), IPv4Address("203.0.113.19")), 1)
    pools = {pool.name: pool.id for pool in cloud.operations.pools.listing(alice)}
    gate = cloud.operations.own_routers.create(alice, "gate", pools["new"]).id
    with pytest.raises(Conflict, match=r"overlaps 203\.0\.113\.0/24 of pool new"):
        cloud.operations.own_routers.add_network(alice, gate, network.id)
    # Its address there stays the router's while it goes nowhere, and is in the way when it goes out again.
    cloud.operations.own_routers.change(alice, gate, RouterChange(led=True))
    cloud.operations.own_routers.add_network(alice, gate, network.id)
    with pytest.raises(Conflict, match=r"overlaps 203\.0\.113\.0/24 of pool new"):
        cloud.operations.own_routers.change(alice, gate, RouterChange(led=True, pool=pools["new"]))
    cloud.operations.own_routers.change(alice, gate, RouterChange(led=True, pool=pools["public"]))
    assert _boot(cloud, alice, network.id).nics[0].fixed


def test_what_guests_prefer_takes_no_address_for_a_router_that_leads_elsewhere(cloud: Cloud, alice: Caller) -> None:
    cloud.add_pool("other", AddressRange(IPv4Address("203.0.113.10"), IPv4Address("203.0.113.19")), 1)
    gate, network = _router(cloud, alice), _network(cloud, alice)
    cloud.operations.own_routers.add_network(alice, gate, network.id)
    instance = _boot(cloud, alice, network.id)
    before = cloud.operations.pools.usage(alice, "other").routers
    new = NewPreference(IPv4Network("192.0.2.0/24"), NewWay(pool="other"), nic=instance.nics[0].id)
    cloud.operations.egress.create(alice, new)
    assert cloud.operations.pools.usage(alice, "other").routers == before


def test_a_prefix_of_public_addresses_is_passed_over(cloud: Cloud, alice: Caller) -> None:
    prefixes = (IPv4Network("198.51.100.0/23"),)
    pool = cloud.operations.subnet_pools.create(alice, NewSubnetPool("mine", prefixes, 25))
    bare = cloud.operations.own_networks.create(alice, "web")
    made = cloud.operations.own_networks.add_subnet(alice, NewSubnet(bare.id, pool=pool.id))
    assert made.cidr == IPv4Network("198.51.101.0/25")
