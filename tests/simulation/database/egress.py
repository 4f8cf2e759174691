"""Egress preferences of the simulated database: none, for no client of the simulation makes any."""

from collections.abc import Collection, Sequence

from mooring.model.ids import AddressId, NicId, PoolId, PreferenceId, ProjectId
from mooring.model.preferences import EgressPreference, EgressWay


class Preferences:
    """See mooring.operations.interfaces_of_egress.Preferences."""

    def add(self, preference: EgressPreference, fixed: AddressId | None) -> None:
        raise AssertionError(f"the simulation has no egress preferences, and {preference} at {fixed} is one")

    def get(self, preference: PreferenceId) -> EgressPreference | None:
        return None

    def list(self, project: ProjectId) -> Sequence[EgressPreference]:
        return ()

    def of_floating(self, floating: AddressId) -> Sequence[EgressPreference]:
        return ()

    def of_pool(self, pool: PoolId) -> Sequence[EgressPreference]:
        return ()

    def reached(self, preference: PreferenceId) -> Sequence[NicId]:
        return ()

    def change(self, preference: PreferenceId, way: EgressWay, fallback: EgressWay | None) -> None:
        raise AssertionError(f"nobody in the simulation has {preference}, to lead to {way} or {fallback}")

    def delete(self, preference: PreferenceId) -> None:
        pass

    def number_sets(self, nics: Collection[NicId]) -> None:
        pass

    def renew(self, fixed: AddressId) -> None:
        raise AssertionError(f"nobody in the simulation asks to renew {fixed}")
