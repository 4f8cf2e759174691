"""Subjects from the rows of the simulated database: one at a time and in plain loops, where mooring.store.subjects reads in bulk."""

from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    collapse_addresses,
    ip_address,
    summarize_address_range,
)

from mooring.model.ids import AddressId, GroupId, InstanceId, NetworkId, NicId, PoolId, RouterId, UplinkId
from mooring.model.nouns import AddressPool, Host, NetworkKind
from mooring.model.records import AddressRow
from mooring.model.subjects import (
    GroupIntent,
    GuestNic,
    InjectedAddress,
    InstanceIntent,
    NetworkIntent,
    NicAddress,
    NicFilter,
    NicIntent,
    PortForwarding,
    PublicAddress,
    RouterIntent,
    RouterPort,
    RouterUplink,
    Subject,
    SubjectKey,
    SubjectKind,
    TunnelPeer,
)
from mooring.policy.egress import Known
from mooring.policy.managers import carrier, manager_of
from mooring.policy.rules import filter_rule
from mooring.store.egress import uplink_number
from mooring.store.hostnames import hostname
from mooring.store.subjects import LEASE
from tests.simulation.database.addresses import Addresses
from tests.simulation.database.egress import Preferences
from tests.simulation.database.tables import Tables, owned
from tests.simulation.database.topology import Topology


