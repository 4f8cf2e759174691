"""What projects make of networks for themselves, before and beside what hosts hold of it."""

from dataclasses import dataclass, field
from ipaddress import IPv4Network

from mooring.model.ids import NetworkId, ProjectId, SubnetPoolId
from mooring.model.marks import UNMARKED, Marks


@dataclass(frozen=True, slots=True)
class BareNetwork:
    """A network that a project made and that has no subnet: it is recorded, and no host has it.  With a subnet it is a Network of the same id."""

    id: NetworkId
    name: str
    project: ProjectId
    marks: Marks = field(default=UNMARKED, compare=False)


@dataclass(frozen=True, slots=True)
class SubnetPool:
    """Prefixes that subnets are taken from, no two of which overlap.  Lengths are of prefixes, in bits; `project` is None for everybody's."""

    id: SubnetPoolId
    name: str
    project: ProjectId | None
    prefixes: tuple[IPv4Network, ...]
    default_length: int
    shortest: int
    longest: int
    description: str = ""
    marks: Marks = field(default=UNMARKED, compare=False)
