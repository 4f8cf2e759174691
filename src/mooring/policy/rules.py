"""Rules of security groups: what a caller may write, and what it means.

A protocol is a number here; its names are IANA's (https://www.iana.org/assignments/protocol-numbers), in any case.  "icmp" is the ICMP of the
rule's family.  What is accepted is never dropped in silence: ports of a protocol that has none are an error.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Literal

from mooring.model.faults import Invalid
from mooring.model.groups import GroupRule
from mooring.model.subjects import Direction, FilterRule

FAMILIES = (4, 6)
ICMP: Mapping[int, int] = {4: 1, 6: 58}
PORTED = frozenset({6, 17, 33, 132, 136})
"""TCP, UDP, DCCP, SCTP and UDP-Lite: what has ports."""

PROTOCOLS: Mapping[str, int] = {
    "icmp": 1,
    "igmp": 2,
    "ipip": 4,
    "tcp": 6,
    "egp": 8,
    "udp": 17,
    "dccp": 33,
    "ipv6-encap": 41,
    "ipv6-route": 43,
    "ipv6-frag": 44,
    "rsvp": 46,
    "gre": 47,
    "esp": 50,
    "ah": 51,
    "ipv6-icmp": 58,
    "icmpv6": 58,
    "ipv6-nonxt": 59,
    "ipv6-opts": 60,
    "ospf": 89,
    "vrrp": 112,
    "pgm": 113,
    "sctp": 132,
    "udplite": 136,
}
_NAMES = {number: name for name, number in sorted(PROTOCOLS.items(), reverse=True)}
_ANY = frozenset({"", "any", "-1"})
_PORTS = range(1, 65536)
_BYTE = range(256)
_PREFIX = re.compile(r"[0-9A-Fa-f:.]{2,45}/[0-9]{1,3}")
_SHOWN = 64


@dataclass(frozen=True, slots=True)
class NewRule:
    """A rule to be made, as somebody wrote it.

    `protocol` is a name or number, None for any.  `first` and `last` are ports, both or none, or an ICMP type and code.  `family` is 4 or 6,
    by default that of `prefix`, or else 4.  `remote` is the id or name of a group.  `meant` says which of the two the numbers were
    written as, where that is known.
    """

    direction: Direction = Direction.INGRESS
    family: int | None = None
    protocol: str | int | None = None
    first: int | None = None
    last: int | None = None
    prefix: str | None = None
    remote: str | None = None
    meant: Literal["ports", "icmp"] | None = None


@dataclass(frozen=True, slots=True)
class Flows:
    """The flows that a rule is about, but for the group that the other side may be in; see mooring.model.groups.GroupRule."""

    direction: Direction
    family: int
    protocol: int | None
    first: int | None
    last: int | None
    prefix: IPv4Network | IPv6Network | None


def checked_flows(new: NewRule) -> Flows:
    """Return what a rule is about.

    Raises:
        Invalid: a field cannot be, or contradicts another; `field` is protocol, ports, icmp, remote_prefix, remote_group or family.
    """
    prefix = _prefix(new.prefix) if new.prefix is not None else None
    family = new.family or (prefix.version if prefix is not None else 4)
    if family not in FAMILIES:
        raise Invalid("family", "must be 4 or 6")
    if prefix is not None and prefix.version != family:
        raise Invalid("remote_prefix", f"{prefix} is IPv{prefix.version}, and the rule IPv{family}")
    if prefix is not None and new.remote is not None:
        raise Invalid("remote_group", "the other side is in a prefix or in a group, not in both: write two rules")
    protocol = _protocol(new.protocol, family)
    first, last = new.first, new.last
    if protocol == ICMP[family]:
        if new.meant == "ports":
            raise Invalid("ports", "ICMP has no ports, but a type and a code")
        _check_icmp(first, last)
    elif new.meant == "icmp":
        raise Invalid("icmp", "only ICMP has a type and a code")
    else:
        _check_ports(protocol, first, last)
    return Flows(new.direction, family, protocol, first, last, prefix)


def protocol_name(protocol: int | None) -> str | None:
    """Return a protocol's name, or its number as text where it has none; None for any."""
    return None if protocol is None else _NAMES.get(protocol, str(protocol))


def _prefix(text: str) -> IPv4Network | IPv6Network:
    shown = repr(text[:_SHOWN])
    if not _PREFIX.fullmatch(text):
        raise Invalid("remote_prefix", f"{shown} is not an address and a prefix length, as in 192.0.2.0/24")
    try:
        wide = ip_network(text, strict=False)
    except ValueError as error:
        raise Invalid("remote_prefix", f"{shown} is not a prefix") from error
    try:
        return ip_network(text)
    except ValueError as error:
        raise Invalid("remote_prefix", f"{shown} has bits beyond the prefix: is {wide} meant?") from error


def _protocol(value: str | int | None, family: int) -> int | None:
    text = "" if value is None else str(value).strip().lower()
    if text in _ANY:
        return None
    number = PROTOCOLS.get(text)
    if number is None and text.isascii() and text.isdecimal() and len(text) <= 3 and int(text) in _BYTE:
        number = int(text)
    if number is None:
        raise Invalid(
            "protocol", f"{str(value)[:_SHOWN]!r} is not a protocol: a name, as tcp, udp or icmp, or a number to 255"
        )
    if number == ICMP[4]:
        # Everybody says icmp and means that of the rule's family.
        return ICMP[family]
    if number == ICMP[6] and family != 6:
        raise Invalid("protocol", "ICMPv6 belongs to IPv6, and the rule is IPv4's")
    return number


def _check_icmp(kind: int | None, code: int | None) -> None:
    if kind is None and code is not None:
        raise Invalid("icmp", f"code {code} needs a type")
    if kind is not None and kind not in _BYTE:
        raise Invalid("icmp", f"type {kind} is not from 0 to 255")
    if code is not None and code not in _BYTE:
        raise Invalid("icmp", f"code {code} is not from 0 to 255")


def _check_ports(protocol: int | None, first: int | None, last: int | None) -> None:
    if first is None and last is None:
        return
    if protocol not in PORTED:
        raise Invalid("ports", f"{protocol_name(protocol) or 'a rule for every protocol'} has no ports")
    if first is None or last is None:
        raise Invalid("ports", "a range needs its first and its last port")
    for port in (first, last):
        if port not in _PORTS:
            raise Invalid("ports", f"{port} is not a port: they go from {_PORTS[0]} to {_PORTS[-1]}")
    if first > last:
        raise Invalid("ports", f"the range {first} to {last} ends before it starts")


def filter_rule(rule: GroupRule, remote: int | None) -> FilterRule:
    """Return what hosts are told of a rule; `remote` is the number of the group that it refers to."""
    first, last = _span(rule)
    prefix = rule.prefix if rule.prefix is not None and rule.prefix.prefixlen else None
    return FilterRule(rule.direction, rule.family, rule.protocol, first, last, prefix, remote)


def _span(rule: GroupRule) -> tuple[int, int]:
    if rule.first is None:
        return 0, 65535
    if rule.protocol != ICMP[rule.family]:
        return rule.first, rule.first if rule.last is None else rule.last
    return rule.first << 8 | (rule.last or 0), rule.first << 8 | (255 if rule.last is None else rule.last)


def meaning(rule: GroupRule) -> str:
    """Return a text that two rules of a group share exactly if they admit the same and refer to the same group."""
    told = filter_rule(rule, None)
    protocol = "any" if told.protocol is None else told.protocol
    other = rule.remote or told.remote_prefix or "any"
    return f"{told.direction} ipv{told.family} {protocol} {told.first}-{told.last} {other}"
