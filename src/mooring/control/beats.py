"""Heartbeats of many hosts in few transactions: of a thousand hosts, a thousand come each second."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mooring.model.faults import Fault
from mooring.model.ids import HostId

Write = Callable[[Mapping[HostId, str]], Mapping[HostId, Fault]]
"""Records that hosts are alive, as the machines that they say they are; returns why not, of those that it can't be recorded of."""

_GATHER = 0.02


@dataclass(slots=True, eq=False)
class _Beat:
    host: HostId
    machine: str
    written: bool = False
    fault: Exception | None = None


class Beats:
    """Gathers heartbeats: whoever comes first waits a moment, and writes all that have come by then."""

    def __init__(self, write: Write, gather: float = _GATHER) -> None:
        """Keep how to write.  `gather` is the moment, in seconds: short for a host that beats once a second, long for a database."""
        self._write = write
        self._gather = gather
        self._lock = threading.Lock()
        self._waiting: list[_Beat] = []
        self._turn = threading.Lock()

    def beat(self, host: HostId, machine: str) -> None:
        """Record that a host is alive; return once that is written.

        Raises:
            Fault: as writing that host alone would.
        """
        own = _Beat(host, machine)
        with self._lock:
            self._waiting.append(own)
        with self._turn:
            if not own.written:
                time.sleep(self._gather)
                self._write_all()
        if own.fault is not None:
            raise own.fault

    def _write_all(self) -> None:
        with self._lock:
            beats, self._waiting = self._waiting, []
        # One host twice: the later one waits for another transaction, for each may be another machine.
        chosen: dict[HostId, _Beat] = {}
        for beat in beats:
            chosen.setdefault(beat.host, beat)
        again = [beat for beat in beats if chosen[beat.host] is not beat]
        with self._lock:
            self._waiting[:0] = again
        faults: Mapping[HostId, Exception]
        try:
            faults = self._write({beat.host: beat.machine for beat in chosen.values()})
        except Exception as error:  # noqa: BLE001 - all of them were in vain, and each must hear of it
            faults = dict.fromkeys(chosen, error)
        for beat in chosen.values():
            beat.fault, beat.written = faults.get(beat.host), True
