"""What must hold after every step, whatever went wrong before it: I1 to I6 and I10 of the reliability plan, read off database and kernels.

I1 unique          an address is in one row, and acknowledged to one tenant
I2 durable         what was acknowledged and not given back is there
I3 no leak         what is taken was acknowledged, is named by a key that is still asked with, or waits for a host that has not confirmed
I4 quota           counters agree with rows, and are within limits
I5 quiet release   a host that has confirmed a NIC holds no public address that the NIC does not have
I6 free is nowhere an address or translation in a kernel has a row, so nobody else can be given it
I9 one answer      no two hosts' kernels own a public address at once
I10 fencing        what an agent holds of a subject never gets older; what it confirms is what its kernel holds (see hosts.py), and what the
                   database takes for confirmed is what it said
guest last         a guest starts after its own host and its gateways have its NICs

More of them, of what only some tenants ask for, are in invariants_of_habits.py.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address

from mooring.agent.ledger import Part
from mooring.compile.facts import PlaceKind
from mooring.compile.tables import DHCP_HOST, FIP_IN, OWNED
from mooring.model.ids import HostId, NetworkId, RouterId
from mooring.model.nouns import AddressKind, InstanceState, Resource
from mooring.model.records import AddressRow
from mooring.model.subjects import HostRole, InstanceIntent, SubjectKey, SubjectKind
from tests.simulation.asking import Tenant
from tests.simulation.baton import require
from tests.simulation.database.addresses import Addresses
from tests.simulation.database.tables import Tables, owned
from tests.simulation.hosts import Machine


def check_database(tables: Tables, tenants: Iterable[Tenant]) -> None:
    """Check what the database alone, and what tenants were told, can tell."""
    rows = list(tables.addresses.values())
    taken = Counter((row.scope, row.address) for row in rows)
    for place, count in taken.items():
        require(count == 1, "I1 unique", f"{place} is in {count} rows")
    acknowledged = Counter(address for tenant in tenants for address in tenant.floating.values())
    for address, count in acknowledged.items():
        require(count == 1, "I1 unique", f"{address} was given to {count} owners")
    for tenant in tenants:
        _check_tenant(tables, tenant, [row for row in rows if row.project == tenant.project])
    _check_leaks(tables, rows)
    _check_associations(tables)


def _check_tenant(tables: Tables, tenant: Tenant, rows: list[AddressRow]) -> None:
    mine = {row.id: row for row in rows if row.kind is AddressKind.FLOATING and not row.releasing}
    for floating, address in tenant.floating.items():
        row = mine.get(floating)
        require(row is not None and row.address == address, "I2 durable", f"floating IP {address} is gone")
    named = {
        known[0].object_id for key in tenant.pending if (known := tables.memory.get((tenant.project, key))) is not None
    }
    for row in mine.values():
        expected = row.id in tenant.floating or row.id in tenant.leaving or row.id in named
        require(expected, "I3 no leak", f"floating IP {row.address} belongs to a project that does not know of it")
    alive = {}
    for record in tables.instances.values():
        if record.row.project == tenant.project and record.state is not InstanceState.DELETING:
            alive[record.row.id] = record
    for instance in tenant.instances:
        require(instance in alive, "I2 durable", f"instance {instance} is gone")
    for instance in alive:
        expected = instance in tenant.instances or instance in tenant.leaving or instance in named
        require(expected, "I3 no leak", f"instance {instance} belongs to a project that does not know of it")
    for address, instance in tenant.associated.items():
        at = Addresses(tables).floating_by_address(address)
        require(at and at.instance == instance, "I2 durable", f"{address} is no longer associated with {instance}")
    for resource, count in ((Resource.FLOATING_IPS, len(mine)), (Resource.INSTANCES, len(alive))):
        used, limit = tables.quotas[tenant.project, resource]
        require(used == count, "I4 quota", f"{resource} of {tenant.caller.project.name}: {count} counted as {used}")
        require(count <= limit, "I4 quota", f"{tenant.caller.project.name} has {count} {resource} of {limit}")


def _check_leaks(tables: Tables, rows: list[AddressRow]) -> None:
    addresses = Addresses(tables)
    for row in rows:
        if row.releasing:
            held = any(addresses.behind(nic, since) for nic, since in addresses.lingers(row.id))
            require(held, "I3 no leak", f"{row.address} is being released and no host can be waited for")
        elif row.kind is AddressKind.FIXED:
            claimed = any(own == row.id for _, own in tables.claims.values())
            require(row.nic in tables.nics or claimed, "I3 no leak", f"fixed address {row.address} belongs to no NIC")


def _check_associations(tables: Tables) -> None:
    for floating, (fixed, _) in tables.associations.items():
        nic = tables.nics[tables.addresses[fixed].nic]  # type: ignore[index]
        owner = tables.instances[owned(nic)].row.project
        require(
            tables.addresses[floating].project == owner, "I1 unique", f"{floating} is tied to another project's NIC"
        )


@dataclass(frozen=True, slots=True)
class Held:
    """A public address in a kernel, with the private one behind it."""

    router: RouterId
    public: IPv4Address
    private: IPv4Address | None


def held_by(machine: Machine) -> tuple[list[Held], list[tuple[NetworkId, IPv4Address]]]:
    """Return a kernel's translated public addresses, and the private addresses that it tells guests."""
    translated: list[Held] = []
    told: list[tuple[NetworkId, IPv4Address]] = []
    into: dict[tuple[str, object], object] = {}
    for key, value in machine.kernel.state.items():
        if key.table is FIP_IN:
            into[key.place.id, key.row[0]] = value[0]
        elif key.table is DHCP_HOST:
            told.append((NetworkId(str(key.row[0])), value[0]))  # type: ignore[arg-type]
    for key in machine.kernel.state:
        if key.table is OWNED and key.place.kind is PlaceKind.ROUTER:
            private = into.pop((key.place.id, key.row[1]), None)
            translated.append(Held(RouterId(key.place.id), key.row[1], private))  # type: ignore[arg-type]
    for (place, public), private in into.items():
        translated.append(Held(RouterId(place), public, private))  # type: ignore[arg-type]
    return translated, told


