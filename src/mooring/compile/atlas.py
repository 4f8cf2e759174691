"""A host state as trace() looks at it: which routers there are, with what devices, addresses, routes and DHCP servers."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from mooring.compile import tables
from mooring.compile.deciding import Elements
from mooring.compile.egress import IGNORING, NO_CARRIER
from mooring.compile.facts import HOST, Fact, HostState, Key, Place, PlaceKind, Row, Stage, Table
from mooring.compile.journey import Address
from mooring.compile.naming import Names
from mooring.compile.rules import Set

_EVERYWHERE = IPv4Network("0.0.0.0/0")
_FORWARDED = frozenset({tables.PF_PAIR, *tables.PF_PAIR_BLOCKS})
_LOOKED_THROUGH = frozenset({tables.PUBLIC, tables.CLASSES, tables.WAYS})


@dataclass(frozen=True, slots=True)
class Route:
    """A way to a prefix: out of a device, the fact that says so, and the rule by which it was found, if it took one."""

    prefix: IPv4Network
    device: str
    fact: Fact
    rule: Fact | None = None

    @property
    def facts(self) -> tuple[Fact, ...]:
        """All that says so."""
        return (self.fact,) if self.rule is None else (self.rule, self.fact)


@dataclass(frozen=True, slots=True, order=True)
class Rule:
    """What comes in by a device, or any if it is empty, and goes to a prefix looks into a table of routes; the lowest priority first.

    With a mask it is only for packets whose mark is `mark` under it.
    """

    priority: int
    device: str
    to: IPv4Network
    table: int
    fact: Fact = field(compare=False)
    mark: int = 0
    mask: int = 0

    def is_for(self, device: str, to: Address, mark: int) -> bool:
        """Say whether a packet asks this rule."""
        return self.device in {"", device} and to in self.to and mark & self.mask == self.mark


@dataclass(frozen=True, slots=True)
class Server:
    """A DHCP server, and the router's device and address that it serves on."""

    network: str
    device: str
    own: IPv4Interface
    fact: Fact


@dataclass(frozen=True, slots=True)
class Guest:
    """Who has an address; `mac` is None for a secondary address, which no DHCP entry names."""

    mac: str | None
    fact: Fact


@dataclass(slots=True)
class Router:
    """One router of the host."""

    place: Place
    state: HostState
    names: Names = field(default_factory=Names)
    uplinks: dict[str, Fact] = field(default_factory=dict[str, Fact])
    inner: dict[str, Fact] = field(default_factory=dict[str, Fact])
    own: dict[Address, Fact] = field(default_factory=dict[Address, Fact])
    routes: list[Route] = field(default_factory=list[Route])
    rules: list[Rule] = field(default_factory=list[Rule])
    tables: dict[int, list[Route]] = field(default_factory=dict[int, list[Route]])
    servers: list[Server] = field(default_factory=list[Server])
    guests: dict[tuple[str, Address], Guest] = field(default_factory=dict[tuple[str, Address], Guest])
    ranges: dict[Set, list[Row]] = field(default_factory=dict[Set, list[Row]])
    ways: dict[int, str] = field(default_factory=dict[int, str])
    """Uplink devices by their numbers."""
    away: dict[str, Fact] = field(default_factory=dict[str, Fact])
    """Uplink devices by which nothing leaves, as the host has found."""
    forwarded: dict[Address, Fact] = field(default_factory=dict[Address, Fact])
    """Private addresses that have forwarded ports, and one fact that says so: the first, by its key."""

    @property
    def elements(self) -> Elements:
        """The router's sets and maps."""
        return Elements(self.state, self.place, self.ranges)

    def fact(self, table: Table, *row: str | int | Address) -> Fact | None:
        """Return one fact of this router, if it holds."""
        return fact_at(self.state, Key(table, self.place, row))

    def setting(self, path: str) -> Fact | None:
        """Return a kernel setting of this router, if it is on."""
        fact = self.fact(tables.SYSCTL, path)
        return fact if fact is not None and fact.value == ("1",) else None

    def routes_to(self, address: Address, device: str = "", mark: int = 0) -> list[Route]:
        """Return the routes with the longest prefix that holds an address: one, none, or several where facts are at odds.

        `device` is the one that the packet came in by, empty for the router's own.
        """
        for rule in sorted(self.rules):
            if rule.is_for(device, address, mark):
                found = _longest(self._there(self.tables.get(rule.table, [])), address)
                if found:
                    return [replace(route, rule=rule.fact) for route in found]
        return _longest(self._there(self.routes), address)

    def _there(self, routes: list[Route]) -> list[Route]:
        """Return the routes that the kernel doesn't pass over at the moment."""
        if not self.away:
            return routes
        return [route for route in routes if not self._is_passed_over(route)]

    def _is_passed_over(self, route: Route) -> bool:
        fact = self.away.get(route.device)
        if fact is None:
            return False
        if fact.value == (NO_CARRIER,):
            return self.setting(IGNORING) is not None
        return route.fact.key.table is tables.ROUTE_IN and not route.prefix.prefixlen

    def server_on(self, device: str) -> Server | None:
        """Return the DHCP server on a device."""
        return next((server for server in self.servers if server.device == device), None)

    def guest_at(self, server: Server, address: Address) -> Guest | None:
        """Return who has an address of a network, as far as facts tell."""
        if guest := self.guests.get((server.network, address)):
            return guest
        # Of an address without a DHCP entry, the translations tell that there is somebody.
        if address not in server.own.network:
            return None
        known = self.fact(tables.HAIR, address) or self.forwarded.get(address)
        return None if known is None else Guest(None, known)

    def is_asked_for(self, device: str, address: Address) -> bool:
        """Say whether the outside looks for an address on the wire of this uplink: it lies in a provider's subnet there."""
        return self.elements.find(Set(tables.PUBLIC), (device, address)) is not None

    def is_broadcast(self, address: Address) -> bool:
        """Say whether an address means everybody on one of this router's wires."""
        return any(
            route.fact.key.table == tables.ADDRESS
            and route.prefix.prefixlen < 31
            and address in {route.prefix.broadcast_address, route.prefix.network_address}
            for route in self.routes
        )

    def take_in(self, key: Key, value: Row) -> None:
        """Learn from one fact."""
        fact = Fact(key, value)
        match key.table, key.row, value:
            case tables.DHCP_HOST, (str(network), str(mac)), (IPv4Address() as address, _):
                self.guests[network, address] = Guest(mac, fact)
            case ((tables.PUBLIC | tables.CLASSES), row, _):
                self.ranges.setdefault(Set(key.table), []).append(row)
            case tables.WAYS, (str(device),), (int() as number,):
                self.ways[number] = device
            case tables.MARKED, (int() as priority, int() as mark, int() as mask), (int() as table,):
                self.rules.append(Rule(priority, "", _EVERYWHERE, table, fact, mark, mask))
            case tables.ADDRESS, (str(device), IPv4Interface() as own), _:
                self.own[own.ip] = fact
                self.routes.append(Route(own.network, device, fact))
            case tables.ROUTE, (IPv4Network() as prefix,), (str(device), _):
                self.routes.append(Route(prefix, device, fact))
            case tables.ROUTE_IN, (int() as table, IPv4Network() as prefix), (str(device), _):
                self.tables.setdefault(table, []).append(Route(prefix, device, fact))
            case tables.RULE, (int() as priority, str(device), IPv4Network() as prefix), (int() as table,):
                self.rules.append(Rule(priority, device, prefix, table, fact))
            case ((tables.UPLINK | tables.INNER | tables.AWAY), (str(device),), _):
                devices = {tables.UPLINK: self.uplinks, tables.INNER: self.inner, tables.AWAY: self.away}
                devices[key.table][device] = fact
            case tables.DHCP_SERVER, (str(network),), (str(device), IPv4Interface() as own, *_):
                self.servers.append(Server(network, device, own, fact))
            case _:
                pass

    def take_in_forwarded(self, fact: Fact) -> None:
        """Learn from a fact that lets flows to forwarded ports pass."""
        match fact.key.row:
            case _, _, _, IPv4Address() as private, *_:
                known = self.forwarded.get(private)
                if known is None or str(fact) < str(known):
                    self.forwarded[private] = fact
            case _:
                pass


