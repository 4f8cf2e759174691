"""Hosts, uplinks, pools, routers and networks in the simulated database."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from mooring.model.ids import AddressId, HostId, NetworkId, NicId, PoolId, ProjectId, RouterId, UplinkId
from mooring.model.nouns import (
    AddressKind,
    AddressPool,
    AddressRange,
    Host,
    Network,
    NetworkKind,
    PoolUsage,
    Uplink,
    UplinkAway,
)
from mooring.model.records import AddressRow, RouterRow
from mooring.model.subjects import SubjectKey, SubjectKind
from tests.simulation.database.addresses import Addresses
from tests.simulation.database.egress import forget_preferences, spare_preferred
from tests.simulation.database.pools import Pools
from tests.simulation.database.tables import Tables, check, forget, needed, needs, unique


class Topology:
    """See mooring.operations.interfaces.Topology."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def add_host(self, host: Host) -> None:
        unique(host.id in self._tables.hosts, "hosts.id")
        unique(self.host_by_name(host.name) is not None, "hosts.name")
        self._tables.hosts.put(host.id, host)

    def save_host(self, host: Host) -> None:
        known = self._tables.hosts.get(host.id)
        if known is not None:
            self._tables.hosts.put(host.id, replace(host, name=known.name))

    def heard_of(self, hosts: Collection[HostId], now: datetime) -> None:
        for host in sorted(hosts):
            known = self._tables.hosts.get(host)
            if known is not None:
                self._tables.hosts.put(host, replace(known, last_seen=now))

    def host(self, host: HostId) -> Host | None:
        return self._tables.hosts.get(host)

    def host_by_name(self, name: str) -> Host | None:
        return next((host for host in self._tables.hosts.values() if host.name == name), None)

    def hosts(self) -> Sequence[Host]:
        return list(self._tables.hosts.values())

    def some_hosts(self, hosts: Collection[HostId]) -> Sequence[Host]:
        return [host for host in self._tables.hosts.values() if host.id in hosts]

    def add_uplink(self, uplink: Uplink) -> None:
        unique(uplink.id in self._tables.uplinks, "uplinks.id")
        unique(self.uplink_by_name(uplink.name) is not None, "uplinks.name")
        self._tables.uplinks.put(uplink.id, uplink)
        self._tables.uplink_numbers.put(uplink.id, 1 + max(self._tables.uplink_numbers.values(), default=0))

    def uplink_by_name(self, name: str) -> Uplink | None:
        return next((uplink for uplink in self._tables.uplinks.values() if uplink.name == name), None)

    def uplinks(self) -> Sequence[Uplink]:
        return list(self._tables.uplinks.values())

    def set_misses(self, uplink: UplinkId, misses: int) -> None:
        known = self._tables.uplinks.get(uplink)
        if known is not None:
            self._tables.uplinks.put(uplink, replace(known, misses=misses))

    def away(self, host: HostId) -> Sequence[UplinkAway]:
        return [found for (of, _), found in self._tables.uplinks_away.items() if of == host]

    def set_away(self, host: HostId, away: Mapping[UplinkId, str], now: datetime) -> None:
        for found in self.away(host):
            if away.get(found.uplink.id) != found.reason:
                self._tables.uplinks_away.drop((host, found.uplink.id))
        for uplink, reason in away.items():
            if (host, uplink) not in self._tables.uplinks_away:
                known = self._tables.uplinks.get(uplink)
                assert known is not None
                self._tables.uplinks_away.put((host, uplink), UplinkAway(known, reason, now))

    def delete_uplink(self, uplink: UplinkId) -> None:
        needed(any(pool.uplink == uplink for pool in self._tables.pools.values()))
        needed(any(way == uplink for _, way in self._tables.router_uplinks.keys()))  # noqa: SIM118
        for found in [key for key in self._tables.uplinks_away.keys() if key[1] == uplink]:  # noqa: SIM118
            self._tables.uplinks_away.drop(found)
        if uplink in self._tables.uplinks:
            self._tables.uplinks.drop(uplink)
            self._tables.uplink_numbers.drop(uplink)

    def add_pool(self, pool: AddressPool) -> None:
        if not pool.ranges:
            raise ValueError("a pool has at least one range")
        unique(pool.id in self._tables.pools, "pools.id")
        unique(self.pool_by_name(pool.name) is not None, "pools.name")
        needs(pool.uplink in self._tables.uplinks)
        firsts = [part.first for part in pool.ranges]
        unique(len(set(firsts)) != len(firsts), "pool_ranges.pool, pool_ranges.first")
        check(all(part.first <= part.last for part in pool.ranges), "ck_pool_ranges_order")
        ordered = tuple(sorted(pool.ranges, key=lambda part: part.first))
        self._tables.pools.put(pool.id, replace(pool, ranges=ordered))

    def set_ranges(self, pool: PoolId, ranges: Sequence[AddressRange]) -> None:
        if not ranges:
            raise ValueError("a pool has at least one range")
        known = self._tables.pools.get(pool)
        needs(known is not None)
        if known is not None:
            ordered = tuple(sorted(ranges, key=lambda part: part.first))
            self._tables.pools.put(pool, replace(known, ranges=ordered))

    def pool(self, pool: PoolId) -> AddressPool | None:
        return self._tables.pools.get(pool)

    def pool_by_name(self, name: str) -> AddressPool | None:
        return next((pool for pool in self._tables.pools.values() if pool.name == name), None)

    def pools(self) -> Sequence[AddressPool]:
        return list(self._tables.pools.values())

    def pool_usage(self, pool: PoolId) -> PoolUsage | None:
        known = self.pool(pool)
        if known is None:
            return None
        rows = [row for row in self._tables.addresses.values() if row.pool == pool]
        return PoolUsage(
            pool=known,
            total=sum(len(part) for part in known.ranges),
            allocated=sum(row.kind is AddressKind.FLOATING and not row.releasing for row in rows),
            associated=sum(of == pool for _, of in self._tables.associations.values()),
            releasing=sum(row.releasing for row in rows),
            routers=sum(row.kind is not AddressKind.FLOATING and not row.releasing for row in rows),
        )

    def delete_pool(self, pool: PoolId) -> None:
        if pool not in self._tables.pools:
            return
        needed(any(row.pool == pool for row in self._tables.addresses.values()))
        needed(any(led == pool for _, led in self._tables.own_routers.values()))
        spare_preferred(self._tables, pool=pool)
        self._tables.pools.drop(pool)
        Pools(self._tables).forget(pool=pool)
        for known_day in [each for each in self._tables.pool_days.keys() if each[0] == pool]:  # noqa: SIM118
            self._tables.pool_days.drop(known_day)
        if pool in self._tables.cursors:
            self._tables.cursors.drop(pool)

    def add_router(self, router: RouterRow) -> None:
        unique(router.id in self._tables.routers, "routers.id")
        shared = [known.name for known in self._tables.routers.values() if not known.private]
        unique(not router.private and router.name in shared, "routers.name")
        needs(router.project is None or router.project in self._tables.projects)
        needs(router.host is None or router.host in self._tables.hosts)
        self._tables.routers.put(router.id, router)

    def router(self, router: RouterId) -> RouterRow | None:
        known = self._tables.routers.get(router)
        return self._shown(known) if known else None

    def _shown(self, router: RouterRow) -> RouterRow:
        own = self._tables.own_routers.get(router.id)
        return replace(router, closed=True, made=own[0], pool=own[1]) if own else router

    def shared_router(self) -> RouterRow | None:
        return next((router for router in self.routers() if not router.private), None)

    def routers(self) -> Sequence[RouterRow]:
        return [self._shown(router) for router in self._tables.routers.values()]

    def routers_per_host(self) -> Mapping[HostId, int]:
        return Counter(router.host for router in self._tables.routers.values() if router.host is not None)

    def delete_router(self, router: RouterId) -> None:
        if router not in self._tables.routers:
            return
        needed(any(of == router for (of, _), _ in self._tables.router_uplinks.items()))
        needed(any(network.router == router for network, _ in self._tables.networks.values()))
        self._tables.routers.drop(router)
        if router in self._tables.own_routers:
            self._tables.own_routers.drop(router)
        forget(self._tables, SubjectKey(SubjectKind.ROUTER, router))

    def claim_router(self, router: RouterId, host: HostId) -> bool:
        known = self._tables.routers.get(router)
        if known is None or known.host is not None:
            return False
        needs(host in self._tables.hosts)
        self._tables.routers.put(router, replace(known, host=host))
        return True

    def add_router_uplink(self, router: RouterId, uplink: UplinkId, mac: str, address: AddressId) -> None:
        unique(mac in self._tables.macs, "macs.mac")
        unique((router, uplink) in self._tables.router_uplinks, "router_uplinks.router, router_uplinks.uplink")
        unique(any(own == address for _, own in self._tables.router_uplinks.values()), "router_uplinks.address")
        needs(router in self._tables.routers, uplink in self._tables.uplinks, address in self._tables.addresses)
        self._tables.macs.put(mac, None)
        self._tables.router_uplinks.put((router, uplink), (mac, address))

    def router_has_uplink(self, router: RouterId, uplink: UplinkId) -> bool:
        return (router, uplink) in self._tables.router_uplinks

    def routers_on(self, uplink: UplinkId) -> Sequence[RouterId]:
        return [router for router in self._tables.routers.keys() if self.router_has_uplink(router, uplink)]  # noqa: SIM118

    def others_on(self, uplink: UplinkId, router: RouterId) -> Sequence[RouterId]:
        return [other for other, way in self._tables.router_uplinks.keys() if way == uplink and other != router][:2]  # noqa: SIM118

    def router_address(self, router: RouterId, uplink: UplinkId) -> AddressRow | None:
        known = self._tables.router_uplinks.get((router, uplink))
        return Addresses(self._tables).get(known[1]) if known else None

    def remove_router_uplink(self, router: RouterId, uplink: UplinkId) -> None:
        known = self._tables.router_uplinks.get((router, uplink))
        if known is not None:
            self._tables.router_uplinks.drop((router, uplink))
            self._tables.macs.drop(known[0])

    def add_network(self, network: Network, mac: str) -> None:
        unique(mac in self._tables.macs, "macs.mac")
        unique(network.id in self._tables.networks, "networks.id")
        taken = {(other.kind, other.segment) for other, _ in self._tables.networks.values()}
        unique(
            network.segment is not None and (network.kind, network.segment) in taken, "networks.kind, networks.segment"
        )
        needs(network.project is None or network.project in self._tables.projects)
        needs(network.router is None or network.router in self._tables.routers)
        self._tables.macs.put(mac, None)
        self._tables.networks.put(network.id, (network, mac))

    def give_zone(self, network: NetworkId) -> bool:
        if network in self._tables.zones.values():
            return False
        after = (self._tables.counters.get("zones") or 0) + 1
        ring = (*range(after, 65536), *range(1, after))
        zone = next(number for number in ring if number not in self._tables.zones)
        self._tables.zones.put(zone, network)
        self._tables.counters.put("zones", zone)
        return True

    def network(self, network: NetworkId) -> Network | None:
        known = self._tables.networks.get(network)
        return self._with_own(*known) if known else None

    def _with_own(self, network: Network, mac: str) -> Network:
        own = self._tables.own_subnets.get(network.id)
        return replace(network, own=replace(own, mac=mac)) if own else network

    def free_segment(self, kind: NetworkKind, first: int, last: int) -> int | None:
        taken = {network.segment for network, _ in self._tables.networks.values() if network.kind is kind}
        return next((number for number in range(first, last + 1) if number not in taken), None)

    def networks(self, project: ProjectId | None) -> Sequence[Network]:
        every = [self._with_own(*known) for known in self._tables.networks.values()]
        return every if project is None else [network for network in every if network.project in (None, project)]

    def networks_of_router(self, router: RouterId) -> Sequence[Network]:
        return [network for network in self.networks(None) if network.router == router]

    def delete_network(self, network: NetworkId) -> None:
        known = self._tables.networks.get(network)
        if known is None:
            return
        needed(any(nic.network == network for nic in self._tables.nics.values()))
        needed(any(row.network == network for row in self._tables.addresses.values()))
        needed(any(of == network for of, _ in self._tables.claims.keys()))  # noqa: SIM118
        forget_preferences(self._tables, network)
        if network in self._tables.own_subnets:
            self._tables.own_subnets.drop(network)
        self._tables.networks.drop(network)
        self._tables.macs.drop(known[1])
        if network in self._tables.cursors:
            self._tables.cursors.drop(network)
        forget(self._tables, SubjectKey(SubjectKind.NETWORK, network))

    def nics_of_network(self, network: NetworkId) -> Sequence[NicId]:
        return [nic.id for nic in self._tables.nics.values() if nic.network == network]

    def nics_of_router(self, router: RouterId) -> Sequence[NicId]:
        behind = {network.id for network in self.networks_of_router(router)}
        return [nic.id for nic in self._tables.nics.values() if nic.network in behind]
