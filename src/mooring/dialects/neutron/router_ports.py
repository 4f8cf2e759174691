"""Ports of the routers that projects make: where they meet their networks.  They come and go with that, and are not kept."""

from collections.abc import Iterator
from dataclasses import replace
from uuid import UUID, uuid5

from mooring.dialects.neutron.lists import View
from mooring.dialects.neutron.marks import tagged
from mooring.dialects.openstack.calls import Call
from mooring.model.ids import NetworkId, RouterId, is_uuid
from mooring.model.nouns import Network, OwnSubnet

_PORTS = UUID("5b7a2f0c-3c1e-4e77-9c53-706f7274732e")  # made up once, and never to be changed


def port_id(router: RouterId, network: NetworkId) -> str:
    """Return the id of a router's port on a network: always the same for the two."""
    return str(uuid5(UUID(router) if is_uuid(router) else _PORTS, f"{router} {network}"))


def router_ports(call: Call) -> Iterator[View]:
    """Return the ports of the routers that the caller may see."""
    made = [router for router in call.operations.networks.routers(call.caller) if router.made]
    if not made:
        return
    networks = {network.id: network for network in call.operations.networks.listing(call.caller)}
    for router in made:
        for network in router.networks:
            known = networks.get(network)
            if known is not None and known.own is not None:
                yield _view(router.id, known, known.own)


def router_port(call: Call, port: str) -> View | None:
    """Return a router's port that the caller may see, by its id."""
    return next((view for view in router_ports(call) if view["id"] == port), None)


def _view(router: RouterId, network: Network, subnet: OwnSubnet) -> View:
    return {
        "id": port_id(router, network.id),
        "name": "",
        "description": "",
        "network_id": network.id,
        "tenant_id": network.project,
        "project_id": network.project,
        "mac_address": subnet.mac,
        "admin_state_up": True,
        "status": "ACTIVE",
        "device_id": router,
        "device_owner": "network:router_interface",
        "fixed_ips": [{"subnet_id": network.id, "ip_address": str(network.gateway)}],
        "security_groups": [],
        # It comes and goes with the network's row, and has no tags of its own.
        **tagged(replace(network.subnet_marks, created=subnet.served or network.subnet_marks.created, tags=())),
    }
