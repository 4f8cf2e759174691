"""What OpenStack's clients ask about floating IPs, and how long it takes with 0, 1,000 and 10,000 of them: list, show, create, associate.

A whole mooring (API, controller and agent in one process, SQLite with synchronous=FULL, the Linux back-end) is driven over HTTP by 1, 8 or 32
processes with a connection each, over nova's routes and over Neutron's.  All floating IPs are one project's, so that a list is of all of them;
a list is whole, as novaclient and the `openstack` command ask for it.  `page` is Neutron's list of ten.  `show beside lists` is what one client
waits for while another does nothing but list.
"""

import os
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, Protocol

from bench.api import build
from bench.cloud import Client, Cloud
from bench.crowd import Deeds, crowd, rate
from bench.report import Results, options, rounds_of, say

SIZES = (0, 1_000, 10_000)
CLIENTS = (1, 8, 32)
_EACH = {1: 20, 8: 6, 32: 3}
_LISTS = {1: 4, 8: 2, 32: 1}
_SHOWS = 40
_CHANGES = ("create", "associate", "disassociate", "release")


class Route(Protocol):
    """How an API is asked."""

    def listing(self, client: Client) -> Sequence[str]:
        """Return the ids of all floating IPs."""
        ...

    def show(self, client: Client, floating: str) -> None:
        """Ask for one."""
        ...

    def create(self, client: Client) -> tuple[str, str]:
        """Make one, and return its id and address."""
        ...

    def associate(self, client: Client, floating: tuple[str, str], server: tuple[str, str]) -> None:
        """Let one (id and address) lead to a server (id and port)."""
        ...

    def disassociate(self, client: Client, floating: tuple[str, str], server: tuple[str, str]) -> None:
        """End that."""
        ...

    def release(self, client: Client, floating: str) -> None:
        """Give one back."""
        ...


class Nova:
    """The compute API."""

    _PATH = "/compute/v2.1/os-floating-ips"

    def listing(self, client: Client) -> Sequence[str]:
        """Return the ids of all floating IPs."""
        return [each["id"] for each in client.call("GET", self._PATH)["floating_ips"]]

    def show(self, client: Client, floating: str) -> None:
        """Ask for one."""
        client.call("GET", f"{self._PATH}/{floating}")

    def create(self, client: Client) -> tuple[str, str]:
        """Make one, and return its id and address."""
        return client.allocate()

    def associate(self, client: Client, floating: tuple[str, str], server: tuple[str, str]) -> None:
        """Let one (id and address) lead to a server (id and port)."""
        client.associate(server[0], floating[1])

    def disassociate(self, client: Client, floating: tuple[str, str], server: tuple[str, str]) -> None:
        """End that."""
        client.disassociate(server[0], floating[1])

    def release(self, client: Client, floating: str) -> None:
        """Give one back."""
        client.release(floating)


class Neutron:
    """The network API."""

    _PATH = "/network/v2.0/floatingips"

    def __init__(self, client: Client) -> None:
        """Find the pool."""
        (pool,) = client.call("GET", "/network/v2.0/networks?router:external=True")["networks"]
        self._pool = pool["id"]

    def listing(self, client: Client) -> Sequence[str]:
        """Return the ids of all floating IPs."""
        return [each["id"] for each in client.call("GET", self._PATH)["floatingips"]]

    def page(self, client: Client) -> None:
        """Ask for the first ten."""
        client.call("GET", f"{self._PATH}?limit=10")

    def show(self, client: Client, floating: str) -> None:
        """Ask for one."""
        client.call("GET", f"{self._PATH}/{floating}")

    def create(self, client: Client) -> tuple[str, str]:
        """Make one, and return its id and address."""
        body = {"floatingip": {"floating_network_id": self._pool}}
        made = client.call("POST", self._PATH, body)["floatingip"]
        return made["id"], made["floating_ip_address"]

    def associate(self, client: Client, floating: tuple[str, str], server: tuple[str, str]) -> None:
        """Let one (id and address) lead to a server (id and port)."""
        self._point(client, floating[0], server[1])

    def disassociate(self, client: Client, floating: tuple[str, str], server: tuple[str, str]) -> None:
        """End that."""
        self._point(client, floating[0], None)

    def release(self, client: Client, floating: str) -> None:
        """Give one back."""
        client.call("DELETE", f"{self._PATH}/{floating}")

    def _point(self, client: Client, floating: str, port: str | None) -> None:
        client.call("PUT", f"{self._PATH}/{floating}", {"floatingip": {"port_id": port}})


