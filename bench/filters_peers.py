"""What nova-network and Neutron would put into iptables and ipset for the same ports and groups, as text for their restore programs.

Written from what their lists of rules look like, with every choice in the peers' favour: nothing for IPv6; of nova's no filters against
forged addresses (libvirt puts these elsewhere), and of a member of a group only its first address; of Neutron's no conntrack zones.  Both
dispatch packets by a list with a rule for each port (nova: for each address) and have their chains for each port, so that a rule of a group is
there once for each member.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from bench.filters_wall import IN, MORE, Port, Wall
from mooring.model.subjects import FilterRule

_PROTOCOLS = {6: "tcp", 17: "udp"}
_SERVER = IPv4Address("10.64.255.254")


@dataclass(frozen=True, slots=True)
class Change:
    """Input of iptables-restore --noflush and of ipset restore, and what undoes it; empty where a program isn't asked."""

    rules: str = ""
    undone: str = ""
    sets: str = ""
    sets_undone: str = ""


class Nova:
    """Chains of nova-network: one for each instance, found by the destination's address."""

    def __init__(self, wall: Wall) -> None:
        self._wall = wall

    def sets(self) -> str:
        """Return no sets: nova has none."""
        return ""

    def rules(self) -> str:
        """Return the whole filter table."""
        chains = [f"nova-compute-inst-{port.number}" for port in self._wall.ports]
        lines = [
            "-A FORWARD -j nova-filter-top",
            "-A FORWARD -j nova-compute-FORWARD",
            "-A nova-filter-top -j nova-compute-local",
            f"-A nova-compute-FORWARD -i {self._wall.bridge} -j ACCEPT",
            f"-A nova-compute-FORWARD -o {self._wall.bridge} -j ACCEPT",
            "-A nova-compute-sg-fallback -j DROP",
        ]
        for group in self._wall.groups:
            for port in self._wall.members(group):
                lines += [f"-A nova-compute-local -d {it}/32 -j {chains[port.number]}" for it in port.own]
                lines += [f"-A {chains[port.number]} {rule}" for rule in self._instance(group)]
        own = ["filter-top", "compute-local", "compute-FORWARD", "compute-provider", "compute-sg-fallback"]
        return _table([*(f"nova-{name}" for name in own), *chains], lines)

    def rule(self) -> Change:
        """Return the change that is one rule more."""
        return self._of_members(f"{_match(MORE, 's')} -j ACCEPT")

    def member(self) -> Change:
        """Return the change that is one member more."""
        return self._of_members(f"-s {self._wall.elsewhere.first}/32 -j ACCEPT")

    def address(self) -> Change:
        """Return the change that is one address more."""
        rule = f"nova-compute-local -d {self._wall.another}/32 -j nova-compute-inst-0"
        return Change(_some([f"-A {rule}"]), _some([f"-D {rule}"]))

    def _of_members(self, rule: str) -> Change:
        chains = [f"nova-compute-inst-{port.number}" for port in self._wall.members(1)]
        # Before the last, which drops.
        place = sum(1 for _ in self._instance(1))
        inserted = [f"-I {chain} {place} {rule}" for chain in chains]
        return Change(_some(inserted), _some([f"-D {chain} {rule}" for chain in chains]))

    def _instance(self, group: int) -> Iterator[str]:
        yield "-m state --state INVALID -j DROP"
        yield "-m state --state RELATED,ESTABLISHED -j ACCEPT"
        yield "-j nova-compute-provider"
        yield f"-s {_SERVER}/32 -p udp -m udp --sport 67 --dport 68 -j ACCEPT"
        for rule in self._wall.rules(group):
            if rule.direction is not IN or rule.family != 4:
                continue  # nova has no rules for what leaves
            if rule.remote_group is None:
                yield f"{_match(rule, 's')} -j ACCEPT"
            else:
                for port in self._wall.members(rule.remote_group):
                    yield f"-s {port.first}/32 -j ACCEPT"
        yield "-j nova-compute-sg-fallback"


