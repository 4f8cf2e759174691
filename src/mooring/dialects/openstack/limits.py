"""Nova's limits: what a project may have and has."""

from mooring.dialects.openstack.calls import Answer, Call
from mooring.model.nouns import Resource

_NO_LIMIT = -1


def show_limits(call: Call) -> Answer:
    """GET /limits: floating IPs, instances and security groups are counted; what mooring doesn't count has no limit."""
    quotas = {quota.resource: quota for quota in call.operations.identity.quotas(call.caller, call.caller.project.id)}
    floating, instances = quotas[Resource.FLOATING_IPS], quotas[Resource.INSTANCES]
    used = [instance.flavor for instance in call.operations.instances.listing(call.caller)]
    flavors = {flavor.id: flavor for flavor in call.operations.instances.flavors()}
    absolute = {
        "maxTotalInstances": instances.limit,
        "totalInstancesUsed": instances.used,
        "maxTotalFloatingIps": floating.limit,
        "totalFloatingIpsUsed": floating.used,
        "maxTotalCores": _NO_LIMIT,
        "totalCoresUsed": sum(flavors[flavor].vcpus for flavor in used if flavor in flavors),
        "maxTotalRAMSize": _NO_LIMIT,
        "totalRAMUsed": sum(flavors[flavor].ram for flavor in used if flavor in flavors),
        "maxSecurityGroups": quotas[Resource.SECURITY_GROUPS].limit,
        "totalSecurityGroupsUsed": quotas[Resource.SECURITY_GROUPS].used,
        "maxSecurityGroupRules": quotas[Resource.SECURITY_GROUP_RULES].limit,
        # Of these there are none yet, and so there may be none.
        "maxTotalKeypairs": 0,
        "maxServerMeta": 0,
        "maxImageMeta": 0,
        "maxPersonality": 0,
        "maxPersonalitySize": 0,
        "maxServerGroups": 0,
        "maxServerGroupMembers": 0,
        "totalServerGroupsUsed": 0,
    }
    return Answer(body={"limits": {"rate": [], "absolute": absolute}})
