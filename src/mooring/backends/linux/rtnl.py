"""Links, addresses and routes of one network namespace, as frozen values.

All work is done in the thread that lives in the namespace.
"""

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv4Network
from typing import Any, TypeVar

from mooring.backends.linux import pyroute
from mooring.backends.linux.netns import Inside

T = TypeVar("T")

_WITH_DATA = frozenset({"bridge", "macvlan", "tun", "vlan", "vxlan"})
_8021Q = 0x8100  # linux/if_ether.h

_IFF_UP, _IFF_LOWER_UP = 1, 0x10000
_IFF_TAP = 2  # linux/if_tun.h
_AF_INET = socket.AF_INET
_RTPROT_KERNEL, _RTN_UNICAST, _RTN_THROW = 2, 1, 9
_FR_ACT_TO_TBL = 1  # linux/fib_rules.h
_NO_NETNSID = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Link:
    """A network device.  `master`, `peer` and `peer_netns` are 0, 0 and None where there is none.

    `peer` is the index of a veth's other end or of what a macvlan or a VLAN lies on, in the namespace that is number `peer_netns` here;
    None is this one.  `mode` is a macvlan's, or `tap` of a tap that stays when no process has it open; `is_quiet` says of a bridge that it
    forwards at once and says nothing of its own, and of any other device that it is a plain port of a bridge.  `is_filtered` says of a bridge
    that rules see its packets, and of any other device that it is a port where the bridge learns nothing and floods no unicast to.  `tag` is
    that of a VLAN.
    """

    index: int
    name: str
    kind: str
    mac: str
    mtu: int
    is_up: bool
    group: int
    master: int
    peer: int
    peer_netns: int | None
    mode: str
    has_ipv6: bool
    is_quiet: bool
    is_filtered: bool = False
    tag: int | None = None
    tunnel: "Tunnel | None" = None
    has_carrier: bool = True


@dataclass(frozen=True, slots=True)
class Tunnel:
    """What a VXLAN device does; `is_told` says that it learns nothing and goes by what it is told."""

    vni: int
    endpoint: str
    is_told: bool