def _longest(routes: list[Route], address: Address) -> list[Route]:
    fitting = [route for route in routes if address in route.prefix]
    longest = max((route.prefix.prefixlen for route in fitting), default=0)
    return [route for route in fitting if route.prefix.prefixlen == longest]


def fact_at(state: HostState, key: Key) -> Fact | None:
    """Return the fact with a key, if it holds."""
    value = state.get(key)
    return None if value is None else Fact(key, value)


@dataclass(frozen=True, slots=True)
class Atlas:
    """The routers of a host, and the ports of its bridges, found by one pass over its facts.

    `trunks` are the host's interfaces, and `ports` those of guests, by the bridge.  `ranges` are the elements of security groups, which
    `names` knows by name.
    """

    state: HostState
    routers: dict[Place, Router]
    trunks: dict[str, Fact]
    ports: dict[str, list[Fact]]
    ranges: dict[Set, list[Row]]
    names: Names

    @property
    def elements(self) -> Elements:
        """The sets and maps of the host itself."""
        return Elements(self.state, HOST, self.ranges)

    def servers(self) -> Iterator[tuple[Router, Server]]:
        """Return every DHCP server, with its router."""
        for router in self.routers.values():
            for server in router.servers:
                yield router, server


def atlas(state: HostState, names: Names | None = None) -> Atlas:
    """Look through a host state."""
    found: dict[Place, Router] = {}
    trunks: dict[str, Fact] = {}
    ports: dict[str, list[Fact]] = {}
    ranges: dict[Set, list[Row]] = {}
    for key, value in state.items():
        if key.place.kind is PlaceKind.ROUTER:
            router = found.get(key.place)
            if router is None:
                router = found[key.place] = Router(key.place, state, names or Names())
            # Elements are found by their keys; only sets of prefixes and ranges have to be searched, and uplinks to be found by number.
            if key.table in _FORWARDED:
                router.take_in_forwarded(Fact(key, value))
            elif key.table.stage is not Stage.ELEMENT or key.table in _LOOKED_THROUGH:
                router.take_in(key, value)
        elif key.table == tables.TRUNK:
            trunks[str(value[0])] = Fact(key, value)
        elif key.table == tables.PORT:
            ports.setdefault(str(value[0]), []).append(Fact(key, value))
        elif key.table in tables.OF_GROUPS:
            ranges.setdefault(Set(key.table, key.row[:1]), []).append(key.row)
    return Atlas(state, found, trunks, ports, ranges, names or Names())
