"""Addresses of guests beside their first, and cards, as packets know them: there when the call is answered, and gone when the one is that ends it."""

import re
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network

import pytest

from mooring.demos.stage import OUTSIDE_ADDRESS
from mooring.guests.netns import IMAGES
from mooring.guests.netns.inits import all_inits
from mooring.model.ids import InstanceId, NicId
from mooring.model.nouns import FixedIp, InstanceState
from mooring.operations import NewInstance, NewNetwork, NewNic, NewRule
from tests.journeys.town import Town, eventually, ping_count

pytestmark = pytest.mark.kernel

SHARED = "10.0.0.200"


@pytest.fixture(scope="module")
def guests(town: Town) -> list[InstanceId]:
    """Three guests on one network."""
    return [town.boot(name) for name in ("one", "two", "three")]


def nic_of(town: Town, guest: InstanceId) -> NicId:
    return town.operations.instances.get(town.demo, guest).nics[0].id


def takes(town: Town, guest: InstanceId, address: object) -> None:
    """Let a guest have an address, whether that is allowed or not."""
    town.inside(guest, "ip", "address", "add", f"{address}/24", "dev", "eth0")


def drops(town: Town, guest: InstanceId, address: object) -> None:
    town.inside(guest, "ip", "address", "del", f"{address}/24", "dev", "eth0")


def reaches(town: Town, guest: InstanceId, target: object, *more: str, wait: float = 5.0) -> bool:
    """Say whether a guest gets an answer, who forgets first what it knew of its neighbours."""
    town.inside(guest, "ip", "neighbour", "flush", "dev", "eth0")
    return ping_count(town.inside(guest, "ping", "-c", "1", "-W", f"{wait:g}", *more, str(target))).received == 1


def misses(town: Town, guest: InstanceId, target: object, *more: str) -> bool:
    """Say whether a guest gets no answer."""
    return not reaches(town, guest, target, *more, wait=0.3)


def mac_of(town: Town, guest: InstanceId) -> str:
    found = re.search(r"link/ether (\S+)", town.inside(guest, "ip", "link", "show", "eth0"))
    assert found is not None
    return found[1]


def test_an_allowed_address_works_exactly_as_long_as_it_is_allowed(town: Town, guests: list[InstanceId]) -> None:
    one, other, _ = guests
    nic, nics = nic_of(town, one), town.operations.nics
    for address in ("10.0.0.210", "10.0.0.217"):
        takes(town, one, address)
    assert misses(town, other, "10.0.0.210")
    assert misses(town, one, town.fixed(other), "-I", "10.0.0.210")
    nics.allow(town.demo, nic, ["10.0.0.210", "10.0.0.216/30"])
    for address in ("10.0.0.210", "10.0.0.217"):
        assert reaches(town, other, address)
        assert reaches(town, one, town.fixed(other), "-I", address)
    nics.disallow(town.demo, nic, ["10.0.0.216/30"])
    assert misses(town, other, "10.0.0.217")
    assert misses(town, one, town.fixed(other), "-I", "10.0.0.217")
    assert reaches(town, other, "10.0.0.210")
    nics.disallow(town.demo, nic, ["10.0.0.210"])
    assert misses(town, other, "10.0.0.210")
    # The guest itself is as it was.
    assert reaches(town, other, town.fixed(one))


def test_two_guests_share_an_address_and_a_third_reaches_whoever_holds_it(town: Town, guests: list[InstanceId]) -> None:
    one, two, third = guests
    for guest in (one, two):
        town.operations.nics.allow(town.demo, nic_of(town, guest), [SHARED])

    def announced_by(holder: InstanceId) -> Callable[[], bool]:
        def known() -> bool:
            town.inside(holder, "arping", "-U", "-c", "1", "-I", "eth0", SHARED)
            return mac_of(town, holder) in town.inside(third, "ip", "neighbour", "show", SHARED)

        return known

    takes(town, one, SHARED)
    assert reaches(town, third, SHARED)
    assert mac_of(town, one) in town.inside(third, "ip", "neighbour", "show", SHARED)
    for before, holder in ((one, two), (two, one)):
        drops(town, before, SHARED)
        takes(town, holder, SHARED)
        # No neighbour is asked: it is told.
        eventually(announced_by(holder))
        assert ping_count(town.inside(third, "ping", "-c", "1", "-W", "5", SHARED)).received == 1
        assert ping_count(town.inside(before, "ping", "-c", "1", "-W", "5", SHARED)).received == 1
    # Who may use it no longer can't take it back.
    town.operations.nics.disallow(town.demo, nic_of(town, two), [SHARED])
    town.inside(two, "arping", "-U", "-c", "2", "-I", "eth0", SHARED)
    assert mac_of(town, one) in town.inside(third, "ip", "neighbour", "show", SHARED)
    assert reaches(town, third, SHARED)
    drops(town, one, SHARED)


