"""Network cards in the database: as instances have them, and those that projects made themselves, which may be in none."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_network
from typing import Self

from sqlalchemy import ColumnElement, Select, and_, bindparam, null, or_, select, true, update

from mooring.model.groups import GroupName
from mooring.model.ids import AddressId, GroupId, InstanceId, NetworkId, NicId, ProjectId
from mooring.model.marks import Tagged
from mooring.model.nouns import AddressKind, FixedIp, FloatingIp, Nic, OwnNic
from mooring.store.allowances import PREFIXES
from mooring.store.floating import FLOATING_OF_NICS, FloatingColumns, floating_ips
from mooring.store.marks import changed, marks_of, tags_of
from mooring.store.schema import addresses, allowances, networks, nic_groups, nics, own_nics, security_groups
from mooring.store.session import Session

_CARDS = (
    select(
        nics.c.id,
        nics.c.instance,
        nics.c.network,
        networks.c.name,
        nics.c.mac,
        nics.c.filtered,
        own_nics.c.project,
        own_nics.c.name,
        own_nics.c.description,
        nics.c.revision,
        nics.c.created,
        nics.c.updated,
        tags_of(Tagged.NIC, nics.c.id),
    )
    .select_from(nics)
    .join(networks, networks.c.id == nics.c.network)
    .outerjoin(own_nics, own_nics.c.nic == nics.c.id)
)
_FIXED = (
    select(addresses.c.nic, addresses.c.id, addresses.c.position)
    .join(nics, nics.c.id == addresses.c.nic)
    .where(addresses.c.kind == AddressKind.FIXED.value, ~addresses.c.releasing)
    .order_by(addresses.c.seq)
)
_GROUPS = (
    select(nic_groups.c.nic, security_groups.c.name, security_groups.c.id)
    .join(nics, nics.c.id == nic_groups.c.nic)
    .join(security_groups, security_groups.c.id == nic_groups.c.group_id)
    .order_by(security_groups.c.name, security_groups.c.id)
)


@dataclass(frozen=True, slots=True)
class CardsView:
    """The statements that read some cards whole: five, however many there are."""

    nics: Select[NicId, InstanceId | None, NetworkId, str, str, bool, ProjectId, str, str, int, datetime, datetime, str]
    fixed: Select[NicId | None, AddressId, int]
    floating: Select[*FloatingColumns]
    groups: Select[NicId, str, GroupId]
    allowed: Select[NicId, str]

    @classmethod
    def where(
        cls, condition: ColumnElement[bool], *order: ColumnElement[int] | ColumnElement[InstanceId | None]
    ) -> Self:
        """View the cards for which a condition holds."""
        return cls(
            _CARDS.where(condition).order_by(*order),
            _FIXED.where(condition),
            FLOATING_OF_NICS.where(condition),
            _GROUPS.where(condition),
            PREFIXES.join(nics, nics.c.id == allowances.c.nic).where(condition),
        )

    def read(self, session: Session, **parameters: object) -> Iterator[tuple[InstanceId | None, Nic]]:
        """Return the cards, each with the instance that has it."""
        fixed: defaultdict[NicId | None, list[FixedIp]] = defaultdict(list)
        for nic, address, position in session.rows(self.fixed, **parameters):
            fixed[nic].append(FixedIp(address, IPv4Address(position)))
        floating: defaultdict[NicId | None, list[FloatingIp]] = defaultdict(list)
        for public in floating_ips(session.rows(self.floating, **parameters)):
            floating[public.nic].append(public)
        groups: defaultdict[NicId, list[GroupName]] = defaultdict(list)
        for nic, name, group in session.rows(self.groups, **parameters):
            groups[nic].append(GroupName(name, group))
        allowed: defaultdict[NicId, list[IPv4Network | IPv6Network]] = defaultdict(list)
        for nic, prefix in session.rows(self.allowed, **parameters):
            allowed[nic].append(ip_network(prefix))
        for row in session.rows(self.nics, **parameters):
            nic, instance, network, network_name, mac, filtered, project, name, description, *_ = row
            yield (
                instance,
                Nic(
                    id=nic,
                    network=network,
                    network_name=network_name,
                    mac=mac,
                    fixed=tuple(fixed[nic]),
                    floating=tuple(floating[nic]),
                    groups=tuple(sorted(groups[nic])),
                    filtered=filtered,
                    allowed=tuple(sorted(allowed[nic], key=_in_order)),
                    marks=marks_of(*row[9:13]),
                    # Without a row of its own the outer join leaves these empty, whatever their columns say.
                    own=OwnNic(ProjectId(project), name, description) if project else None,
                ),
            )


_OUT = or_(nics.c.instance.is_(null()), nics.c.leaving)
"""A card that is in no instance, or on its way out of one."""


def _made(condition: ColumnElement[bool]) -> CardsView:
    """View cards that projects made and that are in no instance."""
    return CardsView.where(and_(nics.c.id.in_(select(own_nics.c.nic).where(condition)), _OUT), nics.c.seq)


_ONE = _made(own_nics.c.nic == bindparam("nic"))
_OF_PROJECT = _made(own_nics.c.project == bindparam("project"))
_ALL = _made(true())
_DESCRIBE = (
    update(own_nics)
    .where(own_nics.c.nic == bindparam("of_nic"))
    .values(name=bindparam("new_name"), description=bindparam("new_description"))
)
_PLUG = (
    update(nics)
    .where(nics.c.id == bindparam("nic"), nics.c.instance.is_(null()), nics.c.id.in_(select(own_nics.c.nic)))
    .values(instance=bindparam("new_instance"), position=bindparam("new_position"))
)
_UNPLUG = (
    update(nics)
    .where(nics.c.id == bindparam("nic"), nics.c.id.in_(select(own_nics.c.nic)))
    .values(instance=null(), position=0, leaving=False)
)


class Cards:
    """See mooring.operations.interfaces_of_instances.Cards."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def own(self, nic: NicId, own: OwnNic) -> None:
        self._session.add(own_nics, nic=nic, project=own.project, name=own.name, description=own.description)

    def get(self, nic: NicId) -> Nic | None:
        return next((card for _, card in _ONE.read(self._session, nic=nic)), None)

    def list(self, project: ProjectId | None) -> Sequence[Nic]:
        read = _ALL.read(self._session) if project is None else _OF_PROJECT.read(self._session, project=project)
        return [card for _, card in read]

    def describe(self, nic: NicId, own: OwnNic) -> None:
        self._session.change(_DESCRIBE, of_nic=nic, new_name=own.name, new_description=own.description)
        changed(self._session, nics, nic)

    def plug(self, nic: NicId, instance: InstanceId, position: int) -> bool:
        return self._session.refusable(_PLUG, nic=nic, new_instance=instance, new_position=position) == 1

    def unplug(self, nic: NicId) -> bool:
        return self._session.change(_UNPLUG, nic=nic) == 1


def _in_order(prefix: IPv4Network | IPv6Network) -> tuple[int, int, int]:
    return prefix.version, int(prefix.network_address), prefix.prefixlen
