"""`mooring group`: security groups, what they admit, and who is in them."""

from typing import Annotated
from urllib.parse import quote

import typer

from mooring.cli import show
from mooring.cli.access import Session, Thing
from mooring.cli.failure import Failed, commands
from mooring.cli.show import Json

Group = Annotated[str, typer.Argument(help="Its name or id.")]
Target = Annotated[str, typer.Argument(metavar="INSTANCE", help="The instance: its name or id.")]
Description = Annotated[str | None, typer.Option(help="What it is for.")]

group = commands("Security groups: what instances may send and receive.")


@group.command("list")
def list_groups(
    ctx: typer.Context,
    every_project: Annotated[bool, typer.Option("--all-projects", help="Everybody's; for administrators.")] = False,
    json: Json = False,
) -> None:
    """List the project's security groups."""
    columns: show.Columns = {
        "name": lambda each: each["name"],
        "rules": lambda each: len(each["rules"]),
        "description": lambda each: each["description"],
        "id": lambda each: each["id"],
    }
    show.listing(Session.of(ctx).all("security-groups", every_project=every_project), columns, json=json)


@group.command("show")
def show_group(ctx: typer.Context, name: Group, json: Json = False) -> None:
    """Show what a security group admits."""
    session = Session.of(ctx)
    found = session.get(session.path("security-groups", name))
    if json:
        show.thing(found, json=True)
        return
    rules = found.pop("rules")
    show.thing(found, json=False)
    columns: show.Columns = {
        "direction": lambda each: each["direction"],
        "ip": lambda each: f"v{each['family']}",
        "protocol": lambda each: each["protocol"] or "any",
        "what": _what,
        "with": _other,
        "id": lambda each: each["id"],
    }
    show.told("")
    show.listing(rules, columns, json=False)


@group.command("create")
def create_group(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="What to call it.")],
    description: Description = None,
    json: Json = False,
) -> None:
    """Make a security group: its members may send everything and receive nothing but answers."""
    _print(Session.of(ctx).post("security-groups", {"name": name, "description": description or ""}), json=json)


@group.command("update")
def update_group(
    ctx: typer.Context,
    name: Group,
    new_name: Annotated[str | None, typer.Option("--name", help="What to call it from now on.")] = None,
    description: Description = None,
    json: Json = False,
) -> None:
    """Rename a security group, or say anew what it is for."""
    session = Session.of(ctx)
    path = session.path("security-groups", name)
    known = session.get(path)
    wish: Thing = {
        "name": known["name"] if new_name is None else new_name,
        "description": known["description"] if description is None else description,
    }
    _print(session.put(path, wish), json=json)


@group.command("delete")
def delete_group(ctx: typer.Context, name: Group) -> None:
    """Delete a security group that no instance is in and no rule of another one names."""
    session = Session.of(ctx)
    session.delete(session.path("security-groups", name))
    show.told(f"security group {name} is deleted")


@group.command("allow")
def allow(
    ctx: typer.Context,
    name: Group,
    protocol: Annotated[
        str | None, typer.Option(help="tcp, udp, icmp, another name, or a number; any if not given.")
    ] = None,
    port: Annotated[str | None, typer.Option(help="A port, or FIRST-LAST; any if not given.")] = None,
    icmp: Annotated[str | None, typer.Option(help="An ICMP type, or TYPE/CODE; any if not given.")] = None,
    prefix: Annotated[str | None, typer.Option(help="With whom: a prefix, as in 192.0.2.0/24.")] = None,
    remote: Annotated[str | None, typer.Option("--group", help="With whom: members of this security group.")] = None,
    egress: Annotated[
        bool, typer.Option("--egress", help="What members send; what they receive if not given.")
    ] = False,
    family: Annotated[int | None, typer.Option(help="4 or 6: that of the prefix, or 4.")] = None,
    json: Json = False,
) -> None:
    """Let something in, or with --egress out: hosts let it pass when this is done."""
    session = Session.of(ctx)
    wish: Thing = {
        "direction": "egress" if egress else "ingress",
        "family": family,
        "protocol": protocol,
        "ports": _ports(port) if port is not None else None,
        "icmp": _icmp(icmp) if icmp is not None else None,
        "remote_prefix": prefix,
        "remote_group": remote,
    }
    made = session.post(f"{session.path('security-groups', name)}/rules", wish)
    if json:
        show.thing(made, json=True)
    else:
        show.told(f"security group {name} has rule {made['id']}")


@group.command("revoke")
def revoke(
    ctx: typer.Context, name: Group, rule: Annotated[str, typer.Argument(help="The rule's id; `group show` has it.")]
) -> None:
    """Let something in or out no longer: flows that only this rule admitted have ended when this is done."""
    session = Session.of(ctx)
    session.delete(f"{session.path('security-groups', name)}/rules/{quote(rule, safe='')}")
    show.told(f"security group {name} no longer has rule {rule}")


@group.command("join")
def join(ctx: typer.Context, name: Group, target: Target) -> None:
    """Put an instance into a security group."""
    session = Session.of(ctx)
    session.put(f"{session.path('instances', target)}/{session.path('security-groups', name)}", {})
    show.told(f"instance {target} is in security group {name}")


@group.command("leave")
def leave(ctx: typer.Context, name: Group, target: Target) -> None:
    """Take an instance out of a security group."""
    session = Session.of(ctx)
    session.delete(f"{session.path('instances', target)}/{session.path('security-groups', name)}")
    show.told(f"instance {target} is not in security group {name} any longer")


def _print(found: Thing, *, json: bool) -> None:
    if not json:
        found = {name: value for name, value in found.items() if name != "rules"}
    show.thing(found, json=json)


def _what(rule: Thing) -> object:
    if rule["ports"]:
        first, last = rule["ports"]["first"], rule["ports"]["last"]
        return f"port {first}" if first == last else f"ports {first}-{last}"
    if rule["icmp"]:
        kind, code = rule["icmp"]["type"], rule["icmp"]["code"]
        return f"type {kind}" if code is None else f"type {kind} code {code}"
    return "all"


def _other(rule: Thing) -> object:
    if rule["remote_group"]:
        return f"group {rule['remote_group']['name']}"
    return rule["remote_prefix"] or "anybody"


def _ports(text: str) -> Thing:
    first, _, last = text.partition("-")
    return {"first": _number("--port", first), "last": _number("--port", last or first)}


def _icmp(text: str) -> Thing:
    kind, slash, code = text.partition("/")
    return {"type": _number("--icmp", kind), "code": _number("--icmp", code) if slash else None}


def _number(option: str, text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 9):
        raise Failed(f"{option}: {text!r} is not a number.")
    return int(text)
