"""Keystone v3's projects, users and domains, and how they are written."""

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import Field

from mooring.dialects.http import Refused
from mooring.dialects.openstack.bodies import Body, Name, NotOffered
from mooring.dialects.openstack.calls import Answer, Call
from mooring.model.accounts import Caller, Project, User
from mooring.model.faults import NotFound
from mooring.model.ids import ProjectId, UserId
from mooring.operations import NewProject, NewUser, ProjectChange, UserChange

# There is one domain: what keystone calls so is not a notion of mooring.
DOMAIN = {"id": "default", "name": "Default"}

_Text = Annotated[str, Field(max_length=4096)]


class ProjectBody(Body):
    """The inside of POST /projects."""

    name: _Text
    description: _Text | None = None
    enabled: bool | None = None
    domain_id: str | None = None
    parent_id: str | None = None
    is_domain: NotOffered = None
    options: NotOffered = None
    tags: NotOffered = None


class ProjectChangeBody(Body):
    """The inside of PATCH /projects/{project}."""

    name: _Text | None = None
    description: _Text | None = None
    enabled: bool | None = None
    domain_id: str | None = None
    parent_id: str | None = None
    is_domain: NotOffered = None
    options: NotOffered = None
    tags: NotOffered = None


class CreateProject(Body):
    """The body of POST /projects."""

    project: ProjectBody


class UpdateProject(Body):
    """The body of PATCH /projects/{project}."""

    project: ProjectChangeBody


class UserBody(Body):
    """The inside of POST /users."""

    name: _Text
    password: _Text | None = None
    description: _Text | None = None
    email: _Text | None = None
    enabled: bool | None = None
    domain_id: str | None = None
    default_project_id: Name | None = None
    options: NotOffered = None


class UserChangeBody(Body):
    """The inside of PATCH /users/{user}."""

    name: _Text | None = None
    password: _Text | None = None
    description: _Text | None = None
    email: _Text | None = None
    enabled: bool | None = None
    domain_id: str | None = None
    default_project_id: Name | None = None
    options: NotOffered = None


class CreateUser(Body):
    """The body of POST /users."""

    user: UserBody


class UpdateUser(Body):
    """The body of PATCH /users/{user}."""

    user: UserChangeBody


class PasswordBody(Body):
    """The inside of POST /users/{user}/password."""

    password: _Text
    original_password: _Text


class ChangePassword(Body):
    """The body of POST /users/{user}/password."""

    user: PasswordBody


# --------------------------------------------------------------------------------------------------------------- projects


def list_own_projects(call: Call) -> Answer:
    """GET /identity/v3/auth/projects: the projects in which the caller has a role."""
    return _projects_answer(call, call.operations.identity.projects_of(call.token.secret))


def list_projects(call: Call) -> Answer:
    """GET /identity/v3/projects: all of them for an administrator, and for others the same as above."""
    caller = asking(call)
    if caller is None or not caller.is_admin:
        return list_own_projects(call)
    return _projects_answer(call, call.operations.accounts.projects(caller))


def list_projects_of_user(call: Call) -> Answer:
    """GET /identity/v3/users/{user}/projects: one's own, and for administrators anybody's."""
    user = find_user(call)
    if user.id == call.token.user.id:
        return list_own_projects(call)
    found: dict[str, Project] = {}
    for grant in call.operations.accounts.grants(administrator(call), user=user.id):
        found.setdefault(grant.project.id, grant.project)
    return _projects_answer(call, found.values())


def show_project(call: Call) -> Answer:
    """GET /identity/v3/projects/{project}."""
    return Answer(body={"project": project_view(call, find_project(call))})


def create_project(call: Call) -> Answer:
    """POST /identity/v3/projects."""
    wanted = call.read(CreateProject).project
    _only_domain(wanted.domain_id, wanted.parent_id)
    new = NewProject(wanted.name, wanted.description or "", wanted.enabled is not False)
    made = call.operations.accounts.create_project(call.caller, new, call.idempotency_key)
    return Answer(201, {"project": project_view(call, made)})


def update_project(call: Call) -> Answer:
    """PATCH /identity/v3/projects/{project}."""
    wanted = call.read(UpdateProject).project
    _only_domain(wanted.domain_id, wanted.parent_id)
    change = ProjectChange(wanted.name, wanted.description, wanted.enabled)
    changed = call.operations.accounts.update_project(call.caller, ProjectId(call.params["project"]), change)
    return Answer(body={"project": project_view(call, changed)})


def delete_project(call: Call) -> Answer:
    """DELETE /identity/v3/projects/{project}."""
    call.operations.accounts.delete_project(call.caller, ProjectId(call.params["project"]))
    return Answer(204)


# ------------------------------------------------------------------------------------------------------------------ users


def list_users(call: Call) -> Answer:
    """GET /identity/v3/users: oneself, and for administrators all."""
    caller = asking(call)
    users = call.operations.accounts.users(caller) if caller is not None else [call.token.user]
    views = [user_view(call, user) for user in users if _asked(call, user.name, enabled=user.enabled)]
    return Answer(body={"users": views, "links": own_link(call)})


def show_user(call: Call) -> Answer:
    """GET /identity/v3/users/{user}: oneself, and for administrators anybody."""
    return Answer(body={"user": user_view(call, find_user(call))})


def create_user(call: Call) -> Answer:
    """POST /identity/v3/users."""
    wanted = call.read(CreateUser).user
    _only_domain(wanted.domain_id)
    new = NewUser(
        wanted.name,
        wanted.password,
        wanted.description or "",
        wanted.email or "",
        wanted.enabled is not False,
        wanted.default_project_id,
    )
    made = call.operations.accounts.create_user(call.caller, new, call.idempotency_key)
    return Answer(201, {"user": user_view(call, made)})


