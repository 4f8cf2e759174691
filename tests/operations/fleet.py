"""Several hosts that hear and report when they are told to, and an oracle that knows what each of them must have heard of groups."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from mooring.model.groups import SecurityGroup
from mooring.model.ids import GroupId, HostId, InstanceId, NicId
from mooring.model.nouns import Instance, InstanceState
from mooring.model.subjects import (
    GroupIntent,
    HostRole,
    NicFilter,
    NicIntent,
    Placement,
    Report,
    SubjectKey,
    SubjectKind,
)
from mooring.policy.rules import filter_rule
from tests.cloud import Cloud

Parts = dict[tuple[SubjectKey, HostRole], Placement]


@dataclass
class Fleet:
    """A cloud's hosts, each with what it was told and has confirmed."""

    cloud: Cloud
    hosts: tuple[HostId, ...]
    held: dict[HostId, Parts] = field(default_factory=dict)

    @classmethod
    def build(cls, cloud: Cloud, number: int = 3) -> "Fleet":
        """Let hosts join that do nothing by themselves."""
        cloud.host.away = True
        names = [f"host{count}" for count in range(1, number + 1)]
        hosts = [cloud.operations.hosts.register(name, compute=True, gateway=name == "host1").id for name in names]
        return cls(cloud, tuple(hosts), {host: {} for host in hosts})

    def launch(self, instance: InstanceId, host: HostId) -> None:
        """Take a launch as far as the addresses, on a host of one's choice."""
        with self.cloud.store.write() as tx:
            assert tx.instances.assign(instance, host)
        self.cloud.operations.launches.set_up_network(host, instance)
        self.cloud.operations.launches.allocate_fixed_ips(host, instance)

    def work(self, host: HostId, at_most: int | None = None) -> None:
        """Let a host make true and confirm what it has not yet, or a part of it."""
        told = self.cloud.operations.settlement.pull(host, None)
        reports: list[Report] = []
        for placed in told[:at_most]:
            known = self.held[host].get((placed.key, placed.role))
            assert known is None or known.generation < placed.generation or known == placed, (
                "one generation, two states"
            )
            if placed.subject is None:
                self.held[host].pop((placed.key, placed.role), None)
            else:
                assert placed.subject.generation == placed.generation
                self.held[host][placed.key, placed.role] = placed
            reports.append(Report(placed.key, placed.role, placed.generation))
        self.cloud.operations.settlement.report(host, reports)

    def catch_up(self) -> None:
        """Let all hosts confirm everything."""
        settlement = self.cloud.operations.settlement
        while behind := settlement.behind():
            for host in behind:
                self.work(host)

    # ------------------------------------------------------------------------------------------------------- the oracle

    def groups_at(self, host: HostId) -> set[GroupId]:
        """Return the groups that a host has, as it says."""
        return {
            GroupId(key.id)
            for key, role in self.held[host]
            if key.kind is SubjectKind.GROUP and role is HostRole.COMPUTE
        }

    def members_at(self, host: HostId) -> set[NicId]:
        """Return the NICs that a host knows as members of groups, as it says."""
        return {NicId(key.id) for key, role in self.held[host] if role is HostRole.MEMBER}

    def check(self) -> None:
        """Hold what all hosts have, once they have caught up, against what projects see."""
        everybody = self.cloud.caller("root")
        groups = {each.id: each for each in self.cloud.operations.groups.listing(everybody, every_project=True)}
        instances = self.cloud.operations.instances.listing(everybody, every_project=True)
        for host in self.hosts:
            wanted = _groups_wanted(host, instances)
            assert self.groups_at(host) == wanted, "groups"
            remotes = {rule.remote for group in wanted for rule in groups[group].rules} - {None}
            members = {
                nic.id
                for instance in instances
                if _is_placed(instance)
                for nic in instance.nics
                if remotes & {name.id for name in nic.groups}
            }
            assert self.members_at(host) == members, "members"
            for (_, role), placed in self.held[host].items():
                self._check_content(role, placed, groups, instances)

    def _check_content(
        self, role: HostRole, placed: Placement, groups: dict[GroupId, SecurityGroup], instances: Sequence[Instance]
    ) -> None:
        subject = placed.subject
        if isinstance(subject, GroupIntent):
            group = groups[subject.id]
            assert role is HostRole.COMPUTE
            assert subject.number == group.number
            told = [filter_rule(rule, groups[rule.remote].number if rule.remote else None) for rule in group.rules]
            assert list(subject.rules) == told
        if isinstance(subject, NicIntent):
            (nic,) = [nic for instance in instances for nic in instance.nics if nic.id == subject.id]
            numbers = sorted(groups[name.id].number for name in nic.groups)
            assert subject.filter == NicFilter(tuple(numbers))


def _is_placed(instance: Instance) -> bool:
    return instance.host is not None and instance.state in (InstanceState.BUILDING, InstanceState.ACTIVE)


def _groups_wanted(host: HostId, instances: Sequence[Instance]) -> set[GroupId]:
    return {
        name.id
        for instance in instances
        if _is_placed(instance) and instance.host == host
        for nic in instance.nics
        for name in nic.groups
    }
