"""Heartbeats that come together are written together, and each hears what is said of it."""

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from mooring.control.beats import Beats
from mooring.model.faults import Conflict, Fault, NotFound, Unavailable
from mooring.model.ids import HostId


class Writer:
    """Writes nothing, and remembers what it was asked to; the first time it waits for the word to go on."""

    def __init__(self, faults: Mapping[HostId, Fault] | None = None, error: Exception | None = None) -> None:
        self.batches: list[dict[HostId, str]] = []
        self.began, self.go_on = threading.Event(), threading.Event()
        self._faults, self._error = faults or {}, error

    def write(self, machines: Mapping[HostId, str]) -> Mapping[HostId, Fault]:
        self.batches.append(dict(machines))
        self.began.set()
        assert self.go_on.wait(30)
        if self._error is not None:
            raise self._error
        return {host: fault for host, fault in self._faults.items() if host in machines}


def _hosts(number: int) -> list[HostId]:
    return [HostId(f"host-{n}") for n in range(number)]


def test_those_who_come_meanwhile_are_written_together() -> None:
    writer, hosts = Writer(), _hosts(20)
    beats = Beats(writer.write, gather=0)
    with ThreadPoolExecutor(len(hosts)) as threads:
        first = threads.submit(beats.beat, hosts[0], "m")
        assert writer.began.wait(30)
        others = [threads.submit(beats.beat, host, "m") for host in hosts[1:]]
        _eventually_waiting(beats, 19)
        assert not first.done()
        writer.go_on.set()
        for beat in (first, *others):
            beat.result(30)
    assert [len(batch) for batch in writer.batches] == [1, 19]
    assert {host for batch in writer.batches for host in batch} == set(hosts)


def test_each_hears_its_own_fault() -> None:
    lost, other, fine = _hosts(3)
    writer = Writer({lost: NotFound("Host", lost), other: Conflict("another machine")})
    writer.go_on.set()
    beats = Beats(writer.write)
    with ThreadPoolExecutor(3) as threads:
        told = [threads.submit(beats.beat, host, "m").exception(30) for host in (lost, other, fine)]
    assert [type(fault) for fault in told] == [NotFound, Conflict, type(None)]


def test_when_nothing_can_be_written_all_hear_of_it_and_the_next_try_again() -> None:
    writer = Writer(error=Unavailable("The database is away."))
    writer.go_on.set()
    beats = Beats(writer.write)
    with ThreadPoolExecutor(4) as threads:
        told = [beat.exception(30) for beat in [threads.submit(beats.beat, host, "m") for host in _hosts(4)]]
    assert {type(fault) for fault in told} == {Unavailable}
    with pytest.raises(Unavailable):
        beats.beat(HostId("host-0"), "m")


def test_two_machines_of_one_host_are_each_asked_for() -> None:
    writer, (host, other) = Writer(), _hosts(2)
    beats = Beats(writer.write, gather=0)
    with ThreadPoolExecutor(3) as threads:
        began = [threads.submit(beats.beat, other, "m")]
        assert writer.began.wait(30)
        began += [threads.submit(beats.beat, host, machine) for machine in ("one", "two")]
        _eventually_waiting(beats, 2)
        writer.go_on.set()
        for beat in began:
            beat.result(30)
    assert writer.batches[0] == {other: "m"}
    assert sorted(batch[host] for batch in writer.batches[1:]) == ["one", "two"]


def _eventually_waiting(beats: Beats, number: int) -> None:
    tick = threading.Event()
    for _ in range(3000):
        if len(beats._waiting) == number:
            return
        tick.wait(0.01)
    raise AssertionError(f"{len(beats._waiting)} wait, not {number}")
