"""Nova's os-fixed-ips, for administrators: who has an address of a guest network; and the server actions that give and take one."""

from collections.abc import Mapping
from ipaddress import AddressValueError, IPv4Address
from typing import Annotated

from pydantic import BeforeValidator, Field

from mooring.dialects.openstack.bodies import Body, Ip, Name, checked
from mooring.dialects.openstack.calls import Answer, Call, Microversion
from mooring.model.faults import NotFound
from mooring.model.ids import InstanceId
from mooring.model.nouns import Instance

_RESERVED_SINCE = Microversion(2, 4)


def show_fixed_ip(call: Call) -> Answer:
    """GET /os-fixed-ips/{fixed}; what is no address is one that nobody has."""
    found = call.operations.networks.fixed_address(call.caller, _address(call.params["fixed"]))
    view: dict[str, object] = {
        "address": str(found.address),
        "cidr": str(found.network.cidr),
        "hostname": found.instance.name if found.instance is not None else None,
        "host": found.host.name if found.host is not None else None,
    }
    if call.speaks >= _RESERVED_SINCE:
        view["reserved"] = found.reserved
    return Answer(body={"fixed_ip": view})


def _name(value: object) -> object:
    # Nova's own networks had numbers.
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class AddFixed(Body):
    """The inside of addFixedIp."""

    network_id: Annotated[Name, BeforeValidator(_name), Field(alias="networkId")]


class RemoveFixed(Body):
    """The inside of removeFixedIp."""

    address: Ip


def add(call: Call, inside: Mapping[str, object]) -> Answer:
    """The action addFixedIp: one more address on a network for the server's first card there."""
    network = checked(AddFixed, inside).network_id
    server = _server(call)
    call.words["network"] = network
    for nic in server.nics:
        if nic.network == network:
            call.operations.nics.add_fixed(call.caller, nic.id, None, call.idempotency_key)
            return Answer(202)
    raise NotFound("Network", network)


def remove(call: Call, inside: Mapping[str, object]) -> Answer:
    """The action removeFixedIp."""
    address = checked(RemoveFixed, inside).address
    call.words["address"] = str(address)
    for nic in _server(call).nics:
        for fixed in nic.fixed:
            if fixed.address == address:
                call.operations.nics.remove_fixed(call.caller, nic.id, fixed.address)
                return Answer(202)
    raise NotFound("Fixed IP", address)


def _server(call: Call) -> Instance:
    return call.operations.instances.get(call.caller, InstanceId(call.params["server"]))


def _address(text: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except AddressValueError:
        # No network can have it.  Asked for all the same: who may not ask is told that, and nothing else.
        return IPv4Address(0)