def main(argv: list[str] | None = None) -> int:
    """Measure."""
    given = options("openstack", SIZES, 3, argv)
    each: dict[int, int] = dict.fromkeys(CLIENTS, 2) if given.quick else _EACH
    lists: dict[int, int] = dict.fromkeys(CLIENTS, 1) if given.quick else _LISTS
    results = Results()
    with ExitStack() as stack:
        clouds: dict[int, tuple[Cloud, list[tuple[str, str]]]] = {}
        for number, size in enumerate(given.sizes):
            cloud, made = build(number, size, max(clients * each[clients] for clients in CLIENTS), stack)
            clouds[size] = cloud, _with_ports(cloud, made)
            cloud.pause()
        combinations = [(size, clients) for size in given.sizes for clients in CLIENTS]
        for number, which in rounds_of(range(len(combinations)), given.rounds):
            size, clients = combinations[which]
            cloud, servers = clouds[size]
            cloud.go_on()
            routes: Mapping[str, Route] = {"nova": Nova(), "Neutron": Neutron(cloud.client())}
            for name, route in routes.items():
                deeds = _drive(cloud, route, servers, (clients, each[clients], lists[clients]))
                _note(results, name, size, clients, deeds)
                if clients == 1:
                    beside = _beside(cloud, route)
                    times = [spent * 1e3 for spent in beside.calls["show"]]
                    results.add(f"{name}, show beside lists", size, "latency, median", "ms", statistics.median(times))
            cloud.pause()
            say(f"round {number + 1}: {clients} clients, {size:,} existing")
        _compare(results, given.sizes)
    results.finish(given)
    print(f"{os.cpu_count()} processors, shared by the server, its clients and the kernel")
    return 0


def _with_ports(cloud: Cloud, servers: Sequence[str]) -> list[tuple[str, str]]:
    client = cloud.client()
    found: list[tuple[str, str]] = []
    for server in servers:
        (card,) = client.call("GET", f"/compute/v2.1/servers/{server}/os-interface")["interfaceAttachments"]
        found.append((server, card["port_id"]))
    client.close()
    return found


def _drive(cloud: Cloud, route: Route, servers: list[tuple[str, str]], many: tuple[int, int, int]) -> list[Deeds]:
    clients, each, lists = many

    def work(number: int, deeds: Deeds, barrier: Any) -> None:
        client = cloud.client()
        mine = servers[number * each : (number + 1) * each]
        made: list[tuple[str, str]] = []

        def create() -> None:
            made.extend(deeds.timed("create", partial(route.create, client)) for _ in mine)

        def pairs(name: str, change: Callable[..., None]) -> Callable[[], None]:
            def run() -> None:
                for floating, server in zip(made, mine, strict=True):
                    deeds.timed(name, partial(change, client, floating, server))

            return run

        def look() -> None:
            for turn in range(_SHOWS):
                deeds.timed("show", partial(route.show, client, made[turn % len(made)][0]))
            if isinstance(route, Neutron):
                for _ in mine:
                    deeds.timed("page", partial(route.page, client))

        def listing() -> None:
            for _ in range(lists):
                deeds.timed("list", partial(route.listing, client))

        def release() -> None:
            for floating, _ in made:
                deeds.timed("release", partial(route.release, client, floating))

        client.healthz()
        for name, phase in (
            ("create", create),
            ("associate", pairs("associate", route.associate)),
            ("show", look),
            ("list", listing),
            ("disassociate", pairs("disassociate", route.disassociate)),
            ("release", release),
        ):
            deeds.phase(name, barrier, phase)

    return crowd(clients, work)


def _beside(cloud: Cloud, route: Route) -> Deeds:
    """Let one client show a floating IP of its own while another lists all; return what the first did."""

    def work(number: int, deeds: Deeds, barrier: Any) -> None:
        client = cloud.client()
        floating = route.create(client)[0] if number else ""

        def listing() -> None:
            for _ in range(_LISTS[1]):
                deeds.timed("list", partial(route.listing, client))

        def show() -> None:
            for _ in range(_SHOWS):
                deeds.timed("show", partial(route.show, client, floating))

        deeds.phase("both", barrier, show if number else listing)
        if number:
            route.release(client, floating)

    return next(deed for deed in crowd(2, work) if "show" in deed.calls)


def _note(results: Results, route: str, size: int, clients: int, deeds: list[Deeds]) -> None:
    for name in ("list", "page", "show", *_CHANGES):
        times = sorted(spent * 1e3 for deed in deeds for spent in deed.calls.get(name, ()))
        if not times:
            continue
        work = f"{route}, {name}"
        results.add(work, size, "latency, median", "ms", statistics.median(times), clients=clients)
        results.add(work, size, "latency, 95 %", "ms", times[int(len(times) * 0.95)], clients=clients)
        if name != "page":
            results.add(work, size, "calls", "1/s", rate(deeds, name, (name,)), clients=clients)


def _compare(results: Results, sizes: Sequence[int]) -> None:
    """Say what making and associating one costs at each size, of what it costs at the smallest."""
    for route in ("nova", "Neutron"):
        for name in ("create", "associate"):
            work = f"{route}, {name}"
            for clients in CLIENTS:
                medians = [
                    statistics.median(results.samples(work, size, "latency, median", clients=clients)) for size in sizes
                ]
                for size, median in zip(sizes, medians, strict=True):
                    results.add(work, size, f"of that with {sizes[0]:,}", "ratio", median / medians[0], clients=clients)


if __name__ == "__main__":
    sys.exit(main())
