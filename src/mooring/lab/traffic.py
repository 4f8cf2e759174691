"""Packets and sessions that are counted while something happens to the control plane."""

import json
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from mooring.lab.machine import LaboratoryFailed

_PROBE = Path(__file__).with_name("probe.py")
_TIMEOUT = 30
PING_INTERVAL, LINE_INTERVAL = 0.002, 0.02
"""500 packets a second, and a TCP session at 50 Hz."""


@dataclass(frozen=True, slots=True)
class Flow:
    """Where traffic comes from (a command's beginning, as Machine.at gives it) and what it goes to; `port` makes it a TCP session."""

    name: str
    source: Sequence[str]
    address: str
    port: int | None = None
    interval: float | None = None

    @property
    def command(self) -> Sequence[str]:
        """Return the probe's command."""
        what: tuple[str, ...]
        if self.port is None:
            what = ("ping", self.address, str(self.interval or PING_INTERVAL))
        else:
            what = ("tcp", self.address, str(self.port), str(self.interval or LINE_INTERVAL))
        return (*self.source, sys.executable, str(_PROBE), *what)


@dataclass(slots=True)
class Counted:
    """What a flow's probe counted; times are in seconds.

    `missed` of the answers came and were dropped at the probe's own door, for want of processor time: they are counted as lost, too, and
    say that it was not the network.
    """

    name: str
    sent: int = 0
    received: int = 0
    longest: float = 0.0
    missed: int = 0
    error: str = "not over yet"

    @property
    def lost(self) -> int:
        """Return how many answers did not come."""
        return self.sent - self.received

    @property
    def whole(self) -> bool:
        """Whether nothing was lost, and no session ended."""
        return self.sent > 0 and not self.lost and not self.error

    def __str__(self) -> str:
        """Write it as a line."""
        missed = f" (of which the probe itself missed {self.missed})" if self.missed else ""
        error = f", {self.error}" if self.error else ""
        return (
            f"{self.name}: {self.sent} sent, {self.lost} lost{missed}, longest wait {self.longest * 1000:.0f} ms{error}"
        )


@dataclass(frozen=True, slots=True)
class Traffic:
    """Flows that run; the counts are there when they are over."""

    counts: Sequence[Counted]

    @property
    def whole(self) -> bool:
        """Whether nothing at all was lost."""
        return bool(self.counts) and all(count.whole for count in self.counts)

    def __str__(self) -> str:
        """Write a line for each flow."""
        return "\n".join(str(count) for count in self.counts)


@contextmanager
def flowing(*flows: Flow) -> Generator[Traffic]:
    """Let flows run as long as the block lasts.

    Raises:
        LaboratoryFailed: one of them has no answer to begin with.
    """
    traffic = Traffic([Counted(flow.name) for flow in flows])
    with ExitStack() as stack:
        probes = [
            stack.enter_context(
                subprocess.Popen([*flow.command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            )
            for flow in flows
        ]
        stack.callback(_end, probes)
        for flow, probe in zip(flows, probes, strict=True):
            said = probe.stdout.readline() if probe.stdout else ""
            if said != "ready\n":
                raise LaboratoryFailed(f"{flow.name}: {flow.address} does not answer: {said.strip()}")
        yield traffic
        for counted, probe in zip(traffic.counts, probes, strict=True):
            said, _ = probe.communicate(timeout=_TIMEOUT)
            told = json.loads(said)
            counted.sent, counted.received = told["sent"], told["received"]
            counted.longest, counted.missed, counted.error = told["longest"], told["missed"], told["error"]


def _end(probes: Sequence[subprocess.Popen[str]]) -> None:
    for probe in probes:
        probe.kill()
