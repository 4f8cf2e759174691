"""Hosts: who they are, what they hold, and what they could not do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from mooring.compile.facts import HostState, Key
from mooring.compile.host import compile_host
from mooring.compile.tables import AWAY, UPLINK
from mooring.model.accounts import Caller
from mooring.model.faults import Conflict, Fault, NotFound
from mooring.model.ids import HostId, host_id, uplink_name
from mooring.model.nouns import Host, UplinkAway
from mooring.model.subjects import HostRole, Placement, Report, SubjectKind
from mooring.operations.door import Door, Published, checked_name, publish
from mooring.operations.interfaces import Transaction
from mooring.policy.roles import Verb


@dataclass(frozen=True, slots=True)
class Condition:
    """How a host keeps up: whether it has confirmed everything, what it could not make true, and by which uplinks nothing leaves it."""

    host: Host
    settled: bool
    trouble: tuple[Report, ...]
    away: tuple[UplinkAway, ...] = ()


@dataclass(frozen=True, slots=True)
class HostLinks:
    """How a host is connected to others; see Host."""

    cluster: str = "default"
    endpoint: IPv4Address | None = None
    vlan_interface: str | None = None
    trunk_interface: str | None = None


class HostOperations:
    """Hosts, as their agents register them and administrators see them."""

    def __init__(self, door: Door) -> None:
        """Keep the door."""
        self._door = door

    def register(
        self, name: str, *, compute: bool, gateway: bool, links: HostLinks = HostLinks(), machine: str = ""
    ) -> Host:
        """Return the host of that name, as it says that it is now; made on first sight.

        Raises:
            Invalid: a name that cannot be.
            Conflict: another machine has the name and is alive.
        """
        checked_name("name", name)
        host = Host(
            id=host_id(name),
            name=name,
            compute=compute,
            gateway=gateway,
            cluster=links.cluster,
            endpoint=links.endpoint,
            vlan_interface=links.vlan_interface,
            trunk_interface=links.trunk_interface,
            machine=machine,
        )
        with self._door.store.write() as tx:
            now = tx.now()
            host = replace(host, last_seen=now)
            known = tx.topology.host_by_name(name)
            if known is None:
                tx.topology.add_host(host)
                return host
            if known.machine and machine and known.machine != machine and self._door.alive(known, now):
                raise Conflict(f"name: host {name} is another machine, and alive.", field="name")
            host = replace(host, id=known.id)
            tx.topology.save_host(host)
            same = replace(host, last_seen=None, machine="") == replace(known, last_seen=None, machine="")
            changes = [] if same else self._refresh(tx, host)
        if changes:
            self._door.bell.wake(sorted(frozenset[HostId]().union(*(change.hosts for change in changes))))
        return host

    def _refresh(self, tx: Transaction, host: Host) -> list[Published]:
        """Publish what depends on how a host is connected: its networks, and where its NICs are to be found."""
        entries = [entry for entry in tx.deliveries.digest(host.id) if entry.present]
        keys = {entry.key for entry in entries if entry.key.kind is SubjectKind.NETWORK}
        keys |= {entry.key for entry in entries if entry.key.kind is SubjectKind.NIC and entry.role is HostRole.COMPUTE}
        return [publish(tx, key) for key in sorted(keys)]

    def heartbeat(self, host: HostId, machine: str = "") -> None:
        """Record that a host is alive, as the machine that it registered as.

        Raises:
            NotFound: there is no such host (any longer): it must register.
            Conflict: it was away, and another machine has its name by now.
        """
        for fault in self.heartbeats({host: machine}).values():
            raise fault

    def heartbeats(self, machines: Mapping[HostId, str]) -> Mapping[HostId, Fault]:
        """Do the same for several hosts in one transaction; return what `heartbeat` would raise, of those for which it would."""
        faults: dict[HostId, Fault] = {}
        with self._door.store.write() as tx:
            there = {host.id: host for host in tx.topology.some_hosts(machines)}
            for host, machine in machines.items():
                known = there.get(host)
                if known is None:
                    faults[host] = NotFound("Host", host)
                elif known.machine and machine and known.machine != machine:
                    faults[host] = Conflict(f"name: host {known.name} is another machine by now.", field="name")
            tx.topology.heard_of(machines.keys() - faults.keys(), tx.now())
        return faults

    def listing(self, caller: Caller) -> Sequence[Host]:
        """Return all hosts."""
        self._door.allow(caller, Verb.HOST_ADMIN)
        with self._door.store.read() as tx:
            return tx.topology.hosts()

    def roll(self, caller: Caller) -> Sequence[tuple[Host, bool]]:
        """Return all hosts, and of each whether it was heard of lately."""
        self._door.allow(caller, Verb.HOST_ADMIN)
        with self._door.store.read() as tx:
            now = tx.now()
            return [(host, self._door.alive(host, now)) for host in tx.topology.hosts()]

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
            settled = host.id not in tx.deliveries.behind()
            return Condition(host, settled, trouble, tuple(tx.topology.away(host.id)))

    def placements(self, caller: Caller, name: str) -> Sequence[Placement]:
        """Return every subject that a host should hold, or has still to give up."""
        host = self.get(caller, name)
        with self._door.store.read() as tx:
            return tx.deliveries.pending(host.id, [entry.key for entry in tx.deliveries.digest(host.id)])

    def state(self, caller: Caller, name: str) -> HostState:
        """Return the facts that a host should hold, compiled from intent."""
        placements = self.placements(caller, name)
        return compile_host((placed.subject, placed.role) for placed in placements if placed.subject is not None)

    def found(self, caller: Caller, name: str) -> HostState:
        """Return the same, and what the host has told of how it finds the world."""
        state, away = self.state(caller, name), self.condition(caller, name).away
        reasons = {uplink_name(each.uplink.id): each.reason for each in away}
        observed = {
            Key(AWAY, key.place, key.row): (reasons[str(key.row[0])],)
            for key in state
            if key.table is UPLINK and key.row[0] in reasons
        }
        return {**state, **observed}
