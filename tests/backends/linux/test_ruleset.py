"""The static ruleset: as the kernel has it, whole or not at all, and changed without a packet noticing."""

import threading
from collections.abc import Callable
from ipaddress import IPv4Address, IPv4Network, IPv6Network

import pytest

from mooring.backends.linux import elements
from mooring.backends.linux.groups import SAMPLE, Group, group_set, making, sample
from mooring.backends.linux.nft import as_loaded, blocks, tables_in
from mooring.compile.facts import Key, Span, Stage
from mooring.compile.links import router_place
from mooring.compile.rulebook import group_rules
from mooring.compile.rules import group_chain
from mooring.compile.tables import FIP_IN, OF_GROUPS, PUBLIC, RULESET, TABLES
from mooring.model.ids import uplink_name
from tests.backends.lab import Lab
from tests.backends.linux.test_packets import ALICES, Ping
from tests.compile.small import ALICE, FIRST, ROUTER, small

pytestmark = pytest.mark.kernel

STATE = small().state
PLACE = router_place(ROUTER)
KEY = Key(RULESET, PLACE, ("router",))


def test_the_kernel_has_the_rules_as_they_are_written(golden: Callable[[str, str], None]) -> None:
    golden("router.nft", as_loaded("router")[0])
    golden("host.nft", as_loaded("host", sample())[0])


@pytest.mark.parametrize("remotes", [(), (7,), (7, 70000)])
def test_a_groups_rules_are_those_that_a_trace_goes_by(remotes: tuple[int, ...]) -> None:
    found = blocks(as_loaded("host", tuple(making(Group(5, remotes, remotes[:1]))))[0])
    for way, of_way in (("in", remotes), ("out", remotes[:1])):
        first, *rules, last = (line.strip() for line in found[f"\tchain g_5_{way} {{"])
        text = ",".join(map(str, of_way))
        assert (first, tuple(rules), last) == (f"chain g_5_{way} {{", group_rules(5, way, text), "}")
        assert [rule.text for rule in group_chain(5, way, text).rules] == rules


_COLUMNS = {
    IPv4Network: {"ipv4_addr"},
    IPv6Network: {"ipv6_addr"},
    str: {"nf_proto"},
    int: {"mark"},
    Span: {"inet_proto", "inet_service"},
}


def test_a_groups_sets_have_the_columns_of_their_tables() -> None:
    found = blocks(as_loaded("host", sample())[0])
    for table in OF_GROUPS:
        _, types, flags, _ = (line.strip() for line in found[f"\tset {group_set(SAMPLE, table.name)} {{"])
        columns = zip(types.removeprefix("type ").split(" . "), table.key[1:], strict=True)
        assert all(written in _COLUMNS[part] for written, part in columns), table.name
        assert flags == "flags interval"


def test_every_table_of_elements_has_its_set() -> None:
    sets = {**elements.sets("router"), **elements.sets("host")}
    there = {name: (len(it.keys), len(it.values)) for name, it in sets.items()}
    for table in TABLES:
        if table.stage is Stage.ELEMENT:
            # Of a table of groups, whose is in the set's name.
            name, columns = (group_set(SAMPLE, table.name), -1) if table in OF_GROUPS else (table.name, 0)
            assert there.pop(name) == (len(table.key) + columns, len(table.value))
    assert there.keys() == {"current", "epoch", "groups_in", "groups_out", "flows4", "flows6"}, "what no fact says"


def test_a_reload_keeps_all_elements(lab: Lab) -> None:
    state = small(others=60).state
    lab.settle(state)
    lab.at(lab.router(small().routers[0]), "nft", "add", "rule", "ip", "mooring", "passing", "drop")
    assert lab.backend.read(PLACE)[KEY] != ()
    lab.settle(state)
    assert lab.backend.read() == state


