"""What it costs to make a gateway host true and to read it back: whole, and one change of it, however much else is there.

Each size is measured in a process of its own, with a fresh kernel namespace, so that memory can be told.  A change is one floating IP
associated, moved to another NIC, and taken away, or a NIC that comes or goes; it goes through the back-end directly, through the ledger and
settling, and, as the peer that most programs use, through a process `nft -f -` with the same elements.  Then as many forwarded ports are put
beside the associations, and one more comes and goes, and a range.
"""

import json
import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from resource import RUSAGE_SELF, getrusage

from bench.intent import Site
from bench.report import Results, options, rounds_of, say
from bench.world import FIRST_PUBLIC, World, at
from mooring.agent.ledger import Ledger
from mooring.agent.settle import settle
from mooring.backends.linux import elements
from mooring.backends.linux.backend import LinuxBackend
from mooring.compile.facts import Delta, Key, Row, Stage, diff
from mooring.compile.host import compile_host
from mooring.logs import configure
from mooring.model.ids import router_namespace
from mooring.model.subjects import NicIntent, Placement, PortForwarding, PublicAddress, Transport

SIZES = (1, 1_000, 10_000, 100_000)
_CHANGES = 15
_PORTS = 10_000
"""So many of one address are forwarded before it is another's turn."""
_NICS = 3
_CHILD = "--one"
_TIMEOUT = 900

Samples = dict[str, tuple[str, list[float]]]


def main(argv: list[str] | None = None) -> int:
    """Measure each size in a process of its own."""
    arguments = sys.argv[1:] if argv is None else argv
    if arguments[:1] == [_CHILD]:
        configure(sys.stderr, level=logging.WARNING)
        print(json.dumps(Run(int(arguments[1]), int(arguments[2])).samples()))
        return 0
    given = options("apply", SIZES, 3, arguments)
    results = Results()
    for number, size in rounds_of(given.sizes, given.rounds):
        say(f"round {number + 1}: {size:,} associations")
        done = subprocess.run(
            [sys.executable, "-m", "bench.apply", _CHILD, str(size), str(3 if given.quick else _CHANGES)],
            stdout=subprocess.PIPE,
            check=True,
            timeout=_TIMEOUT,
        )
        for name, (unit, values) in json.loads(done.stdout).items():
            work, _, metric = name.partition(": ")
            for value in values:
                results.add(work, size, metric, unit, value)
    results.finish(given)
    return 0


