"""The table of faults: complete, and every fault is told in Neutron's form."""

from collections.abc import Iterator
from ipaddress import IPv4Network

import pytest

from mooring.dialects.http import Refused
from mooring.dialects.neutron import faults as neutron
from mooring.dialects.neutron.routes import ROUTES
from mooring.model import faults
from mooring.model.faults import Fault, NotFound, QuotaExceeded, TooManyAttempts, Unavailable
from mooring.model.nouns import NetworkKind, Resource
from mooring.operations import NewInstance, NewNetwork, NewNic
from tests.cloud import FLAVORS, IMAGES, POOL_RANGE, Cloud
from tests.dialects.neutron.conftest import Client


def _leaves(fault: type[Fault] = Fault) -> Iterator[type[Fault]]:
    for below in fault.__subclasses__():
        yield below
        yield from _leaves(below)


def _made(fault: type[Fault]) -> Fault:
    match fault:
        case faults.NotFound:
            return NotFound("Ship", "Argo")
        case faults.QuotaExceeded:
            return QuotaExceeded("ships", 1)
        case faults.TooManyAttempts:
            return TooManyAttempts(7)
        case faults.InUse:
            return faults.InUse("Ship", "Argo", "Jason")
        case faults.Changed:
            return faults.Changed("Ship", "Argo")
        case faults.Invalid:
            return faults.Invalid("mast", "is broken")
        case _:
            return fault("The sea is rough.")


@pytest.mark.parametrize("fault", list(_leaves()), ids=lambda fault: fault.__name__)
def test_every_fault_is_in_the_table(fault: type[Fault]) -> None:
    refused = neutron.refusal(_made(fault), "network-networks", {})
    assert 400 <= refused.status < 600
    told = neutron.body_of(refused)["NeutronError"]
    assert isinstance(told, dict)
    assert set(told) == {"type", "message", "detail"}
    assert told["type"]
    assert ("Retry-After" in refused.headers) == issubclass(fault, Unavailable | TooManyAttempts)


def test_rows_name_routes_that_there_are() -> None:
    assert {row.route for row in neutron.TABLE if row.route} <= {route.name for route in ROUTES}


def test_what_has_no_type_has_a_general_one() -> None:
    assert neutron.body_of(Refused(418, "No.")) == {
        "NeutronError": {"type": "HTTPError", "message": "No.", "detail": ""}
    }


def new_server(network: str = "private") -> NewInstance:
    return NewInstance("vm", IMAGES[0].id, FLAVORS[0].id, (NewNic(network),))


def test_a_server_without_an_address_yet(cloud: Cloud, alice: Client) -> None:
    cloud.host.away = True
    caller = cloud.caller("alice")
    instance = cloud.operations.instances.create(caller, new_server())
    (pool,) = cloud.operations.pools.listing(caller)
    body = {"floatingip": {"floating_network_id": pool.id, "port_id": instance.nics[0].id}}
    answer = alice("POST", "/floatingips", body)
    assert (answer.status_code, answer.json()["NeutronError"]["type"]) == (400, "BadRequest")
    assert alice.get("/floatingips") == {"floatingips": []}
    assert alice.get("/ports")["ports"][0]["status"] == "BUILD"


def test_a_network_without_a_router_of_moorings(cloud: Cloud, alice: Client) -> None:
    flat = NewNetwork("flat", IPv4Network("10.9.0.0/24"), kind=NetworkKind.FLAT, bridge="br0")
    network = cloud.operations.networks.create(cloud.caller("root"), flat)
    caller = cloud.caller("alice")
    instance = cloud.operations.instances.create(caller, new_server(network.id))
    (pool,) = cloud.operations.pools.listing(caller)
    body = {"floatingip": {"floating_network_id": pool.id, "port_id": instance.nics[0].id}}
    answer = alice("POST", "/floatingips", body)
    assert (answer.status_code, answer.json()["NeutronError"]["type"]) == (404, "ExternalGatewayForFloatingIPNotFound")
    assert alice.get(f"/subnets/{network.id}")["subnet"]["enable_dhcp"] is False


def test_an_empty_pool(cloud: Cloud, alice: Client) -> None:
    (pool,) = cloud.operations.pools.listing(cloud.caller("root"))
    root = cloud.caller("root")
    cloud.operations.identity.set_quota(root, root.project.id, Resource.FLOATING_IPS, -1)
    for _ in range(len(POOL_RANGE) - 1):  # the router has one
        cloud.operations.addresses.allocate(root, None)
    answer = alice("POST", "/floatingips", {"floatingip": {"floating_network_id": pool.id}})
    assert (answer.status_code, answer.json()["NeutronError"]["type"]) == (409, "IpAddressGenerationFailure")
