"""A tenant's programs: each asks for one thing after the other, as its habits are."""

from collections.abc import Callable

from mooring.model.faults import (
    Conflict,
    Exhausted,
    InUse,
    Invalid,
    NotAssociated,
    NotFound,
    NotReady,
    QuotaExceeded,
)
from mooring.operations import NewInstance, NewNic
from tests.simulation.asking import SUBNETS, Apis, Asking, Tenant
from tests.simulation.control import FLAVOR, IMAGE, Lost
from tests.simulation.habits import HABITS, Habit

_TOGETHER = 0.6
_BEAT = 0.5


class Client:
    """One of a tenant's programs: does one thing after the other."""

    def __init__(self, apis: Apis, tenant: Tenant, name: str, pools: list[str], habits: frozenset[str]) -> None:
        self._asking = Asking(apis, tenant)
        self._around = apis.around
        self._chance = apis.around.chance
        self._tenant = tenant
        self._pools = pools
        self._habits: list[Habit] = [make(self._asking) for kind, make in HABITS.items() if kind in habits]
        self.quiet = False
        self.process = apis.around.process(name, f"client {name}")
        apis.around.baton.spawn(self.process, name, self._run)

    def _run(self) -> None:
        while True:
            # Often all at the same moment: that is when one comes between another's two transactions.
            together = self._chance.random() < _TOGETHER
            now = self._around.baton.now
            self._around.baton.sleep(_BEAT - now % _BEAT if together else self._chance.expovariate(3.0))
            if self.quiet:
                continue
            do = self._chance.choice(self._deeds())
            do()

    def _deeds(self) -> list[Callable[[], None]]:
        deeds: list[Callable[[], None]] = [self._allocate] * 2 + [self._create] * 2
        if self._tenant.floating:
            deeds += [self._release] * 2
            if self._tenant.instances:
                deeds += [self._associate] * 5
        if self._tenant.associated:
            deeds += [self._disassociate] * 2
        if self._tenant.instances:
            deeds += [self._delete]
        for habit in self._habits:
            deeds += habit.deeds()
        return deeds

    # ------------------------------------------------------------------------------------------------ what is asked for

    def _allocate(self) -> None:
        key, pool, caller = self._asking.key(), self._chance.choice(self._pools), self._tenant.caller
        try:
            made = self._asking.ask("allocate", lambda real: real.addresses.allocate(caller, pool, key))
        except (QuotaExceeded, Exhausted, NotFound) as fault:
            # A pool may be gone.
            self._around.reached(type(fault).__name__)
            del self._tenant.pending[key]
        except Lost:
            pass
        else:
            del self._tenant.pending[key]
            self._tenant.floating[made.id] = made.address

    def _create(self) -> None:
        key, caller = self._asking.key(), self._tenant.caller
        nics = tuple(
            NewNic(name) for name in self._chance.sample(self._tenant.networks, self._chance.choice((1, 1, 2)))
        )
        subnet = SUBNETS.get(nics[0].network.split("-")[0])
        if self._chance.random() < 0.2 and subnet is not None:
            nics = (NewNic(nics[0].network, subnet[self._chance.randrange(3, 7)]), *nics[1:])
        new = NewInstance(f"vm {key}", IMAGE.id, FLAVOR.id, nics)
        try:
            made = self._asking.ask("create", lambda real: real.instances.create(caller, new, key))
        except (QuotaExceeded, Exhausted, Conflict, Invalid, NotFound) as fault:
            self._around.reached(f"create: {type(fault).__name__}")
            del self._tenant.pending[key]
        except Lost:
            pass
        else:
            del self._tenant.pending[key]
            self._tenant.instances[made.id] = None

    def _release(self) -> None:
        tenant = self._tenant
        floating = self._asking.pick(list(tenant.floating))
        if floating is None:
            return
        address = tenant.floating.pop(floating)
        tenant.leaving[floating] = None
        led = tenant.associated.pop(address, None)
        try:
            self._asking.ask("release", lambda real: real.addresses.release(tenant.caller, floating), str(address))
        except (NotFound, Lost):
            return
        except (Conflict, InUse) as fault:
            # Something else needs it.  Unless an older request may still release it, it is as it was.
            self._around.reached(f"release: {type(fault).__name__}")
            if not self._asking.is_under_way(address):
                del tenant.leaving[floating]
                tenant.floating[floating] = address
                if led is not None and led in tenant.instances:
                    tenant.associated[address] = led

    def _delete(self) -> None:
        tenant = self._tenant
        instance = self._asking.pick(list(tenant.instances))
        if instance is None:
            return
        del tenant.instances[instance]
        tenant.leaving[instance] = None
        tenant.stopped.pop(instance, None)
        tenant.forget(instance)
        tenant.associated = {at: to for at, to in tenant.associated.items() if to != instance}
        try:
            self._asking.ask("delete", lambda real: real.instances.delete(tenant.caller, instance))
        except (NotFound, Lost):
            return

    def _associate(self) -> None:
        tenant = self._tenant
        floating = self._asking.pick(list(tenant.floating))
        instance = self._asking.pick(list(tenant.instances))
        if floating is None or instance is None:
            return
        address = tenant.floating[floating]
        with self._asking.holding(floating, instance):
            tenant.associated.pop(address, None)
            try:
                self._asking.ask(
                    "associate", lambda real: real.addresses.associate(tenant.caller, instance, address), str(address)
                )
            except (NotReady, Conflict, NotFound, Exhausted, InUse, Lost) as fault:
                self._around.reached(f"associate: {type(fault).__name__}")
                return
            # An older request of ours that is still on its way may undo it: then nothing is promised.
            there = floating in tenant.floating and instance in tenant.instances
            if not self._asking.is_under_way(address) and there:
                tenant.associated[address] = instance

    def _disassociate(self) -> None:
        tenant = self._tenant
        address = self._asking.pick(list(tenant.associated))
        if address is None:
            return
        instance = tenant.associated.pop(address)
        floating = next(known for known, at in tenant.floating.items() if at == address)
        with self._asking.holding(floating, instance):
            try:
                self._asking.ask(
                    "disassociate",
                    lambda real: real.addresses.disassociate(tenant.caller, instance, address),
                    str(address),
                )
            except (NotAssociated, NotFound, InUse, Lost):
                return
