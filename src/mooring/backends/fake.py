"""A back-end in memory, as strict as the kernel: what Linux would refuse, it refuses.

It holds facts, not packets.  Tests look at `state`, change it behind the agent's back with `tamper`, and make it fail with `refuse`
and `tear`.
"""

from collections.abc import Callable, Collection, Mapping
from ipaddress import IPv4Interface, IPv4Network, IPv6Network

from mooring.backends.names import is_device, is_host_name, is_mac, is_word
from mooring.backends.order import Step, steps
from mooring.compile.facts import (
    HOST,
    Atom,
    Delta,
    HostState,
    Key,
    Place,
    PlaceKind,
    Refused,
    Row,
    Span,
    Stage,
    fact_line,
)
from mooring.compile.tables import (
    ADDRESS,
    BRIDGE,
    BRIDGE_FILTER,
    CLASSES,
    DHCP_HOST,
    DHCP_SERVER,
    FDB,
    GROUP,
    INNER,
    NAMESPACE,
    NEIGHBOUR,
    OF_GROUPS,
    PORT,
    PUBLIC,
    ROUTE,
    ROUTE_IN,
    RULESET,
    SYSCTL,
    TRUNK,
    UPLINK,
    VLAN,
    VXLAN,
)
from mooring.model.nouns import AddressRange
from mooring.model.traits import Traits

_PREFIXES = {BRIDGE: "mb", PORT: "mp", INNER: "mi", UPLINK: "mu", VLAN: "mv", VXLAN: "mx", FDB: "mx", NEIGHBOUR: "mx"}
_LOST_DEVICE: Row = ("its device is gone",)


