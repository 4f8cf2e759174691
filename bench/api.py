"""How many operations a second the API carries out: allocate a floating IP, associate it, and both back again.

A whole mooring (API, controller and agent in one process, SQLite with synchronous=FULL, the Linux back-end) is driven over HTTP by 1, 8 or 32
processes with a connection each, that start together; every call waits until the kernel holds what it asks for.  The limits of the same run:
the same processes asking the same server for a constant, and one thread that does nothing but commit SQLite transactions that insert an
address.  Clients, server and kernel share the processors, so with two of them the clients take a good part.
"""

import os
import statistics
import sys
import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from bench.cloud import Client, Cloud
from bench.crowd import Deeds, crowd, rate
from bench.report import BUILD, Results, options, rounds_of, say
from bench.world import World

SIZES = (0, 10_000)
CLIENTS = (1, 8, 32)
_EACH = {1: 40, 8: 12, 32: 5}
_HEALTHZ = 150
_HTTP, _SQLITE = "limit: constant over HTTP", "limit: SQLite transaction that takes an address"


def main(argv: list[str] | None = None) -> int:
    """Measure."""
    given = options("api", SIZES, 5, argv)
    each: dict[int, int] = dict.fromkeys(CLIENTS, 2) if given.quick else _EACH
    results = Results()
    combinations = [(size, clients) for size in given.sizes for clients in CLIENTS]
    with ExitStack() as stack:
        clouds: dict[int, tuple[Cloud, list[str]]] = {}
        for number, size in enumerate(given.sizes):
            clouds[size] = build(number, size, max(clients * each[clients] for clients in CLIENTS), stack)
            clouds[size][0].pause()
        for number, which in rounds_of(range(len(combinations)), given.rounds):
            size, clients = combinations[which]
            cloud, servers = clouds[size]
            cloud.go_on()
            results.add(_SQLITE, size, "transactions", "1/s", cloud.ask("take_limit", seconds=0.5), clients=clients)
            deeds = _drive(cloud, servers, each[clients], clients)
            cloud.pause()
            _note(results, size, clients, deeds)
            made = results.samples("allocate + associate", size, "operations", clients=clients)[-1]
            say(f"round {number + 1}: {clients} clients, {size:,} existing: {made:.0f} operations a second")
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


def build(number: int, size: int, servers: int, stack: ExitStack) -> tuple[Cloud, list[str]]:
    """Return a cloud with so many associations, and servers of it without a floating IP."""
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


def _drive(cloud: Cloud, servers: list[str], each: int, clients: int) -> list[Deeds]:
    def work(number: int, deeds: Deeds, barrier: Any) -> None:
        _client(cloud.client(), servers[number * each : (number + 1) * each], deeds, barrier)

    return crowd(clients, work)


def _client(client: Client, servers: list[str], deeds: Deeds, barrier: Any) -> None:
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

    client.healthz()
    for name, work in (("ask", ask), ("take", take), ("give", give)):
        deeds.phase(name, barrier, work)


def _note(results: Results, size: int, clients: int, deeds: list[Deeds]) -> None:
    results.add(_HTTP, size, "requests", "1/s", rate(deeds, "ask", ("healthz",)), clients=clients)
    for work, phase, names in (
        ("allocate + associate", "take", ("allocate", "associate")),
        ("disassociate + release", "give", ("disassociate", "release")),
    ):
        results.add(work, size, "operations", "1/s", rate(deeds, phase, names), clients=clients)
    for name in ("allocate", "associate", "disassociate", "release"):
        times = sorted(spent * 1e3 for deed in deeds for spent in deed.calls[name])
        results.add(name, size, "latency, median", "ms", statistics.median(times), clients=clients)
        results.add(name, size, "latency, 95 %", "ms", times[int(len(times) * 0.95)], clients=clients)


if __name__ == "__main__":
    sys.exit(main())
