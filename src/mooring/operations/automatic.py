"""Floating IPs that instances get at their launch, where the configuration says so, and that go back to the pool at their end.

It is the association that knows: the one that was made with the instance lasts as long, and the address is given back with it.  Nobody may
end or move it, as in nova's days: see `associations.check_own`.
"""

from mooring.model.faults import Exhausted, QuotaExceeded
from mooring.model.ids import AddressId, NicId, ProjectId
from mooring.model.nouns import AddressKind, AddressPool, Instance, Resource
from mooring.model.records import RouterRow
from mooring.operations.addresses import count_in, give_back
from mooring.operations.associations import detach
from mooring.operations.door import Door, Published
from mooring.operations.interfaces import AddressRow, Transaction
from mooring.operations.routing import connect, leads, take_next
from mooring.policy.pools import may_use


def check_room(door: Door, tx: Transaction, project: ProjectId) -> None:
    """Refuse an instance for which its project could not have a floating IP, before anything is made.

    Raises:
        QuotaExceeded: it has as many as it may.
    """
    if _pool(door, tx, project) is None:
        return
    quota = tx.quotas.get(project, Resource.FLOATING_IPS)
    if quota.limit != -1 and quota.used >= quota.limit:
        raise QuotaExceeded("floating IPs", quota.limit)


def assign(door: Door, tx: Transaction, instance: Instance, fixed: AddressId, router: RouterRow) -> list[Published]:
    """Give an instance that has no floating IP yet one of the pool that the configuration names, at a fixed IP of its own.

    A project that may not use the pool gets none.

    Raises:
        Exhausted: there is no such pool, it has no free address, or the project has as many as it may.
    """
    pool = _pool(door, tx, instance.project)
    project = tx.identities.project(instance.project)
    if pool is None or project is None or any(nic.floating for nic in instance.nics):
        return []
    if not leads(tx, router, pool):
        # Its project lets the router go out elsewhere, or nowhere: no floating IP of this pool can lead there.
        return []
    try:
        count_in(tx, project, pool)
    except QuotaExceeded as fault:
        raise Exhausted(fault.reason) from fault
    made = AddressId(door.chance.new_id())
    row = AddressRow(made, "public", pool.gateway, AddressKind.FLOATING, project=project.id, pool=pool.id)
    try:
        take_next(tx, pool.id, pool.ranges, row)
    except Exhausted as error:
        raise Exhausted(f"No more floating IPs are available in pool {pool.name}.") from error
    tx.addresses.associate(made, fixed, pool.id, most=pool.per_fixed, automatic=True)
    if tx.topology.router_has_uplink(router.id, pool.uplink):
        return []
    return connect(door, tx, router, pool)


def give_back_automatic(tx: Transaction, nic: NicId) -> frozenset[AddressId]:
    """Give back the floating IPs that a NIC got with its instance, with the preferences to leave as them; return them."""
    given: set[AddressId] = set()
    for row in tx.addresses.fixed_of_nic(nic):
        for automatic in tx.addresses.automatic_of_fixed(row.id):
            owned = tx.addresses.get(automatic)
            known = tx.addresses.floating(owned.project, automatic) if owned is not None and owned.project else None
            if known is None:
                raise AssertionError(
                    f"floating IP {automatic} is associated and nobody's, which constraints keep from being"
                )
            # They are of this very guest: nobody else could leave as its address.
            for preference in tx.preferences.of_floating(automatic):
                tx.preferences.delete(preference.id)
            detach(tx, known)
            give_back(tx, known)
            given.add(automatic)
    return frozenset(given)


def _pool(door: Door, tx: Transaction, project: ProjectId) -> AddressPool | None:
    name = door.limits.auto_assign
    if name is None:
        return None
    pool = tx.topology.pool_by_name(name)
    if pool is None:
        raise Exhausted(f"New instances get a floating IP of pool {name}, and there is no such pool.")
    return pool if may_use(pool, tx.pools.granted(project)) else None
