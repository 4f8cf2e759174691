"""How a network gets from host to host: by the operator's bridge, an interface, a VLAN, or a VXLAN whose forwarding is told, not learned.

guests --[ bridge mbNNNN ]-- interface | mvNNNN (tag) | mxNNNN (tunnel) --> other hosts
"""

from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import assert_never

from mooring.compile.facts import HOST, Fact, Key
from mooring.compile.tables import BRIDGE, FDB, NEIGHBOUR, TRUNK, VLAN, VXLAN
from mooring.model.ids import NetworkId, bridge_name, vlan_name, vxlan_name
from mooring.model.subjects import NetworkIntent, NicIntent, OperatorBridge, Trunk, TunnelPeer, Vlan, Vxlan

EVERYBODY = "00:00:00:00:00:00"
"""The forwarding entry for frames to an address that has none of its own, broadcasts among them."""


def network(subject: NetworkIntent) -> Iterator[Fact]:
    """A network is one bridge on each of its hosts, and a device that joins it to the others."""
    bridge = bridge_name(subject.id)
    if isinstance(subject.carrier, OperatorBridge):
        return
    yield Fact(Key(BRIDGE, HOST, (bridge,)), (subject.mtu,))
    match subject.carrier:
        case None:
            pass
        case Trunk():
            yield Fact(Key(TRUNK, HOST, (subject.carrier.interface,)), (bridge,))
        case Vlan():
            value = (subject.carrier.interface, subject.carrier.tag, bridge, subject.mtu)
            yield Fact(Key(VLAN, HOST, (vlan_name(subject.id),)), value)
        case Vxlan():
            yield from _vxlan(subject, subject.carrier)
        case _:
            assert_never(subject.carrier)


def _vxlan(subject: NetworkIntent, carrier: Vxlan) -> Iterator[Fact]:
    device = vxlan_name(subject.id)
    value = (carrier.vni, carrier.endpoint, bridge_name(subject.id), subject.mtu)
    yield Fact(Key(VXLAN, HOST, (device,)), value)
    if carrier.gateway is not None:
        yield from _peer(subject.id, carrier.gateway)
        # Only the router's host hears broadcasts: it serves DHCP.  Guests' ARP is answered on their own host.
        yield Fact(Key(FDB, HOST, (device, EVERYBODY)), (carrier.gateway.endpoint,))


def peer(subject: NicIntent) -> Iterator[Fact]:
    """A NIC on another host: where its frames go, and who has its addresses."""
    if subject.endpoint is None:
        return
    device = vxlan_name(subject.network)
    yield Fact(Key(FDB, HOST, (device, subject.mac)), (subject.endpoint,))
    extra = subject.filter.extra if subject.filter is not None else ()
    own = (*(fixed.address for fixed in subject.addresses), *(it for it in extra if isinstance(it, IPv4Address)))
    for address in dict.fromkeys(own):
        yield _neighbour(subject.network, address, subject.mac)


def _peer(network: NetworkId, peer: TunnelPeer) -> Iterator[Fact]:
    yield Fact(Key(FDB, HOST, (vxlan_name(network), peer.mac)), (peer.endpoint,))
    yield _neighbour(network, peer.address, peer.mac)


def _neighbour(network: NetworkId, address: IPv4Address, mac: str) -> Fact:
    return Fact(Key(NEIGHBOUR, HOST, (vxlan_name(network), address)), (mac,))