class FakeBackend:
    """Keeps a host's facts in a dictionary, under the kernel's rules.

    `interfaces` are the host's interfaces; None means that every name is one.  `bridges` are the operator's own.
    """

    traits = Traits("fake")

    def __init__(self, interfaces: Collection[str] | None = None, bridges: Collection[str] = ()) -> None:
        self.state: dict[Key, Row] = {}
        self.applied: list[Delta] = []
        self._interfaces = interfaces
        self._bridges = bridges
        self._doubts: list[Callable[[Place], None]] = []
        self._refusals: dict[int, str] = {}
        self._tears: dict[int, int] = {}

    def read(self, place: Place | None = None) -> HostState:
        return {key: value for key, value in self.state.items() if place is None or key.place == place}

    def apply(self, delta: Delta) -> None:
        turn = len(self.applied)
        self.applied.append(delta)
        if reason := self._refusals.pop(turn, None):
            raise Refused(reason)
        left = self._tears.pop(turn, None)
        for done, step in enumerate(steps(delta)):
            if done == left:
                raise Refused(f"torn after {left} steps")
            self._do(step, delta)

    def watch(self, doubt: Callable[[Place], None]) -> None:
        self._doubts.append(doubt)

    def close(self) -> None:
        self._doubts.clear()

    def refuse(self, after: int = 0, reason: str = "refused as asked") -> None:
        """Refuse the next apply, or the one that comes `after` that many more; nothing of it is done."""
        self._refusals[len(self.applied) + after] = reason

    def tear(self, done: int, after: int = 0) -> None:
        """Stop the next apply, or the one that comes `after` that many more, when `done` of its steps are made."""
        self._tears[len(self.applied) + after] = done

    def tamper(self, put: Mapping[Key, Row] | None = None, drop: Collection[Key] = (), *, silent: bool = False) -> None:
        """Change facts as a stranger would, with no rule kept; `silent` keeps it from those who watch."""
        for key in drop:
            del self.state[key]
        self.state.update(put or {})
        if not silent:
            self.doubt(*{key.place for key in (*drop, *(put or {}))})

    def doubt(self, *places: Place) -> None:
        """Tell those who watch that these places may have changed."""
        for place in sorted(places):
            for tell in self._doubts:
                tell(place)

    def _do(self, step: Step, delta: Delta) -> None:
        # A step is all or nothing, as a transaction of nftables is; the real links are not, which `tear` is for.
        before = dict(self.state)
        try:
            # In the order of their lines: which of several is refused first, and named, must not depend on how a process hashes texts.
            for key, value in sorted(step.drop.items(), key=lambda fact: fact_line(*fact)):
                self._drop(key, value, delta)
            for key, value in sorted(step.put.items(), key=lambda fact: fact_line(*fact)):
                self._put(key, value)
        except Refused:
            self.state = before
            raise

    def _drop(self, key: Key, value: Row, delta: Delta) -> None:
        if key not in self.state:
            if self._went_along(key, delta):
                return
            raise Refused(f"{fact_line(key, value)}: no such fact")
        if self.state[key] != value and not (key.table == DHCP_SERVER and self.state[key] == _LOST_DEVICE):
            raise Refused(f"{fact_line(key, value)}: its value is {self.state[key]}")
        if key in delta.put:  # changed in place: what hangs on it stays
            del self.state[key]
            return
        for other in [other for other in self.state if _hangs_on(other, self.state[other], key)]:
            if other.table == DHCP_SERVER and key.table != NAMESPACE:
                self.state[other] = _LOST_DEVICE
            else:
                del self.state[other]
        del self.state[key]

    def _went_along(self, key: Key, delta: Delta) -> bool:
        return any(
            _hangs_on(key, delta.drop[key], other) for other in delta.drop if other not in delta.put and other != key
        )

    def _put(self, key: Key, value: Row) -> None:
        text = fact_line(key, value)
        if self.state.get(key, value) != value:
            raise Refused(f"{text}: exists, as {self.state[key]}")
        row = (*key.row, *value)
        if [type(part) for part in row] != [*key.table.key, *key.table.value]:
            raise Refused(f"{text}: not of the types of {key.table.name}")
        if not all(is_word(word) for part in row if isinstance(part, str) for word in part.split(",") if word):
            raise Refused(f"{text}: not a word")
        if reason := self._why_not(key, value):
            raise Refused(f"{text}: {reason}")
        self.state[key] = value

    def _why_not(self, key: Key, value: Row) -> str | None:
        """Return why the kernel would not have this fact."""
        place, table = key.place, key.table
        if table in _PREFIXES and not is_device(str(key.row[0]), _PREFIXES[table]):
            return "not a name of ours"
        if place.kind is PlaceKind.ROUTER and table != NAMESPACE and Key(NAMESPACE, place, ()) not in self.state:
            return "no such namespace"
        if table.stage is Stage.ELEMENT or table == GROUP:
            return self._why_not_element(key)
        match table.name:
            case BRIDGE_FILTER.name:
                return self._why_no_bridge(key.row[0], or_operators=True)
            case UPLINK.name | INNER.name | PORT.name:
                return self._why_no_link(key, value)
            case TRUNK.name | VLAN.name | VXLAN.name:
                return self._why_no_carrier(key, value)
            case FDB.name | NEIGHBOUR.name:
                return self._why_not_told(key, value)
            case ADDRESS.name | DHCP_SERVER.name:
                return self._why_nowhere(key, value)
            case ROUTE.name | ROUTE_IN.name:
                return self._why_no_route(key, value)
            case SYSCTL.name:
                return self._why_no_setting(key)
            case DHCP_HOST.name:
                return self._why_no_entry(key, value)
            case _:
                return None

    def _why_nowhere(self, key: Key, value: Row) -> str | None:
        """Return why there can be no address, or no server that listens on one."""
        device = str(key.row[0] if key.table == ADDRESS else value[0])
        if device not in self._devices(key.place):
            return f"no device {device}"
        if key.table == DHCP_SERVER and Key(ADDRESS, key.place, (device, value[1])) not in self.state:
            return f"no address {value[1]} on {device}"
        return None

    def _why_no_setting(self, key: Key) -> str | None:
        match str(key.row[0]).split("/"):
            case [_, "conf" | "neigh", device, _] if device not in {"all", "default", "lo", *self._devices(key.place)}:
                return f"no device {device}"
            case _:
                return None

    def _why_no_entry(self, key: Key, value: Row) -> str | None:
        network, mac, name = str(key.row[0]), str(key.row[1]), str(value[1])
        if not is_mac(mac) or (name and not is_host_name(name)):
            return "not a MAC address and a host name"
        return None if Key(DHCP_SERVER, key.place, (network,)) in self.state else f"no DHCP server of network {network}"

    def _why_not_element(self, key: Key) -> str | None:
        if not any(other.table == RULESET and other.place == key.place for other in self.state):
            return "no ruleset"
        if key.table in OF_GROUPS:
            return self._why_no_box(key)
        if key.table in (PUBLIC, CLASSES):
            for other in self.state:
                is_another = other.table == key.table and other.place == key.place and other != key
                if is_another and all(map(_overlap, other.row, key.row)):
                    return f"interval overlaps with {other.row[1]}"
        return None

    def _why_no_box(self, key: Key) -> str | None:
        """Return why a rule can't be in its group's set, which takes nothing that overlaps with what is there."""
        if Key(GROUP, key.place, key.row[:1]) not in self.state:
            return f"no security group {key.row[0]}"
        for other in self.state:
            if other.table == key.table and other != key and all(map(_overlap, other.row, key.row)):
                return f"overlaps with {fact_line(other, ())}"
        return None

    def _why_no_link(self, key: Key, value: Row) -> str | None:
        if key.table == UPLINK:
            interface, mac = value
            if reason := self._why_no_interface(interface):
                return reason
            same = any(
                other.table == UPLINK and self.state[other] == (interface, mac) and other != key for other in self.state
            )
            return f"{mac} is in use on {interface}" if same else None
        bridge, peer, mac = (value[1], value[0], "") if key.table == INNER else value
        if reason := self._why_no_bridge(bridge, or_operators=True):
            return reason
        if mac and Key(BRIDGE_FILTER, HOST, (bridge,)) not in self.state:
            return f"what {bridge} forwards is not filtered"
        taken = {
            self.state[other][0 if other.table == INNER else 1]
            for other in self.state
            if other.table in (INNER, PORT) and other != key
        }
        return f"name {peer} is taken" if peer in taken else None

    def _why_no_carrier(self, key: Key, value: Row) -> str | None:
        """Return why a carrier can't be: nothing to stand on, or what tells it from others is in use."""
        match key.table.name, value:
            case TRUNK.name, (bridge,):
                return self._why_no_bridge(bridge) or self._why_no_interface(key.row[0])
            case VLAN.name, (interface, tag, bridge, _):
                mark: Row = (interface, tag)
                reason = self._why_no_bridge(bridge) or self._why_no_interface(interface)
            case _, (vni, _, bridge, _):
                mark, reason = (vni,), self._why_no_bridge(bridge)
            case _:
                return "not a carrier"
        same = [
            other.row[0]
            for other in self.state
            if other.table == key.table and other != key and self.state[other][: len(mark)] == mark
        ]
        return reason or (f"{' '.join(map(str, mark))} is in use by {same[0]}" if same else None)

    def _why_not_told(self, key: Key, value: Row) -> str | None:
        device, mac = key.row[0], key.row[1] if key.table == FDB else value[0]
        if Key(VXLAN, key.place, (device,)) not in self.state:
            return f"no device {device}"
        return None if is_mac(str(mac)) else f"{mac} is not a MAC address"

    def _why_no_interface(self, name: Atom) -> str | None:
        known = self._interfaces is None or name in self._interfaces
        return None if known else f"no interface {name} on the host"

    def _why_no_bridge(self, name: Atom, *, or_operators: bool = False) -> str | None:
        is_there = Key(BRIDGE, HOST, (name,)) in self.state or (or_operators and name in self._bridges)
        return None if is_there else f"no bridge {name}"

    def _why_no_route(self, key: Key, value: Row) -> str | None:
        device, hop = (str(part) for part in value)
        if device != "lo" and device not in self._devices(key.place):
            return f"no device {device}"
        if not hop:
            return None
        near = [
            other.row[1]
            for other in self.state
            if other.table == ADDRESS and other.place == key.place and other.row[0] == device
        ]
        if not any(isinstance(address, IPv4Interface) and IPv4Interface(hop).ip in address.network for address in near):
            return f"next hop {hop} is not near {device}"
        return None

    def _devices(self, place: Place) -> set[str]:
        return {str(key.row[0]) for key in self.state if key.table in (INNER, UPLINK) and key.place == place}


