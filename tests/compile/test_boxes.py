"""Boxes: they admit what the rules do, and no two of them overlap, whatever the rules are."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from itertools import combinations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mooring.compile.boxes import Box, Prefix, disjoint
from mooring.compile.facts import Span

EVERY, ALL_PORTS = Span(0, 255), Span(0, 65535)
WORLD, TEN, NEAR, HOST = (IPv4Network(text) for text in ("0.0.0.0/0", "10.0.0.0/8", "10.0.1.0/24", "10.0.1.7/32"))
SIX = [IPv6Network(text) for text in ("::/0", "2001:db8::/32", "2001:db8:0:1::/64", "fe80::/10")]
FOUR = [WORLD, TEN, NEAR, HOST, IPv4Network("10.0.2.0/23"), IPv4Network("192.0.2.0/25"), IPv4Network("192.0.2.128/25")]
PORTS = st.tuples(st.sampled_from([0, 1, 20, 22, 23, 80, 65535]), st.sampled_from([0, 1, 22, 24, 80, 443, 65535])).map(
    lambda ends: Span(min(ends), max(ends))
)


def box(protocol: int, first: int, last: int, prefix: Prefix) -> Box:
    return Box(Span(protocol, protocol), Span(first, last), prefix)


def boxes(prefixes: list[Prefix]) -> st.SearchStrategy[list[Box]]:
    prefix = st.sampled_from(prefixes)
    single = st.builds(
        lambda one, ports, at: Box(Span(one, one), ports, at), st.sampled_from([0, 1, 6, 17, 255]), PORTS, prefix
    )
    whole = st.builds(lambda at: Box(EVERY, ALL_PORTS, at), prefix)
    return st.lists(st.one_of(single, single, whole), max_size=9)


def admits(some: list[Box], protocol: int, port: int, address: IPv4Address | IPv6Address) -> int:
    """Return how many boxes a flow is in."""
    return sum(
        one.protocols.first <= protocol <= one.protocols.last
        and one.ports.first <= port <= one.ports.last
        and address in one.prefix
        for one in some
    )


def edges(some: list[Box]) -> tuple[set[int], set[int], set[IPv4Address | IPv6Address]]:
    """Return the protocols, ports and addresses at which something can change, and their neighbours."""
    protocols, ports, addresses = {0, 255}, {0, 65535}, set[IPv4Address | IPv6Address]()
    for one in some:
        protocols |= {one.protocols.first + step for step in (-1, 0, 1)} | {
            one.protocols.last + step for step in (-1, 0, 1)
        }
        ports |= {one.ports.first + step for step in (-1, 0)} | {one.ports.last + step for step in (0, 1)}
        addresses |= {one.prefix.network_address, one.prefix.broadcast_address}
        if one.prefix.prefixlen:
            addresses |= {one.prefix.network_address - 1}
    return {it for it in protocols if 0 <= it < 256}, {it for it in ports if 0 <= it < 65536}, addresses


@given(st.one_of(boxes(list(FOUR)), boxes(list(SIX))))
@example([box(6, 22, 22, WORLD), Box(EVERY, ALL_PORTS, TEN), box(6, 20, 30, NEAR)])
@example([Box(EVERY, ALL_PORTS, TEN), Box(EVERY, ALL_PORTS, NEAR), box(17, 53, 53, WORLD)])
def test_boxes_admit_what_the_rules_do_and_each_flow_once(rules: list[Box]) -> None:
    found = disjoint(rules)
    protocols, ports, addresses = edges([*rules, *found])
    for protocol in protocols:
        for port in ports:
            for address in addresses:
                assert admits(found, protocol, port, address) == bool(admits(rules, protocol, port, address))


@given(st.one_of(boxes(list(FOUR)), boxes(list(SIX))))
def test_no_two_boxes_overlap(rules: list[Box]) -> None:
    for one, other in combinations(disjoint(rules), 2):
        apart = (
            one.protocols.last < other.protocols.first
            or other.protocols.last < one.protocols.first
            or one.ports.last < other.ports.first
            or other.ports.last < one.ports.first
            or not one.prefix.overlaps(other.prefix)
        )
        assert apart, f"{one} {other}"


@pytest.mark.parametrize(
    "rules, expected",
    [
        ([], []),
        ([box(6, 22, 22, WORLD)], [box(6, 22, 22, WORLD)]),
        ([box(6, 22, 22, WORLD), box(6, 22, 22, WORLD)], [box(6, 22, 22, WORLD)]),
        ([box(6, 22, 22, WORLD), box(6, 23, 25, WORLD)], [box(6, 22, 25, WORLD)]),
        ([box(6, 22, 22, WORLD), box(6, 22, 22, TEN)], [box(6, 22, 22, WORLD)]),
        (
            [box(6, 22, 22, WORLD), box(6, 20, 25, TEN)],
            [box(6, 22, 22, WORLD), box(6, 20, 21, TEN), box(6, 23, 25, TEN)],
        ),
        (
            [box(6, 22, 22, WORLD), Box(EVERY, ALL_PORTS, TEN)],
            [
                Box(Span(0, 5), ALL_PORTS, TEN),
                Box(Span(7, 255), ALL_PORTS, TEN),
                box(6, 22, 22, WORLD),
                box(6, 0, 21, TEN),
                box(6, 23, 65535, TEN),
            ],
        ),
    ],
)
def test_rules_become_these_boxes(rules: list[Box], expected: list[Box]) -> None:
    assert disjoint(rules) == expected


def test_many_rules_are_not_many_more_boxes() -> None:
    """What a tenant can ask for stays in proportion to what was asked."""
    rules = [box(6, port, port, IPv4Network(((10 << 24) + port * 256, 24))) for port in range(1, 201)]
    rules += [box(17, 1000, 2000, WORLD), Box(EVERY, ALL_PORTS, IPv4Network("192.0.2.0/24"))]
    assert len(disjoint(rules)) <= 2 * len(rules) + 10
