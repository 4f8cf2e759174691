"""Egress preferences: as whom a project's guests leave towards which destinations."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from mooring.model.accounts import Caller
from mooring.model.events import Action
from mooring.model.faults import Conflict, Exhausted, InUse, Invalid, NotFound, NotReady
from mooring.model.ids import AddressId, InstanceId, NetworkId, NicId, PoolId, PreferenceId, ProjectId
from mooring.model.nouns import AddressPool, FixedIp, FloatingIp, Instance, Network, Nic
from mooring.model.preferences import EgressPreference, EgressScope, EgressWay
from mooring.model.subjects import SubjectKey, SubjectKind
from mooring.operations.door import Door, Published, check_version, once, publish, visible_instance, visible_nic
from mooring.operations.events import note
from mooring.operations.interfaces import Duplicate, Transaction
from mooring.operations.pools import check_granted, find_pool, visible_pool
from mooring.operations.routing import connect, leads
from mooring.policy.egress import MOST, described
from mooring.policy.pools import may_use
from mooring.policy.roles import Verb
from mooring.policy.told import TOLD_OF_FLOATING_IPS


@dataclass(frozen=True, slots=True)
class NewWay:
    """As whom to leave: one of the two is given, a floating IP, or a pool by name or id."""

    floating: IPv4Address | None = None
    pool: str | None = None


@dataclass(frozen=True, slots=True)
class NewPreference:
    """An egress preference to be made.

    It is for a fixed IP of a NIC or an instance, for a NIC, an instance or a network (a name or id), and without any of these for the whole
    project.  With `cut`, the flows that those guests opened end, so that they begin anew by what holds then.
    """

    prefix: IPv4Network
    way: NewWay
    fallback: NewWay | None = None
    instance: InstanceId | None = None
    nic: NicId | None = None
    fixed: IPv4Address | None = None
    network: str | None = None
    cut: bool = False


@dataclass(frozen=True, slots=True)
class _Target:
    """For whom a preference is; `guests` are the NICs that a floating IP may lead to, none where it would be one guest's among many."""

    scope: EgressScope
    id: str
    name: str
    nic: NicId | None = None
    fixed: FixedIp | None = None
    guests: tuple[NicId, ...] = ()


