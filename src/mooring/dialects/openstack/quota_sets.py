"""Nova's os-quota-sets: what a project may have, and for administrators how to change it."""

from collections.abc import Mapping, Sequence
from typing import Annotated

from pydantic import BeforeValidator

from mooring.dialects.http import Refused
from mooring.dialects.openstack.bodies import Body
from mooring.dialects.openstack.calls import Answer, Call
from mooring.model.nouns import Quota, Resource

_NO_LIMIT = -1
_COUNTED = (
    Resource.INSTANCES,
    Resource.FLOATING_IPS,
    Resource.SECURITY_GROUPS,
    Resource.SECURITY_GROUP_RULES,
)
# What nova counts and mooring doesn't: without a limit, or there is none of it.
_OTHERS: Mapping[str, int] = {
    "cores": _NO_LIMIT,
    "ram": _NO_LIMIT,
    "fixed_ips": _NO_LIMIT,
    "key_pairs": 0,
    "metadata_items": 0,
    "injected_files": 0,
    "injected_file_content_bytes": 0,
    "injected_file_path_bytes": 0,
    "server_groups": 0,
    "server_group_members": 0,
}


def _number(value: object) -> object:
    # Old clients send numbers as texts.
    if isinstance(value, str) and value.isascii() and value.removeprefix("-").isdecimal() and len(value) <= 12:
        return int(value)
    return value


def _truth(value: object) -> object:
    return {"true": True, "false": False}.get(value.lower(), value) if isinstance(value, str) else value


Limit = Annotated[int | None, BeforeValidator(_number)]


class Limits(Body):
    """The inside of PUT /os-quota-sets/{project}: what isn't named, or null, stays."""

    instances: Limit = None
    floating_ips: Limit = None
    security_groups: Limit = None
    security_group_rules: Limit = None
    cores: Limit = None
    ram: Limit = None
    fixed_ips: Limit = None
    key_pairs: Limit = None
    metadata_items: Limit = None
    injected_files: Limit = None
    injected_file_content_bytes: Limit = None
    injected_file_path_bytes: Limit = None
    server_groups: Limit = None
    server_group_members: Limit = None
    force: Annotated[bool, BeforeValidator(_truth)] = False
    tenant_id: str | None = None


class QuotaSet(Body):
    """The body of PUT /os-quota-sets/{project}."""

    quota_set: Limits


def show_quotas(call: Call) -> Answer:
    """GET /os-quota-sets/{project}."""
    _refuse_users(call)
    project = call.operations.identity.project(call.caller, call.params["project"])
    limits = _limits(call.operations.identity.quotas(call.caller, project.id))
    return Answer(body={"quota_set": {"id": project.id, **limits}})


def show_details(call: Call) -> Answer:
    """GET /os-quota-sets/{project}/detail: with what is in use."""
    _refuse_users(call)
    project = call.operations.identity.project(call.caller, call.params["project"])
    quotas = call.operations.identity.quotas(call.caller, project.id)
    used = {quota.resource.value: quota.used for quota in quotas}
    details = {
        key: {"limit": limit, "in_use": used.get(key, 0), "reserved": 0} for key, limit in _limits(quotas).items()
    }
    return Answer(body={"quota_set": {"id": project.id, **details}})


def show_defaults(call: Call) -> Answer:
    """GET /os-quota-sets/{project}/defaults."""
    project = call.operations.identity.project(call.caller, call.params["project"])
    defaults = call.operations.quotas.defaults(call.caller)
    limits = {resource.value: defaults[resource] for resource in _COUNTED}
    return Answer(body={"quota_set": {"id": project.id, **limits, **_OTHERS}})


def change_quotas(call: Call) -> Answer:
    """PUT /os-quota-sets/{project}."""
    _refuse_users(call)
    wanted = call.read(QuotaSet).quota_set
    named = {key: limit for key, limit in wanted.model_dump().items() if limit is not None}
    for key, limit in _OTHERS.items():
        if named.get(key, limit) != limit:
            raise Refused(400, f"Invalid input for field quota_set.{key}: mooring has no such limit; it is {limit}.")
    limits = {resource: named[resource.value] for resource in _COUNTED if resource.value in named}
    changed = call.operations.quotas.change(call.caller, call.params["project"], limits, force=wanted.force)
    return Answer(body={"quota_set": _limits(changed)})


def reset_quotas(call: Call) -> Answer:
    """DELETE /os-quota-sets/{project}: as those of a new project."""
    _refuse_users(call)
    call.operations.quotas.reset(call.caller, call.params["project"])
    return Answer(202)


def _refuse_users(call: Call) -> None:
    # To do it to the whole project would be worse than not to do it.
    if call.query.get("user_id"):
        raise Refused(400, "Invalid input for query parameter user_id: mooring has quotas of projects only.")


def _limits(quotas: Sequence[Quota]) -> dict[str, int]:
    known = {quota.resource: quota.limit for quota in quotas}
    return {**{resource.value: known[resource] for resource in _COUNTED}, **_OTHERS}
