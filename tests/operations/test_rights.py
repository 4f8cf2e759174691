"""Who may do what to whose things; the dialects' walks over their routes ask the same from outside."""

from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Any

import pytest

from mooring.model.accounts import Caller
from mooring.model.faults import Forbidden, NotFound
from mooring.model.ids import AddressId, InstanceId
from mooring.operations import NewInstance, Operations
from tests.cloud import FLAVORS, IMAGES, Cloud
from tests.operations import laws

Doing = Callable[[Operations, Caller, InstanceId, AddressId, IPv4Address], Any]

CHANGES: dict[str, Doing] = {
    "release": lambda do, who, _vm, floating, _address: do.addresses.release(who, floating),
    "associate": lambda do, who, vm, _floating, address: do.addresses.associate(who, vm, address),
    "disassociate": lambda do, who, vm, _floating, address: do.addresses.disassociate(who, vm, address),
    "delete": lambda do, who, vm, _floating, _address: do.instances.delete(who, vm),
}
LOOKS: dict[str, Doing] = {
    "floating IP": lambda do, who, _vm, floating, _address: do.addresses.get(who, floating),
    "instance": lambda do, who, vm, _floating, _address: do.instances.get(who, vm),
}
MAKES: dict[str, Doing] = {
    "allocate": lambda do, who, *_: do.addresses.allocate(who, None),
    "create": lambda do, who, *_: do.instances.create(who, NewInstance("vm", IMAGES[0].id, FLAVORS[0].id)),
}


@pytest.fixture
def things(cloud: Cloud) -> tuple[InstanceId, AddressId, IPv4Address]:
    """An instance of alice's and its floating IP."""
    alice = cloud.caller("alice")
    instance = cloud.boot(alice)
    floating = cloud.operations.addresses.allocate(alice, None)
    cloud.operations.addresses.associate(alice, instance.id, floating.address)
    return instance.id, floating.id, floating.address


@pytest.mark.parametrize("change", (CHANGES | MAKES).values(), ids=(CHANGES | MAKES).keys())
def test_readers_change_nothing(cloud: Cloud, things: tuple[Any, ...], change: Doing) -> None:
    with pytest.raises(Forbidden):
        change(cloud.operations, cloud.caller("rita"), *things)
    laws.check(cloud)
    assert len(cloud.host.public_addresses()) == 1


@pytest.mark.parametrize("look", (CHANGES | LOOKS).values(), ids=(CHANGES | LOOKS).keys())
def test_what_is_anothers_is_not_found(cloud: Cloud, things: tuple[Any, ...], look: Doing) -> None:
    with pytest.raises(NotFound):
        look(cloud.operations, cloud.caller("bob"), *things)
    laws.check(cloud)
    assert len(cloud.host.public_addresses()) == 1


def test_another_project_may_not_take_part(cloud: Cloud, things: tuple[InstanceId, AddressId, IPv4Address]) -> None:
    """Each half of an association must be one's own: also an administrator's, who sees both."""
    for user in ("bob", "root"):
        caller = cloud.caller(user)
        own = cloud.operations.addresses.allocate(caller, None)
        with pytest.raises(NotFound, match="Instance"):
            cloud.operations.addresses.associate(caller, things[0], own.address)
        with pytest.raises(NotFound, match="Floating IP"):
            cloud.operations.addresses.associate(caller, cloud.boot(caller).id, things[2])
    laws.check(cloud)


def test_administrators_see_and_stop_everybodys_instances(cloud: Cloud, things: tuple[Any, ...]) -> None:
    root = cloud.caller("root")
    assert [each.id for each in cloud.operations.instances.listing(root, every_project=True)] == [things[0]]
    assert list(cloud.operations.instances.listing(root)) == []
    assert list(cloud.operations.instances.listing(cloud.caller("bob"), every_project=True)) == []
    cloud.operations.instances.delete(root, things[0])
    laws.check(cloud)
