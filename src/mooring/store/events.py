"""Events in the database."""

import json
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import bindparam, delete, select

from mooring.model.events import Action, Event, EventChoice
from mooring.model.ids import ProjectId
from mooring.store.schema import events
from mooring.store.session import Session

_OLDEST = (
    select(events.c.seq).where(events.c.at < bindparam("before")).order_by(events.c.at).limit(bindparam("at_most"))
)
_FORGET = delete(events).where(events.c.seq.in_(_OLDEST))
_FIELDS = select(
    events.c.seq,
    events.c.at,
    events.c.action,
    events.c.object,
    events.c.project,
    events.c.user,
    events.c.user_name,
    events.c.request_id,
    events.c.about,
)


class Events:
    """See mooring.operations.interfaces_of_events.Events."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, event: Event) -> None:
        self._session.add(
            events,
            at=self._session.now(),
            action=event.action.value,
            object=event.object,
            project=event.project,
            user=event.user,
            user_name=event.user_name,
            request_id=event.request_id,
            about=json.dumps(event.about),
        )

    def list(self, project: ProjectId | None, choice: EventChoice) -> Sequence[Event]:
        statement = _FIELDS.order_by(events.c.seq.desc()).limit(choice.limit)
        if project is not None:
            statement = statement.where(events.c.project == project)
        if choice.object is not None:
            statement = statement.where(events.c.object == choice.object)
        if choice.action is not None:
            statement = statement.where(events.c.action == choice.action.value)
        if choice.before is not None:
            statement = statement.where(events.c.seq < choice.before)
        return [
            Event(
                Action(row.action),
                row.object,
                row.project,
                row.user,
                row.user_name,
                row.request_id,
                json.loads(row.about),
                row.seq,
                row.at,
            )
            for row in self._session.rows(statement)
        ]

    def forget(self, before: datetime, at_most: int) -> int:
        return self._session.change(_FORGET, before=before, at_most=at_most)
