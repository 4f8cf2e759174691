"""Addresses in use and their associations in the simulated database."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from ipaddress import IPv4Address

from mooring.model.ids import AddressId, HostId, NetworkId, NicId, PoolId, ProjectId
from mooring.model.nouns import AddressKind, FloatingIp
from mooring.model.records import AddressRow, Duplicate, FloatingChoice, Referenced
from mooring.model.subjects import HostRole, SubjectKey, SubjectKind
from tests.simulation.database.egress import forget_preferences, spare_preferred
from tests.simulation.database.forwardings import is_forwarded
from tests.simulation.database.tables import Seat, Tables, check, needed, needs, unique


class Addresses:
    """See mooring.operations.interfaces.Addresses."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def take(self, row: AddressRow) -> bool:
        tables = self._tables
        check(row.pool is None or row.network is None, "ck_addresses_source")
        floating = row.kind is AddressKind.FLOATING
        check(not floating or (row.pool is not None and row.project is not None), "ck_addresses_floating")
        check(row.kind is not AddressKind.FIXED or row.network is not None, "ck_addresses_fixed")
        check(row.kind is AddressKind.FIXED or row.nic is None, "ck_addresses_nic")
        place = (row.scope, int(row.address))
        if place in tables.places:
            return False
        if row.id in tables.addresses:
            raise Duplicate("addresses.id must be unique")
        needs(row.project is None or row.project in tables.projects, row.pool is None or row.pool in tables.pools)
        needs(row.network is None or row.network in tables.networks, row.nic is None or row.nic in tables.nics)
        tables.addresses.put(row.id, replace(row, release_nic=None, release_generation=0))
        tables.places.put(place, row.id)
        return True

    def first_gap(self, scope: str, first: IPv4Address, last: IPv4Address) -> IPv4Address | None:
        places = self._tables.places
        found = next((at for at in range(int(first), int(last) + 1) if (scope, at) not in places), None)
        return IPv4Address(found) if found is not None else None

    def count(self, scope: str, first: IPv4Address, last: IPv4Address) -> int:
        inside = range(int(first), int(last) + 1)
        return sum(of == scope and at in inside for of, at in self._tables.places.keys())  # noqa: SIM118

    def cursor(self, owner: PoolId | NetworkId) -> IPv4Address | None:
        at = self._tables.cursors.get(owner)
        return IPv4Address(at) if at is not None else None

    def set_cursor(self, owner: PoolId | NetworkId, address: IPv4Address) -> None:
        self._tables.cursors.put(owner, int(address))

    def get(self, address: AddressId) -> AddressRow | None:
        row = self._tables.addresses.get(address)
        if row is None:
            return None
        held = min(
            ((nic, generation) for nic, generation in self.lingers(address) if self.behind(nic, generation)),
            default=None,
        )
        return replace(row, release_nic=held[0], release_generation=held[1]) if held else row

    def find(self, scope: str, address: IPv4Address) -> AddressRow | None:
        known = self._tables.places.get((scope, int(address)))
        return self.get(known) if known is not None else None

    def lingers(self, address: AddressId) -> Iterator[tuple[NicId, int]]:
        """Return the NICs that an address lingers on, and the generations without it."""
        for (of, nic), generation in self._tables.lingering.items():
            if of == address:
                yield nic, generation

    def behind(self, nic: NicId, generation: int) -> bool:
        """Say whether a host of a NIC, or of a router, has not confirmed a generation."""
        return any(of.id == nic and row.lacks(generation) for (_, of, _), row in self._tables.deliveries.items())

    def fixed_of_nic(self, nic: NicId) -> Sequence[AddressRow]:
        rows = self._tables.addresses.values()
        return [row for row in rows if row.nic == nic and row.kind is AddressKind.FIXED]

    def _floating(self, row: AddressRow) -> FloatingIp:
        pool = self._tables.pools[row.pool] if row.pool else None
        if pool is None or row.project is None:
            raise AssertionError("ck_addresses_floating keeps this from being")
        association = self._tables.associations.get(row.id)
        fixed = self._tables.addresses[association[0]] if association else None
        nic = self._tables.nics[fixed.nic] if fixed and fixed.nic else None
        return FloatingIp(
            id=row.id,
            address=row.address,
            pool=pool.id,
            pool_name=pool.name,
            project=row.project,
            fixed=fixed.address if fixed and nic else None,
            instance=nic.instance if nic else None,
            nic=nic.id if nic else None,
            network=nic.network if nic else None,
            automatic=association is not None and self._tables.seats[row.id].automatic,
        )

    def floating(self, project: ProjectId, address: AddressId) -> FloatingIp | None:
        row = self._tables.addresses.get(address)
        if row is None or row.kind is not AddressKind.FLOATING or row.releasing or row.project != project:
            return None
        return self._floating(row)

    def floating_by_address(self, address: IPv4Address) -> FloatingIp | None:
        known = self._tables.places.get(("public", int(address)))
        row = self._tables.addresses[known] if known is not None else None
        if row is None or row.kind is not AddressKind.FLOATING or row.releasing:
            return None
        return self._floating(row)

    def floating_ips(self, project: ProjectId | None) -> Sequence[FloatingIp]:
        rows = [
            row for row in self._tables.addresses.values() if row.kind is AddressKind.FLOATING and not row.releasing
        ]
        return [self._floating(row) for row in rows if project is None or row.project == project]

    def walk_floating_ips(self, project: ProjectId | None, choice: FloatingChoice) -> Iterator[Sequence[FloatingIp]]:
        every = [row.id for row in self._tables.addresses.values()]
        asked = (
            (choice.ids, lambda each: each.id),
            (choice.addresses, lambda each: each.address),
            (choice.pools, lambda each: each.pool),
            (choice.projects, lambda each: each.project),
            (choice.nics, lambda each: each.nic),
            (choice.fixed, lambda each: each.fixed),
            (None if choice.associated is None else (choice.associated,), lambda each: each.nic is not None),
            (None if choice.after is None else every[every.index(choice.after) + 1 :], lambda each: each.id),
            (None if choice.until is None else every[: every.index(choice.until) + 1], lambda each: each.id),
        )
        kept = [
            each
            for each in self.floating_ips(project)
            if all(wanted is None or of(each) in wanted for wanted, of in asked)
        ][: choice.limit]
        yield from ([each] for each in kept)

    def floating_of_nic(self, nic: NicId) -> Sequence[FloatingIp]:
        """Return the floating IPs associated with a NIC, in the order in which they were allocated."""
        fixed = {row.id for row in self.fixed_of_nic(nic)}
        associated = {floating for floating, (to, _) in self._tables.associations.items() if to in fixed}
        return [self._floating(row) for row in self._tables.addresses.values() if row.id in associated]

    def associate(
        self, floating: AddressId, fixed: AddressId, pool: PoolId, *, most: int = 1, automatic: bool = False
    ) -> None:
        tables = self._tables
        rows = [tables.addresses.get(address) for address in {floating: None, fixed: None}]
        if len([row for row in rows if row is not None and not row.releasing]) != 2:
            raise Referenced("an address that is not there or is being released cannot be associated")
        if is_forwarded(tables, floating):
            raise Referenced("ports of this address are forwarded")
        needs(pool in tables.pools)
        unique(floating in tables.associations, "associations.floating")
        beside = [tables.seats[other] for other, (to, _) in tables.associations.items() if to == fixed]
        slots = {tables.seats[other].slot for other, both in tables.associations.items() if both == (fixed, pool)}
        free = next((slot for slot in range(1, most + 1) if slot not in slots), None)
        unique(free is None, "associations.fixed, associations.pool, associations.slot")
        tables.associations.put(floating, (fixed, pool))
        tables.seats.put(
            floating, Seat(free or most, max((seat.position for seat in beside), default=0) + 1, automatic)
        )

    def disassociate(self, floating: AddressId) -> bool:
        if floating not in self._tables.associations:
            return False
        self._tables.associations.drop(floating)
        self._tables.seats.drop(floating)
        return True

    def position(self, floating: AddressId) -> int:
        """Return the place of an associated floating IP among those of its fixed IP."""
        return self._tables.seats[floating].position

    def automatic_of_fixed(self, fixed: AddressId) -> Sequence[AddressId]:
        return sorted(
            floating
            for floating, (to, _) in self._tables.associations.items()
            if to == fixed and self._tables.seats[floating].automatic
        )

    def floating_of_fixed(self, fixed: AddressId) -> Sequence[AddressId]:
        found = {floating for floating, (to, _) in self._tables.associations.items() if to == fixed}
        return [address for address in self._tables.addresses.keys() if address in found]  # noqa: SIM118

    def linger(self, address: AddressId, nic: NicId, generation: int) -> None:
        needs(address in self._tables.addresses)
        check(generation > 0, "ck_lingering_generation")
        for of, since in list(self.lingers(address)):
            if not self.behind(of, since):
                self._tables.lingering.drop((address, of))
        known = self._tables.lingering.get((address, nic)) or 0
        self._tables.lingering.put((address, nic), max(known, generation))

    def _associated(self, address: AddressId) -> bool:
        to = (fixed for fixed, _ in self._tables.associations.values())
        return address in self._tables.associations or address in to or is_forwarded(self._tables, address)

    def release(self, address: AddressId) -> bool:
        if self._associated(address):
            raise Referenced("an association or a port forwarding needs this address")
        row = self._tables.addresses.get(address)
        if row is None or row.releasing:
            return False
        pool = None if row.kind is AddressKind.ROUTER else row.pool
        self._tables.addresses.put(address, replace(row, releasing=True, pool=pool))
        return True

    def free(self, address: AddressId) -> None:
        tables = self._tables
        row = tables.addresses.get(address)
        if row is None:
            return
        if any(own == address for _, own in tables.claims.values()):
            # NICs may use it beside their own.
            tables.addresses.put(address, replace(row, nic=None, releasing=False))
            return
        needed(self._associated(address) or any(own == address for _, own in tables.router_uplinks.values()))
        spare_preferred(tables, floating=address)
        forget_preferences(tables, address)
        if address in tables.renewals:
            tables.renewals.drop(address)
        for nic, _ in list(self.lingers(address)):
            tables.lingering.drop((address, nic))
        tables.addresses.drop(address)
        tables.places.drop((row.scope, int(row.address)))

    def gateway_behind(self, nic: NicId, generation: int, at: HostId | None = None) -> bool:
        """Say whether a gateway of a NIC, on another host than `at`, has not confirmed a generation."""
        key = SubjectKey(SubjectKind.NIC, nic)
        return any(
            of == key and role is HostRole.GATEWAY and host != at and row.confirmed < generation
            for (host, of, role), row in self._tables.deliveries.items()
        )

    def heirs(self, nic: NicId) -> Sequence[NicId]:
        mine = [(address, since) for (address, of), since in self._tables.lingering.items() if of == nic]
        found: set[NicId] = set()
        for address, since in mine:
            association = self._tables.associations.get(address)
            heir = self._tables.addresses[association[0]].nic if association else None
            if heir is not None and heir != nic and not self.gateway_behind(nic, since):
                found.add(heir)
            for forwarding, fixed in self._tables.forwardings.values():
                other = self._tables.addresses[fixed].nic
                if forwarding.floating != address or other is None or other == nic:
                    continue
                if not self.gateway_behind(nic, since) and not self._behind_one_router(nic, other):
                    found.add(other)
            if not self.behind(nic, since):
                self._tables.lingering.drop((address, nic))
        return sorted(found)

    def _behind_one_router(self, one: NicId, other: NicId) -> bool:
        """Say whether two NICs are behind one router, where ports of an address go from guest to guest in one place."""
        rows = [self._tables.nics.get(nic) for nic in (one, other)]
        routers = [self._tables.networks[row.network][0].router for row in rows if row is not None]
        return len(routers) == 2 and routers[0] is not None and routers[0] == routers[1]

    def releasing(self, nic: NicId) -> Sequence[AddressRow]:
        found: list[AddressRow] = []
        for row in self._tables.addresses.values():
            generation = self._tables.lingering.get((row.id, nic))
            others = ((of, since) for of, since in self.lingers(row.id) if of != nic)
            if row.releasing and generation is not None and not any(self.behind(*other) for other in others):
                found.append(replace(row, release_nic=nic, release_generation=generation))
        return found
