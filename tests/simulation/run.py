"""Play seeds: `python -m tests.simulation.run --seed N --steps M [--mutant X]`; `--hunt` looks for every mutant."""

import argparse
import sys
import time
import traceback
from collections import Counter

from tests.simulation.habits import HABITS
from tests.simulation.mutants import MUTANTS
from tests.simulation.play import hunt, play


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds")
    parser.add_argument("--steps", type=int, default=3000, help="steps in which things go wrong, for each seed")
    parser.add_argument("--mutant", choices=MUTANTS, help="a mistake to plant")
    parser.add_argument("--habit", choices=HABITS, help="what tenants do beside what the seed draws")
    parser.add_argument("--hunt", action="store_true", help="look for every mutant")
    parser.add_argument("--trace", type=int, default=80, help="how many lines of a failure's trace to show")
    return parser.parse_args()


def main() -> int:
    """Play, and print what was found."""
    options = _options()
    if options.hunt:
        return _hunt_all(options)
    sometimes: Counter[str] = Counter()
    started, steps = time.monotonic(), 0
    for seed in range(options.seed, options.seed + options.seeds):
        played = play(seed, options.steps, options.mutant, habit=options.habit)
        steps += played.steps
        sometimes += played.sometimes
        print(f"seed {seed}: {played.steps} steps, {played.seconds:.0f} s of its time, {played.digest}")
        if played.failure is not None:
            print(played.story(options.trace))
            traceback.print_exception(played.failure)
            return 1
    passed = time.monotonic() - started
    print(f"{steps} steps in {passed:.1f} s: {steps / passed:.0f} a second")
    for state, count in sorted(sometimes.items()):
        print(f"{count:8} {state}")
    return 0


def _hunt_all(options: argparse.Namespace) -> int:
    missed = 0
    for mutant in [options.mutant] if options.mutant else MUTANTS:
        started = time.monotonic()
        all_played = list(hunt(mutant, options.seeds, options.steps))
        last, steps = all_played[-1], sum(played.steps for played in all_played)
        missed += last.failure is None
        found = f"seed {last.seed} step {last.steps}: {last.failure}" if last.failure else "not found"
        print(f"{mutant:28} {time.monotonic() - started:6.1f} s {steps:8} steps  {found[:140]}", flush=True)
    return missed


if __name__ == "__main__":
    sys.exit(main())
