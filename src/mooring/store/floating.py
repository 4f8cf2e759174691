"""Floating IPs as the database shows them: one statement for any number, with what they are associated with."""

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address

from sqlalchemy import Row, bindparam, select

from mooring.model.ids import AddressId, InstanceId, NetworkId, NicId, PoolId, ProjectId
from mooring.model.nouns import AddressKind, FloatingIp
from mooring.store.schema import addresses, associations, nics, pools

_FIXED = addresses.alias("fixed")

_FIELDS = select(
    addresses.c.id,
    addresses.c.position,
    pools.c.id,
    pools.c.name,
    addresses.c.project,
    _FIXED.c.position,
    nics.c.instance,
    nics.c.id,
    nics.c.network,
)

FLOATING = (
    _FIELDS.select_from(addresses)
    .join(pools, pools.c.id == addresses.c.pool)
    .outerjoin(associations, associations.c.floating == addresses.c.id)
    .outerjoin(_FIXED, _FIXED.c.id == associations.c.fixed)
    .outerjoin(nics, nics.c.id == _FIXED.c.nic)
    .where(addresses.c.kind == AddressKind.FLOATING.value, ~addresses.c.releasing)
    .order_by(addresses.c.seq)
)
"""All floating IPs that somebody owns."""

FLOATING_OF_NICS = (
    _FIELDS.select_from(nics)
    .join(_FIXED, _FIXED.c.nic == nics.c.id)
    .join(associations, associations.c.fixed == _FIXED.c.id)
    .join(addresses, addresses.c.id == associations.c.floating)
    .join(pools, pools.c.id == addresses.c.pool)
    .order_by(addresses.c.seq)
)
"""The associated ones, to be narrowed by NIC: read from the NIC's end, however many others there are."""

FLOATING_BY_ID = FLOATING.where(addresses.c.id == bindparam("address"), addresses.c.project == bindparam("project"))
FLOATING_BY_POSITION = FLOATING.where(addresses.c.scope == "public", addresses.c.position == bindparam("position"))
FLOATING_OF_PROJECT = FLOATING.where(addresses.c.project == bindparam("project"))

FloatingFields = Row[
    AddressId,
    int,
    PoolId,
    str,
    ProjectId | None,
    int,
    InstanceId,
    NicId,
    NetworkId,
]


def floating_ips(rows: Iterable[FloatingFields]) -> Sequence[FloatingIp]:
    """Put floating IPs together from their rows."""
    return [_floating_ip(row) for row in rows]


def _floating_ip(row: FloatingFields) -> FloatingIp:
    address, position, pool, pool_name, project, fixed, instance, nic, network = row
    if project is None:
        # ck_addresses_floating keeps this from being.
        raise AssertionError(f"floating IP {address} has no project")
    # Without an association the outer joins leave these empty, whatever their columns say.
    return FloatingIp(
        id=address,
        address=IPv4Address(position),
        pool=pool,
        pool_name=pool_name,
        project=project,
        fixed=IPv4Address(fixed) if nic else None,
        instance=instance,
        nic=nic,
        network=network,
    )
