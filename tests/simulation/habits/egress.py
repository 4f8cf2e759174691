"""As whom guests leave towards which destinations."""

from ipaddress import IPv4Network

from mooring.model.faults import Conflict, Exhausted, InUse, Invalid, NotFound, NotReady, QuotaExceeded
from mooring.model.ids import InstanceId
from mooring.model.preferences import EgressScope
from mooring.operations import NewPreference, NewWay
from tests.simulation.control import Lost
from tests.simulation.habits.habit import Deed, Habit

_REFUSED = (Conflict, NotFound, NotReady, Invalid, QuotaExceeded, Exhausted, InUse)
PREFIXES = [IPv4Network(text) for text in ("0.0.0.0/0", "192.0.2.0/24", "192.0.2.128/25")]
"""Towards which preferences are: each within the one before."""

POOLS = ("pool-a", "pool-b", "pool-c", "pool-d")
"""The last two come and go (see operator.py)."""


class EgressHabit(Habit):
    """Prefers, changes its mind, and takes back what it said."""

    def deeds(self) -> list[Deed]:
        found: list[Deed] = [self._prefer]
        if self._tenant.instances:
            found += [self._prefer] * 3
        if self._tenant.of("preference"):
            found += [self._change, self._end, self._end]
        return found

    def _new(self, prefix: IPv4Network, instance: InstanceId | None) -> NewPreference:
        """Draw for whom a preference is and where it leads: for one instance it may lead to an address of it."""
        tenant, draw = self._tenant, self._chance.random
        mine = [address for address, at in tenant.associated.items() if at == instance]
        way = NewWay(floating=mine[0]) if mine and draw() < 0.5 else NewWay(pool=self._chance.choice(POOLS))
        fallback = NewWay(pool=self._chance.choice(POOLS)) if draw() < 0.4 else None
        cut = draw() < 0.3
        if instance is None:
            network = self._chance.choice(tenant.networks) if draw() < 0.5 else None
            return NewPreference(prefix, way, fallback, network=network, cut=cut)
        cards = [card for card in self._cards(instance) if card.fixed]
        if not cards or draw() < 0.4:
            return NewPreference(prefix, way, fallback, instance=instance, cut=cut)
        nic = cards[0]
        fixed = nic.fixed[0].address if draw() < 0.5 else None
        return NewPreference(prefix, way, fallback, nic=nic.id, fixed=fixed, cut=cut)

    def _prefer(self) -> None:
        tenant, caller = self._tenant, self._tenant.caller
        instance = self._asking.pick(list(tenant.instances)) if self._chance.random() < 0.7 else None
        key, prefix = self._asking.key(), self._chance.choice(PREFIXES)
        with self._asking.holding(*([instance] if instance is not None else [])):
            try:
                new = self._new(prefix, instance)
                made = self._asking.ask("prefer", lambda real: real.egress.create(caller, new, key))
            except _REFUSED as fault:
                self._refused("prefer", fault)
                del tenant.pending[key]
            except Lost:
                pass
            else:
                del tenant.pending[key]
                self._around.reached(f"preferred for {made.scope}")
                # That for a network goes with it, and who deletes that doesn't look here; that for an address with a launch taken back.
                lasts = made.scope not in {EgressScope.NETWORK, EgressScope.ADDRESS}
                if lasts and (instance is None or instance in tenant.instances):
                    goes_with = [str(name) for name in (instance, made.nic) if name is not None]
                    self._asking.keep("preference", made.id, *goes_with)

    def _change(self) -> None:
        tenant, caller = self._tenant, self._tenant.caller
        preference = self._asking.pick(tenant.of("preference"))
        if preference is None:
            return
        way = NewWay(pool=self._chance.choice(POOLS))
        cut = self._chance.random() < 0.3
        with self._asking.holding(preference):
            try:
                self._asking.ask(
                    "prefer otherwise", lambda real: real.egress.update(caller, preference, way, None, cut=cut)
                )
            except (*_REFUSED, Lost) as fault:
                self._refused("prefer otherwise", fault)
            else:
                self._around.reached("preferred otherwise")

    def _end(self) -> None:
        tenant, caller = self._tenant, self._tenant.caller
        preference = self._asking.pick(tenant.of("preference"))
        if preference is None:
            return
        tenant.forget(preference)
        cut = self._chance.random() < 0.3
        with self._asking.holding(preference):
            try:
                self._asking.ask("prefer no longer", lambda real: real.egress.delete(caller, preference, cut=cut))
            except (*_REFUSED, Lost) as fault:
                self._refused("prefer no longer", fault)
            else:
                self._around.reached("preferred no longer")
