"""Security groups, as projects make them: what guests may send and receive."""

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network

from mooring.model.ids import (
    GroupId,
    ProjectId,
    RuleId,
)
from mooring.model.marks import UNMARKED, Marks
from mooring.model.subjects import Direction

DEFAULT_GROUP = "default"
"""The name of the security group that every project has, and that an instance is in unless it is said otherwise."""


@dataclass(frozen=True, slots=True)
class GroupRule:
    """What a security group admits, as the project that made it sees it.

    `protocol` is an IP protocol's number, None for any.  `first` and `last` are a range of destination ports or, for ICMP, a type and a code;
    None where any will do.  The other side is in `prefix` or a member of the group `remote`; with neither it is anybody.
    """

    id: RuleId
    group: GroupId
    direction: Direction
    family: int
    protocol: int | None = None
    first: int | None = None
    last: int | None = None
    prefix: IPv4Network | IPv6Network | None = None
    remote: GroupId | None = None
    remote_name: str | None = None
    marks: Marks = field(default=UNMARKED, compare=False)


@dataclass(frozen=True, slots=True)
class SecurityGroup:
    """Rules that say what its members may send and receive.  `number` is its short name on hosts."""

    id: GroupId
    project: ProjectId
    name: str
    description: str
    number: int
    rules: tuple[GroupRule, ...] = ()
    marks: Marks = field(default=UNMARKED, compare=False)

    @property
    def is_default(self) -> bool:
        """Whether this is the group that every project has."""
        return self.name == DEFAULT_GROUP


@dataclass(frozen=True, slots=True, order=True)
class GroupName:
    """A security group, by name and id."""

    name: str
    id: GroupId
