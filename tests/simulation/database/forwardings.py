"""Port forwardings of the simulated database: none, for no client of the simulation makes any."""

from collections.abc import Collection, Sequence

from mooring.model.ids import AddressId, ForwardingId, NicId, ProjectId
from mooring.model.nouns import PortForwarding


class Forwardings:
    """See mooring.operations.interfaces_of_forwardings.Forwardings."""

    def add(self, forwarding: PortForwarding, fixed: AddressId) -> None:
        raise AssertionError(f"the simulation has no port forwardings, and {forwarding} to {fixed} is one")

    def change(self, forwarding: PortForwarding, fixed: AddressId) -> None:
        raise AssertionError(f"nobody in the simulation has {forwarding}, to lead to {fixed}")

    def delete(self, forwarding: ForwardingId) -> bool:
        return False

    def get(self, forwarding: ForwardingId) -> PortForwarding | None:
        return None

    def list(self, project: ProjectId | None) -> Sequence[PortForwarding]:
        return ()

    def of_floating(self, floatings: Collection[AddressId]) -> Sequence[PortForwarding]:
        return ()

    def of_nic(self, nic: NicId) -> Sequence[PortForwarding]:
        return ()
