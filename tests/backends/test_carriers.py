"""What every back-end promises of networks between hosts: trunks, VLANs, tunnels with what they are told; and of rules."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mooring.agent.interfaces import Backend, Refused
from mooring.compile.carriers import EVERYBODY
from mooring.compile.facts import HOST, Delta, HostState, Key, Row, diff
from mooring.compile.host import compile_host
from mooring.compile.links import OWNED_PRIORITY, OWNED_TABLE, router_place
from mooring.compile.tables import BRIDGE, FDB, NEIGHBOUR, PORT, ROUTE, ROUTE_IN, RULE, TABLES, TRUNK, VXLAN
from mooring.model.ids import NetworkId, NicId, bridge_name, uplink_name, vxlan_name
from mooring.model.subjects import (
    Carrier,
    HostRole,
    NetworkIntent,
    NicAddress,
    NicIntent,
    Subject,
    Trunk,
    TunnelPeer,
    Vxlan,
)
from tests.backends.histories import check, history, same_host, settle
from tests.compile.small import FIRST, ROUTER, small
from tests.compile.walled import walls
from tests.strategies import ENDPOINT, PEERS, SEGMENT, Cloud, carried, forwarding, mac, preferring, uuid

NETWORK, OTHER = NetworkId(uuid("a", 7)), NetworkId(uuid("a", 8))
DEVICE, BRIDGE_DEVICE = vxlan_name(NETWORK), bridge_name(NETWORK)
GATEWAY = TunnelPeer(mac(0xA1, 0), IPv4Address("10.0.0.1"), PEERS[0])
TUNNEL = Vxlan(17, ENDPOINT, GATEWAY)
LOCAL, FAR = NicId(uuid("d", 1)), NicId(uuid("d", 2))


def nic(id: NicId, network: NetworkId = NETWORK, endpoint: IPv4Address = ENDPOINT) -> NicIntent:
    number = int(id[1:8], 16)
    addresses = tuple(NicAddress(IPv4Address("10.0.0.0") + 10 * number + extra) for extra in (0, 1))
    return NicIntent(id, 1, network, None, mac(0xD0, number), f"guest-{number}", addresses, endpoint=endpoint)


def host(*carriers: Carrier | None, far: tuple[NicIntent, ...] = ()) -> HostState:
    """Return a host with a network for each carrier and a guest on each, and some NICs that are elsewhere."""
    placed: list[tuple[Subject, HostRole]] = []
    for number, carrier in enumerate(carriers):
        network = NetworkId(uuid("a", 7 + number))
        placed.append((NetworkIntent(network, 1, 1400, carrier), HostRole.COMPUTE))
        placed.append((nic(NicId(uuid("d", 100 + number)), network), HostRole.COMPUTE))
    return compile_host([*placed, *((one, HostRole.PEER) for one in far)])


TUNNELLED = host(TUNNEL, far=(nic(FAR, endpoint=PEERS[1]),))
STATES: dict[str, HostState] = {
    "bridge": host(None),
    "trunk": host(Trunk(SEGMENT)),
    "tunnel": host(TUNNEL),
    "gateway": host(Vxlan(17, ENDPOINT)),
    "tunnel with a far guest": TUNNELLED,
    "all": host(Trunk(SEGMENT), TUNNEL, Vxlan(18, ENDPOINT)),
}


@pytest.mark.parametrize("name", STATES)
def test_what_was_applied_is_read_and_needs_no_change(backend: Backend, name: str) -> None:
    state = STATES[name]
    settle(backend, state)
    check(backend, state)
    assert backend.read(HOST) == state
    backend.apply(Delta(state, {}))
    check(backend, state)
    settle(backend, {})
    assert backend.read() == {}


@pytest.mark.parametrize("after", STATES)
@pytest.mark.parametrize("before", ["tunnel with a far guest", "trunk"])
def test_a_network_changes_how_it_is_carried(backend: Backend, before: str, after: str) -> None:
    for name in (before, after, before):
        settle(backend, STATES[name])
        check(backend, STATES[name])


@pytest.mark.parametrize(
    "changed",
    [
        host(replace(TUNNEL, gateway=replace(GATEWAY, endpoint=PEERS[1])), far=(nic(FAR, endpoint=PEERS[1]),)),
        host(replace(TUNNEL, gateway=replace(GATEWAY, mac=mac(0xA1, 9))), far=(nic(FAR, endpoint=PEERS[1]),)),
        host(replace(TUNNEL, gateway=None), far=(nic(FAR, endpoint=PEERS[1]),)),
        host(TUNNEL, far=(nic(FAR, endpoint=PEERS[0]),)),
        host(TUNNEL, far=(replace(nic(FAR, endpoint=PEERS[1]), mac=mac(0xD0, 77)),)),
        host(TUNNEL, far=(replace(nic(FAR, endpoint=PEERS[1]), addresses=()),)),
        host(TUNNEL, far=(nic(FAR, endpoint=PEERS[1]), nic(LOCAL, endpoint=PEERS[1]))),
        host(replace(TUNNEL, vni=99), far=(nic(FAR, endpoint=PEERS[1]),)),
        host(replace(TUNNEL, endpoint=PEERS[0] + 10), far=(nic(FAR, endpoint=PEERS[1]),)),
    ],
    ids=["gateway moves", "gateway's mac", "no gateway", "guest moves", "mac", "no address", "one more", "VNI", "endpoint"],
)  # fmt: skip
def test_what_changes_changes_and_what_stays_stays(backend: Backend, changed: HostState) -> None:
    for state in (TUNNELLED, changed, TUNNELLED):
        settle(backend, state)
        check(backend, state)


def test_identifiers_swap_in_one_change(backend: Backend) -> None:
    far = (nic(FAR, endpoint=PEERS[1]), nic(LOCAL, OTHER, PEERS[0]))
    for numbers in ((17, 18), (18, 17), (17, 18)):
        state = host(*(Vxlan(number, ENDPOINT, GATEWAY) for number in numbers), far=far)
        settle(backend, state)
        check(backend, state)


def test_a_trunk_moves_from_bridge_to_bridge(backend: Backend) -> None:
    for carriers in ((Trunk(SEGMENT), None), (None, Trunk(SEGMENT)), (None, None)):
        settle(backend, host(*carriers))
        check(backend, host(*carriers))


def test_a_trunk_is_let_go_with_its_bridge(backend: Backend) -> None:
    state = host(Trunk(SEGMENT))
    settle(backend, state)
    bridge = Key(BRIDGE, HOST, (BRIDGE_DEVICE,))
    backend.apply(Delta({}, {bridge: state[bridge]}))
    assert not any(key.table == TRUNK for key in backend.read())
    settle(backend, state)
    check(backend, state)


def test_entries_go_with_their_tunnel(backend: Backend) -> None:
    settle(backend, TUNNELLED)
    key = Key(VXLAN, HOST, (DEVICE,))
    backend.apply(Delta({}, {key: TUNNELLED[key]}))
    assert not any(key.table in (VXLAN, FDB, NEIGHBOUR) for key in backend.read())
    settle(backend, TUNNELLED)
    check(backend, TUNNELLED)


_MISPLACED: dict[str, tuple[Key, Row]] = {
    "a forwarding entry without a tunnel": (Key(FDB, HOST, (vxlan_name(OTHER), mac(1, 1))), (PEERS[0],)),
    "a neighbour without a tunnel": (Key(NEIGHBOUR, HOST, (vxlan_name(OTHER), PEERS[0])), (mac(1, 1),)),
    "a mac that is none": (Key(FDB, HOST, (DEVICE, "02:00:00:00:00")), (PEERS[0],)),
    "a neighbour's mac that is none": (Key(NEIGHBOUR, HOST, (DEVICE, PEERS[0])), ("x",)),
    "a tunnel without a bridge": (Key(VXLAN, HOST, (vxlan_name(OTHER),)), (18, ENDPOINT, bridge_name(OTHER), 1400)),
    "a tunnel of another's VNI": (Key(VXLAN, HOST, (vxlan_name(OTHER),)), (17, ENDPOINT, BRIDGE_DEVICE, 1400)),
    "a tunnel with a name not ours": (Key(VXLAN, HOST, ("vxlan0",)), (18, ENDPOINT, BRIDGE_DEVICE, 1400)),
    "a trunk without a bridge": (Key(TRUNK, HOST, (SEGMENT,)), (bridge_name(OTHER),)),
    "a trunk that is not there": (Key(TRUNK, HOST, ("nosuch0",)), (BRIDGE_DEVICE,)),
}


@pytest.mark.parametrize("name", _MISPLACED)
def test_what_cannot_be_is_refused_by_name_and_the_rest_stays(backend: Backend, name: str) -> None:
    settle(backend, TUNNELLED)
    key, value = _MISPLACED[name]
    with pytest.raises(Refused) as refusal:
        backend.apply(Delta({key: value}, {}))
    assert f"{key.table.name} {key.row[0]}" in str(refusal.value)
    check(backend, TUNNELLED)


def test_an_entry_of_a_bulk_that_is_refused_is_named(backend: Backend) -> None:
    settle(backend, TUNNELLED)
    good = {Key(FDB, HOST, (DEVICE, mac(2, number))): (PEERS[0],) for number in range(300)}
    bad = Key(FDB, HOST, (vxlan_name(OTHER), mac(3, 1)))
    with pytest.raises(Refused, match=mac(3, 1)):
        backend.apply(Delta({**good, bad: (PEERS[0],)}, {}))
    settle(backend, TUNNELLED)
    check(backend, TUNNELLED)


def test_everybody_has_one_goal(backend: Backend) -> None:
    key = Key(FDB, HOST, (DEVICE, EVERYBODY))
    assert TUNNELLED[key] == (PEERS[0],)
    settle(backend, TUNNELLED)
    for goal in (PEERS[1], PEERS[0], PEERS[1]):
        backend.apply(diff(backend.read(), {**TUNNELLED, key: (goal,)}))
        assert backend.read()[key] == (goal,)


# ------------------------------------------------------------------------------------------------ routers on one uplink

PLACE = router_place(ROUTER)
ALONE = small()
_ROUTER = ALONE.routers[0]
SHARED = replace(ALONE, routers=(replace(_ROUTER, uplinks=(replace(_ROUTER.uplinks[0], alone=False),)),))


def test_a_router_is_alone_on_its_uplink_and_is_not(backend: Backend) -> None:
    settle(backend, ALONE.state)
    for cloud in (SHARED, ALONE):
        delta = settle(backend, cloud.state)
        check(backend, cloud.state)
        assert {key.table for key in (*delta.put, *delta.drop)} == {ROUTE, RULE, ROUTE_IN}


def test_rules_and_their_routes_come_and_go(backend: Backend) -> None:
    settle(backend, SHARED.state)
    device = uplink_name(FIRST.uplink)
    more = {
        Key(RULE, PLACE, (OWNED_PRIORITY, device, IPv4Network("203.0.113.0/24"))): (OWNED_TABLE,),
        Key(ROUTE_IN, PLACE, (OWNED_TABLE, IPv4Network("203.0.113.0/24"))): ("lo", ""),
        Key(ROUTE_IN, PLACE, (77, IPv4Network("0.0.0.0/0"))): (device, "198.51.100.1"),
    }
    for state in ({**SHARED.state, **more}, SHARED.state, {**SHARED.state, **more}):
        settle(backend, state)
        check(backend, state)
    other = {**SHARED.state, **more, next(iter(more)): (77,)}
    settle(backend, other)
    check(backend, other)
    # A device takes its routes along, and what the rest asks for is put back.
    settle(backend, replace(SHARED, routers=(replace(SHARED.routers[0], uplinks=()),)).state)
    settle(backend, other)
    check(backend, other)


def test_a_route_of_a_table_needs_its_device(backend: Backend) -> None:
    settle(backend, SHARED.state)
    with pytest.raises(Refused, match="route_in 900"):
        backend.apply(
            Delta({Key(ROUTE_IN, PLACE, (OWNED_TABLE, IPv4Network("10.9.0.0/16"))): ("mu00000000000", "")}, {})
        )
    check(backend, SHARED.state)


# ------------------------------------------------------------------------------------------------------------- histories


@given(steps=st.lists(carried(), min_size=1, max_size=5))
@settings(same_host, max_examples=100)
def test_any_history_ends_as_its_last_state(fake: Backend, steps: list[Cloud]) -> None:
    history(fake, [cloud.state for cloud in steps])


@pytest.mark.kernel
@given(steps=st.lists(carried(vlans=False), min_size=1, max_size=4))
@settings(same_host, max_examples=8)
def test_any_history_ends_as_its_last_state_in_the_kernel(kernel: Backend, steps: list[Cloud]) -> None:
    history(kernel, [cloud.state for cloud in steps])


@pytest.mark.vm
@given(steps=st.lists(carried(), min_size=1, max_size=4))
@settings(same_host, max_examples=8)
def test_any_history_with_vlans_ends_as_its_last_state(kernel: Backend, steps: list[Cloud]) -> None:
    history(kernel, [cloud.state for cloud in steps])


def test_every_table_is_drawn() -> None:
    """A generator that never draws a kind of fact tests nothing of it."""
    seen: set[str] = set()

    @given(cloud=preferring() | forwarding() | carried() | walls())
    @settings(max_examples=600, database=None, derandomize=True)
    def draw(cloud: Cloud) -> None:
        seen.update(key.table.name for key in cloud.state)

    draw()
    assert seen == {table.name for table in TABLES}
    assert PORT.name in seen
