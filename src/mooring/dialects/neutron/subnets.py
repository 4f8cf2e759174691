"""Subnets: the addresses of a network or a pool.  A network has one, which is called by the network's own id."""

from collections.abc import Sequence
from ipaddress import IPv4Network
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from mooring.dialects.neutron.faults import NeutronRefused
from mooring.dialects.neutron.lists import View, collection, single
from mooring.dialects.neutron.marks import expecting, tagged
from mooring.dialects.neutron.networks import owner
from mooring.dialects.neutron.owners import check_owner
from mooring.dialects.openstack.bodies import Body, Ipv4, Name, NotOffered
from mooring.dialects.openstack.calls import Answer, Call
from mooring.model.faults import NotFound
from mooring.model.ids import NetworkId, SubnetPoolId
from mooring.model.nouns import AddressPool, AddressRange, Network
from mooring.operations import NewSubnet, SubnetChange
from mooring.policy.addresses import given_out, without
from mooring.policy.managers import manager_of


def _prefix(value: object) -> IPv4Network:
    if not isinstance(value, str):
        raise ValueError("must be a text")  # noqa: TRY004 - pydantic turns ValueErrors into its own
    try:
        return IPv4Network(value)
    except ValueError as error:
        raise ValueError("must be an IPv4 prefix, without bits beyond it") from error


def _dhcp(value: bool) -> bool:  # noqa: FBT001 - a validator
    if not value:
        raise ValueError("guests get their addresses by DHCP here: leave it true")
    return value


Prefix = Annotated[IPv4Network, BeforeValidator(_prefix)]


class Part(Body):
    """A range that addresses are given out of."""

    start: Ipv4
    end: Ipv4


class WantedChange(Body):
    """What changes of a subnet.  What mooring has no notion of may be there, but empty or as it is."""

    name: Annotated[str, Field(max_length=255)] | None = None
    gateway_ip: Ipv4 | None = None
    dns_nameservers: list[Ipv4] | None = None
    allocation_pools: list[Part] | None = None
    enable_dhcp: Annotated[bool, AfterValidator(_dhcp)] = True
    host_routes: NotOffered = None
    description: NotOffered = None
    service_types: NotOffered = None
    dns_publish_fixed_ip: NotOffered = None
    segment_id: NotOffered = None


class WantedSubnet(WantedChange):
    """A subnet to be made."""

    network_id: Name
    ip_version: Literal[4] = 4
    cidr: Prefix | None = None
    subnetpool_id: Name | None = None
    prefixlen: int | None = None
    use_default_subnetpool: Literal[False] = False
    ipv6_ra_mode: NotOffered = None
    ipv6_address_mode: NotOffered = None
    tenant_id: Name | None = None
    project_id: Name | None = None


class CreateBody(Body):
    """The body of POST /subnets."""

    subnet: WantedSubnet


class UpdateBody(Body):
    """The body of PUT /subnets/{subnet}."""

    subnet: WantedChange


def list_subnets(call: Call) -> Answer:
    """GET /network/v2.0/subnets."""
    return collection(call, "subnets", [_view(each) for each in _all(call)])


def show_subnet(call: Call) -> Answer:
    """GET /network/v2.0/subnets/{subnet}."""
    for each in _all(call):
        if each.id == call.params["subnet"]:
            return single(call, "subnet", _view(each))
    raise NotFound("Subnet", call.params["subnet"])


def create_subnet(call: Call) -> Answer:
    """POST /network/v2.0/subnets."""
    wanted = call.read(CreateBody).subnet
    check_owner(call, wanted.tenant_id, wanted.project_id)
    _check_gateway(wanted)
    if wanted.prefixlen is not None and (wanted.subnetpool_id is None or wanted.cidr is not None):
        raise NeutronRefused(400, "BadRequest", "prefixlen goes with subnetpool_id, and not with cidr.")
    new = NewSubnet(
        network=NetworkId(wanted.network_id),
        name=wanted.name or "",
        cidr=wanted.cidr,
        gateway=wanted.gateway_ip,
        dns=tuple(wanted.dns_nameservers or ()),
        ranges=_ranges(wanted) or (),
        pool=None if wanted.subnetpool_id is None else SubnetPoolId(wanted.subnetpool_id),
        length=wanted.prefixlen,
    )
    made = call.operations.own_networks.add_subnet(call.caller, new, call.idempotency_key)
    return single(call, "subnet", _view(made), 201)


def update_subnet(call: Call) -> Answer:
    """PUT /network/v2.0/subnets/{subnet}."""
    wanted = call.read(UpdateBody).subnet
    _check_gateway(wanted)
    dns = None if wanted.dns_nameservers is None else tuple(wanted.dns_nameservers)
    change = SubnetChange(wanted.name, wanted.gateway_ip, dns, _ranges(wanted))
    changed = call.operations.own_networks.change_subnet(expecting(call), NetworkId(call.params["subnet"]), change)
    return single(call, "subnet", _view(changed))


def delete_subnet(call: Call) -> Answer:
    """DELETE /network/v2.0/subnets/{subnet}."""
    call.operations.own_networks.delete_subnet(expecting(call), NetworkId(call.params["subnet"]))
    return Answer(204)


def _check_gateway(wanted: WantedChange) -> None:
    if "gateway_ip" in wanted.model_fields_set and wanted.gateway_ip is None:
        reason = "Invalid input for field subnet.gateway_ip: a subnet has a gateway here; leave it out for the first address."
        raise NeutronRefused(400, "InvalidInput", reason)


def _ranges(wanted: WantedChange) -> tuple[AddressRange, ...] | None:
    if wanted.allocation_pools is None:
        return None
    return tuple(AddressRange(part.start, part.end) for part in wanted.allocation_pools)


def _all(call: Call) -> Sequence[Network | AddressPool]:
    return [*call.operations.networks.listing(call.caller), *call.operations.pools.listing(call.caller)]


def _view(network: Network | AddressPool) -> View:
    whose = owner(network)
    guests = network if isinstance(network, Network) else None
    own = guests.own if guests is not None else None
    return {
        "id": network.id,
        "name": network.name if own is None else own.name,
        "network_id": network.id,
        "tenant_id": whose,
        "project_id": whose,
        "ip_version": 4,
        "cidr": str(network.cidr),
        "gateway_ip": str(network.gateway),
        "allocation_pools": [{"start": str(part.first), "end": str(part.last)} for part in _given_out(network)],
        "dns_nameservers": [str(server) for server in guests.dns] if guests is not None else [],
        "host_routes": [],
        "enable_dhcp": guests is not None and not manager_of(guests.kind).injected,
        "ipv6_address_mode": None,
        "ipv6_ra_mode": None,
        "subnetpool_id": own.pool if own is not None else None,
        **tagged(network.subnet_marks),
    }


def _given_out(network: Network | AddressPool) -> Sequence[AddressRange]:
    """Return what addresses are given out of: of a subnet, never its gateway's."""
    if isinstance(network, AddressPool):
        return network.ranges
    return without(given_out(network), AddressRange(network.gateway, network.gateway))
