"""The rules that trace() goes by are those of the ruleset that the back-end loads, and are read as nft reads them."""

import re
from importlib.resources import files
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest

from mooring.compile import rules, tables
from mooring.compile.deciding import Elements, decide, has_ranges
from mooring.compile.facts import Key, Place, PlaceKind, Row, Span, Stage, Table
from mooring.compile.journey import Header, IpProtocol
from mooring.compile.moments import Direction, Moment, NotModelledError
from mooring.compile.rulebook import HOST, ROUTER
from mooring.compile.rules import Chain, Set, Verb, chains_at, group_chain, read_chain, read_rule
from mooring.model.nouns import AddressRange

PLACE = Place(PlaceKind.ROUTER, "r")
PUBLIC, PRIVATE, OUTSIDE = (IPv4Address(text) for text in ("198.51.100.10", "10.0.0.5", "192.0.2.77"))
RULESETS = {
    name: files("mooring.backends.linux").joinpath(f"{name}.nft").read_text(encoding="utf-8")
    for name in ("router", "host")
}


def blocks(text: str, opening: str) -> dict[str, list[str]]:
    """Return the lines of every `opening NAME {` block of a ruleset, without comments, by table family and name."""
    found: dict[str, list[str]] = {}
    family, title = "", None
    for line in (line.strip() for line in text.splitlines()):
        if match := re.fullmatch(r"table (\w+) mooring \{", line):
            family = match[1]
        elif match := re.fullmatch(rf"(?:{opening}) (\w+) \{{", line):
            title = f"{family} {match[1]}"
            found[title] = []
        elif line == "}":
            title = None
        elif title is not None and line and not line.startswith("#"):
            found[title].append(line)
    return found


@pytest.mark.parametrize("name, stated", [("router", ROUTER), ("host", HOST)])
def test_the_rules_are_those_that_the_back_end_loads(name, stated):
    assert blocks(RULESETS[name], "chain") == {title: list(lines) for title, lines in stated.items()}


WORDS = {
    IPv4Address: {"ipv4_addr"},
    IPv4Network: {"ipv4_addr"},
    IPv6Address: {"ipv6_addr", "@th,64,128"},
    IPv6Network: {"ipv6_addr"},
    str: {"ifname", "iifname", "ether_addr", "ether saddr", "@th,288,48", "nf_proto"},
    int: {"mark", "classid", "ct zone", "inet_proto", "inet_service"},
    AddressRange: {"ipv4_addr"},
}
KERNELS_OWN = {"current", "epoch", "groups_in", "groups_out", "flows4", "flows6"}
"""Sets and maps of the host's ruleset that no facts fill: what the kernel counts and remembers, and what leads to groups' chains."""


def test_every_table_of_elements_is_a_set_or_map_of_a_ruleset_with_its_columns():
    declared = {
        title.split()[1]: lines for text in RULESETS.values() for title, lines in blocks(text, "set|map").items()
    }
    # Those of a security group are made one by one, and tests of the back-end compare what the kernel has of them.
    for table in (it for it in tables.TABLES if it.stage is Stage.ELEMENT and it not in tables.OF_GROUPS):
        lines = declared.pop(table.name)
        left, _, right = re.sub("^type(of)? ", "", lines[0]).partition(" : ")
        for columns, parts in ((left, table.key), (right, table.value)):
            written = columns.split(" . ") if columns else []
            assert len(written) == len(parts), table.name
            assert all(column in WORDS[part] for column, part in zip(written, parts, strict=True)), table.name
        assert ("flags interval" in lines) is has_ranges(Set(table)), table.name
    assert set(declared) == KERNELS_OWN, "the rulesets have sets that no table of facts fills"


def test_chains_come_in_the_order_of_the_kernel():
    assert [chain.name for chain in chains_at("ip", "postrouting")] == ["leaving", "checked"]
    assert [chain.name for chain in chains_at("ip", "prerouting")] == ["arriving", "steering"]


@pytest.mark.parametrize(
    "text",
    [
        "ip ttl 1 drop",
        "ip daddr 10.0.0.1",
        "iifname @owned reject",
        "masquerade",
        "ct mark set 1 accept",
        "dnat to ip daddr map @fip_in extra",
        "",
    ],
)
def test_a_rule_of_unknown_shape_is_an_error(text):
    with pytest.raises(ValueError, match="not a rule of a known shape"):
        read_rule(text)


def test_a_rule_with_an_unknown_set_is_an_error():
    with pytest.raises(KeyError, match="nowhere"):
        read_rule("ip saddr @nowhere accept")


