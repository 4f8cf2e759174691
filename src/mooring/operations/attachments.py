"""Network cards that come and go while their instance is there."""

from collections.abc import Collection

from mooring.model.accounts import Caller
from mooring.model.events import Action
from mooring.model.faults import Conflict, NotFound
from mooring.model.groups import DEFAULT_GROUP
from mooring.model.ids import AddressId, InstanceId, NicId
from mooring.model.nouns import Instance, InstanceState, Nic, Resource
from mooring.model.subjects import SubjectKey, SubjectKind
from mooring.operations.associations import end
from mooring.operations.automatic import give_back_automatic
from mooring.operations.carrying import give_address, place, set_up
from mooring.operations.door import (
    Card,
    Change,
    Door,
    Published,
    changeable_nic,
    check_own,
    once,
    publish,
    visible_instance,
    visible_nic,
)
from mooring.operations.egress import check_unpreferred
from mooring.operations.events import note
from mooring.operations.forwardings import end_forwardings
from mooring.operations.instances import MAX_NICS, NewNic, add_nic, chosen_networks, plug, withdraw_nic
from mooring.operations.interfaces import Transaction
from mooring.operations.membership import find_group, groups_of, put_into, reach
from mooring.operations.nics import further_addresses
from mooring.operations.routing import take_fixed
from mooring.operations.settlement import finish_detachment
from mooring.policy.roles import Verb


class AttachmentOperations:
    """Cards of instances that run, or could.  Hosts learn of a card as they do at a launch: its filters first, the guest last."""

    def __init__(self, door: Door) -> None:
        """Keep the door."""
        self._door = door

    def attach(
        self, caller: Caller, instance: InstanceId, new: NewNic | None = None, idempotency_key: str | None = None
    ) -> Nic:
        """Give an instance one more card, in the project's default group, on a network, or on the project's only one; or one that the project made.

        When this returns its guest has it, or will have when its hosts are back; a guest that is stopped has it when it starts.

        Raises:
            NotFound: the project has no such instance or NIC, or may use no such network.
            Invalid: no network was named and the project has several, or the network does not give the address to machines.
            Conflict: the instance is no longer or not yet active, has as many cards as it can have, or is on a host that can't have the
                network; or the address is taken, or the NIC in an instance.
            Exhausted: the network, or the pool of its router, has no free address.
            QuotaExceeded: the default group has as many members as it may.
            Unavailable: no host can be a gateway of the network.
        """
        self._door.allow(caller, Verb.INSTANCE_CHANGE)
        changes: list[Change] = []
        request = ("attach", instance, new)
        with self._door.store.write() as tx:
            made = once(tx, caller, idempotency_key, request, lambda: self._attach(tx, caller, instance, new, changes))
            card = visible_nic(tx, caller, NicId(made)).nic
        self._door.settle(changes)
        return card

    def _attach(
        self, tx: Transaction, caller: Caller, instance: InstanceId, new: NewNic | None, changes: list[Change]
    ) -> NicId:
        target = visible_instance(tx, caller, instance)
        check_own(caller, target, NotFound("Instance", instance))
        host = tx.topology.host(target.host) if target.host is not None else None
        if target.state is not InstanceState.ACTIVE or host is None:
            raise Conflict(f"Instance {instance} is {target.state}: only an active one gets a card.")
        positions = [row.position for row in tx.instances.nics(instance)]
        if len(positions) >= MAX_NICS:
            raise Conflict(
                f"Instance {instance} has {MAX_NICS} cards, which is the most, or some are still leaving it."
            )
        nic = self._card(tx, caller, target, new, max(positions, default=-1) + 1)
        brought: list[Published] = []
        set_up(self._door, tx, _card(tx, instance, nic)[1], host, brought)
        changes += brought
        target, card = _card(tx, instance, nic)
        give_address(self._door, tx, card)
        place(self._door, tx, target, card, changes)
        note(tx, caller, Action.NIC_ATTACH, nic, target.project, instance=instance, network=card.network)
        changes.append(publish(tx, SubjectKey(SubjectKind.INSTANCE, instance)))
        return nic

    def _card(self, tx: Transaction, caller: Caller, target: Instance, new: NewNic | None, position: int) -> NicId:
        """Make a card for an instance, or take the one that the project made."""
        if new is not None and new.nic is not None:
            return plug(tx, caller, new, target.id, position)
        ((network, address),) = chosen_networks(tx, caller, [new] if new is not None else [])
        row = add_nic(self._door, tx, target.id, network.id, position)
        put_into(tx, row.id, find_group(self._door, tx, target.project, DEFAULT_GROUP))
        if address is not None:
            take_fixed(self._door, tx, row.id, network, address)
        return row.id

    def detach(self, caller: Caller, nic: NicId, instance: InstanceId | None = None) -> None:
        """Take a card from its instance, and port forwardings to it.

        Its floating IPs stay with the project, its fixed ones are free when every host has let go.  One that the project made stays, with all
        that it has, and is in no instance then.

        Raises:
            NotFound: the project has no such NIC in an instance, or it is not the `instance`'s that was named.
            InUse: guests prefer to leave as a floating IP that leads to it.
            Conflict: the instance is being launched or deleted.
        """
        self._door.allow(caller, Verb.INSTANCE_CHANGE)
        with self._door.store.write() as tx:
            found = changeable_nic(tx, caller, nic)
            target, card = found.instance, found.nic
            if target is None or instance not in (None, target.id):
                raise NotFound("NIC", nic)
            if target.state is InstanceState.BUILDING:
                raise Conflict(f"Instance {target.id} is being launched.")
            # What came with the instance goes with its card, and the preferences for it.
            given = give_back_automatic(tx, nic)
            for floating in card.floating:
                if floating.id not in given:
                    # Also where it stays with the card: then it is no longer one of the instance's.
                    check_unpreferred(tx, floating)
            if card.own is None:
                self._strip(tx, caller, found, given)
            tx.instances.leave(nic)
            changes: list[Change] = [publish(tx, SubjectKey(SubjectKind.INSTANCE, target.id)), withdraw_nic(tx, card)]
            if target.host is not None:
                changes += reach(tx, target.host, groups_of([card]))
            if card.own is None:
                for group in card.groups:
                    tx.groups.leave(nic, group.id)
            note(tx, caller, Action.NIC_DETACH, nic, target.project, instance=target.id, network=card.network)
            finish_detachment(tx, nic)
        self._door.settle(changes)

    def _strip(self, tx: Transaction, caller: Caller, card: Card, given: Collection[AddressId]) -> None:
        """End what leads to a card, but for what was `given` back already."""
        end_forwardings(tx, caller, tx.forwardings.of_nic(card.nic.id))
        for floating in card.nic.floating:
            if floating.id not in given:
                end(tx, caller, floating)
        tx.quotas.give(card.project, Resource.NIC_ADDRESSES, further_addresses([card.nic]))


def _card(tx: Transaction, instance: InstanceId, nic: NicId) -> tuple[Instance, Nic]:
    """Return an instance and a card of it that was just made."""
    found = tx.instances.get(instance)
    for card in found.nics if found is not None else ():
        if card.id == nic and found is not None:
            return found, card
    raise AssertionError("what was inserted is there")
