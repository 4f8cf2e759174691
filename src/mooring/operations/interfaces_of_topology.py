"""What operations need of a store for hosts, uplinks, pools, routers and networks; see mooring.operations.interfaces for what holds of all of it."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from mooring.model.ids import (
    AddressId,
    HostId,
    NetworkId,
    NicId,
    PoolId,
    ProjectId,
    RouterId,
    UplinkId,
)
from mooring.model.nouns import AddressPool, AddressRange, Host, Network, NetworkKind, PoolUsage, Uplink, UplinkAway
from mooring.model.records import (
    AddressRow,
    RouterRow,
)


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

    def set_misses(self, uplink: UplinkId, misses: int) -> None:
        """Change after how many unanswered questions an uplink's next hop counts as away."""
        ...

    def away(self, host: HostId) -> Sequence[UplinkAway]:
        """Return by which uplinks a host finds that nothing leaves, in the uplinks' order."""
        ...

    def set_away(self, host: HostId, away: Mapping[UplinkId, str], now: datetime) -> None:
        """Record by which uplinks a host finds that nothing leaves, and why; what was known before keeps its moment."""

    def delete_uplink(self, uplink: UplinkId) -> None:
        """Delete; raises Referenced while a pool or a router is on it."""
        ...

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

    def routers_per_host(self) -> Mapping[HostId, int]:
        """Count the routers of each host that has any."""
        ...

    def delete_router(self, router: RouterId) -> None:
        """Raises Referenced while a network or a way out needs it."""
        ...

    def claim_router(self, router: RouterId, host: HostId) -> bool:
        """Make `host` the gateway if there is none; False if another was faster."""
        ...

    def add_router_uplink(self, router: RouterId, uplink: UplinkId, mac: str, address: AddressId) -> None: ...

    def router_has_uplink(self, router: RouterId, uplink: UplinkId) -> bool: ...

    def routers_on(self, uplink: UplinkId) -> Sequence[RouterId]:
        """Return the routers that have an address on an uplink, in the order of creation."""
        ...

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
