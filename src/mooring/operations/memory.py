"""What is remembered only for a time, so that a database does not grow with all that was ever asked."""

from collections.abc import Callable
from datetime import timedelta

from mooring.operations.door import Door
from mooring.operations.interfaces import Transaction

REMEMBERED = timedelta(days=7)
"""How long an idempotency key is good for: who repeats a request does so within minutes, or after a weekend."""

NOTED = timedelta(days=90)
"""How long an event is kept."""

_AT_ONCE = 1_000


class MemoryOperations:
    """Forgets idempotency keys and events."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def forget(self) -> int:
        """Forget what is too old, in transactions that nobody has to wait for, and return how much."""
        keys = self._all(lambda tx: tx.memory.forget(tx.now() - REMEMBERED, _AT_ONCE))
        return keys + self._all(lambda tx: tx.events.forget(tx.now() - NOTED, _AT_ONCE))

    def _all(self, some: Callable[[Transaction], int]) -> int:
        forgotten = 0
        while True:
            with self._door.store.write() as tx:
                count = some(tx)
            forgotten += count
            if count < _AT_ONCE:
                return forgotten
