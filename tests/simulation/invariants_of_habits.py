"""What must hold of what only some tenants are used to ask for; see invariants.py.

I2 durable         what was acknowledged and not given back is there, as long as what it goes with
I4 quota           counters agree with rows
one project's      no guests of two projects may use an address of a network: in the database, and on hosts
leaves as told     a gateway that has confirmed a NIC lets it leave as its own address or its router's, and by the longest prefix that it
                   prefers by (see ways.py)
one segment        a host has no tunnel of a network that is gone, or in another segment, once it has confirmed that
one port           a port of an address leads to one guest: in the database always, and on hosts
I5 quiet release   a host that has confirmed a NIC forwards no port to it that does not lead there, and lets it use no address that it may not
stopped            a guest that was said to be stopped runs nowhere, until somebody asks for that
"""

from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Address
from itertools import combinations
from typing import Any

from mooring.compile.facts import Key
from mooring.compile.nat import PROTOCOLS
from mooring.compile.tables import CHOSEN, FIP_OUT, OWN4, PF_IN, VXLAN
from mooring.model.ids import NetworkId, NicId, ProjectId, RouterId, port_name, vxlan_name
from mooring.model.nouns import InstanceState, PortForwarding, Resource
from mooring.model.records import NicRow
from mooring.model.subjects import HostRole, SubjectKey, SubjectKind
from tests.simulation.asking import Tenant
from tests.simulation.baton import require
from tests.simulation.database.tables import Tables, owned
from tests.simulation.hosts import Machine
from tests.simulation.invariants import fixed_behind, waits

_UNSPECIFIED = IPv4Address(0)


def _card_is_there(tables: Tables, nic: NicId) -> bool:
    row = tables.nics.get(nic)
    return row is not None and not row.leaving


def _is_allowed(tables: Tables, which: Any) -> bool:
    nic, address = which
    row = tables.allowances.get((nic, str(address)))
    return row is not None and row.leaving is None


def _is_fixed(tables: Tables, which: Any) -> bool:
    nic, address = which
    rows = tables.addresses.values()
    return any((row.nic, row.address, row.releasing) == (nic, address, False) for row in rows)


_THERE: Mapping[str, Callable[[Tables, Any], bool]] = {
    "forwarding": lambda tables, which: which in tables.forwardings,
    "card": _card_is_there,
    "allowed": _is_allowed,
    "fixed": _is_fixed,
    "preference": lambda tables, which: which in tables.preferences,
    "network": lambda tables, which: which in tables.networks or which in tables.bares,
    "router": lambda tables, which: which in tables.own_routers and tables.own_routers[which][0],
}
"""How to see that a thing of each kind is there."""


def check_habits(tables: Tables, tenants: Iterable[Tenant]) -> None:
    """Check what the database alone, and what tenants were told, can tell."""
    for tenant in tenants:
        for kind, which in tenant.kept:
            require(_THERE[kind](tables, which), "I2 durable", f"{kind} {which} is gone")
        forwarded = [known for known, _ in tables.forwardings.values() if known.project == tenant.project]
        nics = [nic for nic in tables.nics.values() if _counts(tables, nic, tenant.project)]
        counted = {
            Resource.PORT_FORWARDINGS: len(forwarded),
            Resource.NIC_ADDRESSES: sum(_further(tables, nic.id) for nic in nics),
            **_own(tables, tenant.project),
        }
        for resource, count in counted.items():
            used, _ = tables.quotas[tenant.project, resource]
            require(used == count, "I4 quota", f"{resource} of {tenant.caller.project.name}: {count} counted as {used}")
    _check_forwardings(tables)
    _check_claims(tables)


