"""What operations need of a store for addresses of every kind; see mooring.operations.interfaces for what holds of all of it."""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address
from typing import Protocol

from mooring.model.ids import (
    AddressId,
    NetworkId,
    NicId,
    PoolId,
    ProjectId,
)
from mooring.model.nouns import FloatingIp
from mooring.model.records import (
    AddressRow,
    FloatingChoice,
)


class Addresses(Protocol):
    """Addresses in use and the associations between them."""

    def take(self, row: AddressRow) -> bool:
        """Insert an address; False, with nothing changed, if its (scope, address) is in use."""
        ...

    def first_gap(self, scope: str, first: IPv4Address, last: IPv4Address) -> IPv4Address | None:
        """Return the lowest address of an inclusive range that is not in use; None if all are."""
        ...

    def count(self, scope: str, first: IPv4Address, last: IPv4Address) -> int:
        """Count the addresses of an inclusive range that are in use."""
        ...

    def cursor(self, owner: PoolId | NetworkId) -> IPv4Address | None:
        """Return the last address given out of a pool or network."""
        ...

    def set_cursor(self, owner: PoolId | NetworkId, address: IPv4Address) -> None: ...

    def get(self, address: AddressId) -> AddressRow | None: ...

    def find(self, scope: str, address: IPv4Address) -> AddressRow | None: ...

    def fixed_of_nic(self, nic: NicId) -> Sequence[AddressRow]:
        """Return a NIC's addresses, the primary one first, and those that it is giving up."""
        ...

    def floating(self, project: ProjectId, address: AddressId) -> FloatingIp | None:
        """Return a project's floating IP by id; releasing ones are gone."""
        ...

    def floating_by_address(self, address: IPv4Address) -> FloatingIp | None:
        """Return whichever project's floating IP has this address; releasing ones are gone."""
        ...

    def floating_ips(self, project: ProjectId | None) -> Sequence[FloatingIp]:
        """Return a project's floating IPs, or everybody's for None; releasing ones are left out."""
        ...

    def walk_floating_ips(self, project: ProjectId | None, choice: FloatingChoice) -> Iterator[Sequence[FloatingIp]]:
        """Return those of the same that are asked for, a bounded piece at a time, while the transaction lasts."""
        ...

    def associate(
        self, floating: AddressId, fixed: AddressId, pool: PoolId, *, most: int = 1, automatic: bool = False
    ) -> None:
        """Record an association, the fixed IP's last; raises Duplicate if the floating IP has one or the fixed IP `most` of this pool."""
        ...

    def automatic_of_fixed(self, fixed: AddressId) -> Sequence[AddressId]:
        """Return the floating IPs whose automatic associations lead to a fixed IP."""
        ...

    def disassociate(self, floating: AddressId) -> bool:
        """End an association; False if there was none."""
        ...

    def floating_of_fixed(self, fixed: AddressId) -> Sequence[AddressId]: ...

    def linger(self, address: AddressId, nic: NicId, generation: int) -> None:
        """Remember that a NIC's or router's hosts may hold this address until they confirm a generation; others that it knows of are kept.

        `nic` is the id of either.
        """
        ...

    def release(self, address: AddressId) -> bool:
        """Take an address from its owner: it is `releasing`, still in use for everybody else.  False if it was already so.

        One that a router had for itself is no pool's any longer.
        Raises Referenced while an association names it.
        """
        ...

    def free(self, address: AddressId) -> None:
        """Delete the row: the address may be given again.  Raises Referenced while an association or a router needs it.

        One that NICs may use beside their own is kept, as nobody's fixed IP.
        """
        ...

    def releasing(self, nic: NicId) -> Sequence[AddressRow]:
        """Return the `releasing` addresses that linger on this NIC or router, less those that the hosts of another one may hold still."""
        ...

    def heirs(self, nic: NicId) -> Sequence[NicId]:
        """Return the NICs that are associated with addresses which linger on this one, once its gateways have all confirmed them away.

        An address that every one of its hosts has confirmed away lingers on it no longer.
        """
        ...
