"""Routers: the gateways that networks have by themselves, and those that projects make for their networks to meet."""

from typing import Literal

from mooring.dialects.neutron.faults import NeutronRefused
from mooring.dialects.neutron.lists import View, collection, single
from mooring.dialects.neutron.marks import expecting, tagged
from mooring.dialects.neutron.networks import NOBODY, external
from mooring.dialects.neutron.owners import check_owner
from mooring.dialects.neutron.router_ports import port_id
from mooring.dialects.openstack.bodies import Body, Name, NotOffered
from mooring.dialects.openstack.calls import Answer, Call
from mooring.model.faults import NotFound
from mooring.model.ids import NetworkId, PoolId, RouterId
from mooring.model.nouns import Network, Router
from mooring.operations import RouterChange as Changed


class Address(Body):
    """Where on an external network a router has an address; which one it is, is not asked."""

    subnet_id: Name | None = None
    ip_address: NotOffered = None


class Gateway(Body):
    """By which external network a router goes out; an empty one is none."""

    network_id: Name | None = None
    enable_snat: Literal[True] = True
    external_fixed_ips: list[Address] | None = None


class Attributes(Body):
    """What may be said of a router beside its name.  What mooring has no notion of may be there, but empty or as it is."""

    admin_state_up: Literal[True] = True
    external_gateway_info: Gateway | None = None
    routes: NotOffered = None
    description: NotOffered = None
    distributed: NotOffered = None
    ha: NotOffered = None


class RouterChange(Attributes):
    """What changes of a router."""

    name: Name | None = None


class WantedRouter(Attributes):
    """A router to be made."""

    name: Name
    tenant_id: Name | None = None
    project_id: Name | None = None
    availability_zone_hints: NotOffered = None
    flavor_id: NotOffered = None


class CreateBody(Body):
    """The body of POST /routers."""

    router: WantedRouter


class UpdateBody(Body):
    """The body of PUT /routers/{router}."""

    router: RouterChange


class Interface(Body):
    """What a router shall serve, or no longer: a subnet, by its id or by that of the router's port there."""

    subnet_id: Name | None = None
    port_id: Name | None = None


def list_routers(call: Call) -> Answer:
    """GET /network/v2.0/routers."""
    return collection(call, "routers", [_view(router) for router in call.operations.networks.routers(call.caller)])


def show_router(call: Call) -> Answer:
    """GET /network/v2.0/routers/{router}."""
    return single(call, "router", _view(_one(call)))


def create_router(call: Call) -> Answer:
    """POST /network/v2.0/routers."""
    wanted = call.read(CreateBody).router
    check_owner(call, wanted.tenant_id, wanted.project_id)
    pool = _pool(call, wanted.external_gateway_info)
    made = call.operations.own_routers.create(call.caller, wanted.name, pool, call.idempotency_key)
    return single(call, "router", _view(made), 201)


def update_router(call: Call) -> Answer:
    """PUT /network/v2.0/routers/{router}."""
    wanted = call.read(UpdateBody).router
    router = RouterId(call.params["router"])
    led = "external_gateway_info" in wanted.model_fields_set
    change = Changed(wanted.name, led, _pool(call, wanted.external_gateway_info))
    return single(call, "router", _view(call.operations.own_routers.change(expecting(call), router, change)))


def delete_router(call: Call) -> Answer:
    """DELETE /network/v2.0/routers/{router}."""
    call.operations.own_routers.delete(expecting(call), RouterId(call.params["router"]))
    return Answer(204)


def add_interface(call: Call) -> Answer:
    """PUT /network/v2.0/routers/{router}/add_router_interface."""
    wanted = call.read(Interface)
    if wanted.subnet_id is None or wanted.port_id is not None:
        if wanted.port_id is None:
            raise NeutronRefused(400, "BadRequest", "Invalid input for field subnet_id: it is required.")
        raise NotFound("NIC", wanted.port_id)
    router = RouterId(call.params["router"])
    network = call.operations.own_routers.add_network(expecting(call), router, NetworkId(wanted.subnet_id))
    return Answer(body=_interface(call, router, network))


def remove_interface(call: Call) -> Answer:
    """PUT /network/v2.0/routers/{router}/remove_router_interface."""
    wanted = call.read(Interface)
    router = RouterId(call.params["router"])
    subnet = wanted.subnet_id
    if wanted.port_id is not None:
        named = [network for network in _one(call).networks if port_id(router, network) == wanted.port_id]
        if not named or subnet not in (None, named[0]):
            raise NotFound("Router interface", wanted.port_id)
        subnet = named[0]
    if subnet is None:
        raise NeutronRefused(400, "BadRequest", "Invalid input for field subnet_id: it is required, or port_id.")
    network = call.operations.own_routers.remove_network(expecting(call), router, NetworkId(subnet))
    return Answer(body=_interface(call, router, network))


def _interface(call: Call, router: RouterId, network: Network) -> View:
    whose = network.project or call.caller.project.id
    return {
        "id": router,
        "subnet_id": network.id,
        "subnet_ids": [network.id],
        "port_id": port_id(router, network.id),
        "network_id": network.id,
        "tenant_id": whose,
        "project_id": whose,
    }


def _pool(call: Call, gateway: Gateway | None) -> PoolId | None:
    if gateway is None or gateway.network_id is None:
        return None
    pool = external(call, gateway.network_id)
    for address in gateway.external_fixed_ips or ():
        if address.subnet_id not in (None, pool.id):
            raise NotFound("Subnet", address.subnet_id)
    return pool.id


def _one(call: Call) -> Router:
    for router in call.operations.networks.routers(call.caller):
        if router.id == call.params["router"]:
            return router
    raise NotFound("Router", call.params["router"])


def _view(router: Router) -> View:
    whose = router.project or NOBODY
    return {
        "id": router.id,
        "name": router.name,
        "tenant_id": whose,
        "project_id": whose,
        "admin_state_up": True,
        "status": "ACTIVE",
        "external_gateway_info": _way_out(router),
        **tagged(router.marks),
    }


def _way_out(router: Router) -> dict[str, object] | None:
    """Return the first way out: Neutron's routers have one, and those that projects don't make one for each uplink."""
    for way in router.ways_out:
        pool = router.pool or way.pool
        return {
            "network_id": pool,
            "enable_snat": True,
            "external_fixed_ips": [{"subnet_id": pool, "ip_address": str(way.address)}],
        }
    return None
