"""`mooring agent`, but for its kernel and its guests, which are dictionaries: what is left is what a host costs the control plane."""

import sys
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from mooring.agent.interfaces import Guests
from mooring.compile.facts import Delta, HostState, Key, Place, Row
from mooring.main import agent, host
from mooring.model.ids import InstanceId
from mooring.model.subjects import InstanceIntent
from mooring.model.traits import Traits


class Remembering:
    """A back-end that holds whatever it is told."""

    traits = Traits("remembering")

    def __init__(self, *_kernel: object) -> None:
        self._state: dict[Key, Row] = {}

    def read(self, place: Place | None = None) -> HostState:
        """Return what it was told."""
        return {key: value for key, value in self._state.items() if place is None or key.place == place}

    def apply(self, delta: Delta) -> None:
        """Remember."""
        for key in delta.drop:
            self._state.pop(key, None)
        self._state.update(delta.put)

    def watch(self, doubt: Callable[[Place], None]) -> None:
        """Nobody else changes anything here."""

    def close(self) -> None:
        """Nothing is to be closed."""


class RememberedGuests:
    """Guests that are names."""

    ports = None

    def __init__(self) -> None:
        self._running: set[InstanceId] = set()

    def start(self, guest: InstanceIntent) -> None:
        """Remember a guest."""
        self._running.add(guest.id)

    def stop(self, guest: InstanceId) -> None:
        """Forget a guest."""
        self._running.discard(guest)

    def list(self) -> tuple[InstanceId, ...]:
        """Return who is remembered."""
        return tuple(sorted(self._running))


def main() -> int:
    """Run as `mooring agent --config FILE` does."""

    def guests(_settings: object) -> Guests:
        return RememberedGuests()

    with mock.patch.multiple(host, LinuxBackend=Remembering, _guests=guests):
        return agent.run(Path(sys.argv[2]))


if __name__ == "__main__":
    sys.exit(main())
