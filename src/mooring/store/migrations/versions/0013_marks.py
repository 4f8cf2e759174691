"""How often things changed, when, and what they are tagged with.

What is there already is as old as is known: NICs as their instance, the others as the first that was noted of them, or else as this upgrade.
"""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_MARKED = (
    "addresses",
    "bare_networks",
    "networks",
    "nics",
    "own_subnets",
    "pools",
    "routers",
    "security_group_rules",
    "security_groups",
    "subnet_pools",
)
_OF_NICS = """
UPDATE nics SET created = (SELECT i.created FROM instances i WHERE i.id = nics.instance),
    updated = (SELECT i.updated FROM instances i WHERE i.id = nics.instance)
"""


def upgrade() -> None:
    now = datetime.now(UTC)
    moment = sa.DateTime(timezone=True)
    for table in _MARKED:
        op.add_column(table, sa.Column("revision", sa.BigInteger(), server_default="1", nullable=False))
        for name in ("created", "updated"):
            op.add_column(table, sa.Column(name, moment, server_default="1970-01-01 00:00:00", nullable=False))
        named = sa.table(table, sa.column("created", moment), sa.column("updated", moment))
        op.execute(sa.update(named).values(created=now, updated=now))
        if table not in ("own_subnets", "nics"):
            first = f"SELECT min(e.at) FROM events e WHERE e.object = {table}.id"  # noqa: S608 - no name from elsewhere
            op.execute(f"UPDATE {table} SET created = coalesce(({first}), created)")  # noqa: S608 - as above
    op.execute(_OF_NICS)
    op.add_column("own_subnets", sa.Column("served", moment, nullable=True))
    op.create_table(
        "tags",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("object", sa.Text(), nullable=False),
        sa.Column("tag", sa.Text(), nullable=False),
        sa.CheckConstraint(
            "kind IN ('network', 'subnet', 'nic', 'router', 'floating_ip', 'security_group', 'subnet_pool')",
            name="ck_tags_kind",
        ),
        sa.PrimaryKeyConstraint("kind", "object", "tag", name="pk_tags"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("tags")
    op.drop_column("own_subnets", "served")
    for table in _MARKED:
        for name in ("updated", "created", "revision"):
            op.drop_column(table, name)