class EgressOperations:
    """Egress preferences of a project.  A change returns when the hosts concerned have confirmed it."""

    def __init__(self, door: Door) -> None:
        """Keep the door."""
        self._door = door

    def listing(self, caller: Caller) -> Sequence[EgressPreference]:
        """Return the project's preferences."""
        self._door.allow(caller, Verb.READ)
        with self._door.store.read() as tx:
            return tx.preferences.list(caller.project.id)

    def get(self, caller: Caller, preference: PreferenceId) -> EgressPreference:
        """Return a preference.

        Raises:
            NotFound: the project has no such preference.
        """
        self._door.allow(caller, Verb.READ)
        with self._door.store.read() as tx:
            return _visible(tx, caller, preference)

    def create(self, caller: Caller, new: NewPreference, idempotency_key: str | None = None) -> EgressPreference:
        """Let guests leave as an address towards a prefix: when this returns, what they begin there does.

        Raises:
            Invalid: fields contradict each other, with the name of one.
            NotFound: the project has no such instance, NIC, network or floating IP, or there is no such pool.
            NotReady: the instance has no fixed IP yet.
            Conflict: the target has a preference for the prefix or too many, the floating IP leads to another guest, or the network has no
                router of mooring's.
        """
        self._door.allow(caller, Verb.ADDRESS_ASSOCIATE)
        changes: list[Published] = []
        with self._door.store.write() as tx:
            request = ("egress", *(str(getattr(new, name)) for name in NewPreference.__slots__))
            made = once(tx, caller, idempotency_key, request, lambda: self._create(tx, caller, new, changes))
            preference = tx.preferences.get(PreferenceId(made))
        self._door.settle(changes)
        if preference is None:
            raise NotFound("Egress preference", made)
        return preference

    def _create(self, tx: Transaction, caller: Caller, new: NewPreference, changes: list[Published]) -> PreferenceId:
        target = _target(tx, caller, new)
        way, fallback = _ways(tx, caller, new, target)
        if len([known for known in tx.preferences.list(caller.project.id) if known.target == target.id]) >= MOST:
            raise Conflict(f"{target.name} has {MOST} egress preferences, which is the most.", field="prefix")
        preference = EgressPreference(
            id=PreferenceId(self._door.chance.new_id()),
            project=caller.project.id,
            scope=target.scope,
            target=target.id,
            prefix=new.prefix,
            way=way,
            fallback=fallback,
            nic=target.nic,
            fixed=target.fixed.address if target.fixed is not None else None,
        )
        try:
            tx.preferences.add(preference, target.fixed.id if target.fixed is not None else None)
        except Duplicate as error:
            raise Conflict(
                f"prefix: {target.name} has an egress preference towards {new.prefix} already.", field="prefix"
            ) from error
        changes += self._told(tx, preference, cut=new.cut)
        note(tx, caller, Action.PREFERENCE_CREATE, preference.id, preference.project, **_said(preference))
        return preference.id

    def update(
        self,
        caller: Caller,
        preference: PreferenceId,
        way: NewWay,
        fallback: NewWay | None = None,
        *,
        cut: bool = False,
    ) -> EgressPreference:
        """Let a preference lead elsewhere, without a moment in which it leads nowhere; what holds of `create` holds here.

        Raises:
            NotFound: the project has no such preference.
            Invalid: as for `create`.
            Conflict: as for `create`.
        """
        self._door.allow(caller, Verb.ADDRESS_ASSOCIATE)
        with self._door.store.write() as tx:
            known = _visible(tx, caller, preference)
            check_version(caller, "Egress preference", known.id, known)
            new = _again(known, way, fallback)
            tx.preferences.change(known.id, *_ways(tx, caller, new, _target(tx, caller, new)))
            changed = _visible(tx, caller, preference)
            changes = self._told(tx, changed, cut=cut)
            note(tx, caller, Action.PREFERENCE_CHANGE, known.id, known.project, **_said(changed))
        self._door.settle(changes)
        return changed

    def delete(self, caller: Caller, preference: PreferenceId, *, cut: bool = False) -> None:
        """Take a preference back: when this returns, what guests begin leaves by what is left.

        Raises:
            NotFound: the project has no such preference.
        """
        self._door.allow(caller, Verb.ADDRESS_ASSOCIATE)
        with self._door.store.write() as tx:
            known = _visible(tx, caller, preference)
            check_version(caller, "Egress preference", known.id, known)
            reached = tx.preferences.reached(known.id)
            tx.preferences.delete(known.id)
            changes = _published(tx, reached, cut=cut)
            note(tx, caller, Action.PREFERENCE_DELETE, known.id, known.project, **_said(known))
        self._door.settle(changes)

    def _told(self, tx: Transaction, preference: EgressPreference, *, cut: bool) -> list[Published]:
        """Tell hosts of a preference, and routers of the uplinks that it takes."""
        reached = tx.preferences.reached(preference.id)
        changes: list[Published] = []
        for pool in sorted({each.pool for each in (preference.way, preference.fallback) if each is not None}):
            changes += self._connected(tx, reached, pool)
        return [*changes, *_published(tx, reached, cut=cut)]

    def _connected(self, tx: Transaction, nics: Iterable[NicId], pool: PoolId) -> list[Published]:
        """Give the routers of some NICs a way out by a pool's uplink."""
        changes: list[Published] = []
        known, seen = _uplink(tx, pool), set[NetworkId]()
        for nic in nics:
            row = tx.instances.nic(nic)
            if row is None or row.network in seen:
                continue
            seen.add(row.network)
            network = tx.topology.network(row.network)
            router = tx.topology.router(network.router) if network is not None and network.router else None
            if router is None or not leads(tx, router, known):
                continue
            if not tx.topology.router_has_uplink(router.id, known.uplink):
                changes += connect(self._door, tx, router, known)
        return changes