def update_user(call: Call) -> Answer:
    """PATCH /identity/v3/users/{user}."""
    wanted = call.read(UpdateUser).user
    _only_domain(wanted.domain_id)
    default = wanted.default_project_id
    if default is None and "default_project_id" in wanted.model_fields_set:
        default = ""
    change = UserChange(wanted.name, wanted.password, wanted.description, wanted.email, wanted.enabled, default)
    changed = call.operations.accounts.update_user(call.caller, UserId(call.params["user"]), change)
    return Answer(body={"user": user_view(call, changed)})


def delete_user(call: Call) -> Answer:
    """DELETE /identity/v3/users/{user}."""
    call.operations.accounts.delete_user(call.caller, UserId(call.params["user"]))
    return Answer(204)


def change_password(call: Call) -> Answer:
    """POST /identity/v3/users/{user}/password: one's own."""
    if call.params["user"] != call.token.user.id:
        raise NotFound("User", call.params["user"])
    wanted = call.read(ChangePassword).user
    identity = call.operations.identity
    identity.change_password(call.token.user, wanted.original_password, wanted.password, call.source)
    return Answer(204)


# ---------------------------------------------------------------------------------------------------------------- domains


def list_domains(call: Call) -> Answer:
    """GET /identity/v3/domains."""
    domains = [_domain_view(call)] if call.query.get("name") in (None, DOMAIN["name"]) else []
    return Answer(body={"domains": domains, "links": own_link(call)})


def show_domain(call: Call) -> Answer:
    """GET /identity/v3/domains/{domain}."""
    if call.params["domain"] != DOMAIN["id"]:
        raise NotFound("Domain", call.params["domain"])
    return Answer(body={"domain": _domain_view(call)})


# -------------------------------------------------------------------------------------------------------------- who is it


def asking(call: Call) -> Caller | None:
    """Return who asks with a token, or None for one without a project."""
    token = call.token
    if token.project is None or not token.roles:
        return None
    return Caller(token.user, token.project, token.roles, call.request_id, token.key)


def administrator(call: Call) -> Caller:
    """Return the administrator who asks.

    Raises:
        NotFound: it is none: for others, there is nobody but themselves.
    """
    caller = asking(call)
    if caller is None or not caller.is_admin:
        raise NotFound("User", call.params.get("user", ""))
    return caller


def find_user(call: Call) -> User:
    """Return the user in the path: the caller, or for an administrator anybody.

    Raises:
        NotFound: there is none that the caller may know of.
    """
    wanted = call.params["user"]
    if wanted == call.token.user.id:
        return call.token.user
    found = call.operations.accounts.user(administrator(call), wanted)
    if found.id != wanted:
        raise NotFound("User", wanted)
    return found


def find_project(call: Call) -> Project:
    """Return the project in the path: one in which the caller has a role, or for an administrator any.

    Raises:
        NotFound: there is none that the caller may know of.
    """
    wanted = call.params["project"]
    caller = asking(call)
    if caller is not None and caller.is_admin:
        found = call.operations.accounts.project(caller, wanted)
        if found.id == wanted:
            return found
    for project in call.operations.identity.projects_of(call.token.secret):
        if project.id == wanted:
            return project
    raise NotFound("Project", wanted)


def _only_domain(*named: str | None) -> None:
    for name in named:
        if name not in (None, DOMAIN["id"]):
            raise Refused(400, f"There is one domain here, {DOMAIN['id']}, and no project inside of another.")


# ------------------------------------------------------------------------------------------------------------------ views


def own_link(call: Call) -> dict[str, object]:
    """Return the links of a list that is not cut."""
    return {"self": call.url(call.path.lstrip("/")), "previous": None, "next": None}


def _asked(call: Call, name: str, *, enabled: bool) -> bool:
    query = call.query
    if query.get("domain_id", DOMAIN["id"]) != DOMAIN["id"] or query.get("parent_id", DOMAIN["id"]) != DOMAIN["id"]:
        return False
    wanted = query.get("enabled", str(enabled)).lower() in {"true", "1", ""}
    return query.get("name") in (None, name) and wanted == enabled


def _projects_answer(call: Call, projects: Iterable[Project]) -> Answer:
    views = [project_view(call, project) for project in projects if _asked(call, project.name, enabled=project.enabled)]
    return Answer(body={"projects": views, "links": own_link(call)})


def project_view(call: Call, project: Project) -> dict[str, Any]:
    """Write a project."""
    return {
        "id": project.id,
        "name": project.name,
        "domain_id": DOMAIN["id"],
        "parent_id": DOMAIN["id"],
        "description": project.description,
        "enabled": project.enabled,
        "is_domain": False,
        "options": {},
        "tags": [],
        "links": {"self": call.url("identity/v3/projects", project.id)},
    }


def user_view(call: Call, user: User) -> dict[str, Any]:
    """Write a user; those who have no e-mail address, description or default project have no such field."""
    told = {"email": user.email, "description": user.description, "default_project_id": user.default_project}
    return {
        "id": user.id,
        "name": user.name,
        "domain_id": DOMAIN["id"],
        "enabled": user.enabled,
        "password_expires_at": None,
        "options": {},
        **{name: value for name, value in told.items() if value},
        "links": {"self": call.url("identity/v3/users", user.id)},
    }


def _domain_view(call: Call) -> dict[str, object]:
    return {
        **DOMAIN,
        "description": "",
        "enabled": True,
        "options": {},
        "tags": [],
        "links": {"self": call.url("identity/v3/domains/default")},
    }
