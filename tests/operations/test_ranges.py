"""The addresses of pools: gained, lost and listed; what is in use stays, and routers hear of it."""

from ipaddress import IPv4Address, IPv4Network

import pytest

from mooring.model.accounts import Caller
from mooring.model.faults import Conflict, Exhausted, Forbidden, InUse, Invalid, NotFound
from mooring.model.nouns import AddressRange
from mooring.model.subjects import RouterIntent, SubjectKind
from mooring.operations import NewPool
from tests.cloud import POOL_RANGE, Cloud
from tests.operations import laws


@pytest.fixture
def root(cloud: Cloud) -> Caller:
    return cloud.caller("root")


def _part(first: int, last: int | None = None) -> AddressRange:
    base = IPv4Address("198.51.100.0")
    return AddressRange(base + first, base + (first if last is None else last))


def _ranges(cloud: Cloud, pool: str = "public") -> list[str]:
    pools = cloud.operations.pools.listing(cloud.caller("root"))
    return [str(part) for known in pools if known.name == pool for part in known.ranges]


def _told(cloud: Cloud) -> set[str]:
    """Return the prefixes that routers know to be ours."""
    held = [placed.subject for (key, _), placed in cloud.host.held.items() if key.kind is SubjectKind.ROUTER]
    routers = [subject for subject in held if isinstance(subject, RouterIntent)]
    return {str(prefix) for router in routers for uplink in router.uplinks for prefix in uplink.ranges}


def test_gained_addresses_are_given_out(cloud: Cloud, root: Caller) -> None:
    cloud.boot(cloud.caller("alice"))
    cloud.operations.ranges.remove(root, _part(13, 39))
    assert _ranges(cloud) == ["198.51.100.10-198.51.100.12"]
    alice = cloud.caller("alice")
    for _ in range(2):
        cloud.operations.addresses.allocate(alice, "public")
    with pytest.raises(Exhausted):
        cloud.operations.addresses.allocate(alice, "public")
    pool, interface = cloud.operations.ranges.add(root, _part(64), "public", "eth0")
    assert (pool.name, interface, [str(part) for part in pool.ranges]) == ("public", "eth0", _ranges(cloud))
    assert cloud.operations.addresses.allocate(alice, None).address == _part(64).first
    assert _told(cloud) == {"198.51.100.10/31", "198.51.100.12/32", "198.51.100.64/32"}
    laws.check(cloud)


def test_ranges_that_touch_are_one(cloud: Cloud, root: Caller) -> None:
    for part in (_part(44, 50), _part(40, 43), _part(52), _part(9)):
        cloud.operations.ranges.add(root, part)
    assert _ranges(cloud) == ["198.51.100.9-198.51.100.50", "198.51.100.52-198.51.100.52"]
    cloud.operations.ranges.remove(root, _part(20, 60))
    assert _ranges(cloud) == ["198.51.100.9-198.51.100.19"]
    laws.check(cloud)


@pytest.mark.parametrize(
    "part, interface, match",
    [
        (_part(39, 45), None, r"Floating IP 198\.51\.100\.39 already exists"),
        (_part(1, 60), None, r"Floating IP 198\.51\.100\.10 already exists"),
        (_part(0), None, "ip_range: .* is not inside"),
        (_part(200, 255), None, "ip_range: .* is not inside"),
        (_part(250, 254), None, "ip_range: .* contains the gateway"),
        (_part(300), None, "ip_range: .* is not inside"),
        (_part(60), "eth9", "interface: pool public is on eth0"),
    ],
)
def test_what_no_pool_can_gain(
    cloud: Cloud, root: Caller, part: AddressRange, interface: str | None, match: str
) -> None:
    with pytest.raises(Conflict if "exists" in match else Invalid, match=match):
        cloud.operations.ranges.add(root, part, interface=interface)
    assert _ranges(cloud) == [str(POOL_RANGE)]


