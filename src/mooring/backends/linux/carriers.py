"""What joins a bridge of ours to those of other hosts, an interface, a tagged device or a tunnel <-> facts.

How does a restarted agent know that one is ours?  Tagged devices (mv) and tunnels (mx) by their names, as bridges.  An interface of the host
is the operator's; that it is a port of a bridge of ours is what we made of it, and all that is taken back.
"""

import errno
from collections.abc import Mapping
from ipaddress import IPv4Address

from mooring.backends.linux import sysctl
from mooring.backends.linux.devices import bridge_of, mistyped, named, remove, there
from mooring.backends.linux.rtnl import TUNNEL_SETTINGS, Link, Rtnl
from mooring.backends.linux.space import Space
from mooring.backends.names import is_device
from mooring.compile.facts import HOST, Key, Row
from mooring.compile.tables import TRUNK, VLAN, VXLAN

_OURS = ("mb", "mg", "mh", "mp", "mv", "mx")


def is_ours(name: str) -> bool:
    """Say whether a device of the host is ours by its name."""
    return any(is_device(name, prefix) for prefix in _OURS)


def read(links: Mapping[int, Link]) -> dict[Key, Row]:
    """Return the carriers among the host's links, which are given by their number."""
    state: dict[Key, Row] = {}
    for link in links.values():
        master = links.get(link.master)
        if is_device(link.name, "mv"):
            state[Key(VLAN, HOST, (link.name,))] = _vlan_value(link, links.get(link.peer), master)
        elif is_device(link.name, "mx"):
            state[Key(VXLAN, HOST, (link.name,))] = _vxlan_value(link, master)
        elif master is not None and is_device(master.name, "mb") and not is_ours(link.name):
            state[Key(TRUNK, HOST, (link.name,))] = (master.name,)
    return state


def make_way(host: Space, put: Mapping[Key, Row]) -> None:
    """Remove devices that can't be repaired in place: a tag or a VNI that one has may be wanted by the next."""
    for key, value in put.items():
        if key.table in (VLAN, VXLAN) and (link := host.rtnl.link(str(key.row[0]))) is not None:
            match value:
                case (str() as interface, int() as tag, _, _):
                    lower = host.rtnl.link(interface)
                    fits = lower is not None and _is_tagged(link, lower, tag)
                case (int() as vni, IPv4Address() as endpoint, _, _):
                    fits = _is_tunnel(link, vni, endpoint)
                case _:
                    raise mistyped(key, value)
            if not fits:
                host.rtnl.delete(link.index)


def put(host: Space, key: Key, value: Row) -> None:
    """Make or repair a carrier.  Of an interface nothing is changed but whose port it is.

    Raises:
        Refused: the host or its kernel hasn't what it takes, or that serves another purpose.
    """
    rtnl, name = host.rtnl, str(key.row[0])
    with named(key, value):
        match key.table.name, value:
            case TRUNK.name, (str() as bridge,) if not is_ours(name):
                master, link = bridge_of(rtnl, bridge), _interface(rtnl, name)
                if link.master != master.index:
                    _check_free(rtnl, link)
                    rtnl.set(link.index, master=master.index)
            case VLAN.name, (str() as interface, int() as tag, str() as bridge, int() as mtu) if is_device(name, "mv"):
                master, lower = bridge_of(rtnl, bridge), _interface(rtnl, interface)
                if lower.mtu < mtu:
                    raise OSError(errno.ERANGE, f"{interface} takes {lower.mtu} bytes at most")
                if not lower.is_up:
                    raise OSError(errno.ENETDOWN, f"{interface} is down")
                make_way(host, {key: value})
                if rtnl.link(name) is None:
                    _add_vlan(rtnl, name, lower, tag)
                _plug(host, name, master, mtu)
            case VXLAN.name, (int() as vni, IPv4Address() as endpoint, str() as bridge, int() as mtu) if is_device(
                name, "mx"
            ):
                master = bridge_of(rtnl, bridge)
                make_way(host, {key: value})
                if rtnl.link(name) is None:
                    _add_vxlan(rtnl, name, vni, endpoint)
                _plug(host, name, master, mtu)
            case _:
                raise mistyped(key, value)


