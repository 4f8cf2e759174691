"""Names of floating IPs: domains, and what is named in them."""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address

from mooring.model.ids import (
    AddressId,
    ProjectId,
)


class DnsScope(StrEnum):
    """Who may ask for the names of a domain: everybody, or whom the operator calls inside."""

    PUBLIC = "public"
    PRIVATE = "private"


@dataclass(frozen=True, slots=True)
class DnsDomain:
    """A domain in which projects give names to their floating IPs; only `project` may in one that is a project's."""

    name: str
    scope: DnsScope
    project: ProjectId | None = None


@dataclass(frozen=True, slots=True)
class DnsEntry:
    """A name in a domain, and the floating IP that it is for, with the project that has that."""

    domain: str
    name: str
    address: IPv4Address
    floating: AddressId
    project: ProjectId
