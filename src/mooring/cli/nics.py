"""`mooring nic`: addresses of a guest's network card beside its first."""

from typing import Annotated

import typer

from mooring.cli import show
from mooring.cli.access import Session, Thing
from mooring.cli.failure import commands
from mooring.cli.instances import wanted_nic
from mooring.cli.show import Json

Card = Annotated[
    str, typer.Argument(metavar="NIC", help="Its id, or the name or id of its instance, if that has no other.")
]
Allowed = Annotated[list[str], typer.Argument(metavar="ADDRESS...", help="Addresses, or prefixes as 10.0.0.208/29.")]

nic = commands("Network cards of guests: fixed IPs beside the first, and addresses that a guest may use.")


@nic.command("list")
def list_nics(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="INSTANCE", help="Whose, by name or id.")],
    json: Json = False,
) -> None:
    """List the network cards of an instance."""
    session = Session.of(ctx)
    columns: show.Columns = {
        "network": lambda each: each["network_name"],
        "mac": lambda each: each["mac"],
        "fixed": lambda each: each["fixed"],
        "allowed": lambda each: each["allowed"],
        "id": lambda each: each["id"],
    }
    show.listing(session.get(session.path("instances", name))["nics"], columns, json=json)


@nic.command("show")
def show_nic(ctx: typer.Context, card: Card, json: Json = False) -> None:
    """Show a network card."""
    session = Session.of(ctx)
    show.thing(session.get(session.path("nics", card)), json=json)


@nic.command("attach")
def attach(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="INSTANCE", help="Which, by name or id.")],
    network: Annotated[str, typer.Argument(help="A network to be on, or NETWORK=ADDRESS.")],
    json: Json = False,
) -> None:
    """Give an instance one more network card, also while it runs."""
    session = Session.of(ctx)
    show.thing(session.post(f"{session.path('instances', name)}/nics", wanted_nic(network)), json=json)


@nic.command("detach")
def detach(ctx: typer.Context, card: Card) -> None:
    """Take a network card from its instance, also while it runs; its floating IPs stay with the project."""
    session = Session.of(ctx)
    session.delete(session.path("nics", card))
    show.told(f"NIC {card} is detached")


@nic.command("add-address")
def add_address(
    ctx: typer.Context,
    card: Card,
    address: Annotated[str | None, typer.Argument(help="Which; the network's next if not given.")] = None,
    json: Json = False,
) -> None:
    """Give a network card one more fixed IP.  The guest takes it itself: DHCP tells it only of the first."""
    session = Session.of(ctx)
    wish: Thing = {"address": address}
    show.thing(session.post(f"{session.path('nics', card)}/fixed-addresses", wish), json=json)


@nic.command("remove-address")
def remove_address(
    ctx: typer.Context, card: Card, address: Annotated[str, typer.Argument(help="Which; the first one stays.")]
) -> None:
    """Take a fixed IP from a network card."""
    session = Session.of(ctx)
    session.delete(f"{session.path('nics', card)}/{session.path('fixed-addresses', address)}")
    show.told(f"fixed IP {address} is given back")


@nic.command("allow")
def allow(ctx: typer.Context, card: Card, addresses: Allowed, json: Json = False) -> None:
    """Let a network card use addresses beside its own, as the shared one of a pair of routers."""
    session = Session.of(ctx)
    show.thing(session.post(f"{session.path('nics', card)}/allowed-addresses", {"addresses": addresses}), json=json)


@nic.command("disallow")
def disallow(ctx: typer.Context, card: Card, addresses: Allowed) -> None:
    """Let a network card use addresses no longer that it was allowed; a prefix is named as it was."""
    session = Session.of(ctx)
    session.delete(f"{session.path('nics', card)}/allowed-addresses", address=addresses)
    show.told(f"NIC {card} may no longer use {', '.join(addresses)}")
