"""Who may use which pool of public addresses."""

from collections.abc import Collection, Iterable

from mooring.model.accounts import Caller
from mooring.model.ids import PoolId
from mooring.model.nouns import AddressPool
from mooring.policy.roles import Verb, may


def may_use(pool: AddressPool, granted: Collection[PoolId], caller: Caller | None = None) -> bool:
    """Say whether a project that has some grants may see a pool and take of it; who administers pools may always."""
    return pool.public or pool.id in granted or (caller is not None and may(caller.roles, Verb.POOL_ADMIN))


def usable_by(
    pools: Iterable[AddressPool], granted: Collection[PoolId], caller: Caller | None = None
) -> list[AddressPool]:
    """Return those of some pools that such a project may use."""
    return [pool for pool in pools if may_use(pool, granted, caller)]


def may_choose(pool: AddressPool, granted: Collection[PoolId], caller: Caller) -> bool:
    """Say whether a caller may ask for one address of a pool by itself.

    In a pool that was granted to them, projects are among few who know each other; in a public one, only administrators may, for who could
    try address by address would learn which ones others have.
    """
    return may(caller.roles, Verb.ADDRESS_CHOOSE) or (not pool.public and pool.id in granted)
