"""Runs migrations on the connection that the program gives; there is no other way in."""

from alembic import context
from sqlalchemy import Connection

connection: Connection = context.config.attributes["connection"]
# Without target_metadata, whose naming convention would name the named constraints once more.  The connection is in a transaction already, and so all of a migration holds or none of it.
context.configure(connection=connection, transactional_ddl=True)
context.run_migrations()