@dataclass(frozen=True, slots=True)
class Route:
    """A route; `hop` is the next hop or an empty text, `device` 0 for one with several."""

    table: int
    prefix: IPv4Network
    device: int
    hop: str
    metric: int
    kind: int


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: what comes in by `device`, which may be empty for any, and goes `to` a prefix looks into a table of routes.

    With a `mask` it is only for packets whose mark is `mark` under it.  A rule that is not plain asks for more than that, or does something else.
    """

    priority: int
    device: str
    to: IPv4Network
    table: int
    is_plain: bool
    mark: int = 0
    mask: int = 0


class Rtnl:
    """The devices of one namespace.

    Raises:
        OSError: from every method, what the kernel refused, with its number.
    """

    def __init__(self, inside: Inside) -> None:
        self._inside = inside
        self._ip: Any = inside.run(lambda: pyroute.routing(inside))

    def close(self) -> None:
        self._inside.run(self._ip.close)

    def links(self) -> list[Link]:
        """Return all devices."""
        return self._call(lambda: [_link(message) for message in self._ip.get_links()])

    def link(self, name_or_index: str | int) -> Link | None:
        """Return a device by its name or index."""
        which = {"ifname": name_or_index} if isinstance(name_or_index, str) else {"index": name_or_index}
        try:
            found = self._call(lambda: [_link(message) for message in self._ip.link("get", **which)])
        except (FileNotFoundError, ProcessLookupError, OSError) as error:
            if error.errno in {19, 2, 3}:  # ENODEV, ENOENT, ESRCH
                return None
            raise
        return found[0] if found else None

    def add(self, kind: str, name: str, **settings: Any) -> None:
        """Make a device; the settings are pyroute2's names of IFLA_ attributes."""
        self._call(lambda: self._ip.link("add", kind=kind, ifname=name, **settings))

    def set(self, index: int, **settings: Any) -> None:
        """Change a device."""
        self._call(lambda: self._ip.link("set", index=index, **settings))

    def set_bridge(self, index: int) -> None:
        """Make a bridge forward at once, without a word of its own."""

        def change() -> None:
            # One after another: the kernel takes no delay of 0 as long as the spanning tree is on.
            for name, value in BRIDGE_SETTINGS.items():
                self._ip.link("set", index=index, kind="bridge", **{name: value})

        self._call(change)

    def delete(self, index: int) -> None:
        """Remove a device, and its other end."""
        self._call(lambda: self._ip.link("del", index=index))

    def addresses(self) -> list[tuple[int, IPv4Interface]]:
        """Return all IPv4 addresses with the index of their device."""

        def dump() -> list[tuple[int, IPv4Interface]]:
            return [
                (int(message["index"]), IPv4Interface((_attr(message, "IFA_LOCAL"), message["prefixlen"])))
                for message in self._ip.get_addr(family=_AF_INET)
            ]

        return self._call(dump)

    def add_address(self, index: int, address: IPv4Interface) -> None:
        """Give a device an address."""
        self._address("add", index, address)

    def delete_address(self, index: int, address: IPv4Interface) -> None:
        """Take an address from a device."""
        self._address("del", index, address)

    def routes(self) -> list[Route]:
        """Return the IPv4 routes, but those that the kernel makes for addresses."""
        return self._call(lambda: list(self._routes()))

    def replace_route(self, route: Route) -> None:
        """Add a route in place of the first one of its prefix and metric."""
        self._route("replace", route)

    def delete_route(self, route: Route) -> None:
        """Remove a route."""
        self._route("del", route)

    def rules(self) -> list[Rule]:
        """Return the IPv4 rules, but the three that come with a namespace."""
        return self._call(
            lambda: [rule for it in self._ip.get_rules(family=_AF_INET) if (rule := _rule(it)) is not None]
        )

    def add_rule(self, rule: Rule) -> None:
        """Add a rule."""
        self._rule("add", rule)

    def delete_rule(self, rule: Rule) -> None:
        """Remove a rule with these features."""
        self._rule("del", rule)

    def filter_bridge(self, index: int, *, is_on: bool) -> None:
        """Let the rules see the IP packets that a bridge forwards, or not."""
        settings = {name: value if is_on else 0 for name, value in FILTER_SETTINGS.items()}
        self._call(lambda: self._ip.link("set", index=index, kind="bridge", **settings))

    def set_port(self, index: int, *, is_filtered: bool = False) -> None:
        """Let a port of a bridge learn, flood and send nothing back where it came from, as ports do unless told otherwise.

        One that is filtered learns nothing, and gets no unicast that the bridge doesn't know to be there.
        """
        settings = FILTERED_PORT_SETTINGS if is_filtered else PORT_SETTINGS
        self._call(lambda: self._ip.brport("set", index=index, **settings))

    def pin(self, index: int, mac: str) -> None:
        """Let a bridge know that a hardware address is behind a port, and nowhere else whatever it hears."""
        self._call(
            lambda: self._ip.fdb(
                "replace", ifindex=index, lladdr=mac, state=_NUD_NOARP, flags=_NTF_MASTER | _NTF_STICKY
            )
        )

    def unpin(self, index: int, mac: str) -> None:
        """Let a bridge learn again where a hardware address is."""
        self._call(lambda: self._ip.fdb("del", ifindex=index, lladdr=mac, flags=_NTF_MASTER))

    def number_of(self, fd: int) -> int | None:
        """Return by which number this namespace knows the one open as `fd`, None if by none."""
        found = self._call(lambda: self._ip.get_netnsid(fd=fd))
        return None if found["nsid"] == _NO_NETNSID else int(found["nsid"])

    def _call(self, work: Callable[[], T]) -> T:
        def run() -> T:
            with pyroute.kernel_errors():
                return work()

        return self._inside.run(run)

    def _address(self, verb: str, index: int, address: IPv4Interface) -> None:
        network = address.network
        settings: dict[str, Any] = {"index": index, "address": str(address.ip), "prefixlen": network.prefixlen}
        if verb == "add" and network.prefixlen < 31:
            settings["broadcast"] = str(network.broadcast_address)
        self._call(lambda: self._ip.addr(verb, **settings))

    def _routes(self) -> Iterator[Route]:
        for message in self._ip.get_routes(family=_AF_INET):
            if message["proto"] == _RTPROT_KERNEL:
                continue
            address = _attr(message, "RTA_DST") or "0.0.0.0"  # noqa: S104 - the default route, not a socket
            yield Route(
                int(_attr(message, "RTA_TABLE") or message["table"]),
                IPv4Network((address, message["dst_len"])),
                int(_attr(message, "RTA_OIF") or 0),
                str(_attr(message, "RTA_GATEWAY") or ""),
                int(_attr(message, "RTA_PRIORITY") or 0),
                int(message["type"]),
            )

    def _route(self, verb: str, route: Route) -> None:
        settings: dict[str, Any] = {"dst": str(route.prefix), "table": route.table, "family": _AF_INET}
        if route.device:
            settings["oif"] = route.device
        if route.hop:
            settings["gateway"] = route.hop
        if route.metric:
            settings["priority"] = route.metric
        if route.kind != _RTN_UNICAST:
            settings["type"] = route.kind
        if not route.hop and route.kind == _RTN_UNICAST:
            settings["scope"] = 253  # link
        self._call(lambda: self._ip.route(verb, **settings))

    def _rule(self, verb: str, rule: Rule) -> None:
        settings: dict[str, Any] = {"priority": rule.priority, "table": rule.table, "action": _FR_ACT_TO_TBL}
        if rule.device:
            settings["iifname"] = rule.device
        if rule.to.prefixlen:
            settings |= {"dst": str(rule.to.network_address), "dst_len": rule.to.prefixlen}
        if rule.mask:
            settings |= {"fwmark": rule.mark, "fwmask": rule.mask}
        self._call(lambda: self._ip.rule(verb, family=_AF_INET, **settings))


