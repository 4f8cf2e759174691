"""Projects, users and who has which role where, as administrators manage them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mooring.model.accounts import Caller, Grant, Project, Role, User
from mooring.model.events import Action
from mooring.model.faults import Conflict, InUse, Invalid, NotFound
from mooring.model.ids import ProjectId, UserId
from mooring.operations.door import Door, check_version, checked_name, once
from mooring.operations.events import note
from mooring.operations.interfaces import Credentials, Duplicate, Referenced, Transaction
from mooring.operations.passwords import Passwords, checked_password
from mooring.policy.names import text_fault
from mooring.policy.roles import Verb


@dataclass(frozen=True, slots=True)
class NewProject:
    """A project to be made."""

    name: str
    description: str = ""
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class ProjectChange:
    """What is to be changed of a project; what is None stays."""

    name: str | None = None
    description: str | None = None
    enabled: bool | None = None


@dataclass(frozen=True, slots=True)
class NewUser:
    """A user to be made.  One without a password can't log in with one; `default_project` is a name or id."""

    name: str
    password: str | None = None
    description: str = ""
    email: str = ""
    enabled: bool = True
    default_project: str | None = None


@dataclass(frozen=True, slots=True)
class UserChange:
    """What is to be changed of a user; what is None stays, and an empty `default_project` is none."""

    name: str | None = None
    password: str | None = None
    description: str | None = None
    email: str | None = None
    enabled: bool | None = None
    default_project: str | None = None


