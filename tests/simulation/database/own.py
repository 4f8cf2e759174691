"""What projects make themselves, in the simulated database."""

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

from mooring.model.ids import NetworkId, PoolId, ProjectId, RouterId, SubnetPoolId
from mooring.model.nouns import Network, OwnSubnet
from mooring.model.own import BareNetwork, SubnetPool
from mooring.model.records import RouterRow
from mooring.model.subjects import SubjectKey, SubjectKind
from tests.simulation.database.tables import Tables, check, forget, needed, needs, unique
from tests.simulation.database.topology import Topology


class Own:
    """See mooring.operations.interfaces_of_own.Own."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._topology = Topology(tables)

    def add_bare(self, network: BareNetwork) -> None:
        unique(network.id in self._tables.bares, "bare_networks.id")
        needs(network.project in self._tables.projects)
        self._tables.bares.put(network.id, network)

    def bare(self, network: NetworkId) -> BareNetwork | None:
        return self._tables.bares.get(network)

    def bares(self, project: ProjectId | None) -> Sequence[BareNetwork]:
        return [known for known in self._tables.bares.values() if project in (None, known.project)]

    def delete_bare(self, network: NetworkId) -> bool:
        known = network in self._tables.bares
        if known:
            self._tables.bares.drop(network)
        forget(self._tables, SubjectKey(SubjectKind.NETWORK, network))
        return known

    def rename(self, network: NetworkId, name: str) -> None:
        bare = self._tables.bares.get(network)
        if bare is not None:
            self._tables.bares.put(network, replace(bare, name=name))
        known = self._tables.networks.get(network)
        if known is not None:
            self._tables.networks.put(network, (replace(known[0], name=name), known[1]))

    def add_subnet(self, network: NetworkId, subnet: OwnSubnet) -> None:
        unique(network in self._tables.own_subnets, "own_subnets.network")
        needs(network in self._tables.networks, subnet.pool is None or subnet.pool in self._tables.subnet_pools)
        self._tables.own_subnets.put(network, subnet)

    def change_subnet(self, network: NetworkId, subnet: OwnSubnet, dns: Sequence[IPv4Address]) -> None:
        known = self._tables.own_subnets.get(network)
        if known is not None:
            row, mac = self._tables.networks[network]
            self._tables.own_subnets.put(network, replace(subnet, pool=known.pool))
            self._tables.networks.put(network, (replace(row, dns=tuple(dns)), mac))

    def set_router(self, network: Network, router: RouterId) -> bool:
        known = self._tables.networks.get(network.id)
        if known is None or known[0].router != network.router:
            return False
        needs(router in self._tables.routers)
        self._tables.networks.put(network.id, (replace(known[0], router=router), known[1]))
        return True

    def close(self, router: RouterId, *, made: bool) -> None:
        unique(router in self._tables.own_routers, "own_routers.router")
        needs(router in self._tables.routers)
        self._tables.own_routers.put(router, (made, None))

    def routers(self, project: ProjectId | None) -> Sequence[RouterRow]:
        return [row for row in self._topology.routers() if row.made and project in (None, row.project)]

    def rename_router(self, router: RouterId, name: str) -> None:
        known = self._tables.routers.get(router)
        if known is not None:
            self._tables.routers.put(router, replace(known, name=name))

    def lead(self, router: RouterId, pool: PoolId | None) -> None:
        known = self._tables.own_routers.get(router)
        if known is not None:
            needs(pool is None or pool in self._tables.pools)
            check(known[0] or pool is None, "ck_own_routers_pool")
            self._tables.own_routers.put(router, (known[0], pool))

    def unmake(self, router: RouterId) -> bool:
        known = self._tables.own_routers.get(router)
        if known is None or not known[0]:
            return False
        self._tables.own_routers.put(router, (False, None))
        return True

    def add_pool(self, pool: SubnetPool) -> None:
        unique(pool.id in self._tables.subnet_pools, "subnet_pools.id")
        needs(pool.project is None or pool.project in self._tables.projects)
        self._tables.subnet_pools.put(pool.id, pool)

    def pool(self, pool: SubnetPoolId) -> SubnetPool | None:
        return self._tables.subnet_pools.get(pool)

    def pools(self, project: ProjectId | None) -> Sequence[SubnetPool]:
        return [
            pool for pool in self._tables.subnet_pools.values() if project is None or pool.project in (None, project)
        ]

    def change_pool(self, pool: SubnetPool) -> None:
        known = self._tables.subnet_pools.get(pool.id)
        if known is not None:
            self._tables.subnet_pools.put(pool.id, replace(pool, project=known.project))

    def delete_pool(self, pool: SubnetPoolId) -> None:
        if pool in self._tables.subnet_pools:
            needed(any(subnet.pool == pool for subnet in self._tables.own_subnets.values()))
            self._tables.subnet_pools.drop(pool)

    def networks_of_pool(self, pool: SubnetPoolId) -> Sequence[Network]:
        return [known for known in self._topology.networks(None) if known.own is not None and known.own.pool == pool]

    def prefixes_of_pool(self, pool: SubnetPoolId) -> Sequence[IPv4Network]:
        return [known.cidr for known in self.networks_of_pool(pool)]
