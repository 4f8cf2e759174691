"""Bridges, routers' devices, addresses and routes <-> facts.

How does a restarted agent know that a link is ours?  On the host by its name: mb (bridge), mp (port), mg (the guest's end of a port) or
mh (a router's port), and the first eleven hexadecimal digits of a UUID.  In a router's namespace everything that somebody made is ours.

Puts repair in place: what is right of a device stays, so that its flows and its neighbours don't notice.
"""

import errno
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Interface

from mooring.backends.linux import carriers, ports, routes, sysctl
from mooring.backends.linux.devices import bridge_of, mistyped, named, remove, there
from mooring.backends.linux.rtnl import Link, Rtnl
from mooring.backends.linux.space import Space
from mooring.backends.names import is_device, is_mac
from mooring.compile.egress import NO_CARRIER
from mooring.compile.facts import HOST, Key, Refused, Row, fact_line
from mooring.compile.tables import ADDRESS, AWAY, BRIDGE, INNER, PORT, UPLINK
from mooring.model.traits import PortKind

UPLINK_GROUP = 100
"""The interface group by which the ruleset knows devices towards providers."""

LOOPBACK = 1
"""The number that the kernel gives the loopback device of every namespace."""

_PATIENCE = 2.0

_BY_HAND = frozenset({"veth", "macvlan", "macvtap", "ipvlan", "bridge", "vlan", "vxlan", "dummy", "tun", "ifb"})
"""Kinds of devices that somebody must have made; others, as tunl0, come with a namespace by themselves."""


@dataclass(frozen=True, slots=True)
class Host:
    """All links of the host by their number in the kernel, its bridges, and its tunnel devices; and the facts of all its links."""

    by_index: dict[int, Link]
    bridges: set[int]
    tunnels: dict[int, str]
    facts: dict[Key, Row]


@dataclass(frozen=True, slots=True)
class Devices:
    """A router's devices by their number in the kernel, and their facts."""

    names: dict[int, str]
    facts: dict[Key, Row]


def read_host(host: Space, kind: PortKind) -> Host:
    """Return the bridges, ports and carriers of the host, whose ports are of one kind."""
    links = host.rtnl.links()
    by_index = {link.index: link for link in links}
    state = carriers.read(by_index)
    state.update(ports.read(host, by_index, kind))
    for link in links:
        if is_device(link.name, "mb"):
            state[Key(BRIDGE, HOST, (link.name,))] = _bridge_value(link)
    bridges = {link.index for link in links if is_device(link.name, "mb")}
    return Host(by_index, bridges, {link.index: link.name for link in links if is_device(link.name, "mx")}, state)


def read_router(space: Space, host: Space) -> Devices:
    """Return the devices, addresses and routes of a router."""
    place = space.place
    links = [link for link in space.rtnl.links() if link.name != "lo"]
    names = {link.index: link.name for link in links}
    host_number = space.rtnl.number_of(host.inside.fd) if links else None
    state: dict[Key, Row] = {}
    without_carrier: dict[Key, Row] = {}
    for link in links:
        on_host = host.rtnl.link(link.peer) if link.peer and link.peer_netns == host_number else None
        if link.name.startswith("mu"):
            state[Key(UPLINK, place, (link.name,))] = _uplink_value(link, on_host)
            if not link.has_carrier:
                without_carrier[Key(AWAY, place, (link.name,))] = (NO_CARRIER,)
        elif link.name.startswith("mi") or link.kind in _BY_HAND:
            state[Key(INNER, place, (link.name,))] = _inner_value(link, on_host, host.rtnl)
    for index, address in space.rtnl.addresses() if links else ():
        if index in names:
            state[Key(ADDRESS, place, (names[index], address))] = ()
    state.update(routes.read(space, {**names, LOOPBACK: "lo"}))
    return Devices(names, {**state, **without_carrier})


def put_bridge(host: Space, key: Key, value: Row) -> None:
    """Make or repair a bridge; its ports follow its MTU.

    Raises:
        Refused: the kernel won't have it.
    """
    match key.row, value:
        case (str() as name,), (int() as mtu,) if is_device(name, "mb"):
            with named(key, value):
                link = host.rtnl.link(name)
                if link is not None and link.kind != "bridge":
                    host.rtnl.delete(link.index)
                    link = None
                if link is None:
                    # Only an MTU that is changed later is the bridge's own; else it follows its smallest port.
                    host.rtnl.add("bridge", name, mtu=mtu - 1)
                    link = there(host.rtnl, name)
                host.rtnl.set_bridge(link.index)
                sysctl.silence(host.inside, name)
                if link.mtu != mtu:
                    host.rtnl.set(link.index, mtu=mtu)
                    for port in host.rtnl.links():
                        if port.master == link.index and port.name.startswith("mp") and port.mtu != mtu:
                            host.rtnl.set(port.index, mtu=mtu)
                host.rtnl.set(link.index, state="up")
        case _:
            raise mistyped(key, value)


