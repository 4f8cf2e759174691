"""`mooring key`: what programs log in with in your name."""

from typing import Annotated

import typer

from mooring.cli import show
from mooring.cli.access import Session, Thing
from mooring.cli.accounts import RoleName
from mooring.cli.failure import commands
from mooring.cli.show import Json

Name = Annotated[str, typer.Argument(metavar="KEY", help="Its name or id.")]

key = commands("Keys: what programs log in with in your name.")


@key.command("list")
def list_keys(
    ctx: typer.Context,
    who: Annotated[str | None, typer.Option("--of", help="Another user's, by name or id; for administrators.")] = None,
    json: Json = False,
) -> None:
    """List your keys, in whatever project."""
    columns: show.Columns = {
        "name": lambda each: each["name"],
        "roles": lambda each: each["roles"],
        "expires": lambda each: each["expires"] or "never",
        "description": lambda each: each["description"],
        "id": lambda each: each["id"],
    }
    query = {} if who is None else {"user": who}
    show.listing(Session.of(ctx).all("keys", **query), columns, json=json)


@key.command("show")
def show_key(ctx: typer.Context, name: Name, json: Json = False) -> None:
    """Show a key."""
    session = Session.of(ctx)
    show.thing(session.get(session.path("keys", name)), json=json)


@key.command("create")
def create_key(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="What to call it.")],
    description: Annotated[str | None, typer.Option(help="What it is for.")] = None,
    role: Annotated[
        list[RoleName] | None, typer.Option(help="What it may do, may be repeated; all that you may if not given.")
    ] = None,
    expires: Annotated[
        str | None, typer.Option(help="When it ends, as in 2027-01-31T12:00:00Z; never if not given.")
    ] = None,
    unrestricted: Annotated[
        bool, typer.Option("--unrestricted", help="With it, keys can be made and deleted.")
    ] = False,
    json: Json = False,
) -> None:
    """Make a key for the project, and print its secret, this once: with both, a program logs in."""
    wish: Thing = {
        "name": name,
        "description": description or "",
        "roles": [each.value for each in role] if role else None,
        "expires": expires,
        "restricted": not unrestricted,
    }
    show.thing(Session.of(ctx).post("keys", wish), json=json)


@key.command("delete")
def delete_key(ctx: typer.Context, name: Name) -> None:
    """Delete a key: what it logged in has ended when this is done."""
    session = Session.of(ctx)
    session.delete(session.path("keys", name))
    show.told(f"key {name} is deleted")