def drop(host: Space, key: Key) -> None:
    """Remove a device, or let go of an interface; one that is gone is no error.

    Raises:
        Refused: the kernel won't let it go.
    """
    name = str(key.row[0])
    with named(key, (), but=errno.ENODEV):
        if key.table != TRUNK:
            remove(host.rtnl, name)
            return
        link = host.rtnl.link(name)
        master = host.rtnl.link(link.master) if link is not None and link.master else None
        if link is not None and master is not None and is_device(master.name, "mb"):
            host.rtnl.set(link.index, master=0)


def _plug(host: Space, name: str, master: Link, mtu: int) -> None:
    """Make a device that is there an up port of a bridge; what is right of it stays."""
    link = there(host.rtnl, name)
    if link.mtu != mtu:  # first: out of an MTU below 1280 a device comes with IPv6 as it is by default
        host.rtnl.set(link.index, mtu=mtu)
    sysctl.silence(host.inside, name)
    if link.master != master.index:
        host.rtnl.set(link.index, master=master.index)
    host.rtnl.set_port(link.index)
    host.rtnl.set(link.index, state="up")


def _add_vlan(rtnl: Rtnl, name: str, lower: Link, tag: int) -> None:
    try:
        rtnl.add("vlan", name, link=lower.index, vlan_id=tag)
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            reason = "this kernel has no 802.1Q devices: modprobe 8021q, or use a vxlan network"
            raise OSError(error.errno, reason) from error
        if error.errno == errno.EEXIST:
            has = next((link.name for link in rtnl.links() if _is_tagged(link, lower, tag)), "another device")
            raise OSError(error.errno, f"tag {tag} of {lower.name} is in use by {has}") from error
        raise


def _add_vxlan(rtnl: Rtnl, name: str, vni: int, endpoint: IPv4Address) -> None:
    try:
        rtnl.add("vxlan", name, vxlan_id=vni, vxlan_local=str(endpoint), **TUNNEL_SETTINGS)
    except OSError as error:
        if error.errno == errno.EEXIST:
            tunnels = [link for link in rtnl.links() if link.tunnel is not None and link.tunnel.vni == vni]
            has = tunnels[0].name if tunnels else "another device"
            raise OSError(error.errno, f"VNI {vni} is in use by {has}") from error
        raise


def _interface(rtnl: Rtnl, name: str) -> Link:
    link = rtnl.link(name)
    if link is None:
        raise OSError(errno.ENODEV, f"the host has no interface {name}")
    return link


def _check_free(rtnl: Rtnl, link: Link) -> None:
    """Refuse to take an interface for a port that serves another purpose: that would be cut off without a word."""
    master = rtnl.link(link.master) if link.master else None
    if master is not None and not is_device(master.name, "mb"):
        raise OSError(errno.EBUSY, f"{link.name} is a port of {master.name}, which is not ours")
    own = [str(address) for index, address in rtnl.addresses() if index == link.index]
    if own:
        raise OSError(
            errno.EBUSY, f"{link.name} has addresses of the host's own ({', '.join(own)}), which would be cut off"
        )


def _is_tagged(link: Link, lower: Link, tag: int) -> bool:
    return link.kind == "vlan" and (link.peer, link.peer_netns, link.tag) == (lower.index, None, tag)


def _is_tunnel(link: Link, vni: int, endpoint: IPv4Address) -> bool:
    tunnel = link.tunnel
    return tunnel is not None and tunnel.is_told and (tunnel.vni, tunnel.endpoint) == (vni, str(endpoint))


def _is_plugged(link: Link) -> bool:
    return link.is_up and link.is_quiet and not link.has_ipv6


def _vlan_value(link: Link, lower: Link | None, master: Link | None) -> Row:
    if link.kind != "vlan" or link.tag is None or lower is None or link.peer_netns is not None or master is None:
        return ("not a tagged device in a bridge",)
    if not _is_plugged(link):
        return ("not set up as a port of ours",)
    return (lower.name, link.tag, master.name, link.mtu)


def _vxlan_value(link: Link, master: Link | None) -> Row:
    if link.tunnel is None or not link.tunnel.is_told or master is None:
        return ("not a tunnel as ours in a bridge",)
    if not _is_plugged(link):
        return ("not set up as a port of ours",)
    return (link.tunnel.vni, IPv4Address(link.tunnel.endpoint), master.name, link.mtu)
