"""`mooring lab`: several hosts on one machine, to try."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from mooring import sandbox as own_namespaces
from mooring.cli.failure import Failed, commands

if TYPE_CHECKING:
    from mooring.lab.plan import Plan
    from mooring.lab.site import Site

lab = commands(
    "A laboratory: several hosts, their wires and providers, PostgreSQL and NATS, on this machine and gone with it."
)

Directory = Annotated[
    Path | None,
    typer.Option(envvar="MOORING_LAB", help="Where its files are; without it, below the directory for temporary ones."),
]
_START_SECONDS = 180.0
_WATCH_EVERY = 0.5


@lab.command("up")
def up(
    hosts: Annotated[int, typer.Option(help="How many hosts.")] = 4,
    gateways: Annotated[int, typer.Option(help="How many of them are gateways, too.")] = 2,
    uplinks: Annotated[int, typer.Option(help="How many providers.")] = 2,
    database: Annotated[str, typer.Option(help="postgresql or sqlite.")] = "postgresql",
    bus: Annotated[str, typer.Option(help="nats.")] = "nats",
    port: Annotated[int, typer.Option(help="The API's port on 127.0.0.1; 0 is any.")] = 0,
    detach: Annotated[bool, typer.Option("--detach", help="Leave it running, until `mooring lab down`.")] = False,
    directory: Directory = None,
) -> None:
    """Build and start it.  It stays until Ctrl-C; what dies in it is started again."""
    plan = _plan(hosts, gateways, uplinks, database, bus)
    wanted = [
        f"--hosts={hosts}",
        f"--gateways={gateways}",
        f"--uplinks={uplinks}",
        f"--database={database}",
        f"--port={port}",
    ]
    if detach:
        _detach(wanted, directory)
    elif own_namespaces.inside():
        _run(plan, port, directory)
    else:
        _claim(directory)
        # All that is made is gone with it.  Before anything that starts a second thread: such a process can't make a sandbox.
        where = [f"--directory={directory}"] if directory else []
        own_namespaces.run([sys.executable, "-m", "mooring.cli", "lab", "up", *wanted, *where])


def _plan(hosts: int, gateways: int, uplinks: int, database: str, bus: str) -> "Plan":
    from mooring.lab.plan import Database, Plan

    if bus != "nats":
        raise Failed(f"there is no bus {bus} between processes, only nats.")
    if database not in set(Database):
        raise Failed(f"there is no database {database}, only {' and '.join(Database)}.")
    try:
        return Plan(hosts, gateways, uplinks, Database(database))
    except ValueError as error:
        raise Failed(str(error)) from error


def _claim(directory: Path | None) -> None:
    from mooring.lab.machine import LaboratoryFailed

    try:
        _site(directory).claim()
    except LaboratoryFailed as failure:
        raise Failed(str(failure)) from failure


def _site(directory: Path | None) -> "Site":
    from mooring.lab.site import Site, usual_directory

    return Site(directory or usual_directory())


def _detach(wanted: list[str], directory: Path | None) -> None:
    import tempfile

    site = _site(directory)
    if site.owner() is not None:
        raise Failed(f"a laboratory runs already, in {site.directory}; `mooring lab down` ends it.")
    environment = {name: value for name, value in os.environ.items() if name != own_namespaces.MARK}
    command = [sys.executable, "-m", "mooring.cli", "lab", "up", *wanted, f"--directory={site.directory}"]
    with tempfile.TemporaryFile() as words:
        started = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=words, stderr=words, env=environment, start_new_session=True
        )
        deadline = time.monotonic() + _START_SECONDS
        while not (site.ready and site.owner() == started.pid):
            if started.poll() is not None or time.monotonic() > deadline:
                started.terminate()
                started.wait(timeout=60)
                words.seek(0)
                raise Failed(f"the laboratory did not come up:\n{words.read().decode(errors='replace').strip()}")
            time.sleep(0.1)
    _tell(site, "mooring lab down")


def _run(plan: "Plan", port: int, directory: Path | None) -> None:
    from dataclasses import replace

    from mooring.lab import wires
    from mooring.lab.laboratory import Laboratory
    from mooring.lab.machine import LaboratoryFailed

    def end(*_: object) -> None:
        # The first signal ends it, wherever it is; a second one must not disturb the cleaning up.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    site = _site(directory)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    counts = f"{plan.hosts} hosts, {plan.gateways} gateways, {plan.uplinks} uplinks"
    try:
        typer.echo(f"building a laboratory: {counts}, {plan.database}, nats")
        plan = replace(plan, vlans=wires.has_vlans())
        with Laboratory(plan, site.directory, port=port) as running:
            site.describe(running)
            _tell(site, "Ctrl-C")
            while True:
                time.sleep(_WATCH_EVERY)
                for ended in running.revive():
                    typer.echo(f"{ended} has ended; it is started again")
                    site.describe(running)
    except LaboratoryFailed as failure:
        raise Failed(str(failure)) from failure
    except KeyboardInterrupt:
        site.remove()
        typer.echo("nothing of it is left")


def _tell(site: "Site", end: str) -> None:
    known = site.described()
    typer.echo(f"the laboratory is up: {known['url']}")
    typer.echo(f"  machines    {' '.join(known['machines'])}")
    typer.echo(f"  networks    {' '.join(known['namespaces'])}")
    typer.echo(f"  logs        {known['logs']}")
    if not known["vlans"]:
        typer.echo("  no VLANs    this kernel has no 802.1Q devices; vxlan, flat_dhcp and flat networks work")
    typer.echo('to use it:    eval "$(mooring lab env)"; mooring host list; mooring lab exec host-1 -- ip link')
    typer.echo(f"to end it:    {end}")


@lab.command("down")
def down(directory: Directory = None) -> None:
    """End it, and remove all that is left of it, however it ended."""
    from mooring.lab.machine import LaboratoryFailed

    try:
        there = _site(directory).end()
    except LaboratoryFailed as failure:
        raise Failed(str(failure)) from failure
    typer.echo("the laboratory is down; nothing of it is left" if there else "there is no laboratory")


@lab.command("exec", context_settings={"ignore_unknown_options": True})
def execute(
    where: Annotated[str, typer.Argument(metavar="HOST", help="A machine, a provider, or a host outside.")],
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND [ARGUMENT]...", help="What to run there.")],
    directory: Directory = None,
) -> None:
    """Run a command on one of its machines."""
    from mooring.lab.machine import LaboratoryFailed

    site = _site(directory)
    try:
        if own_namespaces.inside():
            _become(site.at(where, *command))
        site.at(where)
        _become(site.enter(sys.executable, "-m", "mooring.cli", "lab", "exec", where, "--", *command))
    except LaboratoryFailed as failure:
        raise Failed(str(failure)) from failure


def _become(command: Sequence[str]) -> NoReturn:
    sys.stdout.flush()
    os.execvp(command[0], [*command])  # noqa: S606 - an argument list, no shell


@lab.command("status")
def status(directory: Directory = None) -> None:
    """Say what runs, and how the hosts keep up."""
    from mooring.lab.machine import LaboratoryFailed

    site = _site(directory)
    try:
        if not own_namespaces.inside():
            # Its processes have their numbers in there.
            _become(site.enter(sys.executable, "-m", "mooring.cli", "lab", "status"))
        known = site.described()
    except LaboratoryFailed as failure:
        raise Failed(str(failure)) from failure
    for name, pid in known["programs"].items():
        typer.echo(f"{name:<16} {'runs' if pid and Path(f'/proc/{pid}').exists() else 'has ended'}")
    for line in _hosts(known):
        typer.echo(line)
    typer.echo(f"{'api':<16} {known['url']}")
    typer.echo(f"{'logs':<16} {known['logs']}")


def _hosts(known: Mapping[str, Any]) -> list[str]:
    import httpx2

    from mooring.lab.client import Client, Refused
    from mooring.lab.files import ADMIN

    try:
        with Client(known["url"], ADMIN, known["password"]) as client:
            shown = [client.get(f"hosts/{host['name']}") for host in client.all("hosts")]
    except (httpx2.TransportError, Refused) as error:
        return [f"{'hosts':<16} the API does not answer: {error}"]
    lines: list[str] = []
    for host in sorted(shown, key=lambda host: str(host["name"])):
        held = "holds all that it should" if host["settled"] else "has not confirmed everything"
        lines.append(f"{host['name']:<16} {held}")
        lines += [f"{'':<16} {each['subject']}: {each['reason']}" for each in host["trouble"]]
    return lines


@lab.command("env")
def env(
    user: Annotated[str, typer.Option(help="admin, or one of the tenants red and blue.")] = "admin",
    directory: Directory = None,
) -> None:
    """Print an openrc: what a shell must know to use it."""
    from mooring.cli.openrc import variables
    from mooring.lab.files import ADMIN, TENANTS
    from mooring.lab.machine import LaboratoryFailed

    if user not in {ADMIN, *TENANTS}:
        raise Failed(f"there is no user {user} in the laboratory, but {ADMIN}, {', '.join(TENANTS)}.")
    try:
        known = _site(directory).described()
    except LaboratoryFailed as failure:
        raise Failed(str(failure)) from failure
    values = variables(known["url"], user, known["password"], user)
    typer.echo("".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items()), nl=False)
