"""Ports: the NICs of instances, which come and go with them."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field

from mooring.dialects.neutron.lists import View, collection, single
from mooring.dialects.openstack.bodies import Body, Name, NotOffered
from mooring.dialects.openstack.calls import Answer, Call
from mooring.model.faults import NotFound
from mooring.model.ids import GroupId, InstanceId, NicId
from mooring.model.nouns import Instance, InstanceState, Nic

# As nova calls itself in its only zone.
_OWNER = "compute:nova"
_STATUS: Mapping[InstanceState, str] = {
    InstanceState.BUILDING: "BUILD",
    InstanceState.ACTIVE: "ACTIVE",
    InstanceState.ERROR: "ERROR",
    InstanceState.DELETING: "DOWN",
}


class WantedPort(Body):
    """What changes of a port: its security groups.  What mooring has no notion of may be there, but empty."""

    security_groups: list[Name] | None = None
    admin_state_up: Literal[True] = True
    name: NotOffered = None
    description: NotOffered = None
    allowed_address_pairs: NotOffered = None
    extra_dhcp_opts: NotOffered = None
    dns_name: NotOffered = None
    qos_policy_id: NotOffered = None
    binding_profile: Annotated[NotOffered, Field(alias="binding:profile")] = None


class PortBody(Body):
    """The body of PUT /ports/{port}."""

    port: WantedPort


def list_ports(call: Call) -> Answer:
    """GET /network/v2.0/ports."""
    views = [port_view(instance, nic) for instance in _instances(call) for nic in instance.nics]
    return collection(call, "ports", views)


def show_port(call: Call) -> Answer:
    """GET /network/v2.0/ports/{port}."""
    instance, nic = call.operations.instances.of_nic(call.caller, NicId(call.params["port"]))
    return single(call, "port", port_view(instance, nic))


def update_port(call: Call) -> Answer:
    """PUT /network/v2.0/ports/{port}."""
    nic = NicId(call.params["port"])
    groups = call.read(PortBody).port.security_groups
    if groups is not None:
        call.operations.groups.assign(call.caller, nic, [_by_id(call, group) for group in groups])
    return show_port(call)


def _by_id(call: Call, group: str) -> GroupId:
    """Return a group's id; a name, which the operation would take too, is none."""
    return call.operations.groups.get(call.caller, GroupId(group)).id


def _instances(call: Call) -> Sequence[Instance]:
    """Return the instances whose ports are asked for; whose ports of a server, as clients do for each, costs one server."""
    devices = [value for name, value in call.parameters if name == "device_id"]
    if len(devices) != 1:
        return call.operations.instances.listing(call.caller, every_project=True)
    try:
        return [call.operations.instances.get(call.caller, InstanceId(devices[0]))]
    except NotFound:
        return []


def port_view(instance: Instance, nic: Nic) -> View:
    """Return a NIC as Neutron shows it."""
    return {
        "id": nic.id,
        "name": "",
        "network_id": nic.network,
        "tenant_id": instance.project,
        "project_id": instance.project,
        "mac_address": nic.mac,
        "admin_state_up": True,
        "status": _STATUS[instance.state],
        "device_id": instance.id,
        "device_owner": _OWNER,
        "fixed_ips": [{"subnet_id": nic.network, "ip_address": str(fixed.address)} for fixed in nic.fixed],
        "security_groups": [group.id for group in nic.groups],
    }
