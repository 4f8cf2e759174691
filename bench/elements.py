"""Ways to change and to read the elements of a router's sets: what docs/decisions/0010 was decided on.

One association is six elements.  Each way and size is measured in a process of its own, as CPU time (user + system, children's too), which
a busy machine distorts less than the clock; and as that process's peak memory.
"""

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from ipaddress import IPv4Address
from pathlib import Path

import orjson

from bench.report import Results, options, rounds_of, say
from mooring.backends.linux import elements, netns
from mooring.backends.linux.nfnetlink import Nfnetlink
from mooring.backends.linux.nft import Nft, ruleset_text
from mooring.compile.facts import Atom, Key, Place, PlaceKind, Row, Table
from mooring.compile.tables import FIP_IN, FIP_OUT, HAIR, MAY_OUT, OWNED, PAIR, TABLES

SIZES = (1, 1_000, 10_000, 100_000)
_CHILD = "--one"
_PLACE = Place(PlaceKind.ROUTER, "measure")
_NAME = "mooring-bench-elements"
_DEVICE = "mu0123456789a"
_JSON = 1 << 4


def main(argv: list[str] | None = None) -> int:
    """Measure each way and size in a process of its own."""
    arguments = sys.argv[1:] if argv is None else argv
    if arguments[:1] == [_CHILD]:
        print(json.dumps(_one(arguments[1], int(arguments[2]))))
        return 0
    given = options("elements", SIZES, 2, arguments)
    results = Results()
    for number, size in rounds_of(given.sizes, given.rounds):
        say(f"round {number + 1}: {size:,} associations")
        for way in _WAYS:
            command = [sys.executable, "-m", "bench.elements", _CHILD, way, str(size)]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True, timeout=600)
            milliseconds, megabytes = json.loads(done.stdout)
            results.add(way, size, "cpu", "ms", milliseconds)
            results.add(way, size, "memory", "MB", megabytes)
    results.finish(given)
    return 0


class _Sets:
    """A namespace with the router's ruleset, and `size` associations in it unless the way loads them itself."""

    def __init__(self, size: int, *, loaded: bool) -> None:
        netns.create(_NAME)
        self.inside = netns.Inside(_NAME, "bench")
        self.nft = self.inside.run(Nft)
        self.run(ruleset_text("router"))
        self.one = _association(size)
        if loaded:
            file = Path("/run/elements.nft")
            file.write_text("".join(_text("add", _association(number)) for number in range(size)), encoding="ascii")
            subprocess.run([*self.at, "nft", "-f", str(file)], check=True)
        self.channel = Nfnetlink(self.inside)

    @property
    def at(self) -> list[str]:
        return ["nsenter", f"--net=/run/netns/{_NAME}"]

    def run(self, text: str) -> None:
        self.inside.run(lambda: self.nft.run(text))

    def run_json(self, text: str) -> None:
        self.inside.run(lambda: self.nft._run(text, _JSON))

    def listing(self, flags: int) -> str:
        fresh = self.inside.run(Nft)
        try:
            return self.inside.run(lambda: fresh._run("list ruleset", flags))
        finally:
            self.inside.run(fresh.close)


def _load(sets: _Sets, size: int) -> float:
    state: dict[Key, Row] = {}
    for number in range(size):
        state.update(_association(number))
    return _cpu(lambda: sets.run(elements.loading("router", state)), 1)


def _change(
    write: Callable[[str, dict[Key, Row]], str], run: Callable[[_Sets, str], None], times: int
) -> Callable[[_Sets, int], float]:
    def measure(sets: _Sets, size: int) -> float:
        def work() -> None:
            for _ in range(times):
                run(sets, write("add", sets.one))
                run(sets, write("delete", sets.one))

        return _cpu(work) / times / 2

    return measure


def _process(sets: _Sets, text: str) -> None:
    subprocess.run([*sets.at, "nft", "-f", "-"], input=text.encode(), check=True)


def _from_json(sets: _Sets) -> dict[Key, Row]:
    tables = {table.name: table for table in TABLES}
    found: dict[Key, Row] = {}
    for entry in orjson.loads(sets.listing(_JSON))["nftables"]:
        it = entry.get("set") or entry.get("map")
        if it is not None and it["name"] in tables:
            for element in it.get("elem", ()):
                left, right = element if "map" in it else (element, None)
                found[_key(tables[it["name"]], left)] = () if right is None else (IPv4Address(right),)
    return found


def _key(table: Table, left: str | dict[str, list[str]]) -> Key:
    parts = left["concat"] if isinstance(left, dict) else [left]
    row: list[Atom] = [
        IPv4Address(part) if kind is IPv4Address else part for kind, part in zip(table.key, parts, strict=True)
    ]
    return Key(table, _PLACE, tuple(row))


def _text(verb: str, state: dict[Key, Row]) -> str:
    return elements._commands("router", [(verb, key, value) for key, value in state.items()])


def _json(verb: str, state: dict[Key, Row]) -> str:
    commands: list[object] = []
    for key, value in state.items():
        where = elements.sets("router")[key.table.name]
        words = [str(part) for part in key.row]
        left: object = {"concat": words} if len(words) > 1 else words[0]
        element = [left, str(value[0])] if value and verb == "add" else left
        body = {"family": where.family, "table": where.table, "name": where.name, "elem": [element]}
        commands.append({verb: {"element": body}})
    return json.dumps({"nftables": commands})


def _association(number: int) -> dict[Key, Row]:
    public, private = IPv4Address("198.18.0.0") + number, IPv4Address("10.0.0.0") + number
    return {
        Key(OWNED, _PLACE, (_DEVICE, public)): (),
        Key(FIP_IN, _PLACE, (public,)): (private,),
        Key(FIP_OUT, _PLACE, (private, _DEVICE)): (public,),
        Key(HAIR, _PLACE, (private,)): (public,),
        Key(PAIR, _PLACE, (public, private)): (),
        Key(MAY_OUT, _PLACE, (private, _DEVICE)): (),
    }


def _used() -> float:
    return sum(
        it.ru_utime + it.ru_stime for it in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def _cpu(work: Callable[[], object], times: int = 3) -> float:
    found: list[float] = []
    for _ in range(times):
        start = _used()
        work()
        found.append(_used() - start)
    return min(found) * 1e3


_LOAD = "load all: libnftables, text"
_WAYS: dict[str, Callable[[_Sets, int], float]] = {
    _LOAD: _load,
    "change one: libnftables, text": _change(_text, _Sets.run, 200),
    "change one: libnftables, JSON": _change(_json, _Sets.run_json, 200),
    "change one: process nft -f -": _change(_text, _process, 10),
    "list all: libnftables, text": lambda sets, _: _cpu(lambda: sets.listing(0)),
    "list all: libnftables, JSON": lambda sets, _: _cpu(lambda: sets.listing(_JSON)),
    "read all: libnftables, JSON, orjson": lambda sets, _: _cpu(lambda: _from_json(sets)),
    "read all: own dump": lambda sets, _: _cpu(lambda: elements.read(sets.channel, _PLACE, elements.sets("router"))),
    "read rules: libnftables, terse": lambda sets, _: _cpu(lambda: sets.inside.run(sets.nft.rules)),
    "read generation: own message": lambda sets, _: (
        _cpu(lambda: [sets.channel.generation() for _ in range(1000)]) / 1000
    ),
}


def _one(way: str, size: int) -> tuple[float, int]:
    sets = _Sets(size, loaded=way != _LOAD)
    try:
        return _WAYS[way](sets, size), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    finally:
        netns.remove(_NAME)


if __name__ == "__main__":
    sys.exit(main())
