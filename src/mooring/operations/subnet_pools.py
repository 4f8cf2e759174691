"""Subnet pools: prefixes that projects take their subnets from, so that no two of them overlap."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Network, collapse_addresses

from mooring.model.accounts import Caller
from mooring.model.events import Action
from mooring.model.faults import Conflict, Exhausted, InUse, Invalid, NotFound, QuotaExceeded
from mooring.model.ids import SubnetPoolId
from mooring.model.nouns import Resource
from mooring.model.own import SubnetPool
from mooring.operations.door import Door, check_version, checked_name, once
from mooring.operations.events import note
from mooring.operations.interfaces import Referenced, Transaction
from mooring.policy.addresses import guest_network_fault
from mooring.policy.names import text_fault
from mooring.policy.prefixes import free_prefix, holds
from mooring.policy.roles import Verb

SHORTEST, LONGEST = 8, 29
"""What a guest network's prefix may be, in bits."""

_MAX_PREFIXES = 32


@dataclass(frozen=True, slots=True)
class NewSubnetPool:
    """A subnet pool to be made; lengths are of prefixes, in bits.  A `shared` one is for all projects."""

    name: str
    prefixes: tuple[IPv4Network, ...]
    default_length: int | None = None
    shortest: int | None = None
    longest: int | None = None
    shared: bool = False
    description: str = ""


@dataclass(frozen=True, slots=True)
class SubnetPoolChange:
    """What is to be changed of a subnet pool; what is None stays.  Prefixes only grow."""

    name: str | None = None
    prefixes: tuple[IPv4Network, ...] | None = None
    default_length: int | None = None
    shortest: int | None = None
    longest: int | None = None
    description: str | None = None


class SubnetPoolOperations:
    """Subnet pools, as members of projects make them for themselves, and administrators for all."""

    def __init__(self, door: Door) -> None:
        """Keep the door."""
        self._door = door

    def listing(self, caller: Caller) -> Sequence[SubnetPool]:
        """Return the subnet pools that the caller's project may use."""
        self._door.allow(caller, Verb.READ)
        with self._door.store.read() as tx:
            return tx.own.pools(None if caller.is_admin else caller.project.id)

    def create(self, caller: Caller, new: NewSubnetPool, idempotency_key: str | None = None) -> SubnetPool:
        """Make a subnet pool.

        Raises:
            Forbidden: only administrators make one for all projects.
            Invalid: a field contradicts itself or another, with the field's name.
            QuotaExceeded: the project has as many as it may.
        """
        self._door.allow(caller, Verb.NETWORK_CHANGE)
        if new.shared:
            self._door.allow(caller, Verb.NETWORK_ADMIN)
        shortest = SHORTEST if new.shortest is None else new.shortest
        pool = _checked(
            SubnetPool(
                id=SubnetPoolId(self._door.chance.new_id()),
                name=new.name,
                project=None if new.shared else caller.project.id,
                prefixes=new.prefixes,
                # As in Neutron: what can't be said otherwise is the largest that may be had.
                default_length=shortest if new.default_length is None else new.default_length,
                shortest=shortest,
                longest=LONGEST if new.longest is None else new.longest,
                description=new.description,
            )
        )
        lengths = (pool.default_length, pool.shortest, pool.longest)
        request = ("subnet pool", pool.name, pool.prefixes, *lengths, new.shared, pool.description)

        def make(tx: Transaction) -> SubnetPoolId:
            if pool.project is not None and not tx.quotas.take(pool.project, Resource.SUBNET_POOLS):
                raise QuotaExceeded("subnet pools", tx.quotas.get(pool.project, Resource.SUBNET_POOLS).limit)
            tx.own.add_pool(pool)
            note(tx, caller, Action.SUBNET_POOL_CREATE, pool.id, pool.project, name=pool.name)
            return pool.id

        with self._door.store.write() as tx:
            made = once(tx, caller, idempotency_key, request, lambda: make(tx))
            return visible_subnet_pool(tx, caller, SubnetPoolId(made))

    def change(self, caller: Caller, pool: SubnetPoolId, change: SubnetPoolChange) -> SubnetPool:
        """Change what is named of a subnet pool; subnets that there are stay as they are.

        Raises:
            NotFound: there is none that the project may use.
            Forbidden: it is for all projects, and the caller no administrator.
            Invalid: a field contradicts itself or another; or a prefix that was there would go.
        """
        self._door.allow(caller, Verb.NETWORK_CHANGE)
        with self._door.store.write() as tx:
            known = self._changeable(tx, caller, pool)
            check_version(caller, "Subnet pool", known.name, known)
            changed = _checked(
                SubnetPool(
                    known.id,
                    known.name if change.name is None else change.name,
                    known.project,
                    known.prefixes if change.prefixes is None else change.prefixes,
                    known.default_length if change.default_length is None else change.default_length,
                    known.shortest if change.shortest is None else change.shortest,
                    known.longest if change.longest is None else change.longest,
                    known.description if change.description is None else change.description,
                )
            )
            lost = [prefix for prefix in known.prefixes if not holds(changed.prefixes, prefix)]
            if lost:
                raise Invalid("prefixes", f"{lost[0]} is the pool's, and can't be taken from it")
            tx.own.change_pool(changed)
            note(tx, caller, Action.SUBNET_POOL_CHANGE, pool, known.project, name=changed.name)
            return visible_subnet_pool(tx, caller, pool)

    def delete(self, caller: Caller, pool: SubnetPoolId) -> None:
        """Delete a subnet pool that no subnet is from.

        Raises:
            NotFound: there is none that the project may use.
            Forbidden: it is for all projects, and the caller no administrator.
            InUse: subnets are from it.
        """
        self._door.allow(caller, Verb.NETWORK_CHANGE)
        with self._door.store.write() as tx:
            known = self._changeable(tx, caller, pool)
            check_version(caller, "Subnet pool", known.name, known)
            try:
                tx.own.delete_pool(pool)
            except Referenced as error:
                mine = [each for each in tx.own.networks_of_pool(pool) if each.project == caller.project.id]
                users = ", ".join(f"subnet {each.id} ({each.cidr})" for each in mine[:5])
                raise InUse("Subnet pool", pool, users or "subnets of other projects") from error
            note(tx, caller, Action.SUBNET_POOL_DELETE, pool, known.project, name=known.name)
            if known.project is not None:
                tx.quotas.give(known.project, Resource.SUBNET_POOLS)

    def _changeable(self, tx: Transaction, caller: Caller, pool: SubnetPoolId) -> SubnetPool:
        known = visible_subnet_pool(tx, caller, pool)
        if known.project is None:
            self._door.allow(caller, Verb.NETWORK_ADMIN)
        return known


