"""DHCP: one server per network on the router's device, one entry per NIC, and never a lease for a stranger."""

from collections.abc import Iterator

from mooring.compile.facts import Fact, Key
from mooring.compile.links import router_place
from mooring.compile.tables import DHCP_HOST, DHCP_SERVER
from mooring.model.ids import inner_name
from mooring.model.subjects import NicIntent, RouterIntent


def router(subject: RouterIntent) -> Iterator[Fact]:
    """A router serves DHCP and DNS on each of its networks."""
    for port in subject.ports:
        dns = ",".join(str(server) for server in port.dns)
        value = (inner_name(port.network), port.address, dns, port.mtu, port.lease)
        yield Fact(Key(DHCP_SERVER, router_place(subject.id), (port.network,)), value)


def nic(subject: NicIntent) -> Iterator[Fact]:
    """A NIC has an entry with its first fixed IP."""
    if subject.router is not None and subject.addresses:
        value = (subject.addresses[0].address, subject.hostname)
        yield Fact(Key(DHCP_HOST, router_place(subject.router), (subject.network, subject.mac)), value)
