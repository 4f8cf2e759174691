"""What a packet costs in mooring's own router, as a ratio to plain routing through the same devices in the same run.

For each number of associations there is a world of its own: a router that the Linux back-end made, with the ruleset that it loads and the
elements that it puts.  Beside them stand the same namespaces and devices without a ruleset, which is plain routing, and with connection
tracking alone.  UDP packets of 46 bytes go through each in turn, from one pinned processor that walks their whole path; they are counted
where they arrive.  Established: 4,096 flows that were answered once.  New: every packet opens a flow, over all associations.

The guests' side is one namespace that is the next hop to all private addresses, and the outside routes the pool to the router: so the
kernel's neighbour table, which holds 1,024 entries on this machine, is no part of what is measured.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from bench.blast import Blast, Flow, entered, forget, received
from bench.intent import Site
from bench.report import Options, Results, options, rounds_of, say
from bench.world import (
    FIRST_PRIVATE,
    FIRST_PUBLIC,
    GATEWAY,
    GUESTS,
    OUTSIDE,
    POOL,
    ROUTER,
    World,
    add_namespace,
    at,
    ip,
)
from mooring.backends.linux.backend import LinuxBackend
from mooring.backends.linux.netns import Inside
from mooring.compile.facts import Delta, Key, Row
from mooring.compile.tables import ADDRESS, BRIDGE, DHCP_HOST, DHCP_SERVER, INNER, NAMESPACE, SYSCTL, UPLINK
from mooring.model.ids import bridge_name, inner_name, router_namespace

PLAIN, TRACKED = 0, -1
"""Two worlds that are no number of associations."""

SIZES = (1, 1_000, 10_000, 100_000)
_ESTABLISHED, _NEW = 4_096, 32_768
_SECONDS = 0.25
_GUEST = GATEWAY + 1
KINDS = tuple((kind, direction) for kind in ("established", "new") for direction in ("in", "out"))

_CONNTRACK_ONLY = "table ip peer { chain c { type filter hook prerouting priority 0; ct state invalid drop; }; }"
_SINK = """table netdev sink {{
 chain c {{ type filter hook ingress device {device} priority 0; ip protocol udp drop; }}
}}"""


@dataclass(frozen=True, slots=True)
class Way:
    """Packets of one kind in one direction, loaded and ready."""

    inside: Inside
    blast: Blast
    sink: tuple[str, str]


class Track:
    """A world with a router, and packets for it in four ways; `inside_tables` are its tables of routes that lead to guests."""

    inside_tables: tuple[int, ...] = (254,)

    def __init__(self, size: int, number: int, stack: ExitStack, site: Site | None = None) -> None:
        self.size = size
        self.site = site or Site(number)
        self.world = stack.enter_context(World(f"b{number}"))
        run = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/run")))
        self.backend = LinuxBackend(run, self.world.host)
        stack.callback(self.backend.close)
        self.router = router_namespace(self.site.router)
        self.guests = f"b{number}-guests"
        self._load()
        self._wire()
        self._inside = {name: entered(name, stack) for name in (self.router, self.guests, self.world.outside)}
        self.ways = {(kind, direction): self._way(kind, direction, stack) for kind, direction in KINDS}

    def _load(self) -> None:
        self.backend.apply(Delta(self._facts(), {}))

    def _facts(self) -> dict[Key, Row]:
        if self.size > 0:
            return self.site.facts(self.size, without=frozenset({DHCP_HOST, DHCP_SERVER}))
        kept = {NAMESPACE, BRIDGE, INNER, UPLINK, ADDRESS, SYSCTL}
        facts = self.site.facts(0)
        return {key: value for key, value in facts.items() if key.table in kept and "proxy" not in str(key.row)}

    def _wire(self) -> None:
        host, outside = self.world.host, self.world.outside
        add_namespace(self.guests)
        ip("-n", host, "link", "add", "guests", "type", "veth", "peer", "eth0", "netns", self.guests)
        ip("-n", host, "link", "set", "guests", "master", bridge_name(self.site.network), "up")
        ip("-n", self.guests, "addr", "add", f"{_GUEST}/{GUESTS.prefixlen}", "dev", "eth0")
        ip("-n", self.guests, "link", "set", "eth0", "up")
        ip("-n", self.guests, "route", "add", "default", "via", str(GATEWAY))
        device = inner_name(self.site.network)
        for half in GUESTS.subnets():
            for table in self.inside_tables:
                way = ("via", str(_GUEST), "dev", device, "onlink", "table", str(table))
                ip("-n", self.router, "route", "add", str(half), *way)
        for prefix in (*POOL.subnets(), GUESTS):
            ip("-n", outside, "route", "add", str(prefix), "via", str(ROUTER), "dev", "eth0", "onlink")
        for namespace, target in ((self.guests, GATEWAY), (outside, ROUTER)):
            subprocess.run(at(namespace, "ping", "-c", "1", "-W", "2", str(target)), check=True, capture_output=True)
        for namespace in (self.guests, outside):
            _nft(namespace, _SINK.format(device="eth0"))
        if self.size == TRACKED:
            _nft(self.router, _CONNTRACK_ONLY)

    def _way(self, kind: str, direction: str, stack: ExitStack) -> Way:
        count = _ESTABLISHED if kind == "established" else _NEW
        sender, sink = self.world.outside, self.guests
        if direction == "out":
            sender, sink = sink, sender
        inside = self._inside[sender]
        blast = inside.run(lambda: Blast(count))
        stack.callback(blast.close)
        blast.load(list(islice(self._flows(direction), count)))
        return Way(inside, blast, (sink, "eth0"))

    def _flows(self, direction: str) -> Iterator[Flow]:
        """Return flows without end, spread over all associations, no two alike."""
        size = max(self.size, 1_000)
        for number in range(1 << 30):
            guest = number * 61_803 % size if self.size != 1 else 0  # 61,803 has no divisor with any of our sizes
            port, other = 1_024 + number % 60_000, 7_000 + number // 60_000
            public = (FIRST_PRIVATE if self.size <= 0 else FIRST_PUBLIC) + guest
            if direction == "in":
                yield OUTSIDE, port, public, other
            else:
                yield FIRST_PRIVATE + guest, port, OUTSIDE, other

    def answer(self) -> None:
        """Let every established flow be answered once, so that it is established."""
        for direction, sender in (("in", self.guests), ("out", self.world.outside)):
            self.ways["established", direction].inside.run(self.ways["established", direction].blast.once)
            inside = self._inside[sender]
            replies = inside.run(lambda: Blast(_ESTABLISHED))
            replies.load([self._reply(flow, direction) for flow in islice(self._flows(direction), _ESTABLISHED)])
            inside.run(replies.once)
            replies.close()

    def _reply(self, flow: Flow, direction: str) -> Flow:
        source, source_port, target, target_port = flow
        if self.size > 0 and direction == "in":
            target = FIRST_PRIVATE + (int(target) - int(FIRST_PUBLIC))
        elif self.size > 0:
            source = FIRST_PUBLIC + (int(source) - int(FIRST_PRIVATE))
        return target, target_port, source, source_port

    def forget(self) -> None:
        """End all flows that the router knows."""
        self._inside[self.router].run(forget)

    def measure(self, kind: str, direction: str) -> float:
        """Return the nanoseconds of processor time that a packet takes."""
        way = self.ways[kind, direction]
        before = received(*way.sink)
        if kind == "established":
            sent, spent = way.inside.run(lambda: way.blast.send(_SECONDS))
        else:
            sent, spent = way.inside.run(way.blast.once)
        arrived = received(*way.sink) - before
        if arrived < 0.999 * sent:
            raise RuntimeError(f"{self.size} associations, {kind} {direction}: {arrived} of {sent} packets arrived")
        return spent / arrived * 1e9


def main(argv: list[str] | None = None) -> int:
    """Measure."""
    given = options("packets", SIZES, 7, argv)
    results = Results()
    with ExitStack() as stack:
        tracks: dict[int, Track] = {}
        for number, size in enumerate((PLAIN, TRACKED, *given.sizes)):
            say(f"builds a router with {_name(size)}")
            tracks[size] = Track(size, number, stack)
        for number, (kind, direction) in tasks(given):
            if direction == "in" and kind == "established":
                for track in tracks.values():
                    track.forget()
                    track.answer()
            order = list(tracks)[:: 1 if number % 2 == 0 else -1]
            spent = {size: measured(tracks[size], kind, direction) for size in order}
            for size in tracks:
                _add(results, size, f"{kind} {direction}", spent[size], spent[PLAIN])
            say(f"round {number + 1}, {kind} {direction}: {', '.join(f'{spent[size]:,.0f} ns' for size in tracks)}")
    results.finish(given)
    return 0


def measured(track: Track, kind: str, direction: str) -> float:
    """Return the nanoseconds of a packet, new ones with no flow known."""
    if kind == "new":
        track.forget()
        time.sleep(0.05)
    return track.measure(kind, direction)


def tasks(given: Options) -> Iterator[tuple[int, tuple[str, str]]]:
    """Return what to measure, round by round."""
    for number, kind in rounds_of(range(len(KINDS)), given.rounds):
        # Established first and last in turn would need the flows anew each time: the order of worlds is what turns here.
        yield number, KINDS[kind if number % 2 == 0 else len(KINDS) - 1 - kind]


def _add(results: Results, size: int, metric: str, spent: float, plain: float) -> None:
    work = {PLAIN: "plain routing", TRACKED: "routing, conntrack"}.get(size, "mooring")
    results.add(work, max(size, 0), metric, "ns", spent)
    if size != PLAIN:
        results.add(work, max(size, 0), f"{metric}, of plain routing", "ratio", spent / plain)


def _name(size: int) -> str:
    return {PLAIN: "no rules", TRACKED: "connection tracking alone"}.get(size, f"{size:,} associations")


def _nft(namespace: str, text: str) -> None:
    subprocess.run(at(namespace, "nft", "-f", "-"), input=text, text=True, check=True, timeout=60)


if __name__ == "__main__":
    sys.exit(main())
