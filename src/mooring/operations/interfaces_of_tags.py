"""What operations need of a store for tags; see mooring.operations.interfaces for what holds of all of it."""

from collections.abc import Sequence
from typing import Protocol

from mooring.model.marks import Tagged


class Tags(Protocol):
    """What things are tagged with.  A tag goes with its thing."""

    def of(self, kind: Tagged, thing: str) -> Sequence[str]:
        """Return a thing's tags in their order."""
        ...

    def set(self, kind: Tagged, thing: str, tagged: Sequence[str]) -> None:
        """Give a thing these tags, no two alike, and no others; its revision grows."""
        ...
