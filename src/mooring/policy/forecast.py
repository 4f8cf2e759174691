"""When a pool will be exhausted, by a straight line through the last weeks.

What was in use at the end of each day is known from what is in use now and from what was taken and given back on each day since.  The line
is the one of least squares through these points; where it rises, it says after how many days all that is free now is in use.  It knows
nothing of weekends or of what is planned.
"""

import math
from collections.abc import Sequence
from datetime import date, timedelta

from mooring.model.nouns import PoolUsage
from mooring.model.pools import Forecast, PoolDay

HISTORY = timedelta(days=28)
"""What is older says nothing of what will be."""

LEAST = 7
"""With fewer days of history there is no forecast: of a week every day is in it once."""

_FURTHEST = 3650


def forecast(days: Sequence[PoolDay], first: date | None, usage: PoolUsage, today: date) -> Forecast:
    """Return when a pool will have no free address; `days` are those of HISTORY, and `first` the day on which the first address was taken."""
    known = 0 if first is None else max(0, min((today - first).days + 1, HISTORY.days))
    if usage.free <= 0:
        return Forecast(known, None, today, "no address is free")
    if known < LEAST:
        return Forecast(known, None, None, f"not enough history: {known} of at least {LEAST} days")
    slope = _slope(_ends(days, usage.allocated, today, known))
    if slope <= 0 or usage.free / slope > _FURTHEST:
        return Forecast(
            known, slope, None, f"in {known} days, no growth that would exhaust it within {_FURTHEST // 365} years"
        )
    exhausted = today + timedelta(days=math.ceil(usage.free / slope))
    return Forecast(known, slope, exhausted, f"by the straight line through {known} days")


def _ends(days: Sequence[PoolDay], used: int, today: date, known: int) -> list[int]:
    """Return how many addresses were in use at the end of each of the last days, today's now as the last."""
    net = {each.day: each.taken - each.given for each in days}
    ends = [used]
    for back in range(known - 1):
        used -= net.get(today - timedelta(days=back), 0)
        ends.append(used)
    return ends[::-1]


def _slope(values: Sequence[int]) -> float:
    middle, mean = (len(values) - 1) / 2, sum(values) / len(values)
    spread = sum((at - middle) ** 2 for at in range(len(values)))
    return sum((at - middle) * (value - mean) for at, value in enumerate(values)) / spread
