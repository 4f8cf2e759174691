"""Idempotency keys in the database."""

from datetime import datetime

from sqlalchemy import bindparam, delete, select, tuple_

from mooring.model.ids import ProjectId
from mooring.model.records import Remembered
from mooring.store.schema import memory
from mooring.store.session import Session

_RECALL = select(memory.c.fingerprint, memory.c.object_id).where(
    memory.c.project == bindparam("project"),
    memory.c.key == bindparam("key"),
)

_OLDEST = (
    select(memory.c.project, memory.c.key)
    .where(memory.c.created < bindparam("before"))
    .order_by(memory.c.created)
    .limit(bindparam("at_most"))
)
_FORGET = delete(memory).where(tuple_(memory.c.project, memory.c.key).in_(_OLDEST))


class Memory:
    """See mooring.operations.interfaces.Memory."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def recall(self, project: ProjectId, key: str) -> Remembered | None:
        row = self._session.row(_RECALL, project=project, key=key)
        return Remembered(*row) if row else None

    def remember(self, project: ProjectId, key: str, what: Remembered) -> None:
        self._session.add(
            memory,
            project=project,
            key=key,
            fingerprint=what.fingerprint,
            object_id=what.object_id,
            created=self._session.now(),
        )

    def forget(self, before: datetime, at_most: int) -> int:
        return self._session.change(_FORGET, before=before, at_most=at_most)
