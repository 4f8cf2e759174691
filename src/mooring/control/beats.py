"""Heartbeats of many hosts in few transactions: of a thousand hosts, a thousand come each second."""

import threading
import time
from collections.abc import Callable, Mapping

from mooring.model.faults import Fault
from mooring.model.ids import HostId

Write = Callable[[Mapping[HostId, str]], Mapping[HostId, Fault]]
"""Records that hosts are alive, as the machines that they say they are; returns why not, of those that it can't be recorded of."""

_GATHER = 0.05


class _Beat:
    """A host that waits for its heartbeat to be written."""

    def __init__(self, machine: str) -> None:
        self.machine = machine
        self.written = threading.Event()
        self.fault: Exception | None = None


class Beats:
    """Gathers heartbeats: whoever comes first waits a moment, and writes all that have come by then."""

    def __init__(self, write: Write, gather: float = _GATHER) -> None:
        """Keep how to write.  `gather` is the moment, in seconds: short for a host that beats once a second, long for a database."""
        self._write = write
        self._gather = gather
        self._lock = threading.Lock()
        self._waiting: dict[HostId, _Beat] = {}

    def beat(self, host: HostId, machine: str) -> None:
        """Record that a host is alive; return once that is written.

        Raises:
            Fault: as writing that host alone would.
        """
        own = _Beat(machine)
        with self._lock:
            known = self._waiting.setdefault(host, own)
            leads = len(self._waiting) == 1 and known is own
        if leads:
            time.sleep(self._gather)
            self._write_all()
        elif known is own:
            own.written.wait()
        else:
            # Two of one host at once may be two machines: they are not the same question.
            self._write_some({host: own})
        if own.fault is not None:
            raise own.fault

    def _write_all(self) -> None:
        with self._lock:
            beats, self._waiting = self._waiting, {}
        self._write_some(beats)

    def _write_some(self, beats: Mapping[HostId, _Beat]) -> None:
        faults: Mapping[HostId, Exception]
        try:
            faults = self._write({host: beat.machine for host, beat in beats.items()})
        except Exception as error:  # noqa: BLE001 - all of them were in vain, and each must hear of it
            faults = dict.fromkeys(beats, error)
        for host, beat in beats.items():
            beat.fault = faults.get(host)
            beat.written.set()
