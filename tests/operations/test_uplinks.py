"""Uplinks: when their next hops count as away, and what hosts find."""

from collections.abc import Callable
from ipaddress import IPv4Address

import pytest

from mooring.compile.egress import NEXT_HOP_AWAY, NO_CARRIER
from mooring.compile.tables import AWAY
from mooring.model.faults import Forbidden, Invalid, NotFound
from mooring.model.ids import HostId, uplink_name
from mooring.model.nouns import AddressRange
from mooring.model.subjects import HostRole, RouterIntent
from mooring.operations.uplinks import MOST_MISSES
from tests.cloud import Cloud

POOLS = tuple(
    (name, AddressRange(IPv4Address(f"{net}.10"), IPv4Address(f"{net}.40")))
    for name, net in (("isp-a", "198.51.100"), ("isp-b", "203.0.113"))
)


@pytest.fixture
def cloud(make_cloud: Callable[..., Cloud]) -> Cloud:
    made = make_cloud(pools=POOLS)
    made.boot(made.caller("alice"))
    return made


def asked(cloud: Cloud) -> dict[str, int]:
    """Return after how many misses the gateway was told to give up each uplink's next hop."""
    (router,) = (
        placed.subject
        for (_, role), placed in cloud.host.held.items()
        if role is HostRole.GATEWAY and isinstance(placed.subject, RouterIntent)
    )
    return {side.interface: side.misses for side in router.uplinks}


def test_the_gateway_is_told_when_a_next_hop_is_away(cloud: Cloud) -> None:
    root = cloud.caller("root")
    assert asked(cloud) == {"eth0": 3, "eth1": 3}
    assert cloud.operations.uplinks.update(root, "uplink1", 0).misses == 0
    assert asked(cloud) == {"eth0": 3, "eth1": 0}
    known = cloud.operations.pools.uplinks(root)
    assert [each.misses for each in known] == [3, 0]
    cloud.operations.uplinks.update(root, known[0].id, MOST_MISSES)
    assert asked(cloud) == {"eth0": MOST_MISSES, "eth1": 0}


def test_what_cannot_be_is_refused_and_changes_nothing(cloud: Cloud) -> None:
    root = cloud.caller("root")
    for misses in (-1, MOST_MISSES + 1):
        with pytest.raises(Invalid, match="misses"):
            cloud.operations.uplinks.update(root, "uplink1", misses)
    with pytest.raises(NotFound):
        cloud.operations.uplinks.update(root, "uplink7", 1)
    with pytest.raises(Forbidden):
        cloud.operations.uplinks.update(cloud.caller("alice"), "uplink1", 1)
    assert asked(cloud) == {"eth0": 3, "eth1": 3}


def test_a_host_says_by_which_uplinks_nothing_leaves(cloud: Cloud) -> None:
    root = cloud.caller("root")
    (host,) = cloud.operations.hosts.listing(root)
    first, second = (uplink_name(each.id) for each in cloud.operations.pools.uplinks(root))

    def told() -> dict[str, str]:
        return {each.uplink.name: each.reason for each in cloud.operations.hosts.condition(root, host.name).away}

    cloud.operations.uplinks.found(host.id, {second: NEXT_HOP_AWAY, "mu-of-nobody": NO_CARRIER})
    assert told() == {"uplink1": NEXT_HOP_AWAY}
    (since,) = (each.since for each in cloud.operations.hosts.condition(root, host.name).away)
    cloud.operations.uplinks.found(host.id, {first: NO_CARRIER, second: NEXT_HOP_AWAY})
    assert told() == {"uplink0": NO_CARRIER, "uplink1": NEXT_HOP_AWAY}
    assert cloud.operations.hosts.condition(root, host.name).away[1].since == since, "it has been so since then"
    facts = cloud.operations.hosts.found(root, host.name)
    assert {key.row[0]: value for key, value in facts.items() if key.table is AWAY} == {
        first: (NO_CARRIER,),
        second: (NEXT_HOP_AWAY,),
    }
    assert not any(key.table is AWAY for key in cloud.operations.hosts.state(root, host.name)), "nobody asks for it"
    cloud.operations.uplinks.found(host.id, {first: NEXT_HOP_AWAY})
    assert told() == {"uplink0": NEXT_HOP_AWAY}
    cloud.operations.uplinks.found(host.id, {})
    assert told() == {}


def test_a_host_that_was_forgotten_must_register(cloud: Cloud) -> None:
    (device, _) = (uplink_name(each.id) for each in cloud.operations.pools.uplinks(cloud.caller("root")))
    with pytest.raises(NotFound):
        cloud.operations.uplinks.found(HostId("nobody"), {device: NO_CARRIER})
