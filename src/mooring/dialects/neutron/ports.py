"""Ports: the NICs of instances, those that projects make themselves, and where routers meet networks, see `router_ports`."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field

from mooring.dialects.http import shown
from mooring.dialects.neutron.faults import NeutronRefused
from mooring.dialects.neutron.lists import View, collection, single
from mooring.dialects.neutron.marks import check_revision, expecting, tagged
from mooring.dialects.neutron.owners import check_owner
from mooring.dialects.neutron.router_ports import router_port, router_ports
from mooring.dialects.openstack.bodies import Body, Ipv4, Name, NotOffered
from mooring.dialects.openstack.calls import Answer, Call
from mooring.model.faults import NotFound
from mooring.model.ids import GroupId, InstanceId, NetworkId, NicId
from mooring.model.nouns import Instance, InstanceState, Power
from mooring.operations import Card, NewOwnNic, NicChange
from mooring.policy.allowed import written

# As nova calls itself in its only zone.
_OWNER = "compute:nova"
_STATUS: Mapping[InstanceState, str] = {
    InstanceState.BUILDING: "BUILD",
    InstanceState.ACTIVE: "ACTIVE",
    InstanceState.ERROR: "ERROR",
    InstanceState.DELETING: "DOWN",
}


class WantedFixedIp(Body):
    """A fixed IP of a port: this one, or any of the subnet, which is the only one of its network."""

    subnet_id: Name | None = None
    ip_address: Ipv4 | None = None


class WantedPair(Body):
    """An address, or a prefix, that a port may use beside its fixed IPs, with the hardware address that it has anyhow."""

    ip_address: Name
    mac_address: Name | None = None


class WantedPort(Body):
    """What changes of a port: what isn't there stays.  What mooring has no notion of may be there, but empty."""

    security_groups: list[Name] | None = None
    fixed_ips: list[WantedFixedIp] | None = None
    allowed_address_pairs: list[WantedPair] | None = None
    admin_state_up: Literal[True] = True
    name: str | None = None
    description: str | None = None
    extra_dhcp_opts: NotOffered = None
    dns_name: NotOffered = None
    qos_policy_id: NotOffered = None
    binding_profile: Annotated[NotOffered, Field(alias="binding:profile")] = None


class PortBody(Body):
    """The body of PUT /ports/{port}."""

    port: WantedPort


class NewPort(WantedPort):
    """The inside of POST /ports.  Whose server it is in is said where that is made, or with os-interface."""

    network_id: Name
    mac_address: NotOffered = None
    device_id: Literal[""] | None = None
    device_owner: Literal[""] | None = None
    tenant_id: str | None = None
    project_id: str | None = None


class NewPortBody(Body):
    """The body of POST /ports."""

    port: NewPort


def create_port(call: Call) -> Answer:
    """POST /network/v2.0/ports."""
    wanted = call.read(NewPortBody).port
    check_owner(call, wanted.tenant_id, wanted.project_id)
    fixed, groups = wanted.fixed_ips, wanted.security_groups
    if fixed is not None:
        _check_subnets(wanted.network_id, fixed)
    pairs = wanted.allowed_address_pairs or []
    # No port has a hardware address before it is made.
    _check_macs(None, pairs)
    new = NewOwnNic(
        network=_network(call, wanted.network_id),
        fixed=tuple(each.ip_address for each in fixed) if fixed is not None else (None,),
        groups=tuple(_by_id(call, group) for group in groups) if groups is not None else None,
        allowed=tuple(pair.ip_address for pair in pairs),
        name=wanted.name or "",
        description=wanted.description or "",
    )
    made = call.operations.own_nics.create(call.caller, new, call.idempotency_key)
    card = call.operations.instances.of_nic(call.caller, made.id)
    return single(call, "port", port_view(card), 201)


def delete_port(call: Call) -> Answer:
    """DELETE /network/v2.0/ports/{port}."""
    if router_port(call, call.params["port"]) is not None:
        reason = f"Port {call.params['port']} is a router's interface: take it from the router."
        raise NeutronRefused(409, "ServicePortInUse", reason)
    call.operations.own_nics.delete(expecting(call), NicId(call.params["port"]))
    return Answer(204)


def list_ports(call: Call) -> Answer:
    """GET /network/v2.0/ports."""
    views = [port_view(card) for card in _cards(call)]
    return collection(call, "ports", [*views, *router_ports(call)])


