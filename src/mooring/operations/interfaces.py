"""What operations need of others: a store whose transactions hold the truth, a clock, ids, and a bell.

A store promises: a write transaction sees everything committed before it and runs as if alone (SQLite: BEGIN IMMEDIATE; PostgreSQL:
guarded statements whose row counts are checked, so that two writers cannot both win); leaving it without an exception commits durably;
leaving it with one changes nothing.  Listing methods return rows in a stable order (creation, then id) unless they say otherwise.
After Duplicate or Referenced nothing of the refused call remains, and the transaction goes on.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from ipaddress import IPv4Address
from typing import Protocol

from mooring.model.ids import (
    AddressId,
    HostId,
    InstanceId,
    NetworkId,
    NicId,
    PoolId,
    ProjectId,
    RouterId,
    UplinkId,
)
from mooring.model.nouns import (
    AddressPool,
    AddressRange,
    FloatingIp,
    Host,
    Instance,
    InstanceState,
    Network,
    NetworkKind,
    PoolUsage,
    Quota,
    Resource,
    Uplink,
)
from mooring.model.records import (
    WHOLE,
    AddressRow,
    Credentials,
    Duplicate,
    InstanceRow,
    KeyCredentials,
    NicRow,
    Page,
    Referenced,
    Remembered,
    RouterRow,
    TokenRow,
)
from mooring.model.subjects import DigestEntry, HostRole, Placement, Report, SubjectKey
from mooring.operations.interfaces_of_egress import Preferences
from mooring.operations.interfaces_of_groups import Groups
from mooring.operations.interfaces_of_identities import Identities

__all__ = [
    "AddressRow",
    "Addresses",
    "Bell",
    "Chance",
    "Credentials",
    "Deliveries",
    "Duplicate",
    "Groups",
    "Identities",
    "InstanceRow",
    "Instances",
    "KeyCredentials",
    "Memory",
    "NicRow",
    "Preferences",
    "Quotas",
    "Referenced",
    "Remembered",
    "RouterRow",
    "Store",
    "TokenRow",
    "Topology",
    "Transaction",
]


class Topology(Protocol):
    """Hosts, uplinks, pools, routers and networks."""

    def add_host(self, host: Host) -> None: ...

    def save_host(self, host: Host) -> None:
        """Replace everything of a host but its id and name."""
        ...

    def heard_of(self, hosts: Collection[HostId], now: datetime) -> None:
        """Record that hosts are alive."""
        ...

    def host(self, host: HostId) -> Host | None: ...
    def host_by_name(self, name: str) -> Host | None: ...
    def hosts(self) -> Sequence[Host]: ...

    def some_hosts(self, hosts: Collection[HostId]) -> Sequence[Host]:
        """Return those of some hosts that there are."""
        ...

    def add_uplink(self, uplink: Uplink) -> None: ...
    def uplink_by_name(self, name: str) -> Uplink | None: ...
    def uplinks(self) -> Sequence[Uplink]: ...

    def add_pool(self, pool: AddressPool) -> None: ...
    def pool(self, pool: PoolId) -> AddressPool | None: ...
    def pool_by_name(self, name: str) -> AddressPool | None: ...
    def pools(self) -> Sequence[AddressPool]: ...

    def pool_usage(self, pool: PoolId) -> PoolUsage | None:
        """Count a pool's addresses from the rows themselves."""
        ...

    def set_ranges(self, pool: PoolId, ranges: Sequence[AddressRange]) -> None:
        """Replace the ranges of a pool; there is at least one, and those of addresses in use are among them."""
        ...

    def delete_pool(self, pool: PoolId) -> None:
        """Delete; raises Referenced while addresses of it are in use."""
        ...

    def add_router(self, router: RouterRow) -> None: ...
    def router(self, router: RouterId) -> RouterRow | None: ...

    def shared_router(self) -> RouterRow | None:
        """Return the router that all projects' flat networks share, if it has been made."""
        ...

    def routers(self) -> Sequence[RouterRow]: ...
    def delete_router(self, router: RouterId) -> None:
        """Raises Referenced while a network or a way out needs it."""
        ...

    def claim_router(self, router: RouterId, host: HostId) -> bool:
        """Make `host` the gateway if there is none; False if another was faster."""
        ...

    def add_router_uplink(self, router: RouterId, uplink: UplinkId, mac: str, address: AddressId) -> None: ...

    def router_has_uplink(self, router: RouterId, uplink: UplinkId) -> bool: ...

    def others_on(self, uplink: UplinkId, router: RouterId) -> Sequence[RouterId]:
        """Return other routers on an uplink, two of them at most: enough to see that one is not alone any more."""
        ...

    def router_address(self, router: RouterId, uplink: UplinkId) -> AddressRow | None:
        """Return a router's own address on an uplink."""
        ...

    def remove_router_uplink(self, router: RouterId, uplink: UplinkId) -> None: ...

    def add_network(self, network: Network, mac: str) -> None:
        """Insert a network and the mac of its router's port."""
        ...

    def give_zone(self, network: NetworkId) -> bool:
        """Give a network a number that tells its flows on hosts from those of others, if it has none yet; say whether it is new.

        Raises:
            Exhausted: as many networks as there are numbers have one.
        """
        ...

    def network(self, network: NetworkId) -> Network | None: ...

    def free_segment(self, kind: NetworkKind, first: int, last: int) -> int | None:
        """Return the lowest segment number of an inclusive range that no network of the kind has; None if all are taken.

        add_network raises Duplicate if another was faster.
        """
        ...

    def networks(self, project: ProjectId | None) -> Sequence[Network]:
        """Return the networks that a project may use: its own and the shared ones; all of them for None."""
        ...

    def networks_of_router(self, router: RouterId) -> Sequence[Network]: ...

    def delete_network(self, network: NetworkId) -> None:
        """Delete; raises Referenced while NICs are on it."""
        ...

    def nics_of_network(self, network: NetworkId) -> Sequence[NicId]: ...

    def nics_of_router(self, router: RouterId) -> Sequence[NicId]:
        """Return the NICs on all networks of a router."""
        ...


