"""Which hosts hear of which security groups, and of which NICs as their members: kept by a fixed number of statements, however many there are.

- A host has a group, in role COMPUTE, exactly while a filtered NIC of the group is placed there.
- A host has a NIC, in role MEMBER, exactly while the NIC is placed somewhere and is in a group that a rule of one of the host's groups names.

A host that only ceases to be told of a NIC takes two generations of it, as a withdrawal does (see mooring.store.deliveries).  Those who
keep it are not told: for them nothing is new.
"""

from collections.abc import Collection
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Select,
    String,
    and_,
    bindparam,
    exists,
    false,
    literal,
    null,
    or_,
    select,
    true,
    update,
)

from mooring.model.ids import GroupId, HostId, NicId
from mooring.model.subjects import HostRole, SubjectKind
from mooring.store.schema import deliveries, generations, instances, nic_groups, nics, security_group_rules
from mooring.store.session import Session

_NIC, _GROUP = SubjectKind.NIC.value, SubjectKind.GROUP.value
_COMPUTE, _MEMBER = HostRole.COMPUTE.value, HostRole.MEMBER.value

_held = deliveries.alias("held")
_home = deliveries.alias("home")
_THE_HOST = bindparam("of_host", type_=String())
_THE_NIC = bindparam("of_nic", type_=String())
_THE_GROUP = bindparam("of_group", type_=String())
_GROUPS: BindParameter[str] = bindparam("of_groups", expanding=True, type_=String())


def _any(found: Select[Any]) -> ColumnElement[bool]:
    """Mean EXISTS, but so that PostgreSQL stops at the first row, and does not think of reading all of them to compare them at once."""
    return found.limit(1).scalar_subquery().is_not(null())


_HOLDS = and_(_held.c.kind == _GROUP, _held.c.role == _COMPUTE, _held.c.present)
"""A host has a group."""

_PLACED = exists(
    select(_home.c.host).where(
        _home.c.subject == nic_groups.c.nic, _home.c.kind == _NIC, _home.c.role == _COMPUTE, _home.c.present
    ),
)
"""A member is on a host."""

# By the host's instances, which are few, and not by the group's members, which may be many.
_HAS_MEMBER = _any(
    select(nics.c.id)
    .join(instances, instances.c.id == nics.c.instance)
    .join(nic_groups, nic_groups.c.nic == nics.c.id)
    .join(_home, and_(_home.c.subject == nics.c.id, _home.c.host == instances.c.host))
    .where(
        instances.c.host == _THE_HOST,
        nics.c.filtered,
        nic_groups.c.group_id == generations.c.subject,
        _home.c.kind == _NIC,
        _home.c.role == _COMPUTE,
        _home.c.present,
    )
    .correlate(generations),
)
"""A group has a filtered NIC on the host."""

_REMOTES_MEMBERS = select(nic_groups.c.nic).join(
    security_group_rules, security_group_rules.c.remote == nic_groups.c.group_id
)
_NEEDED = exists(
    select(nic_groups.c.nic)
    .join(security_group_rules, security_group_rules.c.remote == nic_groups.c.group_id)
    .join(_held, _held.c.subject == security_group_rules.c.group_id)
    .where(nic_groups.c.nic == deliveries.c.subject, _held.c.host == deliveries.c.host, _HOLDS)
    .correlate(deliveries),
)
_SUPERFLUOUS = and_(deliveries.c.kind == _NIC, deliveries.c.role == _MEMBER, deliveries.c.present, ~_NEEDED)
"""A host is told of a member, and needs it no longer."""

_NEWEST = (
    select(generations.c.generation - 1)
    .where(generations.c.kind == deliveries.c.kind, generations.c.subject == deliveries.c.subject)
    .correlate(deliveries)
    .scalar_subquery()
)
_LET_GO = update(deliveries).values(generation=_NEWEST, present=false()).returning(deliveries.c.host)
_RAISE = update(generations).values(generation=generations.c.generation + 2)

_LOST_GROUPS = _RAISE.where(
    generations.c.kind == _GROUP,
    generations.c.subject.in_(_GROUPS),
    exists(select(_held.c.host).where(_held.c.subject == generations.c.subject, _held.c.host == _THE_HOST, _HOLDS)),
    ~_HAS_MEMBER,
).returning(generations.c.subject)
_LET_GROUPS_GO = _LET_GO.where(
    deliveries.c.host == _THE_HOST,
    deliveries.c.kind == _GROUP,
    deliveries.c.subject.in_(_GROUPS),
    deliveries.c.role == _COMPUTE,
)


def _row(host: ColumnElement[Any], kind: str, role: str) -> Select[Any, str, str, str, int, int, bool, int, None]:
    """Return new deliveries of subjects in their present generation."""
    return select(
        host,
        literal(kind),
        generations.c.subject,
        literal(role),
        generations.c.generation,
        literal(0),
        true(),
        literal(0),
        null(),
    ).where(generations.c.kind == kind)


