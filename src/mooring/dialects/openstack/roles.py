"""Keystone v3's roles, of which there are three, and who has which."""

from typing import Any

from mooring.dialects.openstack.accounts import DOMAIN, own_link
from mooring.dialects.openstack.calls import Answer, Call
from mooring.model.accounts import Grant, Role
from mooring.model.faults import NotFound
from mooring.model.ids import ProjectId, UserId

# Kinds of assignments that there are in keystone, and not here.
_NONE_OF = ("group.id", "scope.domain.id", "scope.system", "scope.OS-INHERIT:inherited_to")


def list_roles(call: Call) -> Answer:
    """GET /identity/v3/roles."""
    views = [_role_view(call, role) for role in Role if call.query.get("name") in (None, role.value)]
    if call.query.get("domain_id"):
        views = []
    return Answer(body={"roles": views, "links": own_link(call)})


def show_role(call: Call) -> Answer:
    """GET /identity/v3/roles/{role}."""
    return Answer(body={"role": _role_view(call, _role(call))})


def list_roles_of_user(call: Call) -> Answer:
    """GET /identity/v3/projects/{project}/users/{user}/roles."""
    return Answer(body={"roles": [_role_view(call, role) for role in _roles(call)], "links": own_link(call)})


def has_role(call: Call) -> Answer:
    """HEAD and GET /identity/v3/projects/{project}/users/{user}/roles/{role}."""
    if (role := _role(call)) not in _roles(call):
        raise NotFound("Role", role.value)
    return Answer(204)


def grant(call: Call) -> Answer:
    """PUT /identity/v3/projects/{project}/users/{user}/roles/{role}."""
    user, project = UserId(call.params["user"]), ProjectId(call.params["project"])
    call.operations.accounts.grant(call.caller, user, project, _role(call))
    return Answer(204)


def revoke(call: Call) -> Answer:
    """DELETE /identity/v3/projects/{project}/users/{user}/roles/{role}."""
    user, project = UserId(call.params["user"]), ProjectId(call.params["project"])
    call.operations.accounts.revoke(call.caller, user, project, _role(call))
    return Answer(204)


def list_assignments(call: Call) -> Answer:
    """GET /identity/v3/role_assignments: one's own, and for administrators everybody's."""
    query = call.query
    user, project = query.get("user.id"), query.get("scope.project.id")
    found = call.operations.accounts.grants(
        call.caller,
        user=UserId(user) if user is not None else None,
        project=ProjectId(project) if project is not None else None,
    )
    named = query.get("include_names", "0").lower() not in {"0", "false"}
    views = [
        _assignment_view(call, each, named=named)
        for each in found
        if query.get("role.id") in (None, each.role.value) and not any(kind in query for kind in _NONE_OF)
    ]
    return Answer(body={"role_assignments": views, "links": own_link(call)})


def _role(call: Call) -> Role:
    try:
        return Role(call.params["role"])
    except ValueError as error:
        raise NotFound("Role", call.params["role"]) from error


def _roles(call: Call) -> list[Role]:
    """Return the roles of the user in the path; one's own, or for an administrator anybody's."""
    user, project = UserId(call.params["user"]), ProjectId(call.params["project"])
    caller, accounts = call.caller, call.operations.accounts
    found = [each.role for each in accounts.grants(caller, user=user, project=project)]
    if not found:
        # Nothing, or nothing that the caller may know of.
        for known, wanted in ((accounts.user(caller, user).id, user), (accounts.project(caller, project).id, project)):
            if known != wanted:
                raise NotFound("User" if wanted == user else "Project", wanted)
    return found


def _role_view(call: Call, role: Role) -> dict[str, Any]:
    return {
        "id": role.value,
        "name": role.value,
        "domain_id": None,
        "description": None,
        "options": {},
        "links": {"self": call.url("identity/v3/roles", role.value)},
    }


def _assignment_view(call: Call, each: Grant, *, named: bool) -> dict[str, Any]:
    role: dict[str, Any] = {"id": each.role.value}
    user: dict[str, Any] = {"id": each.user.id}
    project: dict[str, Any] = {"id": each.project.id}
    if named:
        role["name"] = each.role.value
        user |= {"name": each.user.name, "domain": DOMAIN}
        project |= {"name": each.project.name, "domain": DOMAIN}
    place = ("identity/v3/projects", each.project.id, "users", each.user.id, "roles", each.role.value)
    return {
        "role": role,
        "user": user,
        "scope": {"project": project},
        "links": {"assignment": call.url(*place)},
    }
