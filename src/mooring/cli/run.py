"""The commands that run something here to try it: a demo, or any command in a sandbox."""

import sys
from typing import Annotated

import typer

from mooring import sandbox as own_namespaces
from mooring.cli.failure import Failed


def demo(
    name: Annotated[str, typer.Argument(help="Which demo.")] = "floating-ip",
    once: Annotated[bool, typer.Option("--once", help="Run it, say whether all held, and end.")] = False,
    short: Annotated[bool, typer.Option("--short", help="Tell its short version, if it has one.")] = False,
    listing: Annotated[bool, typer.Option("--list", help="Name the demos.")] = False,
) -> None:
    """Tell a story with a small cloud of its own.  It stays until Ctrl-C."""
    if not listing and not own_namespaces.inside():
        # Nothing of this machine is touched, and all that the demo made is gone with it.  Before anything heavy is imported: a process
        # with a second thread can't make a sandbox.
        options = [option for option, wanted in (("--once", once), ("--short", short)) if wanted]
        own_namespaces.run([sys.executable, "-m", "mooring.cli", "demo", name, *options])
    from mooring import demos

    known = demos.listing()
    if listing:
        for title, summary in known:
            typer.echo(f"{title:<16} {summary}")
        return
    if name not in {title for title, _ in known}:
        raise Failed(f"there is no demo {name}; `mooring demo --list` names them.")
    if short and name not in demos.shortened():
        raise Failed(f"demo {name} has no short version.")
    raise typer.Exit(demos.run(name, once=once, short=short))


def sandbox(
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND [ARGUMENT]...", help="What to run.")],
) -> None:
    """Run a command in mount and process namespaces of its own.  They vanish with it; root is not needed.

    The network stays the caller's: what root does to it, it does to this machine.
    """
    own_namespaces.run(command)
