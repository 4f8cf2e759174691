"""What operations need of a store for events; see mooring.operations.interfaces for what holds of all of it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from mooring.model.events import Event, EventChoice
from mooring.model.ids import ProjectId


class Events(Protocol):
    """What was changed.  An event goes with the transaction that made the change, and no other way."""

    def add(self, event: Event) -> None:
        """Insert an event, with the next number and the time."""
        ...

    def list(self, project: ProjectId | None, choice: EventChoice) -> Sequence[Event]:
        """Return a project's events or, for None, all, the newest first."""
        ...

    def forget(self, before: datetime, at_most: int) -> int:
        """Delete so many events, of those that are earlier than `before` the oldest, and return how many that were."""
        ...
