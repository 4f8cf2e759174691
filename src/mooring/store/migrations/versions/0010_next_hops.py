"""Whether the next hops of uplinks are asked, and which of them hosts find to be away."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Written out: SQLite adds no constraint but with a column, and Alembic leaves it out there.
    op.execute(
        "ALTER TABLE uplinks ADD COLUMN misses INTEGER DEFAULT '3' NOT NULL "
        "CONSTRAINT ck_uplinks_misses CHECK (misses >= 0)"
    )
    op.create_table(
        "uplinks_away",
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("uplink", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["host"], ["hosts.id"], name="fk_uplinks_away_host", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["uplink"], ["uplinks.id"], name="fk_uplinks_away_uplink", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("host", "uplink", name="pk_uplinks_away"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_uplinks_away_uplink", "uplinks_away", ["uplink"])


def downgrade() -> None:
    op.drop_table("uplinks_away")
    op.drop_column("uplinks", "misses")
