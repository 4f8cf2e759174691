"""Interesting states, seen by looking at the database after each change: a run that never gets there has tested little."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from mooring.model.ids import AddressId, HostId, InstanceId, NicId
from mooring.model.nouns import InstanceState
from mooring.model.subjects import HostRole, SubjectKey, SubjectKind
from tests.simulation.database.addresses import Addresses
from tests.simulation.database.tables import Tables, owned

if TYPE_CHECKING:
    from tests.simulation.surroundings import Surroundings


class Sightings:
    """Compares each committed state with the one before."""

    def __init__(self, around: "Surroundings") -> None:
        self._around = around
        self._states: dict[InstanceId, InstanceState] = {}
        self._hosts: dict[InstanceId, str | None] = {}
        self._on: dict[AddressId, NicId] = {}

    def look(self, tables: Tables) -> None:
        """Count what is new."""
        self._instances(tables)
        self._addresses(tables)
        self._associations(tables)

    def _instances(self, tables: Tables) -> None:
        reached = self._around.reached
        for instance, record in tables.instances.items():
            before = self._states.get(instance)
            if record.state is not before:
                reached(f"instance {record.state}")
                if before is InstanceState.BUILDING and record.state is InstanceState.DELETING:
                    reached("deleted while it was being built")
                self._states[instance] = record.state
            if record.host != self._hosts.get(instance):
                if self._hosts.get(instance) is not None:
                    reached("launch taken back")
                self._hosts[instance] = record.host

    def _addresses(self, tables: Tables) -> None:
        addresses = Addresses(tables)
        for row in tables.addresses.values():
            if row.releasing:
                holders = [nic for nic, since in addresses.lingers(row.id) if addresses.behind(nic, since)]
                if len(holders) > 1:
                    self._around.reached("release with two holders")

    def _associations(self, tables: Tables) -> None:
        addresses = Addresses(tables)
        now: dict[AddressId, NicId] = {}
        for floating, (fixed, _) in tables.associations.items():
            nic = tables.addresses[fixed].nic
            if nic is None:
                continue
            now[floating] = nic
            before = self._on.get(floating)
            if before == nic:
                continue
            self._around.reached("address associated")
            if tables.instances[owned(tables.nics[nic])].state is InstanceState.BUILDING:
                self._around.reached("associated while the instance was being built")
            if before is not None:
                apart = _gateways(tables, before) != _gateways(tables, nic)
                self._around.reached("address moved to another gateway" if apart else "address moved on one gateway")
            if any(
                addresses.gateway_behind(of, since, _gateway(tables, nic))
                for of, since in addresses.lingers(floating)
                if of != nic
            ):
                self._around.reached("address kept from a new gateway")
        self._on = now


def _gateways(tables: Tables, nic: NicId) -> list[HostId]:
    key = SubjectKey(SubjectKind.NIC, nic)
    rows: Iterable[tuple[HostId, SubjectKey, HostRole]] = tables.deliveries.keys()
    return sorted(host for host, of, role in rows if of == key and role is HostRole.GATEWAY)


def _gateway(tables: Tables, nic: NicId) -> HostId | None:
    return next(iter(_gateways(tables, nic)), None)


def mid_launch(tables: Tables, host: HostId) -> bool:
    """Say whether an instance is being launched on a host."""
    return any(one.host == host and one.state is InstanceState.BUILDING for one in tables.instances.values())