def test_tables_of_others_are_not_looked_at() -> None:
    listing = """table ip mooring {
	chain passing {
	}
}
# Warning: table ip filter is managed by iptables-nft, do not touch!
table ip filter {
	chain FORWARD {
	}
}
table inet mooring {
	chain judged {
	}
}
"""
    assert tables_in(listing, "mooring") == {
        "ip": "table ip mooring {\n\tchain passing {\n\t}\n}\n",
        "inet": "table inet mooring {\n\tchain judged {\n\t}\n}\n",
    }
    assert tables_in(listing, "moor") == {}


STRANGERS = (
    "insert rule ip mooring passing continue",
    "add rule ip mooring strange continue",
    "add set ip mooring strangers { type ipv4_addr; }",
    "add counter ip mooring strange",
    "add chain ip mooring odd { type filter hook forward priority 5; policy accept; }",
)


def test_no_packet_notices_a_reload(lab: Lab) -> None:
    lab.settle(STATE)
    guest = lab.guest(small().nics[0], small().routers[0])
    assert guest
    assert small().nics[0].addresses[0].address == ALICES
    assert small().nics[0].id == ALICE
    ping = Ping(lab, lab.isp(0), FIRST.address)
    for _ in range(10):
        lab.at(lab.router(small().routers[0]), "nft", f"add chain ip mooring strange; {';'.join(STRANGERS)}")
        lab.settle(STATE)
    assert ping.end()[0] == 0


DAMAGES = (
    "flush ruleset",
    "flush chain ip mooring passing",
    "add chain ip mooring passing { policy accept; }",
    "add table ip mooring { flags dormant; }",
    "flush chain ip mooring arriving; flush chain ip mooring leaving; delete map ip mooring fip_in",
    "flush chain ip mooring arriving; delete map ip mooring fip_in; add map ip mooring fip_in { type inet_service : ipv4_addr; }",
    "flush chain ip mooring leaving; delete map ip mooring fip_out; "
    "add map ip mooring fip_out { type ipv4_addr . ifname : ipv4_addr; size 9; }",
    "delete chain ip mooring leaving; add chain ip mooring leaving { type filter hook postrouting priority 7; }",
    "add table inet mooring; add chain inet mooring other { type filter hook forward priority 0; policy drop; }",
)


@pytest.mark.parametrize("damage", DAMAGES)
def test_whatever_was_done_to_the_rules_is_mended(lab: Lab, damage: str) -> None:
    lab.settle(STATE)
    lab.at(lab.router(small().routers[0]), "nft", damage)
    assert lab.backend.read() != STATE
    lab.settle(STATE)
    assert lab.backend.read() == STATE


def test_reading_while_others_write_gives_one_moment(lab: Lab) -> None:
    """A stranger switches two elements in one transaction; whoever reads sees one of the two moments, never a bit of each."""
    lab.settle(STATE)
    router = lab.router(small().routers[0])
    stop = threading.Event()
    one, other = "198.51.100.98 : 10.0.1.98", "198.51.100.99 : 10.0.1.99"

    def switch() -> None:
        lab.at(router, "nft", "add", "element", "ip", "mooring", "fip_in", f"{{ {one} }}")
        while not stop.is_set():
            for gone, come in ((one, other), (other, one)):
                lab.at(
                    router,
                    "nft",
                    f"delete element ip mooring fip_in {{ {gone} }}; add element ip mooring fip_in {{ {come} }}",
                )

    stranger = threading.Thread(target=switch)
    stranger.start()
    try:
        for _ in range(50):
            found = {key.row[0] for key in lab.backend.read(PLACE) if key.table == FIP_IN}
            assert len(found & {IPv4Address("198.51.100.98"), IPv4Address("198.51.100.99")}) <= 1
    finally:
        stop.set()
        stranger.join()


def test_prefixes_of_every_length_come_back_as_they_were(lab: Lab) -> None:
    device = uplink_name(FIRST.uplink)
    prefixes = [IPv4Network((int(IPv4Address("10.0.0.0")) + (number << 20), 32 - number)) for number in range(12)]
    extra = {Key(PUBLIC, PLACE, (device, prefix)): () for prefix in prefixes}
    lab.settle({**STATE, **extra})
    assert lab.backend.read() == {**STATE, **extra}
    lab.settle(STATE)
    assert lab.backend.read() == STATE
