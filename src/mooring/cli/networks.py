"""`mooring network`: guest networks, which an administrator makes."""

from typing import Annotated

import typer

from mooring.cli import show
from mooring.cli.access import Session, Thing
from mooring.cli.failure import commands
from mooring.cli.show import Json

Name = Annotated[str, typer.Argument(help="Its name or id.")]
NewName = Annotated[str, typer.Argument(help="What to call it.")]

network = commands("Guest networks.")


@network.command("list")
def list_networks(ctx: typer.Context, json: Json = False) -> None:
    """List the networks that the project may use."""
    columns: show.Columns = {
        "name": lambda each: each["name"],
        "cidr": lambda each: each["cidr"],
        "gateway": lambda each: each["gateway"],
        "dns": lambda each: each["dns"],
        "kind": lambda each: each["kind"],
        "id": lambda each: each["id"],
    }
    show.listing(Session.of(ctx).all("networks"), columns, json=json)


@network.command("show")
def show_network(ctx: typer.Context, name: Name, json: Json = False) -> None:
    """Show a network."""
    session = Session.of(ctx)
    show.thing(session.get(session.path("networks", name)), json=json)


@network.command("create")
def create_network(
    ctx: typer.Context,
    name: NewName,
    cidr: Annotated[str, typer.Option(help="Its subnet, as in 10.0.0.0/24.")],
    gateway: Annotated[
        str | None, typer.Option(help="Its router's address; the first of the subnet if not given.")
    ] = None,
    dns: Annotated[list[str] | None, typer.Option(help="A DNS server that guests are told; may be repeated.")] = None,
    mtu: Annotated[
        int | None, typer.Option(help="The largest packet, in bytes; what the kind allows if not given.")
    ] = None,
    kind: Annotated[str, typer.Option(help="flat_dhcp, vlan, vxlan or flat.")] = "flat_dhcp",
    project: Annotated[str | None, typer.Option(help="Whose it is (vlan, vxlan); everybody's if not given.")] = None,
    segment: Annotated[
        int | None, typer.Option(help="The VLAN tag or VXLAN identifier; the next free one if not given.")
    ] = None,
    bridge: Annotated[str | None, typer.Option(help="The operator's bridge (flat).")] = None,
    cluster: Annotated[str | None, typer.Option(help="The hosts that have that bridge (flat).")] = None,
    json: Json = False,
) -> None:
    """Make a network."""
    wish: Thing = {
        "name": name,
        "cidr": cidr,
        "gateway": gateway,
        "dns": dns or [],
        "mtu": mtu,
        "kind": kind,
        "project": project,
        "segment": segment,
        "bridge": bridge,
        "cluster": cluster,
    }
    show.thing(Session.of(ctx).post("networks", wish), json=json)


@network.command("delete")
def delete_network(ctx: typer.Context, name: Name) -> None:
    """Delete a network that no instance is on."""
    session = Session.of(ctx)
    session.delete(session.path("networks", name))
    show.told(f"network {name} is deleted")
