"""What hosts pull: each kind of subject from its rows, and many of them by the same few statements."""

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest
from sqlalchemy import CompoundSelect, event, select, union_all

from mooring.model.nouns import Host, NetworkKind
from mooring.model.subjects import (
    Carrier,
    GuestNic,
    HostRole,
    InjectedAddress,
    InstanceIntent,
    NetworkIntent,
    NicAddress,
    NicIntent,
    OperatorBridge,
    PublicAddress,
    RouterIntent,
    RouterPort,
    RouterUplink,
    Subject,
    SubjectKey,
    SubjectKind,
    Trunk,
    TunnelPeer,
    Vlan,
    Vxlan,
)
from mooring.operations.interfaces import RouterRow
from mooring.store.hostnames import hostname
from mooring.store.schema import networks, router_uplinks
from mooring.store.subjects import LEASE

COMPUTE, GATEWAY = HostRole.COMPUTE, HostRole.GATEWAY
MACS: CompoundSelect[str, str] = union_all(
    select(networks.c.id, networks.c.mac),
    select(router_uplinks.c.uplink, router_uplinks.c.mac),
)


def pull(town, *keys: SubjectKey) -> list[Subject | None]:
    with town.world.store.write() as tx:
        for key in keys:
            tx.deliveries.place(key, town.host.id, COMPUTE)
        placed = {known.key: known for known in tx.deliveries.pending(town.host.id, keys)}
        assert {known.key: known for known in tx.deliveries.pending(town.host.id, None)} == placed
    for known in placed.values():
        assert known.subject is None or (known.subject.key, known.subject.generation) == (known.key, known.generation)
    return [placed[key].subject for key in keys]


def test_a_network(town):
    assert pull(town, town.network_key) == [NetworkIntent(town.network.id, 1, 1500)]


def test_a_network_is_carried_as_its_kind_and_the_host_ask_for(town):
    world = town.world
    here, there = IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2")
    with world.store.write() as tx:
        host = world.host(tx, endpoint=here, vlan_interface="eth2", trunk_interface="eth3")
        gateway = world.host(tx, endpoint=there)
        router = world.router(tx, "own", town.project)
        tx.topology.claim_router(router.id, gateway.id)
        made = [
            world.network(tx, None, "10.1.0.0/16", kind=NetworkKind.FLAT, bridge="br0"),
            world.network(tx, router, "10.2.0.0/16"),
            world.network(tx, router, "10.3.0.0/16", kind=NetworkKind.VLAN, segment=7),
            world.network(tx, router, "10.4.0.0/16", kind=NetworkKind.VXLAN, segment=8),
        ]
        macs = dict(tuple(row) for row in tx.addresses._session.rows(MACS))

        def seen_by(host: Host) -> list[Carrier | None]:
            keys = [SubjectKey(SubjectKind.NETWORK, network.id) for network in made]
            for key in keys:
                tx.deliveries.place(key, host.id, COMPUTE)
            found = {known.key: known.subject for known in tx.deliveries.pending(host.id, keys)}
            assert {known.key: known.subject for known in tx.deliveries.pending(host.id, None)} == found
            return [subject.carrier for key in keys if isinstance(subject := found[key], NetworkIntent)]

        peer = TunnelPeer(macs[made[3].id], IPv4Address("10.4.0.1"), there)
        assert seen_by(host) == [OperatorBridge("br0"), Trunk("eth3"), Vlan("eth2", 7), Vxlan(8, here, peer)]
        assert seen_by(gateway)[3] == Vxlan(8, there, None)
        assert seen_by(town.host)[1] is None


