"""`mooring network`, `mooring pool` and `mooring uplink`: what an administrator makes."""

from typing import Annotated

import typer

from mooring.cli import show
from mooring.cli.access import Session, Thing
from mooring.cli.failure import Failed, commands
from mooring.cli.show import Json

Name = Annotated[str, typer.Argument(help="Its name or id.")]
NewName = Annotated[str, typer.Argument(help="What to call it.")]

network = commands("Guest networks.")
pool = commands("Pools of public addresses.")
uplink = commands("Ways out towards providers.")


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


@pool.command("list")
def list_pools(ctx: typer.Context, json: Json = False) -> None:
    """List the pools that the project may use."""
    columns: show.Columns = {
        "name": lambda each: each["name"],
        "ranges": _ranges,
        "cidr": lambda each: each["cidr"],
        "gateway": lambda each: each["gateway"],
        "id": lambda each: each["id"],
    }
    show.listing(Session.of(ctx).all("pools"), columns, json=json)


@pool.command("show")
def show_pool(ctx: typer.Context, name: Name, json: Json = False) -> None:
    """Show a pool, and how full it is."""
    session = Session.of(ctx)
    found = session.get(session.path("pools", name))
    show.thing(found if json else {**found, "ranges": _ranges(found)}, json=json)


@pool.command("create")
def create_pool(
    ctx: typer.Context,
    name: NewName,
    cidr: Annotated[str, typer.Option(help="The provider's subnet, as in 198.51.100.0/24.")],
    gateway: Annotated[str, typer.Option(help="The provider's router in it.")],
    ranges: Annotated[list[str], typer.Option("--range", help="Addresses that are ours, FIRST-LAST; may be repeated.")],
    uplink: Annotated[str, typer.Option(help="The way to the provider: one that exists, or a new name.")],
    interface: Annotated[str | None, typer.Option(help="A new uplink's interface on gateway hosts.")] = None,
    json: Json = False,
) -> None:
    """Make a pool, and its uplink if there is none of that name."""
    wish: Thing = {
        "name": name,
        "cidr": cidr,
        "gateway": gateway,
        "ranges": [_range(text) for text in ranges],
        "uplink": uplink,
        "interface": interface,
    }
    made = Session.of(ctx).post("pools", wish)
    show.thing(made if json else {**made, "ranges": _ranges(made)}, json=json)


@pool.command("delete")
def delete_pool(ctx: typer.Context, name: Name) -> None:
    """Delete a pool that no project has an address of."""
    session = Session.of(ctx)
    session.delete(session.path("pools", name))
    show.told(f"pool {name} is deleted")


@uplink.command("list")
def list_uplinks(ctx: typer.Context, json: Json = False) -> None:
    """List the uplinks."""
    columns: show.Columns = {
        "name": lambda each: each["name"],
        "interface": lambda each: each["interface"],
        "id": lambda each: each["id"],
    }
    show.listing(Session.of(ctx).all("uplinks"), columns, json=json)


def _ranges(found: Thing) -> list[str]:
    return ["-".join(dict.fromkeys((part["first"], part["last"]))) for part in found["ranges"]]


def _range(text: str) -> Thing:
    first, dash, last = text.partition("-")
    if not first.strip():
        raise Failed(f"--range {text}: must be FIRST-LAST, as in 198.51.100.10-198.51.100.250.")
    return {"first": first.strip(), "last": last.strip() if dash else first.strip()}
