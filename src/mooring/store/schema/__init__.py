"""The tables: what must hold of stored intent, said as constraints that the database keeps, never as code.

Rules of the house:

- `seq` is the order of creation and the primary key; `id` is what everybody else knows a row by.
- A noun that can be listed has both; a table that only says something of others has their ids as its key.
- Foreign keys RESTRICT: nobody deletes what another row needs.  Parts of one noun (a pool's ranges) go with it (CASCADE).
- An address is kept twice: as text for people who read the database, and as an integer `position` for order and for the search of gaps.
- What must outlive the thing that it names (deliveries, generations, lingering) has no foreign key to it.
"""

from mooring.store.schema.addresses import (
    BLOCK,
    address_blocks,
    addresses,
    associations,
    cursors,
    lingering,
    router_uplinks,
)
from mooring.store.schema.allowances import allowances, claims
from mooring.store.schema.columns import macs, metadata
from mooring.store.schema.deliveries import deliveries, epochs, generations, memory, quotas
from mooring.store.schema.egress import egress_preferences, egress_renewals, egress_sets
from mooring.store.schema.events import events
from mooring.store.schema.forwardings import port_forwardings
from mooring.store.schema.groups import counters, nic_groups, security_group_rules, security_groups, zones
from mooring.store.schema.identities import grants, key_roles, keys, projects, tokens, users
from mooring.store.schema.instances import failed_launches, instances, nics
from mooring.store.schema.names import dns_domains, dns_entries
from mooring.store.schema.own import bare_networks, own_nics, own_routers, own_subnets, subnet_pools
from mooring.store.schema.pools import pool_days, pool_grants, pool_shares
from mooring.store.schema.tags import tags
from mooring.store.schema.topology import hosts, networks, pool_ranges, pools, routers, uplinks, uplinks_away

__all__ = [
    "BLOCK",
    "address_blocks",
    "addresses",
    "allowances",
    "associations",
    "bare_networks",
    "claims",
    "counters",
    "cursors",
    "deliveries",
    "dns_domains",
    "dns_entries",
    "egress_preferences",
    "egress_renewals",
    "egress_sets",
    "epochs",
    "events",
    "failed_launches",
    "generations",
    "grants",
    "hosts",
    "instances",
    "key_roles",
    "keys",
    "lingering",
    "macs",
    "memory",
    "metadata",
    "networks",
    "nic_groups",
    "nics",
    "own_nics",
    "own_routers",
    "own_subnets",
    "pool_days",
    "pool_grants",
    "pool_ranges",
    "pool_shares",
    "pools",
    "port_forwardings",
    "projects",
    "quotas",
    "router_uplinks",
    "routers",
    "security_group_rules",
    "security_groups",
    "subnet_pools",
    "tags",
    "tokens",
    "uplinks",
    "uplinks_away",
    "users",
    "zones",
]
