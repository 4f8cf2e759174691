"""What filtered ports and security groups make true, as text; and what a change of them costs."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest

from mooring.compile.facts import HOST, HostState, Key, Stage, diff, lines, union
from mooring.compile.filters import link_local
from mooring.compile.host import compile_host, facts_of
from mooring.compile.tables import MEMBERS4, OWN4, PORT, RULESET, SLOTS4, ZONE
from mooring.model.ids import NetworkId, NicId, bridge_name, port_name
from mooring.model.subjects import (
    MAX_GROUPS,
    FilterRule,
    HostRole,
    NetworkIntent,
    NicAddress,
    NicFilter,
    NicIntent,
    OperatorBridge,
    Subject,
)
from tests.compile.small import ALICE, small
from tests.compile.walled import IN, OUTWARD, RICH, TCP, group, own, walled
from tests.strategies import mac, uuid

CLOUD = walled()
NICS = {nic.id: nic for nic in CLOUD.nics}
SUBJECTS: list[tuple[str, Subject, HostRole]] = [
    ("filtered-network", CLOUD.networks[0], HostRole.COMPUTE),
    ("filtered-nic-compute", CLOUD.nics[2], HostRole.COMPUTE),
    ("filtered-nic-two-groups", CLOUD.nics[1], HostRole.COMPUTE),
    ("filtered-nic-no-group", CLOUD.nics[3], HostRole.COMPUTE),
    ("filtered-nic-member", CLOUD.nics[1], HostRole.MEMBER),
    ("group-own", own(2), HostRole.COMPUTE),
    ("group-rich", RICH, HostRole.COMPUTE),
]


@pytest.mark.parametrize(
    "name, subject, role", SUBJECTS, ids=lambda value: str(value) if isinstance(value, str) else ""
)
def test_a_subject_makes_true(name, subject, role, golden):
    golden(f"{name}.txt", "".join(f"{line}\n" for line in lines(union(facts_of(subject, role)))))


def test_without_a_filter_there_are_no_rules_on_the_host():
    assert not [key for key in small().state if key.place == HOST and key.table.stage in {Stage.RULESET, Stage.ELEMENT}]
    assert {value[2] for key, value in small().state.items() if key.table == PORT} == {""}
    assert not list(facts_of(small().nics[0], HostRole.MEMBER))


def test_the_operators_bridge_keeps_its_own_flows():
    network = NetworkIntent(NetworkId(uuid("a", 9)), 1, 1500, OperatorBridge("br-lan"), 7)
    tables = {fact.key.table.name: fact.key.row for fact in facts_of(network, HostRole.COMPUTE)}
    assert ZONE.name not in tables
    assert tables["filtered"] == tables["bridge_filter"] == ("br-lan",)


def test_extra_addresses_are_a_guests_own():
    extra = (IPv4Address("10.0.1.200"), IPv6Address("2001:db8::7"), IPv4Address("10.0.1.3"))
    nic = replace(NICS[ALICE], filter=NicFilter((2, 9), extra))
    state = compile_host([(nic, HostRole.COMPUTE), (nic, HostRole.MEMBER)])
    port, bridge = port_name(nic.id), bridge_name(nic.network)
    for address in (IPv4Address("10.0.1.3"), IPv4Address("10.0.1.200")):
        assert Key(OWN4, HOST, (port, nic.mac, address)) in state
        assert state[Key(SLOTS4[0], HOST, (bridge, address))] == (2,)
        assert state[Key(SLOTS4[1], HOST, (bridge, address))] == (9,)
        assert Key(MEMBERS4, HOST, (9, address)) in state
    assert "host own6 " + port + " 02:00:d0:00:00:00 2001:db8::7" in list(lines(state))


def test_more_groups_than_there_are_slots_admit_nothing_more():
    nic = replace(NICS[ALICE], filter=NicFilter(tuple(range(1, MAX_GROUPS + 3))))
    slots = {key.table for key in compile_host([(nic, HostRole.COMPUTE)]) if key.table in SLOTS4}
    assert slots == set(SLOTS4)


def test_two_nics_of_one_address_are_one_member():
    one, other = NICS[ALICE], replace(NICS[ALICE], id=NicId(uuid("d", 77)), network=NetworkId(uuid("a", 2)))
    state = compile_host([(one, HostRole.MEMBER), (other, HostRole.MEMBER)])
    assert Key(MEMBERS4, HOST, (2, IPv4Address("10.0.1.3"))) in state
    assert [key for key in state if key.table == RULESET] == [Key(RULESET, HOST, ("host",))]


def test_a_link_local_address_follows_from_the_hardware_address():
    assert link_local("02:00:d0:00:00:01") == IPv6Address("fe80::d0ff:fe00:1")
    assert link_local("fa:16:3e:12:34:56") == IPv6Address("fe80::f816:3eff:fe12:3456")


def crowd(size: int) -> tuple[NicIntent, ...]:
    """Return NICs in the group 2."""
    return tuple(
        replace(
            NICS[ALICE],
            id=NicId(uuid("d", 1000 + number)),
            mac=mac(0xD7, number),
            addresses=(NicAddress(IPv4Address("10.0.8.0") + number),),
        )
        for number in range(size)
    )


def host(size: int, rules: tuple[FilterRule, ...] = (), members: tuple[int, ...] = (2,)) -> HostState:
    nics = [*crowd(size), replace(NICS[ALICE], filter=NicFilter(members))]
    placed: list[tuple[Subject, HostRole]] = [
        (nic, role) for nic in nics for role in (HostRole.COMPUTE, HostRole.MEMBER)
    ]
    groups = (group(2, *OUTWARD, *rules), group(3))
    return compile_host([(CLOUD.networks[0], HostRole.COMPUTE), *placed, *((one, HostRole.COMPUTE) for one in groups)])


@pytest.mark.parametrize("size", [1, 1000])
def test_a_rule_of_a_group_is_one_element_however_many_are_in_it(size):
    delta = diff(host(size), host(size, (FilterRule(IN, 4, TCP, 80, 80),)))
    assert str(delta) == "+ host in4 2 6 80 0.0.0.0/0\n"


@pytest.mark.parametrize("size", [1, 1000])
def test_a_member_is_so_many_elements_however_many_there_are(size):
    delta = diff(host(size), host(size, members=(2, 3)))
    # A slot for each address and one for broadcasts, and as a member: IPv4 and link-local.
    assert (len(delta.put), len(delta.drop)) == (2 + 1 + 2, 0)


@pytest.mark.parametrize("size", [1, 1000])
def test_an_address_is_so_many_elements_however_many_there_are(size):
    before = host(size)
    more = replace(NICS[ALICE], filter=NicFilter((2,), (IPv4Address("10.0.1.99"),)))
    one = [(NICS[ALICE], HostRole.COMPUTE), (NICS[ALICE], HostRole.MEMBER)]
    two = [(more, HostRole.COMPUTE), (more, HostRole.MEMBER)]
    delta = diff(compile_host(one), compile_host(two))
    assert len(delta.put) == 3
    assert not delta.drop
    assert not delta.put.keys() & before.keys()
