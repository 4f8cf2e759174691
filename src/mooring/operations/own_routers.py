"""Routers that projects make for themselves: which of their networks meet there, and by which pool their guests go out."""

from collections.abc import Sequence
from dataclasses import dataclass

from mooring.model.accounts import Caller
from mooring.model.events import Action
from mooring.model.faults import Conflict, InUse, Invalid, NotFound
from mooring.model.ids import HostId, NetworkId, PoolId, RouterId
from mooring.model.nouns import AddressPool, Network, Resource, Router
from mooring.model.records import RouterRow
from mooring.model.subjects import HostRole, SubjectKey, SubjectKind
from mooring.operations.carrying import join
from mooring.operations.door import Door, Published, check_revision, checked_name, find_card, once, publish, withdraw
from mooring.operations.events import note
from mooring.operations.interfaces import Transaction
from mooring.operations.networks import described_router
from mooring.operations.own_networks import changeable_network, take
from mooring.operations.pools import visible_pool
from mooring.operations.routing import connect, republish, retire
from mooring.policy.managers import why_not
from mooring.policy.roles import Verb


@dataclass(frozen=True, slots=True)
class RouterChange:
    """What is to be changed of a router: its name unless it is None, and if it is to be `led`, the pool by which it goes out, or none."""

    name: str | None = None
    led: bool = False
    pool: PoolId | None = None


