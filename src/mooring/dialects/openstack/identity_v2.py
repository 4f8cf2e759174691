"""Keystone v2.0, which clients of before 2014 speak: tokens and tenants, where the newer version says projects."""

from typing import Annotated, Any

from pydantic import Field

from mooring.dialects.http import Refused
from mooring.dialects.openstack.bodies import Body, Name, NotOffered
from mooring.dialects.openstack.calls import Answer, Call
from mooring.dialects.openstack.identity import audit_id, services
from mooring.model.accounts import Project, Token

_Secret = Annotated[str, Field(max_length=4096)]


class PasswordCredentials(Body):
    """A user by name or id, and the password."""

    username: Name | None = None
    userId: Name | None = None  # noqa: N815 - as clients write it
    password: _Secret


class TokenCredentials(Body):
    """A token that the client has."""

    id: Annotated[str, Field(min_length=1, max_length=4096)]


class Authentication(Body):
    """The inside of POST /tokens."""

    passwordCredentials: PasswordCredentials | None = None  # noqa: N815 - as clients write it
    token: TokenCredentials | None = None
    tenantName: str | None = None  # noqa: N815 - as clients write it
    tenantId: str | None = None  # noqa: N815 - as clients write it
    trust_id: NotOffered = None


class LogIn(Body):
    """The body of POST /tokens."""

    auth: Authentication


def log_in(call: Call) -> Answer:
    """POST /identity/v2.0/tokens: for a tenant, or without one for none, whatever the user's default project is."""
    wanted = call.read(LogIn).auth
    if wanted.tenantName and wanted.tenantId:
        raise Refused(400, "Invalid input for field auth: give tenantName or tenantId, but not both.")
    tenant = wanted.tenantId or wanted.tenantName or ""
    identity = call.operations.identity
    if wanted.passwordCredentials is not None:
        user = wanted.passwordCredentials
        if (user.username is None) == (user.userId is None):
            raise Refused(400, "Invalid input for field auth.passwordCredentials: username or userId is required.")
        token = identity.log_in(
            user=user.username, user_id=user.userId, password=user.password, project=tenant, source=call.source
        )
    elif wanted.token is not None:
        token = identity.exchange(wanted.token.id, tenant)
    else:
        raise Refused(400, "Invalid input for field auth: passwordCredentials or token is required.")
    return Answer(body={"access": _access(call, token)}, headers={"Vary": "X-Auth-Token"})


def list_tenants(call: Call) -> Answer:
    """GET /identity/v2.0/tenants: those in which the caller has a role."""
    name = call.query.get("name")
    found = call.operations.identity.projects_of(call.token.secret)
    tenants = [_tenant(project) for project in found if name in (None, project.name)]
    if name is not None and tenants:
        # Asked for one by name, keystone answered with it and not with a list.
        return Answer(body={"tenant": tenants[0]})
    return Answer(body={"tenants": tenants, "tenants_links": []})


def _access(call: Call, token: Token) -> dict[str, Any]:
    told: dict[str, Any] = {
        "id": token.secret,
        "issued_at": token.issued_at.strftime("%Y-%m-%dT%H:%M:%S.%f"),
        "expires": token.expires_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "audit_ids": [audit_id(token)],
    }
    if token.project is not None:
        told["tenant"] = _tenant(token.project)
    roles = sorted(token.roles)
    return {
        "token": told,
        "user": {
            "id": token.user.id,
            "name": token.user.name,
            "username": token.user.name,
            "roles": [{"name": role.value} for role in roles],
            "roles_links": [],
        },
        "serviceCatalog": _catalogue(call) if token.project is not None else [],
        "metadata": {"is_admin": 0, "roles": [role.value for role in roles]},
    }


def _catalogue(call: Call) -> list[dict[str, Any]]:
    return [
        {
            "type": kind,
            "name": name,
            "endpoints": [
                {
                    "id": kind,
                    "region": call.site.region,
                    **dict.fromkeys(("publicURL", "internalURL", "adminURL"), call.url(_path(kind, path))),
                }
            ],
            "endpoints_links": [],
        }
        for kind, name, path in services(call)
    ]


def _path(kind: str, path: str) -> str:
    # Who reads this catalogue speaks this version of the identity service.
    return "identity/v2.0" if kind == "identity" else path


def _tenant(project: Project) -> dict[str, Any]:
    return {
        "id": project.id,
        "name": project.name,
        "description": project.description,
        "enabled": project.enabled,
    }
