"""Floating IPs by the NIC that they lead to, groups by the NIC that is in them, and routers: what only some dialects ask for."""

from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network

import pytest

from mooring.model.accounts import Caller
from mooring.model.faults import Conflict, Exhausted, Forbidden, Invalid, NotFound, QuotaExceeded
from mooring.model.ids import AddressId, NicId
from mooring.model.nouns import AddressRange, NetworkKind, Nic
from mooring.model.subjects import MAX_GROUPS
from mooring.operations import NewFloatingIp, NewNetwork
from tests.cloud import Cloud
from tests.operations import laws

CHOSEN = IPv4Address("198.51.100.30")


@pytest.fixture
def alice(cloud: Cloud) -> Caller:
    return cloud.caller("alice")


def _nic(cloud: Cloud, caller: Caller, name: str = "vm") -> Nic:
    return cloud.boot(caller, name).nics[0]


# ------------------------------------------------------------------------------------------------------------ allocate


def test_an_address_that_leads_somewhere_at_once(cloud: Cloud, alice: Caller) -> None:
    nic = _nic(cloud, alice)
    made = cloud.operations.addresses.make(alice, NewFloatingIp("public", nic=nic.id))
    assert (made.nic, made.fixed, made.network) == (nic.id, nic.fixed[0].address, cloud.network.id)
    assert cloud.host.public_addresses() == {made.address: nic.fixed[0].address}
    laws.check(cloud)


def test_what_cannot_lead_there_is_not_allocated_either(cloud: Cloud, alice: Caller) -> None:
    nic = _nic(cloud, alice)
    cloud.operations.addresses.make(alice, NewFloatingIp("public", nic=nic.id))
    with pytest.raises(Conflict, match="already has a floating IP of pool public"):
        cloud.operations.addresses.make(alice, NewFloatingIp("public", nic=nic.id))
    with pytest.raises(Invalid, match="is not an address of instance"):
        cloud.operations.addresses.make(
            alice, NewFloatingIp("public", nic=_nic(cloud, alice, "other").id, fixed=IPv4Address("10.0.0.99"))
        )
    for stranger in (NicId("made-up"), _nic(cloud, cloud.caller("bob")).id):
        with pytest.raises(NotFound, match=f"NIC {stranger}"):
            cloud.operations.addresses.make(alice, NewFloatingIp("public", nic=stranger))
    assert len(cloud.operations.addresses.listing(alice)) == 1
    assert cloud.operations.addresses.quota(alice).used == 1
    laws.check(cloud)


def test_an_administrator_chooses_an_address(cloud: Cloud, alice: Caller) -> None:
    root = cloud.caller("root")
    made = cloud.operations.addresses.make(root, NewFloatingIp("public", CHOSEN))
    assert made.address == CHOSEN
    with pytest.raises(Conflict, match="is in use"):
        cloud.operations.addresses.make(root, NewFloatingIp("public", CHOSEN))
    with pytest.raises(Invalid, match="is not an address of pool public"):
        cloud.operations.addresses.make(root, NewFloatingIp("public", IPv4Address("203.0.113.1")))
    with pytest.raises(Forbidden):
        cloud.operations.addresses.make(alice, NewFloatingIp("public", CHOSEN + 1))
    assert cloud.operations.addresses.quota(root).used == 1
    laws.check(cloud)


def test_limits_hold(make_cloud: Callable[..., Cloud]) -> None:
    tiny = AddressRange(IPv4Address("203.0.113.10"), IPv4Address("203.0.113.11"))
    cloud = make_cloud(quota=2)
    cloud.add_pool("tiny", tiny, 1)
    root, bob = cloud.caller("root"), cloud.caller("bob")
    cloud.operations.addresses.make(root, NewFloatingIp("tiny"))  # the router has the other one
    with pytest.raises(Exhausted):
        cloud.operations.addresses.make(bob, NewFloatingIp("tiny"))
    cloud.operations.addresses.make(root, NewFloatingIp("public"))
    with pytest.raises(QuotaExceeded):
        cloud.operations.addresses.make(root, NewFloatingIp("public"))
    assert cloud.operations.addresses.quota(bob).used == 0


def test_the_same_key_makes_one_address(cloud: Cloud, alice: Caller) -> None:
    nic = _nic(cloud, alice)
    first, again = (
        cloud.operations.addresses.make(alice, NewFloatingIp("public", nic=nic.id), "once") for _ in range(2)
    )
    assert first == again
    with pytest.raises(Invalid, match="different request"):
        cloud.operations.addresses.make(alice, NewFloatingIp("public"), "once")


# ------------------------------------------------------------------------------------------------------------- associate


def test_an_address_goes_from_nic_to_nic_and_away(cloud: Cloud, alice: Caller) -> None:
    first, second = _nic(cloud, alice, "first"), _nic(cloud, alice, "second")
    floating = cloud.operations.addresses.allocate(alice, None)
    for nic in (first, first, second):
        seen = cloud.operations.addresses.point(alice, floating.id, nic.id)
        assert (seen.nic, seen.fixed) == (nic.id, nic.fixed[0].address)
        assert cloud.host.public_addresses() == {floating.address: nic.fixed[0].address}
        laws.check(cloud)
    for _ in range(2):
        assert cloud.operations.addresses.point(alice, floating.id, None).nic is None
        assert cloud.host.public_addresses() == {}
        laws.check(cloud)


