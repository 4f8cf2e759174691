"""Boxes: a security group's rules as blocks of protocols, ports and prefixes of which no two overlap.

The kernel's interval sets take nothing that overlaps with what is there.  So of nested prefixes each has only the ports that those around it
don't have already.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from mooring.compile.facts import Span

Prefix = IPv4Network | IPv6Network

_PROTOCOLS, _PORTS = 256, 65536


@dataclass(frozen=True, slots=True)
class Box:
    """All flows of these protocols and ports with somebody in the prefix; a `protocols` of one number is that protocol."""

    protocols: Span
    ports: Span
    prefix: Prefix


def disjoint(boxes: Iterable[Box]) -> list[Box]:
    """Return boxes that cover the same flows, and of which no two overlap.

    Their prefixes are of one family; a box that has all protocols has all ports, too, and each other box has one protocol.
    """
    every: set[Prefix] = set()
    single: dict[int, dict[Prefix, list[Span]]] = {}
    for box in boxes:
        if box.protocols.first == box.protocols.last:
            single.setdefault(box.protocols.first, {}).setdefault(box.prefix, []).append(box.ports)
        else:
            every.add(box.prefix)
    all_ports = Span(0, _PORTS - 1)
    found: list[Box] = []
    for protocols in _between(sorted(single)):
        found += _nested(protocols, {prefix: [all_ports] for prefix in every})
    for protocol, ports in sorted(single.items()):
        wanted = {
            prefix: [*ports.get(prefix, ()), *([all_ports] if prefix in every else ())] for prefix in {*ports, *every}
        }
        found += _nested(Span(protocol, protocol), wanted)
    return found


def _between(protocols: list[int]) -> Iterator[Span]:
    """Return the protocols that are not in a sorted list."""
    first = 0
    for protocol in [*protocols, _PROTOCOLS]:
        if first < protocol:
            yield Span(first, protocol - 1)
        first = protocol + 1


def _nested(protocols: Span, wanted: Mapping[Prefix, list[Span]]) -> Iterator[Box]:
    # From the widest prefix inwards, with what those around the present one have: sorted like this, they are what is left on the stack.
    around: list[tuple[Prefix, list[Span]]] = []
    for prefix in sorted(wanted, key=lambda it: (int(it.network_address), it.prefixlen)):
        while around and not _holds(around[-1][0], prefix):
            around.pop()
        covered = around[-1][1] if around else []
        own = _union(wanted[prefix])
        for ports in _less(own, covered):
            yield Box(protocols, ports, prefix)
        around.append((prefix, _union([*covered, *own])))


def _holds(wide: Prefix, narrow: Prefix) -> bool:
    return wide.prefixlen <= narrow.prefixlen and int(narrow.network_address) & int(wide.netmask) == int(
        wide.network_address
    )


def _union(spans: Iterable[Span]) -> list[Span]:
    """Return the same numbers in order, with neighbours made one."""
    found: list[Span] = []
    for span in sorted(spans):
        if found and span.first <= found[-1].last + 1:
            found[-1] = Span(found[-1].first, max(found[-1].last, span.last))
        else:
            found.append(span)
    return found


def _less(spans: list[Span], taken: list[Span]) -> Iterator[Span]:
    """Return what is left of spans; both lists are in order and without overlaps."""
    for span in spans:
        first = span.first
        for other in taken:
            if other.last < first or other.first > span.last:
                continue
            if first < other.first:
                yield Span(first, other.first - 1)
            first = other.last + 1
        if first <= span.last:
            yield Span(first, span.last)
