"""Tenants: what they ask for, what they were told, and how they repeat what was not answered."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network
from typing import Protocol, TypeVar

from mooring.model.accounts import Caller
from mooring.model.faults import (
    Conflict,
    Exhausted,
    Fault,
    Invalid,
    NotAssociated,
    NotFound,
    NotReady,
    QuotaExceeded,
    Unavailable,
)
from mooring.model.ids import AddressId, InstanceId, ProjectId
from mooring.model.nouns import Instance, InstanceState
from mooring.operations import NewInstance, NewNic, Operations
from tests.simulation.control import FLAVOR, IMAGE, ApiProcess, Lost
from tests.simulation.surroundings import Surroundings

T = TypeVar("T")
SUBNETS = {
    "flat": IPv4Network("10.0.0.0/29"),
    "operators": IPv4Network("10.9.0.0/28"),
    "vlan": IPv4Network("10.1.0.0/28"),
    "vxlan": IPv4Network("10.2.0.0/28"),
}
"""Of each network, by the first word of its name; each project's own have the same.  The first has fewer addresses than instances want."""

_TRIES = 12
_TOGETHER = 0.6
_BEAT = 0.5


class Apis(Protocol):
    """Where a tenant finds an API server."""

    around: Surroundings

    def any_api(self) -> ApiProcess:
        """Return one of them, dead or alive."""
        ...


@dataclass
class Tenant:
    """What a project was told, and what it may expect for that.

    `floating` and `instances` were acknowledged and not given back since.  `pending` are idempotency keys of which the answer is not known.
    `leaving` are things that were given back, as far as the tenant knows.  `associated` says what an acknowledged association promised.
    """

    caller: Caller
    networks: list[str]
    floating: dict[AddressId, IPv4Address] = field(default_factory=dict)
    instances: dict[InstanceId, None] = field(default_factory=dict)
    pending: dict[str, None] = field(default_factory=dict)
    leaving: dict[str, None] = field(default_factory=dict)
    associated: dict[IPv4Address, InstanceId] = field(default_factory=dict)
    under_way: Counter[str] = field(default_factory=Counter)
    busy: dict[str, None] = field(default_factory=dict)
    keys: int = 0

    def copy(self) -> "Tenant":
        """Return what is known now; no request of it is under way."""
        known = replace(self, under_way=Counter(), busy={})
        for name in ("floating", "instances", "pending", "leaving", "associated"):
            setattr(known, name, dict(getattr(self, name)))
        return known

    @property
    def project(self) -> ProjectId:
        return self.caller.project.id


