"""How a command says that it can't: one sentence on stderr and exit code 1, and never a traceback for what may be expected."""

from typing import Any

import typer
from typer.core import TyperGroup

from mooring.model.faults import Fault
from mooring.sandbox import SandboxRefused


class Failed(Exception):
    """What the user asked for could not be done; the message is the sentence that they read."""


def commands(about: str) -> typer.Typer:
    """Return an empty group of commands."""
    return typer.Typer(help=about, no_args_is_help=True, rich_markup_mode=None)


class Root(TyperGroup):
    """The root of all commands, where their failures arrive."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]  # typer's own context class
        """Run the command and tell how it failed, if it did."""
        try:
            return super().invoke(ctx)
        except (Failed, Fault, SandboxRefused) as failure:
            typer.echo(f"mooring: {failure}", err=True)
            raise typer.Exit(1) from failure
