"""How a database is opened."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

_PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class Options:
    """How to open a database.

    `durable=False` leaves out the waiting for the disk: for tests and simulations, where the machine doesn't lose power and hundreds of
    databases come and go.  `now` is the clock instead of the database's own.  `patience` is for how many seconds a writer waits for those
    before it, of this process and then of others, and a reader for a connection.  `readers` is how many may read at once in this process;
    without it, as many as suit the database.
    """

    durable: bool = True
    now: Callable[[], datetime] | None = None
    patience: float = _PATIENCE
    readers: int | None = None
