"""Idempotency keys in the database."""

from sqlalchemy import bindparam, select

from mooring.model.ids import ProjectId
from mooring.model.records import Remembered
from mooring.store.schema import memory
from mooring.store.session import Session

_RECALL = select(memory.c.fingerprint, memory.c.object_id).where(
    memory.c.project == bindparam("project"),
    memory.c.key == bindparam("key"),
)


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