def test_a_router_has_its_ports_and_its_ways_out(town):
    world = town.world
    with world.store.write() as tx:
        second = world.network(tx, town.router, "10.1.0.0/24", mtu=1400)
        uplink = world.uplink(tx, "a before uplink-1")
        pool = world.pool(tx, uplink, "203.0.113.0/25", "203.0.113.8-203.0.113.11")
        # Two more pools on the same uplink: one in the same subnet, one in another.
        world.pool(tx, uplink, "203.0.113.0/25", "203.0.113.12-203.0.113.16")
        world.pool(tx, uplink, "192.0.2.0/24", "192.0.2.0-192.0.2.255")
        world.connect(tx, town.router, pool, "203.0.113.8")
        macs = dict(tuple(row) for row in tx.addresses._session.rows(MACS))
    (subject,) = pull(town, town.router_key)
    assert isinstance(subject, RouterIntent)
    dns = (IPv4Address("9.9.9.9"), IPv4Address("1.1.1.1"))
    assert subject == RouterIntent(
        id=town.router.id,
        generation=1,
        ports=(
            RouterPort(town.network.id, macs[town.network.id], IPv4Interface("10.0.0.1/16"), dns, 1500, LEASE),
            RouterPort(second.id, macs[second.id], IPv4Interface("10.1.0.1/24"), dns, 1400, LEASE),
        ),
        uplinks=(
            RouterUplink(
                uplink=uplink.id,
                interface="eth1",
                mac=macs[uplink.id],
                address=IPv4Interface("203.0.113.8/25"),
                next_hop=IPv4Address("203.0.113.1"),
                prefixes=(IPv4Network("192.0.2.0/24"), IPv4Network("203.0.113.0/25")),
                ranges=(IPv4Network("192.0.2.0/24"), IPv4Network("203.0.113.8/29"), IPv4Network("203.0.113.16/32")),
                number=subject.uplinks[0].number,
                misses=3,
            ),
            RouterUplink(
                uplink=town.uplink.id,
                interface="eth1",
                mac=macs[town.uplink.id],
                address=IPv4Interface("198.51.100.10/24"),
                next_hop=IPv4Address("198.51.100.1"),
                prefixes=(IPv4Network("198.51.100.0/24"),),
                ranges=subject.uplinks[1].ranges,
                number=subject.uplinks[1].number,
                misses=3,
            ),
        ),
    )
    first, second_number = (side.number for side in subject.uplinks)
    assert 0 < second_number < first, "the order of creation; no two have one number"
    covered = {address for prefix in subject.uplinks[1].ranges for address in prefix}
    (whole,) = town.pool.ranges
    assert covered == {whole.first + offset for offset in range(len(whole))}
    assert list(subject.uplinks[1].ranges) == sorted(subject.uplinks[1].ranges)


def test_a_router_without_networks_and_uplinks(town):
    with town.world.store.write() as tx:
        router = town.world.router(tx, "own", town.project)
    key = SubjectKey(SubjectKind.ROUTER, router.id)
    assert pull(town, key) == [RouterIntent(router.id, 1, (), ())]


def test_a_router_knows_on_which_uplinks_it_is_alone(town):
    world = town.world
    with world.store.write() as tx:
        second = world.pool(tx, world.uplink(tx), "203.0.113.0/24")
        world.connect(tx, town.router, second, "203.0.113.10")
        others = [world.router(tx, f"own-{number}", town.project) for number in range(3)]

    def alone() -> dict[str, bool]:
        (subject,) = pull(town, town.router_key)
        assert isinstance(subject, RouterIntent)
        return {uplink.uplink: uplink.alone for uplink in subject.uplinks}

    def beside(router: RouterRow) -> int:
        with world.store.read() as tx:
            return len(tx.topology.others_on(town.uplink.id, router.id))

    assert alone() == {town.uplink.id: True, second.uplink: True}
    for number, other in enumerate(others):
        assert beside(other) == min(2, number + 1)
        with world.store.write() as tx:
            world.connect(tx, other, town.pool, f"198.51.100.{20 + number}")
        assert alone() == {town.uplink.id: False, second.uplink: True}
    with world.store.read() as tx:
        assert tx.topology.routers_on(town.uplink.id) == [town.router.id, *(other.id for other in others)]
        assert tx.topology.routers_on(second.uplink) == [town.router.id]
    for other in others:
        with world.store.write() as tx:
            tx.topology.remove_router_uplink(other.id, town.uplink.id)
    assert alone() == {town.uplink.id: True, second.uplink: True}
    assert beside(town.router) == 0


