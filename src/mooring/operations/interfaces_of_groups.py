"""What operations need of a store for security groups; see mooring.operations.interfaces for what holds of all of it."""

from collections.abc import Collection, Sequence
from typing import Protocol

from mooring.model.groups import GroupName, GroupRule, SecurityGroup
from mooring.model.ids import GroupId, HostId, InstanceId, NicId, ProjectId, RuleId


class Groups(Protocol):
    """Security groups, their rules and members, and which hosts hear of them.

    A host has a group exactly while a filtered NIC of the group is placed there.  A host has a NIC in role MEMBER exactly while the NIC is
    placed somewhere and is in a group that a rule of one of the host's groups refers to.  `reach`, `refer` and `follow` see to that, by a
    fixed number of statements each.
    """

    def add(self, group: GroupId, project: ProjectId, name: str, description: str) -> None:
        """Insert a group without rules, with a number that no group ever had; raises Duplicate for a name in use in the project."""
        ...

    def get(self, group: GroupId) -> SecurityGroup | None: ...
    def find(self, project: ProjectId, name: str) -> SecurityGroup | None: ...

    def list(self, project: ProjectId | None) -> Sequence[SecurityGroup]:
        """Return a project's groups, or everybody's for None, by a fixed number of statements."""
        ...

    def rename(self, group: GroupId, name: str, description: str) -> None:
        """Change what people read; raises Duplicate for a name in use in the project."""
        ...

    def delete(self, group: GroupId) -> None:
        """Delete a group and its rules; raises Referenced while a NIC is in it or a rule of another group refers to it."""
        ...

    def rule(self, rule: RuleId) -> GroupRule | None: ...

    def add_rule(self, rule: GroupRule, most: int) -> bool:
        """Insert a rule; False, with nothing changed, if the group has `most` of them (-1 is no limit).

        Raises Duplicate if the group has a rule that says the same.
        """
        ...

    def delete_rule(self, rule: RuleId) -> bool: ...

    def refers(self, group: GroupId, remote: GroupId) -> int:
        """Count the rules of a group that refer to another."""
        ...

    def join(self, nic: NicId, group: GroupId, most: int) -> bool:
        """Put a NIC into a group; False, with nothing changed, if the group has `most` members (-1 is no limit).

        Raises Duplicate if it is there already.
        """
        ...

    def leave(self, nic: NicId, group: GroupId) -> bool:
        """Take a NIC out of a group; False if it isn't there."""
        ...

    def of_nic(self, nic: NicId) -> Sequence[GroupName]:
        """Return a NIC's groups by name."""
        ...

    def users(self, group: GroupId, few: int) -> Sequence[tuple[InstanceId, str]]:
        """Return the ids and names of instances in a group, at most so many."""
        ...

    def referrers(self, group: GroupId, few: int) -> Sequence[str]:
        """Return the names of other groups with a rule that refers to this one, at most so many."""
        ...

    def reach(self, host: HostId, groups: Collection[GroupId]) -> tuple[frozenset[GroupId], frozenset[GroupId]]:
        """Bring to a host those of some groups that have come to have a NIC there, and take away those that have none any longer.

        With them go the members of groups that their rules refer to.  Returns those that came and those that went.
        """
        ...

    def refer(self, group: GroupId, remote: GroupId) -> frozenset[HostId]:
        """Bring the members of `remote` to the hosts of a group whose first rule refers to it now, or take them away after the last.

        Returns the hosts of the group.
        """
        ...

    def follow(self, nic: NicId) -> frozenset[HostId]:
        """Bring a NIC that was placed, or whose groups changed, as a member to the hosts that need it now, and take it from others.

        Returns those that it is taken from.  It is to be published after this, for those that keep it or get it.
        """
        ...

    def lagging(self, groups: Collection[GroupId], hosts: Collection[HostId]) -> bool:
        """Say whether one of some hosts has yet to confirm one of some groups, or a member of a group that their rules refer to."""
        ...
