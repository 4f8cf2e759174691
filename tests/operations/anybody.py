"""Somebody who asks for anything at any time: a seed says what, and of what there is they take some of it.

Most of what they ask for is done, the rest refused, and neither may leave anything behind that nobody can take away: `laws.check_rows`.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import TypeVar

from mooring.model.accounts import Caller
from mooring.model.faults import Fault
from mooring.model.names import DnsScope
from mooring.model.nouns import AddressRange, FloatingIp, Instance, Network, Nic, Router
from mooring.operations import (
    ForwardingChange,
    NewFloatingIp,
    NewForwarding,
    NewInstance,
    NewNic,
    NewPreference,
    NewSubnet,
    NewSubnetPool,
    NewWay,
    NicChange,
    PoolChange,
    RouterChange,
)
from tests.cloud import FLAVORS, IMAGES, Cloud

T = TypeVar("T")
SECOND = AddressRange(IPv4Address("203.0.113.10"), IPv4Address("203.0.113.19"))


class _NothingThere(Exception):
    """There is nothing yet that could be asked for."""


@dataclass
class Anybody:
    """One of several callers at a time; `done` and `refused` count what became of which request."""

    cloud: Cloud
    chance: random.Random
    callers: Sequence[Caller]
    done: Counter[str] = field(default_factory=Counter)
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)

    @classmethod
    def build(cls, cloud: Cloud, seed: int) -> "Anybody":
        """Be anybody in a cloud with two pools."""
        callers = [cloud.caller(user) for user in ("alice", "alice", "alice", "bob", "root")]
        return cls(cloud, random.Random(seed), callers)

    def step(self) -> None:
        """Ask for something."""
        caller = self.chance.choice(self.callers)
        name = self.chance.choice(list(STEPS))
        try:
            STEPS[name](self, caller)
        except _NothingThere:
            return
        except Fault as fault:
            self.refused[name, type(fault).__name__] += 1
        else:
            self.done[name] += 1

    # --------------------------------------------------------------------------------------------------- what there is

    def some(self, things: Sequence[T]) -> T:
        if not things:
            raise _NothingThere
        return self.chance.choice(things)

    def maybe(self, thing: T) -> T | None:
        return self.chance.choice([thing, None])

    def key(self) -> str | None:
        return self.chance.choice([None, f"key-{self.chance.randrange(30)}"])

    def address(self) -> IPv4Address:
        return IPv4Address("10.0.0.0") + self.chance.randrange(14)

    def prefix(self) -> str:
        outside = (f"172.16.0.{self.chance.randrange(4)}", f"fd00::{self.chance.randrange(4)}")
        block = f"10.0.0.{4 * self.chance.randrange(4)}/30"
        return self.chance.choice([str(self.address()), block, f"10.5.0.{self.chance.randrange(9)}", *outside])

    def instance(self, caller: Caller) -> Instance:
        return self.some(self.cloud.operations.instances.listing(caller, every_project=self.chance.random() < 0.1))

    def nic(self, caller: Caller) -> Nic:
        return self.some(self.instance(caller).nics)

    def fixed(self, nic: Nic) -> IPv4Address:
        return self.some(nic.fixed).address

    def floating(self, caller: Caller) -> FloatingIp:
        return self.some(self.cloud.operations.addresses.listing(caller, every_project=self.chance.random() < 0.1))

    def network(self, caller: Caller) -> Network:
        return self.some(self.cloud.operations.networks.listing(caller))

    def router(self, caller: Caller) -> Router:
        return self.some([router for router in self.cloud.operations.networks.routers(caller) if router.made])

    def pool(self) -> str:
        return self.chance.choice(["public", "second"])


def _boot(who: Anybody, caller: Caller) -> None:
    wanted = [
        NewNic(who.network(caller).id, who.address() if who.chance.random() < 0.3 else None)
        for _ in range(who.chance.randrange(3))
    ]
    new = NewInstance(f"vm{who.chance.randrange(9)}", IMAGES[0].id, FLAVORS[0].id, tuple(wanted))
    who.cloud.operations.instances.create(caller, new, who.key())


def _make_floating(who: Anybody, caller: Caller) -> None:
    nic = who.nic(caller).id if who.chance.random() < 0.3 else None
    address = IPv4Address("198.51.100.9") + who.chance.randrange(33) if who.chance.random() < 0.2 else None
    new = NewFloatingIp(who.maybe(who.pool()), address, nic)
    who.cloud.operations.addresses.make(caller, new, who.key())


def _point(who: Anybody, caller: Caller) -> None:
    nic = who.nic(caller) if who.chance.random() < 0.8 else None
    fixed = who.maybe(who.fixed(nic)) if nic is not None else None
    who.cloud.operations.addresses.point(caller, who.floating(caller).id, nic.id if nic is not None else None, fixed)


def _forward(who: Anybody, caller: Caller) -> None:
    nic, first = who.nic(caller), who.chance.randrange(1, 6)
    protocol, last, to = who.chance.choice(["tcp", "udp"]), first + who.chance.randrange(3), who.maybe(80)
    new = NewForwarding(protocol, first, last, to, nic=nic.id, fixed=who.fixed(nic), sole=who.chance.random() < 0.3)
    who.cloud.operations.forwardings.create(caller, who.floating(caller).id, new, who.key())


def _forward_otherwise(who: Anybody, caller: Caller) -> None:
    known = who.some(who.cloud.operations.forwardings.listing(caller))
    change = ForwardingChange(first=who.maybe(who.chance.randrange(1, 9)), nic=who.maybe(who.nic(caller).id))
    who.cloud.operations.forwardings.change(caller, known.id, change)


def _change_nic(who: Anybody, caller: Caller) -> None:
    nic = who.nic(caller)
    had = tuple(fixed.address for fixed in nic.fixed)
    fixed = who.chance.choice([None, (*had, None), had[:1], (None, who.address())])
    change = NicChange(fixed=fixed, allowed=who.chance.choice([None, (), (who.prefix(),)]))
    who.cloud.operations.nics.change(caller, nic.id, change)


def _add_subnet(who: Anybody, caller: Caller) -> None:
    bare = who.some(who.cloud.operations.own_networks.bare(caller))
    pools = who.cloud.operations.subnet_pools.listing(caller)
    # Some have addresses of a pool that comes and goes.
    named = who.chance.choice(
        ["10.4.0.0/24", "10.5.0.0/28", "10.6.0.0/24", str(IPv4Network((SECOND.first, 24), False))]
    )
    new = NewSubnet(bare.id, cidr=IPv4Network(named))
    if pools and who.chance.random() < 0.5:
        new = NewSubnet(bare.id, pool=who.some(pools).id, length=who.chance.choice([None, 26, 28]))
    who.cloud.operations.own_networks.add_subnet(caller, new, who.key())


def _delete_network(who: Anybody, caller: Caller) -> None:
    do = who.cloud.operations
    known = {network.id for network in do.networks.listing(caller)}
    known |= {network.id for network in do.own_networks.bare(caller)}
    network = who.some(sorted(known - {who.cloud.network.id}))
    who.chance.choice([do.own_networks.delete, do.own_networks.delete_subnet, do.networks.delete])(caller, network)


def _lead(who: Anybody, caller: Caller) -> None:
    pool = who.maybe(who.some(who.cloud.operations.pools.listing(caller)).id)
    who.cloud.operations.own_routers.change(caller, who.router(caller).id, RouterChange(led=True, pool=pool))


def _prefer(who: Anybody, caller: Caller) -> None:
    nic = who.nic(caller) if who.chance.random() < 0.7 else None
    fixed = who.maybe(who.fixed(nic)) if nic is not None else None
    way = NewWay(pool=who.pool()) if who.chance.random() < 0.6 else NewWay(who.floating(caller).address)
    prefix = IPv4Network(who.chance.choice(["0.0.0.0/0", "192.0.2.0/24"]))
    new = NewPreference(prefix, way, nic=nic.id if nic is not None else None, fixed=fixed)
    who.cloud.operations.egress.create(caller, new, who.key())


def _pools_for_some(who: Anybody, _caller: Caller) -> None:
    do, root, project = who.cloud.operations, who.cloud.caller("root"), who.chance.choice(["boats", "barges"])
    match who.chance.randrange(5):
        case 0:
            do.grants.grant(root, who.pool(), project)
        case 1:
            do.grants.withdraw(root, who.pool(), project, release=who.chance.random() < 0.5)
        case 2:
            do.grants.limit(root, who.pool(), project, who.chance.choice([-1, 3, 8]))
        case _:
            change = PoolChange(who.chance.choice([None, True, True, False]), who.chance.choice([None, 1, 2]))
            do.pools.update(root, who.pool(), change)


def _second_pool(who: Anybody, _caller: Caller) -> None:
    root = who.cloud.caller("root")
    if any(pool.name == "second" for pool in who.cloud.operations.pools.listing(root)):
        who.cloud.operations.pools.delete(root, "second")
    else:
        who.cloud.add_pool("second", SECOND, who.chance.randrange(2))


def _name(who: Anybody, caller: Caller) -> None:
    who.cloud.operations.names.save_domain(who.cloud.caller("root"), "example.org", DnsScope.PUBLIC)
    address = who.floating(caller).address
    who.cloud.operations.names.save_entry(caller, "example.org", f"n{who.chance.randrange(5)}", address)


def _power(who: Anybody, caller: Caller) -> None:
    power = who.cloud.operations.power
    who.chance.choice([power.stop, power.start, power.reboot])(caller, who.instance(caller).id)


def _group(who: Anybody, caller: Caller) -> None:
    groups, name = who.cloud.operations.groups, f"g{who.chance.randrange(3)}"
    if who.chance.random() < 0.3:
        groups.create(caller, name)
    who.chance.choice([groups.join, groups.leave])(caller, who.instance(caller).id, name)


def _join_router(who: Anybody, caller: Caller) -> None:
    who.cloud.operations.own_routers.add_network(caller, who.router(caller).id, who.network(caller).id)


def _leave_router(who: Anybody, caller: Caller) -> None:
    router = who.router(caller)
    who.cloud.operations.own_routers.remove_network(caller, router.id, who.some(router.networks))


def _make_router(who: Anybody, caller: Caller) -> None:
    pool = who.maybe(who.some(who.cloud.operations.pools.listing(caller)).id)
    who.cloud.operations.own_routers.create(caller, "gate", pool, who.key())


def _make_subnet_pool(who: Anybody, caller: Caller) -> None:
    new = NewSubnetPool("mine", (IPv4Network("10.5.0.0/24"),), 26, shared=who.chance.random() < 0.3)
    who.cloud.operations.subnet_pools.create(caller, new, who.key())


def _away(who: Anybody, _caller: Caller) -> None:
    who.cloud.host.away = True


def _back(who: Anybody, _caller: Caller) -> None:
    who.cloud.host.come_back()


STEPS: dict[str, Callable[[Anybody, Caller], object]] = {
    **{f"boot {number}": _boot for number in range(3)},
    **{f"floating IP {number}": _make_floating for number in range(2)},
    **{f"point {number}": _point for number in range(2)},
    **{f"forward {number}": _forward for number in range(2)},
    **{f"back {number}": _back for number in range(2)},
    "away": _away,
    "forward otherwise": _forward_otherwise,
    "forward no longer": lambda who, caller: who.cloud.operations.forwardings.delete(
        caller, who.some(who.cloud.operations.forwardings.listing(caller)).id
    ),
    "release": lambda who, caller: who.cloud.operations.addresses.release(caller, who.floating(caller).id),
    "point at": lambda who, caller: who.cloud.operations.addresses.point_at(
        caller, who.floating(caller).id, who.fixed(who.nic(caller))
    ),
    "allow": lambda who, caller: who.cloud.operations.nics.allow(caller, who.nic(caller).id, [who.prefix()], who.key()),
    "disallow": lambda who, caller: who.cloud.operations.nics.disallow(
        caller, (nic := who.nic(caller)).id, [str(who.some(nic.allowed))]
    ),
    "more addresses": lambda who, caller: who.cloud.operations.nics.add_fixed(
        caller, who.nic(caller).id, who.maybe(who.address()), who.key()
    ),
    "fewer addresses": lambda who, caller: who.cloud.operations.nics.remove_fixed(
        caller, (nic := who.nic(caller)).id, who.fixed(nic)
    ),
    "change a card": _change_nic,
    "attach": lambda who, caller: who.cloud.operations.attachments.attach(
        caller, who.instance(caller).id, NewNic(who.network(caller).id), who.key()
    ),
    "detach": lambda who, caller: who.cloud.operations.attachments.detach(caller, who.nic(caller).id),
    "delete": lambda who, caller: who.cloud.operations.instances.delete(caller, who.instance(caller).id),
    "rename": lambda who, caller: who.cloud.operations.instances.rename(caller, who.instance(caller).id, "new"),
    "power": _power,
    "group": _group,
    "network": lambda who, caller: who.cloud.operations.own_networks.create(caller, "web", who.key()),
    "subnet": _add_subnet,
    "no network": _delete_network,
    "router": _make_router,
    "lead": _lead,
    "join a router": _join_router,
    "leave a router": _leave_router,
    "no router": lambda who, caller: who.cloud.operations.own_routers.delete(caller, who.router(caller).id),
    "subnet pool": _make_subnet_pool,
    "no subnet pool": lambda who, caller: who.cloud.operations.subnet_pools.delete(
        caller, who.some(who.cloud.operations.subnet_pools.listing(caller)).id
    ),
    "prefer": _prefer,
    "prefer no longer": lambda who, caller: who.cloud.operations.egress.delete(
        caller, who.some(who.cloud.operations.egress.listing(caller)).id
    ),
    "pools for some": _pools_for_some,
    "second pool": _second_pool,
    "name": _name,
}
