"""A process that dies between its commit and its answer: who asks again, under the same idempotency key, gets what was made, and nothing twice."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from ipaddress import IPv4Network
from typing import Any

import pytest
from sqlalchemy import func, select

from mooring.model.accounts import Caller
from mooring.model.faults import Invalid
from mooring.model.nouns import NetworkKind
from mooring.operations import (
    NewFloatingIp,
    NewForwarding,
    NewKey,
    NewNetwork,
    NewNic,
    NewOwnNic,
    NewPreference,
    NewProject,
    NewRule,
    NewSubnet,
    NewSubnetPool,
    NewUser,
    NewWay,
)
from mooring.store.schema import generations, instances, metadata, quotas
from tests.cloud import Cloud
from tests.operations import laws

Ask = Callable[[str], object]
"""What makes something under an idempotency key."""


def _of_guest(ask: Callable[[Cloud, Caller, Any], Ask]) -> Callable[[Cloud, Caller], Ask]:
    """Ask for something that needs a guest."""
    return lambda cloud, root: ask(cloud, root, cloud.boot(root))


def _forwarding(cloud: Cloud, root: Caller, guest: Any) -> Ask:
    public = cloud.operations.addresses.allocate(root, None)
    new = NewForwarding("tcp", 22, nic=guest.nics[0].id)
    return lambda key: cloud.operations.forwardings.create(root, public.id, new, key)


def _subnet(cloud: Cloud, root: Caller) -> Ask:
    pool = cloud.operations.subnet_pools.create(root, NewSubnetPool("mine", (IPv4Network("10.5.0.0/16"),), 24))
    bare = cloud.operations.own_networks.create(root, "web")
    return lambda key: cloud.operations.own_networks.add_subnet(root, NewSubnet(bare.id, pool=pool.id), key)


def _rule(cloud: Cloud, root: Caller) -> Ask:
    group = cloud.operations.groups.create(root, "web")
    return lambda key: cloud.operations.groups.add_rule(root, group.id, NewRule(protocol="tcp", first=80, last=80), key)


def _led(cloud: Cloud, root: Caller, guest: Any) -> Ask:
    new = NewFloatingIp(nic=guest.nics[0].id)
    return lambda key: cloud.operations.addresses.make(root, new, key)


def _preference(cloud: Cloud, root: Caller, guest: Any) -> Ask:
    new = NewPreference(IPv4Network("192.0.2.0/24"), NewWay(pool="public"), instance=guest.id, cut=True)
    return lambda key: cloud.operations.egress.create(root, new, key)


MAKING: Mapping[str, Callable[[Cloud, Caller], Ask]] = {
    "floating IP that leads": _of_guest(_led),
    "port forwarding": _of_guest(_forwarding),
    "allowed address": _of_guest(
        lambda cloud, root, guest: (
            lambda key: cloud.operations.nics.allow(root, guest.nics[0].id, ["10.0.0.99", "172.16.0.0/30"], key)
        )
    ),
    "fixed IP": _of_guest(
        lambda cloud, root, guest: (
            lambda key: cloud.operations.nics.add_fixed(root, guest.nics[0].id, idempotency_key=key)
        )
    ),
    "card": _of_guest(
        lambda cloud, root, guest: (
            lambda key: cloud.operations.attachments.attach(root, guest.id, NewNic(cloud.network.id), key)
        )
    ),
    "reboot": _of_guest(
        lambda cloud, root, guest: lambda key: cloud.operations.power.reboot(root, guest.id, idempotency_key=key).id
    ),
    "egress preference": _of_guest(_preference),
    "port of one's own": lambda cloud, root: (
        lambda key: cloud.operations.own_nics.create(root, NewOwnNic("private", (None, None), name="mine"), key)
    ),
    "own network": lambda cloud, root: lambda key: cloud.operations.own_networks.create(root, "web", key),
    "subnet of a pool": _subnet,
    "router": lambda cloud, root: (
        lambda key: cloud.operations.own_routers.create(root, "gate", cloud.operations.pools.listing(root)[0].id, key)
    ),
    "subnet pool": lambda cloud, root: (
        lambda key: cloud.operations.subnet_pools.create(
            root, NewSubnetPool("mine", (IPv4Network("10.5.0.0/16"),)), key
        )
    ),
    "security group": lambda cloud, root: (
        lambda key: cloud.operations.groups.create(root, "web", idempotency_key=key).id
    ),
    "rule": _rule,
    "project": lambda cloud, root: lambda key: cloud.operations.accounts.create_project(root, NewProject("new"), key),
    "user": lambda cloud, root: lambda key: cloud.operations.accounts.create_user(root, NewUser("new"), key),
    "key": lambda cloud, root: lambda key: cloud.operations.keys.create(root, NewKey("new"), key)[0],
}


class _Crash(BaseException):
    """The process is gone."""


def _everything(cloud: Cloud) -> object:
    """Return how many rows each table has, what is used of which quota, how often guests began, and every generation."""
    with cloud.store.read() as tx:
        rows = tx._session.connection
        counted = {table.name: rows.scalar(select(func.count()).select_from(table)) for table in metadata.sorted_tables}
        found = [sorted(map(tuple, rows.execute(select(table)))) for table in (quotas, generations)]
        return counted, found, list(rows.execute(select(instances.c.id, instances.c.boots)))


@pytest.mark.parametrize("making", MAKING.values(), ids=MAKING)
def test_what_was_committed_is_answered_and_not_done_again(
    cloud: Cloud, monkeypatch: pytest.MonkeyPatch, making: Callable[[Cloud, Caller], Ask]
) -> None:
    ask = making(cloud, cloud.caller("root"))
    before = _everything(cloud)

    def crash(*_: object) -> None:
        raise _Crash

    with monkeypatch.context() as dying, suppress(_Crash):
        dying.setattr(cloud.host, "wake", crash)
        ask("key")
    cloud.host.come_back()
    made = _everything(cloud)
    assert made != before
    answer = ask("key")
    assert ask("key") == answer
    cloud.host.come_back()
    assert _everything(cloud) == made
    laws.check(cloud)


def test_networks_that_differ_in_where_they_are_differ(cloud: Cloud) -> None:
    root, cidr = cloud.caller("root"), IPv4Network("10.9.0.0/24")
    cloud.operations.networks.create(root, NewNetwork("web", cidr, kind=NetworkKind.VLAN, segment=7), "key")
    with pytest.raises(Invalid, match="different request"):
        cloud.operations.networks.create(root, NewNetwork("web", cidr, kind=NetworkKind.VLAN, segment=8), "key")
