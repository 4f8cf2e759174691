"""The operator's program: pools and uplinks that come and go while tenants want to leave by them."""

from ipaddress import IPv4Address, IPv4Network

from mooring.model.accounts import Caller
from mooring.model.faults import Conflict, Exhausted, InUse, Invalid, NotFound
from mooring.model.nouns import AddressRange
from mooring.operations import NewPool, PoolChange
from tests.simulation.asking import Apis, Asking, Tenant
from tests.simulation.control import Lost

_PAUSE = 2.0
_POOLS = {"pool-c": (102, "isp-c"), "pool-d": (103, "isp-a")}
"""The third byte of each one's addresses, and its uplink: one that comes with it, and one that has another pool."""


class Operator:
    """Makes a pool, changes it, deletes it, and its uplink with it."""

    def __init__(self, apis: Apis, caller: Caller) -> None:
        self._asking = Asking(apis, Tenant(caller, []))
        self._caller = caller
        self.quiet = False
        self.process = apis.around.process("operator's program", "client operator")
        apis.around.baton.spawn(self.process, "operator's program", self._run)

    def _run(self) -> None:
        chance, reached = self._asking.chance, self._asking.around.reached
        while True:
            self._asking.around.baton.sleep(chance.expovariate(1 / _PAUSE))
            if self.quiet:
                continue
            name = chance.choice([*_POOLS])
            deed, said = chance.choice(((self._make, "made"), (self._change, "changed"), (self._delete, "deleted")))
            try:
                deed(name)
            except (Conflict, Exhausted, InUse, Invalid, NotFound) as fault:
                reached(f"pool not {said}: {type(fault).__name__}")
            except Lost:
                pass
            else:
                reached(f"pool {said}")

    def _make(self, name: str) -> None:
        number, uplink = _POOLS[name]
        first, net = IPv4Address(f"198.51.{number}.10"), IPv4Network(f"198.51.{number}.0/24")
        new = NewPool(name, net, net[1], (AddressRange(first, first + 4),), uplink, uplink)
        self._asking.ask("make pool", lambda real: real.pools.create(self._caller, new))

    def _change(self, name: str) -> None:
        change = PoolChange(public=self._asking.chance.random() < 0.7)
        self._asking.ask("change pool", lambda real: real.pools.update(self._caller, name, change))

    def _delete(self, name: str) -> None:
        _, uplink = _POOLS[name]
        self._asking.ask("delete pool", lambda real: real.pools.delete(self._caller, name))
        if name == "pool-c":
            self._asking.ask("delete uplink", lambda real: real.uplinks.delete(self._caller, uplink))
            self._asking.around.reached("uplink deleted")
