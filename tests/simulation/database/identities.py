"""Projects, users, roles, tokens, quotas and idempotency keys in the simulated database."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from mooring.model.faults import NotFound
from mooring.model.ids import ProjectId, UserId
from mooring.model.nouns import Project, Quota, Resource, Role
from mooring.model.records import Credentials, Remembered, TokenRow
from tests.simulation.database.tables import Tables, check, needs, unique


class Identities:
    """See mooring.operations.interfaces.Identities."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def add_project(self, project: Project) -> None:
        unique(project.id in self._tables.projects, "projects.id")
        unique(self.project_by_name(project.name) is not None, "projects.name")
        self._tables.projects.put(project.id, project)

    def project(self, project: ProjectId) -> Project | None:
        return self._tables.projects.get(project)

    def project_by_name(self, name: str) -> Project | None:
        return next((project for project in self._tables.projects.values() if project.name == name), None)

    def projects(self) -> Sequence[Project]:
        return list(self._tables.projects.values())

    def add_user(self, credentials: Credentials) -> None:
        unique(credentials.user.id in self._tables.users, "users.id")
        unique(self.user_by_name(credentials.user.name) is not None, "users.name")
        self._tables.users.put(credentials.user.id, credentials)

    def user(self, user: UserId) -> Credentials | None:
        return self._tables.users.get(user)

    def user_by_name(self, name: str) -> Credentials | None:
        return next((known for known in self._tables.users.values() if known.user.name == name), None)

    def set_password(self, user: UserId, password_hash: str) -> None:
        known = self._tables.users.get(user)
        if known is None:
            raise NotFound("User", user)
        self._tables.users.put(user, replace(known, password_hash=password_hash))

    def grant(self, user: UserId, project: ProjectId, role: Role) -> None:
        needs(user in self._tables.users, project in self._tables.projects)
        self._tables.grants.put((user, project, role), None)

    def roles(self, user: UserId, project: ProjectId) -> frozenset[Role]:
        return frozenset(role for who, where, role in self._tables.grants.keys() if (who, where) == (user, project))  # noqa: SIM118

    def projects_of(self, user: UserId) -> Sequence[Project]:
        return [project for project in self._tables.projects.values() if self.roles(user, project.id)]

    def add_token(self, digest: str, row: TokenRow) -> None:
        unique(digest in self._tables.tokens, "tokens.digest")
        needs(row.user.id in self._tables.users, row.project is None or row.project.id in self._tables.projects)
        if row.issued_at.tzinfo is None or row.expires_at.tzinfo is None:
            raise ValueError("a moment has no time zone")
        self._tables.tokens.put(digest, row)

    def token(self, digest: str) -> TokenRow | None:
        row = self._tables.tokens.get(digest)
        if row is None or not self._tables.users[row.user.id].enabled:
            return None
        user = self._tables.users[row.user.id].user
        project = self._tables.projects[row.project.id] if row.project else None
        roles = self.roles(user.id, project.id) if project else frozenset[Role]()
        return TokenRow(user, project, roles, row.issued_at, row.expires_at)

    def revoke_token(self, digest: str) -> None:
        if digest in self._tables.tokens:
            self._tables.tokens.drop(digest)

    def prune_tokens(self, now: datetime) -> None:
        for digest in [digest for digest, row in self._tables.tokens.items() if row.expires_at < now]:
            self._tables.tokens.drop(digest)


class Quotas:
    """See mooring.operations.interfaces.Quotas."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def set(self, project: ProjectId, resource: Resource, limit: int) -> None:
        needs(project in self._tables.projects)
        check(limit >= -1, "ck_quotas_ceiling")
        used, _ = self._tables.quotas.get((project, resource)) or (0, 0)
        self._tables.quotas.put((project, resource), (used, limit))

    def take(self, project: ProjectId, resource: Resource, amount: int = 1) -> bool:
        row = self._tables.quotas.get((project, resource))
        if row is None or (row[1] != -1 and row[0] + amount > row[1]):
            return False
        self._tables.quotas.put((project, resource), (row[0] + amount, row[1]))
        return True

    def give(self, project: ProjectId, resource: Resource, amount: int = 1) -> None:
        row = self._tables.quotas.get((project, resource))
        if row is not None:
            check(row[0] >= amount, "ck_quotas_used")
            self._tables.quotas.put((project, resource), (row[0] - amount, row[1]))

    def get(self, project: ProjectId, resource: Resource) -> Quota:
        used, ceiling = self._tables.quotas.get((project, resource)) or (0, 0)
        groups = [group for group, row in self._tables.groups.items() if row.project == project]
        if resource is Resource.SECURITY_GROUP_RULES:
            theirs = [rule.group for rule in self._tables.rules.values()]
            used = max((theirs.count(group) for group in groups), default=0)
        if resource is Resource.SECURITY_GROUP_MEMBERS:
            theirs = [group for _, group in self._tables.nic_groups.keys()]  # noqa: SIM118 - a Table is no dict
            used = max((theirs.count(group) for group in groups), default=0)
        return Quota(resource, used, ceiling)


class Memory:
    """See mooring.operations.interfaces.Memory."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def recall(self, project: ProjectId, key: str) -> Remembered | None:
        return self._tables.memory.get((project, key))

    def remember(self, project: ProjectId, key: str, what: Remembered) -> None:
        unique((project, key) in self._tables.memory, "memory.project, memory.key")
        needs(project in self._tables.projects)
        self._tables.memory.put((project, key), what)