class Client:
    """One of a tenant's programs: does one thing after the other."""

    def __init__(self, apis: Apis, tenant: Tenant, name: str, pools: list[str]) -> None:
        self._apis = apis
        self._around = apis.around
        self._chance = apis.around.chance
        self._tenant = tenant
        self._pools = pools
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
        return deeds

    # -------------------------------------------------------------------------------------------------- how it is asked

    def _ask(self, name: str, call: Callable[[Operations], T], *about: str) -> T:
        """Ask until there is an answer; raise Lost after many that were not."""
        for attempt in range(_TRIES):
            for thing in about:
                self._tenant.under_way[thing] += 1

            def over() -> None:
                for thing in about:
                    self._tenant.under_way[thing] -= 1

            try:
                answer = self._apis.any_api().request(name, call, over)
            except Lost:
                self._around.reached("lost reply retried")
            except Unavailable:
                self._around.reached("unavailable, retried")
            else:
                self._around.baton.note(f"{name}: ok")
                # What a tenant knows is checked like what the database knows, after this very step.
                self._around.database_changed = True
                return answer
            self._around.baton.sleep(self._chance.uniform(0.0, 0.5 * (attempt + 1)))
            if self._chance.random() < 0.02:
                break
        self._around.reached("client gave up")
        raise Lost

    def _key(self) -> str:
        self._tenant.keys += 1
        key = f"key-{self._tenant.keys}"
        self._tenant.pending[key] = None
        return key

    def _pick(self, things: list[T]) -> T | None:
        """Draw something that no other program of the tenant has in hand."""
        free = [thing for thing in things if str(thing) not in self._tenant.busy]
        return self._chance.choice(free) if free else None

    # ------------------------------------------------------------------------------------------------ what is asked for

    def _allocate(self) -> None:
        key, pool, caller = self._key(), self._chance.choice(self._pools), self._tenant.caller
        try:
            made = self._ask("allocate", lambda real: real.addresses.allocate(caller, pool, key))
        except (QuotaExceeded, Exhausted) as fault:
            self._around.reached(type(fault).__name__)
            del self._tenant.pending[key]
        except Lost:
            pass
        else:
            del self._tenant.pending[key]
            self._tenant.floating[made.id] = made.address

    def _create(self) -> None:
        key, caller = self._key(), self._tenant.caller
        nics = tuple(
            NewNic(name) for name in self._chance.sample(self._tenant.networks, self._chance.choice((1, 1, 2)))
        )
        if self._chance.random() < 0.2:
            chosen = SUBNETS[nics[0].network.split("-")[0]][self._chance.randrange(3, 7)]
            nics = (NewNic(nics[0].network, chosen), *nics[1:])
        new = NewInstance(f"vm {key}", IMAGE.id, FLAVOR.id, nics)
        try:
            made = self._ask("create", lambda real: real.instances.create(caller, new, key))
        except (QuotaExceeded, Exhausted, Conflict, Invalid) as fault:
            self._around.reached(f"create: {type(fault).__name__}")
            del self._tenant.pending[key]
        except Lost:
            pass
        else:
            del self._tenant.pending[key]
            self._tenant.instances[made.id] = None

    def _with(self, things: tuple[str, ...], work: Callable[[], None]) -> None:
        for thing in things:
            self._tenant.busy[thing] = None
        try:
            work()
        finally:
            for thing in things:
                self._tenant.busy.pop(thing, None)

    def _release(self) -> None:
        floating = self._pick(list(self._tenant.floating))
        if floating is None:
            return
        address = self._tenant.floating.pop(floating)
        self._tenant.leaving[floating] = None
        self._tenant.associated.pop(address, None)
        try:
            self._ask("release", lambda real: real.addresses.release(self._tenant.caller, floating))
        except (NotFound, Lost):
            return

    def _delete(self) -> None:
        instance = self._pick(list(self._tenant.instances))
        if instance is None:
            return
        del self._tenant.instances[instance]
        self._tenant.leaving[instance] = None
        tenant = self._tenant
        tenant.associated = {at: to for at, to in tenant.associated.items() if to != instance}
        try:
            self._ask("delete", lambda real: real.instances.delete(tenant.caller, instance))
        except (NotFound, Lost):
            return

    def _associate(self) -> None:
        tenant = self._tenant
        floating = self._pick(list(tenant.floating))
        instance = self._pick(list(tenant.instances))
        if floating is None or instance is None:
            return
        address = tenant.floating[floating]

        def work() -> None:
            tenant.associated.pop(address, None)
            try:
                self._ask(
                    "associate", lambda real: real.addresses.associate(tenant.caller, instance, address), str(address)
                )
            except (NotReady, Conflict, NotFound, Exhausted, Lost) as fault:
                self._around.reached(f"associate: {type(fault).__name__}")
                return
            # An older request of ours that is still on its way may undo it: then nothing is promised.
            if not tenant.under_way[str(address)] and floating in tenant.floating and instance in tenant.instances:
                tenant.associated[address] = instance

        self._with((str(floating), str(instance)), work)

    def _disassociate(self) -> None:
        tenant = self._tenant
        address = self._pick(list(tenant.associated))
        if address is None:
            return
        instance = tenant.associated.pop(address)
        floating = next(known for known, at in tenant.floating.items() if at == address)

        def work() -> None:
            try:
                self._ask(
                    "disassociate",
                    lambda real: real.addresses.disassociate(tenant.caller, instance, address),
                    str(address),
                )
            except (NotAssociated, NotFound, Lost):
                return

        self._with((str(floating), str(instance)), work)

    def look(self) -> list[Instance]:
        """Return the tenant's instances as the API shows them."""
        return list(self._ask("list", lambda real: real.instances.listing(self._tenant.caller)))


__all__ = ["Client", "Fault", "InstanceState", "Tenant"]