def test_both_must_be_ones_own(cloud: Cloud, alice: Caller) -> None:
    nic, floating = _nic(cloud, alice), cloud.operations.addresses.allocate(alice, None)
    for user in ("bob", "root"):
        caller = cloud.caller(user)
        own = cloud.operations.addresses.allocate(caller, None)
        with pytest.raises(NotFound, match="NIC"):
            cloud.operations.addresses.point(caller, own.id, nic.id)
        unknown = "Floating IP" if user == "bob" else "NIC"
        with pytest.raises(NotFound, match=unknown):
            cloud.operations.addresses.point(caller, floating.id, _nic(cloud, caller).id)
    with pytest.raises(NotFound, match="Floating IP"):
        cloud.operations.addresses.point(alice, AddressId("made-up"), None)
    with pytest.raises(Forbidden):
        cloud.operations.addresses.point(cloud.caller("rita"), floating.id, nic.id)
    laws.check(cloud)


def test_administrators_see_and_take_back_everybodys(cloud: Cloud, alice: Caller) -> None:
    root, bob = cloud.caller("root"), cloud.caller("bob")
    nic, other = _nic(cloud, alice), _nic(cloud, alice, "other")
    floating = cloud.operations.addresses.make(alice, NewFloatingIp("public", nic=nic.id))
    assert cloud.operations.addresses.get(root, floating.id) == floating
    assert cloud.operations.addresses.listing(root, every_project=True) == [floating]
    assert list(cloud.operations.addresses.listing(root)) == []
    assert list(cloud.operations.addresses.listing(bob, every_project=True)) == []
    assert cloud.operations.addresses.point(root, floating.id, other.id).nic == other.id
    assert cloud.operations.addresses.point(root, floating.id, None).nic is None
    laws.check(cloud)
    cloud.operations.addresses.release(root, floating.id)
    assert cloud.operations.addresses.quota(alice).used == 0
    laws.check(cloud)


# ---------------------------------------------------------------------------------------------------------------- groups


def test_a_nic_is_in_the_groups_that_were_assigned(cloud: Cloud, alice: Caller) -> None:
    nic = _nic(cloud, alice)
    web, ssh = (cloud.operations.groups.create(alice, name) for name in ("web", "ssh"))

    def groups() -> list[str]:
        return [group.name for group in cloud.operations.instances.of_nic(alice, nic.id).nic.groups]

    for wanted in (["default", "web"], [web.id, ssh.id], [ssh.id, "ssh"], [], ["default"]):
        cloud.operations.groups.assign(alice, nic.id, wanted)
        names = {str(group.id): group.name for group in (web, ssh)}
        assert groups() == sorted({names.get(name, name) for name in wanted})
    with pytest.raises(NotFound, match="Security group"):
        cloud.operations.groups.assign(alice, nic.id, [web.id, "nothing"])
    assert groups() == ["default"]


def test_a_nic_is_not_in_too_many_groups(make_cloud: Callable[..., Cloud]) -> None:
    cloud = make_cloud()
    alice = cloud.caller("alice")
    nic = _nic(cloud, alice)
    names = [f"g{number}" for number in range(MAX_GROUPS + 1)]
    for name in names:
        cloud.operations.groups.create(alice, name)
    with pytest.raises(Conflict, match="which is the most"):
        cloud.operations.groups.assign(alice, nic.id, names)
    cloud.operations.groups.assign(alice, nic.id, names[1:])
    assert len(cloud.operations.instances.of_nic(alice, nic.id).nic.groups) == MAX_GROUPS


def test_whose_nic_it_is(cloud: Cloud, alice: Caller) -> None:
    nic = _nic(cloud, alice)
    assert cloud.operations.instances.of_nic(cloud.caller("root"), nic.id).nic.id == nic.id
    for user, unknown in (("bob", nic.id), ("alice", NicId("made-up"))):
        with pytest.raises(NotFound, match=f"NIC {unknown} could not"):
            cloud.operations.instances.of_nic(cloud.caller(user), unknown)
    for user in ("bob", "root"):
        with pytest.raises(NotFound, match=f"NIC {nic.id} could not"):
            cloud.operations.groups.assign(cloud.caller(user), nic.id, [])
    with pytest.raises(Forbidden):
        cloud.operations.groups.assign(cloud.caller("rita"), nic.id, [])


def test_a_group_keeps_what_is_not_said_anew(cloud: Cloud, alice: Caller) -> None:
    made = cloud.operations.groups.create(alice, "web", "Open")
    assert cloud.operations.groups.update(alice, made.id, description="Closed").name == "web"
    assert cloud.operations.groups.update(alice, made.id, "shop").description == "Closed"


# --------------------------------------------------------------------------------------------------------------- routers


def test_routers_of_ones_own_networks(cloud: Cloud, alice: Caller) -> None:
    (shared,) = cloud.operations.networks.routers(alice)
    assert (shared.name, shared.project, shared.networks) == ("shared", None, (cloud.network.id,))
    (pool,) = cloud.operations.pools.listing(alice)
    (way,) = shared.ways_out
    assert way.pool == pool.id
    assert any(way.address in part for part in pool.ranges)
    own = cloud.operations.networks.create(
        cloud.caller("root"),
        NewNetwork("own", IPv4Network("10.7.0.0/24"), kind=NetworkKind.VLAN, project=alice.project.id),
    )
    assert [each.networks for each in cloud.operations.networks.routers(alice)] == [(cloud.network.id,), (own.id,)]
    assert [each.id for each in cloud.operations.networks.routers(cloud.caller("bob"))] == [shared.id]
    assert len(cloud.operations.networks.routers(cloud.caller("root"))) == 2
