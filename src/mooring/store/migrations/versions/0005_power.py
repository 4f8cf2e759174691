"""Instances are stopped, started and rebooted."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_POWERS = "'running', 'stopping', 'stopped', 'starting', 'rebooting', 'resetting'"


def upgrade() -> None:
    # Written out: SQLite adds no constraint but with a column, and Alembic leaves it out there.
    op.execute(
        "ALTER TABLE instances ADD COLUMN power TEXT DEFAULT 'running' NOT NULL "
        f"CONSTRAINT ck_instances_power CHECK (power IN ({_POWERS}))"
    )
    op.add_column("instances", sa.Column("boots", sa.Integer(), server_default="0", nullable=False))
    op.add_column("instances", sa.Column("launched", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE instances SET launched = updated WHERE state = 'active'")


def downgrade() -> None:
    for column in ("launched", "boots", "power"):
        op.drop_column("instances", column)
