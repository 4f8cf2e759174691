"""Nova's os-networks and os-tenant-networks, as projects see them."""

from mooring.dialects.openstack.calls import Answer, Call
from mooring.model.faults import NotFound
from mooring.model.nouns import Network


def list_networks(call: Call) -> Answer:
    """GET /os-networks."""
    return Answer(body={"networks": [_view(network) for network in call.operations.networks.listing(call.caller)]})


def show_network(call: Call) -> Answer:
    """GET /os-networks/{network}."""
    return Answer(body={"network": _view(_network(call))})


def list_tenant_networks(call: Call) -> Answer:
    """GET /os-tenant-networks."""
    networks = call.operations.networks.listing(call.caller)
    return Answer(body={"networks": [_tenant_view(network) for network in networks]})


def show_tenant_network(call: Call) -> Answer:
    """GET /os-tenant-networks/{network}."""
    return Answer(body={"network": _tenant_view(_network(call))})


def _network(call: Call) -> Network:
    # By id alone: clients try a name here first, and ask for the list when it isn't found.
    wanted = call.params["network"]
    for network in call.operations.networks.listing(call.caller):
        if network.id == wanted:
            return network
    raise NotFound("Network", wanted)


def _view(network: Network) -> dict[str, object]:
    dns = [str(server) for server in network.dns]
    return {
        "id": network.id,
        "label": network.name,
        "cidr": str(network.cidr),
        "netmask": str(network.cidr.netmask),
        "gateway": str(network.gateway),
        "broadcast": str(network.cidr.broadcast_address),
        "dns1": dns[0] if dns else None,
        "dns2": dns[1] if len(dns) > 1 else None,
        "cidr_v6": None,
        "gateway_v6": None,
        "netmask_v6": None,
    }


def _tenant_view(network: Network) -> dict[str, object]:
    return {"id": network.id, "label": network.name, "cidr": str(network.cidr)}
