"""Instances and their NICs in the database."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    null,
    or_,
    select,
    true,
    update,
)

from mooring.model.ids import HostId, InstanceId, NetworkId, NicId, ProjectId, UserId
from mooring.model.marks import Tagged
from mooring.model.nouns import Instance, InstanceState, Nic, Power
from mooring.model.records import InstanceRow, NicRow, Referenced
from mooring.model.subjects import SubjectKey, SubjectKind
from mooring.store import macs
from mooring.store.cards import CardsView
from mooring.store.generations import forget
from mooring.store.marks import forget_tags, nics_changed
from mooring.store.schema import (
    addresses,
    failed_launches,
    instances,
    nics,
)
from mooring.store.session import Session

_INSTANCES = select(
    instances.c.id,
    instances.c.name,
    instances.c.project,
    instances.c.user_id,
    instances.c.state,
    instances.c.image,
    instances.c.flavor,
    instances.c.host,
    instances.c.created,
    instances.c.updated,
    instances.c.fault,
    instances.c.power,
    instances.c.launched,
).order_by(instances.c.created, instances.c.id)
_InstanceColumns = tuple[
    InstanceId,
    str,
    ProjectId,
    UserId,
    str,
    str,
    str,
    HostId | None,
    datetime,
    datetime,
    str | None,
    str,
    datetime | None,
]
_InstanceFields = Row[*_InstanceColumns]


@dataclass(frozen=True, slots=True)
class _View:
    """The statements that read some instances whole: six with those of their cards, however many there are."""

    instances: Select[*_InstanceColumns]
    cards: CardsView

    @classmethod
    def where(cls, condition: ColumnElement[bool]) -> Self:
        """View the instances for which a condition holds."""
        theirs = and_(nics.c.instance.in_(select(instances.c.id).where(condition)), ~nics.c.leaving)
        return cls(_INSTANCES.where(condition), CardsView.where(theirs, nics.c.instance, nics.c.position))


_ONE = _View.where(instances.c.id == bindparam("instance"))
_ALL = _View.where(true())
_NAMED = _View.where(instances.c.name == bindparam("name"))
_OF_PROJECT = _View.where(instances.c.project == bindparam("project"))
_NAMED_OF_PROJECT = _View.where(
    and_(instances.c.project == bindparam("project"), instances.c.name == bindparam("name")),
)
_STALE = _View.where(
    and_(
        instances.c.state.in_(bindparam("states", expanding=True)),
        or_(
            instances.c.updated < bindparam("before"),
            instances.c.updated > bindparam("present", type_=instances.c.updated.type),
        ),
    ),
)

_NICS = select(
    nics.c.id, nics.c.instance, nics.c.network, nics.c.mac, nics.c.position, nics.c.filtered, nics.c.leaving
).order_by(nics.c.position)
_NICS_OF = _NICS.where(nics.c.instance == bindparam("instance"))
_NIC = _NICS.where(nics.c.id == bindparam("nic"))
_UPDATED = bindparam("new_updated", type_=instances.c.updated.type)
_ASSIGN = (
    update(instances)
    .where(
        instances.c.id == bindparam("instance"),
        instances.c.host.is_(null()),
        instances.c.state == InstanceState.BUILDING.value,
    )
    .values(host=bindparam("new_host"), updated=_UPDATED)
)
_MOVE = (
    update(instances)
    .where(
        instances.c.id == bindparam("instance"),
        instances.c.state.in_(bindparam("expected", expanding=True)),
    )
    .values(
        state=bindparam("new_state"),
        fault=bindparam("new_fault"),
        updated=_UPDATED,
        launched=case(
            (bindparam("new_state") == InstanceState.ACTIVE.value, func.coalesce(instances.c.launched, _UPDATED)),
            else_=instances.c.launched,
        ),
    )
)
_TURN = (
    update(instances)
    .where(
        instances.c.id == bindparam("instance"),
        instances.c.power.in_(bindparam("expected", expanding=True)),
        instances.c.state.in_([InstanceState.ACTIVE.value, InstanceState.ERROR.value]),
    )
    .values(
        power=bindparam("new_power"),
        boots=instances.c.boots + bindparam("more", type_=instances.c.boots.type),
        updated=_UPDATED,
    )
)
_RENAME = update(instances).where(instances.c.id == bindparam("instance")).values(name=bindparam("new_name"))
_PER_HOST = (
    select(instances.c.host, func.count())
    .where(instances.c.host.is_not(null()))
    .group_by(instances.c.host)
    .order_by(instances.c.host)
)
_UNASSIGN = (
    update(instances)
    .where(
        instances.c.id == bindparam("instance"),
        instances.c.host == bindparam("old_host"),
        instances.c.state == InstanceState.BUILDING.value,
    )
    .values(host=null(), updated=_UPDATED)
)
_AVOIDED = select(failed_launches.c.host).where(failed_launches.c.instance == bindparam("instance"))
_REPOINT = (
    update(nics)
    .where(nics.c.id == bindparam("nic"), ~exists(select(addresses.c.id).where(addresses.c.nic == nics.c.id)))
    .values(network=bindparam("new_network"))
)
_LEAVE = update(nics).where(nics.c.id == bindparam("nic"), ~nics.c.leaving).values(leaving=True)
_DELETE_NIC = delete(nics).where(nics.c.id == bindparam("nic"))
_DELETE = delete(instances).where(instances.c.id == bindparam("instance"))


class Instances:
    """See mooring.operations.interfaces.Instances."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, row: InstanceRow) -> None:
        self._session.add(
            instances,
            id=row.id,
            name=row.name,
            project=row.project,
            user_id=row.user,
            state=InstanceState.BUILDING.value,
            image=row.image,
            flavor=row.flavor,
            created=row.created,
            updated=row.created,
        )

    def add_nic(self, row: NicRow) -> None:
        with self._session.whole():
            macs.claim(self._session, row.mac)
            self._session.add(
                nics,
                id=row.id,
                instance=row.instance,
                network=row.network,
                mac=row.mac,
                position=row.position,
                filtered=row.filtered,
            )

    def get(self, instance: InstanceId) -> Instance | None:
        return next(iter(self._read(_ONE, instance=instance)), None)

    def stale(self, states: Collection[InstanceState], before: datetime) -> Sequence[Instance]:
        chosen = sorted(state.value for state in states)
        return self._read(_STALE, states=chosen, before=before, present=self._session.now())

    def nics(self, instance: InstanceId) -> Sequence[NicRow]:
        return [NicRow(*row) for row in self._session.rows(_NICS_OF, instance=instance)]

    def list(self, project: ProjectId | None, *, name: str | None = None) -> Sequence[Instance]:
        if project is None:
            return self._read(_ALL) if name is None else self._read(_NAMED, name=name)
        if name is None:
            return self._read(_OF_PROJECT, project=project)
        return self._read(_NAMED_OF_PROJECT, project=project, name=name)

    def _read(self, view: _View, **parameters: object) -> Sequence[Instance]:
        found = self._session.rows(view.instances, **parameters)
        if not found:
            return ()
        cards: defaultdict[InstanceId | None, list[Nic]] = defaultdict(list)
        for instance, card in view.cards.read(self._session, **parameters):
            cards[instance].append(card)
        return [_instance(row, tuple(cards[row[0]])) for row in found]

    def assign(self, instance: InstanceId, host: HostId) -> bool:
        changed = self._session.refusable(_ASSIGN, instance=instance, new_host=host, new_updated=self._session.now())
        return changed == 1

    def avoided(self, instance: InstanceId) -> frozenset[HostId]:
        return frozenset(host for (host,) in self._session.rows(_AVOIDED, instance=instance))

    def unassign(self, instance: InstanceId, host: HostId) -> bool:
        changed = self._session.change(_UNASSIGN, instance=instance, old_host=host, new_updated=self._session.now())
        if changed != 1:
            return False
        self._session.refusable(
            self._session.flavour.insert(failed_launches).inline().on_conflict_do_nothing(),
            instance=instance,
            host=host,
        )
        return True

    def repoint(self, nic: NicId, network: NetworkId) -> None:
        if not self._session.refusable(_REPOINT, nic=nic, new_network=network) and self.nic(nic) is not None:
            raise Referenced("the NIC has an address of its network")

    def per_host(self) -> Mapping[HostId, int]:
        return {host: count for host, count in self._session.rows(_PER_HOST) if host is not None}

    def move(
        self,
        instance: InstanceId,
        expected: Collection[InstanceState],
        state: InstanceState,
        fault: str | None = None,
    ) -> bool:
        changed = self._session.change(
            _MOVE,
            instance=instance,
            expected=sorted(before.value for before in expected),
            new_state=state.value,
            new_fault=fault,
            new_updated=self._session.now(),
        )
        if changed:
            nics_changed(self._session, instance)
        return changed == 1

    def turn(self, instance: InstanceId, expected: Collection[Power], power: Power, *, boot: bool = False) -> bool:
        changed = self._session.change(
            _TURN,
            instance=instance,
            expected=sorted(before.value for before in expected),
            new_power=power.value,
            more=int(boot),
            new_updated=self._session.now(),
        )
        if changed:
            nics_changed(self._session, instance)
        return changed == 1

    def rename(self, instance: InstanceId, name: str) -> None:
        self._session.change(_RENAME, instance=instance, new_name=name)

    def nic(self, nic: NicId) -> NicRow | None:
        row = self._session.row(_NIC, nic=nic)
        return NicRow(*row) if row else None

    def leave(self, nic: NicId) -> bool:
        return self._session.change(_LEAVE, nic=nic) == 1

    def delete_nic(self, nic: NicId) -> None:
        known = self.nic(nic)
        if known is None:
            return
        self._session.refusable(_DELETE_NIC, nic=nic)
        macs.drop(self._session, known.mac)
        forget_tags(self._session, Tagged.NIC, nic)
        forget(self._session, SubjectKey(SubjectKind.NIC, nic))

    def delete(self, instance: InstanceId) -> None:
        self._session.refusable(_DELETE, instance=instance)
        forget(self._session, SubjectKey(SubjectKind.INSTANCE, instance))


def _instance(row: _InstanceFields, cards: tuple[Nic, ...]) -> Instance:
    instance, name, project, user, state, image, flavor, host, created, updated, fault, power, launched = row
    return Instance(
        id=instance,
        name=name,
        project=project,
        user=user,
        state=InstanceState(state),
        image=image,
        flavor=flavor,
        host=host,
        created=created,
        updated=updated,
        nics=cards,
        fault=fault,
        power=Power(power),
        launched=launched,
    )
