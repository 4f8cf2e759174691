"""`mooring project` and `mooring user`: who owns things, who may log in, and who may do what where."""

from enum import StrEnum
from typing import Annotated

import typer

from mooring.cli import secrets, show
from mooring.cli.access import Access, Session, Thing
from mooring.cli.failure import Failed, commands
from mooring.cli.show import Json

ProjectName = Annotated[str, typer.Argument(metavar="PROJECT", help="Its name or id.")]
UserName = Annotated[str, typer.Argument(metavar="USER", help="Their name or id.")]
Description = Annotated[str | None, typer.Option(help="What to tell of it.")]
Email = Annotated[str | None, typer.Option(help="Their e-mail address.")]
Enabled = Annotated[bool | None, typer.Option("--enable/--disable", help="Whether anybody may log in so.")]
Default = Annotated[str | None, typer.Option("--default-project", help="Where a log-in goes that names no project.")]

project = commands("Projects: who owns things.")
user = commands("Users: who may log in.")


class RoleName(StrEnum):
    """What a user may do in a project."""

    ADMIN = "admin"
    MEMBER = "member"
    READER = "reader"


Role = Annotated[RoleName, typer.Option(help="What they may do there.")]

# ----------------------------------------------------------------------------------------------------------- projects


@project.command("list")
def list_projects(ctx: typer.Context, json: Json = False) -> None:
    """List the projects in which you have a role; for administrators all."""
    columns: show.Columns = {
        "name": lambda each: each["name"],
        "enabled": lambda each: each["enabled"],
        "description": lambda each: each["description"],
        "id": lambda each: each["id"],
    }
    show.listing(Session.of(ctx).all("projects"), columns, json=json)


@project.command("show")
def show_project(ctx: typer.Context, name: ProjectName, json: Json = False) -> None:
    """Show a project."""
    session = Session.of(ctx)
    show.thing(session.get(session.path("projects", name)), json=json)


@project.command("create")
def create_project(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="What to call it.")],
    description: Description = None,
    enabled: Enabled = None,
    json: Json = False,
) -> None:
    """Make a project; for administrators."""
    wish = {"name": name, "description": description or "", "enabled": enabled is not False}
    show.thing(Session.of(ctx).post("projects", wish), json=json)


@project.command("update")
def update_project(
    ctx: typer.Context,
    name: ProjectName,
    new_name: Annotated[str | None, typer.Option("--name", help="What to call it from now on.")] = None,
    description: Description = None,
    enabled: Enabled = None,
    json: Json = False,
) -> None:
    """Change a project; for administrators.  With --disable, all log-ins in it end; what it owns goes on as it is."""
    session = Session.of(ctx)
    wish: Thing = {"name": new_name, "description": description, "enabled": enabled}
    show.thing(session.put(session.path("projects", name), wish), json=json)


@project.command("delete")
def delete_project(ctx: typer.Context, name: ProjectName) -> None:
    """Delete a project that owns nothing any longer; for administrators."""
    session = Session.of(ctx)
    session.delete(session.path("projects", name))
    show.told(f"project {name} is deleted")


@project.command("grant")
def grant(ctx: typer.Context, name: ProjectName, who: UserName, role: Role = RoleName.MEMBER) -> None:
    """Give a user a role in a project; for administrators."""
    session = Session.of(ctx)
    session.put(_role(session, name, who, role), {})
    show.told(f"user {who} is {role} in project {name}")


@project.command("revoke")
def revoke(ctx: typer.Context, name: ProjectName, who: UserName, role: Role = RoleName.MEMBER) -> None:
    """Take a role in a project from a user; for administrators."""
    session = Session.of(ctx)
    session.delete(_role(session, name, who, role))
    show.told(f"user {who} is no longer {role} in project {name}")


def _role(session: Session, name: str, who: str, role: RoleName) -> str:
    return f"{session.path('projects', name)}/{session.path('users', who)}/roles/{role}"


