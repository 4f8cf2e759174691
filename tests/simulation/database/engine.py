"""The simulated database: transactions one after the other, and what can go wrong around them.

A transaction runs without interruption from its first statement to its commit.  That loses no behaviour: the real databases promise that
the result is as if it had, and the moments in which a process can die or others can come between are all before, between and after
transactions.  Those moments are the `Gate`'s: the simulation lets other tasks run there, kills processes, and takes the database away.
"""

import threading
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from mooring.model.faults import Unavailable
from tests.simulation.database.addresses import Addresses
from tests.simulation.database.allowances import Allowances
from tests.simulation.database.cards import Cards
from tests.simulation.database.deliveries import Deliveries
from tests.simulation.database.egress import Preferences
from tests.simulation.database.events import Events
from tests.simulation.database.forwardings import Forwardings
from tests.simulation.database.groups import Groups
from tests.simulation.database.identities import Identities, Memory, Quotas
from tests.simulation.database.instances import Instances
from tests.simulation.database.names import Names
from tests.simulation.database.own import Own
from tests.simulation.database.pools import Pools
from tests.simulation.database.tables import Tables
from tests.simulation.database.tags import Tags
from tests.simulation.database.topology import Topology


class MemoryTransaction:
    """See mooring.operations.interfaces.Transaction."""

    def __init__(self, tables: Tables, now: Callable[[], datetime]) -> None:
        self.tables = tables
        self.now = now
        self.identities = Identities(tables)
        self.topology = Topology(tables)
        self.addresses = Addresses(tables)
        self.allowances = Allowances(tables)
        self.forwardings = Forwardings(tables)
        self.instances = Instances(tables, now)
        self.groups = Groups(tables)
        self.names = Names()
        self.preferences = Preferences(tables)
        self.pools = Pools(tables, now)
        self.own = Own(tables)
        self.cards = Cards()
        self.quotas = Quotas(tables)
        self.deliveries = Deliveries(tables)
        self.memory = Memory(tables, now)
        self.events = Events(tables, now)
        self.tags = Tags()


class Gate:
    """What happens around a transaction; here nothing does."""

    def begin(self, kind: str) -> None:
        """Come before a transaction's first statement."""

    def commit(self) -> None:
        """Come before the commit; an exception is a rollback."""

    def committed(self) -> None:
        """Come after the commit; an exception is an outcome that the process does not know."""


@dataclass
class Database:
    """What all processes share: the last committed state, which nobody can write to, and whose turn it is to write."""

    tables: Tables = field(default_factory=Tables)
    commits: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    holder: int | None = None

    @contextmanager
    def exclusive(self, patience: float) -> Generator[None]:
        """Let one writer in at a time."""
        me = threading.get_ident()
        if self.holder == me:
            raise RuntimeError("a write transaction inside a write transaction would wait for itself")
        if not self.lock.acquire(timeout=patience):
            raise Unavailable("The database is not available.", detail="waited for other writers")
        self.holder = me
        try:
            yield
        finally:
            self.holder = None
            self.lock.release()

    def backup(self) -> Tables:
        """Return the committed state; nothing that happens later changes it."""
        return self.tables

    def restore(self, backup: Tables) -> None:
        """Go back to a backup."""
        self.tables = backup
        self.commits += 1


class MemoryStore:
    """See mooring.operations.interfaces.Store.  One per process; `now` is the clock for what a store dates by itself."""

    def __init__(
        self, database: Database, now: Callable[[], datetime], gate: Gate | None = None, patience: float = 30
    ) -> None:
        self.database = database
        self._now = now
        self._gate = gate or Gate()
        self._patience = patience

    def close(self) -> None:
        """Do nothing: there is nothing to give back."""

    def read(self) -> AbstractContextManager[MemoryTransaction]:
        return self._read()

    @contextmanager
    def _read(self) -> Generator[MemoryTransaction]:
        self._gate.begin("read")
        yield MemoryTransaction(self.database.tables, self._now)

    def write(self) -> AbstractContextManager[MemoryTransaction]:
        return self._write()

    @contextmanager
    def _write(self) -> Generator[MemoryTransaction]:
        self._gate.begin("write")
        with self.database.exclusive(self._patience):
            tables = self.database.tables.fork(writable=True)
            yield MemoryTransaction(tables, self._now)
            self._gate.commit()
            # Nobody writes to these tables again: a later transaction copies what it changes.
            self.database.tables = tables.fork(writable=False)
            self.database.commits += 1
        self._gate.committed()
