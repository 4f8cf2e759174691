"""What operations need of a store for instances and their NICs; see mooring.operations.interfaces for what holds of all of it."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from mooring.model.ids import (
    HostId,
    InstanceId,
    NetworkId,
    NicId,
    ProjectId,
)
from mooring.model.nouns import Instance, InstanceState, Nic, OwnNic, Power
from mooring.model.records import (
    InstanceRow,
    NicRow,
)


class Instances(Protocol):
    """Instances and their NICs."""

    def add(self, row: InstanceRow) -> None: ...

    def add_nic(self, row: NicRow) -> None:
        """Insert a NIC; raises Duplicate for a mac in use."""
        ...

    def get(self, instance: InstanceId) -> Instance | None:
        """Return an instance with its NICs and addresses, whoever owns it."""
        ...

    def list(self, project: ProjectId | None, *, name: str | None = None) -> Sequence[Instance]:
        """Return a project's instances, or everybody's for None, by a fixed number of statements."""
        ...

    def assign(self, instance: InstanceId, host: HostId) -> bool:
        """Place an instance that has no host and is building; False otherwise."""
        ...

    def per_host(self) -> Mapping[HostId, int]:
        """Count the instances of each host that has any."""
        ...

    def avoided(self, instance: InstanceId) -> frozenset[HostId]:
        """Return the hosts on which an instance's launch has failed."""
        ...

    def unassign(self, instance: InstanceId, host: HostId) -> bool:
        """Take a building instance from a host, which it avoids from now on; False if it is not there (any longer)."""
        ...

    def repoint(self, nic: NicId, network: NetworkId) -> None:
        """Put a NIC that has no address yet on another network; raises Referenced if it has one."""
        ...

    def move(
        self, instance: InstanceId, expected: Collection[InstanceState], state: InstanceState, fault: str | None = None
    ) -> bool:
        """Change the state if it is one of `expected`; False otherwise.  Also sets the time of the update."""
        ...

    def turn(self, instance: InstanceId, expected: Collection[Power], power: Power, *, boot: bool = False) -> bool:
        """Change what an active instance's guest does, or one's with an error, if it is one of `expected`; False otherwise.

        With `boot` it begins anew.  Also sets the time of the update.
        """
        ...

    def rename(self, instance: InstanceId, name: str) -> None:
        """Change the name; the time of the update stays, which is that of the state."""
        ...

    def nics(self, instance: InstanceId) -> Sequence[NicRow]:
        """Return an instance's NICs, and those that are leaving it."""
        ...

    def nic(self, nic: NicId) -> NicRow | None: ...

    def stale(self, states: Collection[InstanceState], before: datetime) -> Sequence[Instance]:
        """Return the instances in one of these states that were last updated before a moment, or after now: the clock was set back since."""
        ...

    def leave(self, nic: NicId) -> bool:
        """Take a NIC from its instance; False if it is leaving already."""
        ...

    def delete_nic(self, nic: NicId) -> None: ...
    def delete(self, instance: InstanceId) -> None: ...


class Cards(Protocol):
    """NICs that projects made themselves.  They are NICs like the others, but may be in no instance; one that is leaving its instance counts so."""

    def own(self, nic: NicId, own: OwnNic) -> None:
        """Say of a NIC that a project made it."""
        ...

    def get(self, nic: NicId) -> Nic | None:
        """Return such a NIC that is in no instance."""
        ...

    def list(self, project: ProjectId | None) -> Sequence[Nic]:
        """Return a project's NICs that are in no instance, or everybody's for None."""
        ...

    def describe(self, nic: NicId, own: OwnNic) -> None:
        """Replace the name and the description."""
        ...

    def plug(self, nic: NicId, instance: InstanceId, position: int) -> bool:
        """Put a NIC that is in no instance into one; False if it is in one, or leaves it still.  Raises Duplicate for a position in use."""
        ...

    def unplug(self, nic: NicId) -> bool:
        """Put a NIC that its project made into no instance, whose hosts have all let go of it; False if no project made it."""
        ...