UNICAST, THROW = _RTN_UNICAST, _RTN_THROW
MAIN_TABLE, LOCAL_TABLE = 254, 255  # linux/rtnetlink.h

BRIDGE_SETTINGS: dict[str, int] = {"br_stp_state": 0, "br_forward_delay": 0, "br_mcast_snooping": 0}

PORT_SETTINGS: dict[str, int] = {
    "mode": 0,  # hairpin
    "guard": 0,
    "protect": 0,
    "learning": 1,
    "unicast_flood": 1,
    "mcast_flood": 1,
    "bcast_flood": 1,
    "proxyarp": 0,
    "neigh_suppress": 0,
    "isolated": 0,
}

FILTER_SETTINGS: dict[str, int] = {"br_nf_call_iptables": 1, "br_nf_call_ip6tables": 1, "br_nf_call_arptables": 0}

FILTERED_PORT_SETTINGS: dict[str, int] = {**PORT_SETTINGS, "learning": 0, "unicast_flood": 0}

# linux/neighbour.h
_NUD_NOARP, _NTF_MASTER, _NTF_STICKY = 0x40, 0x04, 0x40

TUNNEL_SETTINGS: dict[str, int] = {
    "vxlan_port": 4789,
    "vxlan_learning": 0,
    "vxlan_proxy": 1,
    "vxlan_rsc": 0,
    "vxlan_l2miss": 0,
    "vxlan_l3miss": 0,
    "vxlan_ttl": 64,
}


_FIB_RULE_INVERT, _NO_LENGTH = 2, 0xFFFFFFFF
_PLAIN_RULE = frozenset(
    {
        "FRA_TABLE",
        "FRA_SUPPRESS_PREFIXLEN",
        "FRA_PROTOCOL",
        "FRA_PRIORITY",
        "FRA_IIFNAME",
        "FRA_DST",
        "FRA_FWMARK",
        "FRA_FWMASK",
    }
)
_EVERYWHERE = IPv4Network("0.0.0.0/0")
_KERNELS_RULES = {
    Rule(at, "", _EVERYWHERE, table, is_plain=True) for at, table in ((0, 255), (32766, 254), (32767, 253))
}


def _attr(message: Any, name: str) -> Any:
    return message.get_attr(name)


