"""Facts, their text and order, and the laws of differences between host states."""

from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Network
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.compile import tables
from mooring.compile.facts import (
    HOST,
    Contradiction,
    Fact,
    Key,
    Place,
    PlaceKind,
    Span,
    Stage,
    Table,
    diff,
    lines,
    patched,
    union,
)
from mooring.compile.facts import _order as order
from mooring.compile.host import compile_host, facts_of
from mooring.compile.tables import (
    ADDRESS,
    BRIDGE,
    OBSERVED,
    PF_IN_BLOCKS,
    PF_PAIR_BLOCKS,
    SLOTS4,
    SLOTS6,
    SLOTS_MANY,
    TABLES,
)
from mooring.model.ids import short
from mooring.model.nouns import AddressRange
from mooring.model.subjects import HostRole
from tests.strategies import clouds, uuid

PLACES = st.sampled_from([HOST, Place(PlaceKind.ROUTER, "r1"), Place(PlaceKind.ROUTER, "r2")])
TEXT = st.sampled_from(["", "a", "ab", "b"])
NETWORKS = st.sampled_from([IPv4Network(text) for text in ("10.0.0.0/8", "10.0.0.0/16", "10.0.0.0/24", "0.0.0.0/0")])
ADDRESSES = st.sampled_from([IPv4Address("10.0.0.1"), IPv4Address("10.0.0.2"), IPv4Address("9.0.0.1")])
INTERFACES = st.builds(
    lambda address, bits: IPv4Interface(f"{address}/{bits}"), ADDRESSES, st.sampled_from([8, 24, 32])
)
ATOMS = {
    str: TEXT,
    int: st.integers(0, 3),
    IPv4Address: ADDRESSES,
    IPv4Interface: INTERFACES,
    IPv4Network: NETWORKS,
    IPv6Address: st.sampled_from([IPv6Address("fe80::1"), IPv6Address("::")]),
    IPv6Network: st.sampled_from([IPv6Network("::/0"), IPv6Network("2001:db8::/32"), IPv6Network("2001:db8::/64")]),
    Span: st.sampled_from([Span(0, 255), Span(6, 6), Span(6, 17)]),
    AddressRange: st.builds(AddressRange, ADDRESSES, ADDRESSES),
}


@st.composite
def facts(draw) -> Fact:
    table = draw(st.sampled_from(TABLES))
    row, value = (tuple(draw(ATOMS[part]) for part in parts) for parts in (table.key, table.value))
    return Fact(Key(table, draw(PLACES), row), value)


STATES = st.dictionaries(facts().map(lambda fact: fact.key), TEXT.map(lambda text: (text,)), max_size=12)


@given(STATES, STATES)
def test_a_difference_applied_gives_what_was_wanted(actual, desired):
    delta = diff(actual, desired)
    assert patched(actual, delta) == desired
    assert patched(desired, diff(desired, actual)) == actual
    assert bool(delta) is (actual != desired)
    assert all(actual[key] == value for key, value in delta.drop.items())
    assert all(desired[key] == value for key, value in delta.put.items())


@given(STATES)
def test_a_state_does_not_differ_from_itself(state):
    assert not diff(state, dict(state))
    assert str(diff(state, dict(state))) == ""
    assert diff({}, state).put == state == diff(state, {}).drop


@given(STATES, STATES)
def test_a_difference_says_no_more_than_it_must(actual, desired):
    delta = diff(actual, desired)
    same = {key for key in actual if desired.get(key) == actual[key]}
    assert not same & (set(delta.put) | set(delta.drop))


@given(st.lists(facts(), max_size=12), st.randoms())
def test_the_order_of_keys_is_total(some, random):
    """Two keys are equal in order only if they are equal, so text never depends on the order of a dictionary."""
    keys = list({fact.key for fact in some})
    assert len({order(key) for key in keys}) == len(keys)
    shuffled = keys[:]
    random.shuffle(shuffled)
    assert sorted(shuffled, key=order) == sorted(keys, key=order)