def _own(tables: Tables, project: ProjectId) -> dict[Resource, int]:
    """Count what a project made itself."""
    bare = sum(network.project == project for network in tables.bares.values())
    subnets = sum(tables.networks[network][0].project == project for network in tables.own_subnets.keys())  # noqa: SIM118
    made = [router for router, (is_made, _) in tables.own_routers.items() if is_made]
    routers = sum(tables.routers[router].project == project for router in made)
    return {Resource.NETWORKS: bare + subnets, Resource.SUBNETS: subnets, Resource.ROUTERS: routers}


def _counts(tables: Tables, nic: NicRow, project: ProjectId) -> bool:
    instance = tables.instances[owned(nic)]
    return instance.row.project == project and instance.state is not InstanceState.DELETING and not nic.leaving


def _further(tables: Tables, nic: NicId) -> int:
    """Count what a NIC has beside its first address."""
    fixed = sum(row.nic == nic and not row.releasing for row in tables.addresses.values())
    return max(fixed - 1, 0) + sum(of == nic and row.leaving is None for (of, _), row in tables.allowances.items())


def _check_claims(tables: Tables) -> None:
    allowed = {(row.network, address) for (_, address), row in tables.allowances.items()}
    for (network, address), (_, own) in tables.claims.items():
        require((network, address) in allowed, "I3 no leak", f"{address} is claimed, and no NIC may use it")
        require(own is None or own in tables.addresses, "one project's", f"{address} is claimed without its row")
    for (nic, address), row in tables.allowances.items():
        project, own = tables.claims[row.network, address]
        owner = tables.instances[owned(tables.nics[nic])].row.project
        require(project == owner, "one project's", f"{address} is claimed by {project}, and {owner} may use it")
        holder = tables.addresses[own].nic if own is not None else None
        if holder is not None:
            other = tables.instances[owned(tables.nics[holder])].row.project
            require(other == owner, "one project's", f"{address} is {other}'s, and {owner} may use it")


def _check_forwardings(tables: Tables) -> None:
    rows = [known for known, _ in tables.forwardings.values()]
    for one, other in combinations(rows, 2):
        same = (one.floating, one.protocol) == (other.floating, other.protocol)
        require(
            not same or one.last < other.first or other.last < one.first, "one port", f"{one} and {other} are one port"
        )
    for forwarding, fixed in tables.forwardings.values():
        row = tables.addresses[fixed]
        public = tables.addresses[forwarding.floating]
        require(public.project == forwarding.project, "one port", f"{forwarding} is of another project's address")
        instance = tables.instances[tables.nics[row.nic].instance] if row.nic in tables.nics else None  # type: ignore[index]
        leads = instance is not None and instance.row.project == forwarding.project
        require(
            leads and not row.releasing and not public.releasing, "one port", f"{forwarding} leads to nobody's guest"
        )
        there = instance is not None and instance.state is not InstanceState.DELETING
        require(there, "one port", f"{forwarding} leads to a guest that is deleted")


def check_stopped(tenants: Iterable[Tenant], machines: Iterable[Machine]) -> None:
    """Check that what tenants were told to be stopped does not run."""
    for tenant in tenants:
        for machine in machines:
            for instance in tenant.stopped:
                require(instance not in machine.guests, "stopped", f"{machine.name} runs {instance} all the same")


def check_hosts(tables: Tables, machines: Iterable[Machine]) -> None:
    """Check what kernels hold against the database."""
    owners: dict[tuple[object, ...], str] = {}
    ports = {port_name(nic): nic for nic in tables.nics.keys()}  # noqa: SIM118 - a Table is no dict
    users: dict[tuple[NetworkId, object], ProjectId] = {}
    for machine in machines:
        for key, value in machine.kernel.state.items():
            if key.table is VXLAN:
                _check_tunnel(tables, machine, key, value[0])
            elif key.table in (CHOSEN, FIP_OUT):
                _check_way(tables, machine, key, value[0])
            elif key.table is PF_IN:
                other = owners.setdefault(key.row, machine.name)
                require(other == machine.name, "one port", f"{other} and {machine.name} forward {key.row}")
                _check_port(tables, machine, key, value)
            elif key.table is OWN4 and key.row[2] != _UNSPECIFIED:
                nic = ports.get(str(key.row[0]))
                require(nic is not None, "I6 free is nowhere", f"{machine.name} has a port of a NIC that is gone")
                _check_own(tables, machine, tables.nics[nic], key.row[2])  # type: ignore[index, arg-type]
                project = tables.instances[owned(tables.nics[nic])].row.project  # type: ignore[index]
                other = users.setdefault((tables.nics[nic].network, key.row[2]), project)  # type: ignore[index]
                require(project == other, "one project's", f"guests of {other} and {project} may use {key.row[2]}")


