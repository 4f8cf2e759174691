"""What port filters cost: a packet, a change, and loading them, beside a bare bridge and what OpenStack's two networks put into iptables.

Each size is so many ports of 256 addresses, ten to a security group of twenty rules, and measured in a process of its own.  Side by side are a
bare bridge, one with connection tracking alone, mooring's rules as its compiler and its Linux back-end put them, and nova-network's and
Neutron's chains (bench/filters_peers.py).  UDP packets go from port to port by one pinned processor that walks their whole path; all of them
must arrive.  Established: flows that were answered, both ways in turn.  New: each packet opens a flow.  Ratios are to the bare bridge in the
same round, and the order turns with each round.  A rule that mooring takes back makes it judge every flow once more, when its next packet
comes, which is "judged anew".

Changes: one rule more and less in a group of ten ports; one member, with its 256 addresses, on another host; one address of a port of this
host.  mooring's go through the back-end, the peers' through `iptables-restore --noflush` and `ipset restore` as processes.
"""

import json
import logging
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack

from bench.filters_wall import Wall
from bench.filters_worlds import (
    ANEW,
    ESTABLISHED,
    NEW,
    Bare,
    Mooring,
    NeutronBridge,
    NovaNetwork,
    Track,
    Tracked,
    Uncounted,
    Unguarded,
    Unjudged,
)
from bench.report import Results, options, say
from bench.world import check_sandbox, sweep
from mooring.logs import configure

SIZES = (10, 100, 1_000)
MARKS = {ESTABLISHED: 1.63, NEW: 2.58}
"""What a prototype of such rules cost at 1,000 ports, as a ratio to a bare bridge."""

_ADDRESSES, _FEW_ADDRESSES = 256, 16
_CHANGES = 5
_CHILD = "--one"
_TIMEOUT = 1_800
_KINDS: tuple[type[Track], ...] = (Bare, Tracked, Mooring, NovaNetwork, NeutronBridge)
_PARTS: tuple[type[Track], ...] = (Unguarded, Uncounted, Unjudged)
_PARTS_UP_TO = 100
"""At so many ports, and fewer, parts of mooring's rules are left out in turn: each is a host more to be loaded."""


def main(argv: list[str] | None = None) -> int:
    """Measure each size in a process of its own."""
    arguments = sys.argv[1:] if argv is None else argv
    if arguments[:1] == [_CHILD]:
        configure(sys.stderr, level=logging.WARNING)
        size, rounds, addresses = map(int, arguments[1:])
        print(json.dumps(_one(size, rounds, addresses)))
        return 0
    given = options("filters", SIZES, 7, arguments)
    results = Results()
    for size in given.sizes:
        say(f"{size:,} ports")
        addresses = _FEW_ADDRESSES if given.quick else _ADDRESSES
        command = [sys.executable, "-m", "bench.filters", _CHILD, str(size), str(given.rounds), str(addresses)]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=_TIMEOUT)
        for work, metric, unit, value in json.loads(done.stdout):
            results.add(work, size, metric, unit, value)
    results.finish(given)
    for kind, mark in MARKS.items():
        found = [row for row in results.rows() if (row.work, row.metric) == (Mooring.name, f"{kind}, of a bare bridge")]
        told = ", ".join(f"{row.value:.2f} at {row.size:,} ports" for row in found)
        print(f"mark: {kind}, of a bare bridge, at most {mark}; mooring's: {told}")
    return 0


Sample = tuple[str, str, str, float]
"""Work, metric, unit, value."""


def _one(size: int, rounds: int, addresses: int) -> list[Sample]:
    check_sandbox()
    samples: list[Sample] = []
    with ExitStack() as stack:
        stack.callback(sweep)
        wall = Wall(size, addresses)
        tracks: list[Track] = []
        for number, kind in enumerate((*_KINDS, *(_PARTS if size <= _PARTS_UP_TO else ()))):
            track = kind(wall, number, stack)
            tracks.append(track)
            if kind in _KINDS:
                samples += [(kind.name, f"load: {what}", "s", seconds) for what, seconds in track.loads.items()]
            say(f"{kind.name}: loaded in {sum(track.loads.values()):.1f} s")
        for number in range(rounds):
            for packets in (ESTABLISHED, NEW, ANEW):
                samples += _packets(tracks[:: 1 if number % 2 == 0 else -1], packets)
        for number in range(min(_CHANGES, rounds)):
            for track in tracks[:: 1 if number % 2 == 0 else -1]:
                samples += _changes(track)
        used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        samples.append((Mooring.name, "memory: this process, at most", "MiB", used))
    return samples


def _packets(tracks: list[Track], kind: str) -> list[Sample]:
    spent = {track.name: track.measure(kind) for track in tracks if kind != ANEW or type(track) in (Bare, Mooring)}
    say(f"{kind}: {', '.join(f'{name} {value:,.0f} ns' for name, value in spent.items())}")
    return [
        *((name, kind, "ns", value) for name, value in spent.items()),
        *(
            (name, f"{kind}, of a bare bridge", "ratio", value / spent[Bare.name])
            for name, value in spent.items()
            if name != Bare.name
        ),
    ]


def _changes(track: Track) -> list[Sample]:
    samples: list[Sample] = []
    for name, (do, undo) in track.changes().items():
        samples.append((track.name, f"one {name} more", "ms", _milliseconds(do)))
        samples.append((track.name, f"one {name} less", "ms", _milliseconds(undo)))
    return samples


def _milliseconds(work: Callable[[], object]) -> float:
    started = time.monotonic()
    work()
    return (time.monotonic() - started) * 1e3


if __name__ == "__main__":
    sys.exit(main())
