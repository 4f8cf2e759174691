"""A test of the tests: every mistake that is planted is found."""

import pytest

from tests.simulation.play import hunt

# Those that a first, thin simulation finds; the list grows with it.
FOUND = ("quota-outside", "no-idempotency", "idempotency-after-quota", "freed-unconfirmed", "no-lingering")


@pytest.mark.parametrize("mutant", FOUND)
def test_a_planted_mistake_is_found(mutant):
    assert any(played.failure is not None for played in hunt(mutant, seeds=20, steps=1500))
