"""What others do to a host's filters: everything of ours is repaired, nothing of theirs is touched, and a new agent sees what is there."""

import time

import pytest

from mooring.compile.facts import Delta, diff
from mooring.compile.filters import link_local
from mooring.model.ids import bridge_name, port_name
from tests.backends.lab import Lab, eventually
from tests.compile.small import ALICE, RED
from tests.compile.walled import walled
from tests.strategies import mac

pytestmark = pytest.mark.kernel

CLOUD = walled()
STATE = CLOUD.state
BRIDGE, PORT, MAC = bridge_name(RED), port_name(ALICE), mac(0xD0, 0)
EPOCH = "nft flush set inet mooring current; nft add element inet mooring current"

CHANGES = {
    "all rules are deleted": "nft flush ruleset",
    "the guard is deleted": "nft delete table bridge mooring",
    "the groups are deleted": "nft delete table inet mooring",
    "a rule of the guard is deleted": "nft flush chain bridge mooring from_guest",
    "a static rule is deleted": "nft flush chain inet mooring admitted",
    "there is a rule more": "nft insert rule inet mooring passing accept",
    "there is a chain more": "nft add chain inet mooring other",
    "there is a set like a group's": "nft 'add set inet mooring g_2_other { type mark; }'",
    "a rule of a group is deleted": "nft flush chain inet mooring g_2_in",
    "a group has a rule more": "nft insert rule inet mooring g_2_in accept",
    "a group speaks of another": "nft insert rule inet mooring g_2_in meta mark set 9",
    "a group is not found": "nft delete element inet mooring groups_in { 2 }",
    "a group leads to another": (
        "nft delete element inet mooring groups_in { 3 }; nft add element inet mooring groups_in { 3 : jump g_2_in }"
    ),
    "there is a group more": (
        "nft add chain inet mooring g_77_in; nft add element inet mooring groups_in { 77 : jump g_77_in }"
    ),
    "half of a group is there": "nft delete element inet mooring groups_out { 3 }; nft delete chain inet mooring g_3_out",
    "a group's set has other types": (
        "nft flush chain inet mooring g_3_in; nft delete set inet mooring g_3_in6; "
        "nft 'add set inet mooring g_3_in6 { type mark; }'"
    ),
    "a group's element is deleted": "nft flush set inet mooring g_4_in4",
    "a group has an element more": "nft add element inet mooring g_3_in4 { 6 . 22 . 0.0.0.0/0 }",
    "a group hears of another": "nft add element inet mooring g_4_in_peers { 9 . ipv4 . 6 . 1-5 }",
    "a guest has an address more": f"nft add element bridge mooring own4 {{ {PORT} . {MAC} . 10.0.1.99 }}",
    "a guest has an address less": f"nft delete element bridge mooring own4 {{ {PORT} . {MAC} . 10.0.1.3 }}",
    "a guest has an IPv6 address less": f"nft delete element bridge mooring own6 {{ {PORT} . {MAC} . {link_local(MAC)} }}",
    "a guest may speak for nobody": "nft flush set bridge mooring target6",
    "a guest may ask for nobody": f"nft delete element bridge mooring asks {{ {PORT} . 0x{MAC.replace(':', '')} }}",
    "a guest may ask for another": f"nft add element bridge mooring asks {{ {PORT} . 0x0200d0000001 }}",
    "a guest is in another group": (
        f"nft delete element inet mooring slot4_1 {{ {BRIDGE} . 10.0.1.3 }}; "
        f"nft add element inet mooring slot4_1 {{ {BRIDGE} . 10.0.1.3 : 1 }}"
    ),
    "a guest has another number": (
        f"nft delete element bridge mooring number {{ {PORT} }}; nft add element bridge mooring number {{ {PORT} : 7 }}"
    ),
    "there is a member more": "nft add element inet mooring members4 { 2 . 192.0.2.9 }",
    "a network has another zone": (
        f"nft delete element inet mooring zone {{ {BRIDGE} }}; nft add element inet mooring zone {{ {BRIDGE} : 99 }}"
    ),
    "a bridge is not judged": "nft flush set inet mooring filtered",
    "there is no epoch": "nft flush set inet mooring current",
    "there are two epochs": "nft add element inet mooring current { 77 }",
    "what is written is another epoch": f"{EPOCH} {{ 77 }}",
    "a bridge shows no packets": f"ip link set {BRIDGE} type bridge nf_call_iptables 0",
    "a bridge shows no IPv6": f"ip link set {BRIDGE} type bridge nf_call_ip6tables 0",
    "a port is in no group": f"ip link set {PORT} group 0",
    "a port is in another group": f"ip link set {PORT} group 7",
    "a port learns": f"bridge link set dev {PORT} learning on",
    "a port is flooded": f"bridge link set dev {PORT} flood on",
    "a port hears no broadcasts": f"bridge link set dev {PORT} bcast_flood off",
    "a guest is nowhere": f"bridge fdb del {MAC} dev {PORT} master",
    "a guest is two": f"bridge fdb add 02:00:00:00:00:99 dev {PORT} master static sticky",
    "a guest is taken away": f"bridge fdb replace {MAC} dev mh{BRIDGE[2:]} master static",
    "a port is deleted": f"ip link del {PORT}",
    "a port is unplugged": f"ip link set {PORT} nomaster",
    "a bridge is deleted": f"ip link del {BRIDGE}",
}


