"""Marks of things in the database: read with them, counted when a part of them changes that is another row; and tags.

A row counts its own changes (`schema.columns.Marked`).  Whoever changes what is shown of a thing in another table says `changed`.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Column, ScalarSelect, Table, Update, bindparam, delete, exists, func, select, update

from mooring.model.ids import InstanceId
from mooring.model.marks import Marks, Tagged
from mooring.store.schema import (
    addresses,
    bare_networks,
    networks,
    nics,
    own_subnets,
    pools,
    routers,
    security_groups,
    subnet_pools,
    tags,
)
from mooring.store.session import Session

# No tag has it: see policy/tags.py.
_BETWEEN = "\x1f"


def tags_of(kind: Tagged, thing: Column[Any]) -> ScalarSelect[str]:
    """Return what reads the tags of a thing with it."""
    return (
        select(func.aggregate_strings(tags.c.tag, _BETWEEN))
        .where(tags.c.kind == kind.value, tags.c.object == thing)
        .correlate(thing.table)
        .scalar_subquery()
    )


def marks_of(revision: int, created: datetime, updated: datetime, tagged: str | None = None) -> Marks:
    """Return marks from their columns; there is no row of tags where a thing has none."""
    return Marks(revision, created, updated, tuple(sorted(tagged.split(_BETWEEN))) if tagged else ())


def _counting(table: Table, column: Column[Any]) -> Update:
    return update(table).where(column == bindparam("which")).values(revision=table.c.revision + 1)


_COUNT: dict[Table, Update] = {
    table: _counting(table, table.c.network if table is own_subnets else table.c.id)
    for table in (
        addresses,
        bare_networks,
        networks,
        nics,
        own_subnets,
        pools,
        routers,
        security_groups,
        subnet_pools,
    )
}
_COUNT_NICS = _counting(nics, nics.c.instance)

_TABLES: dict[Tagged, tuple[Table, ...]] = {
    Tagged.NETWORK: (networks, bare_networks, pools),
    # Where a project made the subnet it has a row of its own.
    Tagged.SUBNET: (own_subnets, networks, pools),
    Tagged.NIC: (nics,),
    Tagged.ROUTER: (routers,),
    Tagged.FLOATING_IP: (addresses,),
    Tagged.SECURITY_GROUP: (security_groups,),
    Tagged.SUBNET_POOL: (subnet_pools,),
}
_TAGS = select(tags.c.tag).where(tags.c.kind == bindparam("kind"), tags.c.object == bindparam("object"))
_UNTAG = delete(tags).where(tags.c.kind == bindparam("of_kind"), tags.c.object == bindparam("of_object"))
# A network that loses its subnet, or gets one, is the same network.
_UNTAG_NETWORK = _UNTAG.where(
    *(~exists(select(table.c.id).where(table.c.id == bindparam("of_object"))) for table in (networks, bare_networks))
)


def changed(session: Session, table: Table, *things: str) -> None:
    """Count a change of things whose rows stayed as they are."""
    for thing in things:
        session.change(_COUNT[table], which=thing)


def nics_changed(session: Session, instance: InstanceId) -> None:
    """Count a change of all NICs of an instance."""
    session.change(_COUNT_NICS, which=instance)


def forget_tags(session: Session, kind: Tagged, thing: str) -> None:
    """Forget the tags of a thing whose row is gone."""
    session.change(_UNTAG_NETWORK if kind is Tagged.NETWORK else _UNTAG, of_kind=kind.value, of_object=thing)


class Tags:
    """See mooring.operations.interfaces_of_tags.Tags."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def of(self, kind: Tagged, thing: str) -> Sequence[str]:
        return sorted(tag for (tag,) in self._session.rows(_TAGS, kind=kind.value, object=thing))

    def set(self, kind: Tagged, thing: str, tagged: Sequence[str]) -> None:
        self._session.change(_UNTAG, of_kind=kind.value, of_object=thing)
        for tag in tagged:
            self._session.add(tags, kind=kind.value, object=thing, tag=tag)
        for table in _TABLES[kind]:
            if self._session.change(_COUNT[table], which=thing):
                return