class AccountOperations:
    """Projects, users and roles.  Administrators see and change all of them, others see themselves and their own."""

    def __init__(self, door: Door, passwords: Passwords) -> None:
        """Keep the door, and what hashes passwords."""
        self._door = door
        self._passwords = passwords

    # ----------------------------------------------------------------------------------------------------- projects

    def projects(self, caller: Caller) -> Sequence[Project]:
        """Return all projects to an administrator, and to others the enabled ones in which they have a role; a key knows of its own."""
        with self._door.store.read() as tx:
            if caller.is_admin:
                return tx.identities.projects()
            found = tx.identities.projects_of(caller.user.id)
        return [project for project in found if project.enabled and _within(caller, project)]

    def project(self, caller: Caller, name: str) -> Project:
        """Find a project by name or id: an administrator any, others one in which they have a role.

        Raises:
            NotFound: there is none that the caller may know of.
        """
        with self._door.store.read() as tx:
            found = tx.identities.project(ProjectId(name)) or tx.identities.project_by_name(name)
            own = found is not None and _within(caller, found) and bool(tx.identities.roles(caller.user.id, found.id))
        if found is None or not (own or caller.is_admin):
            raise NotFound("Project", name)
        return found

    def create_project(self, caller: Caller, new: NewProject, idempotency_key: str | None = None) -> Project:
        """Make a project with the usual quotas.

        Raises:
            Invalid: the name or description cannot be shown.
            Conflict: there is a project of this name.
        """
        self._door.allow(caller, Verb.IDENTITY_ADMIN)
        project = Project(
            ProjectId(self._door.chance.new_id()),
            checked_name("name", new.name),
            _text("description", new.description),
            new.enabled,
        )
        request = ("project", project.name, project.description, project.enabled)
        with self._door.store.write() as tx:

            def make() -> str:
                note(tx, caller, Action.PROJECT_CREATE, project.id, project.id, name=project.name)
                return add_project(self._door, tx, project).id

            made = once(tx, caller, idempotency_key, request, make)
            found = tx.identities.project(ProjectId(made))
        if found is None:
            raise NotFound("Project", made)
        return found

    def update_project(self, caller: Caller, project: ProjectId, change: ProjectChange) -> Project:
        """Change what is told of a project, or whether anybody may act in it; a disabled one's log-ins end.

        Raises:
            NotFound: there is no such project.
            Invalid: the name or description cannot be shown.
            Conflict: another project has this name, or it is the caller's own that would be disabled.
        """
        self._door.allow(caller, Verb.IDENTITY_ADMIN)
        with self._door.store.write() as tx:
            known = _project(tx, project)
            check_version(caller, "Project", known.name, known)
            changed = replace(
                known,
                name=known.name if change.name is None else checked_name("name", change.name),
                description=known.description
                if change.description is None
                else _text("description", change.description),
                enabled=known.enabled if change.enabled is None else change.enabled,
            )
            if not changed.enabled:
                _not_own("project", project, caller.project.id, "disabled")
                tx.identities.revoke_tokens(project=project)
            try:
                tx.identities.save_project(changed)
            except Duplicate as error:
                raise Conflict(f"Project {changed.name} already exists.", field="name") from error
            note(tx, caller, Action.PROJECT_CHANGE, project, project, name=changed.name, enabled=changed.enabled)
        return changed

    def delete_project(self, caller: Caller, project: ProjectId) -> None:
        """Delete a project that owns nothing any longer, with its security groups, roles, keys and log-ins.

        Raises:
            NotFound: there is no such project.
            InUse: it owns something.
            Conflict: it is the caller's own.
        """
        self._door.allow(caller, Verb.IDENTITY_ADMIN)
        with self._door.store.write() as tx:
            known = _project(tx, project)
            check_version(caller, "Project", known.name, known)
            _not_own("project", project, caller.project.id, "deleted")
            if owned := _owned(tx, project):
                raise InUse("Project", known.name, owned)
            try:
                # They may refer to each other: first all rules.
                groups = tx.groups.list(project)
                for rule in [rule.id for group in groups for rule in group.rules]:
                    tx.groups.delete_rule(rule)
                for group in groups:
                    tx.groups.delete(group.id)
                tx.identities.delete_project(project)
            except Referenced as error:
                raise InUse("Project", known.name, "what it owns, or what hosts have still to let go") from error
            note(tx, caller, Action.PROJECT_DELETE, project, name=known.name)

    # -------------------------------------------------------------------------------------------------------- users

    def users(self, caller: Caller) -> Sequence[User]:
        """Return all users to an administrator, and to others themselves."""
        with self._door.store.read() as tx:
            return tx.identities.users() if caller.is_admin else [_user(tx, caller.user.id).user]

    def user(self, caller: Caller, name: str) -> User:
        """Find a user by name or id: an administrator any, others themselves.

        Raises:
            NotFound: there is none that the caller may know of.
        """
        with self._door.store.read() as tx:
            found = tx.identities.user(UserId(name)) or tx.identities.user_by_name(name)
        if found is None or (found.user.id != caller.user.id and not caller.is_admin):
            raise NotFound("User", name)
        return found.user

    def create_user(self, caller: Caller, new: NewUser, idempotency_key: str | None = None) -> User:
        """Make a user, who has no role anywhere yet.

        Raises:
            Invalid: a field cannot be.
            NotFound: there is no such default project.
            Conflict: there is a user of this name.
        """
        self._door.allow(caller, Verb.IDENTITY_ADMIN)
        name = checked_name("name", new.name)
        texts = (_text("description", new.description), _text("email", new.email))
        hashed = self._hash(new.password)
        # The password stays out of it: what is remembered of a request is hashed, but not so that it takes time.
        request = ("user", name, *texts, new.enabled, new.default_project)
        with self._door.store.write() as tx:

            def make() -> str:
                default = _default(tx, new.default_project)
                user = User(UserId(self._door.chance.new_id()), name, new.enabled, *texts, default)
                try:
                    tx.identities.add_user(Credentials(user, hashed))
                except Duplicate as error:
                    raise Conflict(f"User {name} already exists.", field="name") from error
                note(tx, caller, Action.USER_CREATE, user.id, name=name)
                return user.id

            return _user(tx, UserId(once(tx, caller, idempotency_key, request, make))).user

    def update_user(self, caller: Caller, user: UserId, change: UserChange) -> User:
        """Change what is told of a user, the password, or whether they may log in; with the latter two, the user's log-ins end.

        Raises:
            NotFound: there is no such user, or default project.
            Invalid: a field cannot be.
            Conflict: another user has this name, or it is the caller who would be disabled.
        """
        self._door.allow(caller, Verb.IDENTITY_ADMIN)
        hashed = self._hash(change.password) if change.password is not None else None
        with self._door.store.write() as tx:
            known = _user(tx, user).user
            check_version(caller, "User", known.name, known)
            changed = replace(
                known,
                name=known.name if change.name is None else checked_name("name", change.name),
                enabled=known.enabled if change.enabled is None else change.enabled,
                description=known.description
                if change.description is None
                else _text("description", change.description),
                email=known.email if change.email is None else _text("email", change.email),
                default_project=known.default_project
                if change.default_project is None
                else _default(tx, change.default_project),
            )
            if not changed.enabled:
                _not_own("user", user, caller.user.id, "disabled")
            try:
                tx.identities.save_user(changed)
            except Duplicate as error:
                raise Conflict(f"User {changed.name} already exists.", field="name") from error
            if hashed is not None:
                tx.identities.set_password(user, hashed)
            if hashed is not None or not changed.enabled:
                tx.identities.revoke_tokens(user)
            password = "changed" if hashed is not None else None
            note(tx, caller, Action.USER_CHANGE, user, name=changed.name, enabled=changed.enabled, password=password)
        return changed

    def delete_user(self, caller: Caller, user: UserId) -> None:
        """Delete a user, with roles, keys and log-ins.

        Raises:
            NotFound: there is no such user.
            InUse: instances that the user made are there.
            Conflict: it is the caller.
        """
        self._door.allow(caller, Verb.IDENTITY_ADMIN)
        with self._door.store.write() as tx:
            known = _user(tx, user).user
            check_version(caller, "User", known.name, known)
            _not_own("user", user, caller.user.id, "deleted")
            try:
                tx.identities.delete_user(user)
            except Referenced as error:
                raise InUse("User", known.name, "instances; disable the user instead, or delete them first") from error
            note(tx, caller, Action.USER_DELETE, user, name=known.name)

    def _hash(self, password: str | None) -> str:
        return "" if password is None else self._passwords.hash(checked_password("password", password))

    # -------------------------------------------------------------------------------------------------------- roles

    def grants(
        self, caller: Caller, *, user: UserId | None = None, project: ProjectId | None = None
    ) -> Sequence[Grant]:
        """Return who has which role where, of one user, in one project, or both; others than administrators see their own."""
        with self._door.store.read() as tx:
            found = tx.identities.grants(user, project)
        return [grant for grant in found if caller.is_admin or grant.user.id == caller.user.id]

    def grant(self, caller: Caller, user: UserId, project: ProjectId, role: Role) -> None:
        """Give a user a role in a project; nothing happens if they have it.

        Raises:
            NotFound: there is no such user or project.
        """
        self._door.allow(caller, Verb.IDENTITY_ADMIN)
        with self._door.store.write() as tx:
            named = _user(tx, user).user.id, _project(tx, project).id
            if all(known.role is not role for known in tx.identities.grants(*named)):
                tx.identities.grant(*named, role)
                note(tx, caller, Action.ROLE_GIVE, user, project, role=role.value)

    def revoke(self, caller: Caller, user: UserId, project: ProjectId, role: Role) -> None:
        """Take a role from a user; their log-ins go on without it, and their keys too.

        Raises:
            NotFound: there is no such user or project, or the user does not have the role.
            Conflict: it is the role by which the caller does this.
        """
        self._door.allow(caller, Verb.IDENTITY_ADMIN)
        with self._door.store.write() as tx:
            _user(tx, user)
            _project(tx, project)
            if (user, project, role) == (caller.user.id, caller.project.id, Role.ADMIN):
                raise Conflict("Nobody takes the role of an administrator from themselves.")
            if not tx.identities.revoke(user, project, role):
                raise NotFound("Role", role.value)
            note(tx, caller, Action.ROLE_TAKE, user, project, role=role.value)