@pytest.fixture
def host(lab: Lab) -> Lab:
    lab.settle(STATE)
    return lab


def repaired(lab: Lab) -> Delta:
    """Repair as an agent does, and see that nothing is left; return what it took."""
    delta = diff(lab.backend.read(), STATE)
    assert delta, "it was not noticed"
    lab.backend.apply(delta)
    left = diff(lab.backend.read(), STATE)
    if left:  # what went along with something that was made anew, an agent repairs at its next look
        lab.backend.apply(left)
    assert str(diff(lab.backend.read(), STATE)) == ""
    return delta


@pytest.mark.parametrize("command", CHANGES.values(), ids=CHANGES)
def test_the_host_is_repaired_when(host: Lab, command: str) -> None:
    host.at(host.host, "sh", "-ec", command)
    repaired(host)


@pytest.mark.parametrize("name", ["a rule of a group is deleted", "there is no epoch", "a port is in no group"])
def test_a_new_agent_finds_what_the_old_one_made_and_what_others_did(host: Lab, name: str) -> None:
    host.restart()
    assert not diff(host.backend.read(), STATE)
    host.at(host.host, "sh", "-ec", CHANGES[name])
    host.restart()
    repaired(host)


def test_what_is_not_ours_stays(lab: Lab) -> None:
    rules = "table inet theirs {\n\tset zone {\n\t\ttype ipv4_addr\n\t\telements = { 10.0.0.1 }\n\t}\n}\n"
    lab.at(lab.host, "nft", rules)
    lab.ip(lab.host, "link add theirs type bridge nf_call_iptables 1 nf_call_ip6tables 1")
    lab.ip(lab.host, "link add their-port type veth peer name their-end")
    lab.ip(lab.host, "link set their-port master theirs group 200 up")
    for state in (STATE, {}, STATE, {}):
        lab.settle(state)
        assert lab.backend.read() == state
    assert lab.at(lab.host, "nft", "list", "ruleset") == rules
    assert "nf_call_iptables 1" in lab.ip(lab.host, "-d link show dev theirs")
    assert " group 200 " in lab.ip(lab.host, "link show dev their-port")


@pytest.mark.parametrize(
    "name",
    ["a rule of a group is deleted", "there is a member more", "a port is in no group", "a bridge shows no packets"],
)
def test_a_watching_agent_hears_of_it(host: Lab, name: str) -> None:
    told: list[str] = []
    host.backend.watch(lambda place: told.append(str(place)))
    host.at(host.host, "sh", "-ec", CHANGES[name])
    eventually(lambda: "host" in told, 10)


def test_a_watching_agent_hears_nothing_of_its_own_changes_nor_of_others_rules(host: Lab) -> None:
    told: list[str] = []
    host.backend.watch(lambda place: told.append(str(place)))
    before = walled(members=((1,), (2, 3), (4,), ())).state
    for state in (before, STATE):
        host.backend.apply(diff(host.backend.read(), state))
        host.at(
            host.host, "nft", "add table inet theirs; add set inet theirs s { type mark; }; delete table inet theirs"
        )
    time.sleep(0.2)
    assert told == []
    host.at(host.host, "nft", "add table inet theirs; add chain inet mooring theirs")
    eventually(lambda: told, 10)
    assert told == ["host"]
