"""What every back-end promises, on the fake one and on the kernel alike."""

from dataclasses import replace
from ipaddress import IPv4Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mooring.agent.interfaces import Backend, Refused
from mooring.compile.facts import HOST, Delta, Key, Row
from mooring.compile.links import router_place
from mooring.compile.tables import ADDRESS, BRIDGE, DHCP_HOST, FIP_IN, INNER, NAMESPACE, PORT, ROUTE, RULESET, UPLINK
from mooring.model.ids import NetworkId, bridge_name, port_name
from tests.backends.histories import check, history, same_host, settle
from tests.compile.small import ALICE, BOB, CAROL, FIRST, FREE, RED, ROUTER, SECOND, small
from tests.strategies import Cloud, clouds, forwarding, preferring, uuid

PLACE = router_place(ROUTER)


def test_an_empty_host_has_no_facts(backend: Backend) -> None:
    assert backend.read() == {}


def test_what_was_applied_is_what_is_read(backend: Backend) -> None:
    settle(backend, small().state)
    check(backend, small().state)


def test_a_place_can_be_read_alone(backend: Backend) -> None:
    settle(backend, small().state)
    for place in (HOST, PLACE):
        assert backend.read(place) == {key: value for key, value in small().state.items() if key.place == place}


def test_a_settled_host_needs_no_change(backend: Backend) -> None:
    settle(backend, small().state)
    assert not settle(backend, small().state)


def test_putting_what_is_there_is_no_error(backend: Backend) -> None:
    state = small().state
    settle(backend, state)
    backend.apply(Delta(state, {}))
    check(backend, state)


def test_a_floating_ip_comes_moves_and_goes(backend: Backend) -> None:
    bare = small()
    with_alice = bare.associated(FIRST, ALICE, IPv4Address("10.0.1.3"))
    with_carol = with_alice.associated(FIRST, CAROL, IPv4Address("10.0.2.33"))
    for cloud in (bare, with_alice, with_carol, with_alice, bare):
        settle(backend, cloud.state)
        check(backend, cloud.state)


def test_a_router_joins_its_networks_and_parts_them_again(backend: Backend) -> None:
    apart = small()
    joined = replace(apart, routers=tuple(replace(router, joined=True) for router in apart.routers))
    for cloud in (apart, joined, apart):
        settle(backend, cloud.state)
        check(backend, cloud.state)


def test_addresses_swap_in_one_change(backend: Backend) -> None:
    one = small().associated(FIRST, ALICE, IPv4Address("10.0.1.3")).associated(SECOND, BOB, IPv4Address("10.0.1.4"))
    other = small().associated(SECOND, ALICE, IPv4Address("10.0.1.3")).associated(FIRST, BOB, IPv4Address("10.0.1.4"))
    settle(backend, one.state)
    settle(backend, other.state)
    check(backend, other.state)


def test_a_nic_comes_and_goes(backend: Backend) -> None:
    full = small()
    empty = replace(full, nics=())
    for cloud in (empty, full, empty):
        settle(backend, cloud.state)
        check(backend, cloud.state)


def test_a_nic_changes_its_address(backend: Backend) -> None:
    cloud = small()
    first = cloud.nics[0]
    moved = replace(first, addresses=(replace(first.addresses[0], address=IPv4Address("10.0.1.77")),), hostname="new")
    settle(backend, cloud.state)
    after = replace(cloud, nics=(moved, *cloud.nics[1:]))
    settle(backend, after.state)
    check(backend, after.state)


def test_everything_goes(backend: Backend) -> None:
    settle(backend, small().associated(FREE, ALICE, IPv4Address("10.0.1.3")).state)
    settle(backend, {})
    assert backend.read() == {}


def test_a_router_changes_its_uplink(backend: Backend) -> None:
    cloud = small().associated(FIRST, ALICE, IPv4Address("10.0.1.3"))
    settle(backend, cloud.state)
    router = cloud.routers[0]
    for changed in (
        replace(router.uplinks[0], mac="02:00:00:00:00:77"),
        replace(router.uplinks[0], interface="ext1"),
        replace(router.uplinks[0], next_hop=IPv4Address("198.51.100.3")),
        replace(router.uplinks[0], ranges=()),
    ):
        after = replace(cloud, routers=(replace(router, uplinks=(changed,)),))
        settle(backend, after.state)
        check(backend, after.state)


def test_a_network_changes_its_router_side(backend: Backend) -> None:
    cloud = small()
    settle(backend, cloud.state)
    router = cloud.routers[0]
    port = router.ports[0]
    for changed in (
        replace(port, mac="02:00:00:00:00:78"),
        replace(port, mtu=1300),
        replace(port, dns=(IPv4Address("9.9.9.9"), IPv4Address("1.1.1.1")), lease=60),
    ):
        after = replace(cloud, routers=(replace(router, ports=(changed, *router.ports[1:])),))
        settle(backend, after.state)
        check(backend, after.state)


