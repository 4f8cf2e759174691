"""Egress preferences."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_SCOPES = "'address', 'nic', 'instance', 'network', 'project'"
_REFERENCES = (
    ("project", "projects", "RESTRICT"),
    ("fixed", "addresses", "CASCADE"),
    ("nic", "nics", "CASCADE"),
    ("instance", "instances", "CASCADE"),
    ("network", "networks", "CASCADE"),
    ("pool", "pools", "RESTRICT"),
    ("floating", "addresses", "RESTRICT"),
    ("fallback_pool", "pools", "RESTRICT"),
    ("fallback_floating", "addresses", "RESTRICT"),
)
_GIVEN = ("fixed", "nic", "instance", "network", "floating", "fallback_pool", "fallback_floating")


def _reference(column: str, table: str, action: str) -> sa.ForeignKeyConstraint:
    name = f"fk_egress_preferences_{column}"
    return sa.ForeignKeyConstraint([column], [f"{table}.id"], name=name, ondelete=action)


def upgrade() -> None:
    op.create_table(
        "egress_preferences",
        sa.Column("seq", _COUNTER, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("fixed", sa.Text(), nullable=True),
        sa.Column("nic", sa.Text(), nullable=True),
        sa.Column("instance", sa.Text(), nullable=True),
        sa.Column("network", sa.Text(), nullable=True),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("pool", sa.Text(), nullable=False),
        sa.Column("floating", sa.Text(), nullable=True),
        sa.Column("fallback_pool", sa.Text(), nullable=True),
        sa.Column("fallback_floating", sa.Text(), nullable=True),
        sa.CheckConstraint(f"scope IN ({_SCOPES})", name="ck_egress_preferences_scope"),
        sa.CheckConstraint(
            "fallback_floating IS NULL OR fallback_pool IS NOT NULL", name="ck_egress_preferences_fallback"
        ),
        *(_reference(*each) for each in _REFERENCES),
        sa.PrimaryKeyConstraint("seq", name="pk_egress_preferences"),
        sa.UniqueConstraint("id", name="uq_egress_preferences_id"),
        sa.UniqueConstraint("project", "target", "prefix", name="uq_egress_preferences_project_target_prefix"),
    )
    op.create_index("ix_egress_preferences_pool", "egress_preferences", ["pool"])
    for column in _GIVEN:
        given = sa.text(f"{column} IS NOT NULL")
        op.create_index(
            f"ix_egress_preferences_{column}",
            "egress_preferences",
            [column],
            sqlite_where=given,
            postgresql_where=given,
        )
    op.create_table(
        "egress_sets",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("prefixes", sa.Text(), nullable=False),
        sa.CheckConstraint("number BETWEEN 1 AND 2147483647", name="ck_egress_sets_number"),
        sa.PrimaryKeyConstraint("number", name="pk_egress_sets"),
        sa.UniqueConstraint("prefixes", name="uq_egress_sets_prefixes"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "egress_renewals",
        sa.Column("fixed", sa.Text(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.CheckConstraint("times > 0", name="ck_egress_renewals_times"),
        sa.ForeignKeyConstraint(["fixed"], ["addresses.id"], name="fk_egress_renewals_fixed", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("fixed", name="pk_egress_renewals"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    for table in ("egress_renewals", "egress_sets", "egress_preferences"):
        op.drop_table(table)
