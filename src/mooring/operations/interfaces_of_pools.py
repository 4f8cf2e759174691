"""What operations need of a store for what is said of pools; see mooring.operations.interfaces for what holds of all of it."""

from collections.abc import Sequence
from datetime import date
from typing import Protocol

from mooring.model.accounts import Project
from mooring.model.ids import PoolId, ProjectId
from mooring.model.nouns import AddressPool
from mooring.model.pools import PoolDay, PoolShare


class Pools(Protocol):
    """Who may use pools, each project's share of them, and how much of them came and went.  It all goes with the pool or the project."""

    def save(self, pool: AddressPool) -> None:
        """Replace whether a pool is public, and how many of its floating IPs a fixed IP may have."""
        ...

    def granted(self, project: ProjectId) -> frozenset[PoolId]:
        """Return the pools that are granted to a project, public ones perhaps among them."""
        ...

    def grantees(self, pool: PoolId) -> Sequence[Project]:
        """Return the projects that a pool is granted to, by name."""
        ...

    def grant(self, pool: PoolId, project: ProjectId) -> None:
        """Let a project use a pool; nothing happens if it may already.  Raises Referenced where one of them is not there."""
        ...

    def withdraw(self, pool: PoolId, project: ProjectId) -> bool:
        """Take a grant back; False if there was none."""
        ...

    def take(self, pool: PoolId, project: ProjectId) -> bool:
        """Count a floating IP that a project takes, if its limit in the pool allows it, and in the pool's day; False otherwise."""
        ...

    def give(self, pool: PoolId, project: ProjectId) -> None:
        """Count a floating IP that a project gives back."""
        ...

    def limit(self, pool: PoolId, project: ProjectId, limit: int) -> None:
        """Set how many floating IPs of a pool a project may have, also below what it has; -1 is no limit."""
        ...

    def share(self, pool: PoolId, project: Project) -> PoolShare: ...

    def shares(self, pool: PoolId) -> Sequence[PoolShare]:
        """Return the shares of projects that have, had or are limited in a pool, the largest first."""
        ...

    def counts(self, pool: PoolId) -> tuple[int, int]:
        """Return how many floating IPs of a pool projects have, and how many addresses routers; in a time that depends on neither."""
        ...

    def days(self, pool: PoolId, since: date) -> Sequence[PoolDay]:
        """Return the days since one, in order, on which anything was taken or given back."""
        ...

    def first_day(self, pool: PoolId) -> date | None:
        """Return the first day on which anything was taken."""
        ...
