"""Where floating IPs lead: one row, one new generation of a NIC, and who may still hold what it held before."""

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv4Address

from mooring.model.accounts import Caller
from mooring.model.events import Action
from mooring.model.faults import (
    Conflict,
    Forbidden,
    Invalid,
    NotAssociated,
    NotFound,
    NotReady,
)
from mooring.model.ids import AddressId, NicId
from mooring.model.nouns import AddressPool, FixedIp, FloatingIp, Instance, InstanceState, Nic
from mooring.model.subjects import HostRole, SubjectKey, SubjectKind
from mooring.operations.door import Card, Door, Published, publish
from mooring.operations.egress import check_unpreferred
from mooring.operations.events import note
from mooring.operations.interfaces import Duplicate, Transaction
from mooring.operations.pools import check_granted
from mooring.operations.routing import check_led, connect
from mooring.policy.told import TOLD_OF_FLOATING_IPS

AUTOMATIC = "automatic"
"""Which field a fault names that refuses to part an instance from the floating IP that it came with."""


def attach(
    door: Door, tx: Transaction, caller: Caller, floating: FloatingIp, goal: tuple[Nic, FixedIp]
) -> list[Published]:
    """Let a floating IP lead to a fixed IP of a NIC, wherever it led before; nothing changes where it leads there already.

    Raises:
        NotFound: its pool is gone, or not there for the project.
        Forbidden: it came with another instance.
        Conflict: the fixed IP has as many of the pool as it may, or the network has no router that leads there.
        InUse: guests prefer to leave as it.
    """
    nic, fixed = goal
    if (floating.nic, floating.fixed) == (nic.id, fixed.address):
        return []
    check_own(floating)
    led = {"from_fixed": floating.fixed, "from_nic": floating.nic}
    changes: list[Published] = []
    check_unpreferred(tx, floating)
    check_unforwarded(tx, floating)
    if floating.nic is not None:
        # To another address of the same NIC: one new generation says both.
        changes += [detach(tx, floating)] if floating.nic != nic.id else []
        tx.addresses.disassociate(floating.id)
    pool = tx.topology.pool(floating.pool)
    network = tx.topology.network(nic.network)
    router = tx.topology.router(network.router) if network and network.router else None
    if pool is None:
        raise NotFound("Pool", floating.pool_name)
    check_granted(tx, caller, pool)
    if router is None:
        reason = f"Network {nic.network_name} has no router of mooring's: no floating IP can lead there."
        raise Conflict(reason, field="router")
    check_led(tx, router, pool, nic.network_name)
    try:
        tx.addresses.associate(floating.id, fixed.id, pool.id, most=pool.per_fixed)
    except Duplicate as error:
        raise Conflict(_too_many(nic, fixed, pool), field="address") from error
    if not tx.topology.router_has_uplink(router.id, pool.uplink):
        changes += connect(door, tx, router, pool)
    note(
        tx,
        caller,
        Action.FLOATING_IP_ASSOCIATE,
        floating.id,
        floating.project,
        address=floating.address,
        fixed=fixed.address,
        nic=nic.id,
        **led,
    )
    return [*changes, *published(tx, floating.id, nic.id)]


def end(tx: Transaction, caller: Caller, floating: FloatingIp) -> Published:
    """End a floating IP's association for a caller, as `detach` does."""
    about = {"address": floating.address, "fixed": floating.fixed, "nic": floating.nic}
    note(tx, caller, Action.FLOATING_IP_DISASSOCIATE, floating.id, floating.project, **about)
    return detach(tx, floating)


def check_own(floating: FloatingIp) -> None:
    """Refuse to let a floating IP lead elsewhere, or away, that came with its instance.

    Raises:
        Forbidden: with the field AUTOMATIC.
    """
    if floating.automatic:
        reason = (
            f"Floating IP {floating.address} came with instance {floating.instance}, and goes when that is deleted."
        )
        raise Forbidden(reason, field=AUTOMATIC)