_NEW_GROUPS = _row(_THE_HOST, _GROUP, _COMPUTE).where(generations.c.subject.in_(_GROUPS), _HAS_MEMBER)
_MEMBERS = nic_groups.c.nic == generations.c.subject
_MEMBERS_AT_HOST = (
    _row(_THE_HOST, _NIC, _MEMBER)
    .join(nic_groups, _MEMBERS)
    .join(security_group_rules, security_group_rules.c.remote == nic_groups.c.group_id)
    .where(security_group_rules.c.group_id.in_(_GROUPS), _PLACED)
    .distinct()
)
_MEMBERS_OF_REMOTE = (
    _row(_held.c.host, _NIC, _MEMBER)
    .join(nic_groups, _MEMBERS)
    .join(security_group_rules, security_group_rules.c.remote == nic_groups.c.group_id)
    .join(_held, _held.c.subject == security_group_rules.c.group_id)
    .where(
        nic_groups.c.group_id == bindparam("of_remote"),
        security_group_rules.c.group_id == _THE_GROUP,
        _HOLDS,
        _PLACED,
    )
    .distinct()
)
_MEMBER_EVERYWHERE = (
    _row(_held.c.host, _NIC, _MEMBER)
    .join(nic_groups, _MEMBERS)
    .join(security_group_rules, security_group_rules.c.remote == nic_groups.c.group_id)
    .join(_held, _held.c.subject == security_group_rules.c.group_id)
    .where(generations.c.subject == _THE_NIC, _HOLDS, _PLACED)
    .distinct()
)

_GONE_AT_HOST = and_(
    deliveries.c.host == _THE_HOST,
    deliveries.c.subject.in_(_REMOTES_MEMBERS.where(security_group_rules.c.group_id.in_(_GROUPS))),
    _SUPERFLUOUS,
)
_GONE_OF_REMOTE = and_(
    deliveries.c.host.in_(select(_held.c.host).where(_held.c.subject == _THE_GROUP, _HOLDS)),
    deliveries.c.subject.in_(select(nic_groups.c.nic).where(nic_groups.c.group_id == bindparam("of_remote"))),
    _SUPERFLUOUS,
)
_GONE_EVERYWHERE = and_(deliveries.c.subject == _THE_NIC, _SUPERFLUOUS)

_HOLDERS = select(_held.c.host).where(_held.c.subject == _THE_GROUP, _HOLDS)
_LAGGING = (
    select(deliveries.c.host)
    .where(
        deliveries.c.host.in_(bindparam("of_hosts", expanding=True)),
        deliveries.c.confirmed < deliveries.c.generation,
        deliveries.c.present,
        or_(
            and_(deliveries.c.kind == _GROUP, deliveries.c.subject.in_(_GROUPS)),
            and_(
                deliveries.c.kind == _NIC,
                deliveries.c.role == _MEMBER,
                # Asked of the few that are behind, and not of all members.
                _any(
                    _REMOTES_MEMBERS.where(
                        nic_groups.c.nic == deliveries.c.subject, security_group_rules.c.group_id.in_(_GROUPS)
                    ).correlate(deliveries),
                ),
            ),
        ),
    )
    .limit(1)
)


def groups_at(
    session: Session, host: HostId, groups: Collection[GroupId]
) -> tuple[frozenset[GroupId], frozenset[GroupId]]:
    """See mooring.operations.interfaces.Groups.reach."""
    if not groups:
        return frozenset(), frozenset()
    named: dict[str, object] = {"of_host": host, "of_groups": sorted(groups)}
    came = frozenset(GroupId(group) for group in _place(session, _NEW_GROUPS, named))
    went = frozenset(GroupId(group) for (group,) in session.rows(_LOST_GROUPS, **named))
    if came:
        _place(session, _MEMBERS_AT_HOST, named | {"of_groups": sorted(came)})
    if went:
        named |= {"of_groups": sorted(went)}
        session.rows(_LET_GROUPS_GO, **named)
        _take(session, _GONE_AT_HOST, named)
    return came, went


def members_for(session: Session, group: GroupId, remote: GroupId) -> frozenset[HostId]:
    """See mooring.operations.interfaces.Groups.refer."""
    named: dict[str, object] = {"of_group": group, "of_remote": remote}
    _place(session, _MEMBERS_OF_REMOTE, named)
    _take(session, _GONE_OF_REMOTE, named)
    return frozenset(host for (host,) in session.rows(_HOLDERS, of_group=group))


def member(session: Session, nic: NicId) -> frozenset[HostId]:
    """See mooring.operations.interfaces.Groups.follow."""
    named: dict[str, object] = {"of_nic": nic}
    _place(session, _MEMBER_EVERYWHERE, named)
    return _take(session, _GONE_EVERYWHERE, named)


def lagging(session: Session, groups: Collection[GroupId], hosts: Collection[HostId]) -> bool:
    """See mooring.operations.interfaces.Groups.lagging."""
    return session.row(_LAGGING, of_groups=sorted(groups), of_hosts=sorted(hosts)) is not None


def _place(
    session: Session,
    wanted: Select[Any, str, str, str, int, int, bool, int, None],
    named: dict[str, object],
) -> list[str]:
    """Deliver what isn't delivered yet; return the subjects of what was new."""
    columns = ("host", "kind", "subject", "role", "generation", "confirmed", "present", "failed", "error")
    statement = session.flavour.insert(deliveries).from_select(columns, wanted)
    placed = statement.on_conflict_do_update(
        index_elements=[deliveries.c.host, deliveries.c.kind, deliveries.c.subject, deliveries.c.role],
        set_={"generation": statement.excluded.generation, "present": true()},
        where=~deliveries.c.present,
    ).returning(deliveries.c.subject)
    return [subject for (subject,) in session.rows(placed, **named)]


def _take(session: Session, gone: ColumnElement[bool], named: dict[str, object]) -> frozenset[HostId]:
    """Let hosts give up members; return these hosts."""
    theirs = select(deliveries.c.subject).where(gone)
    if not session.change(_RAISE.where(generations.c.kind == _NIC, generations.c.subject.in_(theirs)), **named):
        return frozenset()
    return frozenset(host for (host,) in session.rows(_LET_GO.where(gone), **named))
