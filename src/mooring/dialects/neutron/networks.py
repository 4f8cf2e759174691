"""Networks and subnets: guest networks, and pools of floating IPs as external networks.

A network has one subnet, which is called by the network's own id.
"""

from collections.abc import Sequence

from mooring.dialects.neutron.faults import NeutronRefused
from mooring.dialects.neutron.lists import View, collection, single
from mooring.dialects.openstack.calls import Answer, Call
from mooring.model.faults import NotFound
from mooring.model.nouns import AddressPool, AddressRange, Network
from mooring.policy.addresses import usable
from mooring.policy.managers import manager_of

# What belongs to no project in particular is owned by this one, as are the things that Neutron makes for itself.
NOBODY = ""


def list_networks(call: Call) -> Answer:
    """GET /network/v2.0/networks."""
    return collection(call, "networks", [_network_view(each) for each in _all(call)])


def show_network(call: Call) -> Answer:
    """GET /network/v2.0/networks/{network}."""
    return single(call, "network", _network_view(_one(call, "Network", call.params["network"])))


def list_subnets(call: Call) -> Answer:
    """GET /network/v2.0/subnets."""
    return collection(call, "subnets", [_subnet_view(each) for each in _all(call)])


def show_subnet(call: Call) -> Answer:
    """GET /network/v2.0/subnets/{subnet}."""
    return single(call, "subnet", _subnet_view(_one(call, "Subnet", call.params["subnet"])))


def external(call: Call, network: str) -> AddressPool:
    """Return the pool that a network is.

    Raises:
        NotFound: there is no such network that the caller may know of.
        Refused: it is a guest network.
    """
    found = _one(call, "Network", network)
    if isinstance(found, Network):
        raise NeutronRefused(400, "BadRequest", f"Network {network} is not a valid external network.")
    return found


def _all(call: Call) -> Sequence[Network | AddressPool]:
    return [*call.operations.networks.listing(call.caller), *call.operations.pools.listing(call.caller)]


def _one(call: Call, noun: str, wanted: str) -> Network | AddressPool:
    # By id alone: clients try a name here first, and ask for the list when it isn't found.
    for each in _all(call):
        if each.id == wanted:
            return each
    raise NotFound(noun, wanted)


def _owner(network: Network | AddressPool) -> str:
    return (network.project or NOBODY) if isinstance(network, Network) else NOBODY


def _network_view(network: Network | AddressPool) -> View:
    owner = _owner(network)
    guests = network if isinstance(network, Network) else None
    return {
        "id": network.id,
        "name": network.name,
        "tenant_id": owner,
        "project_id": owner,
        "admin_state_up": True,
        "status": "ACTIVE",
        # Everybody may take addresses of a pool, but nobody can be on it.
        "shared": guests is not None and guests.project is None,
        "router:external": guests is None,
        "subnets": [network.id],
        "mtu": guests.mtu if guests is not None else None,
    }


def _subnet_view(network: Network | AddressPool) -> View:
    owner = _owner(network)
    guests = network if isinstance(network, Network) else None
    return {
        "id": network.id,
        "name": network.name,
        "network_id": network.id,
        "tenant_id": owner,
        "project_id": owner,
        "ip_version": 4,
        "cidr": str(network.cidr),
        "gateway_ip": str(network.gateway),
        "allocation_pools": [{"start": str(part.first), "end": str(part.last)} for part in _given_out(network)],
        "dns_nameservers": [str(server) for server in guests.dns] if guests is not None else [],
        "host_routes": [],
        "enable_dhcp": guests is not None and not manager_of(guests.kind).injected,
        "ipv6_address_mode": None,
        "ipv6_ra_mode": None,
    }


def _given_out(network: Network | AddressPool) -> Sequence[AddressRange]:
    """Return what addresses are given out of: of a subnet, all but its gateway's."""
    if isinstance(network, AddressPool):
        return network.ranges
    whole = usable(network.cidr)
    parts = (AddressRange(whole.first, network.gateway - 1), AddressRange(network.gateway + 1, whole.last))
    return [part for part in parts if part.first <= part.last]
