"""What every habit is."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from mooring.model.faults import Fault, NotFound
from mooring.model.ids import InstanceId
from mooring.model.nouns import Nic
from tests.simulation.asking import Asking, Tenant

Deed = Callable[[], None]


class Habit(ABC):
    """Things that a tenant's program asks for."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._around = asking.around
        self._chance = asking.chance

    @property
    def _tenant(self) -> Tenant:
        return self._asking.tenant

    def _cards(self, instance: InstanceId) -> tuple[Nic, ...]:
        """Ask which cards an instance has; none if it is gone."""
        try:
            return self._asking.ask("look", lambda real: real.instances.get(self._tenant.caller, instance)).nics
        except NotFound:
            return ()

    def _refused(self, what: str, fault: BaseException) -> None:
        """Count a refusal by its kind."""
        if isinstance(fault, Fault):
            self._around.baton.note(f"{what}: {fault.reason}")
            self._around.reached(f"{what}: {type(fault).__name__}")

    @abstractmethod
    def deeds(self) -> list[Deed]:
        """Return what can be asked for now, each as often as it is likely."""
