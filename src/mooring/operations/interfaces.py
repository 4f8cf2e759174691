"""What operations need of others: a store whose transactions hold the truth, a clock, ids, and a bell.

A store promises: a write transaction sees everything committed before it and runs as if alone (SQLite: BEGIN IMMEDIATE; PostgreSQL:
guarded statements whose row counts are checked, so that two writers cannot both win); leaving it without an exception commits durably;
leaving it with one changes nothing.  Listing methods return rows in a stable order (creation, then id) unless they say otherwise.
After Duplicate or Referenced nothing of the refused call remains, and the transaction goes on.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from mooring.model.ids import (
    HostId,
    InstanceId,
    ProjectId,
)
from mooring.model.nouns import Quota, Resource
from mooring.model.records import (
    AddressRow,
    Credentials,
    Duplicate,
    FloatingChoice,
    InstanceRow,
    KeyCredentials,
    NicRow,
    Referenced,
    Remembered,
    RouterRow,
    TokenRow,
)
from mooring.operations.interfaces_of_addresses import Addresses
from mooring.operations.interfaces_of_allowances import Allowances
from mooring.operations.interfaces_of_deliveries import Deliveries
from mooring.operations.interfaces_of_egress import Preferences
from mooring.operations.interfaces_of_events import Events
from mooring.operations.interfaces_of_forwardings import Forwardings
from mooring.operations.interfaces_of_groups import Groups
from mooring.operations.interfaces_of_identities import Identities
from mooring.operations.interfaces_of_instances import Cards, Instances
from mooring.operations.interfaces_of_names import Names
from mooring.operations.interfaces_of_own import Own
from mooring.operations.interfaces_of_pools import Pools
from mooring.operations.interfaces_of_tags import Tags
from mooring.operations.interfaces_of_topology import Topology

__all__ = [
    "AddressRow",
    "Addresses",
    "Allowances",
    "Bell",
    "Cards",
    "Chance",
    "Credentials",
    "Deliveries",
    "Duplicate",
    "Events",
    "FloatingChoice",
    "Forwardings",
    "Groups",
    "Identities",
    "InstanceRow",
    "Instances",
    "KeyCredentials",
    "Memory",
    "Names",
    "NicRow",
    "Own",
    "Pools",
    "Preferences",
    "Quotas",
    "Referenced",
    "Remembered",
    "RouterRow",
    "Store",
    "Tags",
    "TokenRow",
    "Topology",
    "Transaction",
]


class Quotas(Protocol):
    """One counter row per project and resource; a limit of -1 is none, and where no limit was ever set it is 0."""

    def set(self, project: ProjectId, resource: Resource, limit: int) -> None:
        """Set a limit, also below what is used: then nothing more can be taken."""
        ...

    def take(self, project: ProjectId, resource: Resource, amount: int = 1) -> bool:
        """Count upwards if the limit allows it; False otherwise."""
        ...

    def give(self, project: ProjectId, resource: Resource, amount: int = 1) -> None: ...
    def get(self, project: ProjectId, resource: Resource) -> Quota: ...


class Memory(Protocol):
    """Idempotency keys of mutating calls."""

    def recall(self, project: ProjectId, key: str) -> Remembered | None: ...

    def remember(self, project: ProjectId, key: str, what: Remembered) -> None:
        """Insert; raises Duplicate if the key is known."""
        ...

    def forget(self, before: datetime, at_most: int) -> int:
        """Delete so many keys, of those that were remembered earlier than `before` the oldest, and return how many that were."""
        ...


class Transaction(Protocol):
    """One database transaction, by noun."""

    @property
    def identities(self) -> Identities: ...
    @property
    def topology(self) -> Topology: ...
    @property
    def addresses(self) -> Addresses: ...
    @property
    def allowances(self) -> Allowances: ...
    @property
    def forwardings(self) -> Forwardings: ...
    @property
    def instances(self) -> Instances: ...
    @property
    def cards(self) -> Cards: ...
    @property
    def groups(self) -> Groups: ...
    @property
    def names(self) -> Names: ...
    @property
    def preferences(self) -> Preferences: ...
    @property
    def pools(self) -> Pools: ...
    @property
    def own(self) -> Own: ...
    @property
    def quotas(self) -> Quotas: ...
    @property
    def deliveries(self) -> Deliveries: ...
    @property
    def memory(self) -> Memory: ...
    @property
    def events(self) -> Events: ...
    @property
    def tags(self) -> Tags: ...

    def now(self) -> datetime:
        """Return the present moment in UTC by the database's clock: one for all processes, whatever their own clocks say."""
        ...


class Store(Protocol):
    """Where intent is kept.  Both kinds of transaction raise Unavailable when the database is away."""

    def read(self) -> AbstractContextManager[Transaction]:
        """Open a consistent snapshot."""
        ...

    def write(self) -> AbstractContextManager[Transaction]:
        """Open a transaction that commits when left without an exception."""
        ...


class Bell(Protocol):
    """Wakes those who wait; a lost ring costs time, never truth."""

    def wake(self, hosts: Iterable[HostId]) -> None:
        """Tell agents that there is something to pull."""
        ...

    def launch(self, instance: InstanceId) -> None:
        """Tell the scheduler that an instance wants a host."""
        ...

    def settled(self) -> None:
        """Tell waiting operations that hosts have reported."""
        ...

    def wait_settled(self, done: Callable[[], bool], timeout: float) -> bool:
        """Wait up to `timeout` seconds for `done`, asked after each ring; return what it said last."""
        ...


class Chance(Protocol):
    """Randomness, injected so that a simulation can own it.  Time is the database's: see Transaction.now."""

    def new_id(self) -> str:
        """Return a new random UUID."""
        ...

    def new_mac(self) -> str:
        """Return a new random locally administered unicast MAC address, in lower case with colons."""
        ...

    def new_secret(self) -> str:
        """Return a new unguessable text that is safe in URLs and headers, of at least 256 random bits."""
        ...
