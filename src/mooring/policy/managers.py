"""Network managers: what a network of each kind asks of hosts, and how it is carried there.

    kind        carried by                       address by   router
    flat        the operator's own bridge        injection    the operator's
    flat_dhcp   one bridge, one interface        DHCP         shared by all projects
    vlan        a tag of its own                 DHCP         its own
    vxlan       a tunnel between hosts           DHCP         its own

Pure choices: which kernel or switch makes them true is the back-end's business.
"""

from dataclasses import dataclass
from typing import assert_never

from mooring.model.nouns import Host, Network, NetworkKind
from mooring.model.subjects import Carrier, OperatorBridge, Trunk, TunnelPeer, Vlan, Vxlan

VLAN_TAGS = range(1, 4095)
"""IEEE 802.1Q: 0 is priority only, 4095 is reserved."""

VXLAN_IDENTIFIERS = range(1, 1 << 24)
"""RFC 7348: 24 bits."""

VXLAN_OVERHEAD = 50
"""Bytes that a tunnel over IPv4 takes of the hosts' mtu: outer Ethernet 14, IPv4 20, UDP 8, VXLAN 8."""


@dataclass(frozen=True, slots=True)
class Manager:
    """What holds for all networks of a kind.

    `injected`: guests are told their address at the start, not by DHCP.  `routed`: mooring runs the router.  `private`: each network has a
    router of its own, so that projects may use the same addresses.
    """

    injected: bool = False
    routed: bool = True
    private: bool = False


_MANAGERS = {
    NetworkKind.FLAT: Manager(injected=True, routed=False),
    NetworkKind.FLAT_DHCP: Manager(),
    NetworkKind.VLAN: Manager(private=True),
    NetworkKind.VXLAN: Manager(private=True),
}


def manager_of(kind: NetworkKind) -> Manager:
    """Return what holds for a kind of network."""
    return _MANAGERS[kind]


def segments_of(kind: NetworkKind) -> range | None:
    """Return the numbers that tell networks of this kind apart on the wire; None where it has none."""
    match kind:
        case NetworkKind.VLAN:
            return VLAN_TAGS
        case NetworkKind.VXLAN:
            return VXLAN_IDENTIFIERS
        case NetworkKind.FLAT | NetworkKind.FLAT_DHCP:
            return None
        case _:
            assert_never(kind)


def why_not(network: Network, host: Host) -> str | None:
    """Return why a host can't have a network, or None if it can."""
    match network.kind:
        case NetworkKind.FLAT:
            if network.cluster is not None and network.cluster != host.cluster:
                return f"host {host.name} is in cluster {host.cluster}, network {network.name} in {network.cluster}"
        case NetworkKind.FLAT_DHCP:
            pass
        case NetworkKind.VLAN:
            if host.vlan_interface is None:
                return f"host {host.name} has no interface for VLANs"
        case NetworkKind.VXLAN:
            if host.endpoint is None:
                return f"host {host.name} has no tunnel endpoint"
        case _:
            assert_never(network.kind)
    return None


def carrier(
    kind: NetworkKind, segment: int | None, bridge: str | None, host: Host, gateway: TunnelPeer | None
) -> Carrier | None:
    """Return how a network is carried at a host that can have it; `gateway` is the router's port, if on another host.

    None is a network that stays on its host: the only one, or one without an interface for it.
    """
    match kind:
        case NetworkKind.FLAT:
            return OperatorBridge(bridge or "")
        case NetworkKind.FLAT_DHCP:
            return Trunk(host.trunk_interface) if host.trunk_interface else None
        case NetworkKind.VLAN:
            return Vlan(host.vlan_interface or "", segment or 0)
        case NetworkKind.VXLAN:
            return Vxlan(segment or 0, host.endpoint, gateway) if host.endpoint else None
        case _:
            assert_never(kind)
