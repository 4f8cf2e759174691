"""The database of a mooring that is measured, by a way of the benchmark's own: to fill it quickly, and to see what has become of launches.

`python -m bench.control_store URL` obeys `bench.control_process.obey`.
"""

import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network
from uuid import UUID

import psycopg
from prometheus_client import CollectorRegistry
from sqlalchemy import Text, create_engine, false, func, insert, or_, select, text, update

from bench.cloud import PASSWORD
from bench.control_process import eventually, obey
from bench.world import FIRST_PUBLIC, LAST_PUBLIC, OUTSIDE, POOL, ROUTER, UPLINK_INTERFACE
from mooring.bus.inprocess import InProcessBus
from mooring.config import Settings
from mooring.main.service import Foundation, build_operations
from mooring.model.accounts import Caller
from mooring.model.ids import HostId, InstanceId, NetworkId, host_id
from mooring.model.nouns import AddressRange, Instance, InstanceState
from mooring.model.subjects import HostRole
from mooring.operations import NewNetwork, NewPool
from mooring.policy.rules import NewRule
from mooring.store import SqlStore, schema
from mooring.store.postgresql import WRITERS

GROUP = "public"
"""The security group of all guests."""

IN_ONE_NETWORK = 1_000
"""So many of the existing NICs share a network: a larger one is dnsmasq's trouble, which bench.apply measures."""

_NETWORKS = 10
_BARE = "bare"
_BARE_ADDRESSES = 30_000


@dataclass(frozen=True, slots=True)
class _Pattern:
    """An instance that others are made after: itself, the networks for them, and every row that speaks of it."""

    instance: Instance
    networks: Sequence[NetworkId]
    rows: Sequence[tuple[str, Mapping[str, object]]]


