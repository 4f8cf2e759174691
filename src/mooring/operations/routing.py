"""Which router serves which networks and uplinks, which hosts have them, and the addresses that routers take for themselves."""

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address

from mooring.model.faults import Conflict, Exhausted, Invalid, Unavailable
from mooring.model.ids import AddressId, NetworkId, NicId, PoolId, RouterId
from mooring.model.nouns import AddressKind, AddressPool, AddressRange, Network
from mooring.model.subjects import SubjectKey, SubjectKind
from mooring.operations.door import Door, Published, publish
from mooring.operations.interfaces import AddressRow, RouterRow, Transaction
from mooring.policy.addresses import given_out, search_order, usable
from mooring.policy.pools import usable_by

_ATTEMPTS = 32


def take_next(
    tx: Transaction,
    owner: PoolId | NetworkId,
    ranges: Sequence[AddressRange],
    row: AddressRow,
) -> IPv4Address:
    """Take the next free address of some ranges for `row`, whose own address is ignored.

    Raises:
        Exhausted: every address is in use.
        Unavailable: others were faster each time.
    """
    cursor = tx.addresses.cursor(owner)
    for _ in range(_ATTEMPTS):
        gap = _free(tx, row.scope, ranges, cursor)
        if gap is None:
            raise Exhausted("No more addresses are available.")
        taken = AddressRow(row.id, row.scope, gap, row.kind, row.project, row.pool, row.network, row.nic)
        if tx.addresses.take(taken):
            tx.addresses.set_cursor(owner, gap)
            return gap
        cursor = gap
    raise Unavailable("Too many requests for addresses at once.", retry_after=1)


def reclaim_unheld(tx: Transaction, address: AddressId) -> bool:
    """Delete a released address if no host can hold it any longer; say whether that was so."""
    row = tx.addresses.get(address)
    if row is None or not row.releasing or row.release_nic is not None:
        return False
    tx.addresses.free(address)
    return True


def take_fixed(door: Door, tx: Transaction, nic: NicId, network: Network, wanted: IPv4Address | None) -> AddressRow:
    """Take a fixed IP of a network for a NIC: the one that is wanted, or the next.

    Raises:
        Invalid: it is none that the network gives to machines.
        Conflict: it is in use.
        Exhausted: all of them are.
    """
    row = AddressRow(
        AddressId(door.chance.new_id()),
        network.id,
        wanted or IPv4Address(0),
        AddressKind.FIXED,
        network=network.id,
        nic=nic,
    )
    if wanted is None:
        return replace(row, address=take_next(tx, network.id, given_out(network), row))
    if wanted not in usable(network.cidr):
        raise Invalid("fixed_ip", f"{wanted} is not an address of network {network.name} ({network.cidr})")
    if not tx.addresses.take(row):
        raise Conflict(f"Fixed address {wanted} is taken on network {network.name}.", field="fixed_ip")
    return row


def next_fixed(tx: Transaction, network: Network) -> IPv4Address | None:
    """Return the fixed IP that a network would give out next; None if every one is in use."""
    return _free(tx, network.id, given_out(network), tx.addresses.cursor(network.id))


def _free(
    tx: Transaction, scope: str, ranges: Sequence[AddressRange], cursor: IPv4Address | None
) -> IPv4Address | None:
    gaps = (tx.addresses.first_gap(scope, part.first, part.last) for part in search_order(ranges, cursor))
    return next((gap for gap in gaps if gap is not None), None)


def shared_router(door: Door, tx: Transaction) -> tuple[RouterRow, list[Published]]:
    """Return the router of the flat networks, made on first use and connected to every public pool."""
    router = tx.topology.shared_router()
    if router is not None:
        return router, []
    router = RouterRow(RouterId(door.chance.new_id()), "shared", None, None)
    tx.topology.add_router(router)
    changes: list[Published] = []
    for pool in usable_by(tx.topology.pools(), ()):
        changes += connect(door, tx, router, pool)
    return router, changes


def connect(door: Door, tx: Transaction, router: RouterRow, pool: AddressPool) -> list[Published]:
    """Give a router a way out by a pool's uplink, with an address of its own from the first pool there.

    The router's address stands in for guests without a floating IP, so all of its NICs change with it.  A router that was alone on the
    uplink so far is told that it isn't any more.

    Raises:
        Exhausted: the pool has no address left for the router.
    """
    changes: list[Published] = []
    if not tx.topology.router_has_uplink(router.id, pool.uplink):
        row = AddressRow(AddressId(door.chance.new_id()), "public", IPv4Address(0), AddressKind.ROUTER, pool=pool.id)
        try:
            take_next(tx, pool.id, pool.ranges, row)
        except Exhausted as fault:
            raise Exhausted(f"Pool {pool.name} has no address left for router {router.name}.") from fault
        tx.topology.add_router_uplink(router.id, pool.uplink, door.chance.new_mac(), row.id)
        others = tx.topology.others_on(pool.uplink, router.id)
        if len(others) == 1:
            changes.append(publish(tx, SubjectKey(SubjectKind.ROUTER, others[0])))
    return [*changes, *republish(tx, router.id)]


