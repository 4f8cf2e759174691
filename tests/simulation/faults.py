"""What may go wrong, and how often.

Each seed draws its own mixture: a kind of fault is on or off, and some are worse than others.  Runs in which everything fails at once find
little: nobody gets far enough for the interesting states.
"""

import random
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Faults:
    """Chances: of the first group for each commit, message, change of a kernel or start of a guest; of the second for each half second."""

    crash_before_commit: float = 0.01
    crash_after_commit: float = 0.02
    commit_refused: float = 0.01
    commit_unknown: float = 0.02
    drop: float = 0.05
    duplicate: float = 0.1
    slow: float = 0.1
    request_lost: float = 0.03
    answer_lost: float = 0.06
    crash_in_apply: float = 0.02
    refuse: float = 0.02
    tear: float = 0.04
    guest_fails: float = 0.05
    crash_in_launch: float = 0.02

    crash: float = 0.06
    power_cut: float = 0.015
    pause: float = 0.03
    cut: float = 0.03
    one_way: float = 0.03
    away: float = 0.01
    reinstall: float = 0.005
    database_away: float = 0.02
    clock: float = 0.02
    tamper: float = 0.04
    backup: float = 0.04
    restore: float = 0.05

    @classmethod
    def draw(cls, chance: random.Random) -> "Faults":
        """Return a mixture."""
        worse = {field.name: chance.choice((0.0, 0.0, 1.0, 1.0, 3.0)) for field in fields(cls)}
        # To take a backup harms nobody.
        worse["backup"] = 1.0
        return cls(**{name: min(0.5, getattr(_USUAL, name) * factor) for name, factor in worse.items()})

    @classmethod
    def none(cls) -> "Faults":
        """Return no faults at all."""
        return cls(**{field.name: 0.0 for field in fields(cls)})


_USUAL = Faults()