def connect_preferred(door: Door, tx: Transaction, project: ProjectId, network: Network) -> list[Published]:
    """Give the router of a network the ways out that a project's guests there prefer, before there are any.

    A pool that has no address left for the router, or was withdrawn from the project, is passed over: what is preferred by it does not leave.
    """
    granted = tx.pools.granted(project)
    router = tx.topology.router(network.router) if network.router is not None else None
    changes: list[Published] = []
    # By which uplink one goes out that a project made is for that project to say.
    for known in tx.preferences.list(project) if router is not None and not router.closed else ():
        if known.scope is EgressScope.PROJECT or known.target == network.id:
            for way in (known.way, known.fallback):
                pool = tx.topology.pool(way.pool) if way is not None else None
                if pool is None or router is None or not may_use(pool, granted):
                    continue
                if tx.topology.router_has_uplink(router.id, pool.uplink):
                    continue
                with suppress(Exhausted):
                    changes += connect(door, tx, router, pool)
    return changes


def check_unpreferred(tx: Transaction, floating: FloatingIp) -> None:
    """Refuse to take a floating IP from where it leads while guests prefer to leave as it.

    Raises:
        InUse: with what names it.
    """
    if users := tx.preferences.of_floating(floating.id):
        raise InUse("Floating IP", floating.address, described(users))


def _visible(tx: Transaction, caller: Caller, preference: PreferenceId) -> EgressPreference:
    known = tx.preferences.get(preference)
    if known is None or known.project != caller.project.id:
        raise NotFound("Egress preference", preference)
    return known


def _again(known: EgressPreference, way: NewWay, fallback: NewWay | None) -> NewPreference:
    """Return what would make a preference that leads elsewhere."""
    of_nic = known.scope in {EgressScope.ADDRESS, EgressScope.NIC}
    return NewPreference(
        known.prefix,
        way,
        fallback,
        instance=InstanceId(known.target) if known.scope is EgressScope.INSTANCE else None,
        nic=known.nic if of_nic else None,
        fixed=known.fixed,
        network=known.target if known.scope is EgressScope.NETWORK else None,
    )


def _said(preference: EgressPreference) -> dict[str, object]:
    """Return what is noted of a preference."""
    return {
        "prefix": preference.prefix,
        "leave_as": preference.way,
        "or_as": preference.fallback,
        "scope": preference.scope.value,
        "target": preference.target,
    }


def _published(tx: Transaction, nics: Sequence[NicId], *, cut: bool) -> list[Published]:
    """Tell the hosts of NICs what these prefer now."""
    tx.preferences.number_sets(nics)
    if cut:
        for nic in nics:
            for row in tx.addresses.fixed_of_nic(nic):
                tx.preferences.renew(row.id)
    return [publish(tx, SubjectKey(SubjectKind.NIC, nic), TOLD_OF_FLOATING_IPS) for nic in nics]


def _target(tx: Transaction, caller: Caller, new: NewPreference) -> _Target:
    if new.network is not None and (new.instance, new.nic, new.fixed) != (None, None, None):
        raise Invalid("network", "a preference is for a network or for a guest, but not both")
    if new.network is not None:
        network = _network(tx, caller, new.network)
        return _Target(EgressScope.NETWORK, network.id, f"Network {network.name}")
    if new.instance is None and new.nic is None:
        if new.fixed is not None:
            raise Invalid("fixed_address", "name the instance or the NIC that has it")
        return _Target(EgressScope.PROJECT, caller.project.id, f"Project {caller.project.name}")
    instance, cards = _guest(tx, caller, new)
    if new.fixed is not None:
        return _address(instance, cards, new.fixed)
    if new.nic is not None:
        return _Target(EgressScope.NIC, new.nic, f"NIC {new.nic}", new.nic, guests=(new.nic,))
    guests = tuple(card.id for card in cards)
    return _Target(EgressScope.INSTANCE, instance.id, f"Instance {instance.name}", guests=guests)


