"""Which public addresses there are: ranges that pools gain and lose, and every single address of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from itertools import islice

from mooring.model.accounts import Caller
from mooring.model.events import Action
from mooring.model.faults import Conflict, InUse, Invalid, NotFound
from mooring.model.nouns import AddressPool, AddressRange, FloatingIp
from mooring.model.subjects import SubjectKey, SubjectKind
from mooring.operations.door import Door, Published, publish
from mooring.operations.events import note
from mooring.operations.interfaces import Transaction
from mooring.operations.pools import find_pool
from mooring.policy.addresses import joined, usable, without
from mooring.policy.roles import Verb


@dataclass(frozen=True, slots=True)
class PoolAddress:
    """An address of a pool, the interface of its uplink, and whose floating IP it is, if it is anybody's."""

    address: IPv4Address
    pool: str
    interface: str
    floating: FloatingIp | None


class RangeOperations:
    """The addresses of pools, for administrators."""

    def __init__(self, door: Door) -> None:
        """Keep the door."""
        self._door = door

    def addresses(self, caller: Caller, most: int, after: IPv4Address | None = None) -> Sequence[PoolAddress]:
        """Return the addresses of all pools in their order, at most so many; those that come after one, if it is given.

        Raises:
            NotFound: no pool has that one.
        """
        self._door.allow(caller, Verb.POOL_ADMIN)
        with self._door.store.read() as tx:
            pools = tx.topology.pools()
            interfaces = {uplink.id: uplink.interface for uplink in tx.topology.uplinks()}
            owned = {floating.address: floating for floating in tx.addresses.floating_ips(None)}
        return [
            PoolAddress(address, pool.name, interfaces[pool.uplink], owned.get(address))
            for pool, address in islice(_every(pools, after), most)
        ]

    def held_by(self, caller: Caller, host: str) -> Sequence[PoolAddress]:
        """Return the addresses that a gateway host, by name, answers for: those that lead to networks which it serves.

        Raises:
            NotFound: there is no such host, or it answers for none.
        """
        self._door.allow(caller, Verb.POOL_ADMIN)
        with self._door.store.read() as tx:
            gateway = tx.topology.host_by_name(host)
            routers = {router.id for router in tx.topology.routers() if gateway and router.host == gateway.id}
            served = {network.id for network in tx.topology.networks(None) if network.router in routers}
            pools = {pool.id: pool for pool in tx.topology.pools()}
            interfaces = {uplink.id: uplink.interface for uplink in tx.topology.uplinks()}
            held = [floating for floating in tx.addresses.floating_ips(None) if floating.network in served]
        if not held:
            raise NotFound("Floating IP", f"for host {host}")
        return [
            PoolAddress(each.address, each.pool_name, interfaces[pools[each.pool].uplink], each)
            for each in sorted(held, key=lambda floating: floating.address)
        ]

    def add(
        self, caller: Caller, part: AddressRange, pool: str | None = None, interface: str | None = None
    ) -> tuple[AddressPool, str]:
        """Let a pool, named by name or id, or else the first, give out some more addresses of its subnet.

        `interface`, if given, must be its uplink's.  Return the pool and its uplink's interface.

        Raises:
            NotFound: there is no such pool.
            Invalid: the addresses are not of the pool's subnet, or are its gateway's; or the interface is another.
            Conflict: one of them is a pool's already.
        """
        self._door.allow(caller, Verb.POOL_ADMIN)
        with self._door.store.write() as tx:
            pools = tx.topology.pools()
            if pool is None and not pools:
                raise NotFound("Pool", "(default)")
            known = find_pool(tx, pool) if pool is not None else pools[0]
            own = _check(tx, known, part, interface)
            taken = [each for other in pools for had in other.ranges if (each := _common(had, part)) is not None]
            if taken:
                raise Conflict(f"Floating IP {min(each.first for each in taken)} already exists.", field="ip_range")
            if foreign := next((other for other in pools if other.gateway in part), None):
                reason = f"ip_range: {foreign.gateway} is the gateway of pool {foreign.name}."
                raise Conflict(reason, field="ip_range")
            changes = _set(tx, known, joined((*known.ranges, part)))
            note(tx, caller, Action.POOL_CHANGE, known.id, name=known.name, more=part)
            changed = tx.topology.pool(known.id)
        self._door.settle(changes)
        return changed or known, own

    def remove(self, caller: Caller, part: AddressRange) -> None:
        """Let pools give out some addresses no longer; those that are no pool's don't matter.

        Raises:
            InUse: a project or a router has one of them, or hosts may hold it still.
            Conflict: a pool would have none left.
        """
        self._door.allow(caller, Verb.POOL_ADMIN)
        changes: list[Published] = []
        with self._door.store.write() as tx:
            for pool in tx.topology.pools():
                touched = [common for own in pool.ranges if (common := _common(own, part)) is not None]
                if not touched:
                    continue
                used = sum(tx.addresses.count("public", each.first, each.last) for each in touched)
                if used:
                    raise InUse("Pool", f"{pool.name}, {part}", f"{used} addresses")
                left = without(pool.ranges, part)
                if not left:
                    raise Conflict(f"Pool {pool.name} would have no address left: delete it instead.", field="ip_range")
                changes += _set(tx, pool, left)
                note(tx, caller, Action.POOL_CHANGE, pool.id, name=pool.name, less=part)
        self._door.settle(changes)


def _every(pools: Sequence[AddressPool], after: IPv4Address | None) -> Iterator[tuple[AddressPool, IPv4Address]]:
    if after is not None and not any(after in part for pool in pools for part in pool.ranges):
        raise NotFound("Floating IP", after)
    reached = after is None
    for pool in pools:
        for part in pool.ranges:
            first = part.first
            if not reached:
                if after is None or after not in part:
                    continue
                reached, first = True, after + 1
            for number in range(int(first), int(part.last) + 1):
                yield pool, IPv4Address(number)


def _check(tx: Transaction, pool: AddressPool, part: AddressRange, interface: str | None) -> str:
    inside = usable(pool.cidr)
    if part.first not in inside or part.last not in inside:
        raise Invalid("ip_range", f"{part} is not inside {inside} of pool {pool.name}")
    if pool.gateway in part:
        raise Invalid("ip_range", f"{part} contains the gateway {pool.gateway} of pool {pool.name}")
    own = next(uplink.interface for uplink in tx.topology.uplinks() if uplink.id == pool.uplink)
    if interface not in {None, own}:
        raise Invalid("interface", f"pool {pool.name} is on {own}")
    return own


def _common(one: AddressRange, other: AddressRange) -> AddressRange | None:
    first, last = max(one.first, other.first), min(one.last, other.last)
    return AddressRange(first, last) if first <= last else None


def _set(tx: Transaction, pool: AddressPool, ranges: Sequence[AddressRange]) -> list[Published]:
    tx.topology.set_ranges(pool.id, ranges)
    return [publish(tx, SubjectKey(SubjectKind.ROUTER, router)) for router in tx.topology.routers_on(pool.uplink)]
