"""What must hold of a cloud whenever its host has caught up, whatever was done to it."""

from collections import Counter

from mooring.model.ids import NicId
from mooring.model.nouns import Resource
from tests.cloud import ACCOUNTS, Cloud

USERS = {account.project: account.user for account in ACCOUNTS}


def check(cloud: Cloud) -> None:
    """Hold the host's state, quotas and addresses against what projects own."""
    owned, associated = Counter[str](), {}
    shares = Counter[tuple[str, str]]()
    for project, user in USERS.items():
        caller = cloud.caller(user)
        floating = cloud.operations.addresses.listing(caller)
        instances = cloud.operations.instances.listing(caller)
        used = {quota.resource: quota.used for quota in cloud.operations.identity.quotas(caller, project)}
        assert (used[Resource.FLOATING_IPS], used[Resource.INSTANCES]) == (len(floating), len(instances)), project
        owned.update(str(each.address) for each in floating)
        shares.update((each.pool_name, project) for each in floating)
        nics = {nic.id: nic for instance in instances for nic in instance.nics}
        for each in floating:
            if each.nic is None:
                assert (each.fixed, each.instance) == (None, None)
                continue
            # What is associated is associated with something that there is, in the same project.
            assert each.fixed in {fixed.address for fixed in nics[NicId(each.nic)].fixed}
            associated[each.address] = each.fixed
    assert max(owned.values(), default=1) == 1, "two projects have one address"
    assert cloud.host.public_addresses() == associated
    for pool in cloud.operations.pools.listing(cloud.caller("root")):
        told = cloud.operations.pools.report(cloud.caller("root"), pool.name)
        having = {share.project_name: share.used for share in told.shares or () if share.used}
        assert having == {project: number for (of, project), number in shares.items() if of == pool.name}, "shares"
        assert (told.usage.allocated, told.usage.releasing) == (sum(having.values()), 0)
    assert list(cloud.operations.settlement.behind()) == []