def show_port(call: Call) -> Answer:
    """GET /network/v2.0/ports/{port}."""
    if (view := router_port(call, call.params["port"])) is not None:
        return single(call, "port", view)
    card = call.operations.instances.of_nic(call.caller, NicId(call.params["port"]))
    return single(call, "port", port_view(card))


def update_port(call: Call) -> Answer:
    """PUT /network/v2.0/ports/{port}."""
    nic = NicId(call.params["port"])
    wanted = call.read(PortBody).port
    groups, fixed, pairs = wanted.security_groups, wanted.fixed_ips, wanted.allowed_address_pairs
    known = call.operations.nics.changeable(call.caller, nic)
    if fixed is not None:
        _check_subnets(known.network, fixed)
    if "allowed_address_pairs" in wanted.model_fields_set:
        # Null takes them all, as an empty list does.
        pairs = pairs or []
        _check_macs(known.mac, pairs)
    change = NicChange(
        groups=tuple(_by_id(call, group) for group in groups) if groups is not None else None,
        fixed=tuple(each.ip_address for each in fixed) if fixed is not None else None,
        allowed=tuple(pair.ip_address for pair in pairs) if pairs is not None else None,
        name=wanted.name,
        description=wanted.description,
    )
    if change != NicChange():
        call.operations.nics.change(expecting(call), nic, change)
    else:
        check_revision(call, "NIC", known.marks)
    return show_port(call)


def _check_subnets(network: str, wanted: Sequence[WantedFixedIp]) -> None:
    for each in wanted:
        if each.subnet_id is None and each.ip_address is None:
            raise NeutronRefused(
                400, "InvalidInput", "Invalid input for fixed_ips: subnet_id or ip_address is required."
            )
        if each.subnet_id not in (None, network):
            raise NeutronRefused(
                400,
                "InvalidInput",
                f"Invalid input for fixed_ips: {shown(str(each.subnet_id))} is not the port's subnet.",
            )


def _check_macs(mac: str | None, wanted: Sequence[WantedPair]) -> None:
    for pair in wanted:
        if pair.mac_address is not None and pair.mac_address.lower().replace("-", ":") != mac:
            raise NeutronRefused(
                400,
                "InvalidInput",
                f"Invalid input for allowed_address_pairs: {shown(pair.mac_address)} is not the port's MAC address, "
                "which is the only one that it may use.",
            )


def _by_id(call: Call, group: str) -> GroupId:
    """Return a group's id; a name, which the operation would take too, is none."""
    return call.operations.groups.get(call.caller, GroupId(group)).id


def _network(call: Call, network: str) -> NetworkId:
    """Return a network's id; a name, which the operation would take too, is none."""
    known = {each.id for each in call.operations.networks.listing(call.caller)}
    if network not in known | {each.id for each in call.operations.own_networks.bare(call.caller)}:
        raise NotFound("Network", network)
    return NetworkId(network)


def _cards(call: Call) -> Iterator[Card]:
    """Return the cards that are asked for; whose cards of a server, as clients do for each, costs one server."""
    devices = [value for name, value in call.parameters if name == "device_id" and value]
    if len(devices) == 1:
        try:
            instances: Sequence[Instance] = [call.operations.instances.get(call.caller, InstanceId(devices[0]))]
        except NotFound:
            return
    else:
        instances = call.operations.instances.listing(call.caller, every_project=True)
        for loose in call.operations.own_nics.listing(call.caller, every_project=True):
            if loose.own is not None:
                yield Card(loose, loose.own.project, None)
    yield from (Card(nic, instance.project, instance) for instance in instances for nic in instance.nics)


def port_view(card: Card) -> View:
    """Return a NIC as Neutron shows it."""
    nic, instance = card.nic, card.instance
    runs = instance is not None and instance.power is not Power.STOPPED
    return {
        "id": nic.id,
        "name": nic.own.name if nic.own is not None else "",
        "description": nic.own.description if nic.own is not None else "",
        "network_id": nic.network,
        "tenant_id": card.project,
        "project_id": card.project,
        "mac_address": nic.mac,
        "admin_state_up": True,
        "status": _STATUS[instance.state] if instance is not None and runs else "DOWN",
        "device_id": instance.id if instance is not None else "",
        "device_owner": _OWNER if instance is not None else "",
        "fixed_ips": [{"subnet_id": nic.network, "ip_address": str(fixed.address)} for fixed in nic.fixed],
        "security_groups": [group.id for group in nic.groups],
        "allowed_address_pairs": [{"mac_address": nic.mac, "ip_address": written(prefix)} for prefix in nic.allowed],
        **tagged(nic.marks),
    }