def add_project(door: Door, tx: Transaction, project: Project) -> Project:
    """Insert a project with the quotas that a new one has.

    Raises:
        Conflict: there is one of this name.
    """
    try:
        tx.identities.add_project(project)
    except Duplicate as error:
        raise Conflict(f"Project {project.name} already exists.", field="name") from error
    for resource, limit in door.limits.quotas.items():
        tx.quotas.set(project.id, resource, limit)
    return project


def _within(caller: Caller, project: Project) -> bool:
    return caller.key is None or caller.key.project == project.id


def _project(tx: Transaction, project: ProjectId) -> Project:
    found = tx.identities.project(project)
    if found is None:
        raise NotFound("Project", project)
    return found


def _user(tx: Transaction, user: UserId) -> Credentials:
    found = tx.identities.user(user)
    if found is None:
        raise NotFound("User", user)
    return found


def _default(tx: Transaction, name: str | None) -> ProjectId | None:
    if not name:
        return None
    found = tx.identities.project(ProjectId(name)) or tx.identities.project_by_name(name)
    if found is None:
        raise NotFound("Project", name)
    return found.id


def _owned(tx: Transaction, project: ProjectId) -> str:
    """Return what a project owns, in words that a person can look for."""
    counts = {
        "instance": len(tx.instances.list(project)),
        "floating IP": len(tx.addresses.floating_ips(project)),
        "DNS domain": sum(domain.project == project for domain in tx.names.domains()),
        "network": sum(network.project == project for network in tx.topology.networks(project))
        + len(tx.own.bares(project)),
        "router": len(tx.own.routers(project)),
        "subnet pool": sum(pool.project == project for pool in tx.own.pools(project)),
        "egress preference": len(tx.preferences.list(project)),
    }
    return ", ".join(f"{count} {noun}{'s' if count > 1 else ''}" for noun, count in counts.items() if count)


def _not_own(noun: str, wanted: str, own: str, done: str) -> None:
    if wanted == own:
        raise Conflict(f"The {noun} in whose name this is asked can't be {done} by it.")


def _text(field: str, text: str) -> str:
    if (reason := text_fault(text)) is not None:
        raise Invalid(field, reason)
    return text
