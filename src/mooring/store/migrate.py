"""The schema's versions: a database is brought up to date when it is opened."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Text, column, inspect, select, table

if TYPE_CHECKING:
    from alembic.config import Config

LATEST = "0014"
"""The newest version that there is a migration to."""

_HERE = Path(__file__).parent / "migrations"
_VERSION = select(column("version_num", Text)).select_from(table("alembic_version"))


class SchemaFault(Exception):
    """This program cannot work with the database's schema; the message says what to do."""


def upgrade(connection: Connection) -> None:
    """Bring the schema up to date, in the transaction that the connection is in.

    That transaction is the lock too: who opens the same database at the same time waits for it, and then finds nothing to do.

    Raises:
        SchemaFault: the database is a newer mooring's, or not mooring's at all.
    """
    current = _version(connection)
    if current == LATEST:
        return
    tables = set(inspect(connection).get_table_names()) - {"alembic_version"}
    if tables and "deliveries" not in tables:
        raise SchemaFault(
            f"This is no database of mooring: it has the tables {', '.join(sorted(tables)[:5])}. Name another one.",
        )
    # Alembic takes half of the time that this program takes to start, so it's imported where there is something to do.
    from alembic import command  # noqa: PLC0415
    from alembic.script import ScriptDirectory  # noqa: PLC0415

    config = _config(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if current is not None and current not in known:
        raise SchemaFault(
            f"The database was written by a newer mooring: its schema is {current}, and this program knows up to {LATEST}. "
            "Start the newer mooring, or restore a backup from before the upgrade.",
        )
    command.upgrade(config, LATEST)


def downgrade(connection: Connection, version: str) -> None:
    """Take the schema back to a version, in the transaction that the connection is in; "base" is an empty database."""
    from alembic import command  # noqa: PLC0415 - as above

    command.downgrade(_config(connection), version)


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(_VERSION).scalar()


def _config(connection: Connection) -> Config:
    from alembic.config import Config  # noqa: PLC0415 - as above

    config = Config()
    config.set_main_option("script_location", str(_HERE))
    config.attributes["connection"] = connection
    return config
