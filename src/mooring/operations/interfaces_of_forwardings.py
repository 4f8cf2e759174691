"""What operations need of a store for port forwardings; see mooring.operations.interfaces for what holds of all of it."""

from collections.abc import Collection, Sequence
from typing import Protocol

from mooring.model.ids import AddressId, ForwardingId, NicId, ProjectId
from mooring.model.nouns import PortForwarding


class Forwardings(Protocol):
    """Port forwardings.  Neither of the two addresses of one can be released or freed."""

    def add(self, forwarding: PortForwarding, fixed: AddressId) -> None:
        """Insert a forwarding to the address of row `fixed`.

        Raises Duplicate where one of its ports is forwarded already, Referenced where the floating IP is associated or one of the two is being
        released.
        """
        ...

    def change(self, forwarding: PortForwarding, fixed: AddressId) -> None:
        """Replace all of a forwarding but its id, project and floating IP; raises as `add` does."""
        ...

    def delete(self, forwarding: ForwardingId) -> bool:
        """Delete; False if there was none."""
        ...

    def get(self, forwarding: ForwardingId) -> PortForwarding | None: ...

    def list(self, project: ProjectId | None) -> Sequence[PortForwarding]:
        """Return a project's forwardings, or everybody's for None."""
        ...

    def of_floating(self, floatings: Collection[AddressId]) -> Sequence[PortForwarding]: ...
    def of_nic(self, nic: NicId) -> Sequence[PortForwarding]: ...
