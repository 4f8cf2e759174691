"""An instance that is called otherwise, and who has an address."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from mooring.model.faults import Conflict, Forbidden, Invalid, NotFound
from mooring.model.ids import InstanceId
from mooring.model.subjects import HostRole, InstanceIntent, NicIntent, SubjectKey, SubjectKind
from mooring.operations import NewNetwork
from tests.cloud import Cloud
from tests.operations import laws


def test_hosts_hear_of_another_name(cloud: Cloud) -> None:
    alice = cloud.caller("alice")
    server = cloud.boot(alice)
    renamed = cloud.operations.instances.rename(alice, server.id, " flagship ")
    assert renamed.name == "flagship"
    assert renamed == cloud.operations.instances.get(alice, server.id)
    guest = cloud.host.held[SubjectKey(SubjectKind.INSTANCE, server.id), HostRole.COMPUTE].subject
    assert isinstance(guest, InstanceIntent)
    assert guest.name == "flagship"
    card = cloud.host.held[SubjectKey(SubjectKind.NIC, server.nics[0].id), HostRole.GATEWAY].subject
    assert isinstance(card, NicIntent)
    assert card.hostname == "flagship"
    before = cloud.host.held.copy()
    cloud.operations.instances.rename(alice, server.id, "flagship")
    assert cloud.host.held == before
    laws.check(cloud)


def test_names_that_are_refused(cloud: Cloud) -> None:
    alice = cloud.caller("alice")
    server = cloud.boot(alice)
    for name in ("", " ", "x" * 256, "a\nb"):
        with pytest.raises(Invalid, match="name: "):
            cloud.operations.instances.rename(alice, server.id, name)
    for user in ("bob", "alice"):
        target = server.id if user == "bob" else InstanceId("made-up")
        with pytest.raises(NotFound):
            cloud.operations.instances.rename(cloud.caller(user), target, "other")
    with pytest.raises(Forbidden):
        cloud.operations.instances.rename(cloud.caller("rita"), server.id, "other")
    cloud.host.away = True
    cloud.operations.instances.delete(alice, server.id)
    with pytest.raises(Conflict, match="being deleted"):
        cloud.operations.instances.rename(alice, server.id, "other")


def test_who_has_an_address(cloud: Cloud) -> None:
    root, ask = cloud.caller("root"), cloud.operations.networks.fixed_address
    server = cloud.boot(cloud.caller("alice"))
    taken = ask(root, IPv4Address("10.0.0.2"))
    assert (taken.network, taken.instance, taken.reserved) == (cloud.network, server, False)
    assert taken.host is not None
    assert taken.host.id == server.host
    for address, reserved in (("10.0.0.3", False), ("10.0.0.1", True), ("10.0.0.0", True), ("10.0.0.255", True)):
        found = ask(root, IPv4Address(address))
        assert (found.instance, found.host, found.reserved) == (None, None, reserved), address
    with pytest.raises(NotFound, match=r"Fixed IP 192\.0\.2\.1"):
        ask(root, IPv4Address("192.0.2.1"))
    for user in ("alice", "rita"):
        with pytest.raises(Forbidden):
            ask(cloud.caller(user), IPv4Address("10.0.0.2"))


def test_an_address_of_a_network_with_nobody_on_it(cloud: Cloud) -> None:
    root = cloud.caller("root")
    network = cloud.operations.networks.create(root, NewNetwork("other", IPv4Network("10.7.0.0/24")))
    assert cloud.operations.networks.fixed_address(root, IPv4Address("10.7.0.9")).network == network


def test_which_hosts_are_alive(cloud: Cloud) -> None:
    root = cloud.caller("root")
    cloud.operations.hosts.register("host2", compute=False, gateway=True)
    assert [(host.name, alive) for host, alive in cloud.operations.hosts.roll(root)] == [
        ("host1", True),
        ("host2", True),
    ]
    with cloud.store.write() as tx:
        silent = replace(cloud.operations.hosts.get(root, "host2"), last_seen=None)
        tx.topology.save_host(silent)
    assert [alive for _, alive in cloud.operations.hosts.roll(root)] == [True, False]
    with pytest.raises(Forbidden):
        cloud.operations.hosts.roll(cloud.caller("alice"))
