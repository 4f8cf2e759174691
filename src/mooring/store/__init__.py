"""Where intent is kept: one relational schema, its migrations, and transactions that speak in nouns."""
