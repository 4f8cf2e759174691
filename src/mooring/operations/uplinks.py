"""Uplinks: whether their next hops are asked, and which of them hosts find to be away."""

from collections.abc import Mapping
from dataclasses import replace

from mooring.model.accounts import Caller
from mooring.model.events import Action
from mooring.model.faults import InUse, Invalid, NotFound
from mooring.model.ids import HostId, UplinkId, uplink_name
from mooring.model.nouns import Uplink
from mooring.model.subjects import SubjectKey, SubjectKind
from mooring.operations.door import Door, publish
from mooring.operations.events import note
from mooring.operations.interfaces import Referenced, Transaction
from mooring.policy.roles import Verb

MOST_MISSES = 3600
"""A next hop that is silent for an hour is away."""


class UplinkOperations:
    """Ways out, as administrators change them and hosts find them."""

    def __init__(self, door: Door) -> None:
        """Keep the door."""
        self._door = door

    def update(self, caller: Caller, name: str, misses: int) -> Uplink:
        """Say after how many unanswered questions the next hop of an uplink, named by name or id, counts as away; 0 is never.

        When this returns, gateways ask as is said.

        Raises:
            Invalid: no such number can be.
            NotFound: there is no such uplink.
        """
        self._door.allow(caller, Verb.POOL_ADMIN)
        if not 0 <= misses <= MOST_MISSES:
            raise Invalid("misses", f"must be a number from 0 to {MOST_MISSES}")
        with self._door.store.write() as tx:
            known = _find(tx, name)
            changes = []
            if known.misses != misses:
                tx.topology.set_misses(known.id, misses)
                note(tx, caller, Action.UPLINK_CHANGE, known.id, name=known.name, misses=misses)
                on_it = tx.topology.routers_on(known.id)
                changes = [publish(tx, SubjectKey(SubjectKind.ROUTER, router)) for router in on_it]
        self._door.settle(changes)
        return replace(known, misses=misses)

    def delete(self, caller: Caller, name: str) -> None:
        """Delete an uplink, by name or id, that no pool is on.

        Raises:
            NotFound: there is no such uplink.
            InUse: pools are on it.
        """
        self._door.allow(caller, Verb.POOL_ADMIN)
        with self._door.store.write() as tx:
            known = _find(tx, name)
            if on := [pool.name for pool in tx.topology.pools() if pool.uplink == known.id]:
                raise InUse("Uplink", known.name, f"pools: {', '.join(on)}")
            try:
                tx.topology.delete_uplink(known.id)
            except Referenced as error:
                raise InUse("Uplink", known.name, "a router") from error
            note(tx, caller, Action.UPLINK_DELETE, known.id, name=known.name)

    def found(self, host: HostId, away: Mapping[str, str]) -> None:
        """Record by which uplink devices a host finds that nothing leaves, each with the reason; by all others something does.

        Raises:
            NotFound: there is no such host (any longer): it must register.
        """
        with self._door.store.read() as tx:
            if {uplink_name(each.uplink.id): each.reason for each in tx.topology.away(host)} == away:
                return
        with self._door.store.write() as tx:
            if tx.topology.host(host) is None:
                raise NotFound("Host", host)
            known: Mapping[str, UplinkId] = {uplink_name(each.id): each.id for each in tx.topology.uplinks()}
            there = {known[device]: reason for device, reason in away.items() if device in known}
            tx.topology.set_away(host, there, tx.now())


def _find(tx: Transaction, name: str) -> Uplink:
    found = next((each for each in tx.topology.uplinks() if name in {each.id, each.name}), None)
    if found is None:
        raise NotFound("Uplink", name)
    return found
