"""Quotas: of what is counted, how much a project may have and has."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from mooring.dialects.openstack.bodies import Body
from mooring.dialects.openstack.calls import Answer, Call
from mooring.model.ids import ProjectId
from mooring.model.nouns import Quota, Resource

# Rules are counted in each group: what is told is the fullest one's.
_NAMES: Mapping[Resource, str] = {
    Resource.FLOATING_IPS: "floatingip",
    Resource.SECURITY_GROUPS: "security_group",
    Resource.SECURITY_GROUP_RULES: "security_group_rule",
}
Limit = Annotated[int, Field(ge=-1, le=2**31 - 1)]


class WantedQuota(Body):
    """New limits; -1 is none."""

    floatingip: Limit | None = None
    security_group: Limit | None = None
    security_group_rule: Limit | None = None


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
    wanted = call.read(QuotaBody).quota
    for resource, name in _NAMES.items():
        limit: int | None = getattr(wanted, name)
        if limit is not None:
            call.operations.identity.set_quota(call.caller, ProjectId(call.params["project"]), resource, limit)
    return show_quota(call)


def _quotas(call: Call) -> dict[str, Quota]:
    found = call.operations.identity.quotas(call.caller, call.params["project"])
    return {_NAMES[quota.resource]: quota for quota in found if quota.resource in _NAMES}
