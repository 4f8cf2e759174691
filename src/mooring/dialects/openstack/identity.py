"""Keystone v3: versions, tokens, the catalogue, and the reads that clients make of their own projects and user."""

import base64
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field

from mooring.dialects.http import Refused
from mooring.dialects.openstack.bodies import Body, Name
from mooring.dialects.openstack.calls import UNAUTHENTICATED, Answer, Call
from mooring.model.faults import NotFound, Unauthenticated
from mooring.model.nouns import Project, Role, Token, User

# There is one domain: what keystone calls so is not a notion of mooring.
DOMAIN = {"id": "default", "name": "Default"}
_SERVICES = (("identity", "keystone", "identity/v3"), ("compute", "nova", "compute/v2.1"), ("image", "glance", "image"))
_INTERFACES = ("public", "internal", "admin")


class DomainName(Body):
    """A domain by its id or its name."""

    id: Name | None = None
    name: Name | None = None

    @property
    def known(self) -> bool:
        """Whether this is our only domain."""
        return (self.id or DOMAIN["id"]) == DOMAIN["id"] and (self.name or DOMAIN["name"]) == DOMAIN["name"]


class WhoLogsIn(Body):
    """A user by id, or by name and domain, and the password."""

    id: Name | None = None
    name: Name | None = None
    domain: DomainName = DomainName()
    password: Annotated[str, Field(max_length=4096)]


class PasswordMethod(Body):
    """Identity by password."""

    user: WhoLogsIn


class TokenMethod(Body):
    """Identity by a token that the client has."""

    id: Annotated[str, Field(min_length=1, max_length=4096)]


class Identity(Body):
    """How the client proves who it is."""

    methods: Annotated[list[Literal["password", "token"]], Field(min_length=1, max_length=1)]
    password: PasswordMethod | None = None
    token: TokenMethod | None = None


class ProjectScope(Body):
    """A project by id, or by name and domain."""

    id: Name | None = None
    name: Name | None = None
    domain: DomainName = DomainName()


class Scope(Body):
    """For what the token shall be good."""

    project: ProjectScope


class Authentication(Body):
    """The inside of POST /auth/tokens."""

    identity: Identity
    scope: Scope | Literal["unscoped"] | None = None


class LogIn(Body):
    """The body of POST /auth/tokens."""

    auth: Authentication


# --------------------------------------------------------------------------------------------------------------- handlers


def log_in(call: Call) -> Answer:
    """POST /identity/v3/auth/tokens."""
    wanted = call.read(LogIn).auth
    project = _scope(wanted.scope)
    method = wanted.identity.methods[0]
    if method == "password" and wanted.identity.password is not None:
        user = wanted.identity.password.user
        if user.id is None and user.name is None:
            raise Refused(400, "Invalid input for field auth.identity.password.user: id or name is required.")
        if not user.domain.known:
            raise Unauthenticated(UNAUTHENTICATED, detail="unknown domain")
        token = call.operations.identity.log_in(
            user=user.name, user_id=user.id, password=user.password, project=project
        )
    elif method == "token" and wanted.identity.token is not None:
        token = call.operations.identity.exchange(wanted.identity.token.id, project)
    else:
        raise Refused(400, f"Invalid input for field auth.identity.{method}: it is required.")
    return _token_answer(call, token, 201, (method,))


def _scope(scope: Scope | Literal["unscoped"] | None) -> str | None:
    if not isinstance(scope, Scope):
        return None
    project = scope.project
    if not project.domain.known:
        raise Unauthenticated(UNAUTHENTICATED, detail="unknown domain")
    named = project.id or project.name
    if named is None:
        raise Refused(400, "Invalid input for field auth.scope.project: id or name is required.")
    return named


def show_token(call: Call) -> Answer:
    """GET and HEAD /identity/v3/auth/tokens."""
    return _token_answer(call, _subject(call), 200, ("password",))


def revoke_token(call: Call) -> Answer:
    """DELETE /identity/v3/auth/tokens."""
    call.operations.identity.log_out(_subject(call).secret)
    return Answer(204)


def _subject(call: Call) -> Token:
    """Return the token that the request is about: one of the caller's own, or for an administrator anybody's."""
    secret = call.headers.get("x-subject-token", "")
    try:
        token = call.operations.identity.token(secret)
    except Unauthenticated as fault:
        raise NotFound("Token", "of X-Subject-Token") from fault
    if token.user.id != call.token.user.id and Role.ADMIN not in call.token.roles:
        raise NotFound("Token", "of X-Subject-Token")
    return token


