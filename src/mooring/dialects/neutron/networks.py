"""Networks: guest networks, those that have no subnet yet, and pools of floating IPs as external networks."""

from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from mooring.dialects.neutron.faults import NeutronRefused
from mooring.dialects.neutron.lists import View, collection, single
from mooring.dialects.neutron.marks import check_revision, expecting, tagged
from mooring.dialects.neutron.owners import check_owner
from mooring.dialects.openstack.bodies import Body, Name, NotOffered
from mooring.dialects.openstack.calls import Answer, Call
from mooring.model.faults import NotFound
from mooring.model.ids import NetworkId
from mooring.model.nouns import AddressPool, Network
from mooring.model.own import BareNetwork

# What belongs to no project in particular is owned by this one, as are the things that Neutron makes for itself.
NOBODY = ""

Seen: TypeAlias = Network | AddressPool | BareNetwork
"""What is a network here."""


class Attributes(Body):
    """What may be said of a network beside its name.  What mooring has no notion of may be there, but empty or as it is."""

    admin_state_up: Literal[True] = True
    shared: Literal[False] = False
    external: Annotated[Literal[False], Field(alias="router:external")] = False
    port_security_enabled: Literal[True] = True
    description: NotOffered = None
    mtu: NotOffered = None
    is_default: NotOffered = None
    dns_domain: NotOffered = None
    qos_policy_id: NotOffered = None


class NetworkChange(Attributes):
    """What changes of a network."""

    name: Name | None = None


class WantedNetwork(Attributes):
    """A network to be made."""

    name: Name
    tenant_id: Name | None = None
    project_id: Name | None = None
    availability_zone_hints: NotOffered = None
    segments: NotOffered = None
    vlan_transparent: NotOffered = None
    network_type: Annotated[NotOffered, Field(alias="provider:network_type")] = None
    physical_network: Annotated[NotOffered, Field(alias="provider:physical_network")] = None
    segmentation_id: Annotated[NotOffered, Field(alias="provider:segmentation_id")] = None


class CreateBody(Body):
    """The body of POST /networks."""

    network: WantedNetwork


class UpdateBody(Body):
    """The body of PUT /networks/{network}."""

    network: NetworkChange


def list_networks(call: Call) -> Answer:
    """GET /network/v2.0/networks."""
    return collection(call, "networks", [_network_view(each) for each in _all(call)])


def show_network(call: Call) -> Answer:
    """GET /network/v2.0/networks/{network}."""
    return single(call, "network", _network_view(_one(call, call.params["network"])))


def create_network(call: Call) -> Answer:
    """POST /network/v2.0/networks."""
    wanted = call.read(CreateBody).network
    check_owner(call, wanted.tenant_id, wanted.project_id)
    made = call.operations.own_networks.create(call.caller, wanted.name, call.idempotency_key)
    return single(call, "network", _network_view(made), 201)


def update_network(call: Call) -> Answer:
    """PUT /network/v2.0/networks/{network}."""
    wanted = call.read(UpdateBody).network
    if wanted.name is None:
        network = _one(call, call.params["network"])
        check_revision(call, "Network", network.marks)
        return single(call, "network", _network_view(network))
    call.operations.own_networks.rename(expecting(call), NetworkId(call.params["network"]), wanted.name)
    return show_network(call)


def delete_network(call: Call) -> Answer:
    """DELETE /network/v2.0/networks/{network}."""
    call.operations.own_networks.delete(expecting(call), NetworkId(call.params["network"]))
    return Answer(204)


def external(call: Call, network: str) -> AddressPool:
    """Return the pool that a network is.

    Raises:
        NotFound: there is no such network that the caller may know of.
        Refused: it is a guest network.
    """
    found = _one(call, network)
    if not isinstance(found, AddressPool):
        raise NeutronRefused(400, "BadRequest", f"Network {network} is not a valid external network.")
    return found


def _all(call: Call) -> Sequence[Seen]:
    operations, caller = call.operations, call.caller
    return [
        *operations.networks.listing(caller),
        *operations.own_networks.bare(caller),
        *operations.pools.listing(caller),
    ]


def _one(call: Call, wanted: str) -> Seen:
    # By id alone: clients try a name here first, and ask for the list when it isn't found.
    for each in _all(call):
        if each.id == wanted:
            return each
    raise NotFound("Network", wanted)


def owner(network: Seen) -> str:
    """Return the project that a network belongs to, as Neutron names it."""
    return NOBODY if isinstance(network, AddressPool) else network.project or NOBODY


def _network_view(network: Seen) -> View:
    whose = owner(network)
    guests = network if isinstance(network, Network) else None
    return {
        "id": network.id,
        "name": network.name,
        "tenant_id": whose,
        "project_id": whose,
        "admin_state_up": True,
        "status": "ACTIVE",
        # Everybody may take addresses of a pool, but nobody can be on it.
        "shared": guests is not None and guests.project is None,
        "router:external": isinstance(network, AddressPool),
        "subnets": [] if isinstance(network, BareNetwork) else [network.id],
        "mtu": guests.mtu if guests is not None else None,
        **tagged(network.marks),
    }