def test_a_chain_of_unknown_shape_is_an_error():
    with pytest.raises(ValueError, match="not a chain of a known shape"):
        read_chain("ip odd", ("type route hook output priority mangle - 1; policy accept;",))


def moment(src=OUTSIDE, dst=PUBLIC, **more) -> Moment:
    header = Header(IpProtocol.UDP, src, dst, 40000, more.pop("dport", 80))
    return Moment(header, header, header.reversed(), **more)


def elements(*facts: tuple[Table, Row, Row]) -> Elements:
    state = {Key(table, PLACE, row): value for table, row, value in facts}
    ranges = {Set(tables.PUBLIC): [row for table, row, _ in facts if table == tables.PUBLIC]}
    return Elements(state, PLACE, ranges)


def chain(*lines: str, policy: Verb = Verb.ACCEPT) -> Chain:
    return Chain("ip", "test", tuple(read_rule(line) for line in lines), policy=policy)


def verdict(line: str, at: Moment, known: Elements | None = None) -> Verb:
    return decide(chain(line, policy=Verb.DROP), at, known or elements()).verb


@pytest.mark.parametrize(
    "line, at, accepted",
    [
        ("accept", moment(), True),
        ('iifname "lo" accept', moment(iif="lo"), True),
        ('iifname "lo" accept', moment(iif="mi1"), False),
        # A packet that the router itself sends has no device that it came by: neither the question nor its opposite holds.
        ("iifgroup 100 accept", moment(oif="mu1"), False),
        ("iifgroup != 100 accept", moment(oif="mu1"), False),
        ("iifgroup 100 accept", moment(iif="mu1", uplinks=frozenset({"mu1"})), True),
        ("iifgroup != 100 accept", moment(iif="mu1", uplinks=frozenset({"mu1"})), False),
        ("iifgroup != 100 accept", moment(iif="mi1", uplinks=frozenset({"mu1"})), True),
        ("ct state established,related accept", moment(), False),
        ("ct state established,related accept", moment(new=False), True),
        ("ct status dnat accept", moment(status="confirmed dnat"), True),
        ("ct status dnat accept", moment(), False),
        ("ct status ! confirmed accept", moment(status="dnat"), True),
        ("ct status ! confirmed accept", moment(status="confirmed dnat"), False),
        ("ct direction reply accept", moment(direction=Direction.REPLY), True),
        ("ct direction reply accept", moment(), False),
        ("udp dport { 53, 67 } accept", moment(dport=67), True),
        ("udp dport { 53, 67 } accept", moment(dport=68), False),
        ("tcp dport 53 accept", moment(dport=53), False),
        ("icmp type echo-request accept", moment(), False),
    ],
)
def test_a_condition_holds_as_in_the_kernel(line, at, accepted):
    assert (verdict(line, at) is Verb.ACCEPT) is accepted


def test_icmp_is_a_request_in_the_direction_of_its_flow_and_an_answer_in_the_other():
    header = Header(IpProtocol.ICMP, OUTSIDE, PUBLIC)
    line = "icmp type echo-request accept"
    assert verdict(line, Moment(header, header, header.reversed())) is Verb.ACCEPT
    assert verdict(line, Moment(header, header, header.reversed(), Direction.REPLY)) is Verb.DROP


def test_a_port_that_was_left_out_is_not_guessed():
    with pytest.raises(NotModelledError, match="udp port"):
        verdict("udp dport 53 accept", moment(dport=None))


def test_a_decision_names_the_rule_the_facts_and_the_first_thing_missing():
    known = elements((tables.PAIR, (PUBLIC, PRIVATE), ()))
    line = "ct direction original ct original ip daddr . ip daddr @pair accept"
    at = Moment(Header(IpProtocol.ICMP, OUTSIDE, PRIVATE), Header(IpProtocol.ICMP, OUTSIDE, PUBLIC), moment().reply)
    decision = decide(chain("iifgroup 100 drop", line, policy=Verb.DROP), at, known)
    assert (decision.verb, decision.rule) == (Verb.ACCEPT, line)
    assert [str(fact) for fact in decision.facts] == [f"router/r pair {PUBLIC} {PRIVATE}"]
    refused = decide(chain(line, policy=Verb.DROP), moment(), known)
    assert (refused.verb, refused.rule) == (Verb.DROP, "")
    assert refused.missing == (Key(tables.PAIR, PLACE, (PUBLIC, PUBLIC)),)