class Subjects:
    """What a host is told of its subjects."""

    def __init__(self, tables: Tables, at: Host | None) -> None:
        self._tables = tables
        self._at = at
        self._addresses = Addresses(tables)

    def load(self, key: SubjectKey, generation: int) -> Subject | None:
        """Return a subject in a generation; None if there are no rows of it."""
        match key.kind:
            case SubjectKind.NETWORK:
                return self._network(NetworkId(key.id), generation)
            case SubjectKind.ROUTER:
                return self._router(RouterId(key.id), generation)
            case SubjectKind.NIC:
                return self._nic(NicId(key.id), generation)
            case SubjectKind.INSTANCE:
                return self._instance(InstanceId(key.id), generation)
            case SubjectKind.GROUP:
                return self._group(GroupId(key.id), generation)

    def _network(self, network: NetworkId, generation: int) -> NetworkIntent | None:
        known = self._tables.networks.get(network)
        if known is None:
            return None
        row, mac = known
        router = self._tables.routers.get(row.router) if row.router else None
        gateway = self._tables.hosts.get(router.host) if router and router.host else None
        peer = None
        if self._at is not None and gateway is not None and gateway.id != self._at.id and gateway.endpoint is not None:
            peer = TunnelPeer(mac, row.gateway, gateway.endpoint)
        joined = carrier(row.kind, row.segment, row.bridge, self._at, peer) if self._at is not None else None
        zone = next((zone for zone, of in self._tables.zones.items() if of == network), 0)
        return NetworkIntent(network, generation, row.mtu, joined, zone)

    def _router(self, router: RouterId, generation: int) -> RouterIntent | None:
        if router not in self._tables.routers:
            return None
        networks = sorted(
            ((row, mac) for row, mac in self._tables.networks.values() if row.router == router),
            key=lambda known: known[0].id,
        )
        ports = tuple(
            RouterPort(row.id, mac, IPv4Interface((row.gateway, row.cidr.prefixlen)), row.dns, row.mtu, LEASE)
            for row, mac in networks
        )
        joined = router in self._tables.own_routers
        return RouterIntent(router, generation, ports, tuple(self._ways(router, ports)), joined=joined)

    def _ways(self, router: RouterId, ports: tuple[RouterPort, ...]) -> list[RouterUplink]:
        ways: list[RouterUplink] = []
        for uplink, (mac, address) in self._uplinks(router):
            pools = [pool for pool in self._tables.pools.values() if pool.uplink == uplink]
            own = self._tables.addresses[address].address
            home = next(pool for pool in pools if own in pool.cidr)
            pools = [pool for pool in pools if not any(pool.cidr.overlaps(port.address.network) for port in ports)]
            ways.append(
                RouterUplink(
                    uplink=uplink,
                    interface=self._tables.uplinks[uplink].interface,
                    mac=mac,
                    address=IPv4Interface((own, home.cidr.prefixlen)),
                    next_hop=home.gateway,
                    prefixes=tuple(sorted({pool.cidr for pool in pools})),
                    ranges=_ranges(pools),
                    alone=not Topology(self._tables).others_on(uplink, router),
                    number=uplink_number(self._tables.uplink_numbers[uplink]),
                    misses=self._tables.uplinks[uplink].misses,
                )
            )
        return ways

    def _uplinks(self, router: RouterId) -> list[tuple[UplinkId, tuple[str, AddressId]]]:
        """Return by which uplinks a router goes out: where its project said by which, by no other that it has an address at."""
        found = [(uplink, own) for (of, uplink), own in self._tables.router_uplinks.items() if of == router]
        if router in self._tables.own_routers:
            _, led = self._tables.own_routers[router]
            chosen = self._tables.pools[led].uplink if led is not None else None
            found = [way for way in found if way[0] == chosen]
        public = {pool.uplink for pool in self._tables.pools.values() if pool.public}
        return sorted(found, key=lambda way: (way[0] not in public, self._tables.uplinks[way[0]].name))

    def _public(self, row: AddressRow) -> PublicAddress:
        return PublicAddress(row.address, self._tables.pools[row.pool].uplink)  # type: ignore[index]

    def _held_elsewhere(self, floating: AddressId, nic: NicId) -> bool:
        at = self._at.id if self._at is not None else None
        return any(
            of != nic and self._addresses.gateway_behind(of, since, at)
            for of, since in self._addresses.lingers(floating)
        )

    def _nic(self, nic: NicId, generation: int) -> NicIntent | None:
        row = self._tables.nics.get(nic)
        if row is None:
            return None
        network, _ = self._tables.networks[row.network]
        instance = self._tables.instances[owned(row)]
        host = self._tables.hosts.get(instance.host) if instance.host else None
        ways = self._uplinks(network.router) if network.router else []
        shared = tuple(PublicAddress(self._tables.addresses[address].address, way) for way, (_, address) in ways)
        by_uplink = {public.uplink: public.address for public in reversed(shared)}
        own: list[NicAddress] = []
        for fixed in self._addresses.fixed_of_nic(nic):
            if fixed.releasing:
                continue
            public = [
                self._tables.addresses[one]
                for one in sorted(self._addresses.floating_of_fixed(fixed.id), key=self._addresses.position)
                if not self._held_elsewhere(one, nic)
            ]
            of_pools: dict[PoolId, IPv4Address] = {}
            for each in public:
                of_pools.setdefault(each.pool, each.address)  # type: ignore[arg-type]
            egress = Preferences(self._tables).egress(nic, fixed.id, Known(of_pools, by_uplink))
            floating = tuple(self._public(each) for each in public)
            own.append(NicAddress(fixed.address, floating, egress, self._forwards(fixed.id, nic)))
        return NicIntent(
            id=nic,
            generation=generation,
            network=network.id,
            router=network.router,
            mac=row.mac,
            hostname=hostname(instance.row.name, own[0].address if own else None),
            addresses=tuple(own),
            shared=shared,
            bridge=network.bridge,
            endpoint=host.endpoint if host and network.kind is NetworkKind.VXLAN else None,
            filter=NicFilter(tuple(self._numbers(nic)), tuple(self._extra(nic))) if row.filtered else None,
        )

    def _forwards(self, fixed: AddressId, nic: NicId) -> tuple[PortForwarding, ...]:
        mine = [known for known, to in self._tables.forwardings.values() if to == fixed]
        return tuple(
            sorted(
                PortForwarding(
                    self._public(self._tables.addresses[known.floating]),
                    known.protocol,
                    known.first,
                    known.last,
                    known.to,
                )
                for known in mine
                if not self._held_elsewhere(known.floating, nic)
            )
        )

    def _extra(self, nic: NicId) -> list[IPv4Address | IPv6Address]:
        rows = self._tables.allowances.items()
        mine = [ip_address(address) for (of, address), row in rows if of == nic and row.leaving is None]
        return sorted(mine, key=lambda address: (address.version, int(address)))

    def _numbers(self, nic: NicId) -> list[int]:
        mine = [group for of, group in self._tables.nic_groups.keys() if of == nic]  # noqa: SIM118 - a Table is no dict
        return sorted(self._tables.groups[group].number for group in mine)

    def _group(self, group: GroupId, generation: int) -> GroupIntent | None:
        known = self._tables.groups.get(group)
        if known is None:
            return None
        rules = [
            filter_rule(rule, self._tables.groups[rule.remote].number if rule.remote is not None else None)
            for rule in self._tables.rules.values()
            if rule.group == group
        ]
        return GroupIntent(group, generation, known.number, tuple(rules))

    def _instance(self, instance: InstanceId, generation: int) -> InstanceIntent | None:
        known = self._tables.instances.get(instance)
        if known is None:
            return None
        mine = sorted(
            (nic for nic in self._tables.nics.values() if nic.instance == instance and not nic.leaving),
            key=lambda nic: nic.position,
        )
        nics: list[GuestNic] = []
        for nic in mine:
            network, _ = self._tables.networks[nic.network]
            fixed = [row for row in self._addresses.fixed_of_nic(nic.id) if not row.releasing]
            injected = None
            if manager_of(network.kind).injected and fixed:
                injected = InjectedAddress(
                    address=IPv4Interface((fixed[0].address, network.cidr.prefixlen)),
                    gateway=network.gateway,
                    dns=network.dns,
                    hostname=hostname(known.row.name, fixed[0].address),
                )
            nics.append(GuestNic(nic.id, network.id, nic.mac, network.mtu, injected))
        row, runs = known.row, known.power.runs
        return InstanceIntent(instance, generation, row.name, row.image, tuple(nics), runs, known.boots)


def _ranges(pools: list[AddressPool]) -> tuple[IPv4Network, ...]:
    parts = [part for pool in pools for part in pool.ranges]
    return tuple(
        collapse_addresses(prefix for part in parts for prefix in summarize_address_range(part.first, part.last))
    )
