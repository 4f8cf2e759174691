"""What a mooring of several processes carries: launches, floating IPs, and a thousand hosts, on PostgreSQL and NATS.

PostgreSQL (with fsync), nats-server, `mooring api`, `mooring controller` and the gateway host's `mooring agent`, on a real kernel, are
processes as an operator would run them.  Guests run on hosts whose agents are mooring's too, but for kernel and guests, which are
dictionaries.  Tenants are 1, 8 or 32 processes with an HTTP connection each.  The limits of the same run: the same tenants asking the same
server for a constant; and as many connections to the same PostgreSQL that do nothing but take a free address, by one guarded statement a
transaction.  What exists belongs to hosts that nobody plays until the end, when a thousand simulated ones come (bench.control_hosts).
All of them, the tenants and the kernel share the processors.
"""

import itertools
import os
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import psycopg

from bench.cloud import IMAGE
from bench.control_process import Obedient, eventually
from bench.control_site import GATEWAY, Site
from bench.control_store import GROUP
from bench.crowd import Deeds, crowd, rate
from bench.report import Options, Results, options, rounds_of, say

SIZES = (0, 1_000, 10_000)
CLIENTS = (1, 8, 32)
_HTTP, _POSTGRESQL = "limit: constant over HTTP", "limit: PostgreSQL transaction that takes an address"
_TAKE = (
    "UPDATE free SET owner = 'somebody' WHERE address ="
    " (SELECT address FROM free WHERE owner IS NULL ORDER BY address LIMIT 1 FOR UPDATE SKIP LOCKED)"
    " AND owner IS NULL RETURNING address"
)


@dataclass(frozen=True, slots=True)
class Effort:
    """How much of each is done.  `pairs` and `launches` are for each tenant, by how many of them there are."""

    pairs: Mapping[int, int]
    launches: Mapping[int, int]
    healthz: int
    limit_seconds: float
    hosts: int
    window: float
    changes_a_second: int


_USUAL = Effort({1: 60, 8: 16, 32: 6}, {1: 24, 8: 8, 32: 3}, 100, 1.0, 1_000, 20.0, 5)
_QUICK = Effort({1: 2, 8: 1, 32: 1}, {1: 2, 8: 1, 32: 1}, 5, 0.2, 20, 4.0, 2)


