"""Hosts: who they are, what they hold, and what they could not do."""

from collections.abc import Sequence
from dataclasses import dataclass

from mooring.compile.facts import HostState
from mooring.compile.host import compile_host
from mooring.model.faults import NotFound
from mooring.model.ids import HostId
from mooring.model.nouns import Caller, Host
from mooring.model.subjects import Placement, Report
from mooring.operations.door import Door, checked_name
from mooring.policy.roles import Verb


@dataclass(frozen=True, slots=True)
class Condition:
    """How a host keeps up: whether it has confirmed everything, and what it could not make true."""

    host: Host
    settled: bool
    trouble: tuple[Report, ...]


class HostOperations:
    """Hosts, as their agents register them and administrators see them."""

    def __init__(self, door: Door) -> None:
        """Keep the door."""
        self._door = door

    def register(self, name: str, *, compute: bool, gateway: bool) -> Host:
        """Return the host of that name, made on first sight."""
        checked_name("name", name)
        with self._door.store.write() as tx:
            known = tx.topology.host_by_name(name)
            if known is not None:
                return known
            host = Host(HostId(self._door.clock.new_id()), name, compute, gateway)
            tx.topology.add_host(host)
            return host

    def listing(self, caller: Caller) -> Sequence[Host]:
        """Return all hosts."""
        self._door.allow(caller, Verb.HOST_ADMIN)
        with self._door.store.read() as tx:
            return tx.topology.hosts()

    def get(self, caller: Caller, name: str) -> Host:
        """Return a host by name or id.

        Raises:
            NotFound: there is no such host.
        """
        self._door.allow(caller, Verb.HOST_ADMIN)
        with self._door.store.read() as tx:
            host = tx.topology.host_by_name(name) or tx.topology.host(HostId(name))
        if host is None:
            raise NotFound("Host", name)
        return host

    def condition(self, caller: Caller, name: str) -> Condition:
        """Return how a host, named by name or id, keeps up with what it should hold.

        Raises:
            NotFound: there is no such host.
        """
        host = self.get(caller, name)
        with self._door.store.read() as tx:
            trouble = tuple(report for _, report in tx.deliveries.errors(host.id))
            return Condition(host, host.id not in tx.deliveries.behind(), trouble)

    def placements(self, caller: Caller, name: str) -> Sequence[Placement]:
        """Return every subject that a host should hold, or has still to give up."""
        host = self.get(caller, name)
        with self._door.store.read() as tx:
            return tx.deliveries.pending(host.id, [entry.key for entry in tx.deliveries.digest(host.id)])

    def state(self, caller: Caller, name: str) -> HostState:
        """Return the facts that a host should hold, compiled from intent."""
        placements = self.placements(caller, name)
        return compile_host((placed.subject, placed.role) for placed in placements if placed.subject is not None)
