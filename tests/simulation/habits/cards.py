"""Cards that come and go while a guest runs, further addresses of them, and others that they may use."""

from ipaddress import IPv4Address

from mooring.model.faults import Conflict, Exhausted, Forbidden, InUse, Invalid, NotFound, NotReady, QuotaExceeded
from mooring.model.ids import InstanceId
from mooring.model.nouns import Nic
from mooring.operations import NewNic
from tests.simulation.asking import SUBNETS
from tests.simulation.control import Lost
from tests.simulation.habits.habit import Deed, Habit

_REFUSED = (Conflict, NotFound, NotReady, Invalid, QuotaExceeded, Exhausted, Forbidden, InUse)
_SHARED = ("flat-dhcp", "operators")
_ELSEWHERE = IPv4Address("172.16.0.7")
"""An address that is of no network's subnet."""


class CardHabit(Habit):
    """Plugs and pulls, and claims addresses that others want too."""

    def deeds(self) -> list[Deed]:
        found: list[Deed] = []
        if self._tenant.instances:
            found += [self._attach, self._allow, self._allow, self._allow, self._add]
        if self._tenant.of("card"):
            found.append(self._detach)
        if self._tenant.of("allowed"):
            found += [self._disallow] * 2
        if self._tenant.of("fixed"):
            found.append(self._remove)
        return found

    def _attach(self) -> None:
        tenant, caller = self._tenant, self._tenant.caller
        instance = self._asking.pick(list(tenant.instances))
        if instance is None:
            return
        new, key = NewNic(self._chance.choice(tenant.networks)), self._asking.key()
        with self._asking.holding(instance):
            try:
                made = self._asking.ask(
                    "attach", lambda real: real.attachments.attach(caller, instance, new, idempotency_key=key)
                )
            except _REFUSED as fault:
                self._refused("attach", fault)
                del tenant.pending[key]
            except Lost:
                pass
            else:
                del tenant.pending[key]
                if instance in tenant.instances:
                    self._around.reached("card attached")
                    self._asking.keep("card", made.id, instance)

    def _detach(self) -> None:
        tenant, caller = self._tenant, self._tenant.caller
        nic = self._asking.pick(tenant.of("card"))
        if nic is None:
            return
        (instance,) = tenant.kept["card", nic]
        if instance in tenant.busy:
            return
        tenant.forget(nic)
        tenant.leaving[nic] = None
        with self._asking.holding(nic, instance):
            try:
                self._asking.ask("detach", lambda real: real.attachments.detach(caller, nic), nic)
            except (*_REFUSED, Lost) as fault:
                self._refused("detach", fault)
                if isinstance(fault, InUse) and not self._asking.is_under_way(nic) and instance in tenant.instances:
                    del tenant.leaving[nic]
                    self._asking.keep("card", nic, instance)
            else:
                self._around.reached("card detached")

    def _card(self, instance: InstanceId) -> Nic | None:
        """Choose a card of an instance; one on a network that all projects share, if it can be: there they meet."""
        cards = [card for card in self._cards(instance) if card.fixed]
        shared = [card for card in cards if card.network_name in _SHARED]
        return self._chance.choice(shared or cards) if cards else None

    def _allow(self) -> None:
        tenant, caller = self._tenant, self._tenant.caller
        instance = self._asking.pick(list(tenant.instances))
        if instance is None:
            return
        with self._asking.holding(instance):
            key = self._asking.key()
            try:
                card = self._card(instance)
                if card is None:
                    del tenant.pending[key]
                    return
                address = self._address(card)
                made = self._asking.ask(
                    "allow", lambda real: real.nics.allow(caller, card.id, [str(address)], key), card.id
                )
            except _REFUSED as fault:
                self._refused("allow", fault)
                del tenant.pending[key]
            except Lost:
                pass
            else:
                del tenant.pending[key]
                there = any(address in prefix for prefix in made.allowed)
                if there and instance in tenant.instances and not self._asking.is_under_way(card.id):
                    self._around.reached("address allowed")
                    self._asking.keep("allowed", (card.id, address), instance, card.id)

    def _address(self, card: Nic) -> IPv4Address:
        subnet = SUBNETS.get(card.network_name.split("-")[0])
        if subnet is None or self._chance.random() < 0.1:
            return _ELSEWHERE
        return subnet[self._chance.choice((3, 5, 6, 6))]

    def _disallow(self) -> None:
        tenant, caller = self._tenant, self._tenant.caller
        nic, address = self._chance.choice(tenant.of("allowed"))
        instance = next(iter(tenant.kept["allowed", (nic, address)] - {nic}))
        if instance in tenant.busy or nic in tenant.busy:
            return
        tenant.forget((nic, address))
        with self._asking.holding(instance):
            try:
                self._asking.ask("disallow", lambda real: real.nics.disallow(caller, nic, [str(address)]), nic)
            except (*_REFUSED, Lost) as fault:
                self._refused("disallow", fault)
            else:
                self._around.reached("address disallowed")

    def _add(self) -> None:
        tenant, caller = self._tenant, self._tenant.caller
        instance = self._asking.pick(list(tenant.instances))
        if instance is None:
            return
        with self._asking.holding(instance):
            key = self._asking.key()
            try:
                card = self._card(instance)
                if card is None:
                    del tenant.pending[key]
                    return
                subnet = SUBNETS.get(card.network_name.split("-")[0])
                address = subnet[self._chance.randrange(2, 7)] if subnet and self._chance.random() < 0.5 else None
                made = self._asking.ask(
                    "add fixed", lambda real: real.nics.add_fixed(caller, card.id, address, key), card.id
                )
            except _REFUSED as fault:
                self._refused("add fixed", fault)
                del tenant.pending[key]
            except Lost:
                pass
            else:
                del tenant.pending[key]
                there = address in [fixed.address for fixed in made.fixed[1:]]
                if there and instance in tenant.instances and not self._asking.is_under_way(card.id):
                    self._around.reached("fixed IP added")
                    self._asking.keep("fixed", (card.id, address), instance, card.id)

    def _remove(self) -> None:
        tenant, caller = self._tenant, self._tenant.caller
        nic, address = self._chance.choice(tenant.of("fixed"))
        instance = next(iter(tenant.kept["fixed", (nic, address)] - {nic}))
        if instance in tenant.busy or nic in tenant.busy:
            return
        tenant.forget((nic, address))
        with self._asking.holding(instance):
            try:
                self._asking.ask("remove fixed", lambda real: real.nics.remove_fixed(caller, nic, address), nic)
            except (*_REFUSED, Lost) as fault:
                self._refused("remove fixed", fault)
            else:
                self._around.reached("fixed IP removed")
