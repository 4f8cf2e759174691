"""Networks that projects get on first use, from the call to the packet: two hosts on one cable, two projects with the same addresses.

The operations are the real ones on a real database, the hosts' kernels are real, and what lies between is this test: it pulls for each
host what it has not confirmed, makes it true, and reports.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from mooring.model.accounts import Caller
from mooring.model.ids import HostId, InstanceId, RouterId, router_namespace
from mooring.model.nouns import AddressRange, Instance, InstanceState, Network, NetworkKind
from mooring.model.subjects import HostRole, NicIntent, Placement, Report, SubjectKey
from mooring.operations import Door, Limits, NewInstance, NewPool, Operations
from mooring.operations.door import FirstNetwork
from mooring.operations.hosts import HostLinks
from mooring.store.engine import Options, SqlStore
from tests.backends.linux.hosts import ISP, Hosts, lease
from tests.cloud import ACCOUNTS, FLAVORS, IMAGES, PASSWORDS, WallClock
from tests.strategies import SEGMENT, provider

pytestmark = pytest.mark.kernel

FIRST = IPv4Network("10.0.0.0/24")
POOL = AddressRange(ISP + 9, ISP + 39)
TAGS, TUNNELS = range(100, 110), range(5000, 5010)


@dataclass
class Couple:
    """Two hosts as their operations see them; a bell that is rung is heard when somebody waits."""

    hosts: Hosts
    operations: Operations = field(init=False)
    ids: list[HostId] = field(default_factory=list)
    held: list[dict[tuple[SubjectKey, HostRole], Placement]] = field(default_factory=lambda: [{}, {}])
    launches: deque[InstanceId] = field(default_factory=deque)

    def wake(self, hosts: Iterable[HostId]) -> None:
        """Hear nothing: `turn` asks for both."""

    def launch(self, instance: InstanceId) -> None:
        self.launches.append(instance)

    def settled(self) -> None:
        """Tell nobody: who waits turns himself."""

    def wait_settled(self, done: Callable[[], bool], timeout: float) -> bool:
        while not done():
            if not self.turn():
                return False
        return True

    def turn(self) -> bool:
        """Launch what waits, and let each host make true what it lacks; return whether there was anything."""
        busy = bool(self.launches)
        while self.launches:
            instance = self.launches.popleft()
            host = self.operations.launches.schedule(instance)
            assert host is not None
            self.operations.launches.set_up_network(host, instance)
            self.operations.launches.allocate_fixed_ips(host, instance)
        for number, host in enumerate(self.ids):
            pulled = self.operations.settlement.pull(host, None)
            if not pulled:
                continue
            busy, held = True, self.held[number]
            for placed in pulled:
                held.pop((placed.key, placed.role), None)
                if placed.subject is not None:
                    held[placed.key, placed.role] = placed
            self.hosts.settle(number, [(it.subject, role) for (_, role), it in held.items() if it.subject is not None])
            self.operations.settlement.report(host, [Report(it.key, it.role, it.generation) for it in pulled])
        return busy

    def join(self, operations: Operations, kind: NetworkKind) -> None:
        self.operations = operations
        for number in range(2):
            tunnel = self.hosts.endpoint(number) if kind is NetworkKind.VXLAN else None
            tagged = SEGMENT if kind is NetworkKind.VLAN else None
            links = HostLinks(endpoint=tunnel, vlan_interface=tagged)
            joined = operations.hosts.register(f"host-{number}", compute=True, gateway=not number, links=links)
            self.ids.append(joined.id)

    # ------------------------------------------------------------------------------------------------------- tenants

    def caller(self, user: str) -> Caller:
        project = next(account.project for account in ACCOUNTS if account.user == user)
        log_in = self.operations.identity.log_in
        token = log_in(user=user, user_id=None, password=PASSWORDS[user], project=project)
        return self.operations.identity.caller(token.secret, "req-journey")

    def boot(self, caller: Caller, name: str) -> "Guest":
        made = self.operations.instances.create(caller, NewInstance(name, IMAGES[0].id, FLAVORS[0].id))
        while self.turn():
            pass
        known = self.operations.instances.get(caller, made.id)
        assert known.state is InstanceState.ACTIVE, known.fault
        assert known.host is not None
        return self._plug(known, self.ids.index(known.host))

    def _plug(self, instance: Instance, host: int) -> "Guest":
        ((address,),) = ([fixed.address for fixed in nic.fixed] for nic in instance.nics)
        (intent,) = (
            placed.subject
            for (_, role), placed in self.held[host].items()
            if role is HostRole.COMPUTE
            and isinstance(placed.subject, NicIntent)
            and placed.subject.id == instance.nics[0].id
        )
        name = self.hosts.guest(host, intent)
        assert f"{address} by {FIRST.network_address + 1}" in lease(self.hosts, name)
        return Guest(name, host, address)


@dataclass(frozen=True)
class Guest:
    """A guest's namespace, its host's number, and the address that it took."""

    name: str
    host: int
    address: IPv4Address


@contextmanager
def couple(run: Path, kind: NetworkKind) -> Generator[Couple]:
    hosts = Hosts(run, 2)
    store = SqlStore.open(f"sqlite:///{run}/mooring.db", Options(durable=False))
    try:
        made = Couple(hosts)
        limits = Limits(vlans=TAGS, vxlans=TUNNELS, first_network=FirstNetwork(kind, FIRST), liveness=86400)
        operations = Operations(Door(store, made, WallClock(), limits, IMAGES, FLAVORS))
        operations.bootstrap.prepare(ACCOUNTS)
        made.join(operations, kind)
        pool = NewPool("public", provider(0), ISP, (POOL,), "isp", "ext0")
        operations.pools.create(made.caller("root"), pool)
        yield made
    finally:
        store.close()
        hosts.close()


@pytest.mark.parametrize(
    "kind, segments",
    [
        pytest.param(NetworkKind.VLAN, TAGS, marks=pytest.mark.vm),
        (NetworkKind.VXLAN, TUNNELS),
    ],
)
def test_projects_get_a_segment_on_first_use_and_stay_apart(tmp_path: Path, kind: NetworkKind, segments: range) -> None:
    tmp_path.chmod(0o755)
    run = Path("/run") / tmp_path.name
    run.mkdir()
    run.chmod(0o755)
    with couple(run, kind) as made:
        root, alice, bob = (made.caller(user) for user in ("root", "alice", "bob"))
        assert made.operations.networks.listing(root) == []
        red = [made.boot(alice, f"red-{number}") for number in range(2)]
        blue = [made.boot(bob, f"blue-{number}") for number in range(3)]
        networks: list[Network] = list(made.operations.networks.listing(root))
        assert [network.segment for network in networks] == list(segments[:2])
        assert [(network.kind, network.cidr) for network in networks] == [(kind, FIRST)] * 2
        assert len({network.router for network in networks}) == 2
        for guests in (red, blue):
            one, other = guests[:2]
            assert {one.host, other.host} == {0, 1}
            for sender, receiver in ((one, other), (other, one)):
                assert made.hosts.ask(sender.name, receiver.address) == (receiver.name, str(sender.address))
                ping = f"ping -c2 -i0.3 -W2 {receiver.address}"
                assert "2 received" in made.hosts.labs[0].at(sender.name, *ping.split())
            assert "1 received" in made.hosts.labs[0].at(one.name, *f"ping -c1 -W2 {FIRST.network_address + 1}".split())
        # The same addresses in both; and one that only blue has, on the same cable.
        assert [guest.address for guest in red] == [guest.address for guest in blue[:2]]
        assert made.hosts.ask(blue[0].name, blue[2].address) == (blue[2].name, str(blue[0].address))
        for guest in red:
            assert made.hosts.ask(guest.name, blue[2].address) is None
        for network in networks:
            assert network.router is not None
            assert made.hosts.labs[0].ip(router_namespace(RouterId(network.router)), "-o link")
