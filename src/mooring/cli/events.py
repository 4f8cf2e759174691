"""`mooring events`: who changed what, and when."""

from typing import Annotated

import typer

from mooring.cli import show
from mooring.cli.access import Session, as_json
from mooring.cli.show import Json

_PAGE = 1000


def events(
    ctx: typer.Context,
    thing: Annotated[str | None, typer.Argument(metavar="[ID]", help="Only of the thing with this id.")] = None,
    action: Annotated[str | None, typer.Option(help="Only of this kind, as floating_ip.associate.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=_PAGE, help="How many of the newest.")] = 50,
    every_project: Annotated[bool, typer.Option("--all-projects", help="For administrators: of all projects.")] = False,
    json: Json = False,
) -> None:
    """Say what was changed in the last 90 days, by whom and by which request; the newest comes last."""
    wish = {"object": thing, "action": action, "limit": limit, "every_project": every_project or None}
    found = Session.of(ctx).get("events", **{name: value for name, value in wish.items() if value is not None})
    if json:
        typer.echo(as_json(found))
        return
    columns: show.Columns = {
        "at": lambda each: each["at"],
        "who": lambda each: each["user_name"],
        "did": lambda each: each["action"],
        "to": lambda each: each["object"],
        "about": lambda each: "; ".join(f"{name} {value}" for name, value in each["about"].items()),
        "request": lambda each: each["request_id"],
    }
    show.listing(found["items"], columns, json=False)
