"""Ports of floating IPs that lead to guests: who may ask for what, what excludes what, and what hosts are told."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest

from mooring.model.accounts import Caller
from mooring.model.faults import Conflict, Fault, Forbidden, Invalid, NotFound, NotReady, QuotaExceeded
from mooring.model.ids import AddressId, ForwardingId, InstanceId, NicId
from mooring.model.nouns import FloatingIp, NetworkKind, Nic, PortForwarding, Resource
from mooring.model.subjects import HostRole, NicIntent, Transport
from mooring.operations import ForwardingChange, NewForwarding, NewInstance, NewNetwork, NewNic
from tests.cloud import FLAVORS, IMAGES, Cloud
from tests.operations import laws
from tests.operations.test_moves import Scene


class Harbour:
    """A project with two guests and a floating IP, and another project."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.operations = cloud.operations
        self.forwardings = cloud.operations.forwardings
        self.alice, self.bob = cloud.caller("alice"), cloud.caller("bob")
        self.one, self.two = (self.boot(name) for name in ("one", "two"))
        self.public = cloud.operations.addresses.allocate(self.alice, None)

    def boot(self, name: str, who: Caller | None = None) -> Nic:
        return self.cloud.boot(who or self.alice, name).nics[0]

    def forward(self, protocol: str = "tcp", first: int = 2222, **more: Any) -> PortForwarding:
        more = {"nic": self.one.id, **more}
        return self.forwardings.create(self.alice, self.public.id, NewForwarding(protocol, first, **more))

    def used(self) -> int:
        with self.operations.forwardings._door.store.read() as tx:
            return tx.quotas.get(self.alice.project.id, Resource.PORT_FORWARDINGS).used

    def told(self, cloud: Cloud | None = None) -> set[tuple[str, str, int, int, str, int]]:
        """Return what the gateway is told of forwarded ports."""
        return {
            (str(each.public.address), each.protocol.value, each.first, each.last, str(own.address), each.to)
            for (_, role), placed in (cloud or self.cloud).host.held.items()
            if role is HostRole.GATEWAY and isinstance(placed.subject, NicIntent)
            for own in placed.subject.addresses
            for each in own.forwards
        }

    def refused(self, kind: type[Fault], reason: str, act: Callable[[], object]) -> Fault:
        """Hold that something is refused, and that nothing is changed by it."""
        before = (self.forwardings.listing(self.alice), self.used(), self.told())
        with pytest.raises(kind, match=reason) as refused:
            act()
        assert (self.forwardings.listing(self.alice), self.used(), self.told()) == before
        return refused.value


@pytest.fixture
def harbour(cloud: Cloud) -> Harbour:
    return Harbour(cloud)


def test_ports_of_one_address_lead_to_several_guests(harbour: Harbour) -> None:
    one, two = harbour.one.fixed[0].address, harbour.two.fixed[0].address
    address = str(harbour.public.address)
    first = harbour.forward(to=22, description="a door")
    second = harbour.forward("UDP", 53, nic=harbour.two.id)
    third = harbour.forward("tcp", 8000, last=8099)
    shifted = harbour.forward("tcp", 9000, last=9003, to=9100, nic=None, instance=harbour_instance(harbour, "two"))
    assert harbour.told() == {
        (address, "tcp", 2222, 2222, str(one), 22),
        (address, "udp", 53, 53, str(two), 53),
        (address, "tcp", 8000, 8099, str(one), 8000),
        (address, "tcp", 9000, 9003, str(two), 9100),
    }
    assert (first.fixed, first.to, first.description) == (one, 22, "a door")
    assert (third.last, third.to_last, shifted.to_last) == (8099, 8099, 9103)
    assert harbour.forwardings.listing(harbour.alice) == [first, second, third, shifted]
    assert harbour.forwardings.of_floating(harbour.alice, harbour.public.id) == [first, second, third, shifted]
    assert harbour.forwardings.get(harbour.alice, second.id) == second
    assert harbour.used() == 4
    for each in (first, second, third, shifted):
        harbour.forwardings.delete(harbour.alice, each.id)
    assert harbour.told() == set()
    assert harbour.used() == 0
    harbour.operations.addresses.release(harbour.alice, harbour.public.id)
    laws.check(harbour.cloud)


