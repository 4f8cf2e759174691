"""Egress preferences of the simulated database: whom they reach is worked out row by row, where mooring.store.egress joins."""

import builtins
from collections.abc import Collection, Sequence
from dataclasses import replace
from ipaddress import IPv4Address

from mooring.model.ids import AddressId, NicId, PoolId, PreferenceId, ProjectId, UplinkId
from mooring.model.preferences import EgressPreference, EgressScope, EgressWay
from mooring.model.subjects import Egress
from mooring.policy.egress import Known, Told, Way, counting, preferred, set_name
from mooring.store.egress import uplink_number
from tests.simulation.database.tables import Tables, needed, needs, owned, unique


class Preferences:
    """See mooring.operations.interfaces_of_egress.Preferences."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def add(self, preference: EgressPreference, fixed: AddressId | None) -> None:
        tables = self._tables
        unique(preference.id in tables.preferences, "egress_preferences.id")
        said = {(known.project, known.target, known.prefix) for known, _ in tables.preferences.values()}
        taken = (preference.project, preference.target, preference.prefix) in said
        unique(taken, "egress_preferences.project, egress_preferences.target, egress_preferences.prefix")
        needs(preference.project in tables.projects, fixed is None or fixed in tables.addresses)
        self._check_ways(preference.way, preference.fallback)
        tables.preferences.put(preference.id, (preference, fixed))

    def _check_ways(self, *ways: EgressWay | None) -> None:
        for way in ways:
            if way is not None:
                needs(way.pool in self._tables.pools, way.floating is None or way.floating in self._tables.addresses)

    def get(self, preference: PreferenceId) -> EgressPreference | None:
        known = self._tables.preferences.get(preference)
        return known[0] if known else None

    def list(self, project: ProjectId) -> Sequence[EgressPreference]:
        return [known for known, _ in self._tables.preferences.values() if known.project == project]

    def of_floating(self, floating: AddressId) -> Sequence[EgressPreference]:
        rows = [known for known, _ in self._tables.preferences.values()]
        return [known for known in rows if any(way.floating == floating for way in _ways(known))]

    def of_pool(self, pool: PoolId) -> Sequence[EgressPreference]:
        rows = [known for known, _ in self._tables.preferences.values()]
        return [known for known in rows if any(way.pool == pool for way in _ways(known))]

    def reached(self, preference: PreferenceId) -> Sequence[NicId]:
        known = self.get(preference)
        return [nic for nic in self._tables.nics.keys() if known and self._reaches(known, nic)]  # noqa: SIM118

    def _reaches(self, preference: EgressPreference, nic: NicId) -> bool:
        row = self._tables.nics[nic]
        if self._tables.instances[owned(row)].row.project != preference.project:
            return False
        scope, target = preference.scope, preference.target
        return {
            EgressScope.ADDRESS: preference.nic == nic,
            EgressScope.NIC: target == nic,
            EgressScope.INSTANCE: target == row.instance,
            EgressScope.NETWORK: target == row.network,
            EgressScope.PROJECT: True,
        }[scope]

    def change(self, preference: PreferenceId, way: EgressWay, fallback: EgressWay | None) -> None:
        known = self._tables.preferences.get(preference)
        if known is not None:
            self._check_ways(way, fallback)
            self._tables.preferences.put(preference, (replace(known[0], way=way, fallback=fallback), known[1]))

    def delete(self, preference: PreferenceId) -> None:
        if preference in self._tables.preferences:
            self._tables.preferences.drop(preference)

    def number_sets(self, nics: Collection[NicId]) -> None:
        wanted = {
            set_name(counting(self.told(nic), row.address))
            for nic in nics
            for row in self._tables.addresses.values()
            if row.nic == nic and not row.releasing
        } - {""}
        for name in sorted(name for name in wanted if name not in self._tables.egress_sets):
            self._tables.egress_sets.put(name, self._tables.count("egress_sets", 1))

    def renew(self, fixed: AddressId) -> None:
        needs(fixed in self._tables.addresses)
        self._tables.renewals.put(fixed, (self._tables.renewals.get(fixed) or 0) + 1)

    def told(self, nic: NicId) -> "builtins.list[Told]":
        """Return the preferences that reach a NIC."""
        found: list[Told] = []
        for known, fixed in self._tables.preferences.values():
            if self._reaches(known, nic):
                at = self._tables.addresses[fixed].address if fixed is not None else None
                fallback = self._way(known.fallback) if known.fallback is not None else None
                found.append(Told(known.scope, known.prefix, self._way(known.way), fallback, at))
        return found

    def _way(self, way: EgressWay) -> Way:
        uplink: UplinkId = self._tables.pools[way.pool].uplink
        association = self._tables.associations.get(way.floating) if way.floating is not None else None
        leads_to = self._tables.addresses[association[0]].address if association is not None else None
        number = uplink_number(self._tables.uplink_numbers[uplink])
        return Way(way.pool, uplink, number, way.address, leads_to)

    def egress(self, nic: NicId, fixed: AddressId, known: Known) -> Egress | None:
        """Return what an address of a NIC prefers, which is known by some public addresses; None where nothing is said of it."""
        told, renewed = self.told(nic), self._tables.renewals.get(fixed) or 0
        if not told and not renewed:
            return None
        address: IPv4Address = self._tables.addresses[fixed].address
        counted = counting(told, address)
        number = self._tables.egress_sets.get(set_name(counted)) or 0
        return Egress(number, preferred(counted, address, known), renewed)


def _ways(preference: EgressPreference) -> "list[EgressWay]":
    return [way for way in (preference.way, preference.fallback) if way is not None]


def forget_preferences(tables: Tables, target: str) -> None:
    """Let preferences go with the NIC, instance, network or address row that they are of."""
    for known, fixed in list(tables.preferences.values()):
        mine = target in (fixed, known.nic if known.scope is EgressScope.ADDRESS else known.target)
        if mine and known.scope is not EgressScope.PROJECT:
            tables.preferences.drop(known.id)


def spare_preferred(tables: Tables, *, pool: PoolId | None = None, floating: AddressId | None = None) -> None:
    """Refuse to delete a pool or a floating IP by which somebody prefers to leave."""
    ways = [way for known, _ in tables.preferences.values() for way in _ways(known)]
    needed(any(pool == way.pool or (floating is not None and floating == way.floating) for way in ways))
