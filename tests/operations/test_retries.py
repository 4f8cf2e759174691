"""A client that lost the reply asks again: no second object comes of it, and the answer is that of the first request."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv4Network

import pytest

from mooring.model.accounts import Caller
from mooring.model.faults import Conflict, Invalid, NotAssociated, NotFound, QuotaExceeded
from mooring.model.nouns import AddressRange
from mooring.operations import NewInstance, NewNetwork, NewPool
from tests.cloud import FLAVORS, IMAGES, Cloud
from tests.operations import laws

MAKING: dict[str, Callable[[Cloud, Caller, str | None], str]] = {
    "floating IP": lambda cloud, caller, key: cloud.operations.addresses.allocate(caller, "public", key).id,
    "instance": lambda cloud, caller, key: (
        cloud.operations.instances.create(caller, NewInstance("vm", IMAGES[0].id, FLAVORS[0].id), key).id
    ),
    "network": lambda cloud, caller, key: (
        cloud.operations.networks.create(caller, NewNetwork("other", IPv4Network("10.9.0.0/24")), key).id
    ),
    "pool": lambda cloud, caller, key: (
        cloud.operations.pools.create(
            caller,
            NewPool(
                "other",
                IPv4Network("203.0.113.0/24"),
                IPv4Address("203.0.113.1"),
                (AddressRange(IPv4Address("203.0.113.10"), IPv4Address("203.0.113.20")),),
                "uplink0",
            ),
            key,
        ).id
    ),
}
everything_made = pytest.mark.parametrize("make", MAKING.values(), ids=MAKING.keys())


def made(cloud: Cloud, caller: Caller) -> tuple[int, ...]:
    """Count what a caller's project can see."""
    operations = cloud.operations
    seen = (operations.addresses, operations.instances, operations.networks, operations.pools)
    return tuple(len(noun.listing(caller)) for noun in seen)


@everything_made
def test_one_after_the_other(cloud: Cloud, make: Callable[[Cloud, Caller, str | None], str]) -> None:
    caller = cloud.caller("root")
    first = make(cloud, caller, "key")
    before = made(cloud, caller)
    assert make(cloud, caller, "key") == first
    assert made(cloud, caller) == before
    laws.check(cloud)


@everything_made
def test_all_at_once(cloud: Cloud, make: Callable[[Cloud, Caller, str | None], str]) -> None:
    """A client with a short temper, or several workers with one job: Conflict would say that another is at it; all else is the answer."""
    caller = cloud.caller("root")
    before = made(cloud, caller)

    def attempt(_number: int) -> str | None:
        try:
            return make(cloud, caller, "key")
        except Conflict:
            return None

    with ThreadPoolExecutor(16) as threads:
        answers = set(threads.map(attempt, range(32))) - {None}
    assert len(answers) == 1
    assert sum(made(cloud, caller)) == sum(before) + 1
    laws.check(cloud)


@everything_made
def test_a_failure_uses_no_key_up(cloud: Cloud, make: Callable[[Cloud, Caller, str | None], str]) -> None:
    rita = cloud.caller("rita")
    with pytest.raises(Exception, match="roles"):
        make(cloud, rita, "key")
    assert make(cloud, cloud.caller("root"), "key")


def test_quota_uses_no_key_up(cloud: Cloud) -> None:
    caller = cloud.caller("alice")
    all_ = [cloud.operations.addresses.allocate(caller, None) for _ in range(10)]
    with pytest.raises(QuotaExceeded):
        cloud.operations.addresses.allocate(caller, None, "key")
    cloud.operations.addresses.release(caller, all_[0].id)
    cloud.operations.addresses.allocate(caller, None, "key")
    laws.check(cloud)


def test_keys_are_of_one_project(cloud: Cloud) -> None:
    alice, bob = cloud.caller("alice"), cloud.caller("bob")
    first = cloud.operations.addresses.allocate(alice, None, "key")
    assert cloud.operations.addresses.allocate(bob, None, "key").id != first.id


def test_one_key_is_for_one_request(cloud: Cloud) -> None:
    alice = cloud.caller("alice")
    cloud.operations.addresses.allocate(alice, "public", "key")
    with pytest.raises(Invalid, match="different request"):
        cloud.operations.addresses.allocate(alice, None, "key")
    with pytest.raises(Invalid, match="different request"):
        MAKING["instance"](cloud, alice, "key")
    assert made(cloud, alice)[:2] == (1, 0)


@pytest.mark.parametrize("key", ["", "x" * 256, "a\nb", "\0"])
def test_keys_that_are_none(cloud: Cloud, key: str) -> None:
    with pytest.raises(Invalid, match="Idempotency-Key"):
        cloud.operations.addresses.allocate(cloud.caller("alice"), None, key)


def test_what_was_made_and_is_gone_is_not_made_again(cloud: Cloud) -> None:
    alice = cloud.caller("alice")
    floating = cloud.operations.addresses.allocate(alice, None, "key")
    cloud.operations.addresses.release(alice, floating.id)
    with pytest.raises(NotFound):
        cloud.operations.addresses.allocate(alice, None, "key")
    assert made(cloud, alice)[0] == 0


def test_other_changes_repeat_themselves_harmlessly(cloud: Cloud) -> None:
    alice = cloud.caller("alice")
    instance = cloud.boot(alice)
    floating = cloud.operations.addresses.allocate(alice, None)
    for _ in range(2):
        cloud.operations.addresses.associate(alice, instance.id, floating.address)
    laws.check(cloud)
    cloud.operations.addresses.disassociate(alice, instance.id, floating.address)
    with pytest.raises(NotAssociated):
        cloud.operations.addresses.disassociate(alice, instance.id, floating.address)
    laws.check(cloud)
    cloud.operations.addresses.release(alice, floating.id)
    with pytest.raises(NotFound):
        cloud.operations.addresses.release(alice, floating.id)
    laws.check(cloud)
    cloud.operations.instances.delete(alice, instance.id)
    with pytest.raises(NotFound):
        cloud.operations.instances.delete(alice, instance.id)
    laws.check(cloud)
