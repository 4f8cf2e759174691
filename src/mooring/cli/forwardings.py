"""`mooring forwarding`: ports of floating IPs that lead to guests."""

from typing import Annotated

import typer

from mooring.cli import show
from mooring.cli.access import Session, Thing
from mooring.cli.failure import Failed, commands
from mooring.cli.show import Json

Forwarding = Annotated[str, typer.Argument(metavar="FORWARDING", help="Its id; `forwarding list` has it.")]
PORTS = "A port, or a range as in 8000-8010."
To = Annotated[str | None, typer.Option(metavar="PORTS", help=f"The guest's: as many. {PORTS}")]
Fixed = Annotated[str | None, typer.Option(help="At this address of the guest, if it has several.")]
Nic = Annotated[str | None, typer.Option(help="To this NIC: its id.")]
Description = Annotated[str | None, typer.Option(help="What it is for.")]

forwarding = commands("Port forwardings: ports of floating IPs that lead to guests.")


@forwarding.command("list")
def list_forwardings(
    ctx: typer.Context,
    address: Annotated[str | None, typer.Argument(metavar="[ADDRESS]", help="Only those of this floating IP.")] = None,
    json: Json = False,
) -> None:
    """List the project's port forwardings."""
    columns: show.Columns = {
        "address": lambda each: each["floating_ip"],
        "protocol": lambda each: each["protocol"],
        "ports": lambda each: _ports(each, "external_port"),
        "lead to": lambda each: each["fixed_address"],
        "its ports": lambda each: _ports(each, "internal_port"),
        "description": lambda each: each["description"],
        "id": lambda each: each["id"],
    }
    found = Session.of(ctx).all("port-forwardings", **({} if address is None else {"floating_ip": address}))
    show.listing(found, columns, json=json)


@forwarding.command("show")
def show_forwarding(ctx: typer.Context, forwarding: Forwarding, json: Json = False) -> None:
    """Show a port forwarding."""
    session = Session.of(ctx)
    show.thing(session.get(session.path("port-forwardings", forwarding)), json=json)


@forwarding.command("create")
def create_forwarding(
    ctx: typer.Context,
    address: Annotated[str, typer.Argument(help="A floating IP that is not associated.")],
    protocol: Annotated[str, typer.Argument(help="tcp or udp.")],
    ports: Annotated[str, typer.Argument(help=PORTS)],
    instance: Annotated[str | None, typer.Option(help="To this instance: its name or id.")] = None,
    nic: Nic = None,
    to: To = None,
    fixed: Fixed = None,
    description: Description = None,
    json: Json = False,
) -> None:
    """Let ports of a floating IP lead to a guest, to the same ones if it isn't said to which."""
    wish: Thing = {
        "floating_ip": address,
        "protocol": protocol,
        **_wish("external_port", "PORTS", ports),
        **_wish("internal_port", "--to", to),
        "instance": instance,
        "nic": nic,
        "fixed_address": fixed,
        "description": description or "",
    }
    show.thing(Session.of(ctx).post("port-forwardings", wish), json=json)


@forwarding.command("change")
def change_forwarding(
    ctx: typer.Context,
    forwarding: Forwarding,
    protocol: Annotated[str | None, typer.Option(help="tcp or udp.")] = None,
    ports: Annotated[str | None, typer.Option(help=PORTS)] = None,
    nic: Nic = None,
    to: To = None,
    fixed: Fixed = None,
    description: Description = None,
    json: Json = False,
) -> None:
    """Let a port forwarding be otherwise; what isn't given stays as it is."""
    session = Session.of(ctx)
    wish: Thing = {
        "protocol": protocol,
        **_wish("external_port", "--ports", ports),
        **_wish("internal_port", "--to", to),
        "nic": nic,
        "fixed_address": fixed,
        "description": description,
    }
    show.thing(session.put(session.path("port-forwardings", forwarding), wish), json=json)


@forwarding.command("delete")
def delete_forwarding(ctx: typer.Context, forwarding: Forwarding) -> None:
    """Take a port forwarding back; its connections end."""
    session = Session.of(ctx)
    session.delete(session.path("port-forwardings", forwarding))
    show.told(f"port forwarding {forwarding} is deleted")


def _wish(name: str, option: str, text: str | None) -> Thing:
    """Read ports; one alone says nothing of a last one, so that the other side's length counts."""
    if text is None:
        return {}
    first, dash, last = text.partition("-")
    if not all(part.isascii() and part.isdecimal() for part in (first, *([last] if dash else []))):
        raise Failed(f"{option}: must be a port, or a range as in 8000-8010.")
    return {name: int(first), **({f"{name}_last": int(last)} if dash else {})}


def _ports(each: Thing, name: str) -> str:
    first, last = each[name], each[f"{name}_last"]
    return str(first) if first == last else f"{first}-{last}"
