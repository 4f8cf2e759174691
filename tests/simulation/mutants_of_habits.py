"""More mistakes planted on purpose, in what only some tenants are used to ask for; see mutants.py."""

from contextlib import AbstractContextManager

from mooring.agent.loop import Agent
from mooring.compile import egress as egress_facts
from mooring.model.ids import InstanceId
from mooring.model.subjects import HostRole, InstanceIntent, SubjectKey, SubjectKind
from mooring.operations import attachments, egress, forwardings, own_routers, routing
from mooring.operations.door import publish
from tests.simulation.database.allowances import Allowances
from tests.simulation.database.instances import Instances
from tests.simulation.patching import Mutant, patched

# -------------------------------------------------------------------------------------------------------------- power


def stopped_at_once() -> AbstractContextManager[None]:
    """A guest is said to be stopped as soon as that is asked for."""
    real = Instances.turn

    def turn(self, instance, expected, power, *, boot=False):
        return real(self, instance, expected, power.outcome, boot=boot)

    return patched((Instances, "turn", turn))


def stopped_while_starting() -> AbstractContextManager[None]:
    """An agent that looks whether a guest runs does not mind that somebody is just about to start it."""

    def holds(self, placed):
        instance = InstanceId(placed.key.id)
        if not isinstance(placed.subject, InstanceIntent) or not placed.subject.running:
            return instance not in self._there
        return instance in self._there and self._running.get(instance) == placed.generation

    return patched((Agent, "_holds", holds))


# --------------------------------------------------------------------------------------------------- port forwardings


def ports_do_not_linger() -> AbstractContextManager[None]:
    """Who may still forward ports of an address is not remembered when a forwarding ends."""

    def let_go(tx, nic, gone):
        return publish(tx, SubjectKey(SubjectKind.NIC, nic))

    return patched((forwardings, "let_go", let_go))


# ----------------------------------------------------------------------------------------------- cards and their addresses


def disallowed_at_once() -> AbstractContextManager[None]:
    """What is taken from a NIC is anybody's before the NIC's hosts have confirmed."""

    def confirmed(self, nic):
        self._drop(nic, lambda row: row.leaving is not None)

    return patched((Allowances, "confirmed", confirmed))


def allowed_to_all() -> AbstractContextManager[None]:
    """Nobody looks whose an address is that a NIC is to be allowed."""
    real = Allowances.claim

    def claim(self, network, address, project, own):
        real(self, network, address, project, own)
        return True

    return patched((Allowances, "claim", claim))


def pulled_at_once() -> AbstractContextManager[None]:
    """The addresses of a card that is pulled are free before its hosts have let go of it."""

    def finish(tx, nic):
        for row in tx.addresses.fixed_of_nic(nic):
            tx.addresses.free(row.id)
        return False

    return patched((attachments, "finish_detachment", finish))


# ------------------------------------------------------------------------------------------------- egress preferences


def leaves_as_anybody() -> AbstractContextManager[None]:
    """A gateway lets a guest leave as what it prefers, whether that is its own or not."""
    real = egress_facts._address

    def address(place, fixed, prefers, _known):
        ways = {way for each in prefers.preferences for way in (each.way, each.fallback) if way is not None}
        return real(place, fixed, prefers, {(way.uplink, way.address) for way in ways})

    return patched((egress_facts, "_address", address))


def preference_untold() -> AbstractContextManager[None]:
    """That a preference is taken back, no host hears."""

    def published(tx, nics, *, cut):
        return []

    return patched((egress, "_published", published))


def shortest_prefix() -> AbstractContextManager[None]:
    """Of several prefixes that hold a destination the shortest counts."""
    real = egress_facts.flattened

    def flattened(classes):
        widest = [each for each in classes if not any(each != other and each.subnet_of(other) for other in classes)]
        return real({each: classes[each] for each in widest})

    return patched((egress_facts, "flattened", flattened))


def pools_address_at_once() -> AbstractContextManager[None]:
    """The address that a router had of a pool that is deleted is free before its gateway has let go of it, as it once was."""

    def reclaim(tx, address):
        tx.addresses.free(address)
        return True

    return patched((routing, "reclaim_unheld", reclaim))


# ------------------------------------------------------------------------------------------------- networks of one's own


def router_without_networks() -> AbstractContextManager[None]:
    """A router begins to run without the networks that it served before, as it once did."""
    real = own_routers._run

    def run(tx, router, gateway):
        key = SubjectKey(SubjectKind.ROUTER, router.id)
        if tx.deliveries.hosts(key):
            return real(tx, router, gateway)
        tx.deliveries.place(key, gateway, HostRole.GATEWAY)
        return []

    return patched((own_routers, "_run", run))


_BY_HABIT: dict[str, tuple[Mutant, ...]] = {
    "power": (stopped_at_once, stopped_while_starting),
    "ports": (ports_do_not_linger,),
    "egress": (leaves_as_anybody, preference_untold, shortest_prefix, pools_address_at_once),
    "own": (router_without_networks,),
    "cards": (disallowed_at_once, allowed_to_all, pulled_at_once),
}

MUTANTS_OF_HABITS: dict[str, Mutant] = {
    each.__name__.replace("_", "-"): each for mutants in _BY_HABIT.values() for each in mutants
}
HABIT_OF: dict[str, str] = {
    each.__name__.replace("_", "-"): habit for habit, mutants in _BY_HABIT.items() for each in mutants
}
"""Which habit tenants have when a mistake is looked for, beside those that a seed draws: without it nobody would meet the mistake."""