class Addresses(Protocol):
    """Addresses in use and the associations between them."""

    def take(self, row: AddressRow) -> bool:
        """Insert an address; False, with nothing changed, if its (scope, address) is in use."""
        ...

    def first_gap(self, scope: str, first: IPv4Address, last: IPv4Address) -> IPv4Address | None:
        """Return the lowest address of an inclusive range that is not in use; None if all are."""
        ...

    def count(self, scope: str, first: IPv4Address, last: IPv4Address) -> int:
        """Count the addresses of an inclusive range that are in use."""
        ...

    def cursor(self, owner: PoolId | NetworkId) -> IPv4Address | None:
        """Return the last address given out of a pool or network."""
        ...

    def set_cursor(self, owner: PoolId | NetworkId, address: IPv4Address) -> None: ...

    def get(self, address: AddressId) -> AddressRow | None: ...

    def find(self, scope: str, address: IPv4Address) -> AddressRow | None: ...

    def fixed_of_nic(self, nic: NicId) -> Sequence[AddressRow]:
        """Return a NIC's addresses, the primary one first, and those that it is giving up."""
        ...

    def floating(self, project: ProjectId, address: AddressId) -> FloatingIp | None:
        """Return a project's floating IP by id; releasing ones are gone."""
        ...

    def floating_by_address(self, address: IPv4Address) -> FloatingIp | None:
        """Return whichever project's floating IP has this address; releasing ones are gone."""
        ...

    def floating_ips(self, project: ProjectId | None) -> Sequence[FloatingIp]:
        """Return a project's floating IPs, or everybody's for None; releasing ones are left out."""
        ...

    def associate(self, floating: AddressId, fixed: AddressId, pool: PoolId) -> None:
        """Record an association; raises Duplicate if either the floating IP has one or the fixed IP has one of this pool."""
        ...

    def disassociate(self, floating: AddressId) -> bool:
        """End an association; False if there was none."""
        ...

    def floating_of_fixed(self, fixed: AddressId) -> Sequence[AddressId]: ...

    def linger(self, address: AddressId, nic: NicId, generation: int) -> None:
        """Remember that a NIC's hosts may hold this address until they confirm a generation; other NICs that it knows of are kept."""
        ...

    def release(self, address: AddressId) -> bool:
        """Take an address from its owner: it is `releasing`, still in use for everybody else.  False if it was already so.

        Raises Referenced while an association names it.
        """
        ...

    def free(self, address: AddressId) -> None:
        """Delete the row: the address may be given again.  Raises Referenced while an association or a router needs it."""
        ...

    def releasing(self, nic: NicId) -> Sequence[AddressRow]:
        """Return the `releasing` addresses that linger on this NIC, less those that the hosts of another NIC may hold still."""
        ...

    def heirs(self, nic: NicId) -> Sequence[NicId]:
        """Return the NICs that are associated with addresses which linger on this one, once its gateways have all confirmed them away.

        An address that every one of its hosts has confirmed away lingers on it no longer.
        """
        ...


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

    def rename(self, instance: InstanceId, name: str) -> None:
        """Change the name; the time of the update stays, which is that of the state."""
        ...

    def nics(self, instance: InstanceId) -> Sequence[NicRow]: ...
    def nic(self, nic: NicId) -> NicRow | None: ...

    def stale(self, states: Collection[InstanceState], before: datetime) -> Sequence[Instance]:
        """Return the instances in one of these states that were last updated before a moment, or after now: the clock was set back since."""
        ...

    def delete_nic(self, nic: NicId) -> None: ...
    def delete(self, instance: InstanceId) -> None: ...


