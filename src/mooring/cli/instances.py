"""`mooring instance`, `mooring ip` and `mooring quota`: what a project has."""

from typing import Annotated

import typer

from mooring.cli import show
from mooring.cli.access import Session, Thing
from mooring.cli.failure import Failed, commands
from mooring.cli.show import Json

Name = Annotated[str, typer.Argument(help="Its name or id.")]
FloatingIp = Annotated[str, typer.Argument(metavar="ADDRESS", help="The floating IP: its address or id.")]
Wait = Annotated[bool, typer.Option("--wait", help="Return when it is done, and not only asked for.")]
Timeout = Annotated[float, typer.Option(help="How many seconds to wait at most.")]

instance = commands("Guests.")
ip = commands("Floating IPs: public addresses of the project.")
quota = commands("How many of what a project may have.")


@instance.command("list")
def list_instances(
    ctx: typer.Context,
    every_project: Annotated[bool, typer.Option("--all-projects", help="Everybody's; for administrators.")] = False,
    json: Json = False,
) -> None:
    """List the project's instances."""
    columns: show.Columns = {
        "name": lambda each: each["name"],
        "state": lambda each: "stopped" if each["power"] == "stopped" else each["state"],
        "fixed": lambda each: [address for nic in each["nics"] for address in nic["fixed"]],
        "floating": lambda each: [address for nic in each["nics"] for address in nic["floating"]],
        "id": lambda each: each["id"],
    }
    show.listing(Session.of(ctx).all("instances", every_project=every_project), columns, json=json)


@instance.command("show")
def show_instance(ctx: typer.Context, name: Name, json: Json = False) -> None:
    """Show an instance."""
    session = Session.of(ctx)
    _print(session.get(session.path("instances", name)), json=json)


@instance.command("create")
def create_instance(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="What to call it.")],
    image: Annotated[str | None, typer.Option(help="What to boot; may be left out if there is only one.")] = None,
    flavor: Annotated[str | None, typer.Option(help="How large; the smallest if not given.")] = None,
    network: Annotated[
        list[str] | None,
        typer.Option(
            help="A network to be on, or NETWORK=ADDRESS; may be repeated, and left out if there is only one."
        ),
    ] = None,
    group: Annotated[
        list[str] | None, typer.Option(help="A security group to be in; may be repeated, the default one if not given.")
    ] = None,
    wait: Wait = False,
    timeout: Timeout = 60.0,
    json: Json = False,
) -> None:
    """Make an instance."""
    session = Session.of(ctx)
    wish: Thing = {
        "name": name,
        "image": image or _only_image(session),
        "flavor": flavor or _smallest_flavor(session),
        "networks": [wanted_nic(text) for text in network or []],
        "security_groups": group or None,
    }
    made = session.post("instances", wish)
    _print(session.settled_instance(made["id"], timeout) if wait else made, json=json)


@instance.command("delete")
def delete_instance(ctx: typer.Context, name: Name, wait: Wait = False, timeout: Timeout = 60.0) -> None:
    """Stop and delete an instance; its floating IPs stay with the project."""
    session = Session.of(ctx)
    found = session.get(session.path("instances", name))
    session.delete(f"instances/{found['id']}")
    if wait:
        session.gone_instance(found["id"], timeout)
    show.told(f"instance {name} is {'deleted' if wait else 'being deleted'}")


@instance.command("stop")
def stop_instance(ctx: typer.Context, name: Name) -> None:
    """Let a guest run no longer; the instance keeps its addresses."""
    _power(ctx, name, running=False)


@instance.command("start")
def start_instance(ctx: typer.Context, name: Name) -> None:
    """Let a stopped guest run again."""
    _power(ctx, name, running=True)


@instance.command("reboot")
def reboot_instance(ctx: typer.Context, name: Name) -> None:
    """Let a guest begin anew."""
    session = Session.of(ctx)
    turned = session.post(f"{session.path('instances', name)}/reboot", {})
    show.told(f"instance {name} is {turned['power']}")


def _power(ctx: typer.Context, name: str, *, running: bool) -> None:
    session = Session.of(ctx)
    turned = session.put(f"{session.path('instances', name)}/power", {"running": running})
    show.told(f"instance {name} is {turned['power']}")


def _print(found: Thing, *, json: bool) -> None:
    if not json:
        nics = found.pop("nics")
        for number, nic in enumerate(nics):
            parts = (nic["network_name"], nic["mac"], *nic["fixed"], *(f"({address})" for address in nic["floating"]))
            found[f"nic_{number}"] = " ".join(parts)
        groups = {name for nic in nics for name in nic["security_groups"]}
        found["security_groups"] = sorted(groups) or "none"
        found = {name: value for name, value in found.items() if value is not None}
    show.thing(found, json=json)


