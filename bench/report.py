"""What a benchmark measured: rows for programs, a table for people, and the options that all benchmarks have."""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

BUILD = Path(__file__).parent.parent / "build" / "bench"


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: of a piece of work, at a size and with so many clients."""

    work: str
    size: int
    clients: int
    metric: str
    unit: str
    value: float


@dataclass(frozen=True, slots=True)
class Options:
    """How large and how often; `out` is where the rows go."""

    sizes: tuple[int, ...]
    rounds: int
    quick: bool
    out: Path


def options(name: str, sizes: Sequence[int], rounds: int, argv: Sequence[str] | None = None) -> Options:
    """Read a benchmark's command line; `--quick` is the two smallest sizes and two rounds, to see that it runs."""
    parser = argparse.ArgumentParser(prog=f"python -m bench.{name}")
    parser.add_argument("--sizes", type=_numbers, help=f"how many associations there are (default {_join(sizes)})")
    parser.add_argument("--rounds", type=int, help=f"how often each size is measured (default {rounds})")
    parser.add_argument("--quick", action="store_true", help="small and seldom: says that it runs, not how fast")
    parser.add_argument("--out", type=Path, default=BUILD / f"{name}.json", help="where the rows go (%(default)s)")
    given = parser.parse_args(argv)
    return Options(
        sizes=given.sizes or tuple(sizes[:2] if given.quick else sizes),
        rounds=given.rounds or (2 if given.quick else rounds),
        quick=given.quick,
        out=given.out,
    )


def rounds_of(things: Sequence[int], rounds: int) -> Iterator[tuple[int, int]]:
    """Return (round, thing) for every round, forwards and backwards in turn: a machine that drifts troubles all alike."""
    for number in range(rounds):
        for thing in things if number % 2 == 0 else tuple(reversed(things)):
            yield number, thing


class Results:
    """Samples as they come in, and what becomes of them."""

    def __init__(self) -> None:
        self._samples: dict[tuple[str, int, int, str, str], list[float]] = {}

    def add(self, work: str, size: int, metric: str, unit: str, value: float, *, clients: int = 1) -> None:
        """Take a sample; the row holds the median of all samples of its name."""
        self._samples.setdefault((work, size, clients, metric, unit), []).append(value)

    def rows(self) -> list[Row]:
        """Return a row for each thing that was measured."""
        return [Row(*key, round(statistics.median(values), 6)) for key, values in self._samples.items()]

    def samples(self, work: str, size: int, metric: str, *, clients: int = 1) -> list[float]:
        """Return all samples of one row."""
        for (a, b, c, d, _), values in self._samples.items():
            if (a, b, c, d) == (work, size, clients, metric):
                return values
        return []

    def finish(self, options: Options) -> None:
        """Write the rows, and print them as a table."""
        rows = self.rows()
        options.out.parent.mkdir(parents=True, exist_ok=True)
        lines = ",\n".join(json.dumps(asdict(row)) for row in rows)
        options.out.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
        print(table(rows))
        print(f"{len(rows)} rows in {options.out}; each the median of what {options.rounds} rounds measured")


def table(rows: Iterable[Row]) -> str:
    """Write rows as text: a line for each work and metric, a column for each size and number of clients."""
    rows = list(rows)
    columns = sorted({(row.size, row.clients) for row in rows})
    many = len({clients for _, clients in columns}) > 1
    head = ["", "unit", *(f"{size:,} x {clients}" if many else f"{size:,}" for size, clients in columns)]
    cells: dict[tuple[str, str, str], dict[tuple[int, int], float]] = {}
    for row in rows:
        cells.setdefault((row.work, row.metric, row.unit), {})[row.size, row.clients] = row.value
    lines = [head]
    for (work, metric, unit), values in cells.items():
        shown = [_number(values[column]) if column in values else "" for column in columns]
        lines.append([f"{work}: {metric}", unit, *shown])
    widths = [max(len(line[at]) for line in lines) for at in range(len(head))]
    return "\n".join(_line(line, widths) for line in lines) + "\n"


def say(text: str) -> None:
    """Tell what is being done; tables alone go to standard output."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    left = f"{cells[0]:<{widths[0]}}  {cells[1]:<{widths[1]}}"
    return "  ".join([left, *(f"{cell:>{width}}" for cell, width in zip(cells[2:], widths[2:], strict=True))]).rstrip()


def _number(value: float) -> str:
    if value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(sorted({int(part.replace("_", "")) for part in text.split(",")}))


def _join(sizes: Sequence[int]) -> str:
    return ",".join(map(str, sizes))
