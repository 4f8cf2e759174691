"""Back-ends: each reads and changes the facts of one host."""