class Quotas(Protocol):
    """One counter row per project and resource; a limit of -1 is none, and where no limit was ever set it is 0."""

    def set(self, project: ProjectId, resource: Resource, limit: int) -> None:
        """Set a limit, also below what is used: then nothing more can be taken."""
        ...

    def take(self, project: ProjectId, resource: Resource, amount: int = 1) -> bool:
        """Count upwards if the limit allows it; False otherwise."""
        ...

    def give(self, project: ProjectId, resource: Resource, amount: int = 1) -> None: ...
    def get(self, project: ProjectId, resource: Resource) -> Quota: ...


class Deliveries(Protocol):
    """The outbox: for each subject, host and role the newest generation, and the one that the host confirmed."""

    def place(self, key: SubjectKey, host: HostId, role: HostRole) -> None:
        """Add a host for a subject, to be told its present generation; nothing happens if it is there already and present."""
        ...

    def publish(self, key: SubjectKey, roles: Collection[HostRole] | None = None) -> tuple[int, frozenset[HostId]]:
        """Count a subject's generation upwards for all its hosts, or those in some roles; return it and the hosts to wake.

        For hosts in other roles nothing changes, and they have nothing to confirm; see mooring.policy.told for what they are told.
        """
        ...

    def withdraw(self, key: SubjectKey) -> tuple[int, frozenset[HostId]]:
        """Publish a new generation in which the hosts must hold the subject no longer."""
        ...

    def pending(self, host: HostId, keys: Sequence[SubjectKey] | None, page: Page = WHOLE) -> Sequence[Placement]:
        """Return a host's placements of the given keys, or all that it has not confirmed, with their subjects, in one snapshot.

        A public address that lingers on another NIC, whose gateway on another host has not confirmed it away, is left out.
        """
        ...

    def digest(self, host: HostId, page: Page = WHOLE) -> Sequence[DigestEntry]: ...

    def epoch(self) -> int:
        """Return the newest epoch; 0 if none was ever begun."""
        ...

    def renew(self, epoch: int) -> None:
        """Begin an epoch: every subject gets a generation of 2**20 times its number or more, which no host has confirmed."""
        ...

    def hosts(self, key: SubjectKey) -> Sequence[tuple[HostId, HostRole]]:
        """Return the hosts that hold a subject, and in which role; those that have to give it up are left out."""
        ...

    def digest_of(self, key: SubjectKey) -> Sequence[DigestEntry]:
        """Return an entry for each host and role that holds a subject or has still to give it up."""
        ...

    def confirm(self, host: HostId, report: Report) -> bool:
        """Record a report: a generation only ever rises, an error never confirms.  False if the report is older than what is known.

        A confirmed withdrawal removes the delivery.
        """
        ...

    def unconfirmed(self, key: SubjectKey, generation: int) -> bool:
        """Say whether any host of a subject that was told this generation, or gives the subject up, has not confirmed it or a newer one."""
        ...

    def settled(self, key: SubjectKey, roles: Collection[HostRole]) -> bool:
        """Say whether a subject is placed, and every host that must hold it in one of these roles has confirmed its newest generation.

        Hosts that have to give it up don't count.
        """
        ...

    def behind(self) -> Sequence[HostId]:
        """Return the hosts that have not confirmed everything."""
        ...

    def errors(self, host: HostId | None = None) -> Sequence[tuple[HostId, Report]]:
        """Return what hosts could not make true."""
        ...