def test_a_nic_has_its_addresses_the_first_one_first_and_its_floating_ips_as_they_came(town):
    world = town.world
    with world.store.write() as tx:
        uplink = world.uplink(tx, "a before uplink-1")
        other = world.pool(tx, uplink, "203.0.113.0/24")
        own = world.connect(tx, town.router, other, "203.0.113.10")
        lower = world.fixed(tx, town.nic, "10.0.0.1")
        going = world.fixed(tx, town.nic, "10.0.0.3")
        tx.addresses.release(going.id)
        for address, pool in (("203.0.113.9", other), ("198.51.100.30", town.pool)):
            row = world.floating(tx, town.project, pool, address)
            tx.addresses.associate(row.id, town.fixed.id, pool.id)
        town.floating(tx)
    (subject,) = pull(town, town.nic_key)
    assert subject == NicIntent(
        id=town.nic.id,
        generation=1,
        network=town.network.id,
        router=town.router.id,
        mac=town.nic.mac,
        hostname="web",
        addresses=(
            NicAddress(
                town.fixed.address,
                (
                    PublicAddress(IPv4Address("203.0.113.9"), uplink.id),
                    PublicAddress(IPv4Address("198.51.100.30"), town.uplink.id),
                ),
            ),
            NicAddress(lower.address),
        ),
        shared=(PublicAddress(own.address, uplink.id), PublicAddress(town.own.address, town.uplink.id)),
    )


def test_a_nic_on_an_operators_bridge_and_one_in_a_tunnel(town):
    world = town.world
    with world.store.write() as tx:
        host = world.host(tx, endpoint=IPv4Address("192.0.2.1"))
        tx.instances.assign(town.instance, host.id)
        flat = world.network(tx, None, "10.1.0.0/16", kind=NetworkKind.FLAT, bridge="br0")
        tunnel = world.network(tx, town.router, "10.2.0.0/16", kind=NetworkKind.VXLAN, segment=8)
        plugged, tunnelled = world.nic(tx, town.instance, flat, 1), world.nic(tx, town.instance, tunnel, 2)
        world.fixed(tx, plugged, "10.1.0.9")
        world.fixed(tx, plugged, "10.1.0.8")
    keys = [SubjectKey(SubjectKind.NIC, nic.id) for nic in (plugged, tunnelled, town.nic)]
    on_bridge, in_tunnel, plain, instance = pull(town, *keys, town.instance_key)
    assert isinstance(on_bridge, NicIntent)
    assert isinstance(in_tunnel, NicIntent)
    assert isinstance(plain, NicIntent)
    assert isinstance(instance, InstanceIntent)
    assert (on_bridge.bridge, on_bridge.endpoint, on_bridge.router, on_bridge.shared) == ("br0", None, None, ())
    assert (in_tunnel.bridge, in_tunnel.endpoint, in_tunnel.router) == (None, host.endpoint, town.router.id)
    assert (plain.bridge, plain.endpoint) == (None, None)
    injected = InjectedAddress(
        address=IPv4Interface("10.1.0.9/16"),
        gateway=IPv4Address("10.1.0.1"),
        dns=flat.dns,
        hostname="web",
    )
    assert [nic.injected for nic in instance.nics] == [None, injected, None]


def test_a_nic_that_has_no_address_yet_and_no_way_out(town):
    world = town.world
    with world.store.write() as tx:
        router = world.router(tx, "own", town.project)
        nic = world.nic(tx, world.instance(tx, town.project, town.user, "!!"), world.network(tx, router))
    (subject,) = pull(town, SubjectKey(SubjectKind.NIC, nic.id))
    assert isinstance(subject, NicIntent)
    assert (subject.addresses, subject.shared, subject.hostname) == ((), (), "host")


def test_an_instance_has_its_nics_in_their_order(town):
    world = town.world
    with world.store.write() as tx:
        jumbo = world.network(tx, town.router, "10.1.0.0/16", mtu=9000)
        last = world.nic(tx, town.instance, jumbo, 2)
        middle = world.nic(tx, town.instance, town.network, 1)
    (subject,) = pull(town, town.instance_key)
    assert subject == InstanceIntent(
        town.instance,
        1,
        "web",
        "image",
        (
            GuestNic(town.nic.id, town.network.id, town.nic.mac, 1500),
            GuestNic(middle.id, town.network.id, middle.mac, 1500),
            GuestNic(last.id, jumbo.id, last.mac, 9000),
        ),
    )


