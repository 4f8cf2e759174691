"""What a change costs, counted in SQLite's own instructions: no clock, so no noise, and the same on every machine.

Each story runs with 300 guests in the database and with some 6,000.  A statement that reads rows in proportion shows at once, whatever
EXPLAIN says of it.
"""

import re
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import event, insert

from mooring.model.events import Action, Event, EventChoice
from mooring.model.groups import GroupRule
from mooring.model.ids import AddressId, ForwardingId, GroupId, NetworkId, NicId, RuleId, SubnetPoolId
from mooring.model.nouns import InstanceState, OwnNic, PortForwarding, Power, Resource
from mooring.model.own import BareNetwork, SubnetPool
from mooring.model.records import AddressRow, FloatingChoice, NicRow, Remembered
from mooring.model.subjects import Direction, HostRole, Report, SubjectKey, SubjectKind, Transport
from mooring.operations.interfaces import Transaction
from mooring.store import Options, SqlStore, schema
from tests.store.world import START, Town, World

# The same place in a block, so that the search inside of it is the same.
FEW, MANY = 300, 300 + 22 * schema.BLOCK
WIDE = "10.0.0.0/8"
CROWD = GroupId("crowd")
FIXED, PUBLIC, ALLOWED = IPv4Address("10.0.16.0"), IPv4Address("198.18.0.16"), IPv4Address("172.16.0.0")
DOMAIN = "example.org"