def test_a_network_moves_to_another_router(backend: Backend) -> None:
    cloud = small()
    old = cloud.routers[0]
    settle(backend, replace(cloud, nics=()).state)
    other = replace(old, id=type(old.id)(uuid("b", 7)), ports=old.ports[:1], uplinks=())
    after = Cloud(cloud.networks, (replace(old, ports=old.ports[1:]), other), ())
    settle(backend, after.state)
    check(backend, after.state)


_MISPLACED: list[tuple[str, Key, Row]] = [
    ("an element without a ruleset", Key(FIP_IN, PLACE, (IPv4Address("198.51.100.16"),)), (IPv4Address("10.0.0.9"),)),
    ("an address without a device", Key(ADDRESS, PLACE, next(k.row for k in small().state if k.table == ADDRESS)), ()),
    ("a device without a bridge", *next((k, v) for k, v in small().state.items() if k.table == INNER)),
    ("a port without a bridge", *next((k, v) for k, v in small().state.items() if k.table == PORT)),
    ("a route without a device", *next((k, v) for k, v in small().state.items() if k.table == ROUTE and v[1])),
    ("an entry without a server", *next((k, v) for k, v in small().state.items() if k.table == DHCP_HOST)),
]


@pytest.mark.parametrize("key, value", [case[1:] for case in _MISPLACED], ids=[case[0] for case in _MISPLACED])
def test_what_has_nothing_to_stand_on_is_refused(backend: Backend, key: Key, value: Row) -> None:
    if key.place == PLACE:
        backend.apply(Delta({Key(NAMESPACE, PLACE, ()): ()}, {}))
    with pytest.raises(Refused) as refusal:
        backend.apply(Delta({key: value}, {}))
    assert key.table.name in str(refusal.value)
    assert key not in backend.read()


def test_nothing_can_be_in_a_router_that_is_not_there(backend: Backend) -> None:
    with pytest.raises(Refused):
        backend.apply(Delta({Key(RULESET, PLACE, ("router",)): ()}, {}))
    assert backend.read() == {}


def test_an_unknown_interface_is_refused(backend: Backend) -> None:
    key, value = next((k, v) for k, v in small().state.items() if k.table == UPLINK)
    backend.apply(Delta({Key(NAMESPACE, PLACE, ()): ()}, {}))
    with pytest.raises(Refused, match="nosuch0"):
        backend.apply(Delta({key: ("nosuch0", value[1])}, {}))


def test_a_transaction_is_all_or_nothing(backend: Backend) -> None:
    state = small().associated(FIRST, ALICE, IPv4Address("10.0.1.3")).state
    settle(backend, state)
    good = Key(FIP_IN, PLACE, (IPv4Address("198.51.100.99"),))
    taken = Key(FIP_IN, PLACE, (FIRST.address,))
    with pytest.raises(Refused, match=str(FIRST.address)):
        backend.apply(Delta({good: (IPv4Address("10.0.1.3"),), taken: (IPv4Address("10.0.1.4"),)}, {}))
    check(backend, state)


def test_dropping_an_element_that_is_not_there_is_refused(backend: Backend) -> None:
    settle(backend, small().state)
    absent = Key(FIP_IN, PLACE, (IPv4Address("198.51.100.99"),))
    with pytest.raises(Refused, match="fip_in"):
        backend.apply(Delta({}, {absent: (IPv4Address("10.0.1.3"),)}))
    check(backend, small().state)


@pytest.mark.parametrize("word", ['x" ; drop', "a\nb", "", "a b", "ü" * 3, "a,b"])
def test_words_that_are_none_are_refused(backend: Backend, word: str) -> None:
    settle(backend, small().state)
    router = small().routers[0]
    network = router.ports[0].network
    facts: tuple[tuple[Key, Row], ...] = (
        (Key(DHCP_HOST, PLACE, (network, "02:00:00:00:00:99")), (IPv4Address("10.0.1.9"), word or " ")),
        (Key(BRIDGE, HOST, (f"mb{word}",)), (1500,)),
    )
    for key, value in facts:
        with pytest.raises(Refused):
            backend.apply(Delta({key: value}, {}))
    check(backend, small().state)


def test_ports_of_a_bridge_that_goes_are_wrong_then(backend: Backend) -> None:
    settle(backend, small().state)
    bridge = Key(BRIDGE, HOST, (bridge_name(NetworkId(RED)),))
    backend.apply(Delta({}, {bridge: small().state[bridge]}))
    state = backend.read()
    assert bridge not in state
    settle(backend, small().state)
    check(backend, small().state)
    assert Key(PORT, HOST, (port_name(ALICE),)) in backend.read()


@given(steps=st.lists(clouds() | preferring(max_uplinks=2) | forwarding(), min_size=1, max_size=6))
@settings(same_host, max_examples=100)
def test_any_history_ends_as_its_last_state(fake: Backend, steps: list[Cloud]) -> None:
    history(fake, [cloud.state for cloud in steps])


@pytest.mark.kernel
@given(steps=st.lists(clouds() | preferring(max_uplinks=2) | forwarding(), min_size=1, max_size=4))
@settings(same_host, max_examples=8)
def test_any_history_ends_as_its_last_state_in_the_kernel(kernel: Backend, steps: list[Cloud]) -> None:
    history(kernel, [cloud.state for cloud in steps])
