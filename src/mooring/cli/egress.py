"""`mooring egress`: as whom guests leave towards which destinations."""

from ipaddress import IPv4Address
from typing import Annotated

import typer

from mooring.cli import show
from mooring.cli.access import Session, Thing
from mooring.cli.failure import Failed, commands
from mooring.cli.show import Json

Preference = Annotated[str, typer.Argument(metavar="PREFERENCE", help="Its id; `egress list` has it.")]
LeaveAs = Annotated[
    str, typer.Option("--as", metavar="ADDRESS|POOL", help="A floating IP of the guest, or a pool's name or id.")
]
OrAs = Annotated[
    str | None,
    typer.Option(
        "--or-as",
        metavar="ADDRESS|POOL",
        help="The same, for while the other's uplink leads nowhere; nothing leaves then if not given.",
    ),
]
Cut = Annotated[
    bool,
    typer.Option(
        "--cut/--drain", help="End what the guests opened before, so that it begins anew; it goes on if not given."
    ),
]

_EVERYWHERE = "0.0.0.0/0"

egress = commands("Egress preferences: as whom guests leave towards which destinations.")


@egress.command("list")
def list_preferences(ctx: typer.Context, json: Json = False) -> None:
    """List the project's egress preferences."""
    columns: show.Columns = {
        "towards": lambda each: _prefix(each["prefix"]),
        "leave as": lambda each: _way(each["leave_as"]),
        "or as": lambda each: _way(each["fallback"]),
        "of": lambda each: each["scope"],
        "target": lambda each: each["fixed_address"] or each["target"],
        "id": lambda each: each["id"],
    }
    show.listing(Session.of(ctx).all("egress-preferences"), columns, json=json)


@egress.command("show")
def show_preference(ctx: typer.Context, preference: Preference, json: Json = False) -> None:
    """Show an egress preference."""
    session = Session.of(ctx)
    _print(session.get(session.path("egress-preferences", preference)), json=json)


@egress.command("prefer")
def prefer(
    ctx: typer.Context,
    prefix: Annotated[str, typer.Argument(help="Towards where: a prefix, as in 192.0.2.0/24, or `default`.")],
    leave_as: LeaveAs,
    or_as: OrAs = None,
    instance: Annotated[str | None, typer.Option(help="For this instance: its name or id.")] = None,
    nic: Annotated[str | None, typer.Option(help="For this NIC: its id.")] = None,
    fixed: Annotated[str | None, typer.Option(help="Only for this address of the instance or the NIC.")] = None,
    network: Annotated[
        str | None,
        typer.Option(help="For the project's guests on this network; without any of these, for all of them."),
    ] = None,
    cut: Cut = False,
    json: Json = False,
) -> None:
    """Let guests leave as an address towards a prefix: what they begin there does when this is done."""
    wish: Thing = {
        "prefix": _EVERYWHERE if prefix == "default" else prefix,
        **_ways(leave_as, or_as, cut=cut),
        "instance": instance,
        "nic": nic,
        "fixed_address": fixed,
        "network": network,
    }
    _print(Session.of(ctx).post("egress-preferences", wish), json=json)


@egress.command("change")
def change(
    ctx: typer.Context,
    preference: Preference,
    leave_as: LeaveAs,
    or_as: OrAs = None,
    cut: Cut = False,
    json: Json = False,
) -> None:
    """Let a preference lead elsewhere, without a moment in which it leads nowhere."""
    session = Session.of(ctx)
    wish = _ways(leave_as, or_as, cut=cut)
    _print(session.put(session.path("egress-preferences", preference), wish), json=json)


@egress.command("delete")
def delete_preference(ctx: typer.Context, preference: Preference, cut: Cut = False) -> None:
    """Take an egress preference back: what guests begin leaves by what is left."""
    session = Session.of(ctx)
    path = session.path("egress-preferences", preference)
    session.delete(path, established="cut" if cut else "drain")
    show.told(f"egress preference {preference} is deleted")


def _ways(leave_as: str, or_as: str | None, *, cut: bool) -> Thing:
    return {
        "leave_as": _wish("--as", leave_as),
        "fallback": _wish("--or-as", or_as) if or_as is not None else None,
        "established": "cut" if cut else "drain",
    }


def _wish(option: str, text: str) -> Thing:
    if not text.strip():
        raise Failed(f"{option}: must be a floating IP or a pool.")
    try:
        return {"floating_ip": str(IPv4Address(text))}
    except ValueError:
        return {"pool": text}


def _print(found: Thing, *, json: bool) -> None:
    if not json:
        found = {**found, **{name: _way(found[name]) for name in ("leave_as", "fallback")}}
    show.thing(found, json=json)


def _prefix(text: str) -> str:
    return "everywhere" if text == _EVERYWHERE else text


def _way(way: Thing | None) -> str | None:
    if way is None:
        return None
    return str(way["floating_ip"] or f"pool {way['pool']}")
