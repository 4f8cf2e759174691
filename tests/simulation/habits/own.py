"""Networks, subnets and routers that a project makes for itself, and deletes while others launch guests there."""

from ipaddress import IPv4Network

from mooring.model.faults import Conflict, Exhausted, InUse, Invalid, NotFound, NotReady, QuotaExceeded
from mooring.model.ids import NetworkId, PoolId, RouterId
from mooring.operations import NewSubnet, RouterChange
from tests.simulation.control import Lost
from tests.simulation.habits.habit import Deed, Habit

_REFUSED = (Conflict, NotFound, NotReady, Invalid, QuotaExceeded, Exhausted, InUse)
_SUBNETS = [IPv4Network(f"10.5.{number}.0/29") for number in range(3)]
_WAYS = (PoolId("pool-a"), PoolId("pool-b"), None)


class OwnHabit(Habit):
    """Builds and tears down."""

    def deeds(self) -> list[Deed]:
        tenant = self._tenant
        found: list[Deed] = [self._make_network, self._make_router]
        if networks := tenant.of("network"):
            found += [self._add_subnet] * 2 + [self._delete_network]
            if any(network in tenant.networks for network in networks):
                found += [self._delete_subnet]
                found += [self._join, self._join, self._part] if tenant.of("router") else []
        if tenant.of("router"):
            found += [self._lead, self._delete_router]
        return found

    def _make_network(self) -> None:
        caller, key = self._tenant.caller, self._asking.key()
        try:
            made = self._asking.ask("make network", lambda real: real.own_networks.create(caller, "own", key))
        except _REFUSED as fault:
            self._refused("make network", fault)
            del self._tenant.pending[key]
        except Lost:
            pass
        else:
            del self._tenant.pending[key]
            self._asking.keep("network", made.id)

    def _add_subnet(self) -> None:
        tenant, caller = self._tenant, self._tenant.caller
        network: NetworkId | None = self._asking.pick(tenant.of("network"))
        if network is None:
            return
        new, key = NewSubnet(network, cidr=self._chance.choice(_SUBNETS)), self._asking.key()
        with self._asking.holding(network):
            try:
                self._asking.ask("add subnet", lambda real: real.own_networks.add_subnet(caller, new, key), network)
            except _REFUSED as fault:
                self._refused("add subnet", fault)
                del tenant.pending[key]
            except Lost:
                pass
            else:
                del tenant.pending[key]
                self._around.reached("subnet made")
                if ("network", network) in tenant.kept and network not in tenant.networks:
                    tenant.networks.append(network)

    def _delete_subnet(self) -> None:
        tenant, caller = self._tenant, self._tenant.caller
        network = self._asking.pick([known for known in tenant.of("network") if known in tenant.networks])
        if network is None:
            return
        tenant.networks.remove(network)
        with self._asking.holding(network):
            try:
                self._asking.ask(
                    "delete subnet", lambda real: real.own_networks.delete_subnet(caller, network), network
                )
            except (*_REFUSED, Lost) as fault:
                self._refused("delete subnet", fault)
                if not isinstance(fault, NotFound) and network not in tenant.networks:
                    tenant.networks.append(network)
            else:
                self._around.reached("subnet deleted")

    def _delete_network(self) -> None:
        tenant, caller = self._tenant, self._tenant.caller
        network = self._asking.pick(tenant.of("network"))
        if network is None:
            return
        tenant.forget(network)
        usable = network in tenant.networks
        if usable:
            tenant.networks.remove(network)
        with self._asking.holding(network):
            try:
                self._asking.ask("delete network", lambda real: real.own_networks.delete(caller, network), network)
            except (*_REFUSED, Lost) as fault:
                self._refused("delete network", fault)
                if isinstance(fault, InUse) and not self._asking.is_under_way(network):
                    self._asking.keep("network", network)
                    if usable:
                        tenant.networks.append(network)
            else:
                self._around.reached("network deleted")

    # ------------------------------------------------------------------------------------------------------- routers

    def _make_router(self) -> None:
        caller, key, pool = self._tenant.caller, self._asking.key(), self._chance.choice(_WAYS)
        try:
            made = self._asking.ask("make router", lambda real: real.own_routers.create(caller, "own", pool, key))
        except _REFUSED as fault:
            self._refused("make router", fault)
            del self._tenant.pending[key]
        except Lost:
            pass
        else:
            del self._tenant.pending[key]
            self._asking.keep("router", made.id)

    def _both(self) -> tuple[RouterId, NetworkId] | None:
        tenant = self._tenant
        router = self._asking.pick(tenant.of("router"))
        network = self._asking.pick([known for known in tenant.of("network") if known in tenant.networks])
        return (router, network) if router is not None and network is not None else None

    def _join(self) -> None:
        both, caller = self._both(), self._tenant.caller
        if both is None:
            return
        with self._asking.holding(*both):
            try:
                self._asking.ask("join", lambda real: real.own_routers.add_network(caller, *both))
            except (*_REFUSED, Lost) as fault:
                self._refused("join", fault)
            else:
                self._around.reached("network on a router of its project's")

    def _part(self) -> None:
        both, caller = self._both(), self._tenant.caller
        if both is None:
            return
        with self._asking.holding(*both):
            try:
                self._asking.ask("part", lambda real: real.own_routers.remove_network(caller, *both))
            except (*_REFUSED, Lost) as fault:
                self._refused("part", fault)
            else:
                self._around.reached("network off its router")

    def _lead(self) -> None:
        router, caller = self._asking.pick(self._tenant.of("router")), self._tenant.caller
        if router is None:
            return
        with self._asking.holding(router):
            try:
                change = RouterChange(led=True, pool=self._pool())
                self._asking.ask("lead", lambda real: real.own_routers.change(caller, router, change))
            except (*_REFUSED, Lost) as fault:
                self._refused("lead", fault)
            else:
                self._around.reached("router led elsewhere")

    def _pool(self) -> PoolId | None:
        """Choose a pool by its id, which a router knows its own by."""
        name = self._chance.choice(_WAYS)
        if name is None:
            return None
        caller = self._tenant.caller
        pools = self._asking.ask("pools", lambda real: real.pools.listing(caller))
        return next((pool.id for pool in pools if pool.name == name), None)

    def _delete_router(self) -> None:
        router, caller = self._asking.pick(self._tenant.of("router")), self._tenant.caller
        if router is None:
            return
        self._tenant.forget(router)
        with self._asking.holding(router):
            try:
                self._asking.ask("delete router", lambda real: real.own_routers.delete(caller, router), router)
            except (*_REFUSED, Lost) as fault:
                self._refused("delete router", fault)
                if isinstance(fault, InUse) and not self._asking.is_under_way(router):
                    self._asking.keep("router", router)
            else:
                self._around.reached("router deleted")
