"""What we write into the kernel ourselves is what libnftables would write, and what is refused is named."""

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest

from mooring.backends.linux import elements, encoding, groups, ruleset
from mooring.backends.linux.netns import Inside
from mooring.backends.linux.space import Space
from mooring.compile.facts import HOST, Delta, Key, Refused, Row, Span
from mooring.compile.filters import HOST_RULESET
from mooring.compile.tables import (
    ASKS,
    FILTERED,
    IN4,
    IN6,
    MEMBERS4,
    NUMBER,
    OWN4,
    PEERS_IN,
    RULESET,
    SLOTS4,
    SLOTS6,
    SLOTS_MANY,
    TARGET6,
    ZONE,
)
from tests.backends.lab import Lab

pytestmark = pytest.mark.kernel

PORT, BRIDGE, MAC = "mp0123456789a", "mb0123456789a", "02:00:00:00:00:0a"
FOUR, SIX = IPv4Address("10.0.0.5"), IPv6Address("2001:db8::5")
TCP = Span(6, 6)

FACTS: dict[Key, Row] = {
    Key(OWN4, HOST, (PORT, MAC, FOUR)): (),
    Key(TARGET6, HOST, (PORT, MAC, SIX)): (),
    Key(ASKS, HOST, (PORT, MAC)): (),
    Key(NUMBER, HOST, (PORT,)): (0x0A000005,),
    Key(ZONE, HOST, (BRIDGE,)): (0x1234,),
    Key(FILTERED, HOST, (BRIDGE,)): (),
    Key(SLOTS4[0], HOST, (BRIDGE, FOUR)): (0x1020304,),
    Key(SLOTS6[7], HOST, (BRIDGE, SIX)): (5,),
    Key(SLOTS_MANY[1], HOST, (BRIDGE, 0x0A000005)): (5,),
    Key(MEMBERS4, HOST, (0x1020304, FOUR)): (),
    Key(IN4, HOST, (5, TCP, Span(0x102, 0x304), IPv4Network("10.0.0.0/9"))): (),
    Key(IN4, HOST, (5, Span(7, 255), Span(0, 65535), IPv4Network("0.0.0.0/0"))): (),
    Key(IN6, HOST, (5, TCP, Span(22, 22), IPv6Network("2001:db8::/33"))): (),
    Key(PEERS_IN, HOST, (5, 0x1020304, "ipv6", TCP, Span(22, 80))): (),
}


@pytest.fixture
def host(lab: Lab) -> Iterator[Space]:
    """A host's namespace with the static rules, and one security group."""
    space = Space(HOST, Inside(lab.host, "test"))
    ruleset.put(space, Key(RULESET, HOST, (HOST_RULESET,)), ())
    space.writer.run([*groups.making(groups.Group(5, (6,), ()))])
    yield space
    space.close()


def held(space: Space) -> dict[str, set[tuple[bytes, bytes | None, bytes | None]]]:
    """Return what the kernel holds of the facts' sets, byte by byte."""
    sets = {elements.where_of(HOST_RULESET, key)[0] for key in FACTS}
    return {it.name: set(space.nfnetlink.elements(it.family, it.table, it.name)) for it in sets}


def test_elements_are_written_as_libnftables_writes_them(host: Space) -> None:
    nothing = held(host)
    host.inside.run(lambda: elements.change(host.nft, HOST_RULESET, FACTS, {}))
    expected = held(host)
    assert all(expected.values())
    host.writer.run(encoding.change(HOST_RULESET, {}, FACTS).messages)
    assert held(host) == nothing
    host.writer.run(encoding.change(HOST_RULESET, FACTS, {}).messages)
    assert held(host) == expected
    host.inside.run(lambda: elements.change(host.nft, HOST_RULESET, {}, FACTS))
    assert held(host) == nothing


def members(count: int) -> dict[Key, Row]:
    return {Key(MEMBERS4, HOST, (7, FOUR + number)): () for number in range(count)}


def test_the_one_element_that_is_refused_is_named_among_thousands(host: Space) -> None:
    ruleset.change_elements(host, Delta({Key(SLOTS4[0], HOST, (BRIDGE, FOUR + 1700)): (9,)}, {}))
    slots = {Key(SLOTS4[0], HOST, (BRIDGE, FOUR + number)): (5,) for number in range(2000)}
    with pytest.raises(Refused, match=rf"host slot4_1 {BRIDGE} {FOUR + 1700} = 5: it is there already"):
        ruleset.change_elements(host, Delta({**members(2000), **slots}, {}))
    assert len(ruleset.read(host).elements) == 1, "nothing of it was done"
    ruleset.change_elements(host, Delta(members(3), {}))
    with pytest.raises(Refused, match=rf"host members4 7 {FOUR + 3}: it is not there"):
        ruleset.change_elements(host, Delta({}, members(5)))
    assert len(ruleset.read(host).elements) == 4


def test_a_change_of_any_size_is_one_transaction(host: Space) -> None:
    many = members(30_000)
    before = host.nfnetlink.generation()
    ruleset.change_elements(host, Delta(many, {}))
    assert host.nfnetlink.generation() == before + 1
    assert ruleset.read(host).elements == many
    ruleset.change_elements(host, Delta({}, many))
    assert not ruleset.read(host).elements


@pytest.mark.parametrize(
    "key, value, reason",
    [
        (Key(IN4, HOST, (8, TCP, Span(1, 2), IPv4Network("10.0.0.0/8"))), (), "it is not there"),
        (Key(IN4, HOST, (5, TCP, Span(2, 1), IPv4Network("10.0.0.0/8"))), (), "ends before it begins"),
        (Key(IN4, HOST, (5, TCP, Span(1, 65536), IPv4Network("10.0.0.0/8"))), (), "65536 is no inet_service"),
        (Key(OWN4, HOST, ("a-name-too-long-for-it", MAC, FOUR)), (), "no ifname"),
        (Key(OWN4, HOST, (PORT, "02:00:00:00:00", FOUR)), (), "no ether_addr"),
        (Key(OWN4, HOST, (PORT, MAC, SIX)), (), "no ipv4_addr"),
        (Key(OWN4, HOST, (PORT, MAC)), (), "other columns"),
    ],
)
def test_what_can_be_no_element_is_refused_with_the_reason(host: Space, key: Key, value: Row, reason: str) -> None:
    with pytest.raises(Refused, match=rf"{key.table.name} .*{reason}"):
        ruleset.change_elements(host, Delta({key: value, **members(3)}, {}))
    assert not ruleset.read(host).elements
