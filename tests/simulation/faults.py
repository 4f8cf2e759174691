"""What may go wrong, and how often.

Each seed draws its own mixture: a kind of fault is on or off, and some are worse than others.  Runs in which everything fails at once find
little: nobody gets far enough for the interesting states.
"""

import random
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Faults:
    """Chances, per occasion.  The occasion of the first group is a commit, a message, a change of a kernel; of the second a second of time."""

    crash_before_commit: float = 0.01
    crash_after_commit: float = 0.02
    commit_refused: float = 0.01
    commit_unknown: float = 0.02
    drop: float = 0.05
    duplicate: float = 0.1
    slow: float = 0.1
    request_lost: float = 0.03
    answer_lost: float = 0.06
    crash_in_apply: float = 0.01
    refuse: float = 0.01
    tear: float = 0.02
    guest_fails: float = 0.05
    crash_in_launch: float = 0.02

    crash: float = 0.1
    power_cut: float = 0.02
    cut: float = 0.06
    one_way: float = 0.04
    away: float = 0.03
    database_away: float = 0.04
    skew: float = 0.03
    tamper: float = 0.04
    foreign_host: float = 0.01

    @classmethod
    def draw(cls, chance: random.Random) -> "Faults":
        """Return a mixture."""
        worse = {field.name: chance.choice((0.0, 0.0, 1.0, 1.0, 3.0)) for field in fields(cls)}
        return cls(**{name: min(0.5, getattr(_USUAL, name) * factor) for name, factor in worse.items()})

    @classmethod
    def none(cls) -> "Faults":
        """Return no faults at all."""
        return cls(**{field.name: 0.0 for field in fields(cls)})


_USUAL = Faults()
