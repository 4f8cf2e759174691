"""Who calls: passwords, keys and the tokens that are issued for them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from mooring.model.accounts import Caller, Key, Project, Role, Token, User
from mooring.model.events import Action
from mooring.model.faults import NotFound, Unauthenticated
from mooring.model.ids import KeyId, ProjectId, UserId
from mooring.model.nouns import Quota, Resource
from mooring.operations.attempts import Attempts
from mooring.operations.door import Door
from mooring.operations.events import note
from mooring.operations.foreign import ForeignCallers
from mooring.operations.interfaces import Credentials, KeyCredentials, TokenRow, Transaction
from mooring.operations.passwords import Passwords, checked_password
from mooring.policy.roles import Verb, with_implied

_REFUSED = "The request you have made requires authentication."


@dataclass(frozen=True, slots=True)
class KeyName:
    """Which key is meant: by its id, or by its name among those of a user, who is named by name or id."""

    id: str | None = None
    name: str | None = None
    user: str | None = None
    user_id: str | None = None


class IdentityOperations:
    """Log-in, tokens, one's own password, and what a project may have."""

    def __init__(self, door: Door, passwords: Passwords | None = None, foreign: ForeignCallers | None = None) -> None:
        """Keep the door, what checks passwords, and who knows the callers if it isn't mooring."""
        self._door = door
        self._foreign = foreign
        self._passwords = passwords or Passwords(door.chance)
        self._attempts = Attempts(door.limits.attempts_per_account, door.limits.attempts_per_source)

    @property
    def elsewhere(self) -> str | None:
        """Return where users log in and are managed, or None if that is here."""
        return self._foreign.url if self._foreign is not None else None

    # ------------------------------------------------------------------------------------------------------- log-in

    def log_in(
        self,
        *,
        user: str | None,
        user_id: str | None,
        password: str,
        project: str | None,
        source: str | None = None,
    ) -> Token:
        """Issue a token for a password.

        `project` is a project's name or id, or empty for a token without one.  If it is None, the token is for the user's default project,
        if there is one in which the user has a role, and for none otherwise.  `source` is the address that the request came from.

        Raises:
            Unauthenticated: unknown or disabled user, wrong password, or no role in the project; which of them is not said.
            TooManyAttempts: wrong passwords came too often.
        """
        with self._door.store.read() as tx:
            known = tx.identities.user(UserId(user_id)) if user_id else tx.identities.user_by_name(user or "")
        with self._attempts.attempt(known.user.id if known else f"{user_id or user}", source):
            right = self._passwords.matches(known.password_hash if known else None, password)
            if known is None or not right or not known.user.enabled:
                raise Unauthenticated(_REFUSED)
        if project is None:
            project = self._default(known.user)
        return self._issue(known, project)

    def log_in_by_key(self, named: KeyName, secret: str, source: str | None = None) -> Token:
        """Issue a token for a key's project and roles.

        Raises:
            Unauthenticated: unknown, expired or wrong, its user or project are disabled, or have nothing to do with each other any longer.
            TooManyAttempts: wrong secrets came too often.
        """
        with self._door.store.read() as tx:
            found, owner = _find_key(tx, named)
            over = found is not None and found.key.expires is not None and found.key.expires <= tx.now()
        with self._attempts.attempt(f"key {found.key.id if found else named.id or named.name}", source):
            right = self._passwords.matches(found.secret_hash if found else None, secret)
            if found is None or owner is None or not right or over or not owner.user.enabled:
                raise Unauthenticated(_REFUSED)
        return self._issue(owner, found.key.project, credentials=found)

    def exchange(self, secret: str, project: str | None) -> Token:
        """Issue a token for another project of the same user, in exchange for a valid token; it expires no later than that one.

        What a key's token is exchanged for stays the key's: in its project, with its roles.
        """
        row = self._row(secret)
        with self._door.store.read() as tx:
            known = tx.identities.user(row.user.id)
        if known is None:
            raise Unauthenticated(_REFUSED)
        if row.key is not None and row.project is not None:
            if project not in (None, row.project.id, row.project.name):
                raise Unauthenticated(_REFUSED, detail="a key is for one project")
            project = row.project.id
        return self._issue(known, project, parent=(secret, row))

    def _default(self, user: User) -> str | None:
        if user.default_project is None:
            return None
        with self._door.store.read() as tx:
            found = tx.identities.project(user.default_project)
            roles = tx.identities.roles(user.id, user.default_project)
        return found.id if found is not None and found.enabled and roles else None

    def _issue(
        self,
        known: Credentials,
        project_name: str | None,
        *,
        parent: tuple[str, TokenRow] | None = None,
        credentials: KeyCredentials | None = None,
    ) -> Token:
        secret = self._door.chance.new_secret()
        user = known.user
        parent_secret, parent_row = parent or (None, None)
        key = credentials.key if credentials else parent_row.key if parent_row else None
        with self._door.store.write() as tx:
            now = tx.now()
            # What was checked outside of this transaction must hold in it: a password that was changed meanwhile opens nothing.
            if tx.identities.user(user.id) != known or not user.enabled:
                raise Unauthenticated(_REFUSED)
            if credentials is not None and tx.identities.key(credentials.key.id) != credentials:
                raise Unauthenticated(_REFUSED)
            if parent_secret is not None and tx.identities.token(_digest(parent_secret)) is None:
                raise Unauthenticated(_REFUSED)
            project = None
            roles = frozenset[Role]()
            if project_name:
                project = tx.identities.project(ProjectId(project_name)) or tx.identities.project_by_name(project_name)
                roles = _roles(tx.identities.roles(user.id, project.id), key) if project else roles
                if project is None or not project.enabled or not roles:
                    raise Unauthenticated(_REFUSED)
            expires = now + timedelta(seconds=self._door.limits.token_lifetime)
            ends = [expires, parent_row.expires_at if parent_row else None, key.expires if key else None]
            row = TokenRow(user, project, roles, now, min(end for end in ends if end is not None), key)
            tx.identities.prune_tokens(now)
            tx.identities.add_token(_digest(secret), row)
        return _token(secret, row)

    # ------------------------------------------------------------------------------------------------------- tokens

    def _row(self, secret: str) -> TokenRow:
        with self._door.store.read() as tx:
            row = tx.identities.token(_digest(secret))
            if row is None or row.expires_at <= tx.now():
                raise Unauthenticated(_REFUSED)
        return row

    def token(self, secret: str) -> Token:
        """Return what a valid token stands for.

        Raises:
            Unauthenticated: it stands for nothing, or nothing any longer.
            Unavailable: another identity service would know, and can't be asked.
        """
        return _token(secret, self._row(secret)) if self._foreign is None else self._foreign.token(secret)

    def caller(self, secret: str, request_id: str) -> Caller:
        """Return the caller that a valid token with a project stands for, with the roles that the user has now.

        Raises:
            Unauthenticated: it stands for nobody, or for no project.
            Forbidden: another identity service knows the caller, in no role that means anything here.
            Unavailable: another identity service would know, and can't be asked.
        """
        if self._foreign is not None:
            return self._foreign.caller(secret, request_id)
        row = self._row(secret)
        roles = _roles(row.roles, row.key)
        if row.project is None or not roles:
            raise Unauthenticated(_REFUSED)
        return Caller(row.user, row.project, roles, request_id, row.key)

    def log_out(self, secret: str) -> None:
        """Revoke a token."""
        self._row(secret)
        with self._door.store.write() as tx:
            tx.identities.revoke_token(_digest(secret))

    def change_password(self, user: User, old: str, new: str, source: str | None = None) -> None:
        """Change one's own password; all log-ins of the user end, keys stay.

        Raises:
            Unauthenticated: the old password is wrong.
            Invalid: the new one cannot be.
            TooManyAttempts: wrong passwords came too often.
        """
        checked_password("password", new)
        with self._door.store.read() as tx:
            known = tx.identities.user(user.id)
        with self._attempts.attempt(user.id, source):
            if not self._passwords.matches(known.password_hash if known else None, old):
                raise Unauthenticated(_REFUSED)
        hashed = self._passwords.hash(new)
        with self._door.store.write() as tx:
            if tx.identities.user(user.id) != known:
                raise Unauthenticated(_REFUSED)
            tx.identities.set_password(user.id, hashed)
            tx.identities.revoke_tokens(user.id)

    def projects_of(self, secret: str) -> Sequence[Project]:
        """Return the enabled projects in which a token's user has a role; a key's token knows of its own only."""
        row = self._row(secret)
        with self._door.store.read() as tx:
            found = tx.identities.projects_of(row.user.id)
        return [project for project in found if project.enabled and (row.key is None or row.key.project == project.id)]

    # ------------------------------------------------------------------------------------------------------- quotas

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
            note(tx, caller, Action.QUOTA_SET, project, project, **{resource.value: limit})


def _find_key(tx: Transaction, named: KeyName) -> tuple[KeyCredentials | None, Credentials | None]:
    if named.id is not None:
        found = tx.identities.key(KeyId(named.id))
        return found, tx.identities.user(found.key.user) if found else None
    owner = tx.identities.user(UserId(named.user_id)) if named.user_id else tx.identities.user_by_name(named.user or "")
    return tx.identities.key_by_name(owner.user.id, named.name or "") if owner else None, owner


def _roles(owned: frozenset[Role], key: Key | None) -> frozenset[Role]:
    """Return the roles that a token has now: its user's, or those of its key that its user has, or comes by with a higher one."""
    return owned if key is None else with_implied(owned) & key.roles


def _token(secret: str, row: TokenRow) -> Token:
    roles = _roles(row.roles, row.key)
    return Token(secret, row.user, row.project, roles, row.issued_at, row.expires_at, row.key)


def _digest(secret: str) -> str:
    # A token has 256 random bits, so a plain hash is enough; what is stored must not be usable as a token.
    return hashlib.sha256(secret.encode()).hexdigest()
