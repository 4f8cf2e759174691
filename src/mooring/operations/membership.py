"""NICs in security groups: the part that launches, deletions and the groups' own operations share."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from mooring.model.faults import Conflict, NotFound, QuotaExceeded
from mooring.model.groups import DEFAULT_GROUP, GroupRule, SecurityGroup
from mooring.model.ids import GroupId, HostId, NicId, ProjectId, RuleId
from mooring.model.nouns import Nic, Resource
from mooring.model.subjects import MAX_GROUPS, Direction, SubjectKey, SubjectKind
from mooring.operations.door import Change, Door, publish
from mooring.operations.interfaces import Duplicate, Transaction
from mooring.policy.rules import FAMILIES

_NO_LIMIT = -1


@dataclass(frozen=True, slots=True)
class Reached:
    """Groups that hosts hear of from now on, or members of groups that their rules refer to; without groups there is nothing to wait for."""

    groups: frozenset[GroupId]
    hosts: frozenset[HostId]

    def is_open(self, tx: Transaction) -> bool:
        """Say whether a host has still to confirm one of them."""
        return bool(self.groups) and tx.groups.lagging(self.groups, self.hosts)


def make_group(door: Door, tx: Transaction, project: ProjectId, name: str, description: str) -> GroupId:
    """Make a group whose members may send everything and receive nothing but answers.

    Raises:
        Conflict: the project has one of this name.
    """
    group = GroupId(door.chance.new_id())
    try:
        tx.groups.add(group, project, name, description)
    except Duplicate as error:
        raise Conflict(f"Security group {name} already exists.", field="name") from error
    for family in FAMILIES:
        tx.groups.add_rule(GroupRule(RuleId(door.chance.new_id()), group, Direction.EGRESS, family), _NO_LIMIT)
    return group


def default_group(door: Door, tx: Transaction, project: ProjectId) -> SecurityGroup:
    """Return the group that every project has, made when it is first needed: its members reach each other."""
    known = tx.groups.find(project, DEFAULT_GROUP)
    if known is not None:
        return known
    group = make_group(door, tx, project, DEFAULT_GROUP, "What an instance is in unless it is said otherwise")
    for family in FAMILIES:
        rule = GroupRule(RuleId(door.chance.new_id()), group, Direction.INGRESS, family, remote=group)
        tx.groups.add_rule(rule, _NO_LIMIT)
    made = tx.groups.get(group)
    if made is None:
        raise AssertionError("what was inserted is there")
    return made


def find_group(door: Door, tx: Transaction, project: ProjectId, name: str) -> SecurityGroup:
    """Return a project's group by name or id.

    Raises:
        NotFound: the project has none.
    """
    if name == DEFAULT_GROUP:
        return default_group(door, tx, project)
    known = tx.groups.find(project, name) or tx.groups.get(GroupId(name))
    if known is None or known.project != project:
        raise NotFound("Security group", name)
    return known


def put_into(tx: Transaction, nic: NicId, group: SecurityGroup) -> None:
    """Put a NIC into a group of its project; hosts hear of it by `settle_in`.

    Raises:
        Conflict: it is in as many groups as it can be.
        QuotaExceeded: the group has as many members as it may.
    """
    if len(tx.groups.of_nic(nic)) >= MAX_GROUPS:
        raise Conflict(
            f"NIC {nic} is in {MAX_GROUPS} security groups, which is the most; take it out of one first.",
            field="security_group",
        )
    most = tx.quotas.get(group.project, Resource.SECURITY_GROUP_MEMBERS).limit
    if not tx.groups.join(nic, group.id, most):
        raise QuotaExceeded(f"members of security group {group.name}", most)


def check_alike(tx: Transaction, nic: NicId) -> None:
    """Refuse that NICs which may use one address are in different groups: hosts know an address's groups, and not whose turn it is.

    Raises:
        Conflict: with which NIC it is.
    """
    known = tx.instances.nic(nic)
    for other in tx.allowances.sharers(nic):
        theirs = tx.instances.nic(other)
        if known is None or theirs is None or not (known.filtered and theirs.filtered):
            continue
        if set(tx.groups.of_nic(nic)) != set(tx.groups.of_nic(other)):
            raise Conflict(
                f"NICs {nic} and {other} may use the same address: they must be in the same security groups.",
                field="security_group",
            )


def groups_of(nics: Iterable[Nic]) -> frozenset[GroupId]:
    """Return the groups that some NICs were in when they were read, and that mean something: those of filtered ones."""
    return frozenset(name.id for nic in nics if nic.filtered for name in nic.groups)


def settle_in(tx: Transaction, nics: Collection[NicId], host: HostId, groups: Collection[GroupId]) -> list[Change]:
    """Let hosts hear of NICs that were placed on a host, or whose groups changed there, and publish the NICs; `groups` are those concerned."""
    changes = reach(tx, host, groups)
    for nic in nics:
        left = tx.groups.follow(nic)
        if left:
            changes.append(Reached(frozenset(), left))
        changes.append(publish(tx, SubjectKey(SubjectKind.NIC, nic)))
    return changes


def reach(tx: Transaction, host: HostId, groups: Collection[GroupId]) -> list[Change]:
    """Bring some groups to a host or take them away, after NICs came or went there."""
    came, went = tx.groups.reach(host, groups)
    return [Reached(came, frozenset({host}))] if came or went else []
