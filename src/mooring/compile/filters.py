"""Port filters: as whom a guest may send, and what its security groups admit.

    guest === mpXXXX (group of guests' ports: own4, own6, number) --[ bridge mbNNNN: filtered, zone; address -> slots -> groups ]-- ...

A NIC's facts name its groups by number only: a group that is not there admits nothing.  So no subject waits for another.
"""

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from mooring.compile.boxes import Box, Prefix, disjoint
from mooring.compile.facts import HOST, Fact, Key, Row, Span, Table
from mooring.compile.tables import (
    ASKS,
    BRIDGE_FILTER,
    FILTERED,
    GROUP,
    IN4,
    IN6,
    MEMBERS4,
    MEMBERS6,
    NUMBER,
    OUT4,
    OUT6,
    OWN4,
    OWN6,
    PEERS_IN,
    PEERS_OUT,
    RULESET,
    SLOTS4,
    SLOTS6,
    SLOTS_MANY,
    TARGET6,
    ZONE,
)
from mooring.model.ids import bridge_name, port_name
from mooring.model.subjects import (
    MAX_GROUPS,
    Direction,
    FilterRule,
    GroupIntent,
    NetworkIntent,
    NicFilter,
    NicIntent,
    OperatorBridge,
)

HOST_RULESET = "host"

NOBODY = 0xFFFFFFFE
"""Stands in the first slot of a port without security groups: no group has this number."""

_ANY: Mapping[int, Prefix] = {4: IPv4Network("0.0.0.0/0"), 6: IPv6Network("::/0")}
_UNSPECIFIED4, _UNSPECIFIED6 = IPv4Address(0), IPv6Address(0)
_ALL_PROTOCOLS = Span(0, 255)


def network(subject: NetworkIntent) -> Iterator[Fact]:
    """A network whose ports may be filtered: the rules see what is bridged."""
    if not subject.zone:
        return
    yield _fact(RULESET, HOST_RULESET)
    if isinstance(subject.carrier, OperatorBridge):
        # The host itself may have an address there, and firewall rules of its own: its flows stay in the zone where those know them.
        bridge = subject.carrier.name
    else:
        bridge = bridge_name(subject.id)
        yield _fact(ZONE, bridge, value=(subject.zone,))
    yield _fact(FILTERED, bridge)
    yield _fact(BRIDGE_FILTER, bridge)


def nic(subject: NicIntent) -> Iterator[Fact]:
    """A port of this host: its addresses, and the groups that it is in."""
    if subject.filter is None:
        return
    yield _fact(RULESET, HOST_RULESET)
    port, mac = port_name(subject.id), subject.mac
    bridge = subject.bridge or bridge_name(subject.network)
    four, six = _addresses(subject, subject.filter)
    for address in (*four, _UNSPECIFIED4):
        yield _fact(OWN4, port, mac, address)
    for own in (*six, _UNSPECIFIED6):
        yield _fact(OWN6, port, mac, own)
    for own in six:
        yield _fact(TARGET6, port, mac, own)
    yield _fact(ASKS, port, mac)
    for slot, group in enumerate((subject.filter.groups or (NOBODY,))[:MAX_GROUPS]):
        for address in four:
            yield _fact(SLOTS4[slot], bridge, address, value=(group,))
        for own in six:
            yield _fact(SLOTS6[slot], bridge, own, value=(group,))
        if four:
            yield _fact(SLOTS_MANY[slot], bridge, int(four[0]), value=(group,))
    if four:
        # No other port of the bridge has it, so it will do for a number.
        yield _fact(NUMBER, port, value=(int(four[0]),))


def member(subject: NicIntent) -> Iterator[Fact]:
    """A NIC anywhere: the addresses by which rules know it that speak of its groups."""
    if subject.filter is None or not subject.filter.groups:
        return
    yield _fact(RULESET, HOST_RULESET)
    four, six = _addresses(subject, subject.filter)
    for group in subject.filter.groups:
        for address in four:
            yield _fact(MEMBERS4, group, address)
        for own in six:
            yield _fact(MEMBERS6, group, own)


def group(subject: GroupIntent) -> Iterator[Fact]:
    """A security group: what its rules admit, as boxes."""
    yield _fact(RULESET, HOST_RULESET)
    remotes = {way: _remotes(subject, way) for way in Direction}
    value = tuple(",".join(map(str, remotes[way])) for way in (Direction.INGRESS, Direction.EGRESS))
    yield _fact(GROUP, subject.number, value=value)
    for way, table4, table6, peers in (
        (Direction.INGRESS, IN4, IN6, PEERS_IN),
        (Direction.EGRESS, OUT4, OUT6, PEERS_OUT),
    ):
        for family, table in ((4, table4), (6, table6)):
            rules = [rule for rule in subject.rules if rule.direction is way and rule.family == family]
            for box in disjoint(_box(rule) for rule in rules if rule.remote_group is None):
                yield _fact(table, subject.number, box.protocols, box.ports, box.prefix)
            for remote in remotes[way]:
                for box in disjoint(_box(rule) for rule in rules if rule.remote_group == remote):
                    yield _fact(peers, subject.number, remote, f"ipv{family}", box.protocols, box.ports)


def link_local(mac: str) -> IPv6Address:
    """Return the address that a device of this hardware address gives itself (RFC 4291, appendix A)."""
    first, *rest = bytes.fromhex(mac.replace(":", ""))
    return IPv6Address(bytes([0xFE, 0x80, *bytes(6), first ^ 2, *rest[:2], 0xFF, 0xFE, *rest[2:]]))


def _fact(table: Table, *row: str | int | IPv4Address | IPv6Address | Prefix | Span, value: Row = ()) -> Fact:
    return Fact(Key(table, HOST, row), value)


def _addresses(subject: NicIntent, given: NicFilter) -> tuple[list[IPv4Address], list[IPv6Address]]:
    extra4 = (address for address in given.extra if isinstance(address, IPv4Address))
    extra6 = (address for address in given.extra if isinstance(address, IPv6Address))
    four = dict.fromkeys((*(fixed.address for fixed in subject.addresses), *extra4))
    return [*four], [*dict.fromkeys((link_local(subject.mac), *extra6))]


def _remotes(subject: GroupIntent, way: Direction) -> list[int]:
    groups = {rule.remote_group for rule in subject.rules if rule.direction is way}
    return sorted(number for number in groups if number is not None)


def _box(rule: FilterRule) -> Box:
    protocols = _ALL_PROTOCOLS if rule.protocol is None else Span(rule.protocol, rule.protocol)
    prefix = _ANY[rule.family] if rule.remote_prefix is None else rule.remote_prefix
    return Box(protocols, Span(rule.first, rule.last), prefix)
