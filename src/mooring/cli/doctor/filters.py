"""What guests' filters need of the host: that its rules see what is bridged, and that nobody else's rules drop it."""

import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mooring.cli.doctor import trial
from mooring.cli.doctor.check import Check, Lacking, Limited

_GROUP = "filters"

# What a bridge forwards goes by the rules of IP: a guest's packet is let through, and then dropped by such a rule.
_BRIDGED = """
    mount -t tmpfs none /run
    test -e /proc/sys/net/bridge/bridge-nf-call-iptables || { echo 'this kernel shows rules nothing of what bridges forward' >&2; exit 1; }
    ip link add b0 type bridge nf_call_iptables 1 nf_call_ip6tables 1
    ip link set b0 up
    for number in 1 2; do
        ip netns add guest$number
        ip link add p$number type veth peer name eth0 netns guest$number
        ip link set p$number master b0 up
        ip -n guest$number addr add 10.0.0.$number/24 dev eth0
        ip -n guest$number link set eth0 up
    done
    ip netns exec guest1 ping -c 1 -W 2 10.0.0.2 | grep -q ' 0% packet loss' || { echo 'guests of one bridge did not reach each other' >&2; exit 1; }
    $probe nft 'table inet t {
        chain c { type filter hook forward priority 0
            iifname "b0" oifname "b0" ct state new drop
        }
    }'
    if ip netns exec guest1 ping -c 1 -W 1 10.0.0.2 > /dev/null; then echo 'no rule sees what is bridged' >&2; exit 1; fi
"""

_FAMILIES = frozenset({"ip", "ip6", "inet"})
_OURS = "mooring"
_LISTED = re.compile(r"(?P<tab>\t?)(?:table (?P<family>\w+)|chain) (?P<name>\S+) \{")
_ENDS = re.compile(r"(?:counter packets \d+ bytes \d+ )?(?:drop|reject\b.*)")
_OLD_TABLES = "/proc/net/ip_tables_names"
_OUR_BRIDGES = re.compile(r'iifname "mb\*".* accept\b|-i mb\+ .*-j ACCEPT\b')


class Chain(NamedTuple):
    """Where a chain is."""

    family: str
    table: str
    name: str


def checks(config: Path | None) -> Iterator[Check]:
    """Return the checks; `config` names the host's namespace, and whether guests are filtered at all."""
    # Not with the module: every command would wait for it.
    from mooring.config import ConfigurationError, load

    namespace, is_wanted = None, True
    try:
        settings = load(config)
        namespace, is_wanted = settings.host.namespace, settings.networks.filters
    except ConfigurationError:
        pass  # which another check says
    cost = (
        "Guests can't be held to their addresses and security groups, and filtered ones are refused: `modprobe br_netfilter`, and name it "
        "in /etc/modules-load.d, or set networks.filters to false."
    )
    yield Check(_GROUP, "bridge filtering", cost, _bridged, needed=is_wanted)
    unknown = "Whether the host's firewall drops what guests send each other is not known."
    yield Check(_GROUP, "the host's own firewall", unknown, _firewall(namespace))


def dropping(listing: str) -> list[tuple[Chain, bool]]:
    """Return the chains of somebody else in a listing of all rules that drop what bridges of ours forward, and whether they are Docker's."""
    chains = _chains(listing)
    found: list[tuple[Chain, bool]] = []
    for chain, lines in chains.items():
        if chain.family not in _FAMILIES or chain.table == _OURS or "hook forward" not in " ".join(lines[:1]):
            continue
        beyond = [word for line in lines for word in re.findall(r"\b(?:jump|goto) (\S+)", line)]
        passed = [*lines, *(line for name in beyond for line in chains.get(chain._replace(name=name), ()))]
        if ("policy drop" in lines[0] or _ENDS.fullmatch(lines[-1])) and not any(map(_OUR_BRIDGES.search, passed)):
            found.append((chain, chain._replace(name="DOCKER-USER") in chains))
    return found


def _chains(listing: str) -> Mapping[Chain, Sequence[str]]:
    found: dict[Chain, list[str]] = {}
    family = table = ""
    lines: list[str] = []
    for line in listing.splitlines():
        if (opened := _LISTED.fullmatch(line)) is None:
            if line.startswith("\t\t"):
                lines.append(line.strip())
        elif opened["family"]:
            family, table = opened["family"], opened["name"]
        elif opened["tab"]:
            lines = found[Chain(family, table, opened["name"])] = []
    return found


def _bridged() -> str:
    trial.in_fresh_network(_BRIDGED)
    return "by br_netfilter"


def _firewall(namespace: str | None) -> Callable[[], str]:
    inside = [] if namespace is None else ["nsenter", f"--net=/run/netns/{namespace}"]

    def attempt() -> str:
        listing = trial.run([*inside, sys.executable, "-m", "mooring.cli.doctor.probe", "rules"])
        found = dropping(listing)
        if not found and _old(inside):
            found = [(Chain("ip", "filter", "FORWARD"), False)]
        if not found:
            return "it lets pass what our bridges forward"
        seen = ", ".join(f"{'Docker: ' if is_dockers else ''}{' '.join(chain)}" for chain, is_dockers in found)
        remedies = " and ".join(f"`{_remedy(chain, is_dockers=is_dockers)}`" for chain, is_dockers in found)
        raise Limited(
            f"it drops what bridges forward, in {seen}",
            f"What filtered guests of this host send each other is lost: {remedies} leaves it to their security groups.",
        )

    return attempt


def _remedy(chain: Chain, *, is_dockers: bool) -> str:
    command = {"ip": "iptables", "ip6": "ip6tables"}.get(chain.family)
    if command is not None and (chain.table, chain.name) == ("filter", "FORWARD"):
        return f"{command} -I {'DOCKER-USER' if is_dockers else 'FORWARD'} -i mb+ -o mb+ -j ACCEPT"
    return f'nft insert rule {" ".join(chain)} iifname "mb*" oifname "mb*" accept'


def _old(inside: Sequence[str]) -> bool:
    """Say whether rules of iptables' first kind drop it, which nft does not list; to ask is to load them, so only if they are there."""
    if "filter" not in trial.run([*inside, "cat", _OLD_TABLES]).split():
        return False
    try:
        rules = trial.run([*inside, "iptables-legacy", "-S"])
    except Lacking as lacking:
        raise Lacking(f"there are rules of iptables-legacy, which can't be read: {lacking}") from lacking
    return "-P FORWARD DROP" in rules and not _OUR_BRIDGES.search(rules)