def show_catalogue(call: Call) -> Answer:
    """GET /identity/v3/auth/catalog."""
    return Answer(body={"catalog": _catalogue(call), "links": _self(call)})


def list_projects(call: Call) -> Answer:
    """GET /identity/v3/auth/projects and /identity/v3/projects: the projects in which the caller has a role."""
    return _projects_answer(call, call.operations.identity.projects_of(call.token.secret))


def list_projects_of_user(call: Call) -> Answer:
    """GET /identity/v3/users/{user}/projects, for oneself."""
    _own_user(call)
    return list_projects(call)


def show_project(call: Call) -> Answer:
    """GET /identity/v3/projects/{project}."""
    for project in call.operations.identity.projects_of(call.token.secret):
        if project.id == call.params["project"]:
            return Answer(body={"project": _project_view(call, project)})
    raise NotFound("Project", call.params["project"])


def list_users(call: Call) -> Answer:
    """GET /identity/v3/users: oneself."""
    users = [call.token.user] if call.query.get("name") in (None, call.token.user.name) else []
    return Answer(body={"users": [_user_view(call, user) for user in users], "links": _self(call)})


def show_user(call: Call) -> Answer:
    """GET /identity/v3/users/{user}, for oneself."""
    return Answer(body={"user": _user_view(call, _own_user(call))})


def list_domains(call: Call) -> Answer:
    """GET /identity/v3/domains."""
    domains = [_domain_view(call)] if call.query.get("name") in (None, DOMAIN["name"]) else []
    return Answer(body={"domains": domains, "links": _self(call)})


def show_domain(call: Call) -> Answer:
    """GET /identity/v3/domains/{domain}."""
    if call.params["domain"] != DOMAIN["id"]:
        raise NotFound("Domain", call.params["domain"])
    return Answer(body={"domain": _domain_view(call)})


# ------------------------------------------------------------------------------------------------------------------ views


def _token_answer(call: Call, token: Token, status: int, methods: Sequence[str]) -> Answer:
    view: dict[str, object] = {
        "methods": list(methods),
        "user": {"id": token.user.id, "name": token.user.name, "domain": DOMAIN, "password_expires_at": None},
        "audit_ids": [_audit_id(token)],
        "issued_at": _moment(token.issued_at),
        "expires_at": _moment(token.expires_at),
    }
    if token.project is not None:
        view["project"] = {"id": token.project.id, "name": token.project.name, "domain": DOMAIN}
        view["is_domain"] = False
        view["roles"] = [{"id": role.value, "name": role.value} for role in sorted(token.roles)]
        if "nocatalog" not in call.query:
            view["catalog"] = _catalogue(call)
    return Answer(status, {"token": view}, {"X-Subject-Token": token.secret, "Vary": "X-Auth-Token"})


def _audit_id(token: Token) -> str:
    """Return a name by which logs can speak of a token without giving it away."""
    return base64.urlsafe_b64encode(hashlib.sha256(b"audit" + token.secret.encode()).digest()[:16]).decode().rstrip("=")


def _catalogue(call: Call) -> list[dict[str, object]]:
    return [
        {
            "id": kind,
            "type": kind,
            "name": name,
            "endpoints": [
                {
                    "id": f"{kind}-{interface}",
                    "interface": interface,
                    "region": call.site.region,
                    "region_id": call.site.region,
                    "url": call.url(path),
                }
                for interface in _INTERFACES
            ],
        }
        for kind, name, path in (*_SERVICES, *call.site.services)
    ]


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _self(call: Call) -> dict[str, object]:
    return {"self": call.url(call.path.lstrip("/")), "previous": None, "next": None}


def _projects_answer(call: Call, projects: Sequence[Project]) -> Answer:
    name = call.query.get("name")
    views = [_project_view(call, project) for project in projects if name in (None, project.name)]
    return Answer(body={"projects": views, "links": _self(call)})


def _project_view(call: Call, project: Project) -> dict[str, object]:
    return {
        "id": project.id,
        "name": project.name,
        "domain_id": DOMAIN["id"],
        "parent_id": DOMAIN["id"],
        "description": "",
        "enabled": True,
        "is_domain": False,
        "options": {},
        "tags": [],
        "links": {"self": call.url("identity/v3/projects", project.id)},
    }


def _own_user(call: Call) -> User:
    if call.params["user"] != call.token.user.id:
        raise NotFound("User", call.params["user"])
    return call.token.user


def _user_view(call: Call, user: User) -> dict[str, object]:
    return {
        "id": user.id,
        "name": user.name,
        "domain_id": DOMAIN["id"],
        "enabled": True,
        "password_expires_at": None,
        "options": {},
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
