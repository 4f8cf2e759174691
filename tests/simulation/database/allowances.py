"""Addresses that NICs may use beside their own, in the simulated database."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from mooring.model.ids import AddressId, NetworkId, NicId, ProjectId
from mooring.model.nouns import AddressKind
from mooring.model.records import Duplicate, NicRow
from mooring.model.subjects import MAX_EXTRA
from tests.simulation.database.addresses import Addresses
from tests.simulation.database.tables import AllowanceRow, Tables, needs

Prefix = IPv4Network | IPv6Network


class Allowances:
    """See mooring.operations.interfaces_of_allowances.Allowances."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def claim(
        self, network: NetworkId, address: IPv4Address | IPv6Address, project: ProjectId, own: AddressId | None
    ) -> bool:
        known = self._tables.claims.get((network, str(address)))
        if known is None:
            needs(network in self._tables.networks, project in self._tables.projects)
            needs(own is None or own in self._tables.addresses)
            self._tables.claims.put((network, str(address)), (project, own))
        return known is None or known[0] == project

    def _of(self, nic: NicId) -> list[tuple[str, AllowanceRow]]:
        return [(address, row) for (of, address), row in self._tables.allowances.items() if of == nic]

    def add(self, nic: NicRow, prefix: Prefix) -> None:
        mine = self._of(nic.id)
        taken = {row.place for _, row in mine if row.family == prefix.version and row.place is not None}
        free = [place for place in range(MAX_EXTRA) if place not in taken]
        used = {address for address, row in mine if row.leaving is None}
        texts = [str(address) for address in prefix]
        if len(texts) > len(free) or used & set(texts):
            raise Duplicate("allowances.nic, allowances.address and allowances.place must be unique")
        needs(nic.id in self._tables.nics, *((nic.network, text) in self._tables.claims for text in texts))
        for place, text in zip(free, texts, strict=False):
            row = AllowanceRow(nic.network, prefix.version, str(prefix), place, None)
            self._tables.allowances.put((nic.id, text), row)

    def leave(self, nic: NicId, prefixes: Collection[Prefix], generation: int) -> None:
        gone = set(map(str, prefixes))
        for address, row in self._of(nic):
            if row.leaving is None and row.prefix in gone:
                self._tables.allowances.put((nic, address), replace(row, place=None, leaving=generation))

    def leaving(self, nic: NicId) -> int:
        return sum(row.leaving is not None for _, row in self._of(nic))

    def sharers(self, nic: NicId) -> Sequence[NicId]:
        known = self._tables.nics.get(nic)
        if known is None:
            return []
        fixed = {(row.nic, str(row.address)) for row in self._fixed(known.network)}
        allowed = {
            (of, address)
            for (of, address), row in self._tables.allowances.items()
            if row.network == known.network and row.leaving is None
        }
        used = {address for of, address in allowed if of == nic}
        own = {address for of, address in fixed if of == nic}
        others = {of for of, address in allowed if of != nic and address in used | own}
        return sorted(others | {of for of, address in fixed if of is not None and of != nic and address in used})

    def _fixed(self, network: NetworkId) -> list:
        rows = self._tables.addresses.values()
        return [row for row in rows if row.scope == network and row.kind is AddressKind.FIXED and not row.releasing]

    def confirmed(self, nic: NicId) -> None:
        behind = Addresses(self._tables).behind
        self._drop(nic, lambda row: row.leaving is not None and not behind(nic, row.leaving))

    def forget(self, nic: NicId) -> None:
        self._drop(nic, lambda _row: True)

    def _drop(self, nic: NicId, goes: Callable[[AllowanceRow], bool]) -> None:
        for address, row in self._of(nic):
            if not goes(row):
                continue
            self._tables.allowances.drop((nic, address))
            if any(
                (other.network, text) == (row.network, address) for (_, text), other in self._tables.allowances.items()
            ):
                continue
            _, own = self._tables.claims[row.network, address]
            self._tables.claims.drop((row.network, address))
            kept = self._tables.addresses.get(own) if own is not None else None
            if kept is not None and kept.nic is None:
                Addresses(self._tables).free(kept.id)


def allowed_to(tables: Tables, nic: NicId) -> list[Prefix]:
    """Return what a NIC may use beside its own addresses, as it was asked for."""
    mine = {row.prefix for (of, _), row in tables.allowances.items() if of == nic and row.leaving is None}
    return sorted(map(ip_network, mine), key=lambda prefix: (prefix.version, int(prefix.network_address)))
