"""The commands that run something here: the service, a demo, or any command in a sandbox."""

import importlib
import sys
from pathlib import Path
from typing import Annotated

import typer

from mooring import sandbox as own_namespaces
from mooring.cli.failure import Failed


def up(
    config: Annotated[Path | None, typer.Option(help="The configuration file.", dir_okay=False)] = None,
) -> None:
    """Start everything in one process: API, controller and agent."""
    raise typer.Exit(int(importlib.import_module("mooring.main").up(config) or 0))


def demo(
    name: Annotated[str, typer.Argument(help="Which demo.")] = "floating-ip",
    once: Annotated[bool, typer.Option("--once", help="Run it, say whether all held, and end.")] = False,
    listing: Annotated[bool, typer.Option("--list", help="Name the demos.")] = False,
) -> None:
    """Tell a story with a small cloud of its own; it stays until Ctrl-C."""
    demos = importlib.import_module("mooring.demos")
    if listing:
        for known, summary in demos.listing():
            typer.echo(f"{known:<16} {summary}")
        return
    if name not in {known for known, _ in demos.listing()}:
        raise Failed(f"there is no demo {name}; `mooring demo --list` names them.")
    if not own_namespaces.inside():
        # Nothing of this machine is touched, and all that the demo made is gone with it.
        arguments = ["demo", name, *(["--once"] if once else [])]
        own_namespaces.run([sys.executable, "-m", "mooring.cli", *arguments])
    raise typer.Exit(demos.run(name, once=once))


def sandbox(
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND [ARGUMENT]...", help="What to run.")],
) -> None:
    """Run a command in private namespaces that vanish with it; root is not needed."""
    own_namespaces.run(command)
