"""Heartbeats that come together are written together, and each hears what is said of it."""

from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest

from mooring.control.beats import Beats
from mooring.model.faults import Conflict, Fault, NotFound, Unavailable
from mooring.model.ids import HostId


class Writer:
    """Writes nothing, and remembers what it was asked to."""

    def __init__(self, faults: Mapping[HostId, Fault] | None = None, error: Exception | None = None) -> None:
        self.batches: list[dict[HostId, str]] = []
        self._faults, self._error = faults or {}, error

    def write(self, machines: Mapping[HostId, str]) -> Mapping[HostId, Fault]:
        self.batches.append(dict(machines))
        if self._error is not None:
            raise self._error
        return {host: fault for host, fault in self._faults.items() if host in machines}


def _hosts(number: int) -> list[HostId]:
    return [HostId(f"host-{n}") for n in range(number)]


def _beat(beats: Beats, *each: tuple[HostId, str]) -> list[BaseException | None]:
    """Let heartbeats come at once; return what each hears."""
    with ThreadPoolExecutor(len(each)) as threads:
        return [beat.exception(60) for beat in [threads.submit(beats.beat, *one) for one in each]]


def test_those_who_come_together_are_written_together() -> None:
    writer, hosts = Writer(), _hosts(40)
    # So long that even a loaded machine has started all threads by then.
    beats = Beats(writer.write, gather=1)
    for _ in range(2):
        assert _beat(beats, *((host, "m") for host in hosts)) == [None] * 40
    assert len(writer.batches) < 20
    assert Counter(host for batch in writer.batches for host in batch) == dict.fromkeys(hosts, 2)


def test_each_hears_its_own_fault() -> None:
    lost, other, fine = _hosts(3)
    writer = Writer({lost: NotFound("Host", lost), other: Conflict("another machine")})
    told = _beat(Beats(writer.write), *((host, "m") for host in (lost, other, fine)))
    assert [type(fault) for fault in told] == [NotFound, Conflict, type(None)]


def test_when_nothing_can_be_written_all_hear_of_it_and_the_next_try_again() -> None:
    writer = Writer(error=Unavailable("The database is away."))
    beats = Beats(writer.write)
    told = _beat(beats, *((host, "m") for host in _hosts(4)))
    assert {type(fault) for fault in told} == {Unavailable}
    before = len(writer.batches)
    with pytest.raises(Unavailable):
        beats.beat(HostId("host-0"), "m")
    assert len(writer.batches) == before + 1


def test_two_machines_of_one_host_are_each_asked_for() -> None:
    writer, (host,) = Writer(), _hosts(1)
    assert _beat(Beats(writer.write, gather=0.5), (host, "one"), (host, "two")) == [None, None]
    assert sorted(batch[host] for batch in writer.batches) == ["one", "two"]
