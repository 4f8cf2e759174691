"""What egress preferences cost: a packet, one change, and loading them, beside the scheme that has a rule and a table of routes for each guest.

So many guests with ten prefixes each, one hundred sets of prefixes among them, in a router with two uplinks.  Beside it, in the same run, plain
routing through the same devices; mooring's router with one uplink, which needs no rules of routing; and that router with a rule
and a table of ten routes for each guest, as was proposed for nova-network: its address translation is mooring's own, in the peer's favour.

Packets go to a destination that a preference of each guest holds, otherwise as in `packets`.  A change is a preference that is added to those of one more
guest, one that leads elsewhere, and for the peer what it takes there, by `ip -batch`.  Everything that a guest of the peer has is removed with it.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from ipaddress import IPv4Address, IPv4Interface, IPv4Network

from bench.intent import Site
from bench.packets import PLAIN, Track, measured, tasks
from bench.report import Options, Results, options, say
from bench.world import FIRST_PRIVATE, FIRST_PUBLIC, OUTSIDE, at, ip
from mooring.compile.egress import INSIDE_TABLE
from mooring.compile.facts import Delta, Key, Row, Stage, diff
from mooring.compile.host import facts_of
from mooring.compile.tables import DHCP_HOST, DHCP_SERVER
from mooring.model.ids import UplinkId, uplink_name
from mooring.model.subjects import (
    Egress,
    EgressPreference,
    HostRole,
    NicIntent,
    Placement,
    PublicAddress,
    RouterIntent,
    RouterUplink,
    WayOut,
)

SIZES = (0, 1_000, 10_000)
_SETS, _PREFIXES = 100, 10
_SECOND_INTERFACE = "ext1"
_SECOND = IPv4Network("100.64.0.0/16")
_CHANGES = 15
_FIRST_TABLE = 10_000
_WITHOUT = frozenset({DHCP_HOST, DHCP_SERVER})


def prefixes(number: int) -> list[IPv4Network]:
    """Return the prefixes of a set: everywhere, where the outside of this benchmark is, and others that no other set has."""
    base = int(IPv4Address("100.128.0.0")) + number * 0x1000
    own = [IPv4Network((base + 0x100 * each, 24)) for each in range(_PREFIXES - 2)]
    return [IPv4Network("0.0.0.0/0"), IPv4Network((OUTSIDE, 24), strict=False), *own]


@dataclass(frozen=True, slots=True)
class Preferring(Site):
    """A gateway host with two uplinks, whose guests have an address of each and prefer among them."""

    @property
    def second(self) -> UplinkId:
        """Return the other way out."""
        return UplinkId(self._id(0xB4, 0))

    def nic(self, number: int, public: int | None, generation: int = 1) -> Placement:
        """Return a NIC that prefers."""
        return self.preferring(number, prefixes(number % _SETS), 1 + number % _SETS, generation)

    def preferring(
        self, number: int, among: list[IPv4Network], named: int, generation: int, turn: int = 0
    ) -> Placement:
        """Return a NIC that prefers by these prefixes, by the first uplink and the second in turn, but by the first to where packets go."""
        placed = Site.nic(self, number, number, generation)
        assert isinstance(placed.subject, NicIntent)
        own = PublicAddress(FIRST_PUBLIC + number, self.uplink)
        other = PublicAddress(_SECOND.network_address + 0x100 + number, self.second)
        ways = (WayOut(own.address, own.uplink, 1), WayOut(other.address, other.uplink, 2))
        told = tuple(
            EgressPreference(prefix, ways[0 if OUTSIDE in prefix else (place + turn) % 2])
            for place, prefix in enumerate(among)
        )
        (fixed,) = placed.subject.addresses
        fixed = replace(
            fixed, floating=(own, other), egress=Egress(named, tuple(sorted(told, key=lambda it: it.prefix)))
        )
        return replace(placed, subject=replace(placed.subject, addresses=(fixed,)))

    def _router(self) -> RouterIntent:
        router = Site._router(self)
        second = RouterUplink(
            uplink=self.second,
            interface=_SECOND_INTERFACE,
            mac="fa:16:3e:00:00:03",
            address=IPv4Interface((_SECOND.network_address + 2, _SECOND.prefixlen)),
            next_hop=_SECOND.network_address + 1,
            prefixes=(_SECOND,),
            ranges=(_SECOND,),
            number=2,
        )
        return replace(router, uplinks=(replace(router.uplinks[0], number=1), second))


class Crossing(Track):
    """A world of one of the schemes; `load_seconds` is what its guests' elements, or rules and routes, took to be put."""

    def __init__(self, scheme: str, size: int, number: int, stack: ExitStack) -> None:
        self.scheme = scheme
        self.load_seconds = 0.0
        if scheme == "mooring":
            self.inside_tables = (254, INSIDE_TABLE)
        super().__init__(size, number, stack, Preferring(number) if scheme == "mooring" else None)

    def _load(self) -> None:
        if self.scheme == "mooring":
            host = self.world.host
            ip(
                "-n",
                host,
                "link",
                "add",
                _SECOND_INTERFACE,
                "type",
                "veth",
                "peer",
                "eth1",
                "netns",
                self.world.outside,
            )
            ip("-n", host, "link", "set", _SECOND_INTERFACE, "up")
            ip("-n", self.world.outside, "link", "set", "eth1", "up")
        facts = self._facts() if self.size or self.scheme == "plain routing" else self.site.facts(0, without=_WITHOUT)
        elements = {key: value for key, value in facts.items() if key.table.stage is Stage.ELEMENT}
        self.backend.apply(Delta({key: value for key, value in facts.items() if key not in elements}, {}))
        began = time.monotonic()
        self.backend.apply(Delta(elements, {}))
        if self.scheme == "rule and table":
            began = time.monotonic()
            self._batch(line for number in range(self.size) for line in self.guest(number))
        self.load_seconds = time.monotonic() - began

    def guest(self, number: int, verb: str = "add") -> Iterator[str]:
        """Return what the peer says of a guest to ip(8)."""
        device, table = uplink_name(self.site.uplink), _FIRST_TABLE + number
        yield f"rule {verb} from {FIRST_PRIVATE + number} lookup {table}"
        for prefix in prefixes(number % _SETS):
            yield f"route {verb} {prefix} via {OUTSIDE} dev {device} table {table}"

    def _batch(self, lines: Iterator[str] | list[str]) -> None:
        text = "".join(f"{line}\n" for line in lines)
        command = at(self.router, "ip", "-batch", "-")
        subprocess.run(command, input=text, text=True, check=True, timeout=300, capture_output=True)

    def changes(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """Return changes of one guest more than there are, each with its name, to be made one after the other."""
        number = self.size
        device = uplink_name(self.site.uplink)
        more = f"192.0.2.0/24 via {OUTSIDE} dev {device} table {_FIRST_TABLE + number}"
        if self.scheme == "rule and table":
            if not self.size:
                return
            yield "a guest comes", lambda: self._batch(self.guest(number))
            yield "one preference more", lambda: self._batch([f"route add {more}"])
            yield "one leads elsewhere", lambda: self._batch([f"route replace {more} onlink"])
            yield "a guest goes", lambda: self._batch([*self.guest(number, "del"), f"route del {more}"])
            return
        assert isinstance(self.site, Preferring)
        known, longer = prefixes(_SETS), [*prefixes(_SETS), IPv4Network("192.0.2.0/24")]
        nothing: dict[Key, Row] = {}
        here = _facts(self.site.preferring(number, known, _SETS + 1, 1))
        more_here = _facts(self.site.preferring(number, longer, _SETS + 2, 2))
        turned = _facts(self.site.preferring(number, longer, _SETS + 2, 3, turn=1))
        for name, before, after in (
            ("a guest comes", nothing, here),
            ("one preference more", here, more_here),
            ("all of a guest's lead elsewhere", more_here, turned),
            ("one leads elsewhere", turned, _but_for_one(turned, more_here)),
            ("a guest goes", _but_for_one(turned, more_here), nothing),
        ):
            yield name, partial(self.backend.apply, diff(before, after))


def _facts(placed: Placement) -> dict[Key, Row]:
    assert placed.subject is not None
    return {
        fact.key: fact.value
        for fact in facts_of(placed.subject, HostRole.GATEWAY)
        if fact.key.table.stage is Stage.ELEMENT
    }


def _but_for_one(state: dict[Key, Row], other: dict[Key, Row]) -> dict[Key, Row]:
    """Return a state after one choice is as in another one."""
    key = next(key for key, value in state.items() if other.get(key) not in (None, value))
    return {**state, key: other[key]}


def main(argv: list[str] | None = None) -> int:
    """Measure."""
    given = options("uplinks", SIZES, 3, argv)
    results = Results()
    schemes = ("one uplink", "mooring", "rule and table")
    wanted = [("plain routing", 0), *((scheme, size) for size in given.sizes if size for scheme in schemes)]
    with ExitStack() as stack:
        tracks: dict[tuple[str, int], Crossing] = {}
        for number, (scheme, size) in enumerate(wanted):
            say(f"builds {scheme} with {size:,} guests")
            tracks[scheme, size] = Crossing(scheme, size, number, stack)
            if size and scheme != "one uplink":
                results.add(
                    scheme, size, f"load all, {_PREFIXES} prefixes each", "s", tracks[scheme, size].load_seconds
                )
        _packets(given, results, tracks)
        if 0 in given.sizes:
            tracks["mooring", 0] = Crossing("mooring", 0, len(wanted), stack)
        for (scheme, size), track in tracks.items():
            if scheme in {"mooring", "rule and table"}:
                say(f"changes with {size:,} guests: {scheme}")
                for _ in range(3 if given.quick else _CHANGES):
                    for name, change in track.changes():
                        began = time.monotonic()
                        change()
                        results.add(scheme, size, name, "ms", (time.monotonic() - began) * 1e3)
    results.finish(given)
    return 0


def _packets(given: Options, results: Results, tracks: dict[tuple[str, int], Crossing]) -> None:
    plain = tracks["plain routing", PLAIN]
    for number, (kind, direction) in tasks(given):
        if direction == "in" and kind == "established":
            for track in tracks.values():
                track.forget()
                track.answer()
        order = list(tracks)[:: 1 if number % 2 == 0 else -1]
        spent = {name: measured(tracks[name], kind, direction) for name in order}
        base = spent["plain routing", plain.size]
        for (scheme, size), value in spent.items():
            if size:
                results.add(scheme, size, f"{kind} {direction}, of plain routing", "ratio", value / base)
        say(f"round {number + 1}, {kind} {direction}: {', '.join(f'{spent[name]:,.0f} ns' for name in tracks)}")


if __name__ == "__main__":
    sys.exit(main())
