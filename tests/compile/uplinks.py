"""The small host with three providers: Alice has an address of each and prefers among them, Bob has two and prefers nothing."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

from mooring.compile.links import router_place
from mooring.model.subjects import Egress, EgressPreference, PublicAddress
from tests.compile.small import ALICE, BOB, FIRST, ROUTER, SECOND, small
from tests.strategies import Cloud, pool, router_uplink, way_out

ALICE_IP, BOB_IP, OUTSIDE = IPv4Address("10.0.1.3"), IPv4Address("10.0.1.4"), IPv4Address("192.0.2.77")
ALICES = tuple(pool(number)[0] for number in range(3))
BOBS = tuple(pool(number)[1] for number in range(2))
PLACE = router_place(ROUTER)


def preferences(*wanted: tuple[str, PublicAddress]) -> tuple[EgressPreference, ...]:
    """Return preferences: towards a prefix leave as an address."""
    return tuple(EgressPreference(IPv4Network(prefix), way_out(public)) for prefix, public in wanted)


def with_egress(cloud: Cloud, private: IPv4Address, egress: Egress | None) -> Cloud:
    """Return the cloud after a guest address has other preferences."""
    nics = (
        replace(
            nic,
            addresses=tuple(
                replace(fixed, egress=egress) if fixed.address == private else fixed for fixed in nic.addresses
            ),
        )
        for nic in cloud.nics
    )
    return replace(cloud, nics=tuple(nics))


def three() -> Cloud:
    """Return the cloud: Alice leaves by the second provider towards 192.0.2.0/24, by the third towards a part of that, else by the first."""
    cloud = small().without(FIRST).without(SECOND)
    uplinks = tuple(router_uplink(0, number) for number in range(3))
    shared = tuple(PublicAddress(side.address.ip, side.uplink) for side in uplinks)
    nics = tuple(replace(nic, shared=shared if nic.shared else ()) for nic in cloud.nics)
    cloud = replace(cloud, routers=(replace(cloud.routers[0], uplinks=uplinks),), nics=nics)
    for public in ALICES:
        cloud = cloud.associated(public, ALICE, ALICE_IP)
    for public in BOBS:
        cloud = cloud.associated(public, BOB, BOB_IP)
    told = preferences(("0.0.0.0/0", ALICES[0]), ("192.0.2.0/24", ALICES[1]), ("192.0.2.64/26", ALICES[2]))
    return with_egress(cloud, ALICE_IP, Egress(1, told))
