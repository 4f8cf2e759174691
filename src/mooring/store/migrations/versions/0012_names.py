"""Names of floating IPs."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_COUNTER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "dns_domains",
        sa.Column("seq", _COUNTER, autoincrement=True, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("project", sa.Text(), nullable=True),
        sa.CheckConstraint("scope IN ('public', 'private')", name="ck_dns_domains_scope"),
        sa.ForeignKeyConstraint(["project"], ["projects.id"], name="fk_dns_domains_project", ondelete="RESTRICT"),
        sa.PrimaryKeyConstraint("seq", name="pk_dns_domains"),
        sa.UniqueConstraint("name", name="uq_dns_domains_name"),
    )
    given = sa.text("project IS NOT NULL")
    op.create_index("ix_dns_domains_project", "dns_domains", ["project"], sqlite_where=given, postgresql_where=given)
    op.create_table(
        "dns_entries",
        sa.Column("seq", _COUNTER, autoincrement=True, nullable=False),
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["domain"], ["dns_domains.name"], name="fk_dns_entries_domain", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["address"], ["addresses.id"], name="fk_dns_entries_address", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("seq", name="pk_dns_entries"),
        sa.UniqueConstraint("domain", "name", name="uq_dns_entries_domain_name"),
    )
    op.create_index("ix_dns_entries_address", "dns_entries", ["address"])


def downgrade() -> None:
    op.drop_table("dns_entries")
    op.drop_table("dns_domains")
