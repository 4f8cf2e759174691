"""Measures the store: `python -m tests.store.measure [guests ...]` prints what docs/decisions/0020-store.md quotes.

Databases of all sizes take turns, so that whatever else the machine does falls on each of them alike.
"""

import statistics
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from mooring.model.nouns import Resource
from mooring.model.subjects import NicIntent, SubjectKind
from mooring.store import Options, SqlStore
from tests.store.test_cost import WIDE, Story, fill
from tests.store.world import Town, World

LIVES, WARMING = 120, 10
WRITERS, SECONDS = 64, 3


@dataclass
class Subject:
    """A database with so many guests."""

    guests: int
    path: Path
    store: SqlStore
    town: Town

    @classmethod
    def build(cls, guests: int, folder: Path) -> "Subject":
        path = folder / f"{guests}.db"
        filler = SqlStore(f"sqlite:///{path}", Options(durable=False))
        town = Town.build(World(filler), WIDE)
        with filler.write() as tx:
            for resource in Resource:
                tx.quotas.set(town.project.id, resource, -1)
        if guests:
            fill(town, filler, guests)
        filler.close()
        return cls(guests, path, SqlStore(f"sqlite:///{path}"), town)


def milliseconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1e3


def changes(subjects: list[Subject]) -> None:
    """Let guests come and go, and time each transaction of their lives."""
    times: dict[tuple[str, int], list[float]] = defaultdict(list)
    for life in range(LIVES):
        for subject in subjects:
            story = Story(subject.town, idempotency_key=f"key-{life}")
            for chapter in story.chapters():

                def run(store: SqlStore = subject.store, chapter: Callable[..., None] = chapter) -> None:
                    with store.write() as tx:
                        chapter(tx)

                took = milliseconds(run)
                if life >= WARMING:
                    times[chapter.__name__, subject.guests].append(took)
    print(f"\n{'ms, median of ' + str(LIVES - WARMING):22}", *(f"{subject.guests:>12,}" for subject in subjects))
    for name in dict.fromkeys(name for name, _ in times):
        print(f"{name:22}", *(f"{statistics.median(times[name, subject.guests]):12.2f}" for subject in subjects))


def crowd(subject: Subject) -> None:
    """Let 64 threads write at once, as often as they can for a while: how long does each wait?"""
    times: list[float] = []
    gate = threading.Barrier(WRITERS)
    end = time.perf_counter() + SECONDS

    def write(_number: int) -> None:
        def change() -> None:
            with subject.store.write() as tx:
                tx.quotas.take(subject.town.project.id, Resource.INSTANCES)
                tx.deliveries.publish(subject.town.nic_key)

        gate.wait()
        while time.perf_counter() < end:
            times.append(milliseconds(change))

    with ThreadPoolExecutor(WRITERS) as threads:
        list(threads.map(write, range(WRITERS)))
    times.sort()
    quantiles = (f"p{int(share * 100)} {times[int(len(times) * share)]:.1f}" for share in (0.5, 0.9, 0.99))
    print(f"{WRITERS} threads write: {len(times) / SECONDS:.0f}/s; ms:", *quantiles, f"longest {times[-1]:.1f}")


def bulk(subject: Subject) -> None:
    host = subject.town.host.id
    with subject.store.read() as tx:
        entries = tx.deliveries.digest(host)
        print(f"digest of {len(entries):,} entries: {milliseconds(lambda: tx.deliveries.digest(host)):.0f} ms")
        keys = [entry.key for entry in entries if entry.key.kind is SubjectKind.NIC]
        placed = tx.deliveries.pending(host, keys)
        nics = {known.key for known in placed if isinstance(known.subject, NicIntent)}
        took = milliseconds(lambda: tx.deliveries.pending(host, keys))
        print(f"pull of {len(nics):,} NICs, {len(placed):,} placements: {took:.0f} ms")
        number = len(tx.instances.list(None))
        print(f"list of {number:,} instances: {milliseconds(lambda: tx.instances.list(None)):.0f} ms")
        print(f"usage of their pool: {milliseconds(lambda: tx.topology.pool_usage(subject.town.pool.id)):.1f} ms")


def main(sizes: list[int]) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        subjects = [Subject.build(guests, Path(temporary)) for guests in sizes]
        changes(subjects)
        for subject in subjects:
            print(f"\n{subject.guests:,} guests, {subject.path.stat().st_size >> 20} MiB")
            crowd(subject)
            if subject.guests:
                bulk(subject)
            subject.store.close()


if __name__ == "__main__":
    main([int(argument) for argument in sys.argv[1:]] or [0, 10_000, 100_000])
