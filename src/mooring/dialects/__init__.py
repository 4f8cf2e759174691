"""Dialects: what clients of other clouds speak, translated into operations and back.  Siblings share `http` and nothing else."""
