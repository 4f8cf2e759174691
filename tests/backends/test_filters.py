"""What every back-end promises of filtered ports and security groups."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mooring.agent.interfaces import Backend, Refused
from mooring.compile.facts import HOST, Delta, Key, Row, Span
from mooring.compile.tables import (
    BRIDGE_FILTER,
    GROUP,
    IN4,
    OWN4,
    PEERS_IN,
    PORT,
    SLOTS4,
)
from mooring.model.ids import bridge_name, port_name
from mooring.model.subjects import Direction, FilterRule, NicFilter
from tests.backends.histories import check, same_host, settle
from tests.compile.small import ALICE, RED, small
from tests.compile.walled import OPEN, OWN, RICH, WEB, group, walled, walls
from tests.strategies import Cloud


def test_what_was_applied_is_what_is_read_and_needs_no_change(backend: Backend) -> None:
    state = walled().state
    settle(backend, state)
    check(backend, state)
    assert not settle(backend, state)
    backend.apply(Delta(state, {}))
    check(backend, state)


def test_filters_come_and_go_while_guests_run(backend: Backend) -> None:
    bare, full = small(), walled()
    some = replace(full, nics=(*full.nics[:2], *bare.nics[2:]))
    for cloud in (bare, full, some, full, bare):
        settle(backend, cloud.state)
        check(backend, cloud.state)


def test_groups_and_members_change(backend: Backend) -> None:
    for cloud in (
        walled(OPEN, OWN, members=((1, 2), (2,), (), (1,))),
        walled(OWN, RICH, members=((2,), (2, 4), (1, 2, 4), (9,))),
        walled(group(2), group(4), members=((2,), (2, 4), (4,), tuple(range(1, 9)))),
        walled(group(4, FilterRule(Direction.INGRESS, 4, remote_group=7)), RICH_TOO, members=((4,), (7,), (), ())),
        walled(members=((), (), (), ())),
    ):
        settle(backend, cloud.state)
        check(backend, cloud.state)


RICH_TOO = replace(RICH, id=WEB.id, number=7)


def test_addresses_of_both_families_come_and_go(backend: Backend) -> None:
    cloud = walled()
    extra = (IPv4Address("10.0.1.200"), IPv6Address("2001:db8::7"), IPv6Address("::ffff:1"))
    wide = replace(cloud.nics[0], filter=NicFilter((2,), extra))
    for nics in (cloud.nics, (wide, *cloud.nics[1:]), cloud.nics):
        state = replace(cloud, nics=nics).state
        settle(backend, state)
        check(backend, state)


def test_rules_that_take_each_others_place_change_in_one_step(backend: Backend) -> None:
    """A wide one for several narrow ones and back: the kernel's sets take no overlaps, not even for a moment."""
    wide = group(4, FilterRule(Direction.INGRESS, 4, 6, 1, 1000))
    narrow = group(4, *(FilterRule(Direction.INGRESS, 4, 6, port, port) for port in (22, 80, 443, 1000)))
    nested = group(
        4,
        FilterRule(Direction.INGRESS, 4, 6, 20, 30, IPv4Network("10.0.0.0/8")),
        FilterRule(Direction.INGRESS, 4, 6, 22, 22),
        FilterRule(Direction.INGRESS, 4),
    )
    for one in (wide, narrow, nested, wide, nested, narrow):
        state = walled(one).state
        settle(backend, state)
        check(backend, state)


def test_a_group_takes_its_rules_along(backend: Backend) -> None:
    full, less = walled(OPEN, RICH).state, walled(OPEN).state
    settle(backend, full)
    delta = settle(backend, less)
    assert Key(GROUP, HOST, (4,)) in delta.drop
    check(backend, less)


def test_the_last_filter_takes_the_rules_along(backend: Backend) -> None:
    settle(backend, walled().state)
    settle(backend, {})
    assert backend.read() == {}


_BRIDGE, _PORT = bridge_name(RED), port_name(ALICE)
_ADDRESS = IPv4Address("10.0.1.3")
_MISPLACED: dict[str, tuple[Key, Row]] = {
    "an element without rules": (Key(OWN4, HOST, (_PORT, "02:00:00:00:00:01", _ADDRESS)), ()),
    "a group without rules": (Key(GROUP, HOST, (4,)), ("", "")),
    "a rule without a group": (Key(IN4, HOST, (4, Span(6, 6), Span(22, 22), IPv4Network("0.0.0.0/0"))), ()),
    "a filter without a bridge": (Key(BRIDGE_FILTER, HOST, (_BRIDGE,)), ()),
    "a filtered port without a bridge": (Key(PORT, HOST, (_PORT,)), (_BRIDGE, "mg" + _PORT[2:], "02:00:00:00:00:01")),
}


@pytest.mark.parametrize("key, value", _MISPLACED.values(), ids=_MISPLACED.keys())
def test_what_has_nothing_to_stand_on_is_refused(backend: Backend, key: Key, value: Row) -> None:
    with pytest.raises(Refused) as refusal:
        backend.apply(Delta({key: value}, {}))
    assert key.table.name in str(refusal.value)
    assert key not in backend.read()


def test_no_port_is_filtered_where_nothing_is(backend: Backend) -> None:
    """A guest that must be filtered is not plugged in before it is."""
    state = dict(walled().state)
    port = Key(PORT, HOST, (_PORT,))
    unfiltered = {key: value for key, value in state.items() if key.table not in {BRIDGE_FILTER, PORT}}
    settle(backend, unfiltered)
    with pytest.raises(Refused, match="port"):
        backend.apply(Delta({port: state[port]}, {}))
    assert port not in backend.read()


def test_rules_that_overlap_are_refused(backend: Backend) -> None:
    settle(backend, walled().state)
    before = backend.read()
    half = Key(IN4, HOST, (4, Span(6, 6), Span(25, 40), IPv4Network("10.0.0.0/16")))
    with pytest.raises(Refused, match="in4"):
        backend.apply(Delta({half: ()}, {}))
    assert backend.read() == before


_ODD: dict[str, tuple[Key, Row]] = {
    "ports the wrong way round": (Key(IN4, HOST, (4, Span(6, 6), Span(9, 5), IPv4Network("192.0.2.0/24"))), ()),
    "a family of another table": (Key(PEERS_IN, HOST, (4, 9, "ipv5", Span(6, 6), Span(5, 9))), ()),
    "a word": (Key(SLOTS4[0], HOST, ('x" drop', _ADDRESS)), (1,)),
}


@pytest.mark.kernel
@pytest.mark.parametrize("key, value", _ODD.values(), ids=_ODD.keys())
def test_an_odd_rule_is_refused_and_changes_nothing(kernel: Backend, key: Key, value: Row) -> None:
    settle(kernel, walled().state)
    before = kernel.read()
    good = Key(IN4, HOST, (4, Span(17, 17), Span(5, 5), IPv4Network("192.0.2.0/24")))
    with pytest.raises(Refused):
        kernel.apply(Delta({key: value, good: ()}, {}))
    assert kernel.read() == before


@pytest.mark.parametrize("which", ["fake", pytest.param("kernel", marks=pytest.mark.kernel)])
@settings(same_host, max_examples=15)
@given(st.lists(walls(), min_size=1, max_size=3))
def test_any_walls_follow_on_any(request: pytest.FixtureRequest, which: str, some: list[Cloud]) -> None:
    backend: Backend = request.getfixturevalue(which)
    for cloud in some:
        settle(backend, cloud.state)
        check(backend, cloud.state)