def check_kernels(tables: Tables, machines: Iterable[Machine]) -> None:
    """Check what kernels hold against the database."""
    owners: dict[IPv4Address, str] = {}
    for machine in machines:
        translated, told = held_by(machine)
        for network, address in told:
            require(
                (network, int(address)) in tables.places,
                "I6 free is nowhere",
                f"{machine.name} tells of {address}, which is free",
            )
        for held in translated:
            other = owners.setdefault(held.public, machine.name)
            require(other == machine.name, "I9 one answer", f"{held.public} is owned by {other} and {machine.name}")
            _check_held(tables, machine, held)


def _check_held(tables: Tables, machine: Machine, held: Held) -> None:
    known = tables.places.get(("public", int(held.public)))
    require(known is not None, "I6 free is nowhere", f"{machine.name} owns {held.public}, which is free")
    if held.private is None:
        return
    fixed = fixed_behind(tables, machine, held.router, held.private)
    what = f"sends {held.public} to {held.private}"
    association = tables.associations.get(known) if known is not None else None
    if association is not None and association[0] == fixed.id:
        return
    require(waits(tables, machine, fixed), "I5 quiet release", f"{machine.name} confirmed, and still {what}")


def fixed_behind(tables: Tables, machine: Machine, router: RouterId, private: IPv4Address) -> AddressRow:
    """Return the fixed IP that a machine's router means by an address: of its networks, or of one that it had and has to let go."""
    rows = [row for row in tables.addresses.values() if row.network is not None and row.address == private]
    mine = [row for row in rows if tables.networks[row.network][0].router == router]  # type: ignore[index]
    rest = [row for row in rows if row not in mine and row.nic is not None and waits(tables, machine, row)]
    require(mine or rest, "I6 free is nowhere", f"{machine.name} translates {private}, which is free")
    return [*mine, *rest][0]


def waits(tables: Tables, machine: Machine, fixed: AddressRow) -> bool:
    """Say whether a machine has still to confirm what it should hold as a gateway of the NIC that has an address."""
    if fixed.nic is None:
        return True
    delivery = tables.deliveries.get((machine.id, SubjectKey(SubjectKind.NIC, fixed.nic), HostRole.GATEWAY))
    return delivery is not None and delivery.confirmed < delivery.generation


def check_confirmations(tables: Tables, machines: Iterable[Machine]) -> None:
    """Check that no host is taken to have confirmed what it never said."""
    said = {machine.id: machine.confirmed for machine in machines}
    for (host, key, role), row in tables.deliveries.items():
        most = said[host].get(Part(key, role), 0)
        require(row.confirmed <= most, "I10 fencing", f"{host} said {most} of {key}, and {row.confirmed} counts")


def check_launch(tables: Tables, host: HostId, guest: InstanceIntent) -> None:
    """Check that who must know a guest's NICs does, at the moment when it starts on the host that it is meant to be on."""
    known = tables.instances.get(guest.id)
    # Cards that come later are plugged in while the guest runs, whether their gateways are there or not.
    if known is None or known.host != host or known.launched is not None:
        return
    nics = {SubjectKey(SubjectKind.NIC, nic.id) for nic in guest.nics}
    for (at, key, role), row in tables.deliveries.items():
        if key in nics and row.present and role in (HostRole.COMPUTE, HostRole.GATEWAY):
            require(row.confirmed, "guest last", f"{guest.id} starts, and {at} has not confirmed {key} {role}")


class Fencing:
    """Remembers what each agent holds, to see that within an epoch it never gets older."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], dict[Part, int]] = {}

    def check(self, machines: Iterable[Machine], *, trusted: bool) -> None:
        """Compare what agents hold with what they held before.

        While nobody has said that the database went back, an agent cannot know that of what it had let go of: it may take that up again.
        """
        for machine in machines:
            if machine.agent is None:
                continue
            held = machine.agent.agent._ledger._held
            known = self._known.setdefault((machine.agent.number, machine.epoch), {})
            for part, placed in held.items():
                before = known.get(part, 0)
                require(
                    placed.generation >= before,
                    "I10 fencing",
                    f"{machine.name} went from generation {before} of {part.key} back to {placed.generation}",
                )
                known[part] = placed.generation
            if not trusted:
                for part in [part for part in known if part not in held]:
                    del known[part]
