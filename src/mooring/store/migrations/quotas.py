"""What migrations share that let projects have more kinds of things: a new kind is a row in each project's quotas.

The table is as the first migration made it.  One that changes it must not change this: those before it need it as it is.
"""

from collections.abc import Collection

import sqlalchemy as sa
from alembic import op

_COLUMNS = "project, resource, used, ceiling"


def count(resources: Collection[str]) -> None:
    """Let quotas be of these resources and of no others."""
    listed = ", ".join(f"'{resource}'" for resource in resources)
    check = f"resource IN ({listed})"
    if op.get_bind().dialect.name != "sqlite":
        op.drop_constraint("ck_quotas_resource", "quotas")
        op.create_check_constraint("ck_quotas_resource", "quotas", check)
        return
    # It can change no constraint of a table that is there.
    op.rename_table("quotas", "quotas_before")
    op.create_table(
        "quotas",
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("resource", sa.Text(), nullable=False),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.Column("ceiling", sa.Integer(), nullable=False),
        sa.CheckConstraint(check, name="ck_quotas_resource"),
        sa.CheckConstraint("ceiling >= -1", name="ck_quotas_ceiling"),
        sa.CheckConstraint("used >= 0", name="ck_quotas_used"),
        sa.ForeignKeyConstraint(["project"], ["projects.id"], name="fk_quotas_project", ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("project", "resource", name="pk_quotas"),
        sqlite_with_rowid=False,
    )
    op.execute(f"INSERT INTO quotas ({_COLUMNS}) SELECT {_COLUMNS} FROM quotas_before")  # noqa: S608 - ours
    op.drop_table("quotas_before")


def allow(resource: str, limit: int) -> None:
    """Let all projects that are there have so many of a resource."""
    op.execute(f"INSERT INTO quotas ({_COLUMNS}) SELECT id, '{resource}', 0, {limit} FROM projects")  # noqa: S608 - ours


def forget(resources: Collection[str]) -> None:
    """Take the quotas of resources from all projects."""
    listed = ", ".join(f"'{resource}'" for resource in resources)
    op.execute(f"DELETE FROM quotas WHERE resource IN ({listed})")  # noqa: S608 - ours