def harbour_instance(harbour: Harbour, name: str) -> InstanceId:
    return next(each.id for each in harbour.operations.instances.listing(harbour.alice) if each.name == name)


SIDES: list[tuple[dict[str, Any], int, int]] = [
    ({}, 2222, 2222),
    ({"to": 22}, 22, 2222),
    ({"last": 2225}, 2222, 2225),
    ({"last": 2225, "to": 22}, 22, 2225),
    ({"to": 22, "to_last": 25}, 22, 2225),
    ({"to": 2222, "to_last": 2222 + 5000}, 2222, 7222),
]


def test_the_side_that_is_left_out_has_as_many_ports(harbour: Harbour) -> None:
    for more, to, last in SIDES:
        made = harbour.forward(**more)
        assert (made.first, made.last, made.to) == (2222, last, to), more
        harbour.forwardings.delete(harbour.alice, made.id)


REFUSED: list[tuple[str, str, dict[str, Any]]] = [
    ("protocol", "must be tcp or udp", {"protocol": "icmp"}),
    ("protocol", "must be tcp or udp", {"protocol": ""}),
    ("external_port", "0 is not within", {"first": 0}),
    ("external_port", "65536 is not within", {"first": 65536}),
    ("external_port", "65530-65540 is not within", {"first": 65530, "last": 65540}),
    ("external_port", "30-20 ends before", {"first": 30, "last": 20}),
    ("internal_port", "70000 is not within", {"to": 70000}),
    ("internal_port", "65535-65536 is not within", {"last": 2223, "to": 65535}),
    ("internal_port", "1-3 are not as many ports as 2222-2223", {"last": 2223, "to": 1, "to_last": 3}),
    ("internal_port", "at most 1024 ports", {"last": 2222 + 1024, "to": 1}),
    ("fixed_address", "10.9.9.9 is not an address of instance", {"fixed": IPv4Address("10.9.9.9")}),
    ("nic", "name a NIC or an instance", {"nic": None}),
    ("nic", "and not both", {"instance": InstanceId("either")}),
    ("description", "printable", {"description": "two\nlines"}),
    ("description", "at most 255", {"description": "x" * 256}),
]


def test_what_cannot_be_is_refused(harbour: Harbour) -> None:
    for field, reason, wish in REFUSED:
        fault = harbour.refused(Invalid, reason, partial(harbour.forward, **wish))
        assert fault.field == field, wish


def test_as_many_shifted_ports_as_may_be(harbour: Harbour) -> None:
    assert harbour.forward(last=2222 + 1023, to=1).to_last == 1024
    assert harbour.forward("udp", 1, last=65535).to_last == 65535


def test_a_port_is_forwarded_once(harbour: Harbour) -> None:
    harbour.forward("tcp", 8000, last=8010)
    for first, last in ((8000, None), (8010, 8020), (7000, 8000), (7000, 9000)):
        wish = dict[str, Any](first=first, last=last, nic=harbour.two.id)
        fault = harbour.refused(Conflict, "Already forwarded: tcp ports 8000-8010", partial(harbour.forward, **wish))
        assert fault.field == "external_port"
    harbour.forward("udp", 8000, last=8010)
    harbour.forward("tcp", 8011)
    # A guest's port may be reached by several, unless whoever asks wants none of that.
    harbour.forward("tcp", 7000, to=8000)
    harbour.refused(Conflict, "Already reached", lambda: harbour.forward("tcp", 7001, to=8005, sole=True))


