"""What must come true once nothing goes wrong any longer: L5 of the reliability plan, and that hosts hold what the database says."""

from collections.abc import Iterable, Iterator

from mooring.compile.host import compile_host
from mooring.model.nouns import InstanceState
from tests.simulation.database.engine import MemoryTransaction
from tests.simulation.database.tables import Tables
from tests.simulation.hosts import Machine
from tests.simulation.surroundings import START


def unsettled(tables: Tables, machines: Iterable[Machine]) -> list[str]:
    """Return what is not as it should be."""
    wrong = [f"{row.address} is releasing" for row in tables.addresses.values() if row.releasing]
    wrong += [
        f"instance {record.row.id} is {record.state}"
        for record in tables.instances.values()
        if record.state in (InstanceState.BUILDING, InstanceState.DELETING)
    ]
    wrong += [
        f"instance {record.row.id} is still {record.power}"
        for record in tables.instances.values()
        if record.state is InstanceState.ACTIVE and record.power is not record.power.outcome
    ]
    for (host, key, role), row in tables.deliveries.items():
        if row.confirmed < row.generation:
            wrong.append(f"{host} has not confirmed {key} {role} {row.generation}: {row.confirmed} {row.error}")
        if row.error is not None:
            wrong.append(f"{host} is in trouble with {key} {role}: {row.error}")
    for machine in machines:
        wrong += _unlike(tables, machine)
    return wrong


def _unlike(tables: Tables, machine: Machine) -> Iterator[str]:
    deliveries = MemoryTransaction(tables, lambda: START).deliveries
    placed = deliveries.pending(machine.id, [entry.key for entry in deliveries.digest(machine.id)])
    if machine.kernel.read() != compile_host((one.subject, one.role) for one in placed if one.subject is not None):
        yield f"{machine.name} is not as its subjects say"
    here = {record.row.id for record in tables.instances.values() if record.host == machine.id}
    guests = set(machine.guests)
    active = {one for one in here if tables.instances[one].state is InstanceState.ACTIVE}
    stopped = {one for one in active if not tables.instances[one].power.runs}
    active -= stopped
    if not active <= guests:
        yield f"{machine.name} does not run {sorted(active - guests)}"
    if guests & stopped:
        yield f"{machine.name} runs {sorted(guests & stopped)}, which are stopped"
    if not guests <= here:
        yield f"{machine.name} runs {sorted(guests - here)}, which are not its own"
