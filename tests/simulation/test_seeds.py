"""Seeds in which nothing may go wrong, whatever is broken; the states that they must reach; and the same seed again in another process."""

import subprocess
import sys
from collections import Counter
from unittest.mock import patch

import pytest

from mooring.operations.launches import LaunchOperations
from tests.simulation.play import play
from tests.simulation.states import HARDLY, OFTEN, RARELY
from tests.simulation.world import Unexpected

STEPS = 3000
"""In which things go wrong, for each seed; then as many as it takes until all is as it should be."""


def _play_all(first: int, seeds: int, steps: int) -> Counter[str]:
    """Play seeds, and return how often each state was reached."""
    sometimes: Counter[str] = Counter()
    for seed in range(first, first + seeds):
        played = play(seed, steps)
        assert played.failure is None, played.story()
        sometimes += played.sometimes
    assert set(sometimes) <= OFTEN | RARELY | HARDLY, "a state is not in the list"
    return sometimes


def test_some_seeds() -> None:
    assert OFTEN - set(_play_all(1, 20, STEPS)) == set()


@pytest.mark.slow
def test_some_hundred_seeds() -> None:
    assert (OFTEN | RARELY) - set(_play_all(1001, 300, STEPS + 1000)) == set()


@pytest.mark.parametrize(
    "first", [1, pytest.param(41, marks=pytest.mark.slow), pytest.param(51, marks=pytest.mark.slow)]
)
def test_the_same_seed_is_the_same_run_in_another_process(first: int) -> None:
    """Whatever order sets of texts have there: each process hashes them with a key of its own."""
    seeds = range(first, first + (5 if first == 1 else 10))
    here = [play(seed, STEPS).digest for seed in seeds]
    code = f"from tests.simulation.play import play\nfor seed in {seeds}: print(play(seed, {STEPS}).digest)"
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300).stdout
    assert there.split() == here
    assert len(set(here)) == len(seeds)


def test_an_error_that_the_code_logs_and_survives_fails_a_run() -> None:
    with patch.object(LaunchOperations, "stuck", lambda _self: 1 / 0):
        assert isinstance(play(1, STEPS).failure, Unexpected)
