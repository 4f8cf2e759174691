"""What commands print: tables and descriptions for people, the API's own JSON for programs."""

import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, cast

import typer

from mooring.cli.access import Thing, as_json

if TYPE_CHECKING:
    from rich.console import Console

Json = Annotated[bool, typer.Option("--json", help="For programs: what the API said.")]
Columns = Mapping[str, Callable[[Thing], object]]

# Wider than any line: what is piped into another program must not be wrapped.
_ENDLESS = 10_000
_NUMBERS = re.compile(r"([0-9]+)")


def console() -> "Console":
    """Return where people read."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else _ENDLESS, highlight=False, markup=False, emoji=False)


def listing(things: Sequence[Thing], columns: Columns, *, json: bool) -> None:
    """Print a list: a table with a column for each function, sorted by the first."""
    if json:
        typer.echo(as_json({"items": things, "next": None}))
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in columns:
        table.add_column(title.upper(), overflow="fold")
    rows = [[_text(column(thing)) for column in columns.values()] for thing in things]
    for row in sorted(rows, key=_natural):
        table.add_row(*row)
    _print(table)


def thing(thing: Thing, *, json: bool) -> None:
    """Print one thing: each field and what it is."""
    if json:
        typer.echo(as_json(thing))
        return
    from rich.table import Table

    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="bold")
    grid.add_column(overflow="fold")
    for name, value in thing.items():
        grid.add_row(name.replace("_", " "), _text(value))
    _print(grid)


def told(sentence: str) -> None:
    """Print that something was done."""
    typer.echo(sentence)


def _print(renderable: object) -> None:
    out = console()
    with out.capture() as captured:
        out.print(renderable)
    # rich fills every line up with blanks, which copied text and expected output in tests can do without.
    typer.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _text(value: object) -> str:
    match value:
        case None | "" | []:
            return "-"
        case bool():
            return "yes" if value else "no"
        case str():
            return value
        case Mapping():
            parts = cast("Mapping[str, object]", value)
            return " ".join(f"{name}={_text(part)}" for name, part in parts.items())
        case Iterable():
            return ", ".join(_text(part) for part in cast("Iterable[object]", value))
        case _:
            return str(value)


def _natural(row: Sequence[str]) -> list[list[tuple[bool, int, str]]]:
    # 10.0.0.9 before 10.0.0.10, and web-2 before web-10.
    return [
        [(not part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in _NUMBERS.split(cell) if part]
        for cell in row
    ]
