"""From subjects to facts: pure functions that decide what a host's kernel must hold."""
