"""What the agent needs of others: a back-end, a guest driver and a controller."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from mooring.compile.facts import Delta, HostState, Place, Refused
from mooring.model.ids import InstanceId
from mooring.model.subjects import Digest, GuestFailure, InstanceIntent, Placement, Report, SubjectKey
from mooring.model.traits import Traits

__all__ = ["Backend", "Controller", "GuestFailure", "Guests", "OlderController", "Refused"]


class OlderController(Exception):
    """The controller is there and doesn't know a call: it is of an older version than this agent."""


class Backend(Protocol):
    """Reads and changes one host.

    `read` returns only what is ours, at one place or everywhere; a fact that holds only in part is returned with a value that differs
    from the right one.  `apply` makes a delta true in the order of stages and returns only when it holds; deltas of sets and maps in one
    place are one transaction.

    Raises:
        Refused: from `apply`, with a reason a person can act on.
    """

    traits: Traits

    def read(self, place: Place | None = None) -> HostState:
        """Return our facts as the host has them."""
        ...

    def apply(self, delta: Delta) -> None:
        """Make a delta true."""
        ...

    def watch(self, doubt: Callable[[Place], None]) -> None:
        """Call `doubt` from another thread whenever somebody else may have changed a place; a hint, never the only means."""
        ...

    def close(self) -> None:
        """Stop watching; leave the host as it is."""
        ...


class Guests(Protocol):
    """Runs guests on one host.

    `start` is idempotent: it starts what does not run and plugs in what is not plugged; a running guest is left alone, unless it was started
    for another number of boots: then it begins anew.

    Raises:
        GuestFailure: from `start` and `stop`.
    """

    def start(self, guest: InstanceIntent) -> None:
        """Run a guest whose ports are in place."""
        ...

    def stop(self, guest: InstanceId) -> None:
        """Stop a guest and everything of it; nothing happens if there is none."""
        ...

    def list(self) -> tuple[InstanceId, ...]:
        """Return the guests that run on this host, whoever started them, sorted."""
        ...


class Controller(Protocol):
    """What an agent asks of the controller; each call may raise a Fault of kind Unavailable."""

    def pull(self, keys: Sequence[SubjectKey] | None) -> Sequence[Placement]:
        """Return the newest placements of these subjects, or of all that this host has not confirmed."""
        ...

    def digest(self) -> Digest:
        """Return the newest generation of every subject of this host."""
        ...

    def report(self, reports: Sequence[Report]) -> None:
        """Tell what holds and what does not."""
        ...

    def uplinks(self, away: Mapping[str, str]) -> None:
        """Tell by which uplink devices nothing leaves, each with the reason; by all others something does.

        Raises:
            OlderController: it has not heard of this yet.
        """
        ...

    def heartbeat(self) -> None:
        """Say that this host is alive."""
        ...

    def set_up_network(self, instance: InstanceId) -> None:
        """Ask for the networks of an instance on this host: a gateway is chosen where there is none."""
        ...

    def allocate_fixed_ips(self, instance: InstanceId) -> None:
        """Ask for the addresses of an instance's NICs."""
        ...