def test_what_is_in_use_is_not_lost(cloud: Cloud, root: Caller) -> None:
    alice = cloud.caller("alice")
    server = cloud.boot(alice)
    floating = cloud.operations.addresses.allocate(alice, "public")
    cloud.operations.addresses.associate(alice, server.id, floating.address)
    # The first is the router's own.
    for part in (_part(10), AddressRange(floating.address, floating.address), _part(1, 99)):
        with pytest.raises(InUse):
            cloud.operations.ranges.remove(root, part)
    cloud.host.away = True
    cloud.operations.addresses.release(alice, floating.id)
    with pytest.raises(InUse):
        cloud.operations.ranges.remove(root, _part(11))
    cloud.host.come_back()
    cloud.operations.ranges.remove(root, _part(11, 39))
    assert _ranges(cloud) == ["198.51.100.10-198.51.100.10"]
    laws.check(cloud)


def test_a_pool_keeps_one(cloud: Cloud, root: Caller) -> None:
    # On an uplink where the router has an address of another pool: none of this one is in use.
    subnet = IPv4Network("203.0.113.0/24")
    only = AddressRange(subnet[10], subnet[12])
    cloud.operations.pools.create(root, NewPool("other", subnet, subnet[1], (only,), "uplink0"))
    with pytest.raises(Conflict, match="Pool other would have no address left"):
        cloud.operations.ranges.remove(root, AddressRange(_part(20).first, subnet[255]))
    assert _ranges(cloud) == [str(POOL_RANGE)]
    cloud.operations.ranges.remove(root, AddressRange(subnet[11], subnet[200]))
    assert _ranges(cloud, "other") == ["203.0.113.10-203.0.113.10"]
    cloud.operations.ranges.remove(root, AddressRange(subnet[100], subnet[200]))
    laws.check(cloud)


def test_every_address(cloud: Cloud, root: Caller) -> None:
    cloud.add_pool("other", AddressRange(IPv4Address("203.0.113.10"), IPv4Address("203.0.113.12")), 1)
    cloud.operations.ranges.remove(root, _part(20, 30))
    alice = cloud.caller("alice")
    floating = cloud.operations.addresses.allocate(alice, "other")
    every = cloud.operations.ranges.addresses(root, 100)
    assert len(every) == len(POOL_RANGE) - 11 + 3
    assert [each.floating for each in every if each.floating] == [floating]
    assert {(each.pool, each.interface) for each in every} == {("public", "eth0"), ("other", "eth1")}
    # In pages of any size.
    for most in (1, 7, 19, 100):
        paged = list(cloud.operations.ranges.addresses(root, most))
        while following := cloud.operations.ranges.addresses(root, most, paged[-1].address):
            paged += following
        assert paged == every
    for stranger in ("192.0.2.1", "198.51.100.25"):
        with pytest.raises(NotFound):
            cloud.operations.ranges.addresses(root, 1, IPv4Address(stranger))


def test_what_a_gateway_answers_for(cloud: Cloud, root: Caller) -> None:
    alice = cloud.caller("alice")
    server = cloud.boot(alice)
    floating = cloud.operations.addresses.allocate(alice, "public")
    for host in ("host1", "nowhere"):
        with pytest.raises(NotFound, match=f"for host {host}"):
            cloud.operations.ranges.held_by(root, host)
    associated = cloud.operations.addresses.associate(alice, server.id, floating.address)
    (held,) = cloud.operations.ranges.held_by(root, "host1")
    assert (held.address, held.pool, held.interface, held.floating) == (floating.address, "public", "eth0", associated)


def test_only_administrators_may(cloud: Cloud) -> None:
    alice, ranges = cloud.caller("alice"), cloud.operations.ranges
    for attempt in (
        lambda: ranges.add(alice, _part(60)),
        lambda: ranges.remove(alice, _part(39)),
        lambda: ranges.addresses(alice, 1),
        lambda: ranges.held_by(alice, "host1"),
    ):
        with pytest.raises(Forbidden):
            attempt()
    assert _ranges(cloud) == [str(POOL_RANGE)]
