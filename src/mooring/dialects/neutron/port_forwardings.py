"""Port forwardings of floating IPs: ports that lead to ports of guests, one by one or in ranges."""

import re
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, Field

from mooring.dialects.http import Refused, shown
from mooring.dialects.neutron.lists import View, collection, single
from mooring.dialects.neutron.marks import unconditional
from mooring.dialects.openstack.bodies import Body, Ipv4, Name
from mooring.dialects.openstack.calls import Answer, Call
from mooring.model.ids import AddressId, ForwardingId, NicId
from mooring.model.nouns import PortForwarding
from mooring.operations import ForwardingChange, NewForwarding

_RANGE = re.compile(r"[0-9]{1,5}(:[0-9]{1,5})?")


def _range(text: str) -> str:
    if not _RANGE.fullmatch(text):
        raise ValueError(f"{shown(text)} is not a range of ports, as in 8000:8010")
    return text


PortRange = Annotated[str, Field(max_length=255), AfterValidator(_range)]


class Wanted(Body):
    """What a port forwarding is from now on."""

    internal_port_id: Name | None = None
    internal_ip_address: Ipv4 | None = None
    internal_port: int | None = None
    internal_port_range: PortRange | None = None
    external_port: int | None = None
    external_port_range: PortRange | None = None
    protocol: Name | None = None
    description: Annotated[str, Field(max_length=255)] | None = None


class ForwardingBody(Body):
    """The body of POST /floatingips/{floatingip}/port_forwardings, and of PUT to one of them."""

    port_forwarding: Wanted


def list_port_forwardings(call: Call) -> Answer:
    """GET /network/v2.0/floatingips/{floatingip}/port_forwardings."""
    found = call.operations.forwardings.of_floating(call.caller, _floating(call))
    return collection(call, "port_forwardings", [_view(each) for each in found])


def show_port_forwarding(call: Call) -> Answer:
    """GET /network/v2.0/floatingips/{floatingip}/port_forwardings/{forwarding}."""
    found = call.operations.forwardings.get(call.caller, _id(call), of=_floating(call))
    return single(call, "port_forwarding", _view(found))


def create_port_forwarding(call: Call) -> Answer:
    """POST /network/v2.0/floatingips/{floatingip}/port_forwardings."""
    unconditional(call)
    wanted = call.read(ForwardingBody).port_forwarding
    external = _ports("external", wanted.external_port, wanted.external_port_range)
    internal = _ports("internal", wanted.internal_port, wanted.internal_port_range)
    for name, value in (
        ("internal_port_id", wanted.internal_port_id),
        ("protocol", wanted.protocol),
        ("external_port", external),
        ("internal_port", internal),
    ):
        if value is None:
            raise Refused(400, f"Invalid input for field port_forwarding.{name}: it is required.")
    (first, last), (to, to_last) = external or (0, 0), internal or (0, 0)
    new = NewForwarding(
        protocol=str(wanted.protocol),
        first=first,
        last=last,
        to=to,
        to_last=to_last,
        nic=NicId(str(wanted.internal_port_id)),
        fixed=wanted.internal_ip_address,
        description=wanted.description or "",
        sole=True,
    )
    made = call.operations.forwardings.create(call.caller, _floating(call), new, call.idempotency_key)
    return single(call, "port_forwarding", _view(made), 201)


def update_port_forwarding(call: Call) -> Answer:
    """PUT /network/v2.0/floatingips/{floatingip}/port_forwardings/{forwarding}."""
    unconditional(call)
    wanted = call.read(ForwardingBody).port_forwarding
    first, last = _ports("external", wanted.external_port, wanted.external_port_range) or (None, None)
    to, to_last = _ports("internal", wanted.internal_port, wanted.internal_port_range) or (None, None)
    change = ForwardingChange(
        protocol=wanted.protocol,
        first=first,
        last=last,
        to=to,
        to_last=to_last,
        nic=None if wanted.internal_port_id is None else NicId(wanted.internal_port_id),
        fixed=wanted.internal_ip_address,
        description=wanted.description,
        sole=True,
    )
    changed = call.operations.forwardings.change(call.caller, _id(call), change, of=_floating(call))
    return single(call, "port_forwarding", _view(changed))


def delete_port_forwarding(call: Call) -> Answer:
    """DELETE /network/v2.0/floatingips/{floatingip}/port_forwardings/{forwarding}."""
    unconditional(call)
    call.operations.forwardings.delete(call.caller, _id(call), of=_floating(call))
    return Answer(204)


def in_floating_ip(forwardings: Iterable[PortForwarding]) -> list[View]:
    """Return forwardings as their floating IP shows them."""
    views = (_view(each) for each in forwardings)
    return [{name: value for name, value in view.items() if name != "description"} for view in views]


def _floating(call: Call) -> AddressId:
    return AddressId(call.params["floatingip"])


def _id(call: Call) -> ForwardingId:
    return ForwardingId(call.params["forwarding"])


def _ports(side: str, port: int | None, range_: str | None) -> tuple[int, int] | None:
    """Return the first and the last port of a side, which may be said in one of two ways."""
    if port is not None and range_ is not None:
        reason = f"Invalid input for field port_forwarding.{side}_port_range: {side}_port is given already."
        raise Refused(400, reason)
    if range_ is not None:
        first, _, last = range_.partition(":")
        return int(first), int(last or first)
    return None if port is None else (port, port)


def _view(forwarding: PortForwarding) -> View:
    is_one = forwarding.first == forwarding.last
    return {
        "id": forwarding.id,
        "protocol": forwarding.protocol.value,
        "external_port": forwarding.first if is_one else None,
        "external_port_range": f"{forwarding.first}:{forwarding.last}",
        "internal_port_id": forwarding.nic,
        "internal_ip_address": str(forwarding.fixed),
        "internal_port": forwarding.to if is_one else None,
        "internal_port_range": f"{forwarding.to}:{forwarding.to_last}",
        "description": forwarding.description,
    }
