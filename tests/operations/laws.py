"""What must hold of a cloud whenever its host has caught up, whatever was done to it."""

from collections import Counter

from sqlalchemy import text

from mooring.compile.facts import Fact, Key
from mooring.compile.host import facts_of
from mooring.model.ids import NicId
from mooring.model.nouns import Resource
from mooring.operations.nics import further_addresses
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


# What there must be none of, in words of both databases.
_LEFT = {
    "an address that is being released": "SELECT * FROM addresses WHERE releasing",
    "a fixed IP that is nobody's": """
        SELECT * FROM addresses WHERE kind = 'fixed' AND nic IS NULL AND id NOT IN (SELECT own FROM claims WHERE own IS NOT NULL)""",
    "an address of a router that has it no longer": """
        SELECT * FROM addresses WHERE kind = 'router' AND id NOT IN (SELECT address FROM router_uplinks)""",
    "a claim without an allowance": """
        SELECT * FROM claims c WHERE NOT EXISTS (
            SELECT 1 FROM allowances a WHERE a.network = c.network AND a.address = c.address)""",
    "a claim to another address": """
        SELECT * FROM claims c JOIN addresses a ON a.id = c.own WHERE a.scope <> c.network OR a.address <> c.address""",
    "a claim to another project's address": """
        SELECT * FROM claims c JOIN addresses a ON a.id = c.own JOIN nics n ON n.id = a.nic
        JOIN instances i ON i.id = n.instance WHERE i.project <> c.project""",
    "a claim that does not hold its address": """
        SELECT * FROM claims c JOIN addresses a ON a.scope = c.network AND a.address = c.address WHERE c.own IS NULL""",
    "an allowance that is leaving": "SELECT * FROM allowances WHERE leaving IS NOT NULL",
    "a card that is leaving": "SELECT * FROM nics WHERE leaving",
    "an instance that is going": "SELECT * FROM instances WHERE state = 'deleting'",
    "a router without networks that nobody made": """
        SELECT * FROM routers r LEFT JOIN own_routers o ON o.router = r.id
        WHERE r.private AND NOT coalesce(o.made, false) AND r.id NOT IN (SELECT router FROM networks WHERE router IS NOT NULL)""",
    "ports of a floating IP that is associated": """
        SELECT * FROM port_forwardings p JOIN associations a ON a.floating = p.floating""",
    "what leads to nobody": """
        SELECT a.id FROM addresses a WHERE (a.nic IS NULL OR a.releasing) AND a.id IN (
            SELECT fixed FROM port_forwardings UNION SELECT fixed FROM associations)""",
    "a hardware address that is nothing's": """
        SELECT * FROM macs WHERE mac NOT IN (
            SELECT mac FROM nics UNION SELECT mac FROM networks UNION SELECT mac FROM router_uplinks)""",
    "a cursor of what is gone": "SELECT * FROM cursors WHERE owner NOT IN (SELECT id FROM networks UNION SELECT id FROM pools)",
    "a zone of what is gone": "SELECT * FROM zones WHERE network NOT IN (SELECT id FROM networks)",
    "a generation of what is gone": """
        SELECT * FROM generations WHERE subject NOT IN (SELECT subject FROM deliveries UNION SELECT id FROM networks
            UNION SELECT id FROM bare_networks UNION SELECT id FROM routers UNION SELECT id FROM nics
            UNION SELECT id FROM instances UNION SELECT id FROM security_groups)""",
    "a block that is counted wrong": """
        SELECT * FROM address_blocks b WHERE b.used <> (
            SELECT count(*) FROM addresses a WHERE a.scope = b.scope AND a.position / 256 = b.block)""",
}

_USED = {
    Resource.PORT_FORWARDINGS: "SELECT project FROM port_forwardings",
    Resource.NETWORKS: """
        SELECT project FROM bare_networks
        UNION ALL SELECT n.project FROM networks n JOIN own_subnets s ON s.network = n.id""",
    Resource.SUBNETS: "SELECT n.project FROM networks n JOIN own_subnets s ON s.network = n.id",
    Resource.ROUTERS: "SELECT r.project FROM routers r JOIN own_routers o ON o.router = r.id WHERE o.made",
    Resource.SUBNET_POOLS: "SELECT project FROM subnet_pools WHERE project IS NOT NULL",
}


def check_rows(cloud: Cloud) -> None:
    """Hold that the database keeps nothing which nobody has and nobody can take away, and that quotas count what there is."""
    projects = [cloud.caller(user).project.id for user in USERS.values()]
    with cloud.store.read() as tx:
        connection = tx._session.connection
        left = {name: connection.execute(text(sought)).all() for name, sought in _LEFT.items()}
        assert {name: rows for name, rows in left.items() if rows} == {}
        counted = {of: Counter(str(row[0]) for row in connection.execute(text(sought))) for of, sought in _USED.items()}
        counted[Resource.NIC_ADDRESSES] = Counter[str]()
        for instance in tx.instances.list(None):
            counted[Resource.NIC_ADDRESSES][instance.project] += further_addresses(instance.nics)
        for resource, number in counted.items():
            used = {project: tx.quotas.get(project, resource).used for project in projects}
            assert used == {project: number[project] for project in projects}, resource


def check_host(cloud: Cloud) -> None:
    """Hold that the host knows exactly what it should, as it is now, and that nothing of it contradicts itself."""
    held = cloud.host.held
    with cloud.store.read() as tx:
        entries = [entry for entry in tx.deliveries.digest(cloud.host._id) if entry.present]
        assert {(entry.key, entry.role) for entry in entries} == held.keys()
        fresh = tx.deliveries.pending(cloud.host._id, sorted({entry.key for entry in entries}))
    assert {(placed.key, placed.role): placed.subject for placed in fresh} == {
        part: placed.subject for part, placed in held.items()
    }
    known: dict[Key, Fact] = {}
    for (_, role), placed in held.items():
        for fact in facts_of(placed.subject, role) if placed.subject is not None else ():
            other = known.setdefault(fact.key, fact)
            assert other is fact or (fact.key.table.shared and other == fact), f"{fact} contradicts {other}"
