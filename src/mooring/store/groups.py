"""Security groups, their rules and members in the database."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import Select, bindparam, delete, func, or_, select, update

from mooring.model.groups import GroupName, GroupRule, SecurityGroup
from mooring.model.ids import GroupId, HostId, InstanceId, NicId, ProjectId, RuleId
from mooring.model.marks import Tagged
from mooring.model.subjects import SubjectKey, SubjectKind
from mooring.policy.rules import meaning
from mooring.store import numbers, reach
from mooring.store.generations import forget
from mooring.store.marks import changed, forget_tags, marks_of, tags_of
from mooring.store.rules import RULES, RuleSelect, group_rule
from mooring.store.schema import generations, instances, nic_groups, nics, security_group_rules, security_groups
from mooring.store.schema.columns import unseen
from mooring.store.session import Session

_GROUPS = select(
    security_groups.c.id,
    security_groups.c.project,
    security_groups.c.name,
    security_groups.c.description,
    security_groups.c.number,
    security_groups.c.revision,
    security_groups.c.created,
    security_groups.c.updated,
    tags_of(Tagged.SECURITY_GROUP, security_groups.c.id),
).order_by(security_groups.c.seq)
_BY_ID = security_groups.c.id == bindparam("group")
_BY_NAME = (security_groups.c.project == bindparam("project"), security_groups.c.name == bindparam("name"))
_OF_PROJECT = security_groups.c.project == bindparam("project")
_OWNER = security_groups.c.id == security_group_rules.c.group_id

_ONE = (_GROUPS.where(_BY_ID), RULES.where(security_group_rules.c.group_id == bindparam("group")))
_NAMED = (_GROUPS.where(*_BY_NAME), RULES.join(security_groups, _OWNER).where(*_BY_NAME))
_ALL = (_GROUPS, RULES)
_THEIRS = (_GROUPS.where(_OF_PROJECT), RULES.join(security_groups, _OWNER).where(_OF_PROJECT))
_RULE = RULES.where(security_group_rules.c.id == bindparam("rule"))

_MOST = bindparam("most", type_=security_groups.c.rules.type)
_COUNT_RULE = (
    update(security_groups)
    .where(security_groups.c.id == bindparam("of_group"), or_(_MOST == -1, security_groups.c.rules < _MOST))
    .values(rules=security_groups.c.rules + 1)
)
_COUNT_MEMBER = (
    update(security_groups)
    .where(security_groups.c.id == bindparam("of_group"), or_(_MOST == -1, security_groups.c.members < _MOST))
    .values(members=security_groups.c.members + 1, **unseen(security_groups))
)
_EXISTS = select(security_groups.c.seq).where(_BY_ID)
_DROP_RULE = (
    delete(security_group_rules)
    .where(security_group_rules.c.id == bindparam("rule"))
    .returning(security_group_rules.c.group_id)
)
_UNCOUNT_RULE = (
    update(security_groups)
    .where(security_groups.c.id == bindparam("of_group"))
    .values(rules=security_groups.c.rules - 1)
)
_LEAVE = delete(nic_groups).where(nic_groups.c.nic == bindparam("nic"), nic_groups.c.group_id == bindparam("group"))
_UNCOUNT_MEMBER = (
    update(security_groups)
    .where(security_groups.c.id == bindparam("of_group"))
    .values(members=security_groups.c.members - 1, **unseen(security_groups))
)
_RENAME = (
    update(security_groups)
    .where(security_groups.c.id == bindparam("of_group"))
    .values(name=bindparam("new_name"), description=bindparam("new_description"))
)
_DROPRULES = delete(security_group_rules).where(security_group_rules.c.group_id == bindparam("group"))
_DROP = delete(security_groups).where(_BY_ID)
_USERS = (
    select(instances.c.id, instances.c.name)
    .join(nics, nics.c.instance == instances.c.id)
    .join(nic_groups, nic_groups.c.nic == nics.c.id)
    .where(nic_groups.c.group_id == bindparam("group"))
    .distinct()
    .order_by(instances.c.name, instances.c.id)
    .limit(bindparam("few"))
)
_REFERRERS = (
    select(security_groups.c.name)
    .join(security_group_rules, _OWNER)
    .where(security_group_rules.c.remote == bindparam("group"), security_groups.c.id != bindparam("group"))
    .distinct()
    .order_by(security_groups.c.name)
    .limit(bindparam("few"))
)
_REFERENCES = (
    select(func.count())
    .select_from(security_group_rules)
    .where(
        security_group_rules.c.group_id == bindparam("group"),
        security_group_rules.c.remote == bindparam("remote"),
    )
)
_OF_NIC = (
    select(security_groups.c.name, security_groups.c.id)
    .join(nic_groups, nic_groups.c.group_id == security_groups.c.id)
    .where(nic_groups.c.nic == bindparam("nic"))
    .order_by(security_groups.c.name, security_groups.c.id)
)

_Whole = tuple[Select[GroupId, ProjectId, str, str, int, int, datetime, datetime, str], RuleSelect]


class Groups:
    """See mooring.operations.interfaces.Groups."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, group: GroupId, project: ProjectId, name: str, description: str) -> None:
        with self._session.whole():
            self._session.add(
                security_groups,
                id=group,
                project=project,
                name=name,
                description=description,
                number=numbers.new_group_number(self._session),
                rules=0,
                members=0,
            )
            self._session.add(generations, kind=SubjectKind.GROUP.value, subject=group, generation=1)

    def get(self, group: GroupId) -> SecurityGroup | None:
        return next(iter(self._read(_ONE, group=group)), None)

    def find(self, project: ProjectId, name: str) -> SecurityGroup | None:
        return next(iter(self._read(_NAMED, project=project, name=name)), None)

    def list(self, project: ProjectId | None) -> Sequence[SecurityGroup]:
        return self._read(_ALL) if project is None else self._read(_THEIRS, project=project)

    def _read(self, statements: _Whole, **parameters: object) -> Sequence[SecurityGroup]:
        groups, rules = statements
        found = self._session.rows(groups, **parameters)
        theirs: defaultdict[GroupId, list[GroupRule]] = defaultdict(list)
        for row in self._session.rows(rules, **parameters) if found else ():
            rule, _ = group_rule(row)
            theirs[rule.group].append(rule)
        return [SecurityGroup(*row[:5], tuple(theirs[row[0]]), marks_of(*row[5:9])) for row in found]

    def rename(self, group: GroupId, name: str, description: str) -> None:
        self._session.refusable(_RENAME, of_group=group, new_name=name, new_description=description)

    def delete(self, group: GroupId) -> None:
        with self._session.whole(), self._session.refusals():
            self._session.change(_DROPRULES, group=group)
            self._session.change(_DROP, group=group)
            forget_tags(self._session, Tagged.SECURITY_GROUP, group)
        forget(self._session, SubjectKey(SubjectKind.GROUP, group))

    def rule(self, rule: RuleId) -> GroupRule | None:
        row = self._session.row(_RULE, rule=rule)
        return group_rule(row)[0] if row else None

    def add_rule(self, rule: GroupRule, most: int) -> bool:
        with self._session.whole():
            # Not whether the group is there: then there is nothing to count, and the foreign key says so.
            if not self._session.change(_COUNT_RULE, of_group=rule.group, most=most) and self._is_there(rule.group):
                return False
            self._session.add(
                security_group_rules,
                id=rule.id,
                group_id=rule.group,
                direction=rule.direction.value,
                family=rule.family,
                protocol=rule.protocol,
                first=rule.first,
                last=rule.last,
                prefix=str(rule.prefix) if rule.prefix is not None else None,
                remote=rule.remote,
                meaning=meaning(rule),
            )
        return True

    def _is_there(self, group: GroupId) -> bool:
        return self._session.row(_EXISTS, group=group) is not None

    def delete_rule(self, rule: RuleId) -> bool:
        dropped = self._session.row(_DROP_RULE, rule=rule)
        if dropped is None:
            return False
        self._session.change(_UNCOUNT_RULE, of_group=dropped[0])
        return True

    def refers(self, group: GroupId, remote: GroupId) -> int:
        row = self._session.row(_REFERENCES, group=group, remote=remote)
        return row[0] if row else 0

    def join(self, nic: NicId, group: GroupId, most: int) -> bool:
        with self._session.whole():
            if not self._session.change(_COUNT_MEMBER, of_group=group, most=most) and self._is_there(group):
                return False
            self._session.add(nic_groups, nic=nic, group_id=group)
        changed(self._session, nics, nic)
        return True

    def leave(self, nic: NicId, group: GroupId) -> bool:
        if not self._session.change(_LEAVE, nic=nic, group=group):
            return False
        self._session.change(_UNCOUNT_MEMBER, of_group=group)
        changed(self._session, nics, nic)
        return True

    def of_nic(self, nic: NicId) -> Sequence[GroupName]:
        return [GroupName(name, group) for name, group in self._session.rows(_OF_NIC, nic=nic)]

    def users(self, group: GroupId, few: int) -> Sequence[tuple[InstanceId, str]]:
        return [(instance, name) for instance, name in self._session.rows(_USERS, group=group, few=few)]

    def referrers(self, group: GroupId, few: int) -> Sequence[str]:
        return [name for (name,) in self._session.rows(_REFERRERS, group=group, few=few)]

    # ------------------------------------------------------------------------------------------------- deliveries

    def reach(self, host: HostId, groups: Collection[GroupId]) -> tuple[frozenset[GroupId], frozenset[GroupId]]:
        return reach.groups_at(self._session, host, groups)

    def refer(self, group: GroupId, remote: GroupId) -> frozenset[HostId]:
        return reach.members_for(self._session, group, remote)

    def follow(self, nic: NicId) -> frozenset[HostId]:
        return reach.member(self._session, nic)

    def lagging(self, groups: Collection[GroupId], hosts: Collection[HostId]) -> bool:
        return reach.lagging(self._session, groups, hosts)
