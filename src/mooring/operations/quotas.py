"""Quotas: what a project may have, as administrators set it, several limits at once."""

from collections.abc import Mapping, Sequence

from mooring.model.accounts import Caller, Project
from mooring.model.events import Action
from mooring.model.faults import Invalid, NotFound
from mooring.model.ids import ProjectId
from mooring.model.nouns import Quota, Resource
from mooring.operations.door import Door
from mooring.operations.events import note
from mooring.operations.interfaces import Transaction
from mooring.policy.roles import Verb

_NO_LIMIT = -1
_MOST = 2**31 - 1


class QuotaOperations:
    """Limits of projects."""

    def __init__(self, door: Door) -> None:
        """Keep the door."""
        self._door = door

    def defaults(self, caller: Caller) -> Mapping[Resource, int]:
        """Return the limits that a new project has."""
        self._door.allow(caller, Verb.READ)
        return {resource: self._door.limits.quotas.get(resource, 0) for resource in Resource}

    def change(
        self, caller: Caller, project: str, limits: Mapping[Resource, int], *, force: bool = False
    ) -> Sequence[Quota]:
        """Set some limits of a project, named by id or name, all or none; -1 is no limit.  Return all that it has.

        With `force` a limit may be below what is in use: then nothing more can be taken.

        Raises:
            NotFound: there is no such project.
            Invalid: a limit that is none, or is below what is in use.
        """
        self._door.allow(caller, Verb.QUOTA_ADMIN)
        with self._door.store.write() as tx:
            found = _project(tx, project)
            for resource, limit in limits.items():
                used = tx.quotas.get(found.id, resource).used
                if not _NO_LIMIT <= limit <= _MOST:
                    raise Invalid(resource.value, f"must be from {_NO_LIMIT}, which is no limit, to {_MOST}")
                if not force and _NO_LIMIT < limit < used:
                    raise Invalid(resource.value, f"{limit} is less than the {used} in use: free some, or force it")
                tx.quotas.set(found.id, resource, limit)
            note(tx, caller, Action.QUOTA_SET, found.id, found.id, **{it.value: limit for it, limit in limits.items()})
            return [tx.quotas.get(found.id, resource) for resource in Resource]

    def reset(self, caller: Caller, project: str) -> None:
        """Give a project, named by id or name, the limits of a new one, also below what it has.

        Raises:
            NotFound: there is no such project.
        """
        self.change(caller, project, self.defaults(caller), force=True)


def _project(tx: Transaction, name: str) -> Project:
    found = tx.identities.project(ProjectId(name)) or tx.identities.project_by_name(name)
    if found is None:
        raise NotFound("Project", name)
    return found
