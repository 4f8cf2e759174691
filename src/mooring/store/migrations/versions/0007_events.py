"""Events: who changed what."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TEXTS = ("action", "object", "project", "user", "user_name", "request_id", "about")
_INDEXES = (("project", "seq"), ("object", "seq"), ("at",))


def upgrade() -> None:
    op.create_table(
        "events",
        sa.Column("seq", _COUNTER, autoincrement=True, nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in _TEXTS),
        sa.PrimaryKeyConstraint("seq", name="pk_events"),
    )
    for columns in _INDEXES:
        op.create_index(f"ix_events_{'_'.join(columns)}", "events", list(columns))


def downgrade() -> None:
    op.drop_table("events")