def disconnect(door: Door, tx: Transaction, pool: AddressPool) -> list[Published]:
    """Take back the addresses that routers have of a pool; another pool on the same uplink gives them new ones.

    The old ones are given again when no gateway holds them any longer, for the router or for guests that leave as it.
    """
    others = [other for other in tx.topology.pools() if other.uplink == pool.uplink and other.id != pool.id]
    changes: list[Published] = []
    for router in tx.topology.routers():
        own = tx.topology.router_address(router.id, pool.uplink)
        if own is None:
            continue
        if own.pool == pool.id:
            tx.topology.remove_router_uplink(router.id, pool.uplink)
        next_one = next((other for other in others if shadowed(tx, router, other) is None), None)
        told = connect(door, tx, router, next_one) if next_one is not None else republish(tx, router.id)
        if own.pool == pool.id:
            for change in told:
                if change.key == SubjectKey(SubjectKind.ROUTER, router.id) or change.key.kind is SubjectKind.NIC:
                    tx.addresses.linger(own.id, NicId(change.key.id), change.generation)
            tx.addresses.release(own.id)
            reclaim_unheld(tx, own.id)
        changes += told
    return changes


def shadowed(tx: Transaction, router: RouterRow, pool: AddressPool) -> Network | None:
    """Return a network behind a router that has addresses of a pool's subnet itself: from there those of the pool can't be reached.

    Only one that a project made can have any, since before the pool was there: see `operations.pools`.
    """
    networks = tx.topology.networks_of_router(router.id) if router.closed else ()
    return next((network for network in networks if network.cidr.overlaps(pool.cidr)), None)


def leads(tx: Transaction, router: RouterRow, pool: AddressPool) -> bool:
    """Say whether a router goes out by a pool's uplink, or may: one that a project made does as it was told."""
    own = tx.topology.pool(router.pool) if router.pool is not None else None
    if router.closed and (own is None or own.uplink != pool.uplink):
        return False
    return shadowed(tx, router, pool) is None


def check_led(tx: Transaction, router: RouterRow, pool: AddressPool, network: str) -> None:
    """Refuse a floating IP behind a router that its project lets go out elsewhere, or nowhere.

    Raises:
        Conflict: the router doesn't go out by the pool's uplink, or a network behind it has addresses of the pool.
    """
    if not leads(tx, router, pool):
        own = tx.topology.pool(router.pool) if router.pool is not None else None
        if not router.made:
            why = f"Network {network} is on no router"
        elif own is None:
            why = f"Router {router.name} of network {network} has no gateway"
        elif (other := shadowed(tx, router, pool)) is not None:
            why = f"Network {other.name} behind router {router.name} has addresses of pool {pool.name} itself ({other.cidr})"
        else:
            why = f"Router {router.name} of network {network} goes out by pool {own.name} only"
        raise Conflict(f"{why}: no floating IP of pool {pool.name} can lead there.", field="router")


def retire(tx: Transaction, router: RouterId) -> list[Published]:
    """Delete a router of a network that is gone, once no host holds it any longer: only then are its public addresses free."""
    known = tx.topology.router(router)
    if known is None or not known.private or known.made or tx.topology.networks_of_router(router):
        return []
    if tx.deliveries.digest_of(SubjectKey(SubjectKind.ROUTER, router)):
        return []
    changes: list[Published] = []
    for uplink in dict.fromkeys(pool.uplink for pool in tx.topology.pools()):
        own = tx.topology.router_address(router, uplink)
        if own is None:
            continue
        tx.topology.remove_router_uplink(router, uplink)
        tx.addresses.free(own.id)
        # Who stays behind alone has no others to look out for any more, and need not do so for every packet.
        others = tx.topology.others_on(uplink, router)
        if len(others) == 1:
            changes.append(publish(tx, SubjectKey(SubjectKind.ROUTER, others[0])))
    tx.topology.delete_router(router)
    return changes


def republish(tx: Transaction, router: RouterId) -> list[Published]:
    """Publish a router and all NICs behind it."""
    keys = [SubjectKey(SubjectKind.ROUTER, router)]
    keys += [SubjectKey(SubjectKind.NIC, nic) for nic in tx.topology.nics_of_router(router)]
    return [publish(tx, key) for key in keys]
