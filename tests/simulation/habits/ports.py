"""Ports of floating IPs that lead to guests, to several from one address."""

from mooring.model.faults import Conflict, Exhausted, Invalid, NotFound, NotReady, QuotaExceeded
from mooring.model.nouns import PortForwarding
from mooring.operations import ForwardingChange, NewForwarding
from tests.simulation.control import Lost
from tests.simulation.habits.habit import Deed, Habit

_PORTS = (22, 23, 24, 80)
_REFUSED = (Conflict, NotFound, NotReady, Invalid, QuotaExceeded, Exhausted)


class PortHabit(Habit):
    """Forwards few ports of few addresses, so that programs meet."""

    def deeds(self) -> list[Deed]:
        found: list[Deed] = []
        if self._tenant.floating and self._tenant.instances:
            found += [self._forward] * 4
        if self._tenant.of("forwarding"):
            found += [self._change, self._end]
        return found

    def _forward(self) -> None:
        tenant, caller = self._tenant, self._tenant.caller
        # One that leads somewhere as a whole has no single ports.
        floating = self._chance.choice([*tenant.floating])
        instance = self._asking.pick(list(tenant.instances))
        if instance is None or str(floating) in tenant.busy or tenant.floating[floating] in tenant.associated:
            return
        first = self._chance.choice(_PORTS)
        last = first + self._chance.choice((0, 0, 1))
        protocol, key = self._chance.choice(("tcp", "udp")), self._asking.key()
        with self._asking.holding(instance):
            try:
                goals = [(card.id, fixed.address) for card in self._cards(instance) for fixed in card.fixed]
                nic, fixed = self._chance.choice(goals) if goals else (None, None)
                guest = instance if nic is None else None
                new = NewForwarding(protocol, first, last, first + 8000, nic=nic, instance=guest, fixed=fixed)
                made = self._asking.ask(
                    "forward", lambda real: real.forwardings.create(caller, floating, new, key), f"ports of {floating}"
                )
            except _REFUSED as fault:
                self._refused("forward", fault)
                del tenant.pending[key]
            except Lost:
                pass
            else:
                del tenant.pending[key]
                self._keep(made)

    def _keep(self, made: PortForwarding) -> None:
        tenant = self._tenant
        if made.instance is None or self._asking.is_under_way(made.id):
            return
        if made.floating in tenant.floating and made.instance in tenant.instances:
            self._around.reached("port forwarded")
            self._asking.keep("forwarding", made.id, made.floating, made.instance, made.nic)

    def _change(self) -> None:
        tenant, caller = self._tenant, self._tenant.caller
        forwarding = self._asking.pick(tenant.of("forwarding"))
        instance = self._asking.pick(list(tenant.instances))
        if forwarding is None or instance is None:
            return
        with self._asking.holding(forwarding, instance):
            tenant.forget(forwarding)
            try:
                goals = [(card.id, fixed.address) for card in self._cards(instance) for fixed in card.fixed]
                nic, fixed = self._chance.choice(goals) if goals else (None, None)
                wanted = ForwardingChange(first=self._chance.choice(_PORTS), nic=nic, fixed=fixed)
                made = self._asking.ask(
                    "lead elsewhere", lambda real: real.forwardings.change(caller, forwarding, wanted), forwarding
                )
            except (*_REFUSED, Lost) as fault:
                self._refused("lead elsewhere", fault)
            else:
                self._around.reached("port leads elsewhere")
                self._keep(made)

    def _end(self) -> None:
        tenant, caller = self._tenant, self._tenant.caller
        forwarding = self._asking.pick(tenant.of("forwarding"))
        if forwarding is None:
            return
        tenant.forget(forwarding)
        with self._asking.holding(forwarding):
            try:
                self._asking.ask("end forwarding", lambda real: real.forwardings.delete(caller, forwarding), forwarding)
            except (NotFound, Lost):
                return