def test_an_address_is_associated_or_has_forwarded_ports(harbour: Harbour) -> None:
    addresses, address = harbour.operations.addresses, harbour.public.address
    instance = harbour_instance(harbour, "two")
    made = harbour.forward()
    for act in (
        lambda: addresses.associate(harbour.alice, instance, address),
        lambda: addresses.point(harbour.alice, harbour.public.id, harbour.two.id),
        lambda: addresses.release(harbour.alice, harbour.public.id),
    ):
        fault = harbour.refused(Conflict, f"{address} is in use by port forwarding {made.id}", act)
        assert fault.field == "port_forwardings"
    harbour.forwardings.delete(harbour.alice, made.id)
    addresses.associate(harbour.alice, instance, address)
    fault = harbour.refused(Conflict, f"{address} is associated with fixed IP", harbour.forward)
    assert fault.field == "floating_ip"
    own = addresses.allocate(harbour.alice, None)
    wish = NewForwarding("tcp", 80, nic=harbour.two.id, sole=True)
    harbour.refused(Conflict, "has floating IP", lambda: harbour.forwardings.create(harbour.alice, own.id, wish))
    harbour.forwardings.create(harbour.alice, own.id, replace(wish, sole=False))
    laws.check(harbour.cloud)


def test_a_guest_that_goes_takes_its_forwardings_along(harbour: Harbour) -> None:
    harbour.forward()
    kept = harbour.forward("udp", 53, nic=harbour.two.id)
    harbour.operations.instances.delete(harbour.alice, harbour_instance(harbour, "one"))
    assert harbour.forwardings.listing(harbour.alice) == [kept]
    assert harbour.used() == 1
    assert len(harbour.told()) == 1
    harbour.operations.instances.delete(harbour.alice, harbour_instance(harbour, "two"))
    harbour.operations.addresses.release(harbour.alice, harbour.public.id)
    assert (harbour.told(), harbour.used()) == (set(), 0)
    laws.check(harbour.cloud)


def test_a_fixed_ip_that_ports_lead_to_stays(harbour: Harbour) -> None:
    nic = harbour.operations.nics.add_fixed(harbour.alice, harbour.one.id)
    further = nic.fixed[1].address
    harbour.refused(Invalid, "has several: name one", harbour.forward)
    made = harbour.forward(fixed=further)
    harbour.refused(
        Conflict,
        f"{further} is in use by port forwarding {made.id}",
        lambda: harbour.operations.nics.remove_fixed(harbour.alice, harbour.one.id, further),
    )
    harbour.forwardings.delete(harbour.alice, made.id)
    assert len(harbour.operations.nics.remove_fixed(harbour.alice, harbour.one.id, further).fixed) == 1


def test_a_forwarding_is_changed(harbour: Harbour) -> None:
    made = harbour.forward(to=22, description="a door")
    taken = harbour.forward("tcp", 8000, last=8010)

    def change(**more: Any) -> PortForwarding:
        return harbour.forwardings.change(harbour.alice, made.id, ForwardingChange(**more))

    address = str(harbour.public.address)
    other = str(harbour.two.fixed[0].address)
    assert change() == made
    assert change(description="the door").description == "the door"
    moved = change(nic=harbour.two.id)
    assert (moved.nic, moved.fixed, moved.to) == (harbour.two.id, harbour.two.fixed[0].address, 22)
    assert (address, "tcp", 2222, 2222, other, 22) in harbour.told()
    assert len(harbour.told()) == 2
    assert (change(to=2200).first, change(to=2200).to) == (2222, 2200)
    wider = change(first=3000, last=3004)
    assert (wider.first, wider.last, wider.to, wider.to_last) == (3000, 3004, 2200, 2204)
    assert change(protocol="udp").protocol is Transport.UDP
    harbour.refused(Conflict, f"{taken}".replace("-", "."), lambda: change(protocol="tcp", first=8005))
    harbour.refused(Invalid, "must be tcp or udp", lambda: change(protocol="sctp"))
    harbour.refused(NotFound, "NIC", lambda: change(nic=harbour.boot("stranger", harbour.bob).id))
    assert harbour.used() == 2
    laws.check(harbour.cloud)


