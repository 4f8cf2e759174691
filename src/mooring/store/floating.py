"""Floating IPs as the database shows them: one statement for any number, with what they are associated with."""

import operator
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from ipaddress import IPv4Address

from sqlalchemy import Row, ScalarSelect, Select, bindparam, false, func, null, select

from mooring.model.ids import AddressId, InstanceId, NetworkId, NicId, PoolId, ProjectId
from mooring.model.marks import Tagged
from mooring.model.nouns import AddressKind, FloatingIp
from mooring.model.records import FloatingChoice
from mooring.store.marks import marks_of, tags_of
from mooring.store.schema import addresses, associations, nics, pools

_FIXED = addresses.alias("fixed")
_OTHER = addresses.alias("other")

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
    associations.c.automatic,
    addresses.c.revision,
    addresses.c.created,
    addresses.c.updated,
    tags_of(Tagged.FLOATING_IP, addresses.c.id),
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

SEQS_OF_NICS = (
    select(addresses.c.seq)
    .select_from(_FIXED)
    .join(associations, associations.c.fixed == _FIXED.c.id)
    .join(addresses, addresses.c.id == associations.c.floating)
    .where(_FIXED.c.nic.in_(bindparam("nics", expanding=True)))
)
"""Which floating IPs some NICs have, read from the NICs' end: planners begin at the other one, with all that a project has."""

PIECE = 500
"""So many floating IPs are read at a time."""

FloatingColumns = tuple[
    AddressId,
    int,
    PoolId,
    str,
    ProjectId | None,
    int,
    InstanceId | None,
    NicId,
    NetworkId,
    bool,
    int,
    datetime,
    datetime,
    str,
]
FloatingFields = Row[*FloatingColumns]


def chosen(project: ProjectId | None, choice: FloatingChoice, seqs: Collection[int]) -> Select[*FloatingColumns]:
    """Return the statement that reads those of a project's floating IPs that are asked for, or of everybody's for None.

    `seqs` are those that the choice's NICs have.
    """
    statement = FLOATING if project is None else FLOATING.where(addresses.c.project == project)
    if choice.addresses is not None:
        # Public addresses are unique in their scope: that is what finds them.
        statement = statement.where(addresses.c.scope == "public", addresses.c.position.in_(map(int, choice.addresses)))
    if choice.fixed is not None:
        statement = statement.where(_FIXED.c.position.in_(map(int, choice.fixed)))
    if choice.ids is not None:
        # By `seq`, which every index ends with in SQLite: so it is not the project's other addresses that are looked through.
        statement = statement.where(addresses.c.seq.in_(select(_OTHER.c.seq).where(_OTHER.c.id.in_(choice.ids))))
    if choice.nics is not None:
        statement = statement.where(addresses.c.seq.in_(seqs))
    for column, wanted in ((addresses.c.pool, choice.pools), (addresses.c.project, choice.projects)):
        if wanted is not None:
            statement = statement.where(column.in_(wanted))
    if choice.associated is not None:
        leads = associations.c.floating.is_not(null())
        statement = statement.where(leads if choice.associated else ~leads)
    if choice.automatic is not None:
        # What leads nowhere has no association that could say.
        came = func.coalesce(associations.c.automatic, false())
        statement = statement.where(came if choice.automatic else ~came)
    for id, is_part in ((choice.after, operator.gt), (choice.until, operator.le)):
        if id is not None:
            statement = statement.where(is_part(addresses.c.seq, _seq_of(id)))
    return statement if choice.limit is None else statement.limit(choice.limit)


def _seq_of(id: AddressId) -> ScalarSelect[int]:
    return select(_OTHER.c.seq).where(_OTHER.c.id == id).scalar_subquery()


def floating_ips(rows: Iterable[FloatingFields]) -> Sequence[FloatingIp]:
    """Put floating IPs together from their rows."""
    return [_floating_ip(row) for row in rows]


def _floating_ip(row: FloatingFields) -> FloatingIp:
    address, position, pool, pool_name, project, fixed, instance, nic, network, automatic, *_ = row
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
        automatic=bool(automatic),
        marks=marks_of(*row[10:14]),
    )
