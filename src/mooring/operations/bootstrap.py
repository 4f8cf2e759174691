"""Accounts as an installer prepares them: made at each start where they are not there yet, and otherwise left alone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from mooring.model.accounts import Project, Role, User
from mooring.model.ids import ProjectId, UserId
from mooring.operations.accounts import add_project
from mooring.operations.door import Door, checked_name
from mooring.operations.interfaces import Credentials, Transaction
from mooring.operations.passwords import Passwords, checked_hash, checked_password


@dataclass(frozen=True, slots=True)
class Account:
    """A user with a password, and a role in a project."""

    user: str
    password: str
    project: str
    role: Role


@dataclass(frozen=True, slots=True)
class FirstProject:
    """A project that there is to be."""

    name: str
    description: str = ""


@dataclass(frozen=True, slots=True)
class FirstUser:
    """A user that there is to be, with roles by project; of the password there is the text, or its hash, or neither."""

    name: str
    password: str | None = None
    password_hash: str | None = None
    description: str = ""
    email: str = ""
    roles: Mapping[str, frozenset[Role]] = field(default_factory=dict[str, frozenset[Role]])


class BootstrapOperations:
    """What is there before anybody could ask for it."""

    def __init__(self, door: Door, passwords: Passwords) -> None:
        """Keep the door, and what hashes passwords."""
        self._door = door
        self._passwords = passwords

    def prepare(self, accounts: Iterable[Account]) -> None:
        """Make sure that projects, users, passwords and roles exist as given; what is there and right stays untouched."""
        for account in accounts:
            roles = {account.project: frozenset({account.role})}
            self.prepare_user(FirstUser(account.user, account.password, roles=roles))

    def prepare_project(self, wanted: FirstProject) -> None:
        """Make sure that a project exists; its description is that of the installer, if they gave one.

        Raises:
            Invalid: its name cannot be.
        """
        name = checked_name("project", wanted.name)
        with self._door.store.write() as tx:
            known = self._project(tx, name)
            if wanted.description not in ("", known.description):
                tx.identities.save_project(replace(known, description=wanted.description))

    def prepare_user(self, wanted: FirstUser) -> None:
        """Make sure that a user exists, with this password and at least these roles; a changed password ends the log-ins of before.

        A user who was disabled stays so.

        Raises:
            Invalid: a name, or the hash of the password, cannot be.
        """
        name = checked_name("user", wanted.name)
        roles = {checked_name("project", project): given for project, given in wanted.roles.items()}
        with self._door.store.read() as tx:
            known = tx.identities.user_by_name(name)
        hashed = self._new_hash(wanted, known)
        with self._door.store.write() as tx:
            projects = {project: self._project(tx, project).id for project in roles}
            credentials = tx.identities.user_by_name(name)
            if credentials is None:
                user = User(UserId(self._door.chance.new_id()), name)
                tx.identities.add_user(Credentials(user, hashed or ""))
            else:
                user = credentials.user
                if hashed is not None:
                    tx.identities.set_password(user.id, hashed)
                    tx.identities.revoke_tokens(user.id)
            told = replace(user, description=wanted.description or user.description, email=wanted.email or user.email)
            if told != user:
                tx.identities.save_user(told)
            for project, given in roles.items():
                for role in sorted(given):
                    tx.identities.grant(user.id, projects[project], role)

    def _new_hash(self, wanted: FirstUser, known: Credentials | None) -> str | None:
        """Return the hash that the user is to get, or None for one that can stay as it is."""
        # Outside of the write transaction: it takes tens of milliseconds on purpose.
        if wanted.password_hash is not None:
            hashed = checked_hash("password_hash", wanted.password_hash)
            return None if known is not None and known.password_hash == hashed else hashed
        if wanted.password is None:
            return None
        if known is not None and self._passwords.matches(known.password_hash, wanted.password):
            return None
        return self._passwords.hash(checked_password("password", wanted.password))

    def _project(self, tx: Transaction, name: str) -> Project:
        known = tx.identities.project_by_name(name)
        return known or add_project(self._door, tx, Project(ProjectId(self._door.chance.new_id()), name))
