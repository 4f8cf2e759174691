"""Stopping, starting and rebooting guests: what a guest shall do is intent like all else, and its host makes it true.

Nothing is commanded: an instance's power is part of its subject, and so is a count of how often its guest was told to begin anew.  A message
that is lost is made up for, one that comes twice changes nothing, and a host that was away does in the end what was asked last.
"""

from collections.abc import Callable

from mooring.model.accounts import Caller
from mooring.model.events import Action
from mooring.model.faults import Conflict, NotFound
from mooring.model.ids import InstanceId
from mooring.model.nouns import Instance, InstanceState, Power
from mooring.model.subjects import SubjectKey, SubjectKind
from mooring.operations.door import Change, Door, once, publish, visible_instance
from mooring.operations.events import note
from mooring.operations.interfaces import Transaction
from mooring.policy.roles import Verb

_DOWN = frozenset({Power.STOPPING, Power.STOPPED})
_UP = frozenset(Power) - _DOWN


class PowerOperations:
    """The power of a project's instances.  Addresses, NICs and everything else of an instance stay as they are."""

    def __init__(self, door: Door) -> None:
        """Keep the door."""
        self._door = door

    def stop(self, caller: Caller, instance: InstanceId) -> Instance:
        """Let the guest run no longer; nothing happens to one that is stopped.

        Raises:
            NotFound: the project has no such instance.
            Conflict: it has not been launched, or is being deleted.
        """
        return self._change(
            caller, instance, Action.INSTANCE_STOP, lambda tx: tx.instances.turn(instance, _UP, Power.STOPPING)
        )

    def start(self, caller: Caller, instance: InstanceId) -> Instance:
        """Let the guest run again; nothing happens to one that is not stopped.

        Raises:
            NotFound: the project has no such instance.
            Conflict: it has not been launched, or is being deleted.
        """

        def started(tx: Transaction) -> bool:
            return tx.instances.turn(instance, _DOWN, Power.STARTING, boot=True)

        return self._change(caller, instance, Action.INSTANCE_START, started)

    def reboot(
        self, caller: Caller, instance: InstanceId, *, hard: bool = False, idempotency_key: str | None = None
    ) -> Instance:
        """Let the guest begin anew; while it is doing so already, nothing more happens.  A `hard` one starts a guest that is stopped.

        Raises:
            NotFound: the project has no such instance.
            Conflict: it has not been launched, is being deleted, or is stopped and the reboot not hard.
        """

        def rebooted(tx: Transaction) -> bool:
            changed = False

            def turn() -> InstanceId:
                nonlocal changed
                power = Power.RESETTING if hard else Power.REBOOTING
                changed = tx.instances.turn(instance, {Power.RUNNING}, power, boot=True)
                if not changed and hard:
                    changed = tx.instances.turn(instance, _DOWN, Power.STARTING, boot=True)
                elif not changed and visible_instance(tx, caller, instance).power in _DOWN:
                    raise Conflict(f"Instance {instance} is stopped: start it.")
                return instance

            if once(tx, caller, idempotency_key, ("reboot", instance, hard), turn) != instance:
                raise NotFound("Instance", instance)
            return changed

        return self._change(caller, instance, Action.INSTANCE_REBOOT, rebooted)

    def _change(
        self, caller: Caller, instance: InstanceId, action: Action, turn: Callable[[Transaction], bool]
    ) -> Instance:
        self._door.allow(caller, Verb.INSTANCE_CHANGE)
        changes: list[Change] = []
        key = SubjectKey(SubjectKind.INSTANCE, instance)
        with self._door.store.write() as tx:
            target = visible_instance(tx, caller, instance)
            if target.state is InstanceState.DELETING:
                raise Conflict(f"Instance {instance} is being deleted.")
            if target.state is InstanceState.BUILDING or not tx.deliveries.hosts(key):
                raise Conflict(f"Instance {instance} has not been launched.")
            if turn(tx):
                changes.append(publish(tx, key))
                note(tx, caller, action, instance, target.project, name=target.name)
        self._door.settle(changes)
        with self._door.store.read() as tx:
            return visible_instance(tx, caller, instance)
