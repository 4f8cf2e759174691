"""Networks, subnets, routers and subnet pools that projects make themselves."""

import sqlalchemy as sa
from alembic import op

from mooring.store.migrations import quotas

revision = "0011"
down_revision = "0010"
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
    "port_forwardings",
)
_NEW = ("networks", "subnets", "routers", "subnet_pools")
_LIMIT = 10


def _noun(table: str, *columns: sa.schema.SchemaItem) -> None:
    op.create_table(
        table,
        sa.Column("seq", _COUNTER, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        *columns,
        sa.ForeignKeyConstraint(["project"], ["projects.id"], name=f"fk_{table}_project", ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("seq", name=f"pk_{table}"),
        sa.UniqueConstraint("id", name=f"uq_{table}_id"),
    )


def _part(table: str, of: str, others: str, *columns: sa.schema.SchemaItem) -> None:
    op.create_table(
        table,
        sa.Column(of, sa.Text(), nullable=False),
        *columns,
        sa.Column("pool", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint([of], [f"{of}s.id"], name=f"fk_{table}_{of}", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["pool"], [f"{others}.id"], name=f"fk_{table}_pool", ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint(of, name=f"pk_{table}"),
        sqlite_with_rowid=False,
    )
    _given(table, "pool")


def _given(table: str, column: str) -> None:
    where = sa.text(f"{column} IS NOT NULL")
    op.create_index(f"ix_{table}_{column}", table, [column], sqlite_where=where, postgresql_where=where)


def upgrade() -> None:
    _noun("bare_networks", sa.Column("project", sa.Text(), nullable=False))
    op.create_index("ix_bare_networks_project", "bare_networks", ["project"])
    _noun(
        "subnet_pools",
        sa.Column("project", sa.Text(), nullable=True),
        sa.Column("prefixes", sa.Text(), nullable=False),
        sa.Column("default_length", sa.Integer(), nullable=False),
        sa.Column("shortest", sa.Integer(), nullable=False),
        sa.Column("longest", sa.Integer(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("taken", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("shortest <= default_length AND default_length <= longest", name="ck_subnet_pools_lengths"),
    )
    _given("subnet_pools", "project")
    _part(
        "own_subnets",
        "network",
        "subnet_pools",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("ranges", sa.Text(), nullable=False),
    )
    _part(
        "own_routers",
        "router",
        "pools",
        sa.Column("made", sa.Boolean(), nullable=False),
        sa.CheckConstraint("made OR pool IS NULL", name="ck_own_routers_pool"),
    )
    quotas.count((*_BEFORE, *_NEW))
    for resource in _NEW:
        quotas.allow(resource, _LIMIT)


def downgrade() -> None:
    # What is left of a network without its side row is an ordinary network of its project.
    quotas.forget(_NEW)
    quotas.count(_BEFORE)
    for table in ("own_routers", "own_subnets", "subnet_pools", "bare_networks"):
        op.drop_table(table)
