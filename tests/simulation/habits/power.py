"""Guests that are stopped, started and rebooted."""

from collections.abc import Generator
from contextlib import contextmanager, nullcontext

from mooring.model.faults import Conflict, NotFound
from mooring.model.ids import InstanceId
from mooring.model.nouns import Power
from tests.simulation.control import Lost
from tests.simulation.habits.habit import Deed, Habit


class PowerHabit(Habit):
    """Presses guests' buttons."""

    def deeds(self) -> list[Deed]:
        return [self._stop, self._stop, self._start, self._reboot] if self._tenant.instances else []

    def _any(self, instances: dict[InstanceId, None]) -> InstanceId | None:
        """Draw one, whoever else has it in hand: buttons are pressed while others are."""
        return self._chance.choice([*instances]) if instances else None

    def _stop(self) -> None:
        instance = self._any(self._tenant.instances)
        if instance is None:
            return
        caller = self._tenant.caller
        try:
            answer = self._asking.ask("stop", lambda real: real.power.stop(caller, instance), _button(instance))
        except (Conflict, NotFound, Lost):
            return
        # Somebody may be about to start it again, and ask more than once until that is answered; or an older request may.
        sure = not any(self._asking.is_under_way(thing) for thing in (_button(instance), _start(instance)))
        if answer.power is Power.STOPPED and sure and instance in self._tenant.instances:
            self._around.reached("stopped, and told so")
            self._tenant.stopped[instance] = None

    def _start(self) -> None:
        instance = self._any(self._tenant.stopped or self._tenant.instances)
        if instance is None:
            return
        caller = self._tenant.caller
        with self._starting(instance):
            try:
                self._asking.ask("start", lambda real: real.power.start(caller, instance), _button(instance))
            except (Conflict, NotFound, Lost):
                return
            self._around.reached("started again")

    @contextmanager
    def _starting(self, instance: InstanceId) -> Generator[None]:
        self._tenant.stopped.pop(instance, None)
        self._tenant.under_way[_start(instance)] += 1
        try:
            yield
        finally:
            self._tenant.under_way[_start(instance)] -= 1

    def _reboot(self) -> None:
        instance = self._any(self._tenant.instances)
        if instance is None:
            return
        caller, key, hard = self._tenant.caller, self._asking.key(), self._chance.random() < 0.5
        with self._starting(instance) if hard else nullcontext():
            try:
                self._asking.ask(
                    "reboot",
                    lambda real: real.power.reboot(caller, instance, hard=hard, idempotency_key=key),
                    _button(instance),
                )
            except (Conflict, NotFound):
                del self._tenant.pending[key]
            except Lost:
                pass
            else:
                del self._tenant.pending[key]
                self._around.reached("rebooted")


def _start(instance: InstanceId) -> str:
    return f"start of {instance}"


def _button(instance: InstanceId) -> str:
    return f"power of {instance}"
