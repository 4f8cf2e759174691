"""What operations need of a store for addresses that NICs may use beside their own; see mooring.operations.interfaces for what holds of it."""

from collections.abc import Collection, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Protocol

from mooring.model.ids import AddressId, NetworkId, NicId, ProjectId
from mooring.model.records import NicRow


class Allowances(Protocol):
    """Allowed addresses.  What is taken from a NIC stays its project's until every host of the NIC has confirmed that."""

    def claim(
        self, network: NetworkId, address: IPv4Address | IPv6Address, project: ProjectId, own: AddressId | None
    ) -> bool:
        """Make an address of a network a project's, if it is nobody's; say whether it is the project's now.

        `own` is the row that the address has among those in use, if it has one.
        """
        ...

    def add(self, nic: NicRow, prefix: IPv4Network | IPv6Network) -> None:
        """Let a NIC use the addresses of a prefix, each of which was claimed.

        Raises Duplicate if it may use one of them already, or as many of the family as there can be.
        """
        ...

    def leave(self, nic: NicId, prefixes: Collection[IPv4Network | IPv6Network], generation: int) -> None:
        """Take prefixes from a NIC, whose hosts may hold them until they confirm a generation."""
        ...

    def leaving(self, nic: NicId) -> int:
        """Count the addresses that were taken from a NIC, and that its hosts may still hold."""
        ...

    def sharers(self, nic: NicId) -> Sequence[NicId]:
        """Return the other NICs of its network that may use an address which this one may, as their own or beside it."""
        ...

    def confirmed(self, nic: NicId) -> None:
        """Forget what was taken from a NIC and no host of it holds any longer, and whose it was if nobody has it now."""
        ...

    def forget(self, nic: NicId) -> None:
        """Forget all that a NIC may use, or might, once no host holds the NIC."""
        ...