@dataclass
class Bench:
    """One run."""

    site: Site
    effort: Effort
    results: Results
    calls: dict[tuple[int, int, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    # ---------------------------------------------------------------------------------------------------------- limits

    def limits(self, size: int, clients: int) -> None:
        """Measure what nobody could be quicker than."""
        reached = self.site.store.ask("prepare_bare")
        seconds = self.effort.limit_seconds

        def take(_number: int, deeds: Deeds, barrier: Any) -> None:
            with psycopg.connect(reached, autocommit=True) as bare:

                def some() -> None:
                    end = time.monotonic() + seconds
                    while time.monotonic() < end:
                        deeds.timed("take", lambda: bare.execute(_TAKE, prepare=True).fetchone())

                deeds.phase("take", barrier, some)

        def ask(_number: int, deeds: Deeds, barrier: Any) -> None:
            client = self.site.client()
            client.healthz()

            def some() -> None:
                for _ in range(self.effort.healthz):
                    deeds.timed("healthz", client.healthz)

            deeds.phase("ask", barrier, some)

        taken = rate(crowd(clients, take), "take", ("take",))
        self.results.add(_POSTGRESQL, size, "transactions", "1/s", taken, clients=clients)
        asked = rate(crowd(clients, ask), "ask", ("healthz",))
        self.results.add(_HTTP, size, "requests", "1/s", asked, clients=clients)

    # -------------------------------------------------------------------------------------------------------- launches

    def launch(self, clients: int, each: int) -> tuple[Mapping[str, Any], list[str], list[Deeds]]:
        """Let tenants launch instances; return what became of them, their ids, and what the tenants did."""
        prefix = f"new{next(self.numbers)}"
        network = self.site.store.ask("network")
        groups = [{"name": GROUP}]
        request = {"imageRef": IMAGE, "flavorRef": "1", "networks": [{"uuid": network}], "security_groups": groups}

        def work(number: int, deeds: Deeds, barrier: Any) -> None:
            client = self.site.client()
            client.healthz()

            def some() -> None:
                for count in range(each):
                    body = {"server": {"name": f"{prefix}-{number}-{count}", **request}}
                    deeds.timed("launch", partial(_insist, deeds, client.call, "POST", "/compute/v2.1/servers", body))

            deeds.phase("launch", barrier, some)

        deeds = crowd(clients, work)
        told = self.site.store.ask("launched", prefix=prefix, count=clients * each)
        return told, told["ids"], deeds

    def delete(self, clients: int, servers: Sequence[str]) -> float:
        """Let tenants delete instances; return how many a second were gone."""

        def work(number: int, deeds: Deeds, barrier: Any) -> None:
            client = self.site.client()
            client.healthz()

            def some() -> None:
                for server in servers[number::clients]:
                    deeds.timed(
                        "delete", partial(_insist, deeds, client.call, "DELETE", f"/compute/v2.1/servers/{server}")
                    )

            deeds.phase("delete", barrier, some)

        began = min(deed.began["delete"] for deed in crowd(clients, work))
        self.site.store.ask("gone")
        return len(servers) / (time.monotonic() - began)

    def launches(self, size: int, clients: int) -> None:
        """Measure launches, and deletions."""
        before = self._spent()
        told, servers, deeds = self.launch(clients, self.effort.launches[clients])
        self._each("launch", size, clients, before, len(servers))
        self.results.add("launch", size, "launches", "1/s", told["rate"], clients=clients)
        self.calls[size, clients, "launch: the call"] += [spent for deed in deeds for spent in deed.calls["launch"]]
        self.calls[size, clients, "launch: until it runs"] += told["seconds"]
        self.results.add("delete", size, "deletions", "1/s", self.delete(clients, servers), clients=clients)
        say(f"{size:,} existing, {clients} tenants: {told['rate']:.1f} launches a second")

    def pattern(self) -> str:
        """Launch an instance with a floating IP, which those that exist are made after; return its id."""
        _, (server,), _ = self.launch(1, 1)
        client = self.site.client()
        client.associate(server, client.allocate()[1])
        return server

    # ------------------------------------------------------------------------------------------------------ floating IPs

    def floating(self, size: int, clients: int, servers: Sequence[str]) -> None:
        """Measure floating IPs that come and go."""
        each = self.effort.pairs[clients]

        def work(number: int, deeds: Deeds, barrier: Any) -> None:
            client = self.site.client()
            client.healthz()
            floating: list[tuple[str, str, str]] = []

            def take() -> None:
                for server in servers[number * each : (number + 1) * each]:
                    id, address = deeds.timed("allocate", partial(_insist, deeds, client.allocate))
                    deeds.timed("associate", partial(_insist, deeds, client.associate, server, address))
                    floating.append((server, id, address))

            def give() -> None:
                for server, id, address in floating:
                    deeds.timed("disassociate", partial(_insist, deeds, client.disassociate, server, address))
                    deeds.timed("release", partial(_insist, deeds, client.release, id))

            deeds.phase("take", barrier, take)
            deeds.phase("give", barrier, give)

        before = self._spent()
        deeds = crowd(clients, work)
        self._each("all four operations", size, clients, before, clients * each)
        refused = sum(len(deed.calls.get("refused", ())) for deed in deeds)
        self.results.add("all four operations", size, "refused with 503", "calls", refused, clients=clients)
        for title, phase, names in (
            ("allocate + associate", "take", ("allocate", "associate")),
            ("disassociate + release", "give", ("disassociate", "release")),
        ):
            made = rate(deeds, phase, names)
            self.results.add(title, size, "operations", "1/s", made, clients=clients)
            say(f"{size:,} existing, {clients} tenants: {title}: {made:.0f} operations a second")
            for name in names:
                self.calls[size, clients, name] += [spent for deed in deeds for spent in deed.calls[name]]

    # ---------------------------------------------------------------------------------------------------------- processes

    def _spent(self) -> Mapping[str, float]:
        return {name: program.processor_time() for name, program in self.site.programs.items()}

    def _each(self, work: str, size: int, clients: int, before: Mapping[str, float], count: int) -> None:
        """Note how much time the processors gave to each process for one piece of work; that of a busy machine is no other."""
        after = self._spent()
        spent = {
            name: (after[name] - before[name]) / count * 1e3 for name in ("api", "controller", "postgresql", "nats")
        }
        spent["agents"] = sum(after[name] - before[name] for name in after if name not in spent) / count * 1e3
        for name, each in spent.items():
            self.results.add(work, size, f"processor time of {name}", "ms", each, clients=clients)

    def memory(self, size: int) -> None:
        """Measure how much memory every process has."""
        for name, program in self.site.programs.items():
            known = program.memory()
            self.results.add(f"memory of {name}", size, "resident", "MiB", known.resident)
            self.results.add(f"memory of {name}", size, "its share", "MiB", known.proportional)

    def agent_start(self, size: int) -> None:
        """Measure how long the gateway's agent takes to be in order: on a host that holds everything, and on one that holds nothing."""
        for title in ("restart", "start on an empty host"):
            self.site.stop(GATEWAY)
            if title != "restart":
                self.site.empty_gateway()
            began = time.monotonic()
            program = self.site.start_agent(GATEWAY)
            joined = time.monotonic() - began
            eventually(lambda: self.site.figure(GATEWAY, "mooring_agent_compare_seconds_count") >= 1)
            took = time.monotonic() - began
            self.site.store.ask("wait")
            self.results.add(f"agent, {title}", size, "registered", "s", joined)
            self.results.add(f"agent, {title}", size, "the host holds all", "s", took)
            self.results.add(f"agent, {title}", size, "processor time", "s", program.processor_time())
            self.results.add(f"agent, {title}", size, "memory", "MiB", program.memory().resident)
            say(f"agent, {title}: {took:.1f} s")

    def hosts(self, size: int) -> None:
        """Measure what many hosts cost the control plane: while nothing happens, and while changes come."""
        title = f"{self.effort.hosts:,} hosts"
        with ExitStack() as stack:
            played = Obedient("bench.control_hosts", self.site.server, str(self.site.credentials))
            stack.callback(played.stop)
            # What a host says that was empty a moment ago is over by then.
            time.sleep(self.effort.window / 2)
            self._window(played, "no simulated host, idle", size, lambda: time.sleep(self.effort.window / 2))
            self.site.store.ask("expect_strangers")
            began = time.monotonic()
            played.ask("join", names=self.site.strangers)
            took = time.monotonic() - began
            self.results.add(f"{title} come", size, "all registered", "s", took)
            say(f"{title} have come, in {took:.1f} s")
            self.site.store.ask("wait")
            time.sleep(self.effort.window / 3)
            self._window(played, f"{title}, idle", size, lambda: time.sleep(self.effort.window))
            if size:
                servers = self.site.store.ask("existing", count=self.effort.hosts)
                work = partial(self._steady, servers, size, f"{title}, changes")
                self._window(played, f"{title}, changes", size, work)
            told, servers, _ = self.launch(8, self.effort.launches[8])
            self.results.add(f"{title}, launch", size, "launches", "1/s", told["rate"], clients=8)
            self.calls[size, 8, f"{title}, launch: until it runs"] += told["seconds"]
            say(f"{title}: {told['rate']:.1f} launches a second")
            self.results.add(f"{title}, delete", size, "deletions", "1/s", self.delete(8, servers), clients=8)
            self.memory_of_hosts(title, size)

    def memory_of_hosts(self, title: str, size: int) -> None:
        """Measure the memory of who serves many hosts."""
        for name in ("controller", "postgresql", "nats"):
            self.results.add(
                f"{title}, memory of {name}", size, "resident", "MiB", self.site.programs[name].memory().resident
            )

    def _window(self, played: Obedient, title: str, size: int, work: Callable[[], None]) -> None:
        played.ask("tally")
        watched = {name: self.site.programs[name] for name in ("api", "controller", "postgresql", "nats", GATEWAY)}
        before = {name: program.processor_time() for name, program in watched.items()}
        own, began = played.processor_time(), time.monotonic()
        work()
        took = time.monotonic() - began
        for name, program in watched.items():
            spent = (program.processor_time() - before[name]) / took * 60
            self.results.add(title, size, f"processor time of {name}", "s/min", spent)
            say(f"{title}: {name}: {spent:.1f} s of processor time a minute")
        self.results.add(
            title, size, "processor time of the simulation", "s/min", (played.processor_time() - own) / took * 60
        )
        for method, told in played.ask("tally").items():
            self.results.add(f"{title}: {method}", size, "answered", "1/s", told["count"] / took)
            self.results.add(f"{title}: {method}", size, "not answered", "1/s", told["failed"] / took)
            self.results.add(f"{title}: {method}", size, "median", "ms", told["median"] * 1e3)
            self.results.add(f"{title}: {method}", size, "99 %", "ms", told["p99"] * 1e3)

    def _steady(self, servers: Sequence[tuple[str, str]], size: int, title: str) -> None:
        """Let one tenant make changes at a steady pace: a second floating IP would be of the same pool, so the first one goes and comes back."""
        client = self.site.client()
        every, began, number = 1 / self.effort.changes_a_second, time.monotonic(), 0
        order = itertools.cycle(servers)
        while (due := number * 2 * every) < self.effort.window:
            time.sleep(max(0.0, began + due - time.monotonic()))
            server, address = next(order)
            for name, call in (("disassociate", client.disassociate), ("associate", client.associate)):
                start = time.perf_counter()
                call(server, address)
                self.calls[size, 1, f"{title}: {name}"].append(time.perf_counter() - start)
            number += 1
        self.results.add(title, size, "changes", "1/s", number * 2 / (time.monotonic() - began))

    # ------------------------------------------------------------------------------------------------------------ results

    def conclude(self, given: Options) -> None:
        """Work out what is made of all rounds together."""
        for (size, clients, name), times in self.calls.items():
            ordered = sorted(spent * 1e3 for spent in times)
            self.results.add(name, size, "latency, median", "ms", statistics.median(ordered), clients=clients)
            self.results.add(name, size, "latency, 99 %", "ms", ordered[int(len(ordered) * 0.99)], clients=clients)
        for size, clients in itertools.product(given.sizes, CLIENTS):
            limits = (
                statistics.median(self.results.samples(_HTTP, size, "requests", clients=clients)),
                statistics.median(self.results.samples(_POSTGRESQL, size, "transactions", clients=clients)),
            )
            for work, metric in (("allocate + associate", "operations"), ("launch", "launches")):
                ours = statistics.median(self.results.samples(work, size, metric, clients=clients))
                self.results.add(work, size, "of the smaller limit", "ratio", ours / min(limits), clients=clients)


def _insist(deeds: Deeds, call: Callable[..., Any], *arguments: object) -> Any:
    """Make a call again that was refused because the database is busy, as its 503 asks for: nothing of it was done."""
    while True:
        try:
            return call(*arguments)
        except RuntimeError as error:
            if ": 503 " not in str(error):
                raise
            deeds.calls.setdefault("refused", []).append(0)
            time.sleep(0.2)


def main(argv: list[str] | None = None) -> int:
    """Measure."""
    given = options("control", SIZES, 3, argv)
    effort = _QUICK if given.quick else _USUAL
    strangers = [f"simulated-{number}" for number in range(effort.hosts)]
    results = Results()
    with Site(("compute-1", "compute-2"), strangers) as site:
        bench = Bench(site, effort, results)
        say("api, controller and agents are up")
        wanted = max(clients * each for clients, each in effort.pairs.items())
        # Eight tenants launch what all will use; that is also what warms everything.
        _, servers, _ = bench.launch(8, -(-wanted // 8))
        pattern = bench.pattern()
        for size in given.sizes:
            began = time.monotonic()
            site.store.ask("fill", count=size, like=pattern)
            say(f"{size:,} exist, after {time.monotonic() - began:.1f} s")
            for number, clients in rounds_of(CLIENTS, given.rounds):
                say(f"round {number + 1}")
                bench.limits(size, clients)
                bench.launches(size, clients)
                bench.floating(size, clients, servers)
            bench.memory(size)
        bench.agent_start(given.sizes[-1])
        bench.hosts(given.sizes[-1])
        bench.conclude(given)
    results.finish(given)
    print(f"{os.cpu_count()} processors, shared by all processes and the kernel")
    return 0


if __name__ == "__main__":
    sys.exit(main())
