"""Tenants: what they were told, and how their programs ask, and repeat what was not answered."""

from collections import Counter
from collections.abc import Callable, Generator, Hashable
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network
from typing import Protocol, TypeVar

from mooring.model.accounts import Caller
from mooring.model.faults import Unavailable
from mooring.model.ids import AddressId, InstanceId, ProjectId
from mooring.operations import Operations
from tests.simulation.control import ApiProcess, Lost
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


class Apis(Protocol):
    """Where a tenant finds an API server."""

    around: Surroundings

    def any_api(self) -> ApiProcess:
        """Return one of them, dead or alive."""
        ...


Kept = tuple[str, Hashable]
"""A kind of thing, and which it is: an id, or for an address of a NIC both."""


@dataclass
class Tenant:
    """What a project was told, and what it may expect for that.

    `floating` and `instances` were acknowledged and not given back since.  `pending` are idempotency keys of which the answer is not known.
    `leaving` are things that were given back, as far as the tenant knows.  `associated` says what an acknowledged association promised.
    `kept` is what else was acknowledged, each with the ids of what it goes with; `stopped` are instances that were said to be stopped.
    """

    caller: Caller
    networks: list[str]
    floating: dict[AddressId, IPv4Address] = field(default_factory=dict)
    instances: dict[InstanceId, None] = field(default_factory=dict)
    pending: dict[str, None] = field(default_factory=dict)
    leaving: dict[str, None] = field(default_factory=dict)
    associated: dict[IPv4Address, InstanceId] = field(default_factory=dict)
    kept: dict[Kept, frozenset[str]] = field(default_factory=dict)
    stopped: dict[InstanceId, None] = field(default_factory=dict)
    under_way: Counter[str] = field(default_factory=Counter)
    busy: dict[str, None] = field(default_factory=dict)
    keys: int = 0

    def copy(self) -> "Tenant":
        """Return what is known now; no request of it is under way, and what guests do is not the database's to bring back."""
        known = replace(self, under_way=Counter(), busy={}, stopped={}, networks=list(self.networks))
        for name in ("floating", "instances", "pending", "leaving", "associated", "kept"):
            setattr(known, name, dict(getattr(self, name)))
        return known

    @property
    def project(self) -> ProjectId:
        return self.caller.project.id

    def of(self, kind: str) -> list:
        """Return which things of a kind are kept."""
        return [which for known, which in self.kept if known == kind]

    def forget(self, thing: Hashable) -> None:
        """Expect a thing no longer, nor what goes with it."""
        self.kept = {kept: needs for kept, needs in self.kept.items() if kept[1] != thing and thing not in needs}


class Asking:
    """How one of a tenant's programs asks."""

    def __init__(self, apis: Apis, tenant: Tenant) -> None:
        self._apis = apis
        self.around = apis.around
        self.chance = apis.around.chance
        self.tenant = tenant

    def ask(self, name: str, call: Callable[[Operations], T], *about: str) -> T:
        """Ask until there is an answer; raise Lost after many that were not."""
        for attempt in range(_TRIES):
            for thing in about:
                self.tenant.under_way[thing] += 1

            def over() -> None:
                for thing in about:
                    self.tenant.under_way[thing] -= 1

            try:
                answer = self._apis.any_api().request(name, call, over)
            except Lost:
                self.around.reached("lost reply retried")
            except Unavailable:
                self.around.reached("unavailable, retried")
            else:
                self.around.baton.note(f"{name}: ok")
                # What a tenant knows is checked like what the database knows, after this very step.
                self.around.database_changed = True
                return answer
            self.around.baton.sleep(self.chance.uniform(0.0, 0.5 * (attempt + 1)))
            if self.chance.random() < 0.02:
                break
        self.around.reached("client gave up")
        raise Lost

    def key(self) -> str:
        """Return a new idempotency key, of which no answer is known."""
        self.tenant.keys += 1
        key = f"key-{self.tenant.keys}"
        self.tenant.pending[key] = None
        return key

    def pick(self, things: list[T]) -> T | None:
        """Draw something that no other program of the tenant has in hand."""
        free = [thing for thing in things if str(thing) not in self.tenant.busy]
        return self.chance.choice(free) if free else None

    @contextmanager
    def holding(self, *things: object) -> Generator[None]:
        """Have things in hand, so that no other program of the tenant draws them."""
        for thing in things:
            self.tenant.busy[str(thing)] = None
        try:
            yield
        finally:
            for thing in things:
                self.tenant.busy.pop(str(thing), None)

    def is_under_way(self, thing: object) -> bool:
        """Say whether an older request about a thing may still be carried out: then nothing is promised of it."""
        return self.tenant.under_way[str(thing)] > 0

    def keep(self, kind: str, which: Hashable, *goes_with: str) -> None:
        """Expect that what was acknowledged stays, as long as all that it goes with: of that nothing may be on its way out."""
        if any(self.is_under_way(thing) or thing in self.tenant.leaving for thing in goes_with):
            return
        self.tenant.kept[kind, which] = frozenset(goes_with)