class Memory(Protocol):
    """Idempotency keys of mutating calls."""

    def recall(self, project: ProjectId, key: str) -> Remembered | None: ...

    def remember(self, project: ProjectId, key: str, what: Remembered) -> None:
        """Insert; raises Duplicate if the key is known."""
        ...


class Transaction(Protocol):
    """One database transaction, by noun."""

    @property
    def identities(self) -> Identities: ...
    @property
    def topology(self) -> Topology: ...
    @property
    def addresses(self) -> Addresses: ...
    @property
    def instances(self) -> Instances: ...
    @property
    def groups(self) -> Groups: ...
    @property
    def preferences(self) -> Preferences: ...
    @property
    def quotas(self) -> Quotas: ...
    @property
    def deliveries(self) -> Deliveries: ...
    @property
    def memory(self) -> Memory: ...

    def now(self) -> datetime:
        """Return the present moment in UTC by the database's clock: one for all processes, whatever their own clocks say."""
        ...


class Store(Protocol):
    """Where intent is kept.  Both kinds of transaction raise Unavailable when the database is away."""

    def read(self) -> AbstractContextManager[Transaction]:
        """Open a consistent snapshot."""
        ...

    def write(self) -> AbstractContextManager[Transaction]:
        """Open a transaction that commits when left without an exception."""
        ...


class Bell(Protocol):
    """Wakes those who wait; a lost ring costs time, never truth."""

    def wake(self, hosts: Iterable[HostId]) -> None:
        """Tell agents that there is something to pull."""
        ...

    def launch(self, instance: InstanceId) -> None:
        """Tell the scheduler that an instance wants a host."""
        ...

    def settled(self) -> None:
        """Tell waiting operations that hosts have reported."""
        ...

    def wait_settled(self, done: Callable[[], bool], timeout: float) -> bool:
        """Wait up to `timeout` seconds for `done`, asked after each ring; return what it said last."""
        ...


class Chance(Protocol):
    """Randomness, injected so that a simulation can own it.  Time is the database's: see Transaction.now."""

    def new_id(self) -> str:
        """Return a new random UUID."""
        ...

    def new_mac(self) -> str:
        """Return a new random locally administered unicast MAC address, in lower case with colons."""
        ...

    def new_secret(self) -> str:
        """Return a new unguessable text that is safe in URLs and headers, of at least 256 random bits."""
        ...