def test_strangers_know_of_nothing(harbour: Harbour) -> None:
    made = harbour.forward()
    theirs = harbour.boot("theirs", harbour.bob)
    bobs = harbour.operations.addresses.allocate(harbour.bob, None)
    calls = harbour.forwardings
    for forwarding in (made.id, ForwardingId("made-up")):
        for act in (
            partial(calls.get, harbour.bob, forwarding),
            partial(calls.delete, harbour.bob, forwarding),
            partial(calls.change, harbour.bob, forwarding, ForwardingChange(to=1)),
        ):
            harbour.refused(NotFound, f"Port forwarding {forwarding} could not be found", act)
    wish = NewForwarding("tcp", 80, nic=theirs.id)
    for floating in (harbour.public.id, AddressId("made-up")):
        for ask in (
            partial(calls.create, harbour.bob, floating, wish),
            partial(calls.of_floating, harbour.bob, floating),
        ):
            harbour.refused(NotFound, f"Floating IP {floating}", ask)
    for nic in (harbour.one.id, NicId("made-up")):
        his = replace(wish, nic=nic)
        harbour.refused(NotFound, f"NIC {nic}", partial(calls.create, harbour.bob, bobs.id, his))
    assert not calls.listing(harbour.bob)
    assert not calls.of_several(harbour.bob, [harbour.public.id])
    # An administrator sees all, and still ties nobody's address to another project's guest.
    root = harbour.cloud.caller("root")
    assert calls.listing(root, every_project=True) == [made]
    assert calls.get(root, made.id) == made
    harbour.refused(NotFound, "NIC", lambda: calls.create(root, harbour.public.id, wish))
    assert calls.create(root, harbour.public.id, replace(wish, nic=harbour.two.id)).project == harbour.alice.project.id
    assert harbour.used() == 2


def test_a_reader_reads(harbour: Harbour) -> None:
    made = harbour.forward()
    rita, calls = harbour.cloud.caller("rita"), harbour.forwardings
    assert calls.listing(rita) == [made]
    for act in (
        lambda: calls.create(rita, harbour.public.id, NewForwarding("tcp", 1, nic=harbour.one.id)),
        lambda: calls.change(rita, made.id, ForwardingChange(to=1)),
        lambda: calls.delete(rita, made.id),
    ):
        harbour.refused(Forbidden, "Your roles", act)


def test_a_project_has_as_many_as_it_may(harbour: Harbour) -> None:
    harbour.operations.identity.set_quota(
        harbour.cloud.caller("root"), harbour.alice.project.id, Resource.PORT_FORWARDINGS, 2
    )
    made = harbour.forward("tcp", 1)
    harbour.forward("tcp", 2, last=900)
    harbour.refused(QuotaExceeded, "port forwardings: the limit is 2", lambda: harbour.forward("tcp", 1000))
    harbour.forwardings.delete(harbour.alice, made.id)
    harbour.forward("tcp", 1000)


def test_the_same_request_is_carried_out_once(harbour: Harbour) -> None:
    wish = NewForwarding("tcp", 80, nic=harbour.one.id)
    calls = harbour.forwardings
    made = calls.create(harbour.alice, harbour.public.id, wish, "key")
    assert calls.create(harbour.alice, harbour.public.id, wish, "key") == made
    harbour.refused(
        Invalid,
        "different request",
        lambda: calls.create(harbour.alice, harbour.public.id, replace(wish, first=81), "key"),
    )
    assert harbour.used() == 1


def test_a_guest_without_an_address_is_not_reached(harbour: Harbour) -> None:
    harbour.cloud.host.away = True
    made = harbour.operations.instances.create(harbour.alice, NewInstance("late", IMAGES[0].id, FLAVORS[0].id))
    harbour.refused(NotReady, "has no fixed IP yet", lambda: harbour.forward(nic=made.nics[0].id))


