"""All commands, put together."""

from typing import Annotated

import typer

from mooring.cli.access import Access
from mooring.cli.accounts import project as projects
from mooring.cli.accounts import user as users
from mooring.cli.database import database
from mooring.cli.doctor.command import doctor
from mooring.cli.egress import egress
from mooring.cli.events import events
from mooring.cli.failure import Root
from mooring.cli.forwardings import forwarding
from mooring.cli.groups import group
from mooring.cli.hosts import host, trace
from mooring.cli.instances import instance, ip, quota
from mooring.cli.keys import key as keys
from mooring.cli.lab import lab
from mooring.cli.networks import network
from mooring.cli.nics import nic
from mooring.cli.openrc import openrc
from mooring.cli.pools import pool, uplink
from mooring.cli.run import demo, sandbox
from mooring.cli.service import agent, api, bus, config, controller, up

app = typer.Typer(
    cls=Root,
    no_args_is_help=True,
    rich_markup_mode=None,  # rich would triple the time to the first line of help
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"mooring {version('mooring')}")
        raise typer.Exit


@app.callback()
def access(
    ctx: typer.Context,
    url: Annotated[
        str | None, typer.Option(envvar="MOORING_URL", help="Where mooring is, as in http://127.0.0.1:8774.")
    ] = None,
    auth_url: Annotated[str | None, typer.Option(envvar="OS_AUTH_URL", help="The same, as an openrc says it.")] = None,
    user: Annotated[str | None, typer.Option(envvar="OS_USERNAME", help="Who asks.")] = None,
    password: Annotated[
        str | None,
        typer.Option(
            envvar="OS_PASSWORD",
            help="The user's password; other users of this machine see options, but not OS_PASSWORD.",
        ),
    ] = None,
    project: Annotated[str | None, typer.Option(envvar="OS_PROJECT_NAME", help="In which project.")] = None,
    key: Annotated[
        str | None, typer.Option(envvar="OS_APPLICATION_CREDENTIAL_ID", help="A key, by its id, instead of a user.")
    ] = None,
    key_secret: Annotated[
        str | None,
        typer.Option(
            envvar="OS_APPLICATION_CREDENTIAL_SECRET", help="The key's secret; the variable is better here too."
        ),
    ] = None,
    version: Annotated[  # noqa: ARG001 - its callback has answered by now
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Keeps the addresses of a VM cloud: fixed, secondary, floating and shared, across hosts and uplinks."""
    ctx.obj = Access(url, auth_url, user, password, project, key, key_secret)


app.command()(up)
app.command()(api)
app.command()(controller)
app.command()(agent)
app.command()(demo)
app.add_typer(lab, name="lab")
app.command()(doctor)
app.command()(sandbox)
app.add_typer(config, name="config")
app.add_typer(bus, name="bus")
app.add_typer(database, name="database")
app.add_typer(network, name="network")
app.add_typer(pool, name="pool")
app.add_typer(uplink, name="uplink")
app.add_typer(ip, name="ip")
app.add_typer(egress, name="egress")
app.add_typer(forwarding, name="forwarding")
app.add_typer(instance, name="instance")
app.add_typer(nic, name="nic")
app.add_typer(group, name="group")
app.add_typer(quota, name="quota")
app.add_typer(projects, name="project")
app.add_typer(users, name="user")
app.add_typer(keys, name="key")
app.add_typer(host, name="host")
app.command()(trace)
app.command()(events)
app.command()(openrc)
