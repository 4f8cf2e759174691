"""Projects, users, roles and log-ins in the database."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Row, bindparam, delete, insert, select, true, update

from mooring.model.accounts import Grant, Key, Project, Role, User
from mooring.model.faults import NotFound
from mooring.model.ids import KeyId, ProjectId, UserId
from mooring.model.records import Credentials, KeyCredentials, TokenRow
from mooring.store.schema import grants, key_roles, keys, memory, projects, quotas, tokens, users
from mooring.store.session import Session

_OF_PROJECT = (projects.c.id, projects.c.name, projects.c.description, projects.c.enabled)
_PROJECTS = select(*_OF_PROJECT).order_by(projects.c.seq)
_PROJECT = _PROJECTS.where(projects.c.id == bindparam("project"))
_PROJECT_BY_NAME = _PROJECTS.where(projects.c.name == bindparam("name"))
_SAVE_PROJECT = (
    update(projects)
    .where(projects.c.id == bindparam("of_project"))
    .values(name=bindparam("new_name"), description=bindparam("new_description"), enabled=bindparam("is_enabled"))
)
# What says something of a project, and goes with it; what it owns does not.
_LEAVE_PROJECT = tuple(
    delete(table).where(table.c.project == bindparam("project")) for table in (tokens, keys, grants, quotas, memory)
)
_DELETE_PROJECT = delete(projects).where(projects.c.id == bindparam("project"))

_OF_USER = (
    users.c.id,
    users.c.name,
    users.c.enabled,
    users.c.description,
    users.c.email,
    users.c.default_project,
)
_USERS = select(*_OF_USER).order_by(users.c.seq)
_CREDENTIALS = select(*_OF_USER, users.c.password_hash)
_USER = _CREDENTIALS.where(users.c.id == bindparam("user"))
_USER_BY_NAME = _CREDENTIALS.where(users.c.name == bindparam("name"))
_SET_PASSWORD = update(users).where(users.c.id == bindparam("user")).values(password_hash=bindparam("new_hash"))
_SAVE_USER = (
    update(users)
    .where(users.c.id == bindparam("user"))
    .values(
        name=bindparam("new_name"),
        enabled=bindparam("is_enabled"),
        description=bindparam("new_description"),
        email=bindparam("new_email"),
        default_project=bindparam("new_default"),
    )
)
_LEAVE_USER = tuple(delete(table).where(table.c.user_id == bindparam("of_user")) for table in (tokens, keys, grants))
_DELETE_USER = delete(users).where(users.c.id == bindparam("of_user"))

_ROLES = select(grants.c.role).where(
    grants.c.user_id == bindparam("user"),
    grants.c.project == bindparam("project"),
)
_REVOKE_ROLE = delete(grants).where(
    grants.c.user_id == bindparam("user"), grants.c.project == bindparam("project"), grants.c.role == bindparam("role")
)
_GRANTS = (
    select(*_OF_USER, *_OF_PROJECT, grants.c.role)
    .select_from(grants)
    .join(users, users.c.id == grants.c.user_id)
    .join(projects, projects.c.id == grants.c.project)
    .order_by(projects.c.seq, users.c.seq, grants.c.role)
)
_PROJECTS_OF = _PROJECTS.where(
    projects.c.id.in_(select(grants.c.project).where(grants.c.user_id == bindparam("user"))),
)

_OF_KEY = (
    keys.c.id,
    keys.c.name,
    keys.c.user_id,
    keys.c.project,
    keys.c.created,
    keys.c.expires,
    keys.c.description,
    keys.c.restricted,
)
_KEYS = select(*_OF_KEY).order_by(keys.c.seq)
_KEYS_OF = _KEYS.where(keys.c.user_id == bindparam("user"))
_KEY = select(*_OF_KEY, keys.c.secret_hash).where(keys.c.id == bindparam("key"))
_KEY_BY_NAME = select(*_OF_KEY, keys.c.secret_hash).where(
    keys.c.user_id == bindparam("user"), keys.c.name == bindparam("name")
)
_KEY_ROLES = select(key_roles.c.role).where(key_roles.c.key == bindparam("key"))
_SET_SECRET = update(keys).where(keys.c.id == bindparam("of_key")).values(secret_hash=bindparam("new_hash"))
_DELETE_KEY = delete(keys).where(keys.c.id == bindparam("key"))

_TOKEN = (
    select(
        *_OF_USER,
        *_OF_PROJECT,
        tokens.c.issued_at,
        tokens.c.expires_at,
        tokens.c.key,
    )
    .select_from(tokens)
    .join(users, users.c.id == tokens.c.user_id)
    .outerjoin(projects, projects.c.id == tokens.c.project)
    .where(tokens.c.digest == bindparam("digest"), users.c.enabled.is_(true()))
)
_REVOKE = delete(tokens).where(tokens.c.digest == bindparam("digest"))
_REVOKE_USER = delete(tokens).where(tokens.c.user_id == bindparam("user"))
_REVOKE_PROJECT = delete(tokens).where(tokens.c.project == bindparam("project"))
_REVOKE_KEY = delete(tokens).where(tokens.c.key == bindparam("of_key"))
_PRUNE = delete(tokens).where(tokens.c.expires_at < bindparam("now"))


_KeyRow = Row[KeyId, str, UserId, ProjectId, datetime, datetime | None, str, bool, str]


class Identities:
    """See mooring.operations.interfaces_of_identities.Identities."""

    def __init__(self, session: Session) -> None:
        self._session = session

    # ----------------------------------------------------------------------------------------------------- projects

    def add_project(self, project: Project) -> None:
        self._session.add(
            projects, id=project.id, name=project.name, description=project.description, enabled=project.enabled
        )

    def project(self, project: ProjectId) -> Project | None:
        row = self._session.row(_PROJECT, project=project)
        return Project(*row) if row else None

    def project_by_name(self, name: str) -> Project | None:
        row = self._session.row(_PROJECT_BY_NAME, name=name)
        return Project(*row) if row else None

    def projects(self) -> Sequence[Project]:
        return [Project(*row) for row in self._session.rows(_PROJECTS)]

    def save_project(self, project: Project) -> None:
        self._session.refusable(
            _SAVE_PROJECT,
            of_project=project.id,
            new_name=project.name,
            new_description=project.description,
            is_enabled=project.enabled,
        )

    def delete_project(self, project: ProjectId) -> None:
        with self._session.whole(), self._session.refusals():
            for statement in (*_LEAVE_PROJECT, _DELETE_PROJECT):
                self._session.change(statement, project=project)

    # -------------------------------------------------------------------------------------------------------- users

    def add_user(self, credentials: Credentials) -> None:
        user = credentials.user
        self._session.add(
            users,
            id=user.id,
            name=user.name,
            password_hash=credentials.password_hash,
            enabled=user.enabled,
            description=user.description,
            email=user.email,
            default_project=user.default_project,
        )

    def user(self, user: UserId) -> Credentials | None:
        return _credentials(self._session.row(_USER, user=user))

    def user_by_name(self, name: str) -> Credentials | None:
        return _credentials(self._session.row(_USER_BY_NAME, name=name))

    def users(self) -> Sequence[User]:
        return [_user(tuple(row)) for row in self._session.rows(_USERS)]

    def set_password(self, user: UserId, password_hash: str) -> None:
        """Change the hash; raises NotFound where nobody's would change."""
        if not self._session.change(_SET_PASSWORD, user=user, new_hash=password_hash):
            raise NotFound("User", user)

    def save_user(self, user: User) -> None:
        self._session.refusable(
            _SAVE_USER,
            user=user.id,
            new_name=user.name,
            is_enabled=user.enabled,
            new_description=user.description,
            new_email=user.email,
            new_default=user.default_project,
        )

    def delete_user(self, user: UserId) -> None:
        with self._session.whole(), self._session.refusals():
            for statement in (*_LEAVE_USER, _DELETE_USER):
                self._session.change(statement, of_user=user)

    # -------------------------------------------------------------------------------------------------------- roles

    def grant(self, user: UserId, project: ProjectId, role: Role) -> None:
        statement = self._session.flavour.insert(grants).on_conflict_do_nothing()
        self._session.refusable(statement, user_id=user, project=project, role=role.value)

    def revoke(self, user: UserId, project: ProjectId, role: Role) -> bool:
        return self._session.change(_REVOKE_ROLE, user=user, project=project, role=role.value) == 1

    def grants(self, user: UserId | None = None, project: ProjectId | None = None) -> Sequence[Grant]:
        statement = _GRANTS
        if user is not None:
            statement = statement.where(grants.c.user_id == user)
        if project is not None:
            statement = statement.where(grants.c.project == project)
        return [_grant(tuple(row)) for row in self._session.rows(statement)]

    def roles(self, user: UserId, project: ProjectId) -> frozenset[Role]:
        return frozenset(Role(role) for (role,) in self._session.rows(_ROLES, user=user, project=project))

    def projects_of(self, user: UserId) -> Sequence[Project]:
        return [Project(*row) for row in self._session.rows(_PROJECTS_OF, user=user)]

    # --------------------------------------------------------------------------------------------------------- keys

    def add_key(self, credentials: KeyCredentials) -> None:
        key = credentials.key
        with self._session.whole():
            self._session.add(
                keys,
                id=key.id,
                name=key.name,
                user_id=key.user,
                project=key.project,
                secret_hash=credentials.secret_hash,
                description=key.description,
                created=key.created,
                expires=key.expires,
                restricted=key.restricted,
            )
            for role in sorted(key.roles):
                self._session.refusable(insert(key_roles).inline(), key=key.id, role=role.value)

    def key(self, key: KeyId) -> KeyCredentials | None:
        return self._key_credentials(self._session.row(_KEY, key=key))

    def key_by_name(self, user: UserId, name: str) -> KeyCredentials | None:
        return self._key_credentials(self._session.row(_KEY_BY_NAME, user=user, name=name))

    def keys(self, user: UserId | None = None) -> Sequence[Key]:
        found = self._session.rows(_KEYS) if user is None else self._session.rows(_KEYS_OF, user=user)
        return [self._key(tuple(row)) for row in found]

    def set_secret(self, key: KeyId, secret_hash: str) -> None:
        self._session.change(_SET_SECRET, of_key=key, new_hash=secret_hash)
        self._session.change(_REVOKE_KEY, of_key=key)

    def delete_key(self, key: KeyId) -> bool:
        return self._session.change(_DELETE_KEY, key=key) == 1

    def _key_credentials(self, row: _KeyRow | None) -> KeyCredentials | None:
        if row is None:
            return None
        *columns, secret_hash = row
        return KeyCredentials(self._key(columns), secret_hash)

    def _key(self, columns: Sequence[Any]) -> Key:
        key, name, user, project, *rest = columns
        roles = frozenset(Role(role) for (role,) in self._session.rows(_KEY_ROLES, key=key))
        return Key(key, name, user, project, roles, *rest)

    # ------------------------------------------------------------------------------------------------------- tokens

    def add_token(self, digest: str, row: TokenRow) -> None:
        self._session.add(
            tokens,
            digest=digest,
            user_id=row.user.id,
            project=row.project.id if row.project else None,
            issued_at=row.issued_at,
            expires_at=row.expires_at,
            key=row.key.id if row.key else None,
        )

    def token(self, digest: str) -> TokenRow | None:
        row = self._session.row(_TOKEN, digest=digest)
        if row is None:
            return None
        columns = cast("Sequence[Any]", tuple(row))
        user = _user(columns[:6])
        issued_at, expires_at, key_id = cast("tuple[datetime, datetime, KeyId | None]", columns[10:])
        # Without a project the outer join leaves these empty, whatever the columns say.
        project = _project(columns[6:10]) if columns[6] else None
        if project is not None and not project.enabled:
            return None
        known = self.key(key_id) if key_id else None
        roles = self.roles(user.id, project.id) if project else frozenset[Role]()
        return TokenRow(user, project, roles, issued_at, expires_at, known.key if known else None)

    def revoke_token(self, digest: str) -> None:
        self._session.change(_REVOKE, digest=digest)

    def revoke_tokens(self, user: UserId | None = None, project: ProjectId | None = None) -> None:
        if user is not None:
            self._session.change(_REVOKE_USER, user=user)
        if project is not None:
            self._session.change(_REVOKE_PROJECT, project=project)

    def prune_tokens(self, now: datetime) -> None:
        self._session.change(_PRUNE, now=now)


def _credentials(row: Row[UserId, str, bool, str, str, str | None, str] | None) -> Credentials | None:
    if row is None:
        return None
    return Credentials(_user(row[:-1]), row[-1])


def _user(columns: Sequence[Any]) -> User:
    return User(*columns)


def _project(columns: Sequence[Any]) -> Project:
    return Project(*columns)


def _grant(columns: Sequence[Any]) -> Grant:
    return Grant(_user(columns[:6]), _project(columns[6:10]), Role(columns[10]))