def test_a_network_without_a_router_has_no_forwarded_ports(harbour: Harbour) -> None:
    root = harbour.cloud.caller("root")
    harbour.operations.networks.create(
        root, NewNetwork("plain", IPv4Network("10.5.0.0/24"), kind=NetworkKind.FLAT, bridge="br0")
    )
    made = harbour.operations.instances.create(
        harbour.alice, NewInstance("plain", IMAGES[0].id, FLAVORS[0].id, (NewNic("plain"),))
    )
    nic = harbour.operations.instances.get(harbour.alice, made.id).nics[0]
    fault = harbour.refused(Conflict, "has no router of mooring's", lambda: harbour.forward(nic=nic.id))
    assert fault.field == "router"


class Move(Scene):
    """The same with a port of the floating IP."""

    def associate(self, instance: InstanceId) -> None:
        """Forward a port, wherever it led before."""
        for known in self.operations.forwardings.listing(self.alice):
            self.operations.forwardings.delete(self.alice, known.id)
        new = NewForwarding("tcp", 80, instance=instance)
        self.operations.forwardings.create(self.alice, self.floating.id, new)

    def answering(self) -> list[Any]:
        """Return the hosts that are told to answer at the port, whether they have confirmed that or not."""
        root = self.cloud.caller("root")
        return [
            host.id
            for host in self.operations.hosts.listing(root)
            for placed in self.operations.hosts.placements(root, host.name)
            if isinstance(placed.subject, NicIntent) and placed.role is HostRole.GATEWAY
            if any(
                each.public.address == self.floating.address
                for own in placed.subject.addresses
                for each in own.forwards
            )
        ]


@pytest.fixture
def scene(make_cloud: Callable[..., Cloud]) -> Move:
    return Move(make_cloud(settle_timeout=0.0))


def test_another_gateway_waits_for_the_old_one(scene: Move) -> None:
    scene.associate(scene.other)
    (new,) = (host.id for host in scene.operations.hosts.listing(scene.cloud.caller("root")) if host.id != scene.old)
    assert scene.answering() == []
    scene.confirm(new)
    assert scene.answering() == []
    scene.confirm(scene.old)
    assert scene.answering() == [new]
    scene.confirm()
    assert scene.answering() == [new]


def test_on_one_gateway_a_port_moves_in_one_change(scene: Move) -> None:
    (known,) = scene.operations.forwardings.listing(scene.alice)
    nic = scene.operations.instances.get(scene.alice, scene.beside).nics[0]
    scene.operations.forwardings.change(scene.alice, known.id, ForwardingChange(nic=nic.id))
    assert scene.answering() == [scene.old]
    scene.confirm()
    assert scene.answering() == [scene.old]


def test_ports_of_one_address_lead_behind_one_router(scene: Move) -> None:
    new = NewForwarding("tcp", 81, instance=scene.other)
    with pytest.raises(Conflict, match="behind another router already") as refused:
        scene.operations.forwardings.create(scene.alice, scene.floating.id, new)
    assert refused.value.field == "routers"


def test_an_address_is_given_again_only_when_all_hosts_let_go(scene: Move) -> None:
    nic = scene.operations.instances.get(scene.alice, scene.beside).nics[0]
    scene.operations.forwardings.create(scene.alice, scene.floating.id, NewForwarding("tcp", 81, nic=nic.id))
    scene.confirm()
    for known in scene.operations.forwardings.listing(scene.alice):
        scene.operations.forwardings.delete(scene.alice, known.id)
    scene.operations.addresses.release(scene.alice, scene.floating.id)

    def releasing() -> int:
        return scene.operations.pools.usage(scene.cloud.caller("root"), "public").releasing

    assert releasing() == 1
    scene.confirm()
    assert releasing() == 0


def test_floating(harbour: Harbour) -> None:
    """A floating IP itself says nothing of its forwarded ports: it leads to nobody."""
    harbour.forward()
    (known,) = harbour.operations.addresses.listing(harbour.alice)
    assert isinstance(known, FloatingIp)
    assert (known.nic, known.fixed) == (None, None)
