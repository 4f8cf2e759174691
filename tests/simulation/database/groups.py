"""Security groups in the simulated database: who hears of what is worked out anew, in plain loops, where mooring.store.reach changes it."""

import builtins
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace

from mooring.model.groups import GroupName, GroupRule, SecurityGroup
from mooring.model.ids import GroupId, HostId, InstanceId, NicId, ProjectId, RuleId
from mooring.model.subjects import HostRole, SubjectKey, SubjectKind
from mooring.policy.rules import meaning
from tests.simulation.database.tables import (
    Delivery,
    GroupRecord,
    Tables,
    forget,
    needed,
    needs,
    unique,
)


class Groups:
    """See mooring.operations.interfaces.Groups."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def add(self, group: GroupId, project: ProjectId, name: str, description: str) -> None:
        unique(group in self._tables.groups, "security_groups.id")
        unique(self.find(project, name) is not None, "security_groups.project, security_groups.name")
        needs(project in self._tables.projects)
        number = self._tables.count("groups", 1)
        self._tables.groups.put(group, GroupRecord(project, name, description, number))
        self._tables.generations.put(_key(group), 1)

    def get(self, group: GroupId) -> SecurityGroup | None:
        known = self._tables.groups.get(group)
        if known is None:
            return None
        rules = [self._shown(rule) for rule in self._tables.rules.values() if rule.group == group]
        return SecurityGroup(group, known.project, known.name, known.description, known.number, tuple(rules))

    def _shown(self, rule: GroupRule) -> GroupRule:
        name = self._tables.groups[rule.remote].name if rule.remote is not None else None
        return replace(rule, remote_name=name)

    def find(self, project: ProjectId, name: str) -> SecurityGroup | None:
        return next((group for group in self.list(project) if group.name == name), None)

    def list(self, project: ProjectId | None) -> Sequence[SecurityGroup]:
        every = [self.get(group) for group in self._tables.groups.keys()]  # noqa: SIM118 - a Table is no dict
        return [group for group in every if group is not None and project in (None, group.project)]

    def rename(self, group: GroupId, name: str, description: str) -> None:
        known = self._tables.groups.get(group)
        if known is None:
            return
        other = self.find(known.project, name)
        unique(other is not None and other.id != group, "security_groups.project, security_groups.name")
        self._tables.groups.put(group, replace(known, name=name, description=description))

    def delete(self, group: GroupId) -> None:
        if group not in self._tables.groups:
            return
        needed(bool(self._members(group)))
        needed(any(rule.remote == group and rule.group != group for rule in self._tables.rules.values()))
        for rule in [rule for rule in self._tables.rules.values() if rule.group == group]:
            self._tables.rules.drop(rule.id)
        self._tables.groups.drop(group)
        forget(self._tables, _key(group))

    def rule(self, rule: RuleId) -> GroupRule | None:
        known = self._tables.rules.get(rule)
        return self._shown(known) if known else None

    def add_rule(self, rule: GroupRule, most: int) -> bool:
        mine = [known for known in self._tables.rules.values() if known.group == rule.group]
        if rule.group in self._tables.groups and most != -1 and len(mine) >= most:
            return False
        unique(rule.id in self._tables.rules, "security_group_rules.id")
        said = {meaning(known) for known in mine}
        unique(meaning(rule) in said, "security_group_rules.group_id, security_group_rules.meaning")
        needs(rule.group in self._tables.groups, rule.remote is None or rule.remote in self._tables.groups)
        self._tables.rules.put(rule.id, replace(rule, remote_name=None))
        return True

    def delete_rule(self, rule: RuleId) -> bool:
        if rule not in self._tables.rules:
            return False
        self._tables.rules.drop(rule)
        return True

    def refers(self, group: GroupId, remote: GroupId) -> int:
        return sum(rule.group == group and rule.remote == remote for rule in self._tables.rules.values())

    def join(self, nic: NicId, group: GroupId, most: int) -> bool:
        if group in self._tables.groups and most != -1 and len(self._members(group)) >= most:
            return False
        unique((nic, group) in self._tables.nic_groups, "nic_groups.nic, nic_groups.group_id")
        needs(nic in self._tables.nics, group in self._tables.groups)
        self._tables.nic_groups.put((nic, group), None)
        return True

    def leave(self, nic: NicId, group: GroupId) -> bool:
        if (nic, group) not in self._tables.nic_groups:
            return False
        self._tables.nic_groups.drop((nic, group))
        return True

    def of_nic(self, nic: NicId) -> Sequence[GroupName]:
        return sorted(GroupName(self._tables.groups[group].name, group) for group in self._groups(nic))

    def users(self, group: GroupId, few: int) -> Sequence[tuple[InstanceId, str]]:
        members = [self._tables.nics[nic] for nic in self._members(group)]
        found = {nic.instance for nic in members if nic.instance is not None}
        names = [(self._tables.instances[instance].row.name, instance) for instance in found]
        return [(instance, name) for name, instance in sorted(names)[:few]]

    def referrers(self, group: GroupId, few: int) -> Sequence[str]:
        others = {rule.group for rule in self._tables.rules.values() if rule.remote == group} - {group}
        return sorted(self._tables.groups[other].name for other in others)[:few]

    # ------------------------------------------------------------------------------------------------- deliveries

    def reach(self, host: HostId, groups: Collection[GroupId]) -> tuple[frozenset[GroupId], frozenset[GroupId]]:
        def wanted(_host: HostId, key: SubjectKey) -> bool:
            mine = [nic for nic in self._members(GroupId(key.id)) if self._tables.nics[nic].filtered]
            return any(self._has(host, _nic(nic), HostRole.COMPUTE) for nic in mine)

        here = [(host, _key(group)) for group in groups if group in self._tables.groups]
        came, went = self._adjust(here, HostRole.COMPUTE, wanted)
        if came or went:
            self._adjust([(host, _nic(nic)) for nic in self._tables.nics.keys()], HostRole.MEMBER, self._is_needed)  # noqa: SIM118
        return frozenset(GroupId(key.id) for _, key in came), frozenset(GroupId(key.id) for _, key in went)

    def refer(self, group: GroupId, remote: GroupId) -> frozenset[HostId]:
        hosts = [host for host in self._tables.hosts.keys() if self._has(host, _key(group), HostRole.COMPUTE)]  # noqa: SIM118
        concerned = [(host, _nic(nic)) for host in hosts for nic in self._members(remote)]
        self._adjust(concerned, HostRole.MEMBER, self._is_needed)
        return frozenset(hosts)

    def follow(self, nic: NicId) -> frozenset[HostId]:
        everywhere = [(host, _nic(nic)) for host in self._tables.hosts.keys()]  # noqa: SIM118
        _, went = self._adjust(everywhere, HostRole.MEMBER, self._is_needed)
        return frozenset(host for host, _ in went)

    def lagging(self, groups: Collection[GroupId], hosts: Collection[HostId]) -> bool:
        remotes = {rule.remote for rule in self._tables.rules.values() if rule.group in groups}
        members = {_nic(nic) for nic, group in self._tables.nic_groups.keys() if group in remotes}  # noqa: SIM118
        keys = {_key(group) for group in groups}
        return any(
            row.present
            and row.confirmed < row.generation
            and (key in keys or (role is HostRole.MEMBER and key in members))
            for (host, key, role), row in self._tables.deliveries.items()
            if host in hosts
        )

    def _adjust(
        self,
        concerned: Iterable[tuple[HostId, SubjectKey]],
        role: HostRole,
        wanted: Callable[[HostId, SubjectKey], bool],
    ) -> tuple[builtins.list[tuple[HostId, SubjectKey]], builtins.list[tuple[HostId, SubjectKey]]]:
        """Deliver what is wanted and withdraw what isn't; a subject's generation rises once, by two, where it is withdrawn."""
        came, went = [], []
        for host, key in concerned:
            there = self._has(host, key, role)
            if wanted(host, key) and not there:
                came.append((host, key))
            elif there and not wanted(host, key):
                went.append((host, key))
        for host, key in came:
            generation = self._tables.generations[key]
            known = self._tables.deliveries.get((host, key, role))
            row = Delivery(generation) if known is None else replace(known, generation=generation, present=True)
            self._tables.deliveries.put((host, key, role), row)
        for key in {key for _, key in went}:
            self._tables.generations.put(key, self._tables.generations[key] + 2)
        for host, key in went:
            row = self._tables.deliveries[host, key, role]
            newest = self._tables.generations[key]
            self._tables.deliveries.put((host, key, role), replace(row, generation=newest - 1, present=False))
        return came, went

    def _is_needed(self, host: HostId, key: SubjectKey) -> bool:
        placed = any(
            known == key and role is HostRole.COMPUTE and row.present
            for (_, known, role), row in self._tables.deliveries.items()
        )
        mine = self._groups(NicId(key.id))
        return placed and any(
            rule.remote in mine and self._has(host, _key(rule.group), HostRole.COMPUTE)
            for rule in self._tables.rules.values()
        )

    def _has(self, host: HostId, key: SubjectKey, role: HostRole) -> bool:
        row = self._tables.deliveries.get((host, key, role))
        return row is not None and row.present

    def _members(self, group: GroupId) -> builtins.list[NicId]:
        return [nic for nic, known in self._tables.nic_groups.keys() if known == group]  # noqa: SIM118

    def _groups(self, nic: NicId) -> builtins.list[GroupId]:
        return [group for known, group in self._tables.nic_groups.keys() if known == nic]  # noqa: SIM118


def _key(group: GroupId) -> SubjectKey:
    return SubjectKey(SubjectKind.GROUP, group)


def _nic(nic: NicId) -> SubjectKey:
    return SubjectKey(SubjectKind.NIC, nic)