def put_inner(space: Space, host: Space, key: Key, value: Row) -> None:
    """Make or repair a router's device towards a network.

    Raises:
        Refused: the kernel won't have it.
    """
    match key.row, value:
        case (str() as name,), (str() as peer, str() as bridge, str() as mac, int() as mtu) if (
            is_device(name, "mi") and is_device(peer, "mh") and is_mac(mac)
        ):
            with named(key, value):
                master = bridge_of(host.rtnl, bridge)
                link, plug = space.rtnl.link(name), host.rtnl.link(peer)
                is_pair = (
                    link is not None
                    and plug is not None
                    and link.kind == plug.kind == "veth"
                    and (link.peer, link.peer_netns) == (plug.index, space.rtnl.number_of(host.inside.fd))
                )
                if not is_pair:
                    # A half of an older pair, of a namespace that somebody took the name of, would be in the way.
                    remove(space.rtnl, name)
                    remove(host.rtnl, peer)
                    host.rtnl.add("veth", peer, peer={"ifname": name, "net_ns_fd": space.inside.fd, "address": mac})
                    link, plug = there(space.rtnl, name), there(host.rtnl, peer)
                assert link is not None  # noqa: S101 - is_pair says so
                assert plug is not None  # noqa: S101
                sysctl.silence(host.inside, peer)
                host.rtnl.set(plug.index, master=master.index, mtu=mtu, state="up")
                if link.mac != mac:
                    space.rtnl.set(link.index, address=mac)
                space.rtnl.set(link.index, mtu=mtu, group=0, state="up")
        case _:
            raise mistyped(key, value)


def put_uplink(space: Space, host: Space, key: Key, value: Row) -> None:
    """Make or repair a router's device towards a provider.

    Raises:
        Refused: the host has no such interface, or the kernel won't have it.
    """
    match key.row, value:
        case (str() as name,), (str() as interface, str() as mac) if is_device(name, "mu") and is_mac(mac):
            with named(key, value):
                lower = host.rtnl.link(interface)
                if lower is None:
                    raise Refused(f"{fact_line(key, value)}: the host has no interface {interface}")
                link = space.rtnl.link(name)
                right = (lower.index, space.rtnl.number_of(host.inside.fd))
                if link is not None and (link.kind != "macvlan" or (link.peer, link.peer_netns) != right):
                    space.rtnl.delete(link.index)
                    link = None
                if link is None:
                    host.rtnl.add(
                        "macvlan",
                        name,
                        link=lower.index,
                        net_ns_fd=space.inside.fd,
                        macvlan_mode="bridge",
                        address=mac,
                        group=UPLINK_GROUP,
                    )
                    link = there(space.rtnl, name)
                if link.mode != "bridge":
                    space.rtnl.set(link.index, kind="macvlan", macvlan_mode="bridge")
                if link.mac != mac:
                    space.rtnl.set(link.index, address=mac)
                _patiently(lambda: space.rtnl.set(link.index, group=UPLINK_GROUP, state="up"))
        case _:
            raise mistyped(key, value)


def put_address(space: Space, key: Key, value: Row) -> None:
    """Give a device an address; it may have it.

    Raises:
        Refused: there is no such device.
    """
    match key.row:
        case (str() as device, IPv4Interface() as address):
            with named(key, value, but=errno.EEXIST):
                space.rtnl.add_address(there(space.rtnl, device).index, address)
        case _:
            raise mistyped(key, value)


def drop(space: Space, key: Key) -> None:
    """Take a link or an address away; one that went along with another is no error.

    Raises:
        Refused: the kernel won't let it go.
    """
    match key.table.name, key.row:
        case ((BRIDGE.name | PORT.name | INNER.name | UPLINK.name), (str() as name,)):
            with named(key, (), but=errno.ENODEV):
                remove(space.rtnl, name)
        case ADDRESS.name, (str() as device, IPv4Interface() as address):
            with named(key, (), but=errno.EADDRNOTAVAIL):
                link = space.rtnl.link(device)
                if link is not None:
                    space.rtnl.delete_address(link.index, address)
        case _:
            raise mistyped(key, ())


def clear(space: Space) -> None:
    """Remove all devices that somebody made in a namespace."""
    for link in space.rtnl.links():
        if link.kind in _BY_HAND:
            try:
                remove(space.rtnl, link.name)
            except OSError as error:
                if error.errno != errno.ENODEV:  # it may have been the other end of one that went before
                    raise


def _bridge_value(link: Link) -> Row:
    if link.kind != "bridge":
        return (f"a {link.kind or 'device'}",)
    if not link.is_up or not link.is_quiet or link.has_ipv6:
        return ("not set up as a bridge of ours",)
    return (link.mtu,)


def _inner_value(link: Link, plug: Link | None, host: Rtnl) -> Row:
    if link.kind != "veth" or plug is None:
        return ("not one end of a pair with the host",)
    master = host.link(plug.master) if plug.master else None
    if not link.is_up or link.group or not plug.is_up or plug.mtu != link.mtu or plug.has_ipv6:
        return ("not set up as a router's device",)
    return (plug.name, master.name if master is not None else "", link.mac, link.mtu)


def _uplink_value(link: Link, lower: Link | None) -> Row:
    if link.kind != "macvlan" or link.mode != "bridge" or link.group != UPLINK_GROUP or not link.is_up or lower is None:
        return ("not set up as an uplink",)
    return (lower.name, link.mac)


def _patiently(work: Callable[[], None]) -> None:
    """Do `work`, again while the kernel still clears away what had the same address: a namespace ends some time after its last user."""
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            return work()
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > until:
                raise
        time.sleep(0.01)