class Neutron:
    """Chains of Neutron's iptables driver on Linux bridges: three for each port, found by the bridge's port; a set for each group."""

    def __init__(self, wall: Wall) -> None:
        self._wall = wall

    def sets(self) -> str:
        """Return the groups' members."""
        lines: list[str] = []
        for group in self._wall.groups:
            name = _set(group)
            lines.append(f"create {name} hash:net family inet hashsize 1024 maxelem 65536")
            lines += [f"add {name} {it}" for port in self._wall.members(group) for it in port.own]
        return "".join(f"{line}\n" for line in lines)

    def rules(self) -> str:
        """Return the whole filter table."""
        lines = [
            "-A FORWARD -j neutron-filter-top",
            "-A FORWARD -j neutron-linuxbri-FORWARD",
            "-A INPUT -j neutron-linuxbri-INPUT",
            "-A neutron-filter-top -j neutron-linuxbri-local",
            f"-A neutron-linuxbri-sg-fallback {_said('what no rule admits')} -j DROP",
        ]
        chains = [
            f"neutron-{name}" for name in ("filter-top", *_own("local", "FORWARD", "INPUT", "sg-chain", "sg-fallback"))
        ]
        for group in self._wall.groups:
            for port in self._wall.members(group):
                inward, outward, spoofed = (_chain(way, port) for way in "ios")
                chains += [inward, outward, spoofed]
                to, by = (f"-m physdev --physdev-{way} {port.device} --physdev-is-bridged" for way in ("out", "in"))
                lines += [
                    f"-A neutron-linuxbri-FORWARD {to} {_said('to the security groups')} -j neutron-linuxbri-sg-chain",
                    f"-A neutron-linuxbri-FORWARD {by} {_said('to the security groups')} -j neutron-linuxbri-sg-chain",
                    f"-A neutron-linuxbri-INPUT {by} {_said('from the guest')} -j {outward}",
                    f"-A neutron-linuxbri-sg-chain {to} {_said('to the port')} -j {inward}",
                    f"-A neutron-linuxbri-sg-chain {by} {_said('to the port')} -j {outward}",
                    *(f"-A {inward} {rule}" for rule in self._inward(group)),
                    *(f"-A {outward} {rule}" for rule in self._outward(group, spoofed)),
                    *(f"-A {spoofed} {rule}" for rule in (*_pairs(port, port.own), f"{_said('forged')} -j DROP")),
                ]
        lines.append("-A neutron-linuxbri-sg-chain -j ACCEPT")
        return _table(chains, lines)

    def rule(self) -> Change:
        """Return the change that is one rule more."""
        rule = f"{_match(MORE, 's')} -j RETURN"
        place = sum(1 for _ in self._inward(1)) - 1
        chains = [_chain("i", port) for port in self._wall.members(1)]
        return Change(
            _some(f"-I {chain} {place} {rule}" for chain in chains), _some(f"-D {chain} {rule}" for chain in chains)
        )

    def member(self) -> Change:
        """Return the change that is one member more."""
        added, removed = (
            "".join(f"{verb} {_set(1)} {it}\n" for it in self._wall.elsewhere.own) for verb in ("add", "del")
        )
        return Change(sets=added, sets_undone=removed)

    def address(self) -> Change:
        """Return the change that is one address more."""
        port = self._wall.ports[0]
        (rule,) = _pairs(port, [self._wall.another])
        chain = _chain("s", port)
        added, removed = (f"{verb} {_set(1)} {self._wall.another}\n" for verb in ("add", "del"))
        return Change(_some([f"-I {chain} 1 {rule}"]), _some([f"-D {chain} {rule}"]), added, removed)

    def _inward(self, group: int) -> Iterator[str]:
        yield f"-m state --state RELATED,ESTABLISHED {_said('known')} -j RETURN"
        yield f"-s {_SERVER}/32 -p udp -m udp --sport 67 --dport 68 -j RETURN"
        for rule in self._wall.rules(group):
            if rule.direction is IN and rule.family == 4:
                yield f"{_match(rule, 's')} -j RETURN"
        yield f"-m state --state INVALID {_said('not the beginning of anything')} -j DROP"
        yield f"{_said('nothing matched')} -j neutron-linuxbri-sg-fallback"

    def _outward(self, group: int, spoofed: str) -> Iterator[str]:
        yield f"-s 0.0.0.0/32 -d 255.255.255.255/32 -p udp -m udp --sport 68 --dport 67 {_said('asks for an address')} -j RETURN"
        yield f"-j {spoofed}"
        yield f"-p udp -m udp --sport 68 --dport 67 {_said('asks for an address')} -j RETURN"
        yield f"-p udp -m udp --sport 67 --dport 68 {_said('no server here')} -j DROP"
        yield f"-m state --state RELATED,ESTABLISHED {_said('known')} -j RETURN"
        for rule in self._wall.rules(group):
            if rule.direction is not IN and rule.family == 4:
                yield f"{_match(rule, 'd')} -j RETURN".strip()
        yield f"-m state --state INVALID {_said('not the beginning of anything')} -j DROP"
        yield f"{_said('nothing matched')} -j neutron-linuxbri-sg-fallback"


def _own(*names: str) -> Iterator[str]:
    return (f"linuxbri-{name}" for name in names)


def _chain(way: str, port: Port) -> str:
    # The first digits of the port's id, as in the device's name, but one: a chain's name has at most 28 characters.
    return f"neutron-linuxbri-{way}{port.device[2:12]}"


def _set(group: int) -> str:
    return f"NIPv4{group:08x}"


def _said(text: str) -> str:
    """Return a comment: Neutron writes one at most of its rules, and it takes room in the kernel."""
    return f'-m comment --comment "{text}"'


def _pairs(port: Port, addresses: Iterable[IPv4Address]) -> Iterator[str]:
    return (f"-s {it}/32 -m mac --mac-source {port.mac.upper()} {_said('its own')} -j RETURN" for it in addresses)


def _match(rule: FilterRule, side: str) -> str:
    words: list[str] = []
    if rule.remote_prefix is not None:
        words.append(f"-{side} {rule.remote_prefix}")
    if rule.protocol is not None:
        name = _PROTOCOLS[rule.protocol]
        words.append(f"-p {name} -m {name} --dport {rule.first}:{rule.last}")
    if rule.remote_group is not None:
        words.append(f"-m set --match-set {_set(rule.remote_group)} src")
    return " ".join(words)


def _table(chains: Iterable[str], rules: Iterable[str]) -> str:
    builtin = (f":{name} ACCEPT [0:0]" for name in ("INPUT", "FORWARD", "OUTPUT"))
    return "\n".join(["*filter", *builtin, *(f":{name} - [0:0]" for name in chains), *rules, "COMMIT", ""])


def _some(rules: Iterable[str]) -> str:
    """Return a change of the table; what isn't named stays."""
    return "\n".join(["*filter", *rules, "COMMIT", ""])