def _link(message: Any) -> Link:
    info: Any = _attr(message, "IFLA_LINKINFO")
    kind = str(info.get_attr("IFLA_INFO_KIND") or "") if info else ""
    data: Any = info.get_attr("IFLA_INFO_DATA") if info and kind in _WITH_DATA else None
    port: Any = (
        info.get_attr("IFLA_INFO_SLAVE_DATA") if info and info.get_attr("IFLA_INFO_SLAVE_KIND") == "bridge" else None
    )
    netnsid = _attr(message, "IFLA_LINK_NETNSID")
    return Link(
        index=int(message["index"]),
        name=str(_attr(message, "IFLA_IFNAME")),
        kind=kind,
        mac=str(_attr(message, "IFLA_ADDRESS") or ""),
        mtu=int(_attr(message, "IFLA_MTU") or 0),
        is_up=bool(int(message["flags"]) & _IFF_UP),
        group=int(_attr(message, "IFLA_GROUP") or 0),
        master=int(_attr(message, "IFLA_MASTER") or 0),
        peer=int(_attr(message, "IFLA_LINK") or 0),
        peer_netns=None if netnsid is None else int(netnsid),
        mode=_mode(kind, data) if data else "",
        has_ipv6=_has_ipv6(message),
        is_quiet=_has(data, "IFLA_", BRIDGE_SETTINGS)
        if kind == "bridge"
        else _has(port, "IFLA_BRPORT_", PORT_SETTINGS),
        is_filtered=_has(data, "IFLA_", FILTER_SETTINGS)
        if kind == "bridge"
        else _has(port, "IFLA_BRPORT_", FILTERED_PORT_SETTINGS),
        tag=_tag(data) if kind == "vlan" and data else None,
        tunnel=_tunnel(data) if kind == "vxlan" and data else None,
        has_carrier=bool(int(message["flags"]) & _IFF_LOWER_UP),
    )


def _has(data: Any, prefix: str, settings: dict[str, int]) -> bool:
    return bool(data) and all(data.get_attr(f"{prefix}{name.upper()}") == value for name, value in settings.items())


def _tag(data: Any) -> int | None:
    return int(data.get_attr("IFLA_VLAN_ID")) if data.get_attr("IFLA_VLAN_PROTOCOL") == _8021Q else None


def _tunnel(data: Any) -> Tunnel:
    strange = ("GROUP", "GROUP6", "LINK", "COLLECT_METADATA")
    return Tunnel(
        vni=int(data.get_attr("IFLA_VXLAN_ID") or 0),
        endpoint=str(data.get_attr("IFLA_VXLAN_LOCAL") or ""),
        is_told=_has(data, "IFLA_", TUNNEL_SETTINGS) and not any(data.get_attr(f"IFLA_VXLAN_{it}") for it in strange),
    )


def _rule(message: Any) -> Rule | None:
    table = int(_attr(message, "FRA_TABLE") or message["table"])
    priority = int(_attr(message, "FRA_PRIORITY") or 0)
    rule = Rule(
        priority=priority,
        device=str(_attr(message, "FRA_IIFNAME") or ""),
        to=IPv4Network((_attr(message, "FRA_DST") or 0, message["dst_len"])),
        table=table,
        is_plain=message["action"] == _FR_ACT_TO_TBL
        and not (message["src_len"] or message["tos"] or message["flags"] & _FIB_RULE_INVERT)
        and _attr(message, "FRA_SUPPRESS_PREFIXLEN") in {None, _NO_LENGTH}
        and {name for name, _ in message["attrs"]} <= _PLAIN_RULE,
        mark=int(_attr(message, "FRA_FWMARK") or 0),
        mask=int(_attr(message, "FRA_FWMASK") or 0),
    )
    return None if rule in _KERNELS_RULES else rule


def _mode(kind: str, data: Any) -> str:
    if kind == "macvlan":
        return str(data.get_attr("IFLA_MACVLAN_MODE") or "")
    if kind == "tun" and data.get_attr("IFLA_TUN_TYPE") == _IFF_TAP and data.get_attr("IFLA_TUN_PERSIST"):
        return "tap"
    return ""


def _has_ipv6(message: Any) -> bool:
    families: Any = _attr(message, "IFLA_AF_SPEC")
    ipv6: Any = families.get_attr("AF_INET6") if families else None
    settings: Any = ipv6.get_attr("IFLA_INET6_CONF") if ipv6 else None
    return bool(settings) and not settings["disable_ipv6"]
