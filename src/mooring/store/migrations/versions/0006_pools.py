"""Who may use a pool, how much of it, how that came; and several floating IPs of a pool on one fixed IP."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_SHARES = """
INSERT INTO pool_shares (pool, project, used, ceiling)
SELECT pool, project, count(*), -1 FROM addresses
WHERE kind = 'floating' AND NOT releasing AND project IS NOT NULL GROUP BY pool, project
"""

_KEPT = """
INSERT INTO associations (floating, fixed, pool, slot, position, automatic)
SELECT b.floating, b.fixed, b.pool, 1, row_number() OVER (PARTITION BY b.fixed ORDER BY a.position), {no}
FROM associations_before b JOIN addresses a ON a.id = b.floating
"""

# More of one pool than an older mooring knows how to hold: of each, the one by which the guest leaves stays.
_FORGET_MORE = """
DELETE FROM associations WHERE position > (
    SELECT min(o.position) FROM associations o WHERE o.fixed = associations.fixed AND o.pool = associations.pool
)
"""


def upgrade() -> None:
    op.add_column("pools", sa.Column("public", sa.Boolean(), server_default=sa.true(), nullable=False))
    op.add_column("pools", sa.Column("per_fixed", sa.Integer(), server_default="1", nullable=False))
    op.create_table(
        "pool_grants",
        *_of_pool_and_project("pool_grants"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_pool_grants_project", "pool_grants", ["project"])
    op.create_table(
        "pool_shares",
        *_of_pool_and_project("pool_shares"),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.Column("ceiling", sa.Integer(), nullable=False),
        sa.CheckConstraint("used >= 0", name="ck_pool_shares_used"),
        sa.CheckConstraint("ceiling >= -1", name="ck_pool_shares_ceiling"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_pool_shares_project", "pool_shares", ["project"])
    op.execute(_SHARES)
    op.create_table(
        "pool_days",
        sa.Column("pool", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("taken", sa.Integer(), nullable=False),
        sa.Column("given", sa.Integer(), nullable=False),
        sa.CheckConstraint("taken >= 0 AND given >= 0", name="ck_pool_days_counts"),
        sa.ForeignKeyConstraint(["pool"], ["pools.id"], name="fk_pool_days_pool", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("pool", "day", name="pk_pool_days"),
        sqlite_with_rowid=False,
    )
    _remake_associations(
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("automatic", sa.Boolean(), nullable=False),
        sa.CheckConstraint("slot BETWEEN 1 AND 64", name="ck_associations_slot"),
        sa.UniqueConstraint("fixed", "pool", "slot", name="uq_associations_fixed_pool_slot"),
        sa.UniqueConstraint("fixed", "position", name="uq_associations_fixed_position"),
    )
    op.execute(_KEPT.format(no="false" if op.get_bind().dialect.name == "postgresql" else "0"))
    op.drop_table("associations_before")


def downgrade() -> None:
    op.execute(_FORGET_MORE)
    _remake_associations(sa.UniqueConstraint("fixed", "pool", name="uq_associations_fixed_pool"))
    op.execute("INSERT INTO associations (floating, fixed, pool) SELECT floating, fixed, pool FROM associations_before")
    op.drop_table("associations_before")
    for table in ("pool_days", "pool_shares", "pool_grants"):
        op.drop_table(table)
    op.drop_column("pools", "per_fixed")
    op.drop_column("pools", "public")


def _of_pool_and_project(table: str) -> list[sa.schema.SchemaItem]:
    return [
        sa.Column("pool", sa.Text(), nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["pool"], ["pools.id"], name=f"fk_{table}_pool", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["project"], ["projects.id"], name=f"fk_{table}_project", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("pool", "project", name=f"pk_{table}"),
    ]


def _remake_associations(*more: sa.schema.SchemaItem) -> None:
    """Make the table anew beside what it held: SQLite can change no constraint of a table that is there."""
    op.drop_index("ix_associations_pool", "associations")
    op.create_table(
        "associations_before",
        sa.Column("floating", sa.Text(), nullable=False),
        sa.Column("fixed", sa.Text(), nullable=False),
        sa.Column("pool", sa.Text(), nullable=False),
    )
    op.execute("INSERT INTO associations_before (floating, fixed, pool) SELECT floating, fixed, pool FROM associations")
    op.drop_table("associations")
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
        *more,
        sqlite_with_rowid=False,
    )
    op.create_index("ix_associations_pool", "associations", ["pool"])
