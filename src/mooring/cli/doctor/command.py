"""The command: try everything, tell it to a person or a program, and answer whether the main job can run."""

import dataclasses
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer

from mooring.cli.doctor import devices, filters, kernel, limits, links, programs
from mooring.cli.doctor.check import Finding, Verdict, carry_out

_COLOURS = {Verdict.OK: "green", Verdict.LIMITED: "yellow", Verdict.MISSING: "red"}


def doctor(
    config: Annotated[
        Path | None, typer.Option(help="The service's configuration file; MOORING_CONFIG names one too.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Tell what this machine lacks, and what that costs."""
    checks = (
        *programs.checks(),
        *kernel.checks(),
        *filters.checks(config),
        *devices.checks(),
        *links.checks(config),
        *limits.checks(config),
    )
    # Some wait for a ping that must not come; none hinders another, for each has a namespace of its own.
    with ThreadPoolExecutor(4) as pool:
        findings = tuple(pool.map(carry_out, checks))
    ready = not any(found.needed and found.verdict is Verdict.MISSING for found in findings)
    if as_json:
        typer.echo(json.dumps({"ready": ready, "checks": [dataclasses.asdict(found) for found in findings]}, indent=2))
    else:
        _show(findings, ready=ready)
    raise typer.Exit(0 if ready else 1)


def _show(findings: Sequence[Finding], *, ready: bool) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    for group, members in groupby(findings, key=lambda found: found.group):
        console.print(Text(group, style="bold"))
        table = Table.grid(padding=(0, 2))
        for found in members:
            verdict = Text(found.verdict.value, style=_COLOURS[found.verdict])
            table.add_row("", verdict, Text(found.name), Text(f"{found.found}\n{found.cost}".strip()))
        console.print(table)
    console.print()
    console.print(_conclusion(findings, ready=ready))


def _conclusion(findings: Sequence[Finding], *, ready: bool) -> str:
    if not ready:
        lacking = [found.name for found in findings if found.needed and found.verdict is Verdict.MISSING]
        return f"[red]mooring can't do its main job here[/]: {', '.join(lacking)}"
    lacks = sum(found.verdict is not Verdict.OK for found in findings)
    return "[green]mooring can do its main job here[/]" + (f", with {lacks} limits named above." if lacks else ".")
