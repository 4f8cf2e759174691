"""Projects, users, roles, tokens, quotas and idempotency keys in the simulated database."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime

from mooring.model.accounts import Grant, Key, Project, Role, User
from mooring.model.faults import NotFound
from mooring.model.ids import KeyId, ProjectId, UserId
from mooring.model.nouns import Quota, Resource
from mooring.model.records import Credentials, KeyCredentials, Remembered, TokenRow
from tests.simulation.database.pools import Pools
from tests.simulation.database.tables import Tables, check, needed, needs, unique


class Identities:
    """See mooring.operations.interfaces_of_identities.Identities."""

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

    def save_project(self, project: Project) -> None:
        named = self.project_by_name(project.name)
        unique(named is not None and named.id != project.id, "projects.name")
        self._tables.projects.put(project.id, project)

    def delete_project(self, project: ProjectId) -> None:
        tables = self._tables
        owners = (
            *(record.row.project for record in tables.instances.values()),
            *(row.project for row in tables.addresses.values()),
            *(router.project for router in tables.routers.values()),
            *(network.project for network, _ in tables.networks.values()),
            *(group.project for group in tables.groups.values()),
            *(known.project for known, _ in tables.preferences.values()),
            *(known.project for known, _ in tables.forwardings.values()),
            *(claimed for claimed, _ in tables.claims.values()),
            *(network.project for network in tables.bares.values()),
            *(pool.project for pool in tables.subnet_pools.values()),
        )
        needed(project in owners)
        for key in [key for key, row in tables.keys.items() if row.key.project == project]:
            self.delete_key(key)
        self.revoke_tokens(project=project)
        for grant in [grant for grant in tables.grants.keys() if grant[1] == project]:  # noqa: SIM118 - a Table is no dict
            tables.grants.drop(grant)
        Pools(tables).forget(project=project)
        for quota in [quota for quota in tables.quotas.keys() if quota[0] == project]:  # noqa: SIM118
            tables.quotas.drop(quota)
        for known in [known for known in tables.memory.keys() if known[0] == project]:  # noqa: SIM118
            tables.memory.drop(known)
        if project in tables.projects:
            tables.projects.drop(project)

    def add_user(self, credentials: Credentials) -> None:
        unique(credentials.user.id in self._tables.users, "users.id")
        unique(self.user_by_name(credentials.user.name) is not None, "users.name")
        self._tables.users.put(credentials.user.id, credentials)

    def user(self, user: UserId) -> Credentials | None:
        return self._tables.users.get(user)

    def user_by_name(self, name: str) -> Credentials | None:
        return next((known for known in self._tables.users.values() if known.user.name == name), None)

    def users(self) -> Sequence[User]:
        return [known.user for known in self._tables.users.values()]

    def save_user(self, user: User) -> None:
        named = self.user_by_name(user.name)
        unique(named is not None and named.user.id != user.id, "users.name")
        self._tables.users.put(user.id, replace(self._tables.users[user.id], user=user))

    def delete_user(self, user: UserId) -> None:
        needed(any(record.row.user == user for record in self._tables.instances.values()))
        for key in self.keys(user):
            self.delete_key(key.id)
        self.revoke_tokens(user)
        for grant in [grant for grant in self._tables.grants.keys() if grant[0] == user]:  # noqa: SIM118 - a Table is no dict
            self._tables.grants.drop(grant)
        if user in self._tables.users:
            self._tables.users.drop(user)

    def set_password(self, user: UserId, password_hash: str) -> None:
        known = self._tables.users.get(user)
        if known is None:
            raise NotFound("User", user)
        self._tables.users.put(user, replace(known, password_hash=password_hash))

    def grant(self, user: UserId, project: ProjectId, role: Role) -> None:
        needs(user in self._tables.users, project in self._tables.projects)
        self._tables.grants.put((user, project, role), None)

    def revoke(self, user: UserId, project: ProjectId, role: Role) -> bool:
        if (user, project, role) not in self._tables.grants:
            return False
        self._tables.grants.drop((user, project, role))
        return True

    def grants(self, user: UserId | None = None, project: ProjectId | None = None) -> Sequence[Grant]:
        return [
            Grant(known.user, where, role)
            for where in self._tables.projects.values()
            for known in self._tables.users.values()
            for role in sorted(self.roles(known.user.id, where.id))
            if user in (None, known.user.id) and project in (None, where.id)
        ]

    def roles(self, user: UserId, project: ProjectId) -> frozenset[Role]:
        return frozenset(role for who, where, role in self._tables.grants.keys() if (who, where) == (user, project))  # noqa: SIM118

    def projects_of(self, user: UserId) -> Sequence[Project]:
        return [project for project in self._tables.projects.values() if self.roles(user, project.id)]

    def add_key(self, credentials: KeyCredentials) -> None:
        key = credentials.key
        unique(key.id in self._tables.keys, "keys.id")
        unique(self.key_by_name(key.user, key.name) is not None, "keys.user_id, keys.name")
        needs(key.user in self._tables.users, key.project in self._tables.projects)
        self._tables.keys.put(key.id, credentials)

    def key(self, key: KeyId) -> KeyCredentials | None:
        return self._tables.keys.get(key)

    def key_by_name(self, user: UserId, name: str) -> KeyCredentials | None:
        return next((row for row in self._tables.keys.values() if (row.key.user, row.key.name) == (user, name)), None)

    def keys(self, user: UserId | None = None) -> Sequence[Key]:
        return [row.key for row in self._tables.keys.values() if user in (None, row.key.user)]

    def set_secret(self, key: KeyId, secret_hash: str) -> None:
        self._tables.keys.put(key, replace(self._tables.keys[key], secret_hash=secret_hash))
        self._end_of_key(key)

    def delete_key(self, key: KeyId) -> bool:
        if key not in self._tables.keys:
            return False
        self._end_of_key(key)
        self._tables.keys.drop(key)
        return True

    def _end_of_key(self, key: KeyId) -> None:
        for digest in [digest for digest, row in self._tables.tokens.items() if row.key and row.key.id == key]:
            self._tables.tokens.drop(digest)

    def add_token(self, digest: str, row: TokenRow) -> None:
        unique(digest in self._tables.tokens, "tokens.digest")
        needs(row.user.id in self._tables.users, row.project is None or row.project.id in self._tables.projects)
        needs(row.key is None or row.key.id in self._tables.keys)
        if row.issued_at.tzinfo is None or row.expires_at.tzinfo is None:
            raise ValueError("a moment has no time zone")
        self._tables.tokens.put(digest, row)

    def token(self, digest: str) -> TokenRow | None:
        row = self._tables.tokens.get(digest)
        if row is None or not self._tables.users[row.user.id].user.enabled:
            return None
        user = self._tables.users[row.user.id].user
        project = self._tables.projects[row.project.id] if row.project else None
        if project is not None and not project.enabled:
            return None
        roles = self.roles(user.id, project.id) if project else frozenset[Role]()
        key = self._tables.keys[row.key.id].key if row.key else None
        return TokenRow(user, project, roles, row.issued_at, row.expires_at, key)

    def revoke_token(self, digest: str) -> None:
        if digest in self._tables.tokens:
            self._tables.tokens.drop(digest)

    def revoke_tokens(self, user: UserId | None = None, project: ProjectId | None = None) -> None:
        for digest, row in list(self._tables.tokens.items()):
            own = row.project.id if row.project else None
            if (user is not None and row.user.id == user) or (project is not None and own == project):
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

    def __init__(self, tables: Tables, now: Callable[[], datetime]) -> None:
        self._tables = tables
        self._now = now

    def recall(self, project: ProjectId, key: str) -> Remembered | None:
        row = self._tables.memory.get((project, key))
        return row[0] if row is not None else None

    def remember(self, project: ProjectId, key: str, what: Remembered) -> None:
        unique((project, key) in self._tables.memory, "memory.project, memory.key")
        needs(project in self._tables.projects)
        self._tables.memory.put((project, key), (what, self._now()))

    def forget(self, before: datetime, at_most: int) -> int:
        old = sorted((row[1], key) for key, row in self._tables.memory.items() if row[1] < before)[:at_most]
        for _, key in old:
            self._tables.memory.drop(key)
        return len(old)
