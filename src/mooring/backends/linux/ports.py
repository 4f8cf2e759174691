"""Ports of guests, and bridges whose packets are filtered <-> facts.

A filtered port has a hardware address in its bridge's memory that stays, and no other: nobody can take it away by sending as its guest, and
what the bridge doesn't know is no business of the guest's.

How does a restarted agent know that a port is ours?  By its name, mp and eleven digits.  A bridge is filtered for us if it is one of ours, by
its name too, or if our rules speak of it.
"""

from collections.abc import Collection

from mooring.backends.linux import sysctl, taps
from mooring.backends.linux.devices import bridge_of, mistyped, named, there
from mooring.backends.linux.rtnl import Link
from mooring.backends.linux.space import Space
from mooring.backends.names import is_device, is_mac
from mooring.compile.facts import HOST, Key, Refused, Row, fact_line
from mooring.compile.tables import BRIDGE_FILTER, PORT
from mooring.model.traits import PortKind

GROUP = 200
"""The interface group by which the host's ruleset knows the ports that it filters."""

_FILTERING = "bridge/bridge-nf-call-iptables"
"""Where this setting is, the kernel can show bridged packets to rules; its value is for bridges that don't say it of themselves."""


def read(host: Space, by_index: dict[int, Link], kind: PortKind) -> dict[Key, Row]:
    """Return the ports of the host's guests, which are of one kind."""
    found = [link for link in by_index.values() if is_device(link.name, "mp")]
    macs: dict[int, set[str]] = {}
    if any(link.is_filtered for link in found):
        for number, mac in host.neighbours.pinned():
            macs.setdefault(number, set()).add(mac.hex(":"))
    return {Key(PORT, HOST, (link.name,)): _value(link, by_index, kind, macs.get(link.index, set())) for link in found}


def read_filters(host: Space, by_index: dict[int, Link], known: Collection[str]) -> dict[Key, Row]:
    """Return which bridges are filtered: of ours, and of those known by the rules."""
    names = [
        link.name
        for link in by_index.values()
        if link.kind == "bridge" and link.is_filtered and (is_device(link.name, "mb") or link.name in known)
    ]
    return {Key(BRIDGE_FILTER, HOST, (name,)): () for name in names} if names and _can_filter(host) else {}


def put(host: Space, key: Key, value: Row, kind: PortKind) -> None:
    """Make or repair a port.  Its other end is left as it is, once a guest has it.

    Raises:
        Refused: the kernel won't have it.
    """
    match key.row, value:
        case (str() as name,), (str() as bridge, str() as peer, str() as mac) if (
            is_device(name, "mp") and is_device(peer, "mg") and (not mac or is_mac(mac))
        ):
            with named(key, value):
                master = bridge_of(host.rtnl, bridge)
                if mac and not master.is_filtered:
                    raise Refused(f"{fact_line(key, value)}: what {bridge} forwards is not filtered")
                link = host.rtnl.link(name)
                if link is not None and not _is_of(link, kind):
                    host.rtnl.delete(link.index)
                    link = None
                is_new = link is None
                if link is None:
                    link = _new_port(host, name, peer, master.mtu, kind)
                elif (
                    kind is PortKind.VETH
                    and link.peer_netns is None
                    and (other := host.rtnl.link(link.peer)) is not None
                    and other.name != peer
                ):
                    host.rtnl.set(other.index, ifname=peer)
                if (
                    link.mtu != master.mtu
                ):  # first: out of an MTU below 1280 a device comes with IPv6 as it is by default
                    host.rtnl.set(link.index, mtu=master.mtu)
                sysctl.silence(host.inside, name)
                _join(host, link, master, mac, is_new=is_new)
        case _:
            raise mistyped(key, value)


def _join(host: Space, link: Link, master: Link, mac: str, *, is_new: bool) -> None:
    """Make a device a port of a bridge.  What filters it is there before a packet can come through."""
    if mac:
        host.rtnl.set(link.index, group=GROUP)
        if link.master != master.index:
            host.rtnl.set(link.index, master=master.index)
        # Of a new device the bridge remembers nothing; to ask it costs as much as it remembers of all others.
        for number, old in () if is_new else host.neighbours.pinned():
            if number == link.index and old.hex(":") != mac:
                host.rtnl.unpin(number, old.hex(":"))
        host.rtnl.pin(link.index, mac)
        host.rtnl.set_port(link.index, is_filtered=True)
        host.rtnl.set(link.index, state="up")
        return
    host.rtnl.set(link.index, master=master.index, state="up")
    if link.group == GROUP or link.is_filtered:
        host.rtnl.set_port(link.index)
        for number, old in host.neighbours.pinned():
            if number == link.index:
                host.rtnl.unpin(number, old.hex(":"))
        host.rtnl.set(link.index, group=0)


def _new_port(host: Space, name: str, peer: str, mtu: int, kind: PortKind) -> Link:
    if kind is PortKind.TAP:
        taps.add(host.inside, name)
    else:
        host.rtnl.add("veth", name, mtu=mtu, peer={"ifname": peer, "mtu": mtu})
        sysctl.silence(host.inside, peer)
    return there(host.rtnl, name)


def put_filter(host: Space, key: Key, value: Row) -> None:
    """Let the rules see the IP packets that a bridge forwards.

    Raises:
        Refused: there is no such bridge, or the kernel shows them to no rules.
    """
    match key.row:
        case (str() as name,):
            with named(key, value):
                if not _can_filter(host):
                    raise Refused(
                        f"{fact_line(key, value)}: this kernel filters no bridges; its module br_netfilter is missing"
                    )
                host.rtnl.filter_bridge(bridge_of(host.rtnl, name).index, is_on=True)
        case _:
            raise mistyped(key, value)


def drop_filter(host: Space, key: Key) -> None:
    """Keep a bridge's packets from the rules; a bridge that is gone has none.

    Raises:
        Refused: the kernel won't have it.
    """
    with named(key, ()):
        link = host.rtnl.link(str(key.row[0]))
        if link is not None and link.kind == "bridge":
            host.rtnl.filter_bridge(link.index, is_on=False)


def _can_filter(host: Space) -> bool:
    return sysctl.is_there(host.inside, _FILTERING)


def _is_of(link: Link, kind: PortKind) -> bool:
    match kind:
        case PortKind.VETH:
            return link.kind == "veth"
        case PortKind.TAP:
            return link.mode == "tap"


def _value(link: Link, by_index: dict[int, Link], kind: PortKind, macs: set[str]) -> Row:
    master = by_index.get(link.master)
    if not _is_of(link, kind) or master is None:
        return (f"not a {kind} in a bridge",)
    if not link.is_up or link.has_ipv6 or link.mtu != master.mtu:
        return ("not set up as a port of ours",)
    # Once a guest has the other end, its name there is the guest's business; a tap's other end has none.
    other = by_index.get(link.peer) if kind is PortKind.VETH and link.peer_netns is None else None
    peer = other.name if other is not None else f"mg{link.name.removeprefix('mp')}"
    if link.group != GROUP and not link.is_filtered and not macs:
        return (master.name, peer, "")
    if link.group == GROUP and link.is_filtered and len(macs) == 1:
        return (master.name, peer, *macs)
    return ("half of a filtered port",)
