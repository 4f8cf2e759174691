"""Events in the simulated database."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from mooring.model.events import Event, EventChoice
from mooring.model.ids import ProjectId
from tests.simulation.database.tables import Tables


class Events:
    """See mooring.operations.interfaces_of_events.Events."""

    def __init__(self, tables: Tables, now: Callable[[], datetime]) -> None:
        self._tables = tables
        self._now = now

    def add(self, event: Event) -> None:
        number = 1 + max(self._tables.events.keys(), default=0)
        self._tables.events.put(number, replace(event, number=number, at=self._now()))

    def list(self, project: ProjectId | None, choice: EventChoice) -> Sequence[Event]:
        found = [
            event
            for event in self._tables.events.values()
            if project in (None, event.project)
            and choice.object in (None, event.object)
            and choice.action in (None, event.action)
            and (choice.before is None or event.number < choice.before)
        ]
        return sorted(found, key=lambda event: -event.number)[: choice.limit]

    def forget(self, before: datetime, at_most: int) -> int:
        old = [event.number for event in self._tables.events.values() if event.at is not None and event.at < before]
        for number in sorted(old)[:at_most]:
            self._tables.events.drop(number)
        return len(old[:at_most])
