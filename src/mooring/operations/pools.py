"""Public address pools and the uplinks that they come in by."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network

from mooring.model.accounts import Caller
from mooring.model.events import Action
from mooring.model.faults import Conflict, InUse, Invalid, NotFound
from mooring.model.ids import PoolId, UplinkId
from mooring.model.nouns import MOST_PER_FIXED, AddressPool, AddressRange, PoolUsage, Uplink
from mooring.model.pools import PoolFill, PoolReport, PoolShare
from mooring.operations.door import Door, Published, check_version, checked_name, once
from mooring.operations.events import note
from mooring.operations.interfaces import Duplicate, Referenced, Transaction
from mooring.operations.routing import connect, disconnect, republish
from mooring.policy.addresses import overlapping, usable
from mooring.policy.egress import described
from mooring.policy.forecast import HISTORY, forecast
from mooring.policy.pools import may_use, usable_by
from mooring.policy.roles import Verb, may

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
    public: bool = True
    per_fixed: int = 1


@dataclass(frozen=True, slots=True)
class PoolChange:
    """What is to be changed of a pool; what is None stays.

    One that is public no longer is there for the projects that it is granted to: what others have of it is as if it had been withdrawn from
    them.  With a smaller `per_fixed`, fixed IPs keep what they have.
    """

    public: bool | None = None
    per_fixed: int | None = None


class PoolOperations:
    """Pools, as administrators make them and projects see them."""

    def __init__(self, door: Door) -> None:
        """Keep the door."""
        self._door = door

    def create(self, caller: Caller, new: NewPool, idempotency_key: str | None = None) -> AddressPool:
        """Make a pool and connect the routers that serve all projects to it.

        Raises:
            Invalid: a field contradicts itself or another, with the field's name.
            Conflict: the pool overlaps a pool or a network of the operator's, or its name is taken.
        """
        self._door.allow(caller, Verb.POOL_ADMIN)
        name = checked_name("name", new.name)
        _check(new)
        parts = (str(part) for part in new.ranges)
        request = (
            "pool",
            name,
            new.cidr,
            new.gateway,
            *parts,
            new.uplink,
            new.interface,
            f"{new.public} {new.per_fixed}",
        )
        changes: list[Published] = []
        with self._door.store.write() as tx:
            made = once(
                tx, caller, idempotency_key, request, lambda: self._create(tx, caller, replace(new, name=name), changes)
            )
            pool = tx.topology.pool(PoolId(made))
        if pool is None:
            raise NotFound("Pool", made)
        self._door.settle(changes)
        return pool

    def _create(self, tx: Transaction, caller: Caller, new: NewPool, changes: list[Published]) -> PoolId:
        _check_apart(tx, new)
        uplink = self._uplink(tx, new)
        pool = AddressPool(
            PoolId(self._door.chance.new_id()),
            new.name,
            uplink.id,
            new.cidr,
            new.gateway,
            tuple(sorted(new.ranges, key=lambda part: part.first)),
            new.public,
            new.per_fixed,
        )
        try:
            tx.topology.add_pool(pool)
        except Duplicate as error:
            raise Conflict(f"name: there is a pool {new.name} already.", field="name") from error
        router = tx.topology.shared_router()
        # To one that is not for everybody only when somebody needs it: what guests share would lead them out there.
        changes += connect(self._door, tx, router, pool) if router and pool.public else []
        changes += _retold(tx, pool)
        note(tx, caller, Action.POOL_CREATE, pool.id, name=pool.name)
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
            return usable_pools(tx, caller)

    def usage(self, caller: Caller, name: str) -> PoolUsage:
        """Return how full a pool is; `name` may be its id.

        Raises:
            NotFound: there is no such pool, as far as the project may know.
        """
        self._door.allow(caller, Verb.READ)
        with self._door.store.read() as tx:
            return _usage(tx, visible_pool(tx, caller, name))

    def report(self, caller: Caller, name: str) -> PoolReport:
        """Return how full a pool is, named by name or id, and the project's share; to administrators also grants, shares and a forecast.

        Raises:
            NotFound: there is no such pool, as far as the project may know.
        """
        self._door.allow(caller, Verb.READ)
        with self._door.store.read() as tx:
            pool = visible_pool(tx, caller, name)
            usage, own = _usage(tx, pool), tx.pools.share(pool.id, caller.project)
            if not may(caller.roles, Verb.POOL_ADMIN):
                return PoolReport(usage, own)
            grants = tuple(tx.pools.share(pool.id, project) for project in tx.pools.grantees(pool.id))
            today = tx.now().date()
            days = tx.pools.days(pool.id, today - HISTORY)
            expected = forecast(days, tx.pools.first_day(pool.id), usage, today)
            return PoolReport(usage, own, grants, tuple(tx.pools.shares(pool.id)), expected)

    def update(self, caller: Caller, name: str, change: PoolChange) -> AddressPool:
        """Change for whom a pool, named by name or id, is there, or how many of its floating IPs a fixed IP may have.

        Raises:
            NotFound: there is no such pool.
            Invalid: that many can't be.
        """
        self._door.allow(caller, Verb.POOL_ADMIN)
        changes: list[Published] = []
        with self._door.store.write() as tx:
            known = find_pool(tx, name)
            check_version(caller, "Pool", known.name, known)
            changed = replace(
                known,
                public=known.public if change.public is None else change.public,
                per_fixed=known.per_fixed if change.per_fixed is None else _per_fixed(change.per_fixed),
            )
            if changed != known:
                tx.pools.save(changed)
                said = {"public": changed.public, "per_fixed": changed.per_fixed}
                note(tx, caller, Action.POOL_CHANGE, known.id, caller.project.id, name=known.name, **said)
            if changed.public and not known.public:
                router = tx.topology.shared_router()
                changes += connect(self._door, tx, router, changed) if router else []
            if changed.public is not known.public:
                changes += _retold(tx, changed)
        self._door.settle(changes)
        return changed

    def fill(self) -> Sequence[PoolFill]:
        """Return how full all pools are, for whoever watches the cloud: it costs as much for a pool of any size."""
        found: list[PoolFill] = []
        with self._door.store.read() as tx:
            for pool in tx.topology.pools():
                owned, routers = tx.pools.counts(pool.id)
                total = sum(len(part) for part in pool.ranges)
                used = sum(tx.addresses.count("public", part.first, part.last) for part in pool.ranges)
                found.append(PoolFill(pool.name, owned, routers, max(0, used - owned - routers), total - used))
        return found

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
            check_version(caller, "Pool", pool.name, pool)
            usage = tx.topology.pool_usage(pool.id)
            if usage is not None and (usage.allocated or usage.releasing):
                raise InUse("Pool", pool.name, _users(usage, tx.pools.shares(pool.id)))
            if users := tx.preferences.of_pool(pool.id):
                raise InUse("Pool", pool.name, described(users))
            if led := [router for router in tx.own.routers(None) if router.pool == pool.id]:
                raise InUse("Pool", pool.name, ", ".join(f"router {router.name} ({router.id})" for router in led[:5]))
            changes = disconnect(self._door, tx, pool)
            try:
                tx.topology.delete_pool(pool.id)
            except Referenced as error:
                raise InUse("Pool", pool.name, "an address") from error
            note(tx, caller, Action.POOL_DELETE, pool.id, name=pool.name)
        self._door.settle(changes)


def usable_pools(tx: Transaction, caller: Caller) -> Sequence[AddressPool]:
    """Return the pools that a caller may use, in the order of creation."""
    return usable_by(tx.topology.pools(), tx.pools.granted(caller.project.id), caller)


def visible_pool(tx: Transaction, caller: Caller, name: str) -> AddressPool:
    """Return a pool that the caller may use, by name or id.

    Raises:
        NotFound: there is none, or it is not there for the project: the two answers are the same.
    """
    pool = find_pool(tx, name)
    if not may_use(pool, tx.pools.granted(caller.project.id), caller):
        raise NotFound("Pool", name)
    return pool


def check_granted(tx: Transaction, caller: Caller, pool: AddressPool) -> None:
    """Refuse to do more with addresses of a pool that the project has of it since before it was withdrawn.

    Raises:
        Conflict: with the reason.
    """
    if not may_use(pool, tx.pools.granted(caller.project.id), caller):
        reason = f"Pool {pool.name} was withdrawn from project {caller.project.name}: what is associated stays so, and nothing new can lead there."
        raise Conflict(reason, field="pool")


def _retold(tx: Transaction, pool: AddressPool) -> list[Published]:
    """Tell the routers on a pool's uplink: of its addresses, and of which of their uplinks is the first."""
    return [change for router in tx.topology.routers_on(pool.uplink) for change in republish(tx, router)]


