"""Addresses that NICs may use beside their own, and how many of those a project may have."""

import sqlalchemy as sa
from alembic import op

from mooring.store.migrations import quotas

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_BEFORE = ("instances", "floating_ips", "security_groups", "security_group_rules", "security_group_members")
_NEW = "nic_addresses"
_LIMIT = 256
"""What projects that are there may have of them: the default of new ones."""


def upgrade() -> None:
    quotas.count((*_BEFORE, _NEW))
    quotas.allow(_NEW, _LIMIT)
    op.create_table(
        "claims",
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("own", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["network"], ["networks.id"], name="fk_claims_network", ondelete="RESTRICT"),
        sa.ForeignKeyConstraint(["project"], ["projects.id"], name="fk_claims_project", ondelete="RESTRICT"),
        sa.ForeignKeyConstraint(["own"], ["addresses.id"], name="fk_claims_own", ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("network", "address", name="pk_claims"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_claims_project", "claims", ["project"])
    _given("claims", "own")
    op.create_table(
        "allowances",
        sa.Column("nic", sa.Text(), nullable=False),
        sa.Column("network", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("family", sa.Integer(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=True),
        sa.Column("leaving", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("family IN (4, 6)", name="ck_allowances_family"),
        sa.CheckConstraint("place BETWEEN 0 AND 255", name="ck_allowances_place"),
        sa.CheckConstraint("(place IS NULL) <> (leaving IS NULL)", name="ck_allowances_leaving"),
        sa.ForeignKeyConstraint(["nic"], ["nics.id"], name="fk_allowances_nic", ondelete="RESTRICT"),
        sa.ForeignKeyConstraint(
            ["network", "address"],
            ["claims.network", "claims.address"],
            name="fk_allowances_network_address",
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("nic", "address", name="pk_allowances"),
        sa.UniqueConstraint("nic", "family", "place", name="uq_allowances_nic_family_place"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_allowances_network_address", "allowances", ["network", "address"])
    _given("allowances", "leaving")


def _given(table: str, column: str) -> None:
    given = sa.text(f"{column} IS NOT NULL")
    op.create_index(f"ix_{table}_{column}", table, [column], sqlite_where=given, postgresql_where=given)


def downgrade() -> None:
    op.drop_table("allowances")
    op.drop_table("claims")
    quotas.forget((_NEW,))
    quotas.count(_BEFORE)