def _hangs_on(key: Key, value: Row, base: Key) -> bool:
    """Say whether a fact cannot be without another: in a namespace, on a device, of a ruleset, of a server."""
    if key == base or key.place != base.place:
        return False
    if base.table == NAMESPACE:
        return True
    if base.table == RULESET:
        return key.table.stage is Stage.ELEMENT or key.table == GROUP
    if base.table == GROUP:
        return key.table in OF_GROUPS and key.row[0] == base.row[0]
    if base.table in (INNER, UPLINK):
        device = base.row[0]
        if key.table == ADDRESS:
            return key.row[0] == device
        if key.table in (ROUTE, ROUTE_IN, DHCP_SERVER):
            return value[:1] == (device,)
        return key.table == SYSCTL and f"/{device}/" in str(key.row[0])
    if base.table == VXLAN:
        return key.table in (FDB, NEIGHBOUR) and key.row[0] == base.row[0]
    if base.table == BRIDGE:  # the interface is let go of
        return (key.table == TRUNK and value == base.row) or (key.table == BRIDGE_FILTER and key.row == base.row)
    return base.table == DHCP_SERVER and key.table == DHCP_HOST and key.row[0] == base.row[0]


def _overlap(one: Atom, other: Atom) -> bool:
    if isinstance(one, AddressRange) and isinstance(other, AddressRange):
        return one.first <= other.last and other.first <= one.last
    if isinstance(one, Span) and isinstance(other, Span):
        return one.first <= other.last and other.first <= one.last
    if isinstance(one, IPv4Network | IPv6Network) and isinstance(other, IPv4Network | IPv6Network):
        return one.overlaps(other)
    return one == other
