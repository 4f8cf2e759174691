"""The commands for who has put a backup of the database back; they open the database themselves."""

from collections.abc import Callable
from typing import Annotated, TypeVar

import typer

from mooring.cli.failure import Failed, commands
from mooring.cli.service import Config

T = TypeVar("T")

database = commands("The database, after a backup was put back: docs/operating/backups.md.")


@database.command("renew")
def renew(
    config: Config = None,
    after: Annotated[
        int, typer.Option(help="The epoch that hosts say they have seen, where they refuse a new one.")
    ] = 0,
) -> None:
    """Begin an epoch: hosts then believe an older database, pull everything, and give up what it does not know."""
    from mooring.main.database import begin_epoch

    epoch = _told(lambda: begin_epoch(config, after))
    typer.echo(f"epoch {epoch} has begun")
    typer.echo("mooring: start the controllers, then mooring database wait, then the APIs", err=True)


@database.command("wait")
def wait(
    config: Config = None,
    timeout: Annotated[float, typer.Option(min=0.0, help="For how many seconds at most.")] = 300.0,
) -> None:
    """Wait until every host has confirmed what the database says."""
    from mooring.main.database import wait_for_hosts

    left = _told(lambda: wait_for_hosts(config, timeout))
    if left:
        raise Failed("; ".join(f"host {each.host} {each.reason}" for each in left))
    typer.echo("every host has followed")


def _told(work: Callable[[], T]) -> T:
    from mooring.config import ConfigurationError

    try:
        return work()
    except (ConfigurationError, OSError) as error:
        raise Failed(str(error)) from error
