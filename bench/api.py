"""How many operations a second the API carries out: allocate a floating IP, associate it, and both back again.

A whole mooring (API, controller and agent in one process, SQLite with synchronous=FULL, the Linux back-end) is driven over HTTP by 1, 8 or 32
processes with a connection each, that start together; every call waits until the kernel holds what it asks for.  The limits of the same run:
the same processes asking the same server for a constant, and one thread that does nothing but commit SQLite transactions that insert an
address.  Clients, server and kernel share the processors, so with two of them the clients take a good part.
"""

import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from bench.cloud import Client, Cloud
from bench.report import BUILD, Results, options, rounds_of, say
from bench.world import World

SIZES = (0, 10_000)
CLIENTS = (1, 8, 32)
_EACH = {1: 40, 8: 12, 32: 5}
_HEALTHZ = 150
_TIMEOUT = 300
_HTTP, _SQLITE = "limit: constant over HTTP", "limit: SQLite transaction that takes an address"

_fork = multiprocessing.get_context("fork")


@dataclass
class Deeds:
    """What one client did: a phase's name, when it began and ended, and how long each call took, in seconds."""

    began: dict[str, float] = field(default_factory=dict[str, float])
    ended: dict[str, float] = field(default_factory=dict[str, float])
    calls: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    def timed(self, name: str, call: Callable[[], Any]) -> Any:
        """Do a call and note its time."""
        start = time.perf_counter()
        result = call()
        self.calls.setdefault(name, []).append(time.perf_counter() - start)
        return result

    def phase(self, name: str, barrier: Any, work: Callable[[], None]) -> None:
        """Do a phase's work when all are ready for it."""
        barrier.wait(_TIMEOUT)
        self.began[name] = time.monotonic()
        work()
        self.ended[name] = time.monotonic()


def main(argv: list[str] | None = None) -> int:
    """Measure."""
    given = options("api", SIZES, 5, argv)
    each: dict[int, int] = dict.fromkeys(CLIENTS, 2) if given.quick else _EACH
    results = Results()
    combinations = [(size, clients) for size in given.sizes for clients in CLIENTS]
    with ExitStack() as stack:
        clouds: dict[int, tuple[Cloud, list[str]]] = {}
        for number, size in enumerate(given.sizes):
            clouds[size] = _cloud(number, size, max(clients * each[clients] for clients in CLIENTS), stack)
            clouds[size][0].pause()
        for number, which in rounds_of(range(len(combinations)), given.rounds):
            size, clients = combinations[which]
            cloud, servers = clouds[size]
            cloud.go_on()
            results.add(_SQLITE, size, "transactions", "1/s", cloud.ask("take_limit", seconds=0.5), clients=clients)
            deeds = _drive(cloud, servers, clients, each[clients])
            cloud.pause()
            _note(results, size, clients, deeds)
            rate = results.samples("allocate + associate", size, "operations", clients=clients)[-1]
            say(f"round {number + 1}: {clients} clients, {size:,} existing: {rate:.0f} operations a second")
        for size, clients in combinations:
            ours = statistics.median(results.samples("allocate + associate", size, "operations", clients=clients))
            limits = (
                statistics.median(results.samples(_HTTP, size, "requests", clients=clients)),
                statistics.median(results.samples(_SQLITE, size, "transactions", clients=clients)),
            )
            share = ours / min(limits)
            results.add("allocate + associate", size, "of the smaller limit", "ratio", share, clients=clients)
    results.finish(given)
    print(f"{os.cpu_count()} processors, shared by the server, its clients and the kernel")
    return 0


def _cloud(number: int, size: int, servers: int, stack: ExitStack) -> tuple[Cloud, list[str]]:
    world = stack.enter_context(World(f"b{number}"))
    BUILD.mkdir(parents=True, exist_ok=True)
    # The database belongs on the disk that `make` is used on, not in memory.
    state = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=BUILD)))
    run = Path(stack.enter_context(tempfile.TemporaryDirectory(dir="/run")))
    run.chmod(0o755)
    cloud = stack.enter_context(Cloud(world.host, state, run))
    cloud.ask("set_up")
    cloud.ask("boot", count=1)
    if size:
        cloud.ask("fill", count=size, associated=True)
    made = cloud.ask("fill", count=servers, associated=False)
    say(f"{size:,} associations and {servers} servers without one")
    return cloud, made


def _drive(cloud: Cloud, servers: list[str], clients: int, each: int) -> list[Deeds]:
    barrier = _fork.Barrier(clients)
    said = _fork.Queue()
    processes = [
        _fork.Process(
            target=_client,
            args=(cloud.client(), servers[number * each : (number + 1) * each], barrier, said),
            daemon=True,
        )
        for number in range(clients)
    ]
    for process in processes:
        process.start()
    try:
        deeds = [said.get(timeout=_TIMEOUT) for _ in processes]
        for process in processes:
            process.join(_TIMEOUT)
    finally:
        for process in processes:
            process.kill()
    failed = [deed for deed in deeds if isinstance(deed, str)]
    if failed:
        raise RuntimeError(failed[0])
    return deeds


def _client(client: Client, servers: list[str], barrier: Any, said: Any) -> None:
    deeds = Deeds()
    floating: list[tuple[str, str, str]] = []

    def ask() -> None:
        for _ in range(_HEALTHZ):
            deeds.timed("healthz", client.healthz)

    def take() -> None:
        for server in servers:
            id, address = deeds.timed("allocate", client.allocate)
            deeds.timed("associate", partial(client.associate, server, address))
            floating.append((server, id, address))

    def give() -> None:
        for server, id, address in floating:
            deeds.timed("disassociate", partial(client.disassociate, server, address))
            deeds.timed("release", partial(client.release, id))

    try:
        client.healthz()
        for name, work in (("ask", ask), ("take", take), ("give", give)):
            deeds.phase(name, barrier, work)
    except BaseException as error:  # noqa: BLE001 - the process that waits for us must hear of it
        barrier.abort()
        said.put(f"{type(error).__name__}: {error}")
    else:
        said.put(deeds)


def _note(results: Results, size: int, clients: int, deeds: list[Deeds]) -> None:
    def rate(phase: str, calls: tuple[str, ...]) -> float:
        count = sum(len(deed.calls[name]) for deed in deeds for name in calls)
        began, ended = min(deed.began[phase] for deed in deeds), max(deed.ended[phase] for deed in deeds)
        return count / (ended - began)

    results.add(_HTTP, size, "requests", "1/s", rate("ask", ("healthz",)), clients=clients)
    for work, phase, names in (
        ("allocate + associate", "take", ("allocate", "associate")),
        ("disassociate + release", "give", ("disassociate", "release")),
    ):
        results.add(work, size, "operations", "1/s", rate(phase, names), clients=clients)
    for name in ("allocate", "associate", "disassociate", "release"):
        times = sorted(spent * 1e3 for deed in deeds for spent in deed.calls[name])
        results.add(name, size, "latency, median", "ms", statistics.median(times), clients=clients)
        results.add(name, size, "latency, 95 %", "ms", times[int(len(times) * 0.95)], clients=clients)


if __name__ == "__main__":
    sys.exit(main())
