"""Tags of the simulated database: none, for no client of the simulation gives any."""

from collections.abc import Sequence

from mooring.model.marks import Tagged


class Tags:
    """See mooring.operations.interfaces_of_tags.Tags."""

    def of(self, kind: Tagged, thing: str) -> Sequence[str]:
        return ()

    def set(self, kind: Tagged, thing: str, tagged: Sequence[str]) -> None:
        raise AssertionError(f"the simulation has no tags, and {tagged} are some, of {kind} {thing}")
