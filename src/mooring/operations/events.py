"""Events: every change is noted in the transaction that makes it."""

from collections.abc import Sequence

from mooring.model.accounts import Caller
from mooring.model.events import Action, Event, EventChoice
from mooring.model.ids import ProjectId
from mooring.operations.door import Door
from mooring.operations.interfaces import Transaction
from mooring.policy.roles import Verb


def note(
    tx: Transaction, caller: Caller, action: Action, thing: str, project: ProjectId | None = None, **about: object
) -> None:
    """Note a change of a thing: of the caller's project, unless another one is named; `about` is told as text, and None not at all."""
    told = {name: str(value) for name, value in about.items() if value is not None}
    owner = project if project is not None else caller.project.id
    tx.events.add(Event(action, thing, owner, caller.user.id, caller.user.name, caller.request_id, told))


class EventOperations:
    """Who changed what."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def listing(self, caller: Caller, choice: EventChoice, *, every_project: bool = False) -> Sequence[Event]:
        """Return the project's events, the newest first, or with `every_project` an administrator everybody's."""
        self._door.allow(caller, Verb.READ)
        with self._door.store.read() as tx:
            return tx.events.list(None if every_project and caller.is_admin else caller.project.id, choice)
