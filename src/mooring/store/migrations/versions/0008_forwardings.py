"""Ports of floating IPs that lead to guests, and how many of those a project may have."""

import sqlalchemy as sa
from alembic import op

from mooring.store.migrations import quotas

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_BEFORE = (
    "instances",
    "floating_ips",
    "security_groups",
    "security_group_rules",
    "security_group_members",
    "nic_addresses",
)
_NEW = "port_forwardings"
_LIMIT = 100
"""What projects that are there may have of them: the default of new ones."""


def upgrade() -> None:
    quotas.count((*_BEFORE, _NEW))
    quotas.allow(_NEW, _LIMIT)
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


def downgrade() -> None:
    op.drop_table("port_forwardings")
    quotas.forget((_NEW,))
    quotas.count(_BEFORE)
