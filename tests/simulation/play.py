"""One seed, played from beginning to end: the unit of every test here, and of the command that plays one again."""

from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field

from tests.simulation.faults import Faults
from tests.simulation.mutants import MUTANTS
from tests.simulation.mutants_of_habits import HABIT_OF
from tests.simulation.world import World


@dataclass(frozen=True, slots=True)
class Played:
    """What became of a seed: `failure` is a Violation, or an error that nobody expects.  `trace` is the end of what happened; `digest` is a hash of all of it."""

    seed: int
    steps: int
    seconds: float
    digest: str
    failure: BaseException | None
    trace: tuple[str, ...] = field(repr=False)
    sometimes: Counter[str] = field(repr=False)

    def story(self, lines: int = 80) -> str:
        """Return what a person needs to understand a failure, and how to see it again."""
        if self.failure is None:
            return f"seed {self.seed}: {self.steps} steps, nothing wrong"
        text = f"seed {self.seed}, step {self.steps}: {type(self.failure).__name__}: {self.failure}"
        again = f"again: python -m tests.simulation.run --seed {self.seed}"
        return "\n".join([*self.trace[-lines:], text, again])


def play(
    seed: int, steps: int, mutant: str | None = None, faults: Faults | None = None, habit: str | None = None
) -> Played:
    """Let a seed's world run, with or without a mistake planted, and converge.  `habit` is what tenants do beside what the seed draws."""
    with MUTANTS[mutant]() if mutant else nullcontext():
        known = habit or HABIT_OF.get(mutant or "")
        # Mistakes in what all tenants do are found sooner where they do nothing else.
        draws = mutant is None or known is not None
        world = World(seed, faults, frozenset({known}) if known else frozenset(), draws=draws)
        failure: BaseException | None = None
        try:
            world.run(steps)
            world.converge()
        except BaseException as error:  # noqa: BLE001 - whatever ends a run is what it found
            failure = error
        finally:
            world.close()
        if isinstance(failure, KeyboardInterrupt):
            raise failure
    baton = world.baton
    return Played(
        seed, baton.steps, baton.now, baton.digest(), failure, tuple(baton.tail), Counter(world.around.sometimes)
    )


def hunt(mutant: str, seeds: int, steps: int) -> Iterator[Played]:
    """Play seed after seed with a mistake planted, up to the first that finds it."""
    for seed in range(1, seeds + 1):
        played = play(seed, steps, mutant)
        yield played
        if played.failure is not None:
            return
