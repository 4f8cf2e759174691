"""Egress preferences, as projects say them: as whom guests leave towards which destinations."""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network

from mooring.model.ids import (
    AddressId,
    NicId,
    PoolId,
    PreferenceId,
    ProjectId,
)


class EgressScope(StrEnum):
    """For whom an egress preference is, the most specific first: of two with one prefix, that one counts."""

    ADDRESS = "address"
    NIC = "nic"
    INSTANCE = "instance"
    NETWORK = "network"
    PROJECT = "project"


@dataclass(frozen=True, slots=True)
class EgressWay:
    """As whom a guest leaves: as a floating IP, or without one as whatever address it has of the pool, its router's if need be."""

    pool: PoolId
    pool_name: str
    floating: AddressId | None = None
    address: IPv4Address | None = None

    def __str__(self) -> str:
        """Name the address, or the pool."""
        return str(self.address) if self.address is not None else f"pool {self.pool_name}"


@dataclass(frozen=True, slots=True)
class EgressPreference:
    """Towards destinations in `prefix`, guests of a project leave as `way`; of several prefixes that hold a destination, the longest counts.

    `scope` says for which guests, and `target` is the id of what it names; `fixed` is the address that one of scope ADDRESS is for, and `nic`
    then has it.  While the way's uplink leads nowhere what begins leaves as `fallback`, without one not at all.
    """

    id: PreferenceId
    project: ProjectId
    scope: EgressScope
    target: str
    prefix: IPv4Network
    way: EgressWay
    fallback: EgressWay | None = None
    nic: NicId | None = None
    fixed: IPv4Address | None = None
