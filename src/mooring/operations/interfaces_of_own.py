"""What operations need of a store for what projects make themselves; see mooring.operations.interfaces for what holds of all of it."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import Protocol

from mooring.model.ids import NetworkId, PoolId, ProjectId, RouterId, SubnetPoolId
from mooring.model.nouns import Network, OwnSubnet
from mooring.model.own import BareNetwork, SubnetPool
from mooring.model.records import RouterRow


class Own(Protocol):
    """Networks without a subnet, subnets, routers and subnet pools of projects.  A subnet goes with its network."""

    def add_bare(self, network: BareNetwork) -> None: ...
    def bare(self, network: NetworkId) -> BareNetwork | None: ...

    def bares(self, project: ProjectId | None) -> Sequence[BareNetwork]:
        """Return a project's networks without a subnet, or everybody's for None."""
        ...

    def delete_bare(self, network: NetworkId) -> bool:
        """Delete; False if it is gone, or has a subnet by now."""
        ...

    def rename(self, network: NetworkId, name: str) -> None:
        """Call a network otherwise, with or without a subnet."""
        ...

    def add_subnet(self, network: NetworkId, subnet: OwnSubnet) -> None:
        """Say of a network that its project made it."""
        ...

    def change_subnet(self, network: NetworkId, subnet: OwnSubnet, dns: Sequence[IPv4Address]) -> None:
        """Replace what is said of a subnet; the pool that it is from stays."""
        ...

    def set_router(self, network: Network, router: RouterId) -> bool:
        """Give a network another router; False if it has another one by now than `network` says."""
        ...

    def close(self, router: RouterId, *, made: bool) -> None:
        """Say of a router that it goes out nowhere but by the pool that it is told; a `made` one was made by its project."""
        ...

    def routers(self, project: ProjectId | None) -> Sequence[RouterRow]:
        """Return the routers that a project made, or everybody's for None."""
        ...

    def rename_router(self, router: RouterId, name: str) -> None: ...

    def lead(self, router: RouterId, pool: PoolId | None) -> None:
        """Let a closed router go out by a pool, or nowhere."""
        ...

    def unmake(self, router: RouterId) -> bool:
        """Say of a router that it was made no longer, and let it go out nowhere; False if that was so."""
        ...

    def add_pool(self, pool: SubnetPool) -> None: ...
    def pool(self, pool: SubnetPoolId) -> SubnetPool | None: ...

    def pools(self, project: ProjectId | None) -> Sequence[SubnetPool]:
        """Return the subnet pools that a project may use, its own and everybody's; all of them for None."""
        ...

    def change_pool(self, pool: SubnetPool) -> None:
        """Replace everything of a subnet pool but its id and project."""
        ...

    def delete_pool(self, pool: SubnetPoolId) -> None:
        """Delete; raises Referenced while a subnet is from it."""
        ...

    def networks_of_pool(self, pool: SubnetPoolId) -> Sequence[Network]:
        """Return the networks whose subnets are from a pool."""
        ...

    def prefixes_of_pool(self, pool: SubnetPoolId) -> Sequence[IPv4Network]:
        """Return what is taken from a pool; nobody else takes of it until the transaction ends."""
        ...
