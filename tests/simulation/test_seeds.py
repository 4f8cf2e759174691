"""Seeds in which nothing may go wrong, and the same seed again in another process."""

import subprocess
import sys

import pytest

from tests.simulation.play import play

STEPS = 3000
"""In which things go wrong, for each seed; then as many as it takes until all is as it should be."""


@pytest.mark.parametrize("seed", range(1, 13))
def test_a_seed(seed: int) -> None:
    played = play(seed, STEPS)
    assert played.failure is None, played.story()


def test_the_same_seed_is_the_same_run_in_another_process() -> None:
    """Whatever order sets of texts have there: each process hashes them with a key of its own."""
    here = play(3, STEPS).digest
    code = f"from tests.simulation.play import play; print(play(3, {STEPS}).digest)"
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120).stdout
    assert there.split() == [here]
