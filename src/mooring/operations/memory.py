"""What is remembered only for a time, so that a database does not grow with all that was ever asked."""

from datetime import timedelta

from mooring.operations.door import Door

REMEMBERED = timedelta(days=7)
"""How long an idempotency key is good for: who repeats a request does so within minutes, or after a weekend."""

_AT_ONCE = 1_000


class MemoryOperations:
    """Forgets idempotency keys."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def forget(self) -> int:
        """Forget keys that are too old, in transactions that nobody has to wait for, and return how many."""
        forgotten = 0
        while True:
            with self._door.store.write() as tx:
                count = tx.memory.forget(tx.now() - REMEMBERED, _AT_ONCE)
            forgotten += count
            if count < _AT_ONCE:
                return forgotten