def _ports(forwarding: PortForwarding) -> Iterable[tuple[object, object]]:
    return zip(range(forwarding.first, forwarding.last + 1), range(forwarding.to, forwarding.to_last + 1), strict=True)


def _check_way(tables: Tables, machine: Machine, key: Key, public: object) -> None:
    """Check that who leaves as an address has it, or its router, or that the gateway has still to learn that it has not."""
    router, private = RouterId(key.place.id), key.row[0]
    assert isinstance(private, IPv4Address)
    known = tables.places.get(("public", int(public)))  # type: ignore[call-overload]
    require(known is not None, "I6 free is nowhere", f"{machine.name} lets {private} leave as {public}, which is free")
    fixed = fixed_behind(tables, machine, router, private)
    routers = {address for (of, _), (_, address) in tables.router_uplinks.items() if of == router}
    association = tables.associations.get(known) if known is not None else None
    if known in routers or (association is not None and association[0] == fixed.id):
        return
    what = f"{machine.name} confirmed, and lets {private} leave as {public}, which is not its own"
    require(waits(tables, machine, fixed), "leaves as told", what)


def _check_tunnel(tables: Tables, machine: Machine, key: Key, vni: object) -> None:
    """Check that a tunnel is that of a network which is in its segment, or that the host has still to let go of it."""
    for network, _ in tables.networks.values():
        if vxlan_name(network.id) == key.row[0] and network.segment == vni:
            return
    behind = any(
        host == machine.id and of.kind is SubjectKind.NETWORK and vxlan_name(NetworkId(of.id)) == key.row[0]
        for (host, of, _), row in tables.deliveries.items()
        if row.confirmed < row.generation
    )
    require(behind, "one segment", f"{machine.name} confirmed, and {key.row[0]} is still in segment {vni}")


def _check_own(tables: Tables, machine: Machine, nic: NicRow, address: IPv4Address) -> None:
    """Check that a NIC may send as an address, or that its host has still to learn that it may not."""
    if _is_fixed(tables, (nic.id, address)) or _is_allowed(tables, (nic.id, address)):
        return
    delivery = tables.deliveries.get((machine.id, SubjectKey(SubjectKind.NIC, nic.id), HostRole.COMPUTE))
    behind = delivery is not None and delivery.confirmed < delivery.generation
    require(behind, "I5 quiet release", f"{machine.name} confirmed, and {nic.id} may still send as {address}")


def _check_port(tables: Tables, machine: Machine, key: Key, value: tuple[object, ...]) -> None:
    public, protocol, port = key.row
    private, goal = value
    assert isinstance(private, IPv4Address)
    known = tables.places.get(("public", int(public)))  # type: ignore[arg-type]
    require(known is not None, "I6 free is nowhere", f"{machine.name} forwards ports of {public}, which is free")
    fixed = fixed_behind(tables, machine, RouterId(key.place.id), private)
    for forwarding, to in tables.forwardings.values():
        ends = (forwarding.floating, to, PROTOCOLS[forwarding.protocol])
        if ends == (known, fixed.id, protocol) and (port, goal) in _ports(forwarding):
            return
    what = f"{public} {protocol} {port} to {private} {goal}"
    require(waits(tables, machine, fixed), "I5 quiet release", f"{machine.name} confirmed, and still forwards {what}")
