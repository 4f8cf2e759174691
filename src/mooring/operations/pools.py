"""Public address pools and the uplinks that they come in by."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from mooring.model.accounts import Caller
from mooring.model.faults import Conflict, InUse, Invalid, NotFound
from mooring.model.ids import PoolId, UplinkId
from mooring.model.nouns import AddressPool, AddressRange, PoolUsage, Uplink
from mooring.operations.door import Door, Published, checked_name, once
from mooring.operations.interfaces import Duplicate, Referenced, Transaction
from mooring.operations.routing import connect, disconnect
from mooring.policy.addresses import overlapping, usable
from mooring.policy.egress import described
from mooring.policy.roles import Verb

_INTERFACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,14}")


@dataclass(frozen=True, slots=True)
class NewPool:
    """A pool to be made.  `uplink` names one that exists, or is made for `interface`."""

    name: str
    cidr: IPv4Network
    gateway: IPv4Address
    ranges: tuple[AddressRange, ...]
    uplink: str
    interface: str | None = None


class PoolOperations:
    """Pools, as administrators make them and projects see them."""

    def __init__(self, door: Door) -> None:
        """Keep the door."""
        self._door = door

    def create(self, caller: Caller, new: NewPool, idempotency_key: str | None = None) -> AddressPool:
        """Make a pool and connect the routers that serve all projects to it.

        Raises:
            Invalid: a field contradicts itself or another, with the field's name.
            Conflict: the pool overlaps a pool or a guest network, or its name is taken.
        """
        self._door.allow(caller, Verb.POOL_ADMIN)
        name = checked_name("name", new.name)
        _check(new)
        request = ("pool", name, new.cidr, new.gateway, *(str(part) for part in new.ranges), new.uplink, new.interface)
        changes: list[Published] = []
        with self._door.store.write() as tx:
            made = once(tx, caller, idempotency_key, request, lambda: self._create(tx, name, new, changes))
            pool = tx.topology.pool(PoolId(made))
        if pool is None:
            raise NotFound("Pool", made)
        self._door.settle(changes)
        return pool

    def _create(self, tx: Transaction, name: str, new: NewPool, changes: list[Published]) -> PoolId:
        _check_apart(tx, new)
        uplink = self._uplink(tx, new)
        pool = AddressPool(
            PoolId(self._door.chance.new_id()),
            name,
            uplink.id,
            new.cidr,
            new.gateway,
            tuple(sorted(new.ranges, key=lambda part: part.first)),
        )
        try:
            tx.topology.add_pool(pool)
        except Duplicate as error:
            raise Conflict(f"name: there is a pool {name} already.", field="name") from error
        router = tx.topology.shared_router()
        changes += connect(self._door, tx, router, pool) if router else []
        return pool.id

    def _uplink(self, tx: Transaction, new: NewPool) -> Uplink:
        name = checked_name("uplink", new.uplink)
        known = tx.topology.uplink_by_name(name)
        if known is not None:
            if new.interface is not None and new.interface != known.interface:
                raise Conflict(f"interface: uplink {name} is {known.interface}.", field="interface")
            return known
        if new.interface is None:
            raise NotFound("Uplink", name)
        if not _INTERFACE.fullmatch(new.interface):
            raise Invalid("interface", "must be the name of a network interface: 1 to 15 letters, digits or . _ : -")
        uplink = Uplink(UplinkId(self._door.chance.new_id()), name, new.interface)
        tx.topology.add_uplink(uplink)
        return uplink

    def listing(self, caller: Caller) -> Sequence[AddressPool]:
        """Return the pools that the caller's project may use."""
        self._door.allow(caller, Verb.READ)
        with self._door.store.read() as tx:
            return tx.topology.pools()

    def usage(self, caller: Caller, name: str) -> PoolUsage:
        """Return how full a pool is; `name` may be its id.

        Raises:
            NotFound: there is no such pool.
        """
        self._door.allow(caller, Verb.READ)
        with self._door.store.read() as tx:
            usage = tx.topology.pool_usage(find_pool(tx, name).id)
        if usage is None:
            raise NotFound("Pool", name)
        return usage

    def uplinks(self, caller: Caller) -> Sequence[Uplink]:
        """Return all uplinks."""
        self._door.allow(caller, Verb.POOL_ADMIN)
        with self._door.store.read() as tx:
            return tx.topology.uplinks()

    def delete(self, caller: Caller, name: str) -> None:
        """Delete a pool that no project has an address of.

        Raises:
            NotFound: there is no such pool.
            InUse: a project has an address of it, or guests prefer to leave by it.
        """
        self._door.allow(caller, Verb.POOL_ADMIN)
        with self._door.store.write() as tx:
            pool = find_pool(tx, name)
            usage = tx.topology.pool_usage(pool.id)
            if usage is not None and (usage.allocated or usage.releasing):
                raise InUse("Pool", pool.name, f"{usage.allocated + usage.releasing} addresses")
            if users := tx.preferences.of_pool(pool.id):
                raise InUse("Pool", pool.name, described(users))
            changes = disconnect(self._door, tx, pool)
            try:
                tx.topology.delete_pool(pool.id)
            except Referenced as error:
                raise InUse("Pool", pool.name, "an address") from error
        self._door.settle(changes)


def find_pool(tx: Transaction, name: str) -> AddressPool:
    """Return a pool by name or id.

    Raises:
        NotFound: there is no such pool.
    """
    pool = tx.topology.pool_by_name(name) or tx.topology.pool(PoolId(name))
    if pool is None:
        raise NotFound("Pool", name)
    return pool


def _check(new: NewPool) -> None:
    if new.cidr.prefixlen > 30:
        raise Invalid("cidr", f"{new.cidr} has no room for a gateway and an address")
    inside = usable(new.cidr)
    if new.gateway not in inside:
        raise Invalid("gateway", f"{new.gateway} is not an address of {new.cidr}")
    if not new.ranges:
        raise Invalid("ranges", "must hold at least one address")
    for part in new.ranges:
        if part.first > part.last:
            raise Invalid("ranges", f"{part} ends before it starts")
        if part.first not in inside or part.last not in inside:
            raise Invalid("ranges", f"{part} is not inside {inside.first}-{inside.last}")
        if new.gateway in part:
            raise Invalid("ranges", f"{part} contains the gateway {new.gateway}")
    if (pair := overlapping(new.ranges)) is not None:
        raise Invalid("ranges", f"{pair[0]} and {pair[1]} overlap")


def _check_apart(tx: Transaction, new: NewPool) -> None:
    for pool in tx.topology.pools():
        for part in pool.ranges:
            for mine in new.ranges:
                if (overlapping((part, mine))) is not None:
                    raise Conflict(f"ranges: {mine} overlaps {part} of pool {pool.name}.", field="ranges")
    for network in tx.topology.networks(None):
        if network.cidr.overlaps(new.cidr):
            raise Conflict(f"cidr: {new.cidr} overlaps network {network.name} ({network.cidr}).", field="cidr")
