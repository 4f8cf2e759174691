"""Quotas: of what is counted, how much a project may have and has."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from mooring.dialects.neutron.marks import unconditional
from mooring.dialects.openstack.bodies import Body
from mooring.dialects.openstack.calls import Answer, Call
from mooring.model.nouns import Quota, Resource

# Rules are counted in each group: what is told is the fullest one's.  Of ports, those are counted that the project made itself.
_NAMES: Mapping[Resource, str] = {
    Resource.FLOATING_IPS: "floatingip",
    Resource.SECURITY_GROUPS: "security_group",
    Resource.SECURITY_GROUP_RULES: "security_group_rule",
    Resource.NETWORKS: "network",
    Resource.SUBNETS: "subnet",
    Resource.ROUTERS: "router",
    Resource.SUBNET_POOLS: "subnetpool",
    Resource.NICS: "port",
}
Limit = Annotated[int, Field(ge=-1, le=2**31 - 1)]


class WantedQuota(Body):
    """New limits; -1 is none."""

    floatingip: Limit | None = None
    security_group: Limit | None = None
    security_group_rule: Limit | None = None
    network: Limit | None = None
    subnet: Limit | None = None
    router: Limit | None = None
    subnetpool: Limit | None = None
    port: Limit | None = None


class QuotaBody(Body):
    """The body of PUT /quotas/{project}."""

    quota: WantedQuota


def show_quota(call: Call) -> Answer:
    """GET /network/v2.0/quotas/{project}."""
    return Answer(body={"quota": {name: quota.limit for name, quota in _quotas(call).items()}})


def show_usage(call: Call) -> Answer:
    """GET /network/v2.0/quotas/{project}/details."""
    usage = {name: {"limit": quota.limit, "used": quota.used, "reserved": 0} for name, quota in _quotas(call).items()}
    return Answer(body={"quota": usage})


def update_quota(call: Call) -> Answer:
    """PUT /network/v2.0/quotas/{project}."""
    unconditional(call)
    wanted = call.read(QuotaBody).quota
    named = wanted.model_dump(exclude_none=True)
    _change(call, {resource: named[name] for resource, name in _NAMES.items() if name in named})
    return show_quota(call)


def show_default(call: Call) -> Answer:
    """GET /network/v2.0/quotas/{project}/default."""
    call.operations.identity.project(call.caller, call.params["project"])
    return Answer(body={"quota": {_NAMES[resource]: limit for resource, limit in _defaults(call).items()}})


def reset_quota(call: Call) -> Answer:
    """DELETE /network/v2.0/quotas/{project}: what is counted here is limited as in a new project."""
    unconditional(call)
    _change(call, _defaults(call))
    return Answer(204)


def _defaults(call: Call) -> dict[Resource, int]:
    defaults = call.operations.quotas.defaults(call.caller)
    return {resource: defaults[resource] for resource in _NAMES}


def _change(call: Call, limits: Mapping[Resource, int]) -> None:
    # As in Neutron, a limit may be below what is used: then nothing more can be had.
    call.operations.quotas.change(call.caller, call.params["project"], limits, force=True)


def _quotas(call: Call) -> dict[str, Quota]:
    found = call.operations.identity.quotas(call.caller, call.params["project"])
    return {_NAMES[quota.resource]: quota for quota in found if quota.resource in _NAMES}