def check_unforwarded(tx: Transaction, floating: FloatingIp) -> None:
    """Refuse to let a floating IP lead elsewhere, or away, while ports of it are forwarded.

    Raises:
        Conflict: with what names the first of them.
    """
    if forwardings := tx.forwardings.of_floating([floating.id]):
        first = forwardings[0]
        more = f" and {len(forwardings) - 1} more" if len(forwardings) > 1 else ""
        raise Conflict(
            f"Floating IP {floating.address} is in use by port forwarding {first.id}, {first}{more}.",
            field="port_forwardings",
        )


def detach(tx: Transaction, floating: FloatingIp) -> Published:
    """End a floating IP's association, and remember that the NIC's hosts may hold the address until they confirm.

    Raises:
        NotAssociated: it has none.
    """
    if floating.nic is None or not tx.addresses.disassociate(floating.id):
        raise NotAssociated(f"Floating IP {floating.address} is not associated.")
    return let_go(tx, floating.nic, [floating.id])


def published(tx: Transaction, floating: AddressId, nic: NicId) -> list[Published]:
    """Publish a NIC with an address that it got, and name what there is to wait for before it answers."""
    key = SubjectKey(SubjectKind.NIC, nic)
    change = publish(tx, key, TOLD_OF_FLOATING_IPS)
    row = tx.addresses.get(floating)
    if row is None or row.release_nic is None or row.release_nic == nic:
        return [change]
    # The gateway of a NIC that had it before has not let go: only then is it told to this one's, in a later generation.
    before = Published(SubjectKey(SubjectKind.NIC, row.release_nic), row.release_generation, frozenset())
    routed = any(role is HostRole.GATEWAY for _, role in tx.deliveries.hosts(key))
    return [before, replace(change, newest=routed)]


def let_go(tx: Transaction, nic: NicId, addresses: Sequence[AddressId]) -> Published:
    """Publish a NIC without some addresses that it had, which its hosts may hold until they confirm."""
    change = publish(tx, SubjectKey(SubjectKind.NIC, nic), TOLD_OF_FLOATING_IPS)
    for address in addresses:
        tx.addresses.linger(address, nic, change.generation)
    return change


def _too_many(nic: Nic, fixed: FixedIp, pool: AddressPool) -> str:
    others = [str(known.address) for known in nic.floating if known.fixed == fixed.address and known.pool == pool.id]
    if pool.per_fixed == 1:
        return f"Fixed address {fixed.address} already has a floating IP of pool {pool.name}: {', '.join(others)}."
    named = ", ".join(others[:3]) + (" and others" if len(others) > 3 else "")
    return (
        f"Fixed address {fixed.address} has {len(others)} floating IPs of pool {pool.name}, the most it may: {named}."
    )


def fixed_of_instance(instance: Instance, wanted: IPv4Address | None) -> tuple[Nic, FixedIp]:
    """Return a fixed IP of an instance, and the NIC that has it: the one that is wanted, or the first.

    Raises:
        Conflict: the instance is being deleted.
        NotReady: it has no fixed IP yet.
        Invalid: the one that is wanted is none of its.
    """
    if instance.state is InstanceState.DELETING:
        raise Conflict(f"Instance {instance.id} is being deleted.")
    if instance.state is not InstanceState.BUILDING and not any(nic.fixed for nic in instance.nics):
        raise NotReady(f"Instance {instance.id} has no fixed IP.", field="fixed_ips")
    return _fixed_of(instance.nics, wanted, f"instance {instance.id}")


def fixed_of_card(card: Card, wanted: IPv4Address | None) -> tuple[Nic, FixedIp]:
    """Return a fixed IP of one NIC, as `fixed_of_instance` does."""
    if card.instance is not None:
        return fixed_of_instance(replace(card.instance, nics=(card.nic,)), wanted)
    return _fixed_of((card.nic,), wanted, f"NIC {card.nic.id}")


def _fixed_of(nics: Sequence[Nic], wanted: IPv4Address | None, whose: str) -> tuple[Nic, FixedIp]:
    if not any(nic.fixed for nic in nics):
        raise NotReady(f"{whose[0].upper()}{whose[1:]} has no fixed IP yet.")
    for nic in nics:
        for fixed in nic.fixed:
            if wanted is None or fixed.address == wanted:
                return nic, fixed
    raise Invalid("fixed_address", f"{wanted} is not an address of {whose}")
