"""Subnet pools: prefixes that subnets are taken from."""

from typing import Annotated, Literal

from pydantic import Field

from mooring.dialects.neutron.lists import View, collection, single
from mooring.dialects.neutron.marks import expecting, tagged
from mooring.dialects.neutron.networks import NOBODY
from mooring.dialects.neutron.owners import check_owner
from mooring.dialects.neutron.subnets import Prefix
from mooring.dialects.openstack.bodies import Body, Name, NotOffered
from mooring.dialects.openstack.calls import Answer, Call
from mooring.model.faults import NotFound
from mooring.model.ids import SubnetPoolId
from mooring.model.own import SubnetPool
from mooring.operations import NewSubnetPool, SubnetPoolChange

Text = Annotated[str, Field(max_length=255)]


class Attributes(Body):
    """What may be said of a subnet pool beside its name and prefixes; lengths are of prefixes, in bits."""

    description: Text | None = None
    default_prefixlen: int | None = None
    min_prefixlen: int | None = None
    max_prefixlen: int | None = None
    default_quota: NotOffered = None
    is_default: Literal[False] = False
    address_scope_id: NotOffered = None


class PoolChange(Attributes):
    """What changes of a subnet pool."""

    name: Name | None = None
    prefixes: list[Prefix] | None = None


class WantedPool(Attributes):
    """A subnet pool to be made."""

    name: Name
    prefixes: list[Prefix]
    shared: bool = False
    tenant_id: Name | None = None
    project_id: Name | None = None


class CreateBody(Body):
    """The body of POST /subnetpools."""

    subnetpool: WantedPool


class UpdateBody(Body):
    """The body of PUT /subnetpools/{subnetpool}."""

    subnetpool: PoolChange


def list_pools(call: Call) -> Answer:
    """GET /network/v2.0/subnetpools."""
    return collection(call, "subnetpools", [_view(pool) for pool in call.operations.subnet_pools.listing(call.caller)])


def show_pool(call: Call) -> Answer:
    """GET /network/v2.0/subnetpools/{subnetpool}."""
    for pool in call.operations.subnet_pools.listing(call.caller):
        if pool.id == call.params["subnetpool"]:
            return single(call, "subnetpool", _view(pool))
    raise NotFound("Subnet pool", call.params["subnetpool"])


def create_pool(call: Call) -> Answer:
    """POST /network/v2.0/subnetpools."""
    wanted = call.read(CreateBody).subnetpool
    check_owner(call, wanted.tenant_id, wanted.project_id)
    new = NewSubnetPool(
        name=wanted.name,
        prefixes=tuple(wanted.prefixes),
        default_length=wanted.default_prefixlen,
        shortest=wanted.min_prefixlen,
        longest=wanted.max_prefixlen,
        shared=wanted.shared,
        description=wanted.description or "",
    )
    made = call.operations.subnet_pools.create(call.caller, new, call.idempotency_key)
    return single(call, "subnetpool", _view(made), 201)


def update_pool(call: Call) -> Answer:
    """PUT /network/v2.0/subnetpools/{subnetpool}."""
    wanted = call.read(UpdateBody).subnetpool
    change = SubnetPoolChange(
        name=wanted.name,
        prefixes=None if wanted.prefixes is None else tuple(wanted.prefixes),
        default_length=wanted.default_prefixlen,
        shortest=wanted.min_prefixlen,
        longest=wanted.max_prefixlen,
        description=wanted.description,
    )
    changed = call.operations.subnet_pools.change(expecting(call), _id(call), change)
    return single(call, "subnetpool", _view(changed))


def delete_pool(call: Call) -> Answer:
    """DELETE /network/v2.0/subnetpools/{subnetpool}."""
    call.operations.subnet_pools.delete(expecting(call), _id(call))
    return Answer(204)


def _id(call: Call) -> SubnetPoolId:
    return SubnetPoolId(call.params["subnetpool"])


def _view(pool: SubnetPool) -> View:
    whose = pool.project or NOBODY
    return {
        "id": pool.id,
        "name": pool.name,
        "description": pool.description,
        "tenant_id": whose,
        "project_id": whose,
        "ip_version": 4,
        "prefixes": [str(prefix) for prefix in pool.prefixes],
        "default_prefixlen": pool.default_length,
        "min_prefixlen": pool.shortest,
        "max_prefixlen": pool.longest,
        "default_quota": None,
        "is_default": False,
        "shared": pool.project is None,
        "address_scope_id": None,
        **tagged(pool.marks),
    }
