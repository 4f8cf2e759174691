"""What the kernel can do, each tried for real in a network namespace that vanishes with the trial."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from mooring.cli.doctor import trial
from mooring.cli.doctor.check import Check

_GROUP = "kernel"
VLANS = "802.1Q VLAN devices"

# A pair of devices to hang things on: not every kernel has dummy devices.
_PAIR = "ip link add a0 type veth peer name a1; "


def _namespaces() -> str:
    command = trial.fresh_network()
    return "by a user namespace" if "--user" in command else "as root"


def _user_namespaces() -> str:
    ask = ["unshare", "--user", "--map-root-user", "--net", "--mount", "true"]
    # Root may always: ask as somebody who is not, unless we are root in a user namespace only, where there is nobody else.
    everybody = Path("/proc/self/uid_map").read_text(encoding="ascii").split() == ["0", "0", "4294967295"]
    drop = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    nobody = drop if os.geteuid() == 0 and everybody else []
    trial.run([*nobody, *ask])
    return "an ordinary user can make them"


# A guest at 10.0.0.5 answers at 192.0.2.130, which is translated by a map and owned by a set of the arp family, as mooring does it.
_FLOATING_IP = """
    mount -t tmpfs none /run
    for name in outside router guest; do ip netns add $name; ip -n $name link set lo up; done
    ip link add o netns outside type veth peer name u netns router
    ip link add g netns guest type veth peer name i netns router
    ip -n router link set u group 100
    for device in outside/o router/u router/i guest/g; do ip -n ${device%/*} link set ${device#*/} up; done
    ip -n outside addr add 192.0.2.1/24 dev o
    ip -n router addr add 192.0.2.2/24 dev u
    ip -n router addr add 10.0.0.1/24 dev i
    ip -n router route add 192.0.2.128/25 dev lo
    ip -n guest addr add 10.0.0.5/24 dev g
    ip -n guest route add default via 10.0.0.1
    ip netns exec router sh -euc '
        echo 1 > /proc/sys/net/ipv4/ip_forward
        echo 1 > /proc/sys/net/ipv4/conf/u/proxy_arp
        echo 0 > /proc/sys/net/ipv4/neigh/u/proxy_delay'
    ip netns exec router $probe nft 'table arp t {
        set owned { type ifname . ipv4_addr; elements = { "u" . 192.0.2.2, "u" . 192.0.2.130 }
        }
        chain asked { type filter hook input priority 0
            iifgroup 100 arp operation request iifname . arp daddr ip != @owned drop
        }
    }
    table ip t {
        map public { type ipv4_addr : ipv4_addr; elements = { 192.0.2.130 : 10.0.0.5 }
        }
        chain arriving { type nat hook prerouting priority dstnat
            dnat to ip daddr map @public
        }
    }'
    ip netns exec outside ping -c 1 -W 2 192.0.2.130 | grep -q ' 0% packet loss' || { echo 'its ping was not answered' >&2; exit 1; }
    if ip netns exec outside ping -c 1 -W 1 192.0.2.131 > /dev/null; then echo 'an address of nobody answered' >&2; exit 1; fi
"""

# Two ends of a cable with the same tag reach each other, and what is on another tag does not.
_TAGGED = """
    mount -t tmpfs none /run
    ip netns add far
    ip link add a0 type veth peer name a1 netns far
    for place in '' '-n far'; do
        if [ "$place" ]; then device=a1 host=2; else device=a0 host=1; fi
        ip $place link set $device up
        for tag in 100 200; do ip $place link add link $device name v$tag type vlan id $tag; done
        ip $place addr add 10.100.0.$host/24 dev v100
        ip $place link set v100 up
    done
    ip addr add 10.200.0.1/24 dev v200
    ip link set v200 up
    ip -n far addr add 10.200.0.2/24 dev v100
    ping -c 1 -W 2 10.100.0.2 | grep -q ' 0% packet loss' || { echo 'a tagged packet did not arrive' >&2; exit 1; }
    if ping -c 1 -W 1 10.200.0.2 > /dev/null; then echo 'a packet came out of another tag' >&2; exit 1; fi
"""

# $probe is mooring.cli.doctor.probe.
# name | is the main job impossible without it | script | what the lack costs
_SCRIPTS = (
    ("libnftables", True, "$probe nft 'add table ip t'", "The agent can't change rulesets: install libnftables1."),
    (
        "bridges and veth",
        True,
        _PAIR + "ip link add b0 type bridge; ip link set a0 master b0 up; ip link set b0 up",
        "Guests can't be connected to networks.",
    ),
    (
        "macvlan",
        True,
        _PAIR + "ip link add m0 link a0 type macvlan mode bridge; ip link set m0 address 02:00:00:00:00:01 up",
        "Routers can't have a device of their own on an uplink.",
    ),
    (
        "proxy ARP",
        True,
        _PAIR + "echo 1 > /proc/sys/net/ipv4/conf/a0/proxy_arp; echo 0 > /proc/sys/net/ipv4/neigh/a0/proxy_delay",
        "Nobody would answer for floating IPs on an uplink.",
    ),
    (
        "NAT by nft maps",
        True,
        """
        $probe nft 'table ip t {
            map m { type ipv4_addr . ifname : ipv4_addr; elements = { 10.0.0.5 . "a0" : 192.0.2.130 }
            }
            chain c { type nat hook postrouting priority srcnat
                oifgroup 100 snat to ip saddr . oifname map @m
            }
        }'
        """,
        "Floating IPs can't be translated.",
    ),
    (
        "nft arp family",
        True,
        "$probe nft 'add table arp t; add chain arp t c { type filter hook input priority 0 ; }; add rule arp t c iifgroup 100 drop'",
        "A router would answer ARP for addresses that nobody has.",
    ),
    (
        "connection tracking",
        True,
        "$probe flow",
        "Connections of an address that moved go on to its old guest.",
    ),
    ("a floating IP", True, _FLOATING_IP, "Something in the path of a packet does not work: the main job can't run."),
    (
        "policy routing",
        False,
        "ip rule add fwmark 1/0xff lookup 101",
        "With several uplinks all would leave by the first.",
    ),
    (
        VLANS,
        False,
        _TAGGED,
        "Networks of kind vlan can't be made here, nor uplinks that are VLANs: `modprobe 8021q` may help, and networks of kind vxlan need none.",
    ),
    (
        "VXLAN",
        False,
        _PAIR + "ip link add x0 type vxlan id 42 dstport 4789 dev a0",
        "A network can't span hosts without help of the switches between them.",
    ),
)


def checks() -> Iterator[Check]:
    """Return the checks of the kernel."""
    yield Check(
        _GROUP, "network namespaces", "There can be no routers, and nothing below was tried.", _namespaces, needed=True
    )
    for name, needed, script, cost in _SCRIPTS:
        yield Check(_GROUP, name, cost, _trial(script), needed=needed)
    yield Check(
        _GROUP,
        "user namespaces",
        "Demos and tests need root, because ordinary users can't make namespaces.",
        _user_namespaces,
    )


def _trial(script: str) -> Callable[[], str]:
    def attempt() -> str:
        trial.in_fresh_network(script)
        return "tried"

    return attempt
