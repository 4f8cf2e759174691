"""Security groups: what the members of each may send and receive."""

from collections.abc import Collection, Sequence
from functools import partial

from mooring.model.accounts import Caller
from mooring.model.events import Action
from mooring.model.faults import Conflict, InUse, Invalid, NotFound, QuotaExceeded
from mooring.model.groups import GroupRule, SecurityGroup
from mooring.model.ids import GroupId, InstanceId, NicId, ProjectId, RuleId
from mooring.model.nouns import Instance, Nic, Resource
from mooring.model.subjects import HostRole, SubjectKey, SubjectKind
from mooring.operations.door import (
    Change,
    Door,
    changeable_nic,
    check_own,
    check_version,
    checked_name,
    once,
    publish,
    visible_instance,
)
from mooring.operations.events import note
from mooring.operations.interfaces import Duplicate, Transaction
from mooring.operations.membership import (
    Reached,
    check_alike,
    default_group,
    find_group,
    make_group,
    put_into,
    settle_in,
)
from mooring.policy.names import text_fault
from mooring.policy.roles import Verb
from mooring.policy.rules import Flows, NewRule, checked_flows

_FEW = 3


class GroupOperations:
    """Security groups of a project.  A change returns when the hosts concerned have confirmed it."""

    def __init__(self, door: Door) -> None:
        """Keep the door."""
        self._door = door

    # ----------------------------------------------------------------------------------------------------- groups

    def listing(
        self, caller: Caller, *, name: str | None = None, every_project: bool = False
    ) -> Sequence[SecurityGroup]:
        """Return the project's groups, or with `every_project` an administrator everybody's; `name` keeps those named so."""
        self._door.allow(caller, Verb.READ)
        project = None if every_project and caller.is_admin else caller.project.id
        with self._door.store.read() as tx:
            found = tx.groups.list(project)
        if not any(group.is_default and group.project == caller.project.id for group in found):
            with self._door.store.write() as tx:
                default_group(self._door, tx, caller.project.id)
                found = tx.groups.list(project)
        return [group for group in found if name in (None, group.name)]

    def everybodys(self, caller: Caller) -> Sequence[SecurityGroup]:
        """Return the groups of all projects, for who administrates hosts."""
        self._door.allow(caller, Verb.HOST_ADMIN)
        with self._door.store.read() as tx:
            return tx.groups.list(None)

    def get(self, caller: Caller, group: GroupId) -> SecurityGroup:
        """Return a group.

        Raises:
            NotFound: the project has no such group.
        """
        self._door.allow(caller, Verb.READ)
        with self._door.store.read() as tx:
            return visible_group(tx, caller, group)

    def create(
        self, caller: Caller, name: str, description: str = "", idempotency_key: str | None = None
    ) -> SecurityGroup:
        """Make a group whose members may send everything and receive nothing but answers.

        Raises:
            Invalid: the name or description cannot be shown.
            Conflict: the project has a group of this name.
            QuotaExceeded: the project has as many groups as it may.
        """
        self._door.allow(caller, Verb.GROUP_CHANGE)
        name, description = checked_name("name", name), _description(description)
        with self._door.store.write() as tx:
            request = ("group", name, description)
            made = once(tx, caller, idempotency_key, request, lambda: self._create(tx, caller, name, description))
            group = tx.groups.get(GroupId(made))
        if group is None:
            raise NotFound("Security group", made)
        return group

    def _create(self, tx: Transaction, caller: Caller, name: str, description: str) -> GroupId:
        project = caller.project.id
        # The one that nobody has to make is not counted.
        default_group(self._door, tx, project)
        made = make_group(self._door, tx, project, name, description)
        if not tx.quotas.take(project, Resource.SECURITY_GROUPS):
            raise QuotaExceeded("security groups", tx.quotas.get(project, Resource.SECURITY_GROUPS).limit)
        note(tx, caller, Action.GROUP_CREATE, made, name=name)
        return made

    def update(
        self, caller: Caller, group: GroupId, name: str | None = None, description: str | None = None
    ) -> SecurityGroup:
        """Rename a group or say anew what it is for; None leaves it as it is.  Hosts know neither.

        Raises:
            Invalid: the name or description cannot be shown.
            NotFound: the project has no such group.
            Conflict: it is the default group, or the project has another one of this name.
        """
        self._door.allow(caller, Verb.GROUP_CHANGE)
        name = checked_name("name", name) if name is not None else None
        description = _description(description) if description is not None else None
        with self._door.store.write() as tx:
            known = visible_group(tx, caller, group)
            check_version(caller, "Security group", known.name, known)
            name = known.name if name is None else name
            description = known.description if description is None else description
            if known.is_default:
                raise Conflict("The default security group keeps its name and description.", field="group")
            try:
                tx.groups.rename(group, name, description)
            except Duplicate as error:
                raise Conflict(f"Security group {name} already exists.", field="name") from error
            note(tx, caller, Action.GROUP_CHANGE, group, known.project, name=name, description=description)
            return visible_group(tx, caller, group)

    def delete(self, caller: Caller, group: GroupId) -> None:
        """Delete a group that no instance is in and no rule of another group refers to.

        Raises:
            NotFound: the project has no such group.
            InUse: an instance is in it, or a rule refers to it.
            Conflict: it is the default group.
        """
        self._door.allow(caller, Verb.GROUP_CHANGE)
        with self._door.store.write() as tx:
            known = visible_group(tx, caller, group)
            check_version(caller, "Security group", known.name, known)
            if known.is_default:
                raise Conflict("Every project keeps its default security group.", field="group")
            users = [f"instance {name} ({instance})" for instance, name in tx.groups.users(group, _FEW + 1)]
            users = users or [f"a rule of security group {name}" for name in tx.groups.referrers(group, _FEW + 1)]
            loose = tx.cards.list(known.project) if not users else ()
            users = users or [f"NIC {card.id}" for card in loose if any(name.id == known.id for name in card.groups)]
            if users:
                more = " and others" if len(users) > _FEW else ""
                raise InUse("Security group", known.name, ", ".join(users[:_FEW]) + more)
            tx.groups.delete(group)
            tx.quotas.give(known.project, Resource.SECURITY_GROUPS)
            note(tx, caller, Action.GROUP_DELETE, group, known.project, name=known.name)

    # ------------------------------------------------------------------------------------------------------ rules

    def add_rule(self, caller: Caller, group: GroupId, new: NewRule, idempotency_key: str | None = None) -> GroupRule:
        """Admit something: when this returns, hosts let new flows pass.

        Raises:
            NotFound: the project has no such group, or none that is named as the other side.
            Invalid: a field cannot be, or contradicts another.
            Conflict: the group has a rule that says the same.
            QuotaExceeded: the group has as many rules as it may.
        """
        self._door.allow(caller, Verb.GROUP_CHANGE)
        flows = checked_flows(new)
        changes: list[Change] = []
        with self._door.store.write() as tx:
            request = ("rule", group, *_texts(flows), new.remote)
            make = partial(self._add_rule, tx, caller, group, (flows, new.remote), changes)
            made = once(tx, caller, idempotency_key, request, make)
            rule = tx.groups.rule(RuleId(made))
        if rule is None:
            raise NotFound("Security group rule", made)
        self._door.settle(changes)
        return rule

    def _add_rule(
        self, tx: Transaction, caller: Caller, group: GroupId, wanted: tuple[Flows, str | None], changes: list[Change]
    ) -> RuleId:
        known = visible_group(tx, caller, group)
        flows, other = wanted
        remote = find_group(self._door, tx, known.project, other) if other is not None else None
        rule = GroupRule(
            id=RuleId(self._door.chance.new_id()),
            group=group,
            direction=flows.direction,
            family=flows.family,
            protocol=flows.protocol,
            first=flows.first,
            last=flows.last,
            prefix=flows.prefix,
            remote=remote.id if remote is not None else None,
        )
        most = tx.quotas.get(known.project, Resource.SECURITY_GROUP_RULES).limit
        try:
            added = tx.groups.add_rule(rule, most)
        except Duplicate as error:
            raise Conflict(f"This rule already exists in group {known.name}.", field="rule") from error
        if not added:
            raise QuotaExceeded(f"rules of security group {known.name}", most)
        if remote is not None and tx.groups.refers(group, remote.id) == 1:
            changes.append(Reached(frozenset({group}), tx.groups.refer(group, remote.id)))
        changes.append(publish(tx, SubjectKey(SubjectKind.GROUP, group)))
        note(tx, caller, Action.RULE_CREATE, rule.id, known.project, **_said(rule))
        return rule.id

    def rule(self, caller: Caller, rule: RuleId) -> GroupRule:
        """Return a rule.

        Raises:
            NotFound: no group of the project has such a rule.
        """
        self._door.allow(caller, Verb.READ)
        with self._door.store.read() as tx:
            return _visible_rule(tx, caller, rule)

    def delete_rule(self, caller: Caller, rule: RuleId, group: GroupId | None = None) -> None:
        """Admit something no longer: when this returns, flows that only this rule admitted have ended.

        Raises:
            NotFound: no group of the project has such a rule, or not the one that is named.
        """
        self._door.allow(caller, Verb.GROUP_CHANGE)
        with self._door.store.write() as tx:
            known = _visible_rule(tx, caller, rule)
            if group not in (None, known.group):
                raise NotFound("Security group rule", rule)
            check_version(caller, "Security group rule", rule, known)
            tx.groups.delete_rule(rule)
            changes: list[Change] = []
            if known.remote is not None and not tx.groups.refers(known.group, known.remote):
                # Whom no rule names any longer may be known for a while: nobody is waited for.
                changes.append(Reached(frozenset(), tx.groups.refer(known.group, known.remote)))
            changes.append(publish(tx, SubjectKey(SubjectKind.GROUP, known.group)))
            owner = visible_group(tx, caller, known.group).project
            note(tx, caller, Action.RULE_DELETE, rule, owner, **_said(known))
        self._door.settle(changes)

    # ---------------------------------------------------------------------------------------------------- members

    def join(self, caller: Caller, instance: InstanceId, group: str, nic: NicId | None = None) -> None:
        """Put the NICs of an instance, or one of them, into a group, named by name or id.

        Raises:
            NotFound: the project has no such instance or group, or the instance no such NIC.
            Conflict: they are in it already, one is in as many groups as it can be, or the instance is being deleted.
            QuotaExceeded: the group has as many members as it may.
        """
        self._door.allow(caller, Verb.GROUP_CHANGE)
        with self._door.store.write() as tx:
            target, nics = _cards(tx, caller, instance, nic)
            known = find_group(self._door, tx, target.project, group)
            joining = [card for card in nics if all(name.id != known.id for name in card.groups)]
            if not joining:
                raise Conflict(
                    f"Instance {target.id} is already in security group {known.name}.", field="security_group"
                )
            for card in joining:
                put_into(tx, card.id, known)
            changes = _changed(tx, joining, [known.id])
            note(tx, caller, Action.INSTANCE_JOIN, target.id, target.project, group=known.id, nic=nic)
        self._door.settle(changes)

    def leave(self, caller: Caller, instance: InstanceId, group: str, nic: NicId | None = None) -> None:
        """Take the NICs of an instance, or one of them, out of a group, named by name or id.

        Raises:
            NotFound: the project has no such instance or group, or the instance no such NIC.
            Conflict: none of them is in it, or the instance is being deleted.
        """
        self._door.allow(caller, Verb.GROUP_CHANGE)
        with self._door.store.write() as tx:
            target, nics = _cards(tx, caller, instance, nic)
            known = find_group(self._door, tx, target.project, group)
            leaving = [card for card in nics if tx.groups.leave(card.id, known.id)]
            if not leaving:
                raise Conflict(f"Instance {target.id} is not in security group {known.name}.", field="security_group")
            changes = _changed(tx, leaving, [known.id])
            note(tx, caller, Action.INSTANCE_LEAVE, target.id, target.project, group=known.id, nic=nic)
        self._door.settle(changes)

    def assign(self, caller: Caller, nic: NicId, groups: Collection[str]) -> None:
        """Put a NIC into some groups, named by name or id, and take it out of all others, in one change.

        Raises:
            NotFound: the project has no such NIC or group.
            Conflict: these are more groups than it can be in, or the instance is being deleted.
            QuotaExceeded: a group has as many members as it may.
        """
        self._door.allow(caller, Verb.GROUP_CHANGE)
        with self._door.store.write() as tx:
            card = changeable_nic(tx, caller, nic)
            changes = assign(self._door, tx, card.project, card.nic, groups)
            note(tx, caller, Action.NIC_CHANGE, nic, card.project, groups=", ".join(groups))
        self._door.settle(changes)