def test_one_address_with_several_lengths_has_an_order():
    keys = [Key(ADDRESS, HOST, ("eth0", IPv4Interface(f"10.0.0.1/{bits}"))) for bits in range(33)]
    shuffled = keys[:]
    Random(1).shuffle(shuffled)
    assert sorted(shuffled, key=order) == keys


@given(st.lists(facts(), max_size=12))
def test_equal_keys_hash_alike(some):
    for fact in some:
        key = fact.key
        twin = Key(
            Table(key.table.stage, key.table.name, key.table.key), Place(key.place.kind, key.place.id), (*key.row,)
        )
        assert twin == key
        assert hash(twin) == hash(key)


def test_a_fact_is_a_line():
    table = Table(Stage.ADDRESS, "thing", (str, int), (str, str))
    place = Place(PlaceKind.ROUTER, "r1")
    assert str(Fact(Key(table, place, ("a", 1)), ("x", ""))) == 'router/r1 thing a 1 = x ""'
    assert str(Fact(Key(table, HOST, ("a", 1)))) == "host thing a 1"
    assert str(Fact(Key(table, HOST, ()))) == "host thing"


def test_a_changed_fact_shows_its_old_value_before_its_new_one():
    key = Key(BRIDGE, HOST, ("br",))
    other = Key(BRIDGE, HOST, ("ar",))
    delta = diff({key: (1400,)}, {key: (1500,), other: (1500,)})
    assert str(delta) == "+ host bridge ar = 1500\n- host bridge br = 1400\n+ host bridge br = 1500\n"


def test_two_facts_in_one_place_are_a_contradiction_that_names_both():
    key = Key(BRIDGE, HOST, ("br",))
    with pytest.raises(Contradiction, match=r"host bridge br = 1400 \| host bridge br = 1500$") as caught:
        union([Fact(key, (1400,)), Fact(key, (1500,))])
    assert caught.value.key == key


def test_table_names_are_unique_and_each_table_is_listed():
    assert len({table.name for table in TABLES}) == len(TABLES)
    single = {value for value in vars(tables).values() if isinstance(value, Table)}
    assert single | {*SLOTS4, *SLOTS6, *SLOTS_MANY, *PF_IN_BLOCKS, *PF_PAIR_BLOCKS} == {*TABLES, *OBSERVED}


@given(clouds())
def test_valid_subjects_never_contradict_each_other(cloud):
    state = compile_host(cloud.placed)
    assert len(state) == sum(1 for subject, role in cloud.placed for _ in facts_of(subject, role))


@given(clouds(), st.randoms())
def test_the_same_subjects_in_any_order_make_the_same_text(cloud, random):
    placed = cloud.placed
    random.shuffle(placed)
    assert list(lines(compile_host(placed))) == list(lines(cloud.state))


@given(clouds())
def test_facts_of_depends_on_nothing_but_its_arguments(cloud):
    for subject, role in cloud.placed:
        assert list(facts_of(subject, role)) == list(facts_of(subject, role))


@given(clouds())
def test_every_fact_has_the_types_of_its_table(cloud):
    for key, value in cloud.state.items():
        assert [type(part) for part in (*key.row, *value)] == [*key.table.key, *key.table.value]


@given(clouds())
def test_device_names_fit_the_kernel(cloud):
    for key, value in cloud.state.items():
        if key.table.stage in {Stage.BRIDGE, Stage.LINK, Stage.PORT}:
            names = [part for part in (*key.row, *value) if isinstance(part, str) and ":" not in part and part]
            assert all(len(name) <= 15 for name in names)


@given(clouds())
def test_facts_of_nics_stay_with_their_router_or_port(cloud):
    """One NIC's change never touches another's facts: its facts are its own, whatever else exists."""
    for nic in cloud.nics:
        for fact in facts_of(nic, HostRole.GATEWAY):
            assert fact.key.place == Place(PlaceKind.ROUTER, nic.router)
        for fact in facts_of(nic, HostRole.COMPUTE):
            assert fact.key.place == HOST


def test_identifiers_differ_in_the_part_that_names_devices():
    """The strategies' own promise, on which the uniqueness of device names rests."""
    made = [uuid(kind, number) for kind in "abcde" for number in range(64)]
    assert len({short(one) for one in made}) == len(made)
