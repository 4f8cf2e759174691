"""Quotas in the database: a counter row, changed by one guarded UPDATE."""

from sqlalchemy import bindparam, func, or_, select, update

from mooring.model.ids import ProjectId
from mooring.model.nouns import Quota, Resource
from mooring.store.schema import quotas, security_groups
from mooring.store.session import Session

_MINE = (quotas.c.project == bindparam("of_project"), quotas.c.resource == bindparam("of_resource"))
_AMOUNT = bindparam("amount", type_=quotas.c.used.type)
_GET = select(quotas.c.used, quotas.c.ceiling).where(*_MINE)
_TAKE = (
    update(quotas)
    .where(*_MINE, or_(quotas.c.ceiling == -1, quotas.c.used + _AMOUNT <= quotas.c.ceiling))
    .values(used=quotas.c.used + _AMOUNT)
)
_FULLEST = {
    resource: select(func.max(column)).where(security_groups.c.project == bindparam("of_project"))
    for resource, column in (
        (Resource.SECURITY_GROUP_RULES, security_groups.c.rules),
        (Resource.SECURITY_GROUP_MEMBERS, security_groups.c.members),
    )
}
"""What is counted in each group, and not here."""
_GIVE = update(quotas).where(*_MINE).values(used=quotas.c.used - _AMOUNT)


class Quotas:
    """See mooring.operations.interfaces.Quotas."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def set(self, project: ProjectId, resource: Resource, limit: int) -> None:
        statement = self._session.flavour.insert(quotas)
        self._session.refusable(
            statement.on_conflict_do_update(
                index_elements=[quotas.c.project, quotas.c.resource],
                set_={"ceiling": statement.excluded.ceiling},
            ),
            project=project,
            resource=resource.value,
            used=0,
            ceiling=limit,
        )

    def take(self, project: ProjectId, resource: Resource, amount: int = 1) -> bool:
        changed = self._session.change(_TAKE, of_project=project, of_resource=resource.value, amount=amount)
        return changed == 1

    def give(self, project: ProjectId, resource: Resource, amount: int = 1) -> None:
        """Count downwards; giving more than was taken is a mistake of ours, and the CHECK refuses it."""
        self._session.change(_GIVE, of_project=project, of_resource=resource.value, amount=amount)

    def get(self, project: ProjectId, resource: Resource) -> Quota:
        row = self._session.row(_GET, of_project=project, of_resource=resource.value)
        used, ceiling = row or (0, 0)
        if resource in _FULLEST:
            fullest = self._session.row(_FULLEST[resource], of_project=project)
            used = (fullest[0] if fullest else None) or 0
        return Quota(resource, used, ceiling)
