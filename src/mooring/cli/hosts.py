"""`mooring host` and `mooring trace`: what hosts should hold, and where a packet would go."""

from enum import StrEnum
from ipaddress import ip_address
from typing import Annotated

import typer

from mooring.cli import show
from mooring.cli.access import Session, Thing, as_json
from mooring.cli.failure import Failed, commands
from mooring.cli.show import Json

host = commands("The machines.")


class Protocol(StrEnum):
    """What a packet carries."""

    ICMP = "icmp"
    TCP = "tcp"
    UDP = "udp"


class Entry(StrEnum):
    """Who sends a packet."""

    GUEST = "guest"
    UPLINK = "uplink"


@host.command("list")
def list_hosts(ctx: typer.Context, json: Json = False) -> None:
    """List the hosts."""
    columns: show.Columns = {
        "name": lambda each: each["name"],
        "compute": lambda each: each["compute"],
        "gateway": lambda each: each["gateway"],
        "id": lambda each: each["id"],
    }
    show.listing(Session.of(ctx).all("hosts"), columns, json=json)


@host.command("show")
def show_host(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Its name or id.")],
    facts: Annotated[bool, typer.Option("--facts", help="All that it should hold, one fact a line.")] = False,
    json: Json = False,
) -> None:
    """Show a host and what it could not make true, or the facts that it should hold."""
    session = Session.of(ctx)
    path = session.path("hosts", name)
    if facts and not json:
        typer.echo(session.text("GET", f"{path}/facts"), nl=False)
        return
    found = session.get(f"{path}/facts" if facts else path)
    if not json and not facts:
        found["uplinks away"] = [
            f"{each['uplink']} ({each['interface']}): {each['reason']}, since {each['since']}"
            for each in found.pop("uplinks_away")
        ]
        found["trouble"] = [f"{each['subject']} as {each['role']}: {each['reason']}" for each in found["trouble"]]
    show.thing(found, json=json)


def trace(
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(metavar="SRC", help="Who sends: an address, or an instance's name or id.")],
    destination: Annotated[str, typer.Argument(metavar="DST", help="To whom: likewise.")],
    protocol: Annotated[Protocol, typer.Argument(metavar="[PROTO]", help="icmp, tcp or udp.")] = Protocol.ICMP,
    port: Annotated[int | None, typer.Argument(metavar="[PORT]", help="The destination's port.")] = None,
    on: Annotated[str | None, typer.Option("--host", help="On which host; all are asked if not given.")] = None,
    entry: Annotated[
        Entry | None, typer.Option("--from", help="Who sends: a guest or the outside; known by SRC if not given.")
    ] = None,
    network: Annotated[str | None, typer.Option(help="Which network's guest sends.")] = None,
    sender: Annotated[
        str | None, typer.Option("--by", help="Which instance sends, whosever address SRC is: its name or id.")
    ] = None,
    json: Json = False,
) -> None:
    """Say where a packet would go, and why.  Nothing is sent; for administrators."""
    session = Session.of(ctx)
    wish: Thing = {
        "source": _address(session, source),
        "destination": _address(session, destination),
        "protocol": protocol.value,
        "port": port,
        "host": on,
        "entry": entry and entry.value,
        "network": network,
        "nic": sender and _nic(session, sender),
    }
    if json:
        typer.echo(as_json(session.post("trace", wish)))
    else:
        typer.echo(session.text("POST", "trace", wish), nl=False)


def _nic(session: Session, instance: str) -> str:
    for nic in session.get(session.path("instances", instance))["nics"]:
        return str(nic["id"])
    raise Failed(f"instance {instance} has no NIC yet.")


def _address(session: Session, name: str) -> str:
    try:
        return str(ip_address(name))
    except ValueError:
        found = session.get(session.path("instances", name))
    for nic in found["nics"]:
        for address in nic["fixed"]:
            return str(address)
    raise Failed(f"instance {name} has no address yet.")