def test_what_is_withdrawn_or_gone_has_no_subject(town):
    with town.world.store.write() as tx:
        tx.deliveries.place(town.nic_key, town.host.id, COMPUTE)
        tx.deliveries.place(town.network_key, town.host.id, COMPUTE)
        generation, _ = tx.deliveries.withdraw(town.nic_key)
        network, nic = tx.deliveries.pending(town.host.id, None)
        assert (network.key, network.subject is None) == (town.network_key, False)
        assert (nic.key, nic.generation, nic.subject) == (town.nic_key, generation, None)


@pytest.mark.parametrize(
    "name,label",
    [
        ("web", "web"),
        ("Web Server No. 1", "web-server-no-1"),
        ("--x--", "x"),
        ("größe", "gr-e"),
        ("日本", "host-10-0-0-2"),
        ("", "host-10-0-0-2"),
        ("a" * 80, "a" * 63),
        ("a" * 62 + "-b", "a" * 62),
        # dnsmasq takes these for a lease time, a command, or a name that must not be had.
        ("12", "host-12"),
        ("45m", "host-45m"),
        ("infinite", "host-infinite"),
        ("Ignore", "host-ignore"),
        ("wpad", "host-wpad"),
        ("1" * 63, "host-" + "1" * 58),
        ("x\ndhcp-host=evil,#{}", "x-dhcp-host-evil"),
    ],
)
def test_a_hostname_is_a_label_whatever_the_tenant_called_the_instance(name, label):
    assert hostname(name, IPv4Address("10.0.0.2")) == label
    assert len(label) <= 63


@contextmanager
def counting(store) -> Iterator[list[str]]:
    statements: list[str] = []

    def heard(_connection, _cursor, statement, *_rest) -> None:
        statements.append(statement)

    event.listen(store._readers, "before_cursor_execute", heard)
    try:
        yield statements
    finally:
        event.remove(store._readers, "before_cursor_execute", heard)


@pytest.mark.parametrize("everything", [False, True])
def test_many_subjects_cost_as_many_statements_as_one(town, everything):
    """Read by name or in bulk, a pull is the same, and it asks the database the same number of times."""
    world, host = town.world, town.host.id
    with world.store.write() as tx:
        for key in (town.network_key, town.router_key, town.nic_key, town.instance_key):
            tx.deliveries.place(key, host, COMPUTE)
    with world.store.read() as tx, counting(world.store) as few:
        tx.deliveries.pending(host, None if everything else [entry.key for entry in tx.deliveries.digest(host)])
    with world.store.write() as tx:
        second = world.network(tx, world.router(tx, "own", town.project))
        for number in range(250):
            instance = world.instance(tx, town.project, town.user, f"vm-{number}")
            nic = world.nic(tx, instance, [town.network, second][number % 2])
            world.fixed(tx, nic, f"10.0.1.{number}")
            tx.deliveries.place(SubjectKey(SubjectKind.NIC, nic.id), host, GATEWAY)
            tx.deliveries.place(SubjectKey(SubjectKind.INSTANCE, instance), host, COMPUTE)
        # One of many that does not belong to the host's share.
        stranger = world.nic(tx, town.instance, town.network, 1)
        tx.deliveries.place(SubjectKey(SubjectKind.NIC, stranger.id), world.host(tx).id, COMPUTE)
    with world.store.read() as tx:
        keys = [entry.key for entry in tx.deliveries.digest(host)]
        assert len(keys) == 504
        with counting(world.store) as many:
            bulk = tx.deliveries.pending(host, None if everything else keys)
        by_name = [placed for key in keys for placed in tx.deliveries.pending(host, [key])]
    assert bulk == by_name
    assert all(placed.subject is not None for placed in bulk)
    assert len(many) == len(few) + (0 if everything else -1)
