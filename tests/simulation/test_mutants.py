"""A test of the tests: every mistake that is planted is found, by an invariant and not by an accident."""

import pytest

from tests.simulation.baton import Violation
from tests.simulation.mutants import MUTANTS
from tests.simulation.play import hunt

STEPS = 3000

QUICK = (
    "quota-outside",
    "picked-then-taken",
    "no-idempotency",
    "idempotency-after-quota",
    "freed-unconfirmed",
    "restart-only-adds",
    "waits-for-present-hosts",
    "any-ack-counts",
    "gateway-told-at-once",
    "guest-before-network",
    "pulled-at-once",
    "shortest-prefix",
)
"""Those that a few seeds find; the others are as dangerous, and take longer."""


def _find(mutant: str, seeds: int) -> None:
    *_, last = hunt(mutant, seeds, STEPS)
    assert isinstance(last.failure, Violation), last.story()


@pytest.mark.parametrize("mutant", QUICK)
def test_a_planted_mistake_is_found(mutant: str) -> None:
    _find(mutant, seeds=40)


@pytest.mark.slow
@pytest.mark.parametrize("mutant", [name for name in MUTANTS if name not in QUICK])
def test_a_planted_mistake_that_hides_is_found(mutant: str) -> None:
    _find(mutant, seeds=200)
