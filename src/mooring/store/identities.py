"""Projects, users, roles and log-ins in the database."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Row, bindparam, delete, select, true, update

from mooring.model.faults import NotFound
from mooring.model.ids import ProjectId, UserId
from mooring.model.nouns import Project, Role, User
from mooring.model.records import Credentials, TokenRow
from mooring.store.schema import grants, projects, tokens, users
from mooring.store.session import Session

_PROJECTS = select(projects.c.id, projects.c.name).order_by(projects.c.seq)
_PROJECT = _PROJECTS.where(projects.c.id == bindparam("project"))
_PROJECT_BY_NAME = _PROJECTS.where(projects.c.name == bindparam("name"))

_USERS = select(users.c.id, users.c.name, users.c.password_hash, users.c.enabled)
_USER = _USERS.where(users.c.id == bindparam("user"))
_USER_BY_NAME = _USERS.where(users.c.name == bindparam("name"))
_SET_PASSWORD = update(users).where(users.c.id == bindparam("user")).values(password_hash=bindparam("new_hash"))

_ROLES = select(grants.c.role).where(
    grants.c.user_id == bindparam("user"),
    grants.c.project == bindparam("project"),
)
_PROJECTS_OF = _PROJECTS.where(
    projects.c.id.in_(select(grants.c.project).where(grants.c.user_id == bindparam("user"))),
)

_TOKEN = (
    select(
        users.c.id,
        users.c.name,
        projects.c.id,
        projects.c.name,
        tokens.c.issued_at,
        tokens.c.expires_at,
    )
    .select_from(tokens)
    .join(users, users.c.id == tokens.c.user_id)
    .outerjoin(projects, projects.c.id == tokens.c.project)
    .where(tokens.c.digest == bindparam("digest"), users.c.enabled.is_(true()))
)
_REVOKE = delete(tokens).where(tokens.c.digest == bindparam("digest"))
_PRUNE = delete(tokens).where(tokens.c.expires_at < bindparam("now"))


class Identities:
    """See mooring.operations.interfaces.Identities."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add_project(self, project: Project) -> None:
        self._session.add(projects, id=project.id, name=project.name)

    def project(self, project: ProjectId) -> Project | None:
        row = self._session.row(_PROJECT, project=project)
        return Project(*row) if row else None

    def project_by_name(self, name: str) -> Project | None:
        row = self._session.row(_PROJECT_BY_NAME, name=name)
        return Project(*row) if row else None

    def projects(self) -> Sequence[Project]:
        return [Project(*row) for row in self._session.rows(_PROJECTS)]

    def add_user(self, credentials: Credentials) -> None:
        self._session.add(
            users,
            id=credentials.user.id,
            name=credentials.user.name,
            password_hash=credentials.password_hash,
            enabled=credentials.enabled,
        )

    def user(self, user: UserId) -> Credentials | None:
        return _credentials(self._session.row(_USER, user=user))

    def user_by_name(self, name: str) -> Credentials | None:
        return _credentials(self._session.row(_USER_BY_NAME, name=name))

    def set_password(self, user: UserId, password_hash: str) -> None:
        """Change the hash; raises NotFound where nobody's would change."""
        if not self._session.change(_SET_PASSWORD, user=user, new_hash=password_hash):
            raise NotFound("User", user)

    def grant(self, user: UserId, project: ProjectId, role: Role) -> None:
        statement = self._session.flavour.insert(grants).on_conflict_do_nothing()
        self._session.refusable(statement, user_id=user, project=project, role=role.value)

    def roles(self, user: UserId, project: ProjectId) -> frozenset[Role]:
        return frozenset(Role(role) for (role,) in self._session.rows(_ROLES, user=user, project=project))

    def projects_of(self, user: UserId) -> Sequence[Project]:
        return [Project(*row) for row in self._session.rows(_PROJECTS_OF, user=user)]

    def add_token(self, digest: str, row: TokenRow) -> None:
        self._session.add(
            tokens,
            digest=digest,
            user_id=row.user.id,
            project=row.project.id if row.project else None,
            issued_at=row.issued_at,
            expires_at=row.expires_at,
        )

    def token(self, digest: str) -> TokenRow | None:
        row = self._session.row(_TOKEN, digest=digest)
        if row is None:
            return None
        user_id, user_name, project_id, project_name, issued_at, expires_at = row
        # Without a project the outer join leaves these empty, whatever the columns say.
        project = Project(project_id, project_name) if project_id else None
        roles = self.roles(user_id, project.id) if project else frozenset[Role]()
        return TokenRow(User(user_id, user_name), project, roles, issued_at, expires_at)

    def revoke_token(self, digest: str) -> None:
        self._session.change(_REVOKE, digest=digest)

    def prune_tokens(self, now: datetime) -> None:
        self._session.change(_PRUNE, now=now)


def _credentials(row: Row[UserId, str, str, bool] | None) -> Credentials | None:
    if row is None:
        return None
    user, name, password_hash, enabled = row
    return Credentials(User(user, name), password_hash, enabled)
