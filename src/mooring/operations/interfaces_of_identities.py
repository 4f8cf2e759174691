"""What operations need of a store as far as it is about who calls."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from mooring.model.accounts import Grant, Key, Project, Role, User
from mooring.model.ids import KeyId, ProjectId, UserId
from mooring.model.records import Credentials, KeyCredentials, TokenRow


class Identities(Protocol):
    """Projects, users, roles, keys and tokens."""

    def add_project(self, project: Project) -> None:
        """Insert a project; raises Duplicate for a name in use."""
        ...

    def project(self, project: ProjectId) -> Project | None: ...
    def project_by_name(self, name: str) -> Project | None: ...
    def projects(self) -> Sequence[Project]: ...

    def save_project(self, project: Project) -> None:
        """Replace everything of a project but its id; raises Duplicate for a name in use."""
        ...

    def delete_project(self, project: ProjectId) -> None:
        """Delete, with its grants, keys, log-ins, quotas and idempotency keys; raises Referenced while it owns anything."""
        ...

    def add_user(self, credentials: Credentials) -> None:
        """Insert a user; raises Duplicate for a name in use."""
        ...

    def user(self, user: UserId) -> Credentials | None: ...
    def user_by_name(self, name: str) -> Credentials | None: ...
    def users(self) -> Sequence[User]: ...
    def set_password(self, user: UserId, password_hash: str) -> None: ...

    def save_user(self, user: User) -> None:
        """Replace everything of a user but id and password; raises Duplicate for a name in use."""
        ...

    def delete_user(self, user: UserId) -> None:
        """Delete, with grants, keys and log-ins; raises Referenced while an instance names the user."""
        ...

    def grant(self, user: UserId, project: ProjectId, role: Role) -> None:
        """Give a role; nothing happens if the user has it."""
        ...

    def revoke(self, user: UserId, project: ProjectId, role: Role) -> bool:
        """Take a role; False if the user did not have it."""
        ...

    def grants(self, user: UserId | None = None, project: ProjectId | None = None) -> Sequence[Grant]:
        """Return all grants, of one user, in one project, or both; by project, then user, then role."""
        ...

    def roles(self, user: UserId, project: ProjectId) -> frozenset[Role]: ...
    def projects_of(self, user: UserId) -> Sequence[Project]: ...

    def add_key(self, credentials: KeyCredentials) -> None:
        """Insert a key; raises Duplicate if its user has one of this name, Referenced if user or project are gone."""
        ...

    def key(self, key: KeyId) -> KeyCredentials | None: ...
    def key_by_name(self, user: UserId, name: str) -> KeyCredentials | None: ...

    def keys(self, user: UserId | None = None) -> Sequence[Key]:
        """Return a user's keys, or everybody's."""
        ...

    def set_secret(self, key: KeyId, secret_hash: str) -> None:
        """Replace a key's secret, and end its log-ins."""
        ...

    def delete_key(self, key: KeyId) -> bool:
        """Delete a key, with its log-ins; False if there was none."""
        ...

    def add_token(self, digest: str, row: TokenRow) -> None:
        """Insert a log-in; raises Referenced if its user, project or key are gone."""
        ...

    def token(self, digest: str) -> TokenRow | None:
        """Return a token of an enabled user and project with the roles that the user has *now*, whether or not it has expired."""
        ...

    def revoke_token(self, digest: str) -> None: ...

    def revoke_tokens(self, user: UserId | None = None, project: ProjectId | None = None) -> None:
        """End all log-ins of a user, or in a project."""
        ...

    def prune_tokens(self, now: datetime) -> None:
        """Forget tokens that expired before `now`."""
        ...
