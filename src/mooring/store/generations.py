"""The newest generation of each subject, which only grows."""

from typing import Any

from sqlalchemy import Column, bindparam, delete, exists, select

from mooring.model.subjects import SubjectKey, SubjectKind
from mooring.store import numbers
from mooring.store.schema import (
    bare_networks,
    deliveries,
    generations,
    instances,
    networks,
    nics,
    routers,
    security_groups,
)
from mooring.store.session import Session

_IDS: dict[SubjectKind, Column[Any]] = {
    SubjectKind.NETWORK: networks.c.id,
    SubjectKind.ROUTER: routers.c.id,
    SubjectKind.NIC: nics.c.id,
    SubjectKind.INSTANCE: instances.c.id,
    SubjectKind.GROUP: security_groups.c.id,
}
_FORGET = {
    kind: delete(generations).where(
        generations.c.kind == kind.value,
        generations.c.subject == bindparam("subject"),
        ~exists(
            select(deliveries.c.host).where(
                deliveries.c.subject == bindparam("subject"),
                deliveries.c.kind == kind.value,
            ),
        ),
        ~exists(select(column).where(column == bindparam("subject"))),
        # A network that lost its subnet may get another one, under the same id.
        ~exists(select(bare_networks.c.id).where(bare_networks.c.id == bindparam("subject"))),
    )
    for kind, column in _IDS.items()
}


def forget(session: Session, key: SubjectKey) -> None:
    """Forget the generation of a subject whose row is gone and that no host has still to give up.

    Ids are never used again, so nobody can meet an older generation later.
    """
    session.change(_FORGET[key.kind], subject=key.id)
    if key.kind is SubjectKind.NETWORK:
        numbers.forget_zone(session, key.id)
