"""What projects make themselves, in the simulated database: nothing, for no client of the simulation makes any of it."""

from collections.abc import Sequence
from ipaddress import IPv4Address

from mooring.model.ids import NetworkId, PoolId, ProjectId, RouterId, SubnetPoolId
from mooring.model.nouns import Network, OwnSubnet
from mooring.model.own import BareNetwork, SubnetPool
from mooring.model.records import RouterRow


class Own:
    """See mooring.operations.interfaces_of_own.Own."""

    def add_bare(self, network: BareNetwork) -> None:
        raise AssertionError(f"nobody in the simulation makes {network}")

    def bare(self, network: NetworkId) -> BareNetwork | None:
        return None

    def bares(self, project: ProjectId | None) -> Sequence[BareNetwork]:
        return ()

    def delete_bare(self, network: NetworkId) -> bool:
        return False

    def rename(self, network: NetworkId, name: str) -> None:
        raise AssertionError(f"nobody in the simulation calls {network} {name}")

    def add_subnet(self, network: NetworkId, subnet: OwnSubnet) -> None:
        raise AssertionError(f"nobody in the simulation gives {network} {subnet}")

    def change_subnet(self, network: NetworkId, subnet: OwnSubnet, dns: Sequence[IPv4Address]) -> None:
        raise AssertionError(f"nobody in the simulation gives {network} {subnet} or {dns}")

    def set_router(self, network: Network, router: RouterId) -> bool:
        raise AssertionError(f"nobody in the simulation puts {network} behind {router}")

    def close(self, router: RouterId, *, made: bool) -> None:
        raise AssertionError(f"nobody in the simulation makes {router}, {made}")

    def routers(self, project: ProjectId | None) -> Sequence[RouterRow]:
        return ()

    def rename_router(self, router: RouterId, name: str) -> None:
        raise AssertionError(f"nobody in the simulation calls {router} {name}")

    def lead(self, router: RouterId, pool: PoolId | None) -> None:
        raise AssertionError(f"nobody in the simulation leads {router} out by {pool}")

    def unmake(self, router: RouterId) -> bool:
        return False

    def add_pool(self, pool: SubnetPool) -> None:
        raise AssertionError(f"nobody in the simulation makes {pool}")

    def pool(self, pool: SubnetPoolId) -> SubnetPool | None:
        return None

    def pools(self, project: ProjectId | None) -> Sequence[SubnetPool]:
        return ()

    def change_pool(self, pool: SubnetPool) -> None:
        raise AssertionError(f"nobody in the simulation has {pool}")

    def delete_pool(self, pool: SubnetPoolId) -> None:
        pass

    def networks_of_pool(self, pool: SubnetPoolId) -> Sequence[Network]:
        return ()