def _guest(tx: Transaction, caller: Caller, new: NewPreference) -> tuple[Instance, tuple[Nic, ...]]:
    """Return the instance that is meant, and those of its NICs that are."""
    if new.nic is not None:
        card = visible_nic(tx, caller, new.nic)
        if card.project != caller.project.id:
            raise NotFound("NIC", new.nic)
        if card.instance is None:
            raise Conflict(f"NIC {new.nic} is in no instance: nothing leaves by it.", field="nic")
        if new.instance not in (None, card.instance.id):
            raise Invalid("nic", f"{new.nic} is no NIC of instance {new.instance}")
        return card.instance, (card.nic,)
    instance = visible_instance(tx, caller, InstanceId(str(new.instance)))
    if instance.project != caller.project.id:
        raise NotFound("Instance", new.instance)
    return instance, instance.nics


def _address(instance: Instance, cards: tuple[Nic, ...], wanted: IPv4Address) -> _Target:
    for card in cards:
        for fixed in card.fixed:
            if fixed.address == wanted:
                name = f"Address {wanted} of instance {instance.name}"
                return _Target(EgressScope.ADDRESS, fixed.id, name, card.id, fixed, (card.id,))
    if not any(card.fixed for card in cards):
        raise NotReady(f"Instance {instance.id} has no fixed IP yet.")
    raise Invalid("fixed_address", f"{wanted} is not an address of instance {instance.name}")


def _network(tx: Transaction, caller: Caller, name: str) -> Network:
    seen = tx.topology.networks(caller.project.id)
    found = next((each for each in seen if name in {each.id, each.name}), None)
    if found is None:
        raise NotFound("Network", name)
    if found.router is None:
        raise Conflict(
            f"Network {found.name} has no router of mooring's: its guests leave as the operator's router says.",
            field="network",
        )
    return found


def _ways(tx: Transaction, caller: Caller, new: NewPreference, target: _Target) -> tuple[EgressWay, EgressWay | None]:
    way = _way(tx, caller, new.way, target)
    if new.fallback is None:
        return way, None
    fallback = _way(tx, caller, new.fallback, target)
    if _uplink(tx, fallback.pool).uplink == _uplink(tx, way.pool).uplink:
        raise Invalid("fallback", f"{fallback} is on the uplink of {way}: when that is away, so is this")
    return way, fallback


def _way(tx: Transaction, caller: Caller, new: NewWay, target: _Target) -> EgressWay:
    if (new.floating is None) is (new.pool is None):
        raise Invalid("floating_ip", "name a floating IP or a pool, and not both")
    if new.floating is None:
        pool = _pool(tx, caller, str(new.pool))
        return EgressWay(pool.id, pool.name)
    floating = tx.addresses.floating_by_address(new.floating)
    if floating is None or floating.project != caller.project.id:
        raise NotFound("Floating IP", new.floating)
    if not target.guests:
        reason = (
            f"{new.floating} can be one guest's only: name a pool, and each guest leaves as its own address of that"
        )
        raise Invalid("floating_ip", reason)
    leads = floating.nic in target.guests and (target.fixed is None or floating.fixed == target.fixed.address)
    if not leads:
        where = f"is associated with {floating.fixed}" if floating.fixed is not None else "is not associated"
        raise Conflict(f"Floating IP {new.floating} {where}, not with {target.name}.", field="floating_ip")
    check_granted(tx, caller, _uplink(tx, floating.pool))
    return EgressWay(floating.pool, floating.pool_name, AddressId(floating.id), floating.address)


def _pool(tx: Transaction, caller: Caller, name: str) -> AddressPool:
    """Return a pool that guests may leave by; one that was withdrawn from the project is told as such while it has addresses of it."""
    pool = find_pool(tx, name)
    if tx.pools.share(pool.id, caller.project).used:
        check_granted(tx, caller, pool)
    return visible_pool(tx, caller, name)


def _uplink(tx: Transaction, pool: PoolId) -> AddressPool:
    known = tx.topology.pool(pool)
    if known is None:
        raise NotFound("Pool", pool)
    return known
