"""Links, addresses, routes and kernel settings: how guests, bridges, routers and uplinks hang together.

guest eth0 === mpXXXX (host) --[ bridge mbNNNN ]-- mhNNNN (host) === miNNNN (router) ... muUUUU (router) --> interface of the host

How a bridge is joined to those of other hosts is in `carriers`.
"""

from collections.abc import Iterator
from ipaddress import IPv4Network

from mooring.compile.facts import HOST, Fact, Key, Place, PlaceKind, Row, Table
from mooring.compile.tables import ADDRESS, INNER, NAMESPACE, PORT, ROUTE, ROUTE_IN, RULE, RULESET, SYSCTL, UPLINK
from mooring.model.ids import RouterId, bridge_name, guest_end_name, inner_name, plug_name, port_name, uplink_name
from mooring.model.subjects import NicIntent, RouterIntent, RouterUplink

_EVERYWHERE = IPv4Network("0.0.0.0/0")

OWNED_PRIORITY, OWNED_TABLE = 90, 900
"""The rule and the table of routes that say which addresses of a shared uplink are ours to answer for."""

ROUTER_SETTINGS = (
    ("ipv4/ip_forward", "1"),
    # Said here because new namespaces take over what the host has, 1 or 2 on many distributions, and the higher of this and the
    # device's own counts.  Which sources may pass is the ruleset's business; the kernel's check knows only one way to the outside.
    ("ipv4/conf/all/rp_filter", "0"),
    # New flows must be recognised in mid-stream after a gateway change: 1:1 translation needs no flow state.
    ("netfilter/nf_conntrack_tcp_loose", "1"),
    # Never translation and bridge filtering in one namespace: translated packets would be bridged instead of routed.
    ("bridge/bridge-nf-call-iptables", "0"),
    ("bridge/bridge-nf-call-ip6tables", "0"),
    ("bridge/bridge-nf-call-arptables", "0"),
    ("ipv6/conf/all/disable_ipv6", "1"),
)


def inner_settings(device: str) -> tuple[tuple[str, str], ...]:
    """Return the settings of a router's device towards a network."""
    return ((f"ipv4/conf/{device}/rp_filter", "0"),)


def uplink_settings(device: str) -> tuple[tuple[str, str], ...]:
    """Return the settings of a router's device towards an uplink.

    Addresses of the pool are ours to answer for, so their route leads away from the uplink: that makes the kernel proxy their ARP, as
    far as the set of owned addresses lets it, and at once.
    """
    return (
        (f"ipv4/conf/{device}/rp_filter", "0"),
        (f"ipv4/conf/{device}/proxy_arp", "1"),
        (f"ipv4/neigh/{device}/proxy_delay", "0"),
    )


def router_place(router: RouterId) -> Place:
    """Return the place of a router's facts."""
    return Place(PlaceKind.ROUTER, router)


def nic(subject: NicIntent) -> Iterator[Fact]:
    """A NIC is a port of its network's bridge."""
    bridge = subject.bridge or bridge_name(subject.network)
    mac = "" if subject.filter is None else subject.mac
    yield Fact(Key(PORT, HOST, (port_name(subject.id),)), (bridge, guest_end_name(subject.id), mac))


def router(subject: RouterIntent) -> Iterator[Fact]:
    """A router is a namespace with a device towards each network and each uplink."""
    place = router_place(subject.id)

    def fact(table: Table, row: Row, value: Row = ()) -> Fact:
        return Fact(Key(table, place, row), value)

    yield fact(NAMESPACE, ())
    yield fact(RULESET, ("router",))
    for path, value in ROUTER_SETTINGS:
        yield fact(SYSCTL, (path,), (value,))
    for port in subject.ports:
        device = inner_name(port.network)
        yield fact(INNER, (device,), (plug_name(port.network), bridge_name(port.network), port.mac, port.mtu))
        yield fact(ADDRESS, (device, port.address))
        for path, value in inner_settings(device):
            yield fact(SYSCTL, (path,), (value,))
    for index, uplink in enumerate(subject.uplinks):
        yield from _uplink(place, uplink, default=index == 0)


def _uplink(place: Place, uplink: RouterUplink, *, default: bool) -> Iterator[Fact]:
    device = uplink_name(uplink.uplink)
    yield Fact(Key(UPLINK, place, (device,)), (uplink.interface, uplink.mac))
    yield Fact(Key(ADDRESS, place, (device, uplink.address)))
    for path, value in uplink_settings(device):
        yield Fact(Key(SYSCTL, place, (path,)), (value,))
    # The pool's own route makes the kernel answer for its addresses, and swallows packets to one that nobody has.
    for prefix in uplink.ranges:
        if uplink.alone:
            yield Fact(Key(ROUTE, place, (prefix,)), ("lo", ""))
        else:
            # Some of them are other routers': only what comes in by the uplink takes that way, for everybody else they are out there.
            # Not so everywhere, for a rule costs each packet a sixth more.
            yield Fact(Key(RULE, place, (OWNED_PRIORITY, device, prefix)), (OWNED_TABLE,))
            yield Fact(Key(ROUTE_IN, place, (OWNED_TABLE, prefix)), ("lo", ""))
    if default:
        yield Fact(Key(ROUTE, place, (_EVERYWHERE,)), (device, str(uplink.next_hop)))