class Store:
    """What the helper can be told to do."""

    def __init__(self, url: str) -> None:
        """Open the database that api and controller use."""
        self._url = url
        self._store = SqlStore(url)
        self._bus = InProcessBus()
        self._operations = build_operations(Settings(), Foundation(self._store, self._bus, CollectorRegistry()))
        self._engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:", 1))
        self._existing = 0
        self._demo = self._caller("demo")
        self._hosts: Sequence[HostId] = ()

    def set_up(self, strangers: Sequence[str]) -> object:
        """Make networks, a pool, and rows for hosts of which nothing has been heard yet."""
        admin = self._caller("admin")
        cidrs = {"private": "10.0.0.0/16"} | {f"existing-{n}": f"10.{16 + n}.0.0/16" for n in range(_NETWORKS)}
        for name, cidr in cidrs.items():
            self._operations.networks.create(admin, NewNetwork(name, IPv4Network(cidr)))
        ranges = (AddressRange(ROUTER, LAST_PUBLIC),)
        self._operations.pools.create(admin, NewPool("public", POOL, OUTSIDE, ranges, "isp", UPLINK_INTERFACE))
        # One that speaks of no group: who is in it concerns nobody else.
        group = self._operations.groups.create(self._demo, GROUP)
        self._operations.groups.add_rule(self._demo, group.id, NewRule(protocol="icmp"))
        self._hosts = [host_id(name) for name in strangers]
        if strangers:
            # No hosts for guests before they say so themselves: nobody runs them yet.
            common = {"compute": False, "gateway": False, "cluster": "default", "machine": ""}
            rows = [{**common, "id": host_id(name), "name": name} for name in strangers]
            with self._engine.begin() as connection:
                connection.execute(insert(schema.hosts), rows)
        return None

    def expect_strangers(self) -> object:
        """Say of the hosts that somebody will play now what they will say themselves: that guests can run there."""
        with self._engine.begin() as connection:
            connection.execute(select(func.pg_advisory_xact_lock(WRITERS)))
            connection.execute(update(schema.hosts).where(schema.hosts.c.id.in_(self._hosts)).values(compute=True))
        return None

    def network(self) -> object:
        """Return the id of the network for new guests."""
        return next(net.id for net in self._operations.networks.listing(self._demo) if net.name == "private")

    def fill(self, count: int, like: str) -> object:
        """See to it that so many instances exist, each with a floating IP, on the hosts that others play; wait for the gateway host.

        Their rows are copies of those of an instance that was launched and got a floating IP, whatever those are, with other names,
        addresses and hosts.  The gateway host is the only one that has still to hear of them.
        """
        pattern = self._pattern(like)
        rows: dict[str, list[Mapping[str, object]]] = defaultdict(list)
        for number in range(self._existing, count):
            others = self._others(pattern, number)
            for table, row in pattern.rows:
                made = {name: others.get(value, value) for name, value in row.items()}
                if table == schema.deliveries.name and row["role"] == HostRole.GATEWAY.value:
                    made["confirmed"] = 0
                rows[table].append(made)
        with self._engine.begin() as connection:
            connection.execute(select(func.pg_advisory_xact_lock(WRITERS)))
            for one in schema.metadata.sorted_tables:
                if rows[one.name]:
                    connection.execute(insert(one), rows[one.name])
            connection.execute(schema.address_blocks.delete())
            block = func.div(schema.addresses.c.position, schema.BLOCK)
            counted = select(schema.addresses.c.scope, block, func.count()).group_by(schema.addresses.c.scope, block)
            connection.execute(insert(schema.address_blocks).from_select(["scope", "block", "used"], counted))
        # What has come by and by has been looked at by autovacuum.
        with self._engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
        self._existing = max(count, self._existing)
        return self.wait()

    def wait(self) -> object:
        """Wait until every host holds what it should."""
        eventually(lambda: not self._operations.settlement.behind())
        return None

    def existing(self, count: int) -> object:
        """Return some existing instances with their floating IPs, each on another host as far as there are hosts."""
        return [(_id(1, number), str(FIRST_PUBLIC + number)) for number in range(min(count, self._existing))]

    def launched(self, prefix: str, count: int) -> object:
        """Wait until all instances whose names begin so are active; return how many a second that were, and how long each took.

        By the database's clock, from the moment that it was recorded to the one when it was recorded that it runs.
        """
        found: list[tuple[str, str, datetime, datetime]] = []
        statement = select(
            schema.instances.c.id, schema.instances.c.state, schema.instances.c.created, schema.instances.c.updated
        ).where(schema.instances.c.name.like(f"{prefix}-%"))

        def all_there() -> bool:
            with self._engine.connect() as connection:
                found[:] = [
                    (id, state, created, updated) for id, state, created, updated in connection.execute(statement)
                ]
            return len(found) == count and all(state != InstanceState.BUILDING.value for _, state, _, _ in found)

        eventually(all_there, every=0.05)
        failed = [id for id, state, _, _ in found if state != InstanceState.ACTIVE.value]
        if failed:
            raise RuntimeError(f"{len(failed)} of {count} launches failed")
        took = max(updated for *_, updated in found) - min(created for _, _, created, _ in found)
        return {
            "ids": [id for id, *_ in found],
            "rate": count / took.total_seconds(),
            "seconds": [(updated - created).total_seconds() for _, _, created, updated in found],
        }

    def gone(self) -> object:
        """Wait until no instance is being deleted."""
        statement = select(func.count()).where(schema.instances.c.state == InstanceState.DELETING.value)

        def none_left() -> bool:
            with self._engine.connect() as connection:
                return not connection.execute(statement).scalar_one()

        eventually(none_left, every=0.05)
        return None

    def prepare_bare(self) -> object:
        """Make a database on the same server that holds nothing but free addresses; return how to reach it."""
        given = self._url.replace("/mooring?", f"/{_BARE}?", 1)
        with psycopg.connect(self._url, autocommit=True) as ours:
            known = ours.execute("SELECT 1 FROM pg_database WHERE datname = %s", (_BARE,)).fetchone()
            if known is None:
                ours.execute(f"CREATE DATABASE {_BARE}")
        with psycopg.connect(given, autocommit=True) as bare:
            bare.execute("DROP TABLE IF EXISTS free")
            bare.execute("CREATE TABLE free (address bigint PRIMARY KEY, owner text)")
            bare.execute("INSERT INTO free SELECT generate_series(1, %s)", (_BARE_ADDRESSES,))
            bare.execute("CREATE INDEX ON free (address) WHERE owner IS NULL")
            bare.execute("VACUUM ANALYZE free")
        return given

    def _pattern(self, like: str) -> "_Pattern":
        """Read the rows that speak of an instance, its NIC, or its addresses."""
        with self._store.read() as tx:
            known = tx.instances.get(InstanceId(like))
            if known is None:
                raise RuntimeError(f"there is no instance {like}")
            networks = [net.id for net in tx.topology.networks(None) if net.name.startswith("existing-")]
        nic = known.nics[0]
        ids = (known.id, nic.id, nic.fixed[0].id, nic.floating[0].id)
        rows: list[tuple[str, Mapping[str, object]]] = []
        with self._engine.connect() as connection:
            for table in schema.metadata.sorted_tables:
                named = [column for column in table.c if isinstance(column.type, Text)]
                wanted = or_(*(column.in_((*ids, nic.mac)) for column in named), false())
                rows += [
                    (table.name, {name: value for name, value in found.items() if name != "seq"})
                    for found in connection.execute(select(table).where(wanted)).mappings()
                ]
        return _Pattern(known, networks, rows)

    def _others(self, pattern: "_Pattern", number: int) -> Mapping[object, object]:
        """Return what stands in a copy for what is the pattern's own."""
        known = pattern.instance
        nic = known.nics[0]
        part, within = divmod(number, IN_ONE_NETWORK)
        fixed = IPv4Address(f"10.{16 + part % _NETWORKS}.1.0") + within
        floating = FIRST_PUBLIC + number
        return {
            known.id: _id(1, number),
            known.name: f"existing-{number}",
            known.host: self._hosts[number % len(self._hosts)],
            nic.id: _id(2, number),
            nic.mac: f"fa:16:3f:{number >> 16:02x}:{number >> 8 & 0xFF:02x}:{number & 0xFF:02x}",
            nic.network: pattern.networks[part % len(pattern.networks)],
            nic.fixed[0].id: _id(3, number),
            str(nic.fixed[0].address): str(fixed),
            int(nic.fixed[0].address): int(fixed),
            nic.floating[0].id: _id(4, number),
            str(nic.floating[0].address): str(floating),
            int(nic.floating[0].address): int(floating),
        }

    def _caller(self, user: str) -> Caller:
        token = self._operations.identity.log_in(user=user, user_id=None, password=PASSWORD, project=user)
        return self._operations.identity.caller(token.secret, "req-bench")


def _id(kind: int, number: int) -> str:
    # Devices are named by the first 11 digits: what tells one from another has to be there.
    return str(UUID(int=(0xB0 | kind) << 120 | number << 88 | 0x4000_8000_0000_0000_0000 | number))


if __name__ == "__main__":
    obey(Store(sys.argv[1]))
