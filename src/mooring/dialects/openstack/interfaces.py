"""A server's network cards: nova's os-virtual-interfaces and, with their addresses, os-interface.

Cards are made with the server and go with it: none is attached or detached later.
"""

from mooring.dialects.http import Refused, shown
from mooring.dialects.openstack.calls import Answer, Call, Microversion
from mooring.model.ids import InstanceId
from mooring.model.nouns import Instance, InstanceState, Nic, Power

_NETWORK_SINCE = Microversion(2, 12)


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
