"""What is told of projects and users, and keys: log-ins of programs."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_MOMENT = sa.DateTime(timezone=True)
_TOKENS = "digest, user_id, project, issued_at, expires_at"


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), server_default="", nullable=False)


def upgrade() -> None:
    op.add_column("projects", _text("description"))
    op.add_column("projects", sa.Column("enabled", sa.Boolean(), server_default=sa.true(), nullable=False))
    op.add_column("users", _text("description"))
    op.add_column("users", _text("email"))
    op.add_column("users", sa.Column("default_project", sa.Text(), nullable=True))
    op.create_index("ix_grants_project", "grants", ["project"])
    op.create_table(
        "keys",
        sa.Column("seq", _COUNTER, autoincrement=True, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("created", _MOMENT, nullable=False),
        sa.Column("expires", _MOMENT, nullable=True),
        sa.Column("restricted", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["project"], ["projects.id"], name="fk_keys_project", ondelete="RESTRICT"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_keys_user_id", ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("seq", name="pk_keys"),
        sa.UniqueConstraint("id", name="uq_keys_id"),
        sa.UniqueConstraint("user_id", "name", name="uq_keys_user_id_name"),
    )
    op.create_index("ix_keys_project", "keys", ["project"])
    op.create_table(
        "key_roles",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.CheckConstraint("role IN ('admin', 'member', 'reader')", name="ck_key_roles_role"),
        sa.ForeignKeyConstraint(["key"], ["keys.id"], name="fk_key_roles_key", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("key", "role", name="pk_key_roles"),
        sqlite_with_rowid=False,
    )
    key = sa.ForeignKeyConstraint(["key"], ["keys.id"], name="fk_tokens_key", ondelete="CASCADE")
    if op.get_bind().dialect.name == "sqlite":
        # It can add no named constraint to a table that is there.
        _remake_tokens(sa.Column("key", sa.Text(), nullable=True), key)
    else:
        op.add_column("tokens", sa.Column("key", sa.Text(), nullable=True))
        op.create_foreign_key("fk_tokens_key", "tokens", "keys", ["key"], ["id"], ondelete="CASCADE")
    op.create_index("ix_tokens_user_id", "tokens", ["user_id"])
    op.create_index("ix_tokens_project", "tokens", ["project"])
    given = sa.text("key IS NOT NULL")
    op.create_index("ix_tokens_key", "tokens", ["key"], sqlite_where=given, postgresql_where=given)


def _remake_tokens(*more: sa.schema.SchemaItem) -> None:
    op.drop_index("ix_tokens_expires_at", "tokens")
    op.rename_table("tokens", "tokens_before")
    op.create_table(
        "tokens",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("project", sa.Text(), nullable=True),
        sa.Column("issued_at", _MOMENT, nullable=False),
        sa.Column("expires_at", _MOMENT, nullable=False),
        *more,
        sa.ForeignKeyConstraint(["project"], ["projects.id"], name="fk_tokens_project", ondelete="RESTRICT"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_tokens_user_id", ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("digest", name="pk_tokens"),
        sqlite_with_rowid=False,
    )
    op.execute(f"INSERT INTO tokens ({_TOKENS}) SELECT {_TOKENS} FROM tokens_before")  # noqa: S608 - ours
    op.drop_table("tokens_before")
    op.create_index("ix_tokens_expires_at", "tokens", ["expires_at"])


def downgrade() -> None:
    # An older mooring would take the log-in of a key for its user's own.
    op.execute("DELETE FROM tokens WHERE key IS NOT NULL")
    for column in ("user_id", "project", "key"):
        op.drop_index(f"ix_tokens_{column}", "tokens")
    if op.get_bind().dialect.name == "sqlite":
        _remake_tokens()
    else:
        op.drop_column("tokens", "key")
    op.drop_table("key_roles")
    op.drop_table("keys")
    op.drop_index("ix_grants_project", "grants")
    for table, columns in (
        ("users", ("description", "email", "default_project")),
        ("projects", ("description", "enabled")),
    ):
        for column in columns:
            op.drop_column(table, column)