def assign(door: Door, tx: Transaction, project: ProjectId, card: Nic, groups: Collection[str]) -> list[Change]:
    """Put a NIC into some groups and take it out of all others; see `GroupOperations.assign`."""
    wanted = {known.id: known for known in (find_group(door, tx, project, name) for name in groups)}
    had = {name.id for name in card.groups}
    for group in had - wanted.keys():
        tx.groups.leave(card.id, group)
    for group in wanted.keys() - had:
        put_into(tx, card.id, wanted[group])
    changed = had ^ wanted.keys()
    return _changed(tx, [card], changed) if changed else []


def _changed(tx: Transaction, nics: Sequence[Nic], groups: Collection[GroupId]) -> list[Change]:
    """Tell hosts of NICs that came to some groups or left them; one that isn't placed yet, nobody knows."""
    changes: list[Change] = []
    for nic in nics:
        check_alike(tx, nic.id)
        key = SubjectKey(SubjectKind.NIC, nic.id)
        for host in [host for host, role in tx.deliveries.hosts(key) if role is HostRole.COMPUTE]:
            changes += settle_in(tx, [nic.id], host, groups)
    return changes


def _cards(tx: Transaction, caller: Caller, instance: InstanceId, nic: NicId | None) -> tuple[Instance, Sequence[Nic]]:
    target = visible_instance(tx, caller, instance)
    check_own(caller, target, NotFound("Instance", instance))
    nics = [card for card in target.nics if nic in (None, card.id)]
    if not nics:
        raise NotFound("NIC", nic)
    return target, nics


