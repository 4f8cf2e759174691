"""Mistakes planted on purpose: a simulation that does not find them would not find ours.

The first ten are those of the reliability plan, section 2.3; the others are of this code.  Each is a patch of the real code or, where the
mistake would be in SQL, of the simulated database, for as long as the context lasts.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import replace

from mooring.agent import loop
from mooring.agent import settle as settling
from mooring.agent.interfaces import Refused
from mooring.agent.ledger import Ledger, Part
from mooring.agent.loop import Agent
from mooring.model.faults import Exhausted, NotFound, QuotaExceeded
from mooring.model.ids import AddressId
from mooring.model.nouns import AddressKind, InstanceState, Resource
from mooring.model.records import AddressRow, Remembered
from mooring.model.subjects import Placement, SubjectKey, SubjectKind
from mooring.operations import addresses, associations, door, instances
from mooring.operations.addresses import AddressOperations
from mooring.operations.door import publish
from mooring.operations.launches import LaunchOperations
from mooring.operations.pools import find_pool
from tests.simulation.database.addresses import Addresses
from tests.simulation.database.deliveries import Deliveries
from tests.simulation.database.identities import Quotas
from tests.simulation.database.instances import Instances
from tests.simulation.database.tables import Delivery
from tests.simulation.mutants_of_habits import MUTANTS_OF_HABITS
from tests.simulation.patching import Mutant, patched

# ------------------------------------------------------------------------------------------- those of the reliability plan


def quota_outside() -> AbstractContextManager[None]:
    """The quota is looked at in one transaction, and the address taken in another."""
    real = AddressOperations.allocate

    def allocate(self, caller, pool, idempotency_key=None):
        with self._door.store.read() as tx:
            quota = tx.quotas.get(caller.project.id, Resource.FLOATING_IPS)
        if quota.used >= quota.limit:
            raise QuotaExceeded("floating IPs", quota.limit)
        return real(self, caller, pool, idempotency_key)

    def take(self, project, resource, amount=1):
        used, limit = self._tables.quotas[project, resource]
        self._tables.quotas.put((project, resource), (used + amount, limit))
        return True

    return patched((AddressOperations, "allocate", allocate), (Quotas, "take", take))


def picked_then_taken() -> AbstractContextManager[None]:
    """A free address is picked in one transaction, and taken in another without looking again."""

    def allocate(self, caller, pool, idempotency_key=None):
        with self._door.store.read() as tx:
            known = find_pool(tx, pool)
            gap = tx.addresses.first_gap("public", known.ranges[0].first, known.ranges[0].last)

        def make() -> str:
            if gap is None:
                raise Exhausted("none")
            if not tx.quotas.take(caller.project.id, Resource.FLOATING_IPS):
                raise QuotaExceeded("floating IPs", 0)
            row = AddressRow(
                AddressId(self._door.chance.new_id()), "public", gap, AddressKind.FLOATING, caller.project.id, known.id
            )
            tx.addresses._tables.addresses.put(row.id, row)
            tx.addresses._tables.places.put(("public", int(gap)), row.id)
            return row.id

        with self._door.store.write() as tx:
            made = door.once(tx, caller, idempotency_key, ("allocate", pool), make)
            return tx.addresses.floating(caller.project.id, AddressId(made))

    return patched((AddressOperations, "allocate", allocate))


def no_idempotency() -> AbstractContextManager[None]:
    """Idempotency keys are not looked at."""

    def once(tx, caller, key, request, make):
        return make()

    return patched((addresses, "once", once), (instances, "once", once))


def idempotency_after_quota() -> AbstractContextManager[None]:
    """The quota is asked before the idempotency key."""

    def once(tx, caller, key, request, make):
        resource = Resource.INSTANCES if request[0] == "create" else Resource.FLOATING_IPS
        if not tx.quotas.take(caller.project.id, resource):
            raise QuotaExceeded(resource, 0)
        tx.quotas.give(caller.project.id, resource)
        known = tx.memory.recall(caller.project.id, key)
        if known is not None:
            return known.object_id
        made = make()
        tx.memory.remember(caller.project.id, key, Remembered("", made))
        return made

    return patched((addresses, "once", once), (instances, "once", once))


def agent_ignores_generations() -> AbstractContextManager[None]:
    """An agent takes whatever it is told for the newest."""
    return patched((Ledger, "hold", _hold_anything(Ledger.hold)))


def _hold_anything(real: Callable[[Ledger, list[Placement]], set[Part]]) -> object:
    def hold(self: Ledger, placements: Iterable[Placement]) -> set[Part]:
        news = list(placements)
        for placed in news:
            part = Part(placed.key, placed.role)
            if part in self._held:
                self._held[part] = replace(self._held[part], generation=-1)
        return real(self, news)

    return hold


def resync_forgets_generations() -> AbstractContextManager[None]:
    """An agent that compares everything takes the list for the truth, and does not look which of the two is older."""

    def accept(self, digest):
        self._epoch = digest.epoch

    def differs(self, entry):
        held = self._held.get(Part(entry.key, entry.role))
        return held is None or held.generation != entry.generation

    return patched(
        (Ledger, "accept", accept), (Ledger, "_older", differs), (Ledger, "hold", _hold_anything(Ledger.hold))
    )


def freed_unconfirmed() -> AbstractContextManager[None]:
    """A released address is free before its hosts have confirmed."""

    def reclaim(tx, address):
        tx.addresses.free(address)
        return True

    return patched((addresses, "reclaim_unheld", reclaim))


def restart_only_adds() -> AbstractContextManager[None]:
    """An agent does not see what is in the kernel and should not be: after a restart it adds and never removes."""
    real = Ledger.observe

    def observe(self, state, place=None):
        real(self, {key: value for key, value in state.items() if key in self._desired}, place)

    return patched((Ledger, "observe", observe))


def waits_for_last_nic() -> AbstractContextManager[None]:
    """A release waits for the hosts of the NIC that had the address last, and not for those that had it before."""
    real = Addresses.linger

    def linger(self, address, nic, generation):
        for other, _ in list(self.lingers(address)):
            if other != nic:
                self._tables.lingering.drop((address, other))
        real(self, address, nic, generation)

    return patched((Addresses, "linger", linger))


def waits_for_present_hosts() -> AbstractContextManager[None]:
    """A release waits for the hosts that hold the NIC now, and not for those that it was taken from."""

    def behind(self, nic, generation):
        key = SubjectKey(SubjectKind.NIC, nic)
        rows = self._tables.deliveries.items()
        return any(of == key and row.present and row.confirmed < generation for (_, of, _), row in rows)

    def unconfirmed(self, key, generation):
        rows = self._tables.deliveries.items()
        return any(of == key and row.present and row.confirmed < generation for (_, of, _), row in rows)

    return patched((Addresses, "behind", behind), (Deliveries, "unconfirmed", unconfirmed))


def any_ack_counts() -> AbstractContextManager[None]:
    """A confirmation counts for the newest generation, whichever it names."""
    real = Deliveries.confirm

    def confirm(self, host, report):
        row = self._tables.deliveries.get((host, report.key, report.role))
        return real(self, host, replace(report, generation=row.generation) if row else report)

    return patched((Deliveries, "confirm", confirm))


# ---------------------------------------------------------------------------------------------------------------- our own


def move_forgets_old_nic() -> AbstractContextManager[None]:
    """An address that moves is published with its new NIC only."""

    def detach(tx, floating):
        tx.addresses.disassociate(floating.id)
        return door.Published(SubjectKey(SubjectKind.NIC, floating.nic), 0, frozenset())

    return patched((associations, "detach", detach))


def no_lingering() -> AbstractContextManager[None]:
    """Who may still hold an address is not remembered when it leaves a NIC."""

    def let_go(tx, nic, gone):
        return publish(tx, SubjectKey(SubjectKind.NIC, nic))

    return patched((associations, "let_go", let_go))


def outbox_after_commit() -> AbstractContextManager[None]:
    """The association is ended in one transaction, and its hosts are told in the next."""

    def disassociate(self, caller, instance, address):
        with self._door.store.write() as tx:
            floating = tx.addresses.floating_by_address(address)
            if floating is None or floating.nic is None or floating.instance != instance:
                raise NotFound("Floating IP", address)
            tx.addresses.disassociate(floating.id)
        with self._door.store.write() as tx:
            change = associations.let_go(tx, floating.nic, [floating.id])
        self._door.settle([change])

    return patched((AddressOperations, "disassociate", disassociate))


def withdrawal_shares_generation() -> AbstractContextManager[None]:
    """A withdrawal takes one generation, and what is placed and published next has the same."""

    def withdraw(self, key):
        return self._tell(key, self._raise(key, 1), present=False)

    def place(self, key, host, role):
        generation = self._raise(key, 0)
        known = self._tables.deliveries.get((host, key, role)) or Delivery(generation)
        self._tables.deliveries.put((host, key, role), replace(known, generation=generation, present=True))

    def publish_once(self, key, roles=None):
        return self._tell(key, self._raise(key, 0), present=True, roles=roles)

    return patched(
        (Deliveries, "withdraw", withdraw), (Deliveries, "place", place), (Deliveries, "publish", publish_once)
    )


def unguarded_state() -> AbstractContextManager[None]:
    """A state is changed whatever it was: a deletion that is repeated gives the quota back twice."""
    real = Instances.move

    def move(self, instance, expected, state, fault=None):
        return real(self, instance, set(InstanceState), state, fault)

    return patched((Instances, "move", move))


def reports_wishes() -> AbstractContextManager[None]:
    """An agent reports what it was told, whether the kernel holds it or not."""
    real = settling.settle

    def settle(ledger, backend):
        put = real(ledger, backend)
        ledger.refused.clear()
        return put

    return patched((loop, "settle", settle), (Ledger, "unsettled", lambda _self: set()))


def believes_a_torn_change() -> AbstractContextManager[None]:
    """After a change that was torn the agent takes it for made, and does not read the kernel."""

    def settle(ledger, backend):
        delta = ledger.delta()
        if delta:
            with suppress(Refused):
                backend.apply(delta)
            ledger.applied(delta)
        return set(delta.put)

    return patched((loop, "settle", settle))


def gateway_told_at_once() -> AbstractContextManager[None]:
    """A gateway gets an address before the one that had it has let go."""
    return patched((Addresses, "gateway_behind", lambda _self, _nic, _generation, _at=None: False))


def renewed_without_a_number() -> AbstractContextManager[None]:
    """Everything is published anew after a backup was put back, and nothing says that what hosts hold besides is to go."""
    real = Deliveries.renew

    def renew(self, epoch):
        real(self, epoch)
        self._tables.epochs.drop(epoch)

    return patched((Deliveries, "renew", renew))


def never_said_again() -> AbstractContextManager[None]:
    """What an agent has reported once it does not report again, whatever the database forgets."""
    return patched((Agent, "_say_again", lambda _self, _unconfirmed: None))


def lost_launch_stays_lost() -> AbstractContextManager[None]:
    """A launch of which a message is lost is not taken up again."""
    return patched((LaunchOperations, "stuck", lambda _self: []))


def guest_before_network() -> AbstractContextManager[None]:
    """A guest is handed to its host before the hosts of its NICs know them."""
    return patched((Deliveries, "settled", lambda _self, _key, _roles: True))


MUTANTS: Mapping[str, Mutant] = MUTANTS_OF_HABITS | {
    each.__name__.replace("_", "-"): each
    for each in (
        quota_outside,
        picked_then_taken,
        no_idempotency,
        idempotency_after_quota,
        agent_ignores_generations,
        resync_forgets_generations,
        freed_unconfirmed,
        restart_only_adds,
        waits_for_last_nic,
        waits_for_present_hosts,
        any_ack_counts,
        move_forgets_old_nic,
        no_lingering,
        outbox_after_commit,
        withdrawal_shares_generation,
        unguarded_state,
        reports_wishes,
        believes_a_torn_change,
        gateway_told_at_once,
        renewed_without_a_number,
        never_said_again,
        lost_launch_stays_lost,
        guest_before_network,
    )
}
