"""A small cloud to test a store with: one of everything, and more on request."""

import itertools
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv4Network
from typing import Any
from uuid import UUID

from mooring.model.accounts import Project, User
from mooring.model.ids import (
    AddressId,
    HostId,
    InstanceId,
    NetworkId,
    NicId,
    PoolId,
    ProjectId,
    RouterId,
    UplinkId,
    UserId,
)
from mooring.model.nouns import AddressKind, AddressPool, AddressRange, Host, Network, NetworkKind, Uplink
from mooring.model.records import AddressRow, Credentials, InstanceRow, NicRow, RouterRow
from mooring.model.subjects import SubjectKey, SubjectKind
from mooring.operations.interfaces import Store, Transaction

START = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


@dataclass
class Watch:
    """A clock that goes when it is told to."""

    moment: datetime = START

    def __call__(self) -> datetime:
        return self.moment

    def tick(self, seconds: float = 1) -> datetime:
        self.moment += timedelta(seconds=seconds)
        return self.moment


@dataclass
class World:
    """Makes rows.  Ids and MAC addresses count upwards, so that a failure reads the same each time."""

    store: Store
    watch: Watch = field(default_factory=Watch)
    _ids: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def id(self) -> str:
        return str(UUID(int=next(self._ids)))

    def mac(self) -> str:
        return "02:00:" + ":".join(f"{byte:02x}" for byte in next(self._ids).to_bytes(4, "big"))

    def project(self, tx: Transaction, name: str | None = None) -> Project:
        made = Project(ProjectId(self.id()), name or f"project-{next(self._ids)}")
        tx.identities.add_project(made)
        return made

    def user(self, tx: Transaction, name: str | None = None, *, enabled: bool = True) -> User:
        made = User(UserId(self.id()), name or f"user-{next(self._ids)}", enabled)
        tx.identities.add_user(Credentials(made, "hash"))
        return made

    def host(self, tx: Transaction, name: str | None = None, **others: Any) -> Host:
        made = Host(HostId(self.id()), name or f"host-{next(self._ids)}", compute=True, gateway=True, **others)
        tx.topology.add_host(made)
        return made

    def uplink(self, tx: Transaction, name: str | None = None) -> Uplink:
        made = Uplink(UplinkId(self.id()), name or f"uplink-{next(self._ids)}", "eth1")
        tx.topology.add_uplink(made)
        return made

    def pool(
        self,
        tx: Transaction,
        uplink: Uplink,
        cidr: str = "198.51.100.0/24",
        *ranges: str,
        name: str | None = None,
    ) -> AddressPool:
        net = IPv4Network(cidr)
        parts = [part.split("-") for part in ranges] or [[str(net[10]), str(net[-2])]]
        made = AddressPool(
            id=PoolId(self.id()),
            name=name or f"pool-{next(self._ids)}",
            uplink=uplink.id,
            cidr=net,
            gateway=net[1],
            ranges=tuple(AddressRange(IPv4Address(first), IPv4Address(last)) for first, last in parts),
        )
        tx.topology.add_pool(made)
        return made

    def router(self, tx: Transaction, name: str = "shared", project: Project | None = None) -> RouterRow:
        """Make the router that all share, or a project's own."""
        made = RouterRow(RouterId(self.id()), name, project.id if project else None, None, private=project is not None)
        tx.topology.add_router(made)
        return made

    def network(
        self,
        tx: Transaction,
        router: RouterRow | None,
        cidr: str = "10.0.0.0/16",
        *,
        project: Project | None = None,
        kind: NetworkKind = NetworkKind.FLAT_DHCP,
        **others: Any,
    ) -> Network:
        net = IPv4Network(cidr)
        made = Network(
            id=NetworkId(self.id()),
            name=f"net-{next(self._ids)}",
            kind=kind,
            project=project.id if project else None,
            router=router.id if router else None,
            cidr=net,
            gateway=net[1],
            dns=(IPv4Address("9.9.9.9"), IPv4Address("1.1.1.1")),
            **{"mtu": 1500, **others},
        )
        tx.topology.add_network(made, self.mac())
        return made

    def instance(self, tx: Transaction, project: Project, user: User, name: str = "web") -> InstanceId:
        row = InstanceRow(InstanceId(self.id()), name, project.id, user.id, "image", "flavor", self.watch())
        tx.instances.add(row)
        return row.id

    def nic(self, tx: Transaction, instance: InstanceId, network: Network, position: int = 0) -> NicRow:
        row = NicRow(NicId(self.id()), instance, network.id, self.mac(), position)
        tx.instances.add_nic(row)
        return row

    def fixed(self, tx: Transaction, nic: NicRow, address: str) -> AddressRow:
        row = AddressRow(
            AddressId(self.id()),
            nic.network,
            IPv4Address(address),
            AddressKind.FIXED,
            network=nic.network,
            nic=nic.id,
        )
        assert tx.addresses.take(row)
        return row

    def floating(self, tx: Transaction, project: Project, pool: AddressPool, address: str) -> AddressRow:
        row = AddressRow(
            AddressId(self.id()),
            "public",
            IPv4Address(address),
            AddressKind.FLOATING,
            project=project.id,
            pool=pool.id,
        )
        assert tx.addresses.take(row)
        return row

    def connect(self, tx: Transaction, router: RouterRow, pool: AddressPool, address: str) -> AddressRow:
        """Give a router an address of its own on a pool's uplink."""
        row = AddressRow(AddressId(self.id()), "public", IPv4Address(address), AddressKind.ROUTER, pool=pool.id)
        assert tx.addresses.take(row)
        tx.topology.add_router_uplink(router.id, pool.uplink, self.mac(), row.id)
        return row


@dataclass
class Town:
    """One of everything: a project with a guest on a network behind a router with a way out."""

    world: World
    project: Project
    user: User
    host: Host
    uplink: Uplink
    pool: AddressPool
    router: RouterRow
    own: AddressRow
    network: Network
    instance: InstanceId
    nic: NicRow
    fixed: AddressRow

    @classmethod
    def build(cls, world: World, cidr: str = "10.0.0.0/16") -> "Town":
        with world.store.write() as tx:
            project, user, host, uplink = world.project(tx), world.user(tx), world.host(tx), world.uplink(tx)
            pool, router = world.pool(tx, uplink), world.router(tx)
            own = world.connect(tx, router, pool, "198.51.100.10")
            network = world.network(tx, router, cidr)
            instance = world.instance(tx, project, user)
            nic = world.nic(tx, instance, network)
            fixed = world.fixed(tx, nic, "10.0.0.2")
        return cls(world, project, user, host, uplink, pool, router, own, network, instance, nic, fixed)

    @property
    def nic_key(self) -> SubjectKey:
        return SubjectKey(SubjectKind.NIC, self.nic.id)

    @property
    def network_key(self) -> SubjectKey:
        return SubjectKey(SubjectKind.NETWORK, self.network.id)

    @property
    def router_key(self) -> SubjectKey:
        return SubjectKey(SubjectKind.ROUTER, self.router.id)

    @property
    def instance_key(self) -> SubjectKey:
        return SubjectKey(SubjectKind.INSTANCE, self.instance)

    def floating(self, tx: Transaction, address: str = "198.51.100.20") -> AddressRow:
        return self.world.floating(tx, self.project, self.pool, address)