def fill(town: Town, store: SqlStore, number: int) -> None:
    """Put guests with a fixed and a floating IP each in place, side by side, all of it confirmed by one host.

    They are all in one security group with a rule about its own members.
    """
    ids = [[str(UUID(int=kind << 64 | guest)) for kind in range(1, 5)] for guest in range(number)]
    macs = [f"06:00:00:{guest >> 16:02x}:{guest >> 8 & 255:02x}:{guest & 255:02x}" for guest in range(number)]
    common = {"project": None, "pool": None, "network": None, "nic": None, "releasing": False}
    rows: dict[str, list[Mapping[str, object]]] = defaultdict(list)
    rows["security_groups"].append(
        {"id": CROWD, "project": town.project.id, "name": "crowd", "description": "", "number": 7}
        | {"rules": 1, "members": number},
    )
    rows["security_group_rules"].append(
        {"id": "rule", "group_id": CROWD, "direction": "ingress", "family": 4, "remote": CROWD, "meaning": "members"},
    )
    seat = {"slot": 1, "position": 1, "automatic": False}
    rows["pool_shares"].append({"pool": town.pool.id, "project": town.project.id, "used": number, "ceiling": -1})
    confirmed = {"host": town.host.id, "confirmed": 2, "present": True, "failed": 0, "error": None, "generation": 2}
    rows["dns_domains"].append({"name": DOMAIN, "scope": "public", "project": None})
    rows["generations"].append({"kind": "group", "subject": CROWD, "generation": 2})
    rows["deliveries"].append(confirmed | {"kind": "group", "subject": CROWD, "role": "compute"})
    for guest, (instance, nic, fixed, floating) in enumerate(ids):
        rows["macs"].append({"mac": macs[guest]})
        rows["instances"].append(
            {
                "id": instance,
                "name": f"vm-{guest}",
                "project": town.project.id,
                "user_id": town.user.id,
                "state": "active",
            }
            | {"image": "i", "flavor": "f", "host": town.host.id, "created": START, "updated": START},
        )
        rows["nics"].append(
            {"id": nic, "instance": instance, "network": town.network.id, "mac": macs[guest], "position": 0}
            | {"filtered": True},
        )
        rows["nic_groups"].append({"nic": nic, "group_id": CROWD})
        for kind, scope, id_, address, named in (
            ("fixed", town.network.id, fixed, FIXED + guest, {"network": town.network.id, "nic": nic}),
            ("floating", "public", floating, PUBLIC + guest, {"project": town.project.id, "pool": town.pool.id}),
        ):
            place = {"scope": scope, "address": str(address), "position": int(address)}
            rows["addresses"].append({**common, **named, **place, "id": id_, "kind": kind})
        rows["associations"].append({"floating": floating, "fixed": fixed, "pool": town.pool.id, **seat})
        ports = {"protocol": "tcp", "first": 22, "last": 22, "goal": 22, "description": ""}
        own = {"project": town.project.id}
        rows["port_forwardings"].append({**own, "id": f"port-{guest}", "floating": floating, "fixed": fixed, **ports})
        allowed = {"network": town.network.id, "address": str(ALLOWED + guest)}
        rows["claims"].append({**allowed, **own, "own": None})
        rows["allowances"].append(
            {**allowed, "nic": nic, "family": 4, "prefix": f"{ALLOWED + guest}/32", "place": 0, "leaving": None}
        )
        rows["dns_entries"].append({"domain": DOMAIN, "name": f"vm-{guest}", "address": floating})
        rows["events"].append(
            {**own, "at": START, "action": "instance.create", "object": instance, "user": town.user.id}
            | {"user_name": "alice", "request_id": "-", "about": "{}"},
        )
        rows["generations"].append({"kind": "nic", "subject": nic, "generation": 2})
        rows["deliveries"] += [
            confirmed | {"kind": "nic", "subject": nic, "role": role.value}
            for role in (HostRole.COMPUTE, HostRole.GATEWAY, HostRole.MEMBER)
        ]
    blocks: dict[tuple[object, int], int] = defaultdict(int)
    with store._writer.connect() as connection, connection.begin():
        for table, values in rows.items():
            connection.execute(insert(schema.metadata.tables[table]), values)
        for scope, position in connection.exec_driver_sql("SELECT scope, position FROM addresses"):
            blocks[scope, position // schema.BLOCK] += 1
        connection.execute(schema.address_blocks.delete())
        values = [{"scope": scope, "block": block, "used": used} for (scope, block), used in blocks.items()]
        connection.execute(insert(schema.address_blocks), values)


@dataclass
class Meter:
    """Counts the instructions of each statement, and keeps the statements to be explained."""

    steps: int = 0
    seen: dict[str, object] = field(default_factory=dict)

    def attach(self, store: SqlStore) -> None:
        for engine in (store._writer, store._readers):
            event.listen(engine, "connect", self._connected)
            event.listen(engine, "before_cursor_execute", self._executed)
        store.close()

    def _connected(self, connection: sqlite3.Connection, _record: object) -> None:
        def tick() -> int:
            self.steps += 1
            return 0

        connection.set_progress_handler(tick, 1)

    def _executed(self, _connection, _cursor, statement, parameters, *_rest) -> None:
        self.seen[statement] = parameters


@dataclass
class Story:
    """A life: a guest is launched, gets a floating IP, loses it, and goes."""

    town: Town
    idempotency_key: str = "key"
    nic: NicRow | None = None
    fixed: AddressRow | None = None
    floating: AddressRow | None = None

    @property
    def key(self) -> SubjectKey:
        assert self.nic
        return SubjectKey(SubjectKind.NIC, self.nic.id)

    def launch(self, tx: Transaction) -> None:
        town, world = self.town, self.town.world
        tx.quotas.take(town.project.id, Resource.INSTANCES)
        instance = world.instance(tx, town.project, town.user, "new")
        self.nic = NicRow(NicId(world.id()), instance, town.network.id, world.mac(), 0, filtered=True)
        tx.instances.add_nic(self.nic)
        tx.instances.get(instance)
        tx.instances.assign(instance, town.host.id)
        tx.instances.nics(instance)
        tx.instances.nic(self.nic.id)

    def allocate_fixed(self, tx: Transaction) -> None:
        assert self.nic
        network = self.town.network
        gap = tx.addresses.first_gap(network.id, FIXED, network.cidr[-2])
        assert gap
        self.fixed = self.town.world.fixed(tx, self.nic, str(gap))
        tx.addresses.set_cursor(network.id, gap)
        tx.addresses.fixed_of_nic(self.nic.id)
        tx.addresses.find(network.id, gap)

    def allocate_floating(self, tx: Transaction) -> None:
        town = self.town
        tx.memory.recall(town.project.id, self.idempotency_key)
        tx.quotas.take(town.project.id, Resource.FLOATING_IPS)
        assert tx.pools.granted(town.project.id) == frozenset()
        assert tx.pools.take(town.pool.id, town.project.id)
        tx.addresses.cursor(town.pool.id)
        gap = tx.addresses.first_gap("public", PUBLIC, PUBLIC + 1_000_000)
        assert gap
        self.floating = town.floating(tx, str(gap))
        tx.addresses.set_cursor(town.pool.id, gap)
        tx.addresses.floating(town.project.id, self.floating.id)
        tx.addresses.floating_by_address(gap)
        tx.memory.remember(town.project.id, self.idempotency_key, Remembered("a", self.floating.id))

    def associate(self, tx: Transaction) -> None:
        assert self.floating
        assert self.fixed
        tx.addresses.associate(self.floating.id, self.fixed.id, self.town.pool.id)
        for role in (HostRole.COMPUTE, HostRole.GATEWAY):
            tx.deliveries.place(self.key, self.town.host.id, role)
        tx.deliveries.publish(self.key)
        tx.addresses.floating_of_fixed(self.fixed.id)
        tx.addresses.automatic_of_fixed(self.fixed.id)
        tx.addresses.floating(self.town.project.id, self.floating.id)

    def join_group(self, tx: Transaction) -> None:
        assert self.nic
        host = self.town.host.id
        assert tx.groups.join(self.nic.id, CROWD, -1)
        assert tx.groups.reach(host, [CROWD]) == (frozenset(), frozenset())
        assert tx.groups.follow(self.nic.id) == frozenset()
        tx.deliveries.publish(self.key)
        assert tx.groups.lagging([CROWD], [host])
        assert HostRole.MEMBER in {role for _, role in tx.deliveries.hosts(self.key)}

    def change_rules(self, tx: Transaction) -> None:
        town = self.town
        rule = GroupRule(RuleId(town.world.id()), CROWD, Direction.INGRESS, 4, 6, 22, 22, remote=CROWD)
        assert tx.quotas.get(town.project.id, Resource.SECURITY_GROUP_RULES).used == 1
        assert tx.groups.find(town.project.id, "crowd")
        assert tx.groups.add_rule(rule, -1)
        assert tx.groups.refers(CROWD, CROWD) == 2
        tx.deliveries.publish(SubjectKey(SubjectKind.GROUP, CROWD))
        assert tx.groups.rule(rule.id)
        assert tx.groups.delete_rule(rule.id)
        tx.groups.users(CROWD, 0)
        tx.groups.referrers(CROWD, 3)

    def leave_group(self, tx: Transaction) -> None:
        assert self.nic
        assert tx.groups.leave(self.nic.id, CROWD)
        tx.groups.reach(self.town.host.id, [CROWD])
        assert tx.groups.follow(self.nic.id) == {self.town.host.id}
        tx.deliveries.publish(self.key)
        for entry in tx.deliveries.digest_of(self.key):
            tx.deliveries.confirm(self.town.host.id, Report(self.key, entry.role, entry.generation))

    def pull(self, tx: Transaction) -> None:
        host = self.town.host.id
        assert tx.deliveries.pending(host, [self.key]) == tx.deliveries.pending(host, None)

    def look(self, tx: Transaction) -> None:
        tx.deliveries.behind()
        tx.deliveries.errors()
        tx.deliveries.errors(self.town.host.id)
        tx.deliveries.digest_of(self.key)
        tx.deliveries.unconfirmed(self.key, 2)
        tx.instances.stale({InstanceState.BUILDING}, START)

    def report(self, tx: Transaction) -> None:
        assert self.nic
        for role in (HostRole.COMPUTE, HostRole.GATEWAY):
            assert tx.deliveries.confirm(self.town.host.id, Report(self.key, role, 2, "trouble"))
            assert tx.deliveries.confirm(self.town.host.id, Report(self.key, role, 2))
        tx.addresses.releasing(self.nic.id)

    def list_floating(self, tx: Transaction) -> None:
        assert self.floating
        assert self.nic
        project = self.town.project.id
        for choice in (
            FloatingChoice(addresses=(self.floating.address,)),
            FloatingChoice(ids=(self.floating.id, "none")),
            FloatingChoice(nics=(self.nic.id,)),
            FloatingChoice(until=self.floating.id, limit=3),
            FloatingChoice(limit=3),
        ):
            assert [len(piece) for piece in tx.addresses.walk_floating_ips(project, choice)] == [choice.limit or 1]
        assert not list(tx.addresses.walk_floating_ips(project, FloatingChoice(after=self.floating.id, limit=3)))

    def forward(self, tx: Transaction) -> None:
        """Lead a port of another floating IP to the guest, let it be otherwise, and take it back."""
        assert self.nic
        assert self.fixed
        public = self.town.floating(tx, "198.51.100.99")
        forwarding = PortForwarding(
            ForwardingId(self.town.world.id()),
            self.town.project.id,
            public.id,
            public.address,
            Transport.TCP,
            *(22, 22, 22),
            self.fixed.address,
            self.nic.id,
            self.nic.instance,
            self.nic.network,
        )
        tx.forwardings.add(forwarding, self.fixed.id)
        assert tx.forwardings.get(forwarding.id) == forwarding
        changed = replace(forwarding, first=2222, last=2222)
        tx.forwardings.change(changed, self.fixed.id)
        assert tx.forwardings.of_floating([public.id]) == tx.forwardings.of_nic(self.nic.id) == [changed]
        generation, _ = tx.deliveries.publish(self.key)
        tx.addresses.linger(public.id, self.nic.id, generation)
        tx.addresses.heirs(self.nic.id)
        assert tx.forwardings.delete(forwarding.id)
        tx.addresses.release(public.id)
        tx.addresses.free(public.id)

    def allow(self, tx: Transaction) -> None:
        """Let the guest use an address beside its own, and give that back when its hosts let go."""
        assert self.nic
        network, wanted = self.nic.network, IPv4Network("192.168.77.7")
        assert tx.allowances.claim(network, wanted.network_address, self.town.project.id, None)
        tx.allowances.add(self.nic, wanted)
        assert tx.allowances.sharers(self.nic.id) == []
        generation, _ = tx.deliveries.publish(self.key)
        tx.allowances.leave(self.nic.id, [wanted], generation)
        assert tx.allowances.leaving(self.nic.id) == 1
        tx.allowances.confirmed(self.nic.id)
        tx.allowances.forget(self.nic.id)

    def name(self, tx: Transaction) -> None:
        """Give the floating IP a name."""
        assert self.floating
        tx.names.put_entry(DOMAIN, "new", self.floating.id)
        assert tx.names.zone_of(["new.example.org", DOMAIN]) == tx.names.domain(DOMAIN)
        assert [tx.names.entry(DOMAIN, "new")] == tx.names.of_address(self.floating.id)
        assert tx.names.is_used(DOMAIN)
        assert tx.names.delete_entry(DOMAIN, "new")
        tx.names.forget(self.floating.id)

    def note(self, tx: Transaction) -> None:
        """Note what was done, read the newest of it, and forget what is too old."""
        assert self.nic
        mine = self.nic.instance
        assert mine
        tx.events.add(Event(Action.INSTANCE_CREATE, mine, self.town.project.id, self.town.user.id, "alice", "-", {}))
        (newest,) = tx.events.list(self.town.project.id, EventChoice(object=mine, limit=3))
        assert newest == tx.events.list(self.town.project.id, EventChoice(limit=3))[0]
        assert tx.events.list(self.town.project.id, EventChoice(before=newest.number, limit=3))
        assert tx.events.forget(START - timedelta(days=1), 3) == 0
        assert tx.memory.forget(START - timedelta(days=1), 3) == 0

    def turn(self, tx: Transaction) -> None:
        """Take the card from the guest, and stop it."""
        assert self.nic
        assert self.nic.instance
        tx.instances.turn(self.nic.instance, {Power.RUNNING}, Power.STOPPING)
        tx.instances.leave(self.nic.id)

    def make_own(self, tx: Transaction) -> None:
        """Make what projects make, and take it away."""
        project, id_ = self.town.project.id, self.town.world.id
        prefix = IPv4Network("10.0.0.0/8")
        pool = SubnetPool(SubnetPoolId(id_()), "mine", project, (prefix,), 24, 24, 28)
        tx.own.add_pool(pool)
        assert tx.own.prefixes_of_pool(pool.id) == []
        tx.own.delete_pool(pool.id)
        bare = BareNetwork(NetworkId(id_()), "web", project)
        tx.own.add_bare(bare)
        assert tx.own.bares(project) == [bare]
        assert tx.own.delete_bare(bare.id)

    def make_card(self, tx: Transaction) -> None:
        """Make a card in no instance, put it into the guest, and take it away."""
        assert self.nic
        assert self.nic.instance
        card = NicRow(NicId(self.town.world.id()), None, self.town.network.id, self.town.world.mac(), 0)
        tx.instances.add_nic(card)
        tx.cards.own(card.id, OwnNic(self.town.project.id, "mine"))
        tx.cards.describe(card.id, OwnNic(self.town.project.id, "yours"))
        assert tx.cards.plug(card.id, self.nic.instance, 7)
        assert tx.cards.get(card.id) is None
        assert tx.cards.unplug(card.id)
        assert tx.cards.get(card.id)
        assert len(tx.cards.list(self.town.project.id)) == 1
        tx.instances.delete_nic(card.id)

    def release(self, tx: Transaction) -> None:
        assert self.floating
        assert self.nic
        tx.addresses.disassociate(self.floating.id)
        generation, _ = tx.deliveries.publish(self.key)
        tx.addresses.linger(self.floating.id, self.nic.id, generation)
        tx.addresses.release(self.floating.id)
        tx.quotas.give(self.town.project.id, Resource.FLOATING_IPS)
        tx.pools.give(self.town.pool.id, self.town.project.id)
        tx.addresses.get(self.floating.id)

    def delete(self, tx: Transaction) -> None:
        assert self.nic
        assert self.fixed
        assert self.floating
        instance = self.nic.instance
        assert instance
        tx.instances.move(instance, set(InstanceState), InstanceState.DELETING)
        generation, _ = tx.deliveries.withdraw(self.key)
        tx.addresses.linger(self.fixed.id, self.nic.id, generation)
        tx.addresses.release(self.fixed.id)
        for role in (HostRole.COMPUTE, HostRole.GATEWAY):
            assert tx.deliveries.confirm(self.town.host.id, Report(self.key, role, generation))
        assert len(tx.addresses.releasing(self.nic.id)) == 2
        for address in (self.fixed.id, self.floating.id):
            tx.addresses.free(AddressId(address))
        tx.instances.delete_nic(self.nic.id)
        tx.instances.delete(instance)

    def administer(self, tx: Transaction) -> None:
        town, world = self.town, self.town.world
        network = world.network(tx, town.router, "192.168.0.0/24")
        tx.topology.delete_network(network.id)
        pool = world.pool(tx, town.uplink, "203.0.113.0/24")
        tx.topology.pool_usage(pool.id)
        tx.pools.grant(pool.id, town.project.id)
        tx.pools.limit(pool.id, town.project.id, 3)
        assert tx.pools.share(pool.id, town.project).limit == 3
        assert tx.pools.first_day(pool.id) is None
        # Of the pool that guests have addresses of: to watch it may not cost more because they are many.
        tx.pools.counts(town.pool.id)
        assert tx.pools.days(pool.id, START.date()) == []
        assert tx.pools.withdraw(pool.id, town.project.id)
        tx.topology.delete_pool(pool.id)
        tx.topology.router_address(town.router.id, town.uplink.id)
        tx.topology.networks(town.project.id)
        tx.topology.routers()

    def chapters(self) -> list[Callable[[Transaction], None]]:
        return [
            self.launch,
            self.allocate_fixed,
            self.allocate_floating,
            self.associate,
            self.pull,
            self.look,
            self.report,
            self.forward,
            self.allow,
            self.name,
            self.note,
            self.make_own,
            self.make_card,
            self.list_floating,
            self.release,
            self.join_group,
            self.change_rules,
            self.leave_group,
            self.turn,
            self.delete,
            self.administer,
        ]


@dataclass
class Bill:
    """What each chapter cost at one size, and every statement of it."""

    steps: dict[str, int]
    plans: dict[str, list[str]]


def tell(path: Path, guests: int) -> Bill:
    store = SqlStore(f"sqlite:///{path}", Options(durable=False))
    world = World(store)
    town = Town.build(world, WIDE)
    with store.write() as tx:
        for resource in Resource:
            tx.quotas.set(town.project.id, resource, -1)
    fill(town, store, guests)
    meter = Meter()
    meter.attach(store)
    story = Story(town)
    steps = {}
    for chapter in story.chapters():
        with store.write() as tx:
            before = meter.steps
            chapter(tx)
            steps[chapter.__name__] = meter.steps - before
    store.close()
    return Bill(steps, dict(explain(path, meter.seen)))


def explain(path: Path, statements: dict[str, object]) -> Iterator[tuple[str, list[str]]]:
    connection = sqlite3.connect(path)
    for statement, parameters in statements.items():
        if re.match(r"SELECT|INSERT|UPDATE|DELETE", statement):
            rows = connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)  # type: ignore[arg-type]
            yield statement, [row[3] for row in rows]
    connection.close()