@project.command("roles")
def list_roles(
    ctx: typer.Context,
    name: Annotated[str | None, typer.Option("--project", help="Only those in this project.")] = None,
    who: Annotated[str | None, typer.Option("--user", help="Only those of this user.")] = None,
    json: Json = False,
) -> None:
    """List who has which role where: your own; for administrators everybody's."""
    query = {key: value for key, value in {"project": name, "user": who}.items() if value is not None}
    columns: show.Columns = {
        "project": lambda each: each["project"]["name"],
        "user": lambda each: each["user"]["name"],
        "role": lambda each: each["role"],
    }
    show.listing(Session.of(ctx).all("roles", **query), columns, json=json)


# -------------------------------------------------------------------------------------------------------------- users


@user.command("list")
def list_users(ctx: typer.Context, json: Json = False) -> None:
    """List yourself; for administrators all users."""
    columns: show.Columns = {
        "name": lambda each: each["name"],
        "enabled": lambda each: each["enabled"],
        "email": lambda each: each["email"],
        "description": lambda each: each["description"],
        "id": lambda each: each["id"],
    }
    show.listing(Session.of(ctx).all("users"), columns, json=json)


@user.command("show")
def show_user(ctx: typer.Context, name: UserName, json: Json = False) -> None:
    """Show a user."""
    session = Session.of(ctx)
    show.thing(session.get(session.path("users", name)), json=json)


@user.command("create")
def create_user(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="What to call them.")],
    file: secrets.File = None,
    ask: secrets.Ask = False,
    make: secrets.Make = False,
    description: Description = None,
    email: Email = None,
    default_project: Default = None,
    enabled: Enabled = None,
    json: Json = False,
) -> None:
    """Make a user; for administrators.  Without a password, they can't log in with one; `project grant` gives them a role."""
    password = secrets.told(file, ask=ask, make=make)
    wish: Thing = {
        "name": name,
        "password": password,
        "description": description or "",
        "email": email or "",
        "default_project": default_project,
        "enabled": enabled is not False,
    }
    _print(Session.of(ctx).post("users", wish), password if make else None, json=json)


@user.command("update")
def update_user(
    ctx: typer.Context,
    name: UserName,
    new_name: Annotated[str | None, typer.Option("--name", help="What to call them from now on.")] = None,
    file: secrets.File = None,
    ask: secrets.Ask = False,
    make: secrets.Make = False,
    description: Description = None,
    email: Email = None,
    default_project: Default = None,
    enabled: Enabled = None,
    json: Json = False,
) -> None:
    """Change a user; for administrators.  With a new password or --disable, all of their log-ins end."""
    password = secrets.told(file, ask=ask, make=make)
    session = Session.of(ctx)
    wish: Thing = {
        "name": new_name,
        "password": password,
        "description": description,
        "email": email,
        "default_project": default_project,
        "enabled": enabled,
    }
    _print(session.put(session.path("users", name), wish), password if make else None, json=json)


@user.command("delete")
def delete_user(ctx: typer.Context, name: UserName) -> None:
    """Delete a user who made no instance that is still there; for administrators."""
    session = Session.of(ctx)
    session.delete(session.path("users", name))
    show.told(f"user {name} is deleted")


@user.command("password")
def change_password(ctx: typer.Context, file: secrets.File = None) -> None:
    """Change your own password: all of your log-ins end; keys stay."""
    session = Session.of(ctx)
    old = (ctx.find_object(Access) or Access()).password
    if not old:
        raise Failed("the old password is needed: OS_PASSWORD.")
    session.put("password", {"old": old, "new": secrets.needed(file)})
    show.told("your password is changed")


@user.command("hash")
def hash_password(file: secrets.File = None) -> None:
    """Print the hash of a password, for a configuration file: nobody can log in with the hash itself."""
    from argon2 import PasswordHasher

    typer.echo(PasswordHasher().hash(secrets.needed(file)))


def _print(found: Thing, password: str | None, *, json: bool) -> None:
    show.thing(found if password is None else {**found, "password": password}, json=json)
