"""Nova's os-floating-ips-bulk, for administrators: which public addresses there are, in pools that exist."""

from collections.abc import Sequence
from ipaddress import AddressValueError, IPv4Address, IPv4Network, NetmaskValueError
from typing import Annotated

from pydantic import AfterValidator

from mooring.dialects.http import shown
from mooring.dialects.openstack.bodies import Body, Name
from mooring.dialects.openstack.calls import Answer, Call
from mooring.dialects.openstack.catalogue import next_links, number
from mooring.model.faults import NotFound
from mooring.model.nouns import AddressRange
from mooring.operations import PoolAddress

# As many as a /16 has: what more there are is on the next page.
_MOST = 65_536


def _range(text: str) -> str:
    _read(text)
    return text


def _read(text: str) -> AddressRange:
    """Read an address, or a prefix without its network and broadcast addresses, as nova did."""
    try:
        if "/" not in text:
            return AddressRange(IPv4Address(text), IPv4Address(text))
        prefix = IPv4Network(text, strict=False)
    except (AddressValueError, NetmaskValueError, ValueError) as error:
        raise ValueError(f"{shown(text)} is neither an IPv4 address nor a prefix of some") from error
    if prefix.prefixlen > 30:
        raise ValueError(f"/{prefix.prefixlen} should be specified as single address(es) not in cidr format")
    return AddressRange(prefix.network_address + 1, prefix.broadcast_address - 1)


Range = Annotated[str, AfterValidator(_range)]


class NewRange(Body):
    """The inside of floating_ips_bulk_create."""

    ip_range: Range
    pool: Name | None = None
    interface: Name | None = None


class CreateRange(Body):
    """The body of POST /os-floating-ips-bulk."""

    floating_ips_bulk_create: NewRange


class DeleteRange(Body):
    """The body of PUT /os-floating-ips-bulk/delete."""

    ip_range: Range


def list_addresses(call: Call) -> Answer:
    """GET /os-floating-ips-bulk: of all pools, in pages by `limit` and `marker`, an address."""
    query = call.query
    most = min(number(query["limit"], "limit"), _MOST) if query.get("limit") else _MOST
    after = _marker(query["marker"]) if "marker" in query else None
    found = call.operations.ranges.addresses(call.caller, most + 1, after)
    body: dict[str, object] = {"floating_ip_info": _views(found[:most])}
    if found[most:] and most:
        body["floating_ip_info_links"] = next_links(call, str(found[most - 1].address))
    return Answer(body=body)


def _marker(text: str) -> IPv4Address:
    try:
        return IPv4Address(text)
    except AddressValueError as error:
        raise NotFound("Floating IP", shown(text)) from error


def list_addresses_of_host(call: Call) -> Answer:
    """GET /os-floating-ips-bulk/{host}: those that a gateway host answers for."""
    return Answer(body={"floating_ip_info": _views(call.operations.ranges.held_by(call.caller, call.params["host"]))})


def create_addresses(call: Call) -> Answer:
    """POST /os-floating-ips-bulk."""
    wanted = call.read(CreateRange).floating_ips_bulk_create
    part = _read(wanted.ip_range)
    pool, interface = call.operations.ranges.add(call.caller, part, wanted.pool, wanted.interface)
    made = {"ip_range": wanted.ip_range, "pool": pool.name, "interface": interface}
    return Answer(body={"floating_ips_bulk_create": made})


def delete_addresses(call: Call) -> Answer:
    """PUT /os-floating-ips-bulk/delete."""
    text = call.read(DeleteRange).ip_range
    call.operations.ranges.remove(call.caller, _read(text))
    return Answer(body={"floating_ips_bulk_delete": text})


def _views(addresses: Sequence[PoolAddress]) -> list[dict[str, object]]:
    return [
        {
            "address": str(each.address),
            "pool": each.pool,
            "interface": each.interface,
            "project_id": each.floating.project if each.floating else None,
            "instance_uuid": each.floating.instance if each.floating else None,
            "fixed_ip": str(each.floating.fixed) if each.floating and each.floating.fixed else None,
        }
        for each in addresses
    ]
