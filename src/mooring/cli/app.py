"""All commands, put together."""

import typer

from mooring.cli.doctor.command import doctor
from mooring.cli.failure import Group
from mooring.cli.run import demo, sandbox, up

app = typer.Typer(
    cls=Group,
    help="Keeps the addresses of a VM cloud: fixed, secondary, floating and shared, across hosts and uplinks.",
    no_args_is_help=True,
    rich_markup_mode=None,  # rich would triple the time to the first line of help
    pretty_exceptions_enable=False,
)
app.command()(up)
app.command()(demo)
app.command()(doctor)
app.command()(sandbox)
