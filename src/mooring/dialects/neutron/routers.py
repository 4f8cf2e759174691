"""Routers: the gateways that networks have by themselves."""

from mooring.dialects.neutron.lists import View, collection, single
from mooring.dialects.neutron.networks import NOBODY
from mooring.dialects.openstack.calls import Answer, Call
from mooring.model.faults import NotFound
from mooring.model.nouns import Router


def list_routers(call: Call) -> Answer:
    """GET /network/v2.0/routers."""
    return collection(call, "routers", [_view(router) for router in call.operations.networks.routers(call.caller)])


def show_router(call: Call) -> Answer:
    """GET /network/v2.0/routers/{router}."""
    for router in call.operations.networks.routers(call.caller):
        if router.id == call.params["router"]:
            return single(call, "router", _view(router))
    raise NotFound("Router", call.params["router"])


def _view(router: Router) -> View:
    owner = router.project or NOBODY
    return {
        "id": router.id,
        "name": router.name,
        "tenant_id": owner,
        "project_id": owner,
        "admin_state_up": True,
        "status": "ACTIVE",
        "external_gateway_info": _way_out(router),
    }


def _way_out(router: Router) -> dict[str, object] | None:
    """Return the first way out: Neutron's routers have one, and ours one for each uplink."""
    for way in router.ways_out:
        return {
            "network_id": way.pool,
            "enable_snat": True,
            "external_fixed_ips": [{"subnet_id": way.pool, "ip_address": str(way.address)}],
        }
    return None
