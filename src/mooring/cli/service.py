"""The commands of an operator: mooring's processes, their configuration, and who may come to their bus."""

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from mooring.cli.failure import Failed, commands

Config = Annotated[
    Path | None, typer.Option(help="The configuration file; MOORING_CONFIG names one too.", dir_okay=False)
]

config = commands("The configuration file.")
bus = commands("The message bus between processes and hosts.")


class For(StrEnum):
    """Which process a file is for."""

    UP = "up"
    API = "api"
    CONTROLLER = "controller"
    AGENT = "agent"


def up(config: Config = None) -> None:
    """Start API, controller and agent in one process."""
    from mooring import main

    _run(main.up, config)


def api(config: Config = None) -> None:
    """Start an API; any number may run at once."""
    from mooring.main import api as process

    _run(process.run, config)


def controller(config: Config = None) -> None:
    """Start a controller; any number may run at once."""
    from mooring.main import controller as process

    _run(process.run, config)


def agent(config: Config = None) -> None:
    """Start this host's agent."""
    from mooring.main import agent as process

    _run(process.run, config)


def _run(process: Callable[[Path | None], int], config: Path | None) -> None:
    from mooring.config import ConfigurationError

    try:
        code = process(config)
    except (ConfigurationError, OSError) as error:
        raise Failed(str(error)) from error
    raise typer.Exit(code)


@config.command("check")
def check(
    file: Annotated[
        Path | None, typer.Argument(help="The file; without it, the one that MOORING_CONFIG names.")
    ] = None,
    process: Annotated[
        For | None, typer.Option("--for", help="For which process; without it, those that its sections fit.")
    ] = None,
) -> None:
    """Say all that is wrong with a configuration file, or print the settings that hold, without secrets."""
    from mooring import config as configuration

    settings, values, problems = configuration.read(file := file or configuration.named())
    if settings is None:
        raise Failed(_told(problems))
    wanted = [configuration.Process(process.value)] if process else list(configuration.fits(settings, values))
    for each in wanted:
        try:
            configuration.load(file, each)
        except configuration.ConfigurationError as error:
            raise Failed(f"for {each}:\n{_told(error.problems)}") from error
    typer.echo(f"# {file or 'without a file'}: right for mooring {', mooring '.join(wanted)}")
    for warning in configuration.warnings(file, settings, values):
        typer.echo(f"mooring: warning: {warning}", err=True)
    typer.echo(configuration.effective(settings, values, wanted[0] if len(wanted) == 1 else None), nl=False)


def _told(problems: Any) -> str:
    count = len(problems)
    return "\n".join([f"{count} setting{'s are' if count > 1 else ' is'} wrong", *(f"  {each}" for each in problems)])


@bus.command("config")
def bus_config(
    directory: Annotated[
        Path, typer.Option(help="Where the files are; only root should see what is in it.", file_okay=False)
    ] = Path("/etc/mooring/bus"),
    host: Annotated[list[str] | None, typer.Option(help="A host that there is to be; may be repeated.")] = None,
    renew: Annotated[list[str] | None, typer.Option(help="Who gets a new password; may be repeated.")] = None,
    remove: Annotated[list[str] | None, typer.Option(help="A host that is no more; may be repeated.")] = None,
    tls_certificate: Annotated[Path | None, typer.Option(help="The NATS server's certificate.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="The certificate's key.")] = None,
    tls_ca: Annotated[Path | None, typer.Option(help="Ask for clients' certificates of this authority, too.")] = None,
) -> None:
    """Write who may come to a NATS server, and the password of each, for api, controller and hosts; what is there stays."""
    from mooring.bus.access import ServerTls
    from mooring.config import ConfigurationError
    from mooring.main.busconfig import BusDirectory, Wish

    if (tls_certificate is None) != (tls_key is None):
        raise Failed("--tls-certificate and --tls-key belong together.")
    tls = ServerTls(tls_certificate, tls_key, tls_ca) if tls_certificate and tls_key else None
    files = BusDirectory(directory)
    try:
        written = files.write(Wish(host or (), renew or (), remove or ()), tls)
    except (ConfigurationError, ValueError) as error:
        raise Failed(str(error)) from error
    except OSError as error:
        raise Failed(f"{error.filename or directory}: {error.strerror}") from error
    for path in written:
        typer.echo(f"{path}: a new password, for the machine that needs it")
    typer.echo(f"{files.server_file}: include it in nats-server.conf, then nats-server --signal reload")