def visible_group(tx: Transaction, caller: Caller, group: GroupId) -> SecurityGroup:
    """Return a group that the caller may know of.

    Raises:
        NotFound: there is none, or it is another project's: the two answers are the same.
    """
    known = tx.groups.get(group)
    if known is None or (known.project != caller.project.id and not caller.is_admin):
        raise NotFound("Security group", group)
    return known


def _visible_rule(tx: Transaction, caller: Caller, rule: RuleId) -> GroupRule:
    known = tx.groups.rule(rule)
    group = tx.groups.get(known.group) if known is not None else None
    if known is None or group is None or (group.project != caller.project.id and not caller.is_admin):
        raise NotFound("Security group rule", rule)
    return known


def _said(rule: GroupRule) -> dict[str, object]:
    """Return what is noted of a rule."""
    parts = ("group", "direction", "family", "protocol", "first", "last", "prefix", "remote")
    return {part: getattr(rule, part) for part in parts}


def _description(text: str) -> str:
    if (reason := text_fault(text)) is not None:
        raise Invalid("description", reason)
    return text.strip()


def _texts(flows: Flows) -> tuple[str, ...]:
    parts = (flows.direction, flows.family, flows.protocol, flows.first, flows.last, flows.prefix)
    return tuple(str(part) for part in parts)