@pytest.fixture(scope="module")
def bills(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Bill]:
    folder = tmp_path_factory.mktemp("cost")
    return {guests: tell(folder / f"{guests}.db", guests) for guests in (FEW, MANY)}


def test_a_change_costs_the_same_however_much_there_is(bills: dict[int, Bill]):
    few, many = bills[FEW].steps, bills[MANY].steps
    # A search from the start of a full range skips whole blocks: about one step for each 12 addresses.
    allowed = dict.fromkeys(few, 10) | dict.fromkeys(("allocate_fixed", "allocate_floating"), (MANY - FEW) // 10)
    grown = {name: (few[name], many[name]) for name in few if many[name] > few[name] + allowed[name]}
    assert grown == {}
    assert min(few.values()) > 50, "nothing was counted"


# These hold what is unfinished, or what an installation has a handful of.
SMALL = re.compile(
    r"SCAN (\(?SELECT|CONSTANT ROW|networks|routers|pools|pool_ranges|uplinks|hosts|router_uplinks|"
    r"deliveries USING (COVERING )?INDEX ix_deliveries_(behind|failed))",
)


def test_no_statement_of_a_change_reads_a_whole_table(bills: dict[int, Bill]):
    plans = bills[MANY].plans
    scans = {
        statement: plan
        for statement, plan in plans.items()
        if any(line.startswith("SCAN") and not SMALL.match(line) for line in plan)
    }
    assert scans == {}
    assert len(plans) > 60, "too few statements were explained"
