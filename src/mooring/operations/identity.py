"""Who calls: projects, users, roles, passwords and tokens."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from mooring.model.faults import NotFound, Unauthenticated
from mooring.model.ids import ProjectId, UserId
from mooring.model.nouns import Caller, Project, Quota, Resource, Role, Token, User
from mooring.operations.door import Door, checked_name
from mooring.operations.interfaces import Credentials, TokenRow, Transaction
from mooring.policy.roles import Verb

_REFUSED = "The request you have made requires authentication."


@dataclass(frozen=True, slots=True)
class Account:
    """A user with a role in a project, as an installer prepares it."""

    user: str
    password: str
    project: str
    role: Role


class IdentityOperations:
    """Log-in, tokens, and what an installer sets up."""

    def __init__(self, door: Door) -> None:
        """Keep the door."""
        self._door = door
        self._hasher = PasswordHasher()
        # Checked for an unknown user, so that the answer takes as long as for a known one.
        self._nobody = self._hasher.hash(door.chance.new_secret())

    def prepare(self, accounts: Iterable[Account]) -> None:
        """Make sure that projects, users, passwords and roles exist as given; what is there and right stays untouched."""
        for account in accounts:
            self._prepare(account)

    def _prepare(self, account: Account) -> None:
        user_name, project_name = checked_name("user", account.user), checked_name("project", account.project)
        with self._door.store.read() as tx:
            known = tx.identities.user_by_name(user_name)
        # Hash outside of the write transaction: it takes tens of milliseconds on purpose.
        keeps = known is not None and self._matches(known.password_hash, account.password)
        hashed = None if keeps else self._hasher.hash(account.password)
        with self._door.store.write() as tx:
            project = tx.identities.project_by_name(project_name) or self._new_project(tx, project_name)
            credentials = tx.identities.user_by_name(user_name)
            if credentials is None:
                user = User(UserId(self._door.chance.new_id()), user_name)
                tx.identities.add_user(Credentials(user, hashed or self._hasher.hash(account.password), enabled=True))
            else:
                user = credentials.user
                if hashed is not None:
                    tx.identities.set_password(user.id, hashed)
            tx.identities.grant(user.id, project.id, account.role)

    def _new_project(self, tx: Transaction, name: str) -> Project:
        project = Project(ProjectId(self._door.chance.new_id()), name)
        tx.identities.add_project(project)
        for resource, limit in self._door.limits.quotas.items():
            tx.quotas.set(project.id, resource, limit)
        return project

    def _matches(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except (Argon2Error, InvalidHashError):
            return False

    def log_in(self, *, user: str | None, user_id: str | None, password: str, project: str | None) -> Token:
        """Issue a token for a password; `project` is a project's name or id, or None for a token without one.

        Raises:
            Unauthenticated: unknown or disabled user, wrong password, or no role in the project; which of them is not said.
        """
        with self._door.store.read() as tx:
            known = tx.identities.user(UserId(user_id)) if user_id else tx.identities.user_by_name(user or "")
        right = self._matches(known.password_hash if known else self._nobody, password)
        if known is None or not right or not known.enabled:
            raise Unauthenticated(_REFUSED)
        return self._issue(known.user, project)

    def exchange(self, secret: str, project: str | None) -> Token:
        """Issue a token for another project of the same user, in exchange for a valid token; it expires no later than that one."""
        row = self._row(secret)
        return self._issue(row.user, project, row)

    def _issue(self, user: User, project_name: str | None, parent: TokenRow | None = None) -> Token:
        secret = self._door.chance.new_secret()
        with self._door.store.write() as tx:
            now = tx.now()
            project = None
            roles = frozenset[Role]()
            if project_name is not None:
                project = tx.identities.project(ProjectId(project_name)) or tx.identities.project_by_name(project_name)
                roles = tx.identities.roles(user.id, project.id) if project else roles
                if project is None or not roles:
                    raise Unauthenticated(_REFUSED)
            expires = now + timedelta(seconds=self._door.limits.token_lifetime)
            row = TokenRow(user, project, roles, now, min(expires, parent.expires_at) if parent else expires)
            tx.identities.prune_tokens(now)
            tx.identities.add_token(_digest(secret), row)
        return Token(secret, row.user, row.project, row.roles, row.issued_at, row.expires_at)

    def _row(self, secret: str) -> TokenRow:
        with self._door.store.read() as tx:
            row = tx.identities.token(_digest(secret))
            if row is None or row.expires_at <= tx.now():
                raise Unauthenticated(_REFUSED)
        return row

    def token(self, secret: str) -> Token:
        """Return what a valid token stands for."""
        row = self._row(secret)
        return Token(secret, row.user, row.project, row.roles, row.issued_at, row.expires_at)

    def caller(self, secret: str, request_id: str) -> Caller:
        """Return the caller that a valid token with a project stands for, with the roles that the user has now."""
        row = self._row(secret)
        if row.project is None or not row.roles:
            raise Unauthenticated(_REFUSED)
        return Caller(row.user, row.project, row.roles, request_id)

    def log_out(self, secret: str) -> None:
        """Revoke a token."""
        self._row(secret)
        with self._door.store.write() as tx:
            tx.identities.revoke_token(_digest(secret))

    def projects_of(self, secret: str) -> Sequence[Project]:
        """Return the projects in which a token's user has a role."""
        row = self._row(secret)
        with self._door.store.read() as tx:
            return tx.identities.projects_of(row.user.id)

    def project(self, caller: Caller, name: str) -> Project:
        """Find a project by name or id: an administrator any, others their own.

        Raises:
            NotFound: there is none that the caller may know of.
        """
        with self._door.store.read() as tx:
            found = tx.identities.project(ProjectId(name)) or tx.identities.project_by_name(name)
        if found is None or (found.id != caller.project.id and not caller.is_admin):
            raise NotFound("Project", name)
        return found

    def quotas(self, caller: Caller, project: str) -> Sequence[Quota]:
        """Return what a project, named by name or id, has and may have of everything that is counted.

        Raises:
            NotFound: there is no such project that the caller may know of.
        """
        self._door.allow(caller, Verb.READ)
        found = self.project(caller, project)
        with self._door.store.read() as tx:
            return [tx.quotas.get(found.id, resource) for resource in Resource]

    def set_quota(self, caller: Caller, project: ProjectId, resource: Resource, limit: int) -> None:
        """Set how many of a resource a project may have; -1 is no limit.  Below what it has is allowed: then it gets no more."""
        self._door.allow(caller, Verb.QUOTA_ADMIN)
        with self._door.store.write() as tx:
            if tx.identities.project(project) is None:
                raise NotFound("Project", project)
            tx.quotas.set(project, resource, limit)


def _digest(secret: str) -> str:
    # A token has 256 random bits, so a plain hash is enough; what is stored must not be usable as a token.
    return hashlib.sha256(secret.encode()).hexdigest()
