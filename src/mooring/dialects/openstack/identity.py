"""Keystone v3: tokens and the catalogue."""

import base64
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field

from mooring.dialects.http import Refused
from mooring.dialects.openstack.accounts import DOMAIN, own_link
from mooring.dialects.openstack.bodies import Body, Name
from mooring.dialects.openstack.calls import UNAUTHENTICATED, Answer, Call
from mooring.model.accounts import Role, Token
from mooring.model.faults import NotFound, Unauthenticated
from mooring.operations.identity import KeyName

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


class WhoseKey(Body):
    """A user by id, or by name and domain."""

    id: Name | None = None
    name: Name | None = None
    domain: DomainName = DomainName()


class KeyMethod(Body):
    """Identity by an application credential: by its id, or by its name and its user."""

    id: Name | None = None
    name: Name | None = None
    user: WhoseKey = WhoseKey()
    secret: Annotated[str, Field(max_length=4096)]


class Identity(Body):
    """How the client proves who it is."""

    methods: Annotated[list[Literal["password", "token", "application_credential"]], Field(min_length=1, max_length=1)]
    password: PasswordMethod | None = None
    token: TokenMethod | None = None
    application_credential: KeyMethod | None = None


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
        token = _by_password(call, wanted.identity.password.user, project)
    elif method == "token" and wanted.identity.token is not None:
        token = call.operations.identity.exchange(wanted.identity.token.id, project)
    elif method == "application_credential" and wanted.identity.application_credential is not None:
        if wanted.scope is not None:
            raise Unauthenticated("Application credentials cannot request a scope.")
        token = _by_key(call, wanted.identity.application_credential)
    else:
        raise Refused(400, f"Invalid input for field auth.identity.{method}: it is required.")
    return _token_answer(call, token, 201, method)


def _by_password(call: Call, user: WhoLogsIn, project: str | None) -> Token:
    if user.id is None and user.name is None:
        raise Refused(400, "Invalid input for field auth.identity.password.user: id or name is required.")
    if not user.domain.known:
        raise Unauthenticated(UNAUTHENTICATED, detail="unknown domain")
    return call.operations.identity.log_in(
        user=user.name, user_id=user.id, password=user.password, project=project, source=call.source
    )


def _by_key(call: Call, key: KeyMethod) -> Token:
    if key.id is None and (key.name is None or (key.user.id is None and key.user.name is None)):
        raise Refused(
            400, "Invalid input for field auth.identity.application_credential: id, or name and user are required."
        )
    if not key.user.domain.known:
        raise Unauthenticated(UNAUTHENTICATED, detail="unknown domain")
    named = KeyName(key.id, key.name, key.user.name, key.user.id)
    return call.operations.identity.log_in_by_key(named, key.secret, call.source)


def _scope(scope: Scope | Literal["unscoped"] | None) -> str | None:
    """Return the project that is asked for, empty for none, and None for whatever is usual."""
    if scope == "unscoped":
        return ""
    if scope is None:
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
    return _token_answer(call, _subject(call), 200)


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
    return Answer(body={"catalog": _catalogue(call), "links": own_link(call)})


# ------------------------------------------------------------------------------------------------------------------ views


def _token_answer(call: Call, token: Token, status: int, method: str = "password") -> Answer:
    view: dict[str, object] = {
        "methods": [method if token.key is None else "application_credential"],
        "user": {"id": token.user.id, "name": token.user.name, "domain": DOMAIN, "password_expires_at": None},
        "audit_ids": [audit_id(token)],
        "issued_at": _moment(token.issued_at),
        "expires_at": _moment(token.expires_at),
    }
    if token.project is not None:
        view["project"] = {"id": token.project.id, "name": token.project.name, "domain": DOMAIN}
        view["is_domain"] = False
        if token.key is not None:
            key = token.key
            view["application_credential"] = {"id": key.id, "name": key.name, "restricted": key.restricted}
        view["roles"] = [{"id": role.value, "name": role.value} for role in sorted(token.roles)]
        if "nocatalog" not in call.query:
            view["catalog"] = _catalogue(call)
    return Answer(status, {"token": view}, {"X-Subject-Token": token.secret, "Vary": "X-Auth-Token"})


def audit_id(token: Token) -> str:
    """Return a name by which logs can speak of a token without giving it away."""
    return base64.urlsafe_b64encode(hashlib.sha256(b"audit" + token.secret.encode()).digest()[:16]).decode().rstrip("=")


def services(call: Call) -> Sequence[tuple[str, str, str]]:
    """Return the services that there are: type, name and path of each."""
    return (*_SERVICES, *call.site.services)


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
        for kind, name, path in services(call)
    ]


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