def test_a_prefix_in_a_set_holds_its_addresses_for_its_device_only():
    known = elements((tables.PUBLIC, ("mu1", IPv4Network("198.51.100.0/24")), ()))
    line = "oifname . ip saddr != @public drop"
    for source, device, passes in (
        (PUBLIC, "mu1", True),
        (PUBLIC, "mu2", False),
        (PRIVATE, "mu1", False),
    ):
        decision = decide(chain(line), moment(src=source, oif=device), known)
        assert (decision.verb is Verb.ACCEPT) is passes
        assert bool(decision.facts) is passes, "the prefix that lets it pass is named"


def test_a_map_without_the_element_leaves_the_packet_alone_and_the_next_rule_is_tried():
    lines = ("snat to ip saddr . oifname map @fip_out", "snat to ip saddr map @hair")
    known = elements((tables.HAIR, (PRIVATE,), (PUBLIC,)))
    decision = decide(chain(*lines), moment(src=PRIVATE, oif="mu1"), known)
    assert (decision.verb, decision.rule) == (Verb.SNAT, lines[1])
    assert decision.missing == (Key(tables.FIP_OUT, PLACE, (PRIVATE, "mu1")),)


def test_a_chain_gone_to_that_ends_without_a_verdict_leaves_it_to_the_policy(monkeypatch):
    monkeypatch.setitem(rules.CHAINS, "ip aside", Chain("ip", "aside", ()))
    for policy in (Verb.ACCEPT, Verb.DROP):
        assert decide(chain("goto aside", "accept", policy=policy), moment(), elements()).verb is policy


# ------------------------------------------------------------------------------------------------- rules of the host


@pytest.mark.parametrize(
    "lines, accepted",
    [
        (("meta mark set 7", "meta mark 7 accept"), True),
        (("meta mark set 0xffffffff", "meta mark 4294967295 accept"), True),
        (("meta mark set 7", "meta mark set 0", "meta mark != 0 accept"), False),
        (("meta priority set 0:1", "meta priority none accept"), False),
        (("meta priority set none", "meta priority none accept"), True),
        # What only the kernel knows never holds: how many flows there are, and which of them carry the epoch.
        (("ct mark @current accept",), False),
        (("add @flows4 { iifname . ip saddr ct count over 16 } accept",), False),
        (("ct mark set meta nfproto map @epoch", "accept"), True),
        (("meta nfproto vmap { ipv4 : accept, ipv6 : drop }",), True),
        (("meta nfproto vmap { ipv6 : accept }",), False),
        (("ct protocol . ct original proto-dst { 17 . 80, 6 . 80 } accept",), True),
        (("ct protocol . ct original proto-dst { 17 . 81, 6 . 80 } accept",), False),
        (("ip6 saddr :: accept",), False),
        (("return", "accept"), False),
    ],
)
def test_what_a_rule_writes_the_next_one_reads(lines, accepted):
    assert (decide(chain(*lines, policy=Verb.DROP), moment(), elements()).verb is Verb.ACCEPT) is accepted


def test_a_chain_jumped_to_returns_and_one_gone_to_does_not(monkeypatch):
    monkeypatch.setitem(rules.CHAINS, "ip aside", read_chain("ip aside", ("meta mark set 7", "return", "drop")))
    assert verdict_of("jump aside", "meta mark 7 accept") is Verb.ACCEPT
    assert verdict_of("goto aside", "meta mark 7 accept") is Verb.DROP


def verdict_of(*lines: str) -> Verb:
    return decide(chain(*lines, policy=Verb.DROP), moment(), elements()).verb


def test_a_map_without_the_element_leaves_the_mark_as_it_is():
    known = elements((tables.SLOTS4[0], ("mb1", PUBLIC), (9,)))
    write = "meta mark set oifname . ct original ip daddr map @slot4_1"
    for bridge, mark in (("mb1", 9), ("mb2", 3)):
        lines = ("meta mark set 3", write, f"meta mark {mark} accept")
        assert decide(chain(*lines, policy=Verb.DROP), moment(oif=bridge), known).verb is Verb.ACCEPT


@pytest.mark.parametrize(
    "port, src, accepted", [(80, OUTSIDE, True), (89, OUTSIDE, True), (90, OUTSIDE, False), (80, PRIVATE, False)]
)
def test_a_groups_element_holds_its_ports_and_its_prefix(port, src, accepted):
    row = (5, Span(17, 17), Span(80, 89), IPv4Network("192.0.2.0/24"))
    known = Elements({Key(tables.IN4, PLACE, row): ()}, PLACE, {Set(tables.IN4, (5,)): [row]})
    decision = decide(group_chain(5, "in", ""), moment(src=src, dport=port), known)
    found = [fact.key.row for passed in decision.way for fact in passed.facts]
    assert found == ([row] if accepted else [])
    other = decide(group_chain(6, "in", ""), moment(src=src, dport=port), known)
    assert not other.way, "each group has elements of its own"
