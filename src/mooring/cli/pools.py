"""`mooring pool` and `mooring uplink`: public addresses, for whom they are there, and the ways that they come in by."""

from typing import Annotated

import typer

from mooring.cli import show
from mooring.cli.access import Session, Thing
from mooring.cli.failure import Failed, commands
from mooring.cli.show import Json

Name = Annotated[str, typer.Argument(help="Its name or id.")]
NewName = Annotated[str, typer.Argument(help="What to call it.")]
Pool = Annotated[str, typer.Argument(metavar="POOL", help="The pool: its name or id.")]
Project = Annotated[str, typer.Argument(metavar="PROJECT", help="The project: its name or id.")]
PerFixed = Annotated[
    int | None,
    typer.Option("--per-fixed-ip", help="How many of its floating IPs one fixed IP may have; 1 if not given."),
]

pool = commands("Pools of public addresses.")
uplink = commands("Ways out towards providers.")


@pool.command("list")
def list_pools(ctx: typer.Context, json: Json = False) -> None:
    """List the pools that the project may use."""
    columns: show.Columns = {
        "name": lambda each: each["name"],
        "ranges": _ranges,
        "cidr": lambda each: each["cidr"],
        "gateway": lambda each: each["gateway"],
        "public": lambda each: each["public"],
        "id": lambda each: each["id"],
    }
    show.listing(Session.of(ctx).all("pools"), columns, json=json)


@pool.command("show")
def show_pool(ctx: typer.Context, name: Name, json: Json = False) -> None:
    """Show a pool, how full it is and the project's share; to administrators also who has how much, and when it will be exhausted."""
    session = Session.of(ctx)
    _print(session.get(session.path("pools", name)), json=json)


@pool.command("create")
def create_pool(
    ctx: typer.Context,
    name: NewName,
    cidr: Annotated[str, typer.Option(help="The provider's subnet, as in 198.51.100.0/24.")],
    gateway: Annotated[str, typer.Option(help="The provider's router in it.")],
    ranges: Annotated[list[str], typer.Option("--range", help="Addresses that are ours, FIRST-LAST; may be repeated.")],
    uplink: Annotated[str, typer.Option(help="The way to the provider: one that exists, or a new name.")],
    interface: Annotated[str | None, typer.Option(help="A new uplink's interface on gateway hosts.")] = None,
    public: Annotated[
        bool, typer.Option("--public/--granted", help="For all projects, or for those that it is granted to.")
    ] = True,
    per_fixed: PerFixed = None,
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
        "public": public,
        "floating_ips_per_fixed_ip": 1 if per_fixed is None else per_fixed,
    }
    _print(Session.of(ctx).post("pools", wish), json=json)


@pool.command("update")
def update_pool(
    ctx: typer.Context,
    name: Name,
    public: Annotated[
        bool | None, typer.Option("--public/--granted", help="For all projects, or for those that it is granted to.")
    ] = None,
    per_fixed: PerFixed = None,
    json: Json = False,
) -> None:
    """Change for whom a pool is there, or how many of its floating IPs one fixed IP may have."""
    session = Session.of(ctx)
    wish: Thing = {"public": public, "floating_ips_per_fixed_ip": per_fixed}
    _print(session.put(session.path("pools", name), wish), json=json)


@pool.command("grant")
def grant_pool(ctx: typer.Context, name: Pool, project: Project, json: Json = False) -> None:
    """Let a project use a pool."""
    session = Session.of(ctx)
    show.thing(session.put(_of_project(session, name, "grants", project), {}), json=json)


@pool.command("withdraw")
def withdraw_pool(
    ctx: typer.Context,
    name: Pool,
    project: Project,
    release: Annotated[
        bool, typer.Option("--release", help="Take from it what it has of the pool that leads nowhere.")
    ] = False,
) -> None:
    """Take a grant back: what the project has of the pool stays its own, but it gets no more and associates nothing."""
    session = Session.of(ctx)
    path = _of_project(session, name, "grants", project)
    session.delete(path, release="true" if release else "false")
    show.told(f"pool {name} is withdrawn from project {project}")


@pool.command("quota")
def set_pool_quota(
    ctx: typer.Context,
    name: Pool,
    project: Project,
    limit: Annotated[int, typer.Argument(help="How many floating IPs of the pool it may have; -1 is no limit.")],
    json: Json = False,
) -> None:
    """Set how many floating IPs of a pool a project may have, beside its quota for all pools."""
    session = Session.of(ctx)
    show.thing(session.put(_of_project(session, name, "quotas", project), {"limit": limit}), json=json)


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
        "misses": lambda each: str(each["misses"]),
        "id": lambda each: each["id"],
    }
    show.listing(Session.of(ctx).all("uplinks"), columns, json=json)


@uplink.command("change")
def change_uplink(
    ctx: typer.Context,
    name: Name,
    misses: Annotated[
        int,
        typer.Option(
            help="After so many questions, one a second, that its next hop did not answer it is away; 0: never."
        ),
    ],
    json: Json = False,
) -> None:
    """Say when the next hop of an uplink counts as away."""
    session = Session.of(ctx)
    show.thing(session.put(session.path("uplinks", name), {"misses": misses}), json=json)


@uplink.command("delete")
def delete_uplink(ctx: typer.Context, name: Name) -> None:
    """Delete an uplink that no pool is on."""
    session = Session.of(ctx)
    session.delete(session.path("uplinks", name))
    show.told(f"uplink {name} is deleted")


def _of_project(session: Session, pool: str, collection: str, project: str) -> str:
    of = session.path("projects", project).partition("/")[2]
    return f"{session.path('pools', pool)}/{collection}/{of}"


def _print(found: Thing, *, json: bool) -> None:
    if not json:
        found = {**found, "ranges": _ranges(found)}
        if (own := found.pop("own", None)) is not None:
            found["own"] = _share(own)
        for shares in ("grants", "shares"):
            known: list[Thing] | None = found.pop(shares, None)
            if known is not None:
                found[shares] = [_share(each) for each in known]
        if (forecast := found.pop("forecast", None)) is not None:
            found["exhausted"] = f"{forecast['exhausted'] or 'not foreseen'} ({forecast['reason']})"
    show.thing(found, json=json)


def _share(share: Thing) -> str:
    limit = "" if share["limit"] == -1 else f" of {share['limit']}"
    return f"{share['project_name']} {share['used']}{limit}"


def _ranges(found: Thing) -> list[str]:
    return ["-".join(dict.fromkeys((part["first"], part["last"]))) for part in found["ranges"]]


def _range(text: str) -> Thing:
    first, dash, last = text.partition("-")
    if not first.strip():
        raise Failed(f"--range {text}: must be FIRST-LAST, as in 198.51.100.10-198.51.100.250.")
    return {"first": first.strip(), "last": last.strip() if dash else first.strip()}
