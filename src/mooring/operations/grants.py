"""For whom pools are there: grants to projects, and each project's share."""

from mooring.model.accounts import Caller, Project
from mooring.model.events import Action
from mooring.model.faults import Invalid, NotFound
from mooring.model.ids import ProjectId
from mooring.model.nouns import AddressPool
from mooring.model.pools import PoolShare
from mooring.operations.addresses import give_back
from mooring.operations.door import Door
from mooring.operations.events import note
from mooring.operations.interfaces import Transaction
from mooring.operations.pools import find_pool
from mooring.policy.roles import Verb

_NO_LIMIT, _MOST = -1, 2**31 - 1


class GrantOperations:
    """Grants and shares of pools, for administrators.  Pools and projects are named by name or id."""

    def __init__(self, door: Door) -> None:
        """Keep the door."""
        self._door = door

    def grant(self, caller: Caller, pool: str, project: str) -> PoolShare:
        """Let a project use a pool, public or not; where it may already, nothing changes.

        Raises:
            NotFound: there is no such pool or project.
        """
        self._door.allow(caller, Verb.POOL_ADMIN)
        with self._door.store.write() as tx:
            known, grantee = _named(tx, pool, project)
            if known.id not in tx.pools.granted(grantee.id):
                tx.pools.grant(known.id, grantee.id)
                note(tx, caller, Action.POOL_GRANT, known.id, grantee.id, pool=known.name)
            return tx.pools.share(known.id, grantee)

    def withdraw(self, caller: Caller, pool: str, project: str, *, release: bool = False) -> PoolShare:
        """Take a grant back, and return what the project has of the pool after that.

        Its floating IPs of the pool stay its own until it releases them, and those that are associated or have forwarded ports go on; but it gets no
        more, and nothing new can lead to those that it has.  With `release` the others are taken from it.

        Raises:
            NotFound: there is no such pool or project, or the pool isn't granted to it.
        """
        self._door.allow(caller, Verb.POOL_ADMIN)
        with self._door.store.write() as tx:
            known, grantee = _named(tx, pool, project)
            if not tx.pools.withdraw(known.id, grantee.id):
                raise NotFound("Grant", f"of pool {known.name} to project {grantee.name}")
            idle = [
                floating
                for floating in (tx.addresses.floating_ips(grantee.id) if release else ())
                if floating.pool == known.id
                and floating.nic is None
                and not tx.preferences.of_floating(floating.id)
                and not tx.forwardings.of_floating([floating.id])
            ]
            for floating in idle:
                give_back(tx, floating)
                note(tx, caller, Action.FLOATING_IP_RELEASE, floating.id, floating.project, address=floating.address)
            note(tx, caller, Action.POOL_WITHDRAW, known.id, grantee.id, pool=known.name)
            return tx.pools.share(known.id, grantee)

    def limit(self, caller: Caller, pool: str, project: str, limit: int) -> PoolShare:
        """Set how many floating IPs of a pool a project may have, beside its quota for all pools; -1 is no limit.

        Below what it has is allowed: then it gets no more.

        Raises:
            NotFound: there is no such pool or project.
            Invalid: it is no limit.
        """
        self._door.allow(caller, Verb.QUOTA_ADMIN)
        if not _NO_LIMIT <= limit <= _MOST:
            raise Invalid("limit", f"must be from {_NO_LIMIT}, which is no limit, to {_MOST}")
        with self._door.store.write() as tx:
            known, limited = _named(tx, pool, project)
            tx.pools.limit(known.id, limited.id, limit)
            note(tx, caller, Action.QUOTA_SET, limited.id, limited.id, pool=known.name, limit=limit)
            return tx.pools.share(known.id, limited)


def _named(tx: Transaction, pool: str, project: str) -> tuple[AddressPool, Project]:
    known = find_pool(tx, pool)
    found = tx.identities.project(ProjectId(project)) or tx.identities.project_by_name(project)
    if found is None:
        raise NotFound("Project", project)
    return known, found
