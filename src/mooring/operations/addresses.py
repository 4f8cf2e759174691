"""Floating IPs: allocate, release, associate, disassociate."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from mooring.model.accounts import Caller, Project
from mooring.model.events import Action
from mooring.model.faults import (
    Conflict,
    Exhausted,
    Forbidden,
    Invalid,
    NotAssociated,
    NotFound,
    QuotaExceeded,
)
from mooring.model.ids import AddressId, InstanceId, NicId
from mooring.model.nouns import AddressKind, AddressPool, FloatingIp, Quota, Resource
from mooring.operations.associations import (
    attach,
    check_own,
    check_unforwarded,
    detach,
    end,
    fixed_of_card,
    fixed_of_instance,
)
from mooring.operations.door import (
    Card,
    Door,
    Published,
    check_revision,
    check_version,
    find_card,
    once,
    visible_instance,
    visible_nic,
)
from mooring.operations.egress import check_unpreferred
from mooring.operations.events import note
from mooring.operations.interfaces import AddressRow, FloatingChoice, Transaction
from mooring.operations.pools import usable_pools, visible_pool
from mooring.operations.routing import reclaim_unheld, take_next
from mooring.policy.pools import may_choose
from mooring.policy.roles import Verb

_EVERY = FloatingChoice()


@dataclass(frozen=True, slots=True)
class NewFloatingIp:
    """A floating IP to be allocated from a pool, named by name or id, or from the first, and where it shall lead at once.

    `address` asks for one of the pool's by itself.  With a `nic` it is associated, at the NIC's only fixed IP or at `fixed`.
    """

    pool: str | None = None
    address: IPv4Address | None = None
    nic: NicId | None = None
    fixed: IPv4Address | None = None


class AddressOperations:
    """Floating IPs of a project."""

    def __init__(self, door: Door) -> None:
        """Keep the door."""
        self._door = door

    def allocate(self, caller: Caller, pool: str | None, idempotency_key: str | None = None) -> FloatingIp:
        """Give the project an address of a pool, named by name or id; without one, of the first that it may use.

        Raises:
            NotFound: there is no such pool, as far as the project may know, or none at all.
            QuotaExceeded: the project has as many as it may, of all pools or of this one.
            Exhausted: the pool has no free address.
        """
        self._door.allow(caller, Verb.ADDRESS_ALLOCATE)
        with self._door.store.write() as tx:
            made = once(
                tx,
                caller,
                idempotency_key,
                ("allocate", pool),
                lambda: self._allocate(tx, caller, pool),
            )
            floating = tx.addresses.floating(caller.project.id, AddressId(made))
        if floating is None:
            raise NotFound("Floating IP", made)
        return floating

    def make(self, caller: Caller, new: NewFloatingIp, idempotency_key: str | None = None) -> FloatingIp:
        """Give the project an address of a pool and let it lead somewhere: both, or neither.

        Raises:
            Forbidden: an address was asked for, and the caller may not choose: that is for administrators, and in pools that are granted
                and not public.
            NotFound: there is no such pool, or the project has no such NIC.
            QuotaExceeded: the project has as many as it may.
            Exhausted: the pool has no free address.
            Invalid: the address is none of the pool's; or as for `point`.
            Conflict: the address is in use; or as for `point`.
            NotReady: as for `point`.
        """
        self._door.allow(caller, Verb.ADDRESS_ALLOCATE)
        changes: list[Published] = []
        request = ("allocate", new.pool, new.address, new.nic, new.fixed)
        with self._door.store.write() as tx:
            made = once(tx, caller, idempotency_key, request, lambda: self._make(tx, caller, new, changes))
            floating = tx.addresses.floating(caller.project.id, AddressId(made))
        if floating is None:
            raise NotFound("Floating IP", made)
        self._door.settle(changes)
        return floating

    def _make(self, tx: Transaction, caller: Caller, new: NewFloatingIp, changes: list[Published]) -> AddressId:
        made = self._allocate(tx, caller, new.pool, new.address)
        floating = tx.addresses.floating(caller.project.id, made)
        if floating is not None and new.nic is not None:
            changes += self._point(tx, caller, floating, new.nic, new.fixed)
        return made

    def _allocate(
        self, tx: Transaction, caller: Caller, name: str | None, wanted: IPv4Address | None = None
    ) -> AddressId:
        project = caller.project.id
        pool = visible_pool(tx, caller, name) if name is not None else _default_pool(tx, caller)
        if wanted is not None and not may_choose(pool, tx.pools.granted(project), caller):
            detail = f"{caller.user.name} lacks {Verb.ADDRESS_CHOOSE}"
            raise Forbidden("Your roles do not allow this.", detail=detail)
        count_in(tx, caller.project, pool)
        row = AddressRow(
            AddressId(self._door.chance.new_id()),
            "public",
            pool.gateway,
            AddressKind.FLOATING,
            project=project,
            pool=pool.id,
        )
        if wanted is not None:
            if not any(wanted in part for part in pool.ranges):
                raise Invalid("floating_ip_address", f"{wanted} is not an address of pool {pool.name}")
            if not tx.addresses.take(replace(row, address=wanted)):
                raise Conflict(f"Floating IP {wanted} is in use.", field="floating_ip_address")
            taken = wanted
        else:
            try:
                taken = take_next(tx, pool.id, pool.ranges, row)
            except Exhausted as error:
                raise Exhausted(f"No more floating IPs are available in pool {pool.name}.") from error
        note(tx, caller, Action.FLOATING_IP_ALLOCATE, row.id, address=taken, pool=pool.name)
        return row.id

    def release(self, caller: Caller, floating: AddressId) -> None:
        """Take an address back from its project; it is given again only after every host that may hold it has confirmed.

        Raises:
            NotFound: the project has no such floating IP.
            Forbidden: it came with an instance.
            InUse: guests prefer to leave as it.
            Conflict: ports of it are forwarded.
        """
        self._door.allow(caller, Verb.ADDRESS_RELEASE)
        changes: list[Published] = []
        with self._door.store.write() as tx:
            known = visible_floating(tx, caller, floating)
            check_version(caller, "Floating IP", known.address, known)
            check_own(known)
            check_unpreferred(tx, known)
            check_unforwarded(tx, known)
            if known.nic is not None:
                changes.append(detach(tx, known))
            give_back(tx, known)
            note(tx, caller, Action.FLOATING_IP_RELEASE, floating, known.project, address=known.address)
        self._door.settle(changes)

    def get(self, caller: Caller, floating: AddressId) -> FloatingIp:
        """Return a floating IP of the project, or to an administrator anybody's.

        Raises:
            NotFound: the project has no such floating IP.
        """
        self._door.allow(caller, Verb.READ)
        with self._door.store.read() as tx:
            return visible_floating(tx, caller, floating)

    def listing(self, caller: Caller, *, every_project: bool = False) -> Sequence[FloatingIp]:
        """Return the project's floating IPs, or with `every_project` an administrator everybody's."""
        self._door.allow(caller, Verb.READ)
        with self._door.store.read() as tx:
            return tx.addresses.floating_ips(None if every_project and caller.is_admin else caller.project.id)

    def walk(
        self, caller: Caller, choice: FloatingChoice = _EVERY, *, every_project: bool = False
    ) -> Iterator[Sequence[FloatingIp]]:
        """Return those of the same that are asked for, a bounded piece at a time.

        A read transaction is open until the last piece, so that all of it is of one moment: whoever asks takes them without delay.

        Raises:
            NotFound: the project has no such floating IP as `after` names.
        """
        self._door.allow(caller, Verb.READ)
        with self._door.store.read() as tx:
            if choice.after is not None:
                visible_floating(tx, caller, choice.after)
            yield from tx.addresses.walk_floating_ips(
                None if every_project and caller.is_admin else caller.project.id, choice
            )

    def quota(self, caller: Caller) -> Quota:
        """Return how many floating IPs the project has and may have."""
        self._door.allow(caller, Verb.READ)
        with self._door.store.read() as tx:
            return tx.quotas.get(caller.project.id, Resource.FLOATING_IPS)

    def associate(
        self,
        caller: Caller,
        instance: InstanceId,
        address: IPv4Address,
        fixed: IPv4Address | None = None,
    ) -> FloatingIp:
        """Let an instance answer at a floating IP: at its first fixed IP, or at the one given.

        An address that is associated elsewhere in the project moves.  Where it is already, nothing changes.  On one gateway it moves in one
        change; another gateway gets it when the old one has confirmed that it let go, so that no two of them ever answer at it.

        Raises:
            NotFound: the project has no such instance or floating IP.
            Forbidden: it came with another instance.
            NotReady: the instance has no fixed IP yet.
            Invalid: the fixed address is not one of the instance's.
            Conflict: the fixed address has as many floating IPs of the same pool as it may, or the pool was withdrawn from the project.
        """
        self._door.allow(caller, Verb.ADDRESS_ASSOCIATE)
        with self._door.store.write() as tx:
            target = visible_instance(tx, caller, instance)
            if target.project != caller.project.id:
                # An administrator sees it, and still may not tie one project's address to another project's instance.
                raise NotFound("Instance", instance)
            floating = _own_floating(tx, caller, address)
            check_version(caller, "Floating IP", address, floating)
            changes = attach(self._door, tx, caller, floating, fixed_of_instance(target, fixed))
            result = tx.addresses.floating(floating.project, floating.id)
        self._door.settle(changes)
        if result is None:
            raise NotFound("Floating IP", address)
        return result

    def point(
        self, caller: Caller, floating: AddressId, nic: NicId | None, fixed: IPv4Address | None = None
    ) -> FloatingIp:
        """Let a floating IP lead to a NIC, wherever it led before; with None it leads nowhere any longer.

        Where it leads already, nothing changes.  What holds of `associate` and `disassociate` holds here.

        Raises:
            NotFound: the project has no such floating IP or NIC.
            Forbidden: it came with an instance, and would leave it.
            NotReady: the NIC has no fixed IP yet.
            Invalid: the fixed address is not one of the NIC's, or it has several and none was named.
            Conflict: the fixed address has as many floating IPs of the same pool as it may, the pool was withdrawn from the project, or the
                instance is being deleted.
        """
        self._door.allow(caller, Verb.ADDRESS_ASSOCIATE)
        with self._door.store.write() as tx:
            known = visible_floating(tx, caller, floating)
            check_revision(caller, "Floating IP", known.address, known.marks)
            if nic is not None:
                changes = self._point(tx, caller, known, nic, fixed)
            else:
                check_own(known)
                check_unpreferred(tx, known)
                changes = [end(tx, caller, known)] if known.nic is not None else []
            result = tx.addresses.floating(known.project, floating)
        self._door.settle(changes)
        if result is None:
            raise NotFound("Floating IP", floating)
        return result

    def point_at(self, caller: Caller, floating: AddressId, fixed: IPv4Address) -> FloatingIp:
        """Let a floating IP lead to whichever of the project's NICs has a fixed IP, wherever it led before.

        What holds of `associate` holds here.

        Raises:
            NotFound: the project has no such floating IP, or no NIC with that fixed IP.
            Conflict: NICs on several networks have it; it has as many floating IPs of the same pool as it may; the pool was withdrawn
                from the project; or the instance is being deleted.
        """
        self._door.allow(caller, Verb.ADDRESS_ASSOCIATE)
        with self._door.store.write() as tx:
            known = tx.addresses.floating(caller.project.id, floating)
            if known is None:
                raise NotFound("Floating IP", floating)
            changes = attach(self._door, tx, caller, known, fixed_of_card(_card_at(tx, caller, fixed), fixed))
            result = tx.addresses.floating(caller.project.id, floating)
        self._door.settle(changes)
        if result is None:
            raise NotFound("Floating IP", floating)
        return result

    def _point(
        self, tx: Transaction, caller: Caller, floating: FloatingIp, nic: NicId, fixed: IPv4Address | None
    ) -> list[Published]:
        self._door.allow(caller, Verb.ADDRESS_ASSOCIATE)
        card = visible_nic(tx, caller, nic)
        if card.project != floating.project:
            # An administrator sees both, and still may not tie one project's address to another project's instance.
            raise NotFound("NIC", nic)
        if fixed is None and len(card.nic.fixed) > 1:
            raise Invalid("fixed_address", f"NIC {nic} has several addresses: name one")
        return attach(self._door, tx, caller, floating, fixed_of_card(card, fixed))

    def disassociate(self, caller: Caller, instance: InstanceId, address: IPv4Address) -> None:
        """End an association: when this returns, no packet to the address reaches the instance and none of its carries it.

        Raises:
            NotFound: the project has no such instance or floating IP.
            NotAssociated: the address is not on this instance.
            Forbidden: it came with it.
            InUse: guests prefer to leave as it.
        """
        self._door.allow(caller, Verb.ADDRESS_ASSOCIATE)
        with self._door.store.write() as tx:
            target = visible_instance(tx, caller, instance)
            floating = _own_floating(tx, caller, address)
            check_version(caller, "Floating IP", address, floating)
            if floating.instance != target.id:
                raise NotAssociated(f"Floating IP {address} is not associated with instance {instance}.")
            check_own(floating)
            check_unpreferred(tx, floating)
            change = end(tx, caller, floating)
        self._door.settle([change])


def count_in(tx: Transaction, project: Project, pool: AddressPool) -> None:
    """Count a floating IP that a project is about to take.

    Raises:
        QuotaExceeded: it has as many as it may, of all pools or of this one.
    """
    if not tx.quotas.take(project.id, Resource.FLOATING_IPS):
        raise QuotaExceeded("floating IPs", tx.quotas.get(project.id, Resource.FLOATING_IPS).limit)
    if not tx.pools.take(pool.id, project.id):
        raise QuotaExceeded(f"floating IPs of pool {pool.name}", tx.pools.share(pool.id, project).limit)


def give_back(tx: Transaction, floating: FloatingIp) -> None:
    """Take a floating IP that leads nowhere from its project; the address is free when no host can hold it any longer."""
    tx.names.forget(floating.id)
    tx.addresses.release(floating.id)
    tx.quotas.give(floating.project, Resource.FLOATING_IPS)
    tx.pools.give(floating.pool, floating.project)
    reclaim_unheld(tx, floating.id)


def _default_pool(tx: Transaction, caller: Caller) -> AddressPool:
    pools = usable_pools(tx, caller)
    if not pools:
        raise NotFound("Pool", "(default)")
    return pools[0]


def visible_floating(tx: Transaction, caller: Caller, floating: AddressId) -> FloatingIp:
    """Return a floating IP that the caller may know of: one of the project's, or to an administrator anybody's.

    Raises:
        NotFound: there is none.
    """
    known = tx.addresses.floating(caller.project.id, floating)
    if known is None and caller.is_admin:
        row = tx.addresses.get(floating)
        known = tx.addresses.floating(row.project, floating) if row is not None and row.project is not None else None
    if known is None:
        raise NotFound("Floating IP", floating)
    return known


def _own_floating(tx: Transaction, caller: Caller, address: IPv4Address) -> FloatingIp:
    floating = tx.addresses.floating_by_address(address)
    if floating is None or floating.project != caller.project.id:
        raise NotFound("Floating IP", address)
    return floating


def _card_at(tx: Transaction, caller: Caller, fixed: IPv4Address) -> Card:
    found: list[Card] = []
    for network in tx.topology.networks(caller.project.id):
        row = tx.addresses.find(network.id, fixed) if fixed in network.cidr else None
        card = find_card(tx, row.nic) if row is not None and row.nic is not None and not row.releasing else None
        if card is not None and card.project == caller.project.id:
            found.append(card)
    if not found:
        raise NotFound("Fixed IP", fixed)
    if len(found) > 1:
        raise Conflict(f"{len(found)} instances have fixed IP {fixed}, each on a network of its own: say which.")
    return found[0]