def test_members_of_a_group_are_known_by_what_they_may_use(town: Town, guests: list[InstanceId]) -> None:
    """A rule about a group's members means the addresses that they are allowed too."""
    one, other, _ = guests
    groups, nics = town.operations.groups, town.operations.nics
    inner = groups.create(town.demo, "inner")
    groups.create(town.demo, "outer")
    groups.add_rule(town.demo, inner.id, NewRule(remote="outer"))
    groups.assign(town.demo, nic_of(town, other), ["inner"])
    groups.join(town.demo, one, "outer")
    takes(town, one, "10.0.0.220")
    nics.allow(town.demo, nic_of(town, one), ["10.0.0.220"])
    assert reaches(town, one, town.fixed(other), "-I", "10.0.0.220")
    groups.leave(town.demo, one, "outer")
    assert misses(town, one, town.fixed(other), "-I", "10.0.0.220")
    nics.disallow(town.demo, nic_of(town, one), ["10.0.0.220"])
    groups.assign(town.demo, nic_of(town, other), ["default"])


def test_a_further_fixed_ip_is_as_good_as_the_first(town: Town, guests: list[InstanceId]) -> None:
    """Neighbours reach it, it leaves through the router, and a floating IP leads to it; until it is given back."""
    one, other, _ = guests
    nics, addresses = town.operations.nics, town.operations.addresses
    first = town.fixed(one)
    nic = nics.add_fixed(town.demo, nic_of(town, one))
    further: FixedIp = nic.fixed[1]
    takes(town, one, further.address)
    assert reaches(town, other, further.address)
    assert reaches(town, one, OUTSIDE_ADDRESS, "-I", str(further.address))
    public = addresses.allocate(town.demo, "public").address
    addresses.associate(town.demo, one, public, further.address)
    assert town.answers(public)
    own = town.float_to(one)
    assert town.answers(own)
    # Which of the two is meant, the guest sees: without the address, it has no answer.
    drops(town, one, further.address)
    assert not town.answers(public, wait=0.3)
    assert town.answers(own)
    takes(town, one, further.address)
    assert town.answers(public)
    addresses.disassociate(town.demo, one, public)
    nics.remove_fixed(town.demo, nic.id, further.address)
    assert misses(town, other, further.address)
    assert town.answers(own)
    assert town.fixed(one) == first
    assert reaches(town, other, first)
    for each in (public, own):
        (floating,) = [known for known in addresses.listing(town.demo) if known.address == each]
        addresses.release(town.demo, floating.id)


def test_a_running_guest_gets_a_card_and_loses_it(town: Town, guests: list[InstanceId]) -> None:
    operations, guest = town.operations, guests[2]
    operations.networks.create(town.admin, NewNetwork("second", IPv4Network("10.8.0.0/24")))
    new = NewInstance("there", IMAGES[0].id, "1", (NewNic("second"),))
    there = operations.instances.create(town.demo, new).id

    def has(guest: InstanceId, device: str, address: IPv4Address) -> Callable[[], bool]:
        return lambda: f"{address}/24" in town.inside(guest, "ip", "-4", "address", "show", device)

    eventually(lambda: operations.instances.get(town.demo, there).state is InstanceState.ACTIVE)
    eventually(has(there, "eth0", town.fixed(there)))
    (init,) = [each for each in all_inits() if each.guest == guest]
    for _ in range(2):
        card = operations.attachments.attach(town.demo, guest, NewNic("second"))
        # The device is there when the call is answered; its address comes by DHCP.
        assert card.mac in town.inside(guest, "ip", "link", "show", "eth1")
        eventually(has(guest, "eth1", card.fixed[0].address))
        assert reaches(town, guest, town.fixed(there), "-I", "eth1")
        # Held to what it is, as cards are that were there from the start.
        town.inside(guest, "ip", "address", "add", "10.8.0.250/24", "dev", "eth1")
        assert misses(town, guest, town.fixed(there), "-I", "10.8.0.250")
        operations.attachments.detach(town.demo, card.id)
        assert "does not exist" in town.inside(guest, "ip", "link", "show", "eth1")
        assert reaches(town, guest, OUTSIDE_ADDRESS)
    # It was the same guest all the time.
    assert init in all_inits()
    assert len(operations.instances.get(town.demo, guest).nics) == 1