def next_prefix(
    tx: Transaction, caller: Caller, pool: SubnetPoolId, length: int | None, wanted: IPv4Network | None
) -> IPv4Network:
    """Return the lowest free prefix of a subnet pool, of a length in bits or the pool's usual one; or `wanted`, if that is free.

    Until the transaction ends, nobody else takes one from the pool.

    Raises:
        NotFound: there is no such pool that the caller may use.
        Invalid: the length is none that the pool gives, or what is wanted is not the pool's.
        Conflict: what is wanted overlaps another subnet of the pool.
        Exhausted: no prefix of that length is free.
    """
    known = visible_subnet_pool(tx, caller, pool)
    bits = known.default_length if length is None else length
    if wanted is not None:
        bits = wanted.prefixlen
    if not known.shortest <= bits <= known.longest:
        reason = f"/{bits} is none that subnet pool {known.name} gives: /{known.shortest} to /{known.longest}"
        raise Invalid("prefixlen", reason)
    taken = tx.own.prefixes_of_pool(pool)
    if wanted is None:
        # Where public addresses are no subnet can be: that prefix would be refused each time.
        public = [each.cidr for each in tx.topology.pools()]
        found = free_prefix(known.prefixes, [*taken, *public], bits)
        if found is None:
            raise Exhausted(f"Subnet pool {known.name} has no free prefix of /{bits}.")
        return found
    if not holds(known.prefixes, wanted):
        raise Invalid("cidr", f"{wanted} is not in subnet pool {known.name}")
    if any(wanted.overlaps(other) for other in taken):
        raise Conflict(f"cidr: {wanted} overlaps another subnet of subnet pool {known.name}.", field="cidr")
    return wanted


def visible_subnet_pool(tx: Transaction, caller: Caller, pool: SubnetPoolId) -> SubnetPool:
    """Return a subnet pool that the caller may know of: the project's, everybody's, or to an administrator any.

    Raises:
        NotFound: there is none.
    """
    known = tx.own.pool(pool)
    if known is None or (known.project not in (None, caller.project.id) and not caller.is_admin):
        raise NotFound("Subnet pool", pool)
    return known


def _checked(pool: SubnetPool) -> SubnetPool:
    """Return a subnet pool as it may be stored: prefixes that touch as one."""
    name = checked_name("name", pool.name)
    if (reason := text_fault(pool.description)) is not None:
        raise Invalid("description", reason)
    if not pool.prefixes:
        raise Invalid("prefixes", "must name at least one")
    if len(pool.prefixes) > _MAX_PREFIXES:
        raise Invalid("prefixes", f"must name at most {_MAX_PREFIXES}")
    for prefix in pool.prefixes:
        if (fault := guest_network_fault(prefix)) is not None:
            raise Invalid("prefixes", fault)
    for field, length in (
        ("min_prefixlen", pool.shortest),
        ("max_prefixlen", pool.longest),
        ("default_prefixlen", pool.default_length),
    ):
        if not SHORTEST <= length <= LONGEST:
            raise Invalid(field, f"must be from {SHORTEST} to {LONGEST}")
    if pool.shortest > pool.longest:
        raise Invalid("min_prefixlen", f"{pool.shortest} is more than max_prefixlen, {pool.longest}")
    if not pool.shortest <= pool.default_length <= pool.longest:
        raise Invalid("default_prefixlen", f"must be from {pool.shortest} to {pool.longest}")
    return replace(pool, name=name, prefixes=tuple(collapse_addresses(pool.prefixes)))
