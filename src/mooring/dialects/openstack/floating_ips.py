"""Nova's os-floating-ips and os-floating-ip-pools, and the server actions that associate and disassociate."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address

from mooring.dialects.http import Refused
from mooring.dialects.openstack.bodies import Body, Ip, Name, checked
from mooring.dialects.openstack.calls import Answer, Call
from mooring.dialects.pieces import Pieces
from mooring.model.faults import Forbidden, NotFound
from mooring.model.ids import AddressId, InstanceId
from mooring.model.nouns import FloatingIp
from mooring.operations import AUTOMATIC, FloatingChoice


class Allocate(Body):
    """The body of POST /os-floating-ips; without a pool, or with a null one, it is the first pool."""

    pool: Name | None = None


class Associate(Body):
    """The inside of addFloatingIp."""

    address: Ip
    fixed_address: Ip | None = None


class Disassociate(Body):
    """The inside of removeFloatingIp."""

    address: Ip


class WantedFixed(Body):
    """The inside of associate_address."""

    fixed_ip: Ip


class AssociateAddress(Body):
    """The body of POST /os-floating-ips/{address}/addFloatingIp."""

    associate_address: WantedFixed


# --------------------------------------------------------------------------------------------------------------- handlers


def list_floating_ips(call: Call) -> Answer:
    """GET /os-floating-ips: without those that came with servers, as nova had it."""
    found = call.operations.addresses.walk(call.caller, FloatingChoice(automatic=False))
    return Answer(body=Pieces("floating_ips", ([_view(each) for each in piece] for piece in found)))


def show_floating_ip(call: Call) -> Answer:
    """GET /os-floating-ips/{address}."""
    found = call.operations.addresses.get(call.caller, AddressId(call.params["address"]))
    return Answer(body={"floating_ip": _view(found)})


def allocate(call: Call) -> Answer:
    """POST /os-floating-ips."""
    body = call.json_or_form()
    wanted = Allocate() if body is None else checked(Allocate, body)
    if wanted.pool is not None:
        call.words["in_pool"] = f" in pool {wanted.pool}"
    made = call.operations.addresses.allocate(call.caller, wanted.pool, call.idempotency_key)
    return Answer(body={"floating_ip": _view(made)})


def release(call: Call) -> Answer:
    """DELETE /os-floating-ips/{address}."""
    call.operations.addresses.release(call.caller, AddressId(call.params["address"]))
    return Answer(202)


def list_pools(call: Call) -> Answer:
    """GET /os-floating-ip-pools."""
    pools = call.operations.pools.listing(call.caller)
    return Answer(body={"floating_ip_pools": [{"name": pool.name} for pool in pools]})


def associate_address(call: Call) -> Answer:
    """POST /os-floating-ips/{address}/addFloatingIp: to a fixed IP of the project, whichever server has it."""
    fixed = call.read(AssociateAddress).associate_address.fixed_ip
    if isinstance(fixed, IPv6Address):
        raise NotFound("Fixed IP", fixed)
    with _passing_over():
        call.operations.addresses.point_at(call.caller, AddressId(call.params["address"]), fixed)
    return Answer(202)


def disassociate_address(call: Call) -> Answer:
    """POST /os-floating-ips/{address}/removeFloatingIp: from wherever it is; from nowhere is no mistake."""
    call.operations.addresses.point(call.caller, AddressId(call.params["address"]), None)
    return Answer(202)


def associate(call: Call, inside: Mapping[str, object]) -> Answer:
    """The action addFloatingIp."""
    wanted = checked(Associate, inside)
    fixed = None if wanted.fixed_address is None else _ipv4("fixed_address", wanted.fixed_address)
    address = _floating(call, wanted.address)
    with _passing_over():
        call.operations.addresses.associate(call.caller, _instance(call), address, fixed)
    return Answer(202)


def disassociate(call: Call, inside: Mapping[str, object]) -> Answer:
    """The action removeFloatingIp."""
    wanted = checked(Disassociate, inside)
    call.operations.addresses.disassociate(call.caller, _instance(call), _floating(call, wanted.address))
    return Answer(202)


# ----------------------------------------------------------------------------------------------------------------- shared


@contextmanager
def _passing_over() -> Generator[None]:
    """Leave floating IPs that came with a server where they are, and say nothing, as nova did."""
    try:
        yield
    except Forbidden as fault:
        if fault.field != AUTOMATIC:
            raise


def _instance(call: Call) -> InstanceId:
    return InstanceId(call.params["server"])


def _floating(call: Call, address: IPv4Address | IPv6Address) -> IPv4Address:
    call.words["address"] = str(address)
    if isinstance(address, IPv6Address):
        # A good address, of which no pool can have any.
        raise NotFound("Floating IP", address)
    return address


def _ipv4(field: str, address: IPv4Address | IPv6Address) -> IPv4Address:
    if isinstance(address, IPv6Address):
        raise Refused(400, f"Specified fixed address not assigned to instance. {field}: {address} is not IPv4.")
    return address


def _view(floating: FloatingIp) -> dict[str, object]:
    return {
        "id": floating.id,
        "ip": str(floating.address),
        "fixed_ip": str(floating.fixed) if floating.fixed is not None else None,
        "instance_id": floating.instance,
        "pool": floating.pool_name,
    }