class OwnRouterOperations:
    """Routers, as members of projects make them."""

    def __init__(self, door: Door) -> None:
        """Keep the door."""
        self._door = door

    def create(self, caller: Caller, name: str, pool: PoolId | None, idempotency_key: str | None = None) -> Router:
        """Make a router that goes out by a pool, or nowhere; it runs on a host once guests are behind it.

        Raises:
            Forbidden: here only administrators make networks.
            Invalid: a name that cannot be.
            NotFound: there is no such pool.
            QuotaExceeded: the project has as many routers as it may.
            Exhausted: the pool has no address for it.
        """
        self._door.allow(caller, Verb.NETWORK_CHANGE)
        name = checked_name("name", name)

        def make(tx: Transaction) -> RouterId:
            take(tx, caller.project.id, Resource.ROUTERS, "routers")
            made = RouterRow(RouterId(self._door.chance.new_id()), name, caller.project.id, None, private=True)
            tx.topology.add_router(made)
            tx.own.close(made.id, made=True)
            note(tx, caller, Action.ROUTER_CREATE, made.id, name=name, pool=pool)
            if pool is not None:
                self._lead(tx, made, visible_pool(tx, caller, pool))
            return made.id

        with self._door.store.write() as tx:
            made = once(tx, caller, idempotency_key, ("own router", name, pool), lambda: make(tx))
            return described_router(tx, RouterId(made))

    def change(self, caller: Caller, router: RouterId, change: RouterChange) -> Router:
        """Change what is named of a router.  It keeps the address that it has on an uplink, for when it goes out there again.

        Raises:
            NotFound: the project has made no such router, or there is no such pool.
            Invalid: a name that cannot be.
            InUse: floating IPs need the uplink by which it goes out now.
            Conflict: a network that it serves has addresses of the pool itself.
            Exhausted: the pool has no address for it.
        """
        self._door.allow(caller, Verb.NETWORK_CHANGE)
        changes: list[Published] = []
        with self._door.store.write() as tx:
            known = _visible(tx, caller, router)
            check_revision(caller, "Router", known.name, known.marks)
            if change.name is not None:
                tx.own.rename_router(known.id, checked_name("name", change.name))
            wanted = visible_pool(tx, caller, change.pool) if change.pool is not None else None
            if change.led and known.pool != change.pool:
                _check_unneeded(tx, known, wanted)
                changes = self._lead(tx, known, wanted)
            changed = described_router(tx, router)
            note(tx, caller, Action.ROUTER_CHANGE, router, known.project, name=changed.name, pool=changed.pool)
        self._door.settle(changes)
        return changed

    def _lead(self, tx: Transaction, router: RouterRow, pool: AddressPool | None) -> list[Published]:
        if pool is not None:
            _check_apart(tx, router, pool, tx.topology.networks_of_router(router.id))
        tx.own.lead(router.id, pool.id if pool is not None else None)
        if pool is None:
            return republish(tx, router.id)
        return connect(self._door, tx, router, pool)

    def add_network(self, caller: Caller, router: RouterId, network: NetworkId) -> Network:
        """Let a router serve a network of the project's; guests on its networks reach each other.

        Raises:
            NotFound: the project has made no such router or subnet.
            Conflict: a router of the project's serves it, or it is the operator's; or its guests are where this router cannot be; or it has
                addresses of the pool by which the router goes out.
            Invalid: its addresses overlap those of another network of the router's.
        """
        self._door.allow(caller, Verb.NETWORK_CHANGE)
        with self._door.store.write() as tx:
            target = _visible(tx, caller, router)
            check_revision(caller, "Router", target.name, target.marks)
            known = changeable_network(tx, caller, network, "Subnet")
            if known.own is None or known.router is None or known.project != target.project:
                raise Conflict(f"Network {known.name} is the operator's, with a router of its own.", field="subnet")
            before = tx.topology.router(known.router)
            if before is not None and before.made:
                where = "this router" if before.id == target.id else f"router {before.name}"
                raise Conflict(f"Subnet {network} is on {where} already, as {known.gateway}.", field="subnet")
            for other in tx.topology.networks_of_router(target.id):
                if other.cidr.overlaps(known.cidr):
                    reason = f"{known.cidr} of subnet {network} overlaps {other.cidr} of subnet {other.id}"
                    raise Invalid("subnet_id", reason)
            led = tx.topology.pool(target.pool) if target.pool is not None else None
            if led is not None:
                _check_apart(tx, target, led, [known])
            changes = _serve(tx, known, target)
            note(tx, caller, Action.ROUTER_JOIN, router, target.project, name=target.name, subnet=network)
        self._door.settle(changes)
        return known

    def remove_network(self, caller: Caller, router: RouterId, network: NetworkId) -> Network:
        """Let a router serve a network no longer; its guests keep their addresses, and go nowhere.

        Raises:
            NotFound: the project has made no such router, or it doesn't serve such a subnet.
            InUse: floating IPs lead to guests there.
        """
        self._door.allow(caller, Verb.NETWORK_CHANGE)
        with self._door.store.write() as tx:
            target = _visible(tx, caller, router)
            check_revision(caller, "Router", target.name, target.marks)
            known = tx.topology.network(network)
            if known is None or known.router != target.id:
                raise NotFound("Router interface", network)
            if users := _led_to(tx, [known]):
                raise InUse("Router interface", network, users)
            alone = RouterRow(RouterId(self._door.chance.new_id()), known.name, known.project, None, private=True)
            tx.topology.add_router(alone)
            tx.own.close(alone.id, made=False)
            changes = _serve(tx, known, alone)
            note(tx, caller, Action.ROUTER_LEAVE, router, target.project, name=target.name, subnet=network)
        self._door.settle(changes)
        return known

    def delete(self, caller: Caller, router: RouterId) -> None:
        """Delete a router that serves no network; its address is given again once no host holds it.

        Raises:
            NotFound: the project has made no such router.
            InUse: it serves networks.
        """
        self._door.allow(caller, Verb.NETWORK_CHANGE)
        changes: list[Published] = []
        with self._door.store.write() as tx:
            known = _visible(tx, caller, router)
            check_revision(caller, "Router", known.name, known.marks)
            if networks := tx.topology.networks_of_router(router):
                raise InUse("Router", router, ", ".join(f"subnet {each.id} ({each.name})" for each in networks))
            if known.project is not None and tx.own.unmake(router):
                tx.quotas.give(known.project, Resource.ROUTERS)
                changes.append(withdraw(tx, SubjectKey(SubjectKind.ROUTER, router)))
                changes += retire(tx, router)
                note(tx, caller, Action.ROUTER_DELETE, router, known.project, name=known.name)
        self._door.settle(changes)


def _visible(tx: Transaction, caller: Caller, router: RouterId) -> RouterRow:
    known = tx.topology.router(router)
    if known is None or not known.made or (known.project != caller.project.id and not caller.is_admin):
        raise NotFound("Router", router)
    return known


