"""Keystone v3's application credentials, which are mooring's keys."""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import Field

from mooring.dialects.http import Refused, shown
from mooring.dialects.openstack.accounts import own_link
from mooring.dialects.openstack.bodies import Body, Name, NotOffered
from mooring.dialects.openstack.calls import Answer, Call
from mooring.model.accounts import Key, Role
from mooring.model.faults import Forbidden, NotFound
from mooring.model.ids import KeyId, UserId
from mooring.operations import NewKey

_Text = Annotated[str, Field(max_length=4096)]


class RoleBody(Body):
    """A role by its id or its name, which are the same."""

    id: Name | None = None
    name: Name | None = None
    domain_id: NotOffered = None


class CredentialBody(Body):
    """The inside of POST /users/{user}/application_credentials."""

    name: _Text
    secret: _Text | None = None
    description: _Text | None = None
    expires_at: _Text | None = None
    roles: list[RoleBody] | None = None
    unrestricted: bool | None = None
    access_rules: NotOffered = None


class CreateCredential(Body):
    """The body of POST /users/{user}/application_credentials."""

    application_credential: CredentialBody


def list_credentials(call: Call) -> Answer:
    """GET /identity/v3/users/{user}/application_credentials: one's own, and for administrators anybody's."""
    found = call.operations.keys.listing(call.caller, _user(call))
    views = [_view(call, key) for key in found if call.query.get("name") in (None, key.name)]
    return Answer(body={"application_credentials": views, "links": own_link(call)})


def create_credential(call: Call) -> Answer:
    """POST /identity/v3/users/{user}/application_credentials: for oneself, in the project of one's token."""
    if _user(call) != call.caller.user.id:
        raise Forbidden("Application credentials can be made for oneself only.")
    wanted = call.read(CreateCredential).application_credential
    new = NewKey(
        wanted.name,
        wanted.description or "",
        _roles(wanted.roles),
        _moment(wanted.expires_at),
        wanted.secret,
        restricted=not wanted.unrestricted,
    )
    key, secret = call.operations.keys.create(call.caller, new, call.idempotency_key)
    return Answer(201, {"application_credential": {**_view(call, key), "secret": secret}})


def show_credential(call: Call) -> Answer:
    """GET /identity/v3/users/{user}/application_credentials/{key}."""
    return Answer(body={"application_credential": _view(call, _key(call))})


def delete_credential(call: Call) -> Answer:
    """DELETE /identity/v3/users/{user}/application_credentials/{key}: what it logged in has ended."""
    call.operations.keys.delete(call.caller, _key(call).id)
    return Answer(204)


def _user(call: Call) -> UserId:
    wanted = UserId(call.params["user"])
    if wanted != call.caller.user.id and call.operations.accounts.user(call.caller, wanted).id != wanted:
        raise NotFound("User", wanted)
    return wanted


def _key(call: Call) -> Key:
    wanted = KeyId(call.params["key"])
    found = call.operations.keys.get(call.caller, wanted, _user(call))
    if found.id != wanted:
        raise NotFound("Key", wanted)
    return found


def _roles(wanted: list[RoleBody] | None) -> frozenset[Role] | None:
    # Keystone's clients say with an empty list that they don't care.
    if not wanted:
        return None
    try:
        return frozenset(Role(role.id or role.name or "") for role in wanted)
    except ValueError as error:
        raise Refused(
            400, "Invalid input for field application_credential.roles: each must be admin, member or reader."
        ) from error


def _moment(text: str | None) -> datetime | None:
    """Read a moment; without a zone it is in UTC, as keystone has it."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise Refused(
            400, f"Invalid input for field application_credential.expires_at: {shown(text)} is no moment."
        ) from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _view(call: Call, key: Key) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "description": key.description,
        "user_id": key.user,
        "project_id": key.project,
        "roles": [{"id": role.value, "name": role.value, "domain_id": None} for role in sorted(key.roles)],
        "expires_at": key.expires.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") if key.expires else None,
        "unrestricted": not key.restricted,
        "access_rules": [],
        "system": None,
        "links": {"self": call.url("identity/v3/users", key.user, "application_credentials", key.id)},
    }
