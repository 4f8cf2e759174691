"""Where intent is kept: one relational schema, its migrations, and transactions that speak in nouns."""

from mooring.store.engine import Options, SqlStore
from mooring.store.migrate import SchemaFault

__all__ = ["Options", "SchemaFault", "SqlStore"]
