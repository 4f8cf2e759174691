"""The schema's versions: a database is brought up to date when it is opened."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect

_HERE = Path(__file__).parent / "migrations"


class SchemaFault(Exception):
    """This program cannot work with the database's schema; the message says what to do."""


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Bring the schema up to date (or to a revision), in the transaction that the connection is in.

    That transaction is the lock too: who opens the same database at the same time waits for it, and then finds nothing to do.

    Raises:
        SchemaFault: the database is a newer mooring's, or not mooring's at all.
    """
    config = _config(connection)
    scripts = ScriptDirectory.from_config(config)
    current = MigrationContext.configure(connection).get_current_revision()
    if current is None and (strangers := inspect(connection).get_table_names()):
        raise SchemaFault(
            f"This is not a database of mooring: it has tables ({', '.join(sorted(strangers)[:5])}) and no version of ours. "
            "Name another file.",
        )
    known = {script.revision for script in scripts.walk_revisions()}
    if current is not None and current not in known:
        raise SchemaFault(
            f"The database was written by a newer mooring: its schema is {current}, this program knows up to "
            f"{scripts.get_current_head()}. Start the newer mooring, or restore a backup from before the upgrade.",
        )
    if current != (scripts.get_current_head() if revision == "head" else revision):
        command.upgrade(config, revision)


def downgrade(connection: Connection, revision: str) -> None:
    """Take the schema back to a revision, in the transaction that the connection is in; "base" is an empty database."""
    command.downgrade(_config(connection), revision)


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_HERE))
    config.attributes["connection"] = connection
    return config