class Run:
    """One size, measured in this process: a gateway host with so many associations, and two NICs between which one more moves."""

    def __init__(self, size: int, changes: int) -> None:
        self._size, self._changes = size, changes
        self._site = Site()
        self._samples: Samples = {}

    def samples(self) -> Samples:
        """Measure everything and return it."""
        with ExitStack() as stack:
            world = stack.enter_context(World())
            run = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/run")))
            run.chmod(0o755)
            backend = LinuxBackend(run, world.host)
            stack.callback(backend.close)
            placements = [*self._site.gateway(self._size), *self._movers()]
            desired = _facts(placements)
            self._whole(backend, desired)
            again = LinuxBackend(run, world.host)
            stack.callback(again.close)
            self._time("whole host: read, after a restart", again.read)
            self._time("whole host: read again, unchanged", again.read)
            if there := diff(again.read(), desired):
                raise RuntimeError(f"the kernel does not hold what was applied:\n{there}")
            for name, delta in self._deltas():
                self._time(f"one change, back-end: {name}", partial(backend.apply, delta))
            for name, delta in self._deltas():
                # A NIC's coming and going is more than elements.
                if "NIC" not in name:
                    self._time(f"one change, nft -f - as a process: {name}", partial(self._by_process, delta))
            self._ledger(placements, backend)
            self._forwardings(backend)
            self._note("memory: this process, at most", "MiB", getrusage(RUSAGE_SELF).ru_maxrss / 1024)
        return self._samples

    def _whole(self, backend: LinuxBackend, desired: Mapping[Key, Row]) -> None:
        structure = {key: value for key, value in desired.items() if key.table.stage < Stage.ELEMENT}
        inside = {key: value for key, value in desired.items() if key.table.stage is Stage.ELEMENT}
        entries = {key: value for key, value in desired.items() if key.table.stage > Stage.ELEMENT}
        self._time("whole host: make the router", partial(backend.apply, Delta(structure, {})))
        before = _kernel_memory()
        self._time("whole host: put all elements", partial(backend.apply, Delta(inside, {})))
        self._note("memory: kernel, for the elements", "MiB", (_kernel_memory() - before) / 1024)
        self._time("whole host: put all DHCP entries", partial(backend.apply, Delta(entries, {})))

    def _ledger(self, placements: list[Placement], backend: LinuxBackend) -> None:
        ledger = Ledger()

        def compare() -> None:
            ledger.observe(backend.read())
            settle(ledger, backend)
            if ledger.unsettled():
                raise RuntimeError("the ledger finds something to do where there is nothing")

        def change(news: list[Placement]) -> None:
            ledger.hold(news)
            settle(ledger, backend)
            if ledger.unsettled():
                raise RuntimeError("a change was not made")

        self._time("whole host, ledger: hold all subjects", partial(ledger.hold, placements))
        self._time("whole host, ledger: compare with the kernel, first time", compare)
        compare()
        for _ in range(3):
            self._time("whole host, ledger: compare with the kernel, nothing new", compare)
        for name, news in self._moves():
            self._time(f"one change, ledger and back-end: {name}", partial(change, news))

    def _forwardings(self, backend: LinuxBackend) -> None:
        """Forward as many ports as there are associations, a port of each guest's; then one more port, and a range, to and fro."""
        mover = self._size
        there: dict[Key, Row] = {}
        for number in range(self._size):
            public, port = divmod(number, _PORTS)
            there.update(self._forwarded(number, mover + 3 + public, 1 + port))
        self._time("whole host: forward a port to each guest", partial(backend.apply, Delta(there, {})))
        for _ in range(self._changes):
            for what, last in (("a port", 20_000), ("a range of 1,000 ports", 20_999)):
                more = self._forwarded(mover, mover + 2, 20_000, last)
                self._time(f"one change, back-end: forward {what}", partial(backend.apply, Delta(more, {})))
                self._time(f"one change, back-end: end {what}", partial(backend.apply, Delta({}, more)))

    def _forwarded(self, number: int, public: int, first: int, last: int = 0) -> Mapping[Key, Row]:
        """Return what ports of a public address add to the facts of a NIC."""
        placed = self._site.nic(number, None)
        if not isinstance(placed.subject, NicIntent):
            raise TypeError(f"{placed.key} is no NIC")
        (own,) = placed.subject.addresses
        where = PublicAddress(FIRST_PUBLIC + public, self._site.uplink)
        forward = PortForwarding(where, Transport.TCP, first, last or first, first)
        subject = replace(placed.subject, addresses=(replace(own, forwards=(forward,)),))
        return diff(_facts([placed]), _facts([replace(placed, subject=subject)])).put

    def _by_process(self, delta: Delta) -> None:
        command = at(router_namespace(self._site.router), "nft", "-f", "-")
        subprocess.run(command, input="".join(_commands(delta)), text=True, check=True, timeout=60)

    def _movers(self) -> tuple[Placement, Placement]:
        return self._site.nic(self._size, None), self._site.nic(self._size + 1, None)

    def _moves(self) -> Iterator[tuple[str, list[Placement]]]:
        """Return changes: a floating IP is put on one NIC, on another, and on none; a third NIC comes and goes."""
        first, second, third = self._size, self._size + 1, self._size + 2
        for number in range(self._changes):
            newer = 2 + 3 * number
            yield "associate", [self._site.nic(first, first, newer)]
            yield "move", [self._site.nic(first, None, newer + 1), self._site.nic(second, first, newer + 1)]
            yield "disassociate", [self._site.nic(second, None, newer + 2)]
            if number < _NICS:
                comes = self._site.nic(third, None, newer)
                yield "a NIC comes", [comes]
                yield "a NIC goes", [replace(comes, generation=newer + 1, subject=None)]

    def _deltas(self) -> Iterator[tuple[str, Delta]]:
        now = {placed.key: placed for placed in self._movers()}
        for name, news in self._moves():
            before = _facts(now.values())
            now.update((placed.key, placed) for placed in news)
            yield name, diff(before, _facts(now.values()))

    def _time(self, name: str, work: Callable[[], object]) -> None:
        start = time.perf_counter()
        work()
        self._note(name, "ms", (time.perf_counter() - start) * 1e3)

    def _note(self, name: str, unit: str, value: float) -> None:
        self._samples.setdefault(name, (unit, []))[1].append(value)


def _facts(placements: Iterable[Placement]) -> dict[Key, Row]:
    return dict(compile_host((each.subject, each.role) for each in placements if each.subject is not None))


def _commands(delta: Delta) -> Iterator[str]:
    """Return the commands for nft, drops first; a map's element is deleted by its key alone."""
    for key in delta.drop:
        yield elements.loading("router", {key: ()}).replace("add", "delete", 1)
    for key, value in delta.put.items():
        yield elements.loading("router", {key: value})


def _kernel_memory() -> int:
    wanted = ("Slab:", "VmallocUsed:", "Percpu:")
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(wanted))


if __name__ == "__main__":
    sys.exit(main())