def _users(usage: PoolUsage, shares: Sequence[PoolShare]) -> str:
    """Say who has addresses of a pool."""
    having = [share for share in shares if share.used]
    named = [f"{share.project_name} ({share.used})" for share in having[:3]] + (["others"] if len(having) > 3 else [])
    parts = [f"floating IPs of projects: {', '.join(named)}"] if having else []
    parts += [f"addresses that hosts have not let go yet ({usage.releasing})"] if usage.releasing else []
    return "; ".join(parts) or f"addresses ({usage.allocated})"


def _usage(tx: Transaction, pool: AddressPool) -> PoolUsage:
    usage = tx.topology.pool_usage(pool.id)
    if usage is None:
        raise NotFound("Pool", pool.name)
    return usage


def _per_fixed(number: int) -> int:
    if not 1 <= number <= MOST_PER_FIXED:
        raise Invalid("floating_ips_per_fixed_ip", f"must be from 1 to {MOST_PER_FIXED}")
    return number


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
    _per_fixed(new.per_fixed)
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
        if any(pool.gateway in mine for mine in new.ranges):
            raise Conflict(f"ranges: {pool.gateway} is the gateway of pool {pool.name}.", field="ranges")
        if any(new.gateway in part for part in pool.ranges):
            raise Conflict(f"gateway: {new.gateway} is an address of pool {pool.name}.", field="gateway")
    for network in tx.topology.networks(None):
        # What a project made for itself keeps nobody from making a pool: its guests go without the pool's addresses.
        if network.own is None and network.cidr.overlaps(new.cidr):
            raise Conflict(f"cidr: {new.cidr} overlaps network {network.name} ({network.cidr}).", field="cidr")