def _only_image(session: Session) -> str:
    images = session.all("images")
    if len(images) != 1:
        raise Failed(
            f"--image must say which: {', '.join(sorted(each['name'] for each in images)) or 'there is none'}."
        )
    return str(images[0]["id"])


def _smallest_flavor(session: Session) -> str:
    flavors = session.all("flavors")
    if not flavors:
        raise Failed("there is no flavor.")
    return str(min(flavors, key=lambda each: (each["ram"], each["vcpus"], each["disk"]))["id"])


def wanted_nic(text: str) -> Thing:
    """Return a NIC that is to be made, as NETWORK or NETWORK=ADDRESS says it."""
    name, equals, address = text.rpartition("=")
    return {"network": name, "fixed_ip": address} if equals else {"network": text}


# ------------------------------------------------------------------------------------------------------ floating IPs


@ip.command("list")
def list_floating_ips(ctx: typer.Context, json: Json = False) -> None:
    """List the project's floating IPs."""
    session = Session.of(ctx)
    found = session.all("floating-ips")
    associated = not json and any(each["association"] for each in found)
    names = {each["id"]: each["name"] for each in session.all("instances")} if associated else {}

    def where(each: Thing) -> object:
        return (
            names.get(each["association"]["instance"], each["association"]["instance"]) if each["association"] else None
        )

    columns: show.Columns = {
        "address": lambda each: each["address"],
        "pool": lambda each: each["pool_name"],
        "instance": where,
        "fixed": lambda each: each["association"] and each["association"]["fixed_address"],
        "id": lambda each: each["id"],
    }
    show.listing(found, columns, json=json)


@ip.command("show")
def show_floating_ip(ctx: typer.Context, address: FloatingIp, json: Json = False) -> None:
    """Show a floating IP."""
    session = Session.of(ctx)
    show.thing(session.get(session.path("floating-ips", address)), json=json)


@ip.command("create")
def create_floating_ip(
    ctx: typer.Context,
    pool: Annotated[str | None, typer.Argument(help="Of which pool, by name or id; of the first if not given.")] = None,
    address: Annotated[
        str | None,
        typer.Option(help="This one of it; for administrators, and in pools that are granted and not public."),
    ] = None,
    json: Json = False,
) -> None:
    """Give the project a floating IP."""
    show.thing(Session.of(ctx).post("floating-ips", {"pool": pool, "address": address}), json=json)


@ip.command("delete")
def delete_floating_ip(ctx: typer.Context, address: FloatingIp) -> None:
    """Give a floating IP back; its association ends."""
    session = Session.of(ctx)
    session.delete(session.path("floating-ips", address))
    show.told(f"floating IP {address} is released")


@ip.command("associate")
def associate_floating_ip(
    ctx: typer.Context,
    address: FloatingIp,
    target: Annotated[str, typer.Argument(metavar="INSTANCE", help="The instance: its name or id.")],
    fixed_address: Annotated[
        str | None, typer.Option(help="Which of its fixed addresses; the first if not given.")
    ] = None,
    json: Json = False,
) -> None:
    """Let an instance answer at a floating IP; one that is associated elsewhere moves."""
    session = Session.of(ctx)
    wish: Thing = {"instance": target, "fixed_address": fixed_address}
    show.thing(session.put(f"{session.path('floating-ips', address)}/association", wish), json=json)


@ip.command("disassociate")
def disassociate_floating_ip(ctx: typer.Context, address: FloatingIp) -> None:
    """Let nobody answer at a floating IP."""
    session = Session.of(ctx)
    session.delete(f"{session.path('floating-ips', address)}/association")
    show.told(f"floating IP {address} is not associated any longer")


# ------------------------------------------------------------------------------------------------------------ quotas

Project = Annotated[str | None, typer.Option("--of", help="Another project's, by name or id; for administrators.")]


@quota.command("list")
def list_quotas(ctx: typer.Context, project: Project = None, json: Json = False) -> None:
    """List how many of what the project has, and may have."""
    query = {} if project is None else {"project": project}
    columns: show.Columns = {
        "resource": lambda each: each["resource"],
        "used": lambda each: each["used"],
        "limit": lambda each: "none" if each["limit"] < 0 else each["limit"],
    }
    show.listing(Session.of(ctx).all("quotas", **query), columns, json=json)


@quota.command("set")
def set_quota(
    ctx: typer.Context,
    resource: Annotated[str, typer.Argument(help="What `quota list` lists.")],
    limit: Annotated[int, typer.Argument(help="How many; -1 is no limit (write it after --).")],
    project: Project = None,
) -> None:
    """Set how many of a resource a project may have; for administrators."""
    session = Session.of(ctx)
    query = {} if project is None else {"project": project}
    session.put(session.path("quotas", resource), {"limit": limit}, **query)
    show.told(f"the quota of {resource} is {'unlimited' if limit < 0 else limit}")
