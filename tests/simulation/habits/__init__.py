"""What tenants do beside launching instances and moving floating IPs: each seed draws which of these habits its tenants have.

Not all at once: a run in which everything is asked for gets nowhere far, and what is older would be tested less than before.
"""

from collections.abc import Callable, Mapping

from tests.simulation.asking import Asking
from tests.simulation.habits.cards import CardHabit
from tests.simulation.habits.egress import EgressHabit
from tests.simulation.habits.habit import Habit
from tests.simulation.habits.own import OwnHabit
from tests.simulation.habits.ports import PortHabit
from tests.simulation.habits.power import PowerHabit

HABITS: Mapping[str, Callable[[Asking], Habit]] = {
    "cards": CardHabit,
    "egress": EgressHabit,
    "own": OwnHabit,
    "power": PowerHabit,
    "ports": PortHabit,
}

__all__ = ["HABITS", "Habit"]
