"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_MOMENT = sa.DateTime(timezone=True)


def _partial_index(name: str, table: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


def upgrade() -> None:
    op.create_table(
        "address_blocks",
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("block", sa.BigInteger(), nullable=False),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.CheckConstraint("used BETWEEN 0 AND 256", name="ck_address_blocks_used"),
        sa.PrimaryKeyConstraint("scope", "block", name="pk_address_blocks"),
        sqlite_with_rowid=False,
    )
    _partial_index("ix_address_blocks_full", "address_blocks", ["scope", "block"], where="used = 256")
    op.create_table(
        "counters",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_counters"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "cursors",
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("owner", name="pk_cursors"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "epochs",
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("begun", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("epoch", name="pk_epochs"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "generations",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("kind IN ('network', 'router', 'nic', 'instance', 'group')", name="ck_generations_kind"),
        sa.CheckConstraint("generation > 0", name="ck_generations_generation"),
        sa.PrimaryKeyConstraint("kind", "subject", name="pk_generations"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "hosts",
        sa.Column("seq", _COUNTER, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("compute", sa.Boolean(), nullable=False),
        sa.Column("gateway", sa.Boolean(), nullable=False),
        sa.Column("cluster", sa.Text(), nullable=False),
        sa.Column("endpoint", sa.Text(), nullable=True),
        sa.Column("vlan_interface", sa.Text(), nullable=True),
        sa.Column("trunk_interface", sa.Text(), nullable=True),
        sa.Column("machine", sa.Text(), nullable=False),
        sa.Column("last_seen", _MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("seq", name="pk_hosts"),
        sa.UniqueConstraint("id", name="uq_hosts_id"),
        sa.UniqueConstraint("name", name="uq_hosts_name"),
    )
    op.create_table(
        "macs",
        sa.Column("mac", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("mac", name="pk_macs"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "projects",
        sa.Column("seq", _COUNTER, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_projects"),
        sa.UniqueConstraint("id", name="uq_projects_id"),
        sa.UniqueConstraint("name", name="uq_projects_name"),
    )
    op.create_table(
        "uplinks",
        sa.Column("seq", _COUNTER, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("interface", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_uplinks"),
        sa.UniqueConstraint("id", name="uq_uplinks_id"),
        sa.UniqueConstraint("name", name="uq_uplinks_name"),
    )
    op.create_table(
        "users",
        sa.Column("seq", _COUNTER, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_users"),
        sa.UniqueConstraint("id", name="uq_users_id"),
        sa.UniqueConstraint("name", name="uq_users_name"),
    )
    op.create_table(
        "zones",
        sa.Column("zone", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.CheckConstraint("zone BETWEEN 1 AND 65535", name="ck_zones_zone"),
        sa.PrimaryKeyConstraint("zone", name="pk_zones"),
        sa.UniqueConstraint("network", name="uq_zones_network"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "deliveries",
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.Column("confirmed", sa.BigInteger(), nullable=False),
        sa.Column("present", sa.Boolean(), nullable=False),
        sa.Column("failed", sa.BigInteger(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.CheckConstraint("kind IN ('network', 'router', 'nic', 'instance', 'group')", name="ck_deliveries_kind"),
        sa.CheckConstraint("role IN ('compute', 'gateway', 'peer', 'member')", name="ck_deliveries_role"),
        sa.CheckConstraint(
            "failed BETWEEN 0 AND generation AND (failed = 0) = (error IS NULL)", name="ck_deliveries_failed"
        ),
        sa.CheckConstraint("generation > 0 AND confirmed BETWEEN 0 AND generation", name="ck_deliveries_confirmed"),
        sa.ForeignKeyConstraint(["host"], ["hosts.id"], name="fk_deliveries_host", ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("host", "kind", "subject", "role", name="pk_deliveries"),
        sqlite_with_rowid=False,
    )
    _partial_index(
        "ix_deliveries_behind",
        "deliveries",
        ["host", "kind", "subject", "role", "generation", "confirmed", "present"],
        where="confirmed < generation",
    )
    _partial_index(
        "ix_deliveries_failed",
        "deliveries",
        ["host", "kind", "subject", "role", "failed", "error"],
        where="error IS NOT NULL",
    )
    op.create_index("ix_deliveries_subject_kind", "deliveries", ["subject", "kind"])
    op.create_table(
        "grants",
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.CheckConstraint("role IN ('admin', 'member', 'reader')", name="ck_grants_role"),
        sa.ForeignKeyConstraint(["project"], ["projects.id"], name="fk_grants_project", ondelete="RESTRICT"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_grants_user_id", ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("user_id", "project", "role", name="pk_grants"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "instances",
        sa.Column("seq", _COUNTER, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("image", sa.Text(), nullable=False),
        sa.Column("flavor", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=True),
        sa.Column("created", _MOMENT, nullable=False),
        sa.Column("updated", _MOMENT, nullable=False),
        sa.Column("fault", sa.Text(), nullable=True),
        sa.CheckConstraint("state IN ('building', 'active', 'error', 'deleting')", name="ck_instances_state"),
        sa.ForeignKeyConstraint(["host"], ["hosts.id"], name="fk_instances_host", ondelete="RESTRICT"),
        sa.ForeignKeyConstraint(["project"], ["projects.id"], name="fk_instances_project", ondelete="RESTRICT"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_instances_user_id", ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("seq", name="pk_instances"),
        sa.UniqueConstraint("id", name="uq_instances_id"),
    )
    op.create_index("ix_instances_host", "instances", ["host"])
    op.create_index("ix_instances_project_created_id", "instances", ["project", "created", "id"])
    op.create_index("ix_instances_state_updated", "instances", ["state", "updated"])
    op.create_table(
        "failed_launches",
        sa.Column("instance", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["host"], ["hosts.id"], name="fk_failed_launches_host", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["instance"], ["instances.id"], name="fk_failed_launches_instance", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("instance", "host", name="pk_failed_launches"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "memory",
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("created", _MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["project"], ["projects.id"], name="fk_memory_project", ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("project", "key", name="pk_memory"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_memory_created", "memory", ["created"])
    op.create_table(
        "pools",
        sa.Column("seq", _COUNTER, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("uplink", sa.Text(), nullable=False),
        sa.Column("cidr", sa.Text(), nullable=False),
        sa.Column("gateway", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["uplink"], ["uplinks.id"], name="fk_pools_uplink", ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("seq", name="pk_pools"),
        sa.UniqueConstraint("id", name="uq_pools_id"),
        sa.UniqueConstraint("name", name="uq_pools_name"),
    )
    op.create_index("ix_pools_uplink", "pools", ["uplink"])
    op.create_table(
        "quotas",
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.Column("ceiling", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "resource IN ('instances', 'floating_ips', 'security_groups', 'security_group_rules', "
            "'security_group_members')",
            name="ck_quotas_resource",
        ),
        sa.CheckConstraint("ceiling >= -1", name="ck_quotas_ceiling"),
        sa.CheckConstraint("used >= 0", name="ck_quotas_used"),
        sa.ForeignKeyConstraint(["project"], ["projects.id"], name="fk_quotas_project", ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("project", "resource", name="pk_quotas"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "routers",
        sa.Column("seq", _COUNTER, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("project", sa.Text(), nullable=True),
        sa.Column("host", sa.Text(), nullable=True),
        sa.Column("private", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["host"], ["hosts.id"], name="fk_routers_host", ondelete="RESTRICT"),
        sa.ForeignKeyConstraint(["project"], ["projects.id"], name="fk_routers_project", ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("seq", name="pk_routers"),
        sa.UniqueConstraint("id", name="uq_routers_id"),
    )
    _partial_index("uq_routers_shared", "routers", ["name"], where="NOT private", unique=True)
    op.create_table(
        "tokens",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("project", sa.Text(), nullable=True),
        sa.Column("issued_at", _MOMENT, nullable=False),
        sa.Column("expires_at", _MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["project"], ["projects.id"], name="fk_tokens_project", ondelete="RESTRICT"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_tokens_user_id", ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("digest", name="pk_tokens"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_tokens_expires_at", "tokens", ["expires_at"])
    op.create_table(
        "networks",
        sa.Column("seq", _COUNTER, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("project", sa.Text(), nullable=True),
        sa.Column("router", sa.Text(), nullable=True),
        sa.Column("cidr", sa.Text(), nullable=False),
        sa.Column("gateway", sa.Text(), nullable=False),
        sa.Column("dns", sa.Text(), nullable=False),
        sa.Column("mtu", sa.Integer(), nullable=False),
        sa.Column("mac", sa.Text(), nullable=False),
        sa.Column("segment", sa.Integer(), nullable=True),
        sa.Column("bridge", sa.Text(), nullable=True),
        sa.Column("cluster", sa.Text(), nullable=True),
        sa.CheckConstraint("kind IN ('flat', 'flat_dhcp', 'vlan', 'vxlan')", name="ck_networks_kind"),
        sa.ForeignKeyConstraint(["mac"], ["macs.mac"], name="fk_networks_mac", ondelete="RESTRICT"),
        sa.ForeignKeyConstraint(["project"], ["projects.id"], name="fk_networks_project", ondelete="RESTRICT"),
        sa.ForeignKeyConstraint(["router"], ["routers.id"], name="fk_networks_router", ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("seq", name="pk_networks"),
        sa.UniqueConstraint("id", name="uq_networks_id"),
        sa.UniqueConstraint("kind", "segment", name="uq_networks_kind_segment"),
        sa.UniqueConstraint("mac", name="uq_networks_mac"),
    )
    op.create_index("ix_networks_project", "networks", ["project"])
    op.create_index("ix_networks_router", "networks", ["router"])
    op.create_table(
        "pool_ranges",
        sa.Column("pool", sa.Text(), nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.CheckConstraint("first <= last", name="ck_pool_ranges_order"),
        sa.ForeignKeyConstraint(["pool"], ["pools.id"], name="fk_pool_ranges_pool", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("pool", "first", name="pk_pool_ranges"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "nics",
        sa.Column("seq", _COUNTER, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("instance", sa.Text(), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("mac", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("filtered", sa.Boolean(), nullable=False),
        sa.CheckConstraint("position >= 0", name="ck_nics_position"),
        sa.ForeignKeyConstraint(["instance"], ["instances.id"], name="fk_nics_instance", ondelete="RESTRICT"),
        sa.ForeignKeyConstraint(["mac"], ["macs.mac"], name="fk_nics_mac", ondelete="RESTRICT"),
        sa.ForeignKeyConstraint(["network"], ["networks.id"], name="fk_nics_network", ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("seq", name="pk_nics"),
        sa.UniqueConstraint("id", name="uq_nics_id"),
        sa.UniqueConstraint("instance", "position", name="uq_nics_instance_position"),
        sa.UniqueConstraint("mac", name="uq_nics_mac"),
    )
    op.create_index("ix_nics_network", "nics", ["network"])
    _security_groups()
    op.create_table(
        "addresses",
        sa.Column("seq", _COUNTER, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("project", sa.Text(), nullable=True),
        sa.Column("pool", sa.Text(), nullable=True),
        sa.Column("network", sa.Text(), nullable=True),
        sa.Column("nic", sa.Text(), nullable=True),
        sa.Column("releasing", sa.Boolean(), nullable=False),
        sa.CheckConstraint("kind <> 'fixed' OR network IS NOT NULL", name="ck_addresses_fixed"),
        sa.CheckConstraint(
            "kind <> 'floating' OR (pool IS NOT NULL AND project IS NOT NULL)", name="ck_addresses_floating"
        ),
        sa.CheckConstraint("kind = 'fixed' OR nic IS NULL", name="ck_addresses_nic"),
        sa.CheckConstraint("kind IN ('fixed', 'floating', 'router', 'gateway')", name="ck_addresses_kind"),
        sa.CheckConstraint("pool IS NULL OR network IS NULL", name="ck_addresses_source"),
        sa.ForeignKeyConstraint(["network"], ["networks.id"], name="fk_addresses_network", ondelete="RESTRICT"),
        sa.ForeignKeyConstraint(["nic"], ["nics.id"], name="fk_addresses_nic", ondelete="RESTRICT"),
        sa.ForeignKeyConstraint(["pool"], ["pools.id"], name="fk_addresses_pool", ondelete="RESTRICT"),
        sa.ForeignKeyConstraint(["project"], ["projects.id"], name="fk_addresses_project", ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("seq", name="pk_addresses"),
        sa.UniqueConstraint("id", name="uq_addresses_id"),
        sa.UniqueConstraint("scope", "address", name="uq_addresses_scope_address"),
        sa.UniqueConstraint("scope", "position", name="uq_addresses_scope_position"),
    )
    _partial_index("ix_addresses_network", "addresses", ["network"], where="network IS NOT NULL")
    _partial_index("ix_addresses_nic", "addresses", ["nic"], where="nic IS NOT NULL")
    _partial_index("ix_addresses_pool", "addresses", ["pool", "kind", "releasing"], where="pool IS NOT NULL")
    _partial_index("ix_addresses_project", "addresses", ["project"], where="project IS NOT NULL")
    op.create_table(
        "associations",
        sa.Column("floating", sa.Text(), nullable=False),
        sa.Column("fixed", sa.Text(), nullable=False),
        sa.Column("pool", sa.Text(), nullable=False),
        sa.CheckConstraint("floating <> fixed", name="ck_associations_apart"),
        sa.ForeignKeyConstraint(["fixed"], ["addresses.id"], name="fk_associations_fixed", ondelete="RESTRICT"),
        sa.ForeignKeyConstraint(["floating"], ["addresses.id"], name="fk_associations_floating", ondelete="RESTRICT"),
        sa.ForeignKeyConstraint(["pool"], ["pools.id"], name="fk_associations_pool", ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("floating", name="pk_associations"),
        sa.UniqueConstraint("fixed", "pool", name="uq_associations_fixed_pool"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_associations_pool", "associations", ["pool"])
    op.create_table(
        "lingering",
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("nic", sa.Text(), nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("generation > 0", name="ck_lingering_generation"),
        sa.ForeignKeyConstraint(["address"], ["addresses.id"], name="fk_lingering_address", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("address", "nic", name="pk_lingering"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_lingering_nic", "lingering", ["nic"])
    op.create_table(
        "router_uplinks",
        sa.Column("router", sa.Text(), nullable=False),
        sa.Column("uplink", sa.Text(), nullable=False),
        sa.Column("mac", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["address"], ["addresses.id"], name="fk_router_uplinks_address", ondelete="RESTRICT"),
        sa.ForeignKeyConstraint(["mac"], ["macs.mac"], name="fk_router_uplinks_mac", ondelete="RESTRICT"),
        sa.ForeignKeyConstraint(["router"], ["routers.id"], name="fk_router_uplinks_router", ondelete="RESTRICT"),
        sa.ForeignKeyConstraint(["uplink"], ["uplinks.id"], name="fk_router_uplinks_uplink", ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("router", "uplink", name="pk_router_uplinks"),
        sa.UniqueConstraint("address", name="uq_router_uplinks_address"),
        sa.UniqueConstraint("mac", name="uq_router_uplinks_mac"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_router_uplinks_uplink", "router_uplinks", ["uplink"])


def _security_groups() -> None:
    op.create_table(
        "security_groups",
        sa.Column("seq", _COUNTER, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("rules", sa.Integer(), nullable=False),
        sa.Column("members", sa.Integer(), nullable=False),
        sa.CheckConstraint("number BETWEEN 1 AND 2147483647", name="ck_security_groups_number"),
        sa.CheckConstraint("rules >= 0 AND members >= 0", name="ck_security_groups_counts"),
        sa.ForeignKeyConstraint(["project"], ["projects.id"], name="fk_security_groups_project", ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("seq", name="pk_security_groups"),
        sa.UniqueConstraint("id", name="uq_security_groups_id"),
        sa.UniqueConstraint("number", name="uq_security_groups_number"),
        sa.UniqueConstraint("project", "name", name="uq_security_groups_project_name"),
    )
    op.create_table(
        "security_group_rules",
        sa.Column("seq", _COUNTER, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("group_id", sa.Text(), nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("family", sa.Integer(), nullable=False),
        sa.Column("protocol", sa.Integer(), nullable=True),
        sa.Column("first", sa.Integer(), nullable=True),
        sa.Column("last", sa.Integer(), nullable=True),
        sa.Column("prefix", sa.Text(), nullable=True),
        sa.Column("remote", sa.Text(), nullable=True),
        sa.Column("meaning", sa.Text(), nullable=False),
        sa.CheckConstraint("direction IN ('ingress', 'egress')", name="ck_security_group_rules_direction"),
        sa.CheckConstraint("family IN (4, 6)", name="ck_security_group_rules_family"),
        sa.CheckConstraint("prefix IS NULL OR remote IS NULL", name="ck_security_group_rules_remote"),
        sa.ForeignKeyConstraint(
            ["group_id"], ["security_groups.id"], name="fk_security_group_rules_group_id", ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(
            ["remote"], ["security_groups.id"], name="fk_security_group_rules_remote", ondelete="RESTRICT"
        ),
        sa.PrimaryKeyConstraint("seq", name="pk_security_group_rules"),
        sa.UniqueConstraint("group_id", "meaning", name="uq_security_group_rules_group_id_meaning"),
        sa.UniqueConstraint("id", name="uq_security_group_rules_id"),
    )
    _partial_index(
        "ix_security_group_rules_remote",
        "security_group_rules",
        ["remote", "group_id"],
        where="remote IS NOT NULL",
    )
    op.create_table(
        "nic_groups",
        sa.Column("nic", sa.Text(), nullable=False),
        sa.Column("group_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["group_id"], ["security_groups.id"], name="fk_nic_groups_group_id", ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(["nic"], ["nics.id"], name="fk_nic_groups_nic", ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("nic", "group_id", name="pk_nic_groups"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_nic_groups_group_id_nic", "nic_groups", ["group_id", "nic"])


def downgrade() -> None:
    tables = (
        "router_uplinks lingering associations addresses nic_groups nics pool_ranges networks tokens "
        "security_group_rules security_groups routers quotas pools memory failed_launches instances grants deliveries "
        "zones users uplinks projects macs hosts generations epochs cursors counters address_blocks "
    )
    for table in tables.split():
        op.drop_table(table)