def _led_to(tx: Transaction, networks: Sequence[Network]) -> str:
    """Name the floating IPs that lead to guests on some networks, whole or by single ports; an empty text is none."""
    found: list[str] = []
    for network in networks:
        for nic in tx.topology.nics_of_network(network.id):
            card = find_card(tx, nic)
            found += [f"floating IP {each.address}" for each in (card.nic.floating if card is not None else ())]
            found += [f"port forwarding {each.id}" for each in tx.forwardings.of_nic(nic)]
    return ", ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")


def _check_unneeded(tx: Transaction, router: RouterRow, wanted: AddressPool | None) -> None:
    """Refuse to take an uplink from a router that floating IPs come in by."""
    now = tx.topology.pool(router.pool) if router.pool is not None else None
    if now is None or (wanted is not None and wanted.uplink == now.uplink):
        return
    if users := _led_to(tx, tx.topology.networks_of_router(router.id)):
        raise InUse("Router gateway", router.id, users)


def _check_apart(tx: Transaction, router: RouterRow, pool: AddressPool, networks: Sequence[Network]) -> None:
    """Refuse a way out by a pool to networks that have addresses of it themselves, or of the pool whose address the router has there.

    Raises:
        Conflict: which of them.
    """
    own = tx.topology.router_address(router.id, pool.uplink)
    home = tx.topology.pool(own.pool) if own is not None and own.pool is not None else None
    for network in networks:
        for each in (pool, home or pool):
            if network.cidr.overlaps(each.cidr):
                reason = f"{network.cidr} of subnet {network.id} overlaps {each.cidr} of pool {each.name}."
                raise Conflict(reason, field="router")


def _serve(tx: Transaction, network: Network, router: RouterRow) -> list[Published]:
    """Put a network behind another router, on whatever hosts it and its NICs are.

    Raises:
        Conflict: another router was faster, or the gateway host of this one can't have the network.
    """
    before = tx.topology.router(network.router) if network.router is not None else None
    if before is None or not tx.own.set_router(network, router.id):
        raise Conflict(f"Subnet {network.id} is being changed by others.", field="subnet")
    gateway, old = router.host, before.host
    if gateway is None and old is not None:
        tx.topology.claim_router(router.id, old)
        gateway = old
    changes: list[Published] = []
    key = SubjectKey(SubjectKind.ROUTER, router.id)
    running = bool(tx.deliveries.hosts(SubjectKey(SubjectKind.ROUTER, before.id)))
    if gateway is not None and (running or tx.deliveries.hosts(key)):
        changes += _run(tx, router, gateway)
    changes += _leave(tx, before)
    changes.append(publish(tx, key))
    if gateway != old and old is not None:
        # Where the router's port is, hosts that have the network know.
        changes.append(publish(tx, SubjectKey(SubjectKind.NETWORK, network.id)))
    for nic in tx.topology.nics_of_network(network.id):
        nic_key = SubjectKey(SubjectKind.NIC, nic)
        holders = tx.deliveries.hosts(nic_key)
        if gateway != old:
            changes.append(withdraw(tx, nic_key))
            for host_id, role in holders:
                if gateway is None or role is not HostRole.GATEWAY:
                    tx.deliveries.place(nic_key, host_id, role)
            if holders and gateway is not None:
                tx.deliveries.place(nic_key, gateway, HostRole.GATEWAY)
        changes.append(publish(tx, nic_key))
    return changes


def _run(tx: Transaction, router: RouterRow, gateway: HostId) -> list[Published]:
    """Let a router run on its gateway host, with all networks that it serves: it has a device on the bridge of each.

    Raises:
        Conflict: the host can't have one of them.
    """
    changes: list[Published] = []
    host = tx.topology.host(gateway)
    for served in tx.topology.networks_of_router(router.id):
        if host is not None and (reason := why_not(served, host)) is not None:
            raise Conflict(f"Router {router.name} runs where the network can't be had: {reason}.", field="subnet")
        changes += join(tx, served, gateway)
    key = SubjectKey(SubjectKind.ROUTER, router.id)
    if not tx.deliveries.hosts(key):
        tx.deliveries.place(key, gateway, HostRole.GATEWAY)
    return changes


def _leave(tx: Transaction, router: RouterRow) -> list[Published]:
    """Tell hosts that a router has a network less; one that was made for that network alone goes."""
    key = SubjectKey(SubjectKind.ROUTER, router.id)
    if router.made:
        return [publish(tx, key)]
    return [withdraw(tx, key), *retire(tx, router.id)]
