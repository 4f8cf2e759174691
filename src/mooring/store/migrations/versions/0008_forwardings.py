"""Ports of floating IPs that lead to guests, and how many of those a project may have."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_BEFORE = (
    "'instances', 'floating_ips', 'security_groups', 'security_group_rules', 'security_group_members', 'nic_addresses'"
)
_RESOURCES = f"{_BEFORE}, 'port_forwardings'"
_LIMIT = 100
"""What projects that are there may have of them: the default of new ones."""


def upgrade() -> None:
    _count(_RESOURCES)
    op.execute(f"INSERT INTO quotas SELECT id, 'port_forwardings', 0, {_LIMIT} FROM projects")  # noqa: S608 - ours
    op.create_table(
        "port_forwardings",
        sa.Column("seq", _COUNTER, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("floating", sa.Text(), nullable=False),
        sa.Column("fixed", sa.Text(), nullable=False),
        sa.Column("protocol", sa.Text(), nullable=False),
        sa.Column("first", sa.Integer(), nullable=False),
        sa.Column("last", sa.Integer(), nullable=False),
        sa.Column("goal", sa.Integer(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.CheckConstraint("protocol IN ('tcp', 'udp')", name="ck_port_forwardings_protocol"),
        sa.CheckConstraint("first >= 1 AND last >= first AND last <= 65535", name="ck_port_forwardings_ports"),
        sa.CheckConstraint("goal >= 1 AND goal + last - first <= 65535", name="ck_port_forwardings_goal"),
        sa.CheckConstraint("floating <> fixed", name="ck_port_forwardings_apart"),
        sa.ForeignKeyConstraint(["project"], ["projects.id"], name="fk_port_forwardings_project", ondelete="RESTRICT"),
        sa.ForeignKeyConstraint(
            ["floating"], ["addresses.id"], name="fk_port_forwardings_floating", ondelete="RESTRICT"
        ),
        sa.ForeignKeyConstraint(["fixed"], ["addresses.id"], name="fk_port_forwardings_fixed", ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("seq", name="pk_port_forwardings"),
        sa.UniqueConstraint("id", name="uq_port_forwardings_id"),
        sa.UniqueConstraint("floating", "protocol", "first", name="uq_port_forwardings_floating_protocol_first"),
    )
    for column in ("project", "fixed"):
        op.create_index(f"ix_port_forwardings_{column}", "port_forwardings", [column])


def _count(resources: str) -> None:
    """Let quotas be of these resources."""
    check = f"resource IN ({resources})"
    if op.get_bind().dialect.name != "sqlite":
        op.drop_constraint("ck_quotas_resource", "quotas")
        op.create_check_constraint("ck_quotas_resource", "quotas", check)
        return
    # It can change no constraint of a table that is there.
    op.rename_table("quotas", "quotas_before")
    op.create_table(
        "quotas",
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.Column("ceiling", sa.Integer(), nullable=False),
        sa.CheckConstraint(check, name="ck_quotas_resource"),
        sa.CheckConstraint("ceiling >= -1", name="ck_quotas_ceiling"),
        sa.CheckConstraint("used >= 0", name="ck_quotas_used"),
        sa.ForeignKeyConstraint(["project"], ["projects.id"], name="fk_quotas_project", ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("project", "resource", name="pk_quotas"),
        sqlite_with_rowid=False,
    )
    op.execute("INSERT INTO quotas SELECT project, resource, used, ceiling FROM quotas_before")
    op.drop_table("quotas_before")


def downgrade() -> None:
    op.drop_table("port_forwardings")
    op.execute("DELETE FROM quotas WHERE resource = 'port_forwardings'")
    _count(_BEFORE)
