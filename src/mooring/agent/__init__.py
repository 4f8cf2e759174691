"""The agent: makes the facts of its host's subjects true, and keeps them so."""
