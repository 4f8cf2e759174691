"""/v1/events: who changed what, and when."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Self

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from mooring.dialects.native.fields import Listing, View
from mooring.dialects.native.service import CallerOf, Service
from mooring.model.events import Action, Event, EventChoice

_PAGE = 1000
_NUMBER = 2**63 - 1


class EventPage(BaseModel):
    """Which events are asked for."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=_PAGE, description="How many at most.")] = _PAGE
    after: Annotated[int | None, Field(ge=1, le=_NUMBER, description="Where to go on: `next` of the page before.")] = (
        None
    )
    object: Annotated[str | None, Field(description="Only of the thing with this id.")] = None
    action: Annotated[Action | None, Field(description="Only of this kind.")] = None
    every_project: Annotated[bool, Field(description="For administrators: of all projects.")] = False


class EventView(View):
    """A change that was made: of the thing with the id `object`, by a user, in answer to a request.

    `project` is whose thing it was.  `about` says more, by words that depend on the action.
    """

    id: str
    at: datetime
    action: Action
    object: str
    project: str
    user: str
    user_name: str
    request_id: str
    about: Mapping[str, str]

    @classmethod
    def of(cls, event: Event) -> Self:
        """Show an event."""
        return cls.model_validate(
            {
                "id": str(event.number),
                **{name: getattr(event, name) for name in cls.model_fields if name != "id"},
            }
        )


def routes(service: Service) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["events"])
    events = service.operations.events

    @router.get("/events")
    @service.reads
    def list_events(caller: CallerOf, page: Annotated[EventPage, Query()]) -> Listing[EventView]:
        """List what was changed in the project in the last 90 days, the newest first."""
        choice = EventChoice(page.object, page.action, page.after, page.limit + 1)
        found = [EventView.of(each) for each in events.listing(caller, choice, every_project=page.every_project)]
        items = found[: page.limit]
        return Listing(items=items, next=items[-1].id if len(found) > len(items) else None)

    return router
