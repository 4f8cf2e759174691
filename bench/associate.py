"""How long an association takes: from the call over HTTP to the first packet through, and from its end to the last, however many there are.

For each size a whole mooring (API, controller and agent in one process, SQLite, the Linux back-end) stands in a world of its own, with two real
guests and so many more associations in its database and in its router.  All of them but the one that is measured stand still meanwhile.  The
client is another process with one HTTP connection; a third, outside, asks the floating IP for an echo every 0.4 ms.  Where the time goes is
noted by wrapping the methods of mooring's parts.
"""

import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from bench.cloud import Client, Cloud
from bench.report import BUILD, Results, options, rounds_of, say
from bench.world import World, at
from mooring.model.ids import InstanceId, guest_namespace

SIZES = (1, 1_000, 10_000)
_CHANGES = 8
_SETTLED = 0.35
_SECOND_TTL = 100
_TIMEOUT = 5.0

Moments = dict[str, float]


class Stand:
    """A mooring with two guests, a client, and a probe that asks one floating IP."""

    def __init__(self, size: int, number: int, stack: ExitStack) -> None:
        self.size = size
        self.world = stack.enter_context(World(f"b{number}"))
        BUILD.mkdir(parents=True, exist_ok=True)
        # The database belongs on the disk that `make` is used on, not in memory.
        state = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=BUILD)))
        run = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/run")))
        run.chmod(0o755)
        self.cloud = stack.enter_context(Cloud(self.world.host, state, run))
        self.cloud.ask("set_up")
        self.first, self.second = (id for id, _ in self.cloud.ask("boot", count=2))
        namespace = guest_namespace(InstanceId(self.second))
        setting = f"net.ipv4.ip_default_ttl={_SECOND_TTL}"
        subprocess.run(at(namespace, "sysctl", "-qw", setting), check=True, timeout=30)
        start = time.monotonic()
        if size > 1:
            self.cloud.ask("fill", count=size - 1, associated=True)
        say(f"{size:,} associations after {time.monotonic() - start:.1f} s, {self.cloud.memory():.0f} MiB")
        self.client: Client = self.cloud.client()
        self.floating, self.address = self.client.allocate()
        command = at(self.world.outside, sys.executable, "-m", "bench.probe", self.address)
        self.probe = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        stack.callback(_ended, self.probe)
        self._round()
        self.pause()

    def pause(self) -> None:
        """Stand still."""
        self.cloud.pause()
        self.probe.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Get ready to be measured."""
        self.probe.send_signal(signal.SIGCONT)
        self.cloud.go_on()
        # The server closes a connection on which nothing came for 5 seconds.
        self.client.close()
        self.client.healthz()

    def _round(self) -> None:
        # The first of everything loads code and fills caches.
        self.client.associate(self.first, self.address)
        self.client.associate(self.second, self.address)
        self.client.disassociate(self.second, self.address)

    def measure(self, results: Results) -> None:
        """Associate, move and disassociate once."""
        for work, server, verb in (
            ("associate", self.first, self.client.associate),
            ("move", self.second, self.client.associate),
            ("disassociate", self.second, self.client.disassociate),
        ):
            self.cloud.ask("spans")
            start = time.time_ns()
            verb(server, self.address)
            end = time.time_ns()
            time.sleep(_SETTLED)
            packet = _packet(work, start, self._answers(start))
            what = "last packet" if work == "disassociate" else "first packet"
            results.add(work, self.size, what, "ms", packet)
            results.add(work, self.size, "call", "ms", (end - start) / 1e6)
            for part, spent in _parts(self.cloud.ask("spans"), start, end).items():
                results.add(work, self.size, f"of it {part}", "ms", spent)

    def _answers(self, since: int) -> list[tuple[int, int]]:
        if self.probe.stdin is None or self.probe.stdout is None:
            raise RuntimeError("the probe has no pipes")
        self.probe.stdin.write(f"{since}\n")
        self.probe.stdin.flush()
        return [(moment, hops) for moment, hops in json.loads(self.probe.stdout.readline())]


def main(argv: list[str] | None = None) -> int:
    """Measure."""
    given = options("associate", SIZES, 5, argv)
    results = Results()
    with ExitStack() as stack:
        stands = {size: Stand(size, number, stack) for number, size in enumerate(given.sizes)}
        for number, size in rounds_of(given.sizes, given.rounds):
            stand = stands[size]
            stand.go_on()
            for _ in range(2 if given.quick else _CHANGES):
                stand.measure(results)
            stand.pause()
            calls = results.samples("associate", size, "call")
            say(f"round {number + 1}: {size:,} associations, so far {statistics.median(calls):.1f} ms a call")
        for size in given.sizes:
            for work in ("associate", "move", "disassociate"):
                calls = sorted(results.samples(work, size, "call"))
                results.add(work, size, "call, slowest", "ms", calls[-1])
            results.add("memory", size, "mooring, resident", "MiB", stands[size].cloud.memory())
    results.finish(given)
    return 0


def _packet(work: str, start: int, answers: list[tuple[int, int]]) -> float:
    """Return after how many milliseconds the packet came that the work is judged by: the new guest's first, or the last of all."""
    if work == "disassociate":
        # None at all, if the probe did not get to run in the few milliseconds that there were.
        return (answers[-1][0] - start) / 1e6 if answers else 0.0
    theirs = [moment for moment, hops in answers if (hops > 64) == (work == "move")]
    if not theirs:
        raise RuntimeError(f"{work}: nothing came from the new guest, {len(answers)} answers from the other")
    return (theirs[0] - start) / 1e6


def _parts(spans: list[tuple[str, int, int]], start: int, end: int) -> Moments:
    """Return where a call's time went, one part after the other, in milliseconds."""
    first: dict[str, tuple[int, int]] = {}
    for name, began, ended in sorted(spans, key=lambda span: span[1]):
        if began >= start and ended <= end:
            first.setdefault(name, (began, ended))
    if not {"operation", "settle", "pull", "hold", "apply", "report"} <= first.keys():
        return {}  # a comparison of the whole host came between: the call counts, its parts would not add up
    operation, settle, pull, hold, apply, report = (
        first[name] for name in ("operation", "settle", "pull", "hold", "apply", "report")
    )
    nothing = (0, 0)
    found = {
        "HTTP, rights": operation[0] - start + end - operation[1],
        "transaction": settle[0] - operation[0],
        "wake-up": pull[0] - settle[0],
        "pull": pull[1] - pull[0],
        "compile": hold[1] - hold[0],
        "kernel": apply[1] - apply[0],
        "kernel: nft alone": _length(first.get("nft", nothing)),
        "kernel: announcement alone": _length(first.get("announce", nothing)),
        "kernel: conntrack alone": _length(first.get("conntrack", nothing)),
        "report": report[1] - report[0],
        "waiting to be told": max(0, settle[1] - report[1]),
    }
    return {name: spent / 1e6 for name, spent in found.items()}


def _length(span: tuple[int, int]) -> int:
    return span[1] - span[0]


def _ended(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()


if __name__ == "__main__":
    sys.exit(main())
