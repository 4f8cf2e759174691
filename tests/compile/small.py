"""A small host for golden files: one router with two networks and one uplink, four NICs, two floating IPs of eight."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface

from mooring.model.ids import NetworkId, NicId, RouterId
from mooring.model.subjects import NetworkIntent, NicAddress, NicIntent, PublicAddress, RouterIntent, RouterPort
from tests.strategies import Cloud, mac, pool, router_uplink, uuid

RED, BLUE = NetworkId(uuid("a", 1)), NetworkId(uuid("a", 2))
ROUTER = RouterId(uuid("b", 0))
ALICE, BOB, CAROL, DAVE = (NicId(uuid("d", number)) for number in range(4))
FIRST, SECOND, FREE = pool(0)[:3]

_PORTS = (
    RouterPort(RED, mac(0xA0, 1), IPv4Interface("10.0.1.1/24"), (IPv4Address("9.9.9.9"),), 1500, 3600),
    RouterPort(BLUE, mac(0xA0, 2), IPv4Interface("10.0.2.1/24"), (), 1400, 600),
)


def nic(id: NicId, network: NetworkId, *addresses: str) -> NicIntent:
    """Return a NIC without floating IPs; the world knows it by the router's address."""
    number = int(id[1:8], 16)
    fixed = tuple(NicAddress(IPv4Address(text)) for text in addresses)
    return NicIntent(id, 1, network, ROUTER, mac(0xD0, number), f"guest-{number}", fixed, (shared(),))


def shared() -> PublicAddress:
    """Return the router's own address as NICs know it."""
    return replace(FIRST, address=router_uplink(0, 0).address.ip)


def small(*, others: int = 0) -> Cloud:
    """Return the cloud: Alice and Bob on one network, Carol with a secondary address and Dave, who may not go out, on the other.

    `others` is how many more NICs there are, each with a floating IP of its own.
    """
    nics = [
        nic(ALICE, RED, "10.0.1.3"),
        nic(BOB, RED, "10.0.1.4"),
        nic(CAROL, BLUE, "10.0.2.3", "10.0.2.33"),
        replace(nic(DAVE, BLUE, "10.0.2.4"), shared=()),
    ]
    for number in range(others):
        address = IPv4Address("10.0.1.100") + number
        one = nic(NicId(uuid("d", 100 + number)), RED, str(address))
        public = replace(FIRST, address=IPv4Address("198.51.100.64") + number)
        nics.append(replace(one, addresses=(NicAddress(address, (public,)),)))
    router = RouterIntent(ROUTER, 1, _PORTS, (router_uplink(0, 0),))
    cloud = Cloud((NetworkIntent(RED, 1, 1500), NetworkIntent(BLUE, 1, 1400)), (router,), tuple(nics))
    cloud = cloud.associated(FIRST, ALICE, IPv4Address("10.0.1.3"))
    return cloud.associated(SECOND, CAROL, IPv4Address("10.0.2.33"))
