"""Port forwardings in the simulated database."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from mooring.model.ids import AddressId, ForwardingId, NicId, ProjectId
from mooring.model.nouns import PortForwarding
from mooring.model.records import Referenced
from tests.simulation.database.tables import Tables, check, needs, unique


class Forwardings:
    """See mooring.operations.interfaces_of_forwardings.Forwardings."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def add(self, forwarding: PortForwarding, fixed: AddressId) -> None:
        unique(forwarding.id in self._tables.forwardings, "port_forwardings.id")
        self._check(forwarding, fixed)
        self._tables.forwardings.put(forwarding.id, (forwarding, fixed))

    def change(self, forwarding: PortForwarding, fixed: AddressId) -> None:
        self._check(forwarding, fixed)
        known = self._tables.forwardings.get(forwarding.id)
        if known is not None:
            kept = replace(forwarding, project=known[0].project, floating=known[0].floating)
            self._tables.forwardings.put(forwarding.id, (kept, fixed))

    def _check(self, forwarding: PortForwarding, fixed: AddressId) -> None:
        rows = [self._tables.addresses.get(address) for address in (forwarding.floating, fixed)]
        if any(row is None or row.releasing for row in rows):
            raise Referenced("ports of an address that is not there or is being released cannot be forwarded")
        if forwarding.floating in self._tables.associations:
            raise Referenced("an association has this address")
        needs(forwarding.project in self._tables.projects)
        for other, _ in self._tables.forwardings.values():
            same = (other.floating, other.protocol) == (forwarding.floating, forwarding.protocol)
            apart = other.last < forwarding.first or forwarding.last < other.first
            unique(
                same and not apart and other.id != forwarding.id, "port_forwardings.floating, protocol and each port"
            )
        check(1 <= forwarding.first <= forwarding.last <= 65535, "ck_port_forwardings_ports")
        check(1 <= forwarding.to <= forwarding.to_last <= 65535, "ck_port_forwardings_goal")

    def delete(self, forwarding: ForwardingId) -> bool:
        if forwarding not in self._tables.forwardings:
            return False
        self._tables.forwardings.drop(forwarding)
        return True

    def get(self, forwarding: ForwardingId) -> PortForwarding | None:
        return next((known for known in self.list(None) if known.id == forwarding), None)

    def list(self, project: ProjectId | None) -> Sequence[PortForwarding]:
        return [
            self._shown(known, fixed)
            for known, fixed in self._tables.forwardings.values()
            if project in (None, known.project)
        ]

    def _shown(self, forwarding: PortForwarding, fixed: AddressId) -> PortForwarding:
        row = self._tables.addresses[fixed]
        assert row.nic is not None
        nic = self._tables.nics[row.nic]
        public = self._tables.addresses[forwarding.floating].address
        return replace(
            forwarding, address=public, fixed=row.address, nic=nic.id, instance=nic.instance, network=nic.network
        )

    def of_floating(self, floatings: Collection[AddressId]) -> Sequence[PortForwarding]:
        return [known for known in self.list(None) if known.floating in floatings]

    def of_nic(self, nic: NicId) -> Sequence[PortForwarding]:
        return [known for known in self.list(None) if known.nic == nic]


def is_forwarded(tables: Tables, address: AddressId) -> bool:
    """Say whether ports of an address, or to it, are forwarded."""
    return any(address in (known.floating, fixed) for known, fixed in tables.forwardings.values())
