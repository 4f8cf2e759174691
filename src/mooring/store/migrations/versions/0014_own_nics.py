"""Network cards that projects make themselves, and that may be in no instance."""

import sqlalchemy as sa
from alembic import op

from mooring.store.migrations import quotas

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_BEFORE = (
    "instances",
    "floating_ips",
    "security_groups",
    "security_group_rules",
    "security_group_members",
    "nic_addresses",
    "port_forwardings",
    "networks",
    "subnets",
    "routers",
    "subnet_pools",
)
_LIMIT = 100
"""What projects that are there may have of them: the default of new ones."""

_LOOSE = "SELECT id FROM nics WHERE instance IS NULL"


def upgrade() -> None:
    _may_be_in_no_instance(may=True)
    op.create_table(
        "own_nics",
        sa.Column("nic", sa.Text(), nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["nic"], ["nics.id"], name="fk_own_nics_nic", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["project"], ["projects.id"], name="fk_own_nics_project", ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("nic", name="pk_own_nics"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_own_nics_project", "own_nics", ["project"])
    quotas.count((*_BEFORE, "nics"))
    quotas.allow("nics", _LIMIT)


def _may_be_in_no_instance(*, may: bool) -> None:
    if op.get_bind().dialect.name != "sqlite":
        op.alter_column("nics", "instance", nullable=may)
        return
    # SQLite can't change a column, and a table that others refer to can't be replaced in a transaction.  What is stored of a table is
    # its statement; this is how its manual says that NOT NULL is taken from there.
    before, after = ("instance TEXT NOT NULL", "instance TEXT") if may else ("instance TEXT", "instance TEXT NOT NULL")
    version = op.get_bind().exec_driver_sql("PRAGMA schema_version").scalar_one()
    op.execute("PRAGMA writable_schema = ON")
    op.execute(
        f"UPDATE sqlite_master SET sql = replace(sql, '{before}', '{after}') WHERE type = 'table' AND name = 'nics'"  # noqa: S608 - ours
    )
    op.execute(f"PRAGMA schema_version = {version + 1}")
    op.execute("PRAGMA writable_schema = OFF")


def downgrade() -> None:
    # A NIC in no instance can't be said any longer: it goes, and what led to it.  Its addresses stay in use, as nobody's.
    fixed = f"SELECT id FROM addresses WHERE nic IN ({_LOOSE})"  # noqa: S608 - ours
    for statement in (
        f"DELETE FROM port_forwardings WHERE fixed IN ({fixed})",  # noqa: S608 - ours
        f"DELETE FROM associations WHERE fixed IN ({fixed})",  # noqa: S608 - ours
        f"UPDATE addresses SET nic = NULL WHERE nic IN ({_LOOSE})",  # noqa: S608 - ours
        f"DELETE FROM allowances WHERE nic IN ({_LOOSE})",  # noqa: S608 - ours
        f"DELETE FROM nic_groups WHERE nic IN ({_LOOSE})",  # noqa: S608 - ours
        "UPDATE security_groups SET members = (SELECT count(*) FROM nic_groups WHERE group_id = security_groups.id)",
        "DELETE FROM tags WHERE kind = 'nic' AND object IN (SELECT id FROM nics WHERE instance IS NULL)",
        "DELETE FROM nics WHERE instance IS NULL",
    ):
        op.execute(statement)
    op.drop_table("own_nics")
    quotas.forget(("nics",))
    quotas.count(_BEFORE)
    _may_be_in_no_instance(may=False)
