"""What operations need of a store for egress preferences; see mooring.operations.interfaces for what holds of all of it."""

from collections.abc import Collection, Sequence
from typing import Protocol

from mooring.model.ids import AddressId, NicId, PoolId, PreferenceId, ProjectId
from mooring.model.preferences import EgressPreference, EgressWay


class Preferences(Protocol):
    """Egress preferences.  They go with the address, NIC, instance or network that they are of."""

    def add(self, preference: EgressPreference, fixed: AddressId | None) -> None:
        """Insert a preference, of scope ADDRESS with the row of its address; raises Duplicate where one of its target has the prefix."""
        ...

    def get(self, preference: PreferenceId) -> EgressPreference | None: ...
    def list(self, project: ProjectId) -> Sequence[EgressPreference]: ...

    def of_floating(self, floating: AddressId) -> Sequence[EgressPreference]:
        """Return those that lead to a floating IP, first or as a fallback."""
        ...

    def of_pool(self, pool: PoolId) -> Sequence[EgressPreference]:
        """Return those that lead to a pool, or to an address of it."""
        ...

    def reached(self, preference: PreferenceId) -> Sequence[NicId]:
        """Return the NICs that a preference is for."""
        ...

    def change(self, preference: PreferenceId, way: EgressWay, fallback: EgressWay | None) -> None:
        """Let a preference lead elsewhere."""
        ...

    def delete(self, preference: PreferenceId) -> None: ...

    def number_sets(self, nics: Collection[NicId]) -> None:
        """Give a number to each set of prefixes by which an address of these NICs prefers, if it has none: before hosts are told."""
        ...

    def renew(self, fixed: AddressId) -> None:
        """Let the flows that an address opened begin anew."""
        ...
