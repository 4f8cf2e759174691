"""A server's network cards: nova's os-virtual-interfaces and, with their addresses, os-interface, by which they come and go, too."""

from typing import Annotated

from pydantic import Field

from mooring.dialects.http import Refused, shown
from mooring.dialects.openstack.bodies import Body, Ipv4, Name, Reference
from mooring.dialects.openstack.calls import Answer, Call, Microversion
from mooring.model.ids import InstanceId, NicId
from mooring.model.nouns import Instance, InstanceState, Nic, Power
from mooring.operations import NewNic

_NETWORK_SINCE = Microversion(2, 12)


class WantedFixed(Body):
    """The address that a card shall have."""

    ip_address: Ipv4


class Attachment(Body):
    """A card to be made, on a network or on the only one, or a port that the project has made."""

    net_id: Reference | None = None
    port_id: Name | None = None
    fixed_ips: Annotated[list[WantedFixed], Field(max_length=1)] | None = None


class AttachBody(Body):
    """The body of POST /servers/{server}/os-interface."""

    attachment: Annotated[Attachment | None, Field(alias="interfaceAttachment")] = None


def list_virtual_interfaces(call: Call) -> Answer:
    """GET /servers/{server}/os-virtual-interfaces."""
    cards = [_virtual(call, nic) for nic in _server(call).nics]
    return Answer(body={"virtual_interfaces": cards})


def list_attachments(call: Call) -> Answer:
    """GET /servers/{server}/os-interface."""
    server = _server(call)
    return Answer(body={"interfaceAttachments": [_attachment(server, nic) for nic in server.nics]})


def show_attachment(call: Call) -> Answer:
    """GET /servers/{server}/os-interface/{port}."""
    server, port = _server(call), call.params["port"]
    for nic in server.nics:
        if nic.id == port:
            return Answer(body={"interfaceAttachment": _attachment(server, nic)})
    raise Refused(404, f"Instance {server.id} does not have a port with id {shown(port)}")


def attach(call: Call) -> Answer:
    """POST /servers/{server}/os-interface."""
    server = InstanceId(call.params["server"])
    wanted = (call.read(AttachBody).attachment if call.body else None) or Attachment()
    if wanted.port_id is not None:
        if wanted.net_id is not None:
            raise Refused(400, "Must not input both network_id and port_id")
        if wanted.fixed_ips:
            raise Refused(400, "Must input network_id when request IP address")
        return _attach(call, server, NewNic(nic=NicId(wanted.port_id)))
    addresses = [fixed.ip_address for fixed in wanted.fixed_ips or ()]
    if addresses and wanted.net_id is None:
        raise Refused(400, "Must input network_id when request IP address")
    new = NewNic(wanted.net_id, addresses[0] if addresses else None) if wanted.net_id is not None else None
    return _attach(call, server, new)


def _attach(call: Call, server: InstanceId, new: NewNic | None) -> Answer:
    made = call.operations.attachments.attach(call.caller, server, new, call.idempotency_key)
    return Answer(body={"interfaceAttachment": _attachment(_server(call), made)})


def detach(call: Call) -> Answer:
    """DELETE /servers/{server}/os-interface/{port}."""
    call.operations.attachments.detach(call.caller, NicId(call.params["port"]), InstanceId(call.params["server"]))
    return Answer(202)


def _server(call: Call) -> Instance:
    return call.operations.instances.get(call.caller, InstanceId(call.params["server"]))


def _virtual(call: Call, nic: Nic) -> dict[str, object]:
    view: dict[str, object] = {"id": nic.id, "mac_address": nic.mac}
    if call.speaks >= _NETWORK_SINCE:
        view["net_id"] = nic.network
    return view


def _attachment(server: Instance, nic: Nic) -> dict[str, object]:
    ready = server.state is InstanceState.ACTIVE and server.power is not Power.STOPPED and bool(nic.fixed)
    return {
        "port_id": nic.id,
        "net_id": nic.network,
        "mac_addr": nic.mac,
        "port_state": "ACTIVE" if ready else "BUILD",
        # A network of mooring's is one subnet.
        "fixed_ips": [{"subnet_id": nic.network, "ip_address": str(fixed.address)} for fixed in nic.fixed],
    }
