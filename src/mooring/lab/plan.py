"""How many of what there are in a laboratory, and all names and addresses that follow from it.

         .-------------------- underlay: a bridge for each segment -------------------.
    control  host-1 ... host-N   operator (router of the flat networks)               |
              |  |                                                                    |
           ext0  ext1   (gateways only)
              |  |
          isp-a  isp-b          one provider an uplink
              |  |
      outside-a  outside-b      and a host on its far side

Public prefixes are those that RFC 5737 and RFC 2544 reserve for documentation and benchmarks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

HOSTS, UPLINKS = range(1, 33), range(1, 5)
MANAGEMENT = IPv4Network("10.255.0.0/24")
CONTROL, UNDERLAY, OPERATOR = "control", "underlay", "operator"
CLUSTERS = ("east", "west")
API_PORT, NATS_PORT = 8774, 4222

_PUBLIC = (IPv4Network("198.51.100.0/24"), IPv4Network("203.0.113.0/24"))
_MORE_PUBLIC = IPv4Network("198.18.0.0/15")
_OUTSIDE = IPv4Network("192.0.2.0/24")
_LETTERS = "abcd"


class Database(StrEnum):
    """Which database api and controller share."""

    SQLITE = "sqlite"
    POSTGRESQL = "postgresql"


@dataclass(frozen=True, slots=True)
class HostPlan:
    """One host: its place in the row, its part, and the cluster whose flat networks it has."""

    number: int
    gateway: bool
    cluster: str

    @property
    def name(self) -> str:
        """Return its name, which is its namespace's too."""
        return f"host-{self.number}"

    @property
    def address(self) -> IPv4Interface:
        """Return its address on the management segment, where the bus is and tunnels end."""
        return IPv4Interface((MANAGEMENT[10 + self.number], MANAGEMENT.prefixlen))


@dataclass(frozen=True, slots=True)
class ProviderPlan:
    """One provider: the subnet on our side of it, and the host on its far side."""

    number: int

    @property
    def letter(self) -> str:
        """Return what tells it from the others."""
        return _LETTERS[self.number]

    @property
    def name(self) -> str:
        """Return its name, which is its namespace's and its uplink's too."""
        return f"isp-{self.letter}"

    @property
    def outside(self) -> str:
        """Return the name of the host on its far side."""
        return f"outside-{self.letter}"

    @property
    def interface(self) -> str:
        """Return the interface of every gateway host that leads to it."""
        return f"ext{self.number}"

    @property
    def public(self) -> IPv4Network:
        """Return the subnet of its pool."""
        if self.number < len(_PUBLIC):
            return _PUBLIC[self.number]
        return list(_MORE_PUBLIC.subnets(new_prefix=24))[self.number]

    @property
    def gateway(self) -> IPv4Interface:
        """Return its own address there."""
        return IPv4Interface((self.public[1], self.public.prefixlen))

    @property
    def _far(self) -> IPv4Network:
        return list(_OUTSIDE.subnets(new_prefix=26))[self.number]

    @property
    def far(self) -> IPv4Interface:
        """Return its own address on the far side."""
        return IPv4Interface((self._far[1], self._far.prefixlen))

    @property
    def outside_address(self) -> IPv4Interface:
        """Return the address of the host on its far side."""
        return IPv4Interface((self._far[10], self._far.prefixlen))


@dataclass(frozen=True, slots=True)
class Plan:
    """A laboratory.  The first `gateways` hosts are gateways too; `vlans` is whether this kernel has 802.1Q devices."""

    hosts: int = 4
    gateways: int = 2
    uplinks: int = 2
    database: Database = Database.POSTGRESQL
    vlans: bool = False

    def __post_init__(self) -> None:
        """Check.

        Raises:
            ValueError: with the sentence that says what is wrong.
        """
        if self.hosts not in HOSTS:
            raise ValueError(f"a laboratory has {HOSTS.start} to {HOSTS.stop - 1} hosts, not {self.hosts}")
        if not 1 <= self.gateways <= self.hosts:
            raise ValueError(f"of {self.hosts} hosts, 1 to {self.hosts} can be gateways, not {self.gateways}")
        if self.uplinks not in UPLINKS:
            raise ValueError(f"a laboratory has {UPLINKS.start} to {UPLINKS.stop - 1} uplinks, not {self.uplinks}")

    @property
    def control(self) -> IPv4Interface:
        """Return the address of the machine with database, bus, controller and API."""
        return IPv4Interface((MANAGEMENT[1], MANAGEMENT.prefixlen))

    @property
    def machines(self) -> Sequence[HostPlan]:
        """Return the hosts; each cluster has one half of them."""
        half = (self.hosts + 1) // 2
        return [
            HostPlan(number, number <= self.gateways, CLUSTERS[number > half]) for number in range(1, self.hosts + 1)
        ]

    @property
    def clusters(self) -> Sequence[str]:
        """Return the clusters that have hosts."""
        return sorted({host.cluster for host in self.machines})

    @property
    def providers(self) -> Sequence[ProviderPlan]:
        """Return the providers."""
        return [ProviderPlan(number) for number in range(self.uplinks)]


def flat_network(cluster: str) -> IPv4Network:
    """Return the subnet of a cluster's flat network."""
    return IPv4Network(f"10.{20 + CLUSTERS.index(cluster)}.0.0/24")


def flat_gateway(cluster: str) -> IPv4Address:
    """Return the operator's router in a cluster's flat network."""
    return flat_network(cluster)[1]
