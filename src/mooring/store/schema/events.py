"""The table of events: who changed what."""

from datetime import datetime

from sqlalchemy import Column, Index, Named, Table

from mooring.model.ids import ProjectId, UserId
from mooring.store.schema.columns import Listed, Moment, metadata, some_text


class EventColumns(Listed):
    """Changes that were made.  They outlive what they name, so nothing here refers to another table; `about` is a JSON object of texts."""

    at: Named[datetime] = Column(Moment, nullable=False)
    action: Named[str] = some_text()
    object: Named[str] = some_text()
    project: Named[ProjectId] = some_text()
    user: Named[UserId] = some_text()
    user_name: Named[str] = some_text()
    request_id: Named[str] = some_text()
    about: Named[str] = some_text()


events = Table(
    "events",
    metadata,
    EventColumns,
    Index(None, "project", "seq"),
    Index(None, "object", "seq"),
    Index(None, "at"),
)
