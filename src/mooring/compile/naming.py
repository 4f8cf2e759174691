"""What trace() calls uplinks, security groups and their rules: as those who made them do, where that is known, and else as hosts do."""

from collections.abc import Iterable
from dataclasses import dataclass

from mooring.compile.facts import Row, Span
from mooring.compile.journey import Address
from mooring.model.groups import GroupRule, SecurityGroup
from mooring.model.ids import uplink_name
from mooring.model.nouns import Uplink
from mooring.model.subjects import Direction

_ALL_PORTS = Span(0, 65535)
_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 58: "icmpv6"}
_ICMP = frozenset({1, 58})


@dataclass(frozen=True, slots=True)
class Asked:
    """What the groups of one side are asked: whether they admit a flow of this protocol with this port, or ICMP type and code, and this peer.

    `protocol` is the protocol's number.
    """

    way: Direction
    protocol: int
    goal: int
    other: Address


class Names:
    """Security groups by their numbers, and uplinks by their devices, as far as they are known."""

    def __init__(self, groups: Iterable[SecurityGroup] = (), uplinks: Iterable[Uplink] = ()) -> None:
        """Keep groups with their rules, and uplinks."""
        self._uplinks = {uplink_name(uplink.id): uplink.name for uplink in uplinks}
        self._groups = {group.number: group for group in groups}
        self._numbers = {group.id: number for number, group in self._groups.items()}

    def uplink(self, device: str) -> str:
        """Return what the uplink of a router's device is called, and the device."""
        name = self._uplinks.get(device)
        return device if name is None else f"uplink {name} ({device})"

    def group(self, number: int) -> str:
        """Return what a group is called, and its number on hosts."""
        group = self._groups.get(number)
        return str(number) if group is None else f"{group.name} ({number})"

    def rule(self, number: int, asked: Asked, row: Row) -> str:
        """Return the rule of a group that admits what was asked, as it was made.

        `row` is the host's fact that admits it, which is told where the rules are not known: it may stand for several.
        """
        remote = row[1] if len(row) > 4 and isinstance(row[1], int) else None
        rules = self._groups[number].rules if number in self._groups else ()
        found = next((rule for rule in rules if self._admits(rule, asked, remote)), None)
        return self._box(asked, row) if found is None else self.written(found)

    def written(self, rule: GroupRule) -> str:
        """Write a rule as a person would."""
        what = "any protocol" if rule.protocol is None else _PROTOCOLS.get(rule.protocol, f"protocol {rule.protocol}")
        if rule.protocol in _ICMP and rule.first is not None:
            what += f" type {rule.first}" + ("" if rule.last is None else f" code {rule.last}")
        elif rule.first is not None:
            what += f" {rule.first}" if rule.first == rule.last else f" {rule.first}-{rule.last}"
        what += f" {preposition(rule.direction)} "
        if rule.remote is not None:
            return what + f"members of group {self.group(self._numbers[rule.remote])}"
        return what + str(rule.prefix or "anybody")

    def _admits(self, rule: GroupRule, asked: Asked, remote: int | None) -> bool:
        return (
            (rule.direction, rule.family) == (asked.way, asked.other.version)
            and rule.protocol in {None, asked.protocol}
            and (rule.protocol is None or _has(rule, asked))
            and (rule.prefix is None or asked.other in rule.prefix)
            and (None if rule.remote is None else self._numbers.get(rule.remote)) == remote
        )

    def _box(self, asked: Asked, row: Row) -> str:
        match row:
            case (_, Span() as protocols, Span() as ports, prefix):
                other = str(prefix)
            case (_, int() as remote, _, Span() as protocols, Span() as ports):
                other = f"members of group {self.group(remote)}"
            case _:
                return " ".join(map(str, row))
        return f"{_flows(protocols, ports)} {preposition(asked.way)} {other}"


def preposition(way: Direction) -> str:
    """Return what stands before the other side."""
    return "to" if way is Direction.EGRESS else "from"


def _has(rule: GroupRule, asked: Asked) -> bool:
    """Say whether a port, or a type and a code, is one of a rule's."""
    if asked.protocol in _ICMP:
        kind, code = divmod(asked.goal, 256)
        return rule.first in {None, kind} and rule.last in {None, code}
    return rule.first is None or rule.last is None or rule.first <= asked.goal <= rule.last


def _flows(protocols: Span, ports: Span) -> str:
    if protocols.first != protocols.last:
        return f"protocols {protocols}"
    name = _PROTOCOLS.get(protocols.first, f"protocol {protocols}")
    if ports == _ALL_PORTS:
        return name
    if protocols.first not in _ICMP:
        return f"{name} {ports}"
    kind, code = divmod(ports.first, 256)
    return f"{name} type {kind}" if ports == Span(kind << 8, kind << 8 | 255) else f"{name} type {kind} code {code}"
