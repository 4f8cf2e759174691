"""`mooring openrc`: what a shell must know to talk to mooring as somebody, to be pasted or sourced."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from mooring.cli.access import Access
from mooring.cli.failure import Failed

_EVERYBODY = {"OS_IDENTITY_API_VERSION": "3", "OS_COMPUTE_API_VERSION": "2.1", "OS_REGION_NAME": "RegionOne"}


def variables(url: str, user: str, password: str, project: str) -> Mapping[str, str]:
    """Return the environment of a client that talks to mooring as a user in a project."""
    return {
        "OS_AUTH_URL": f"{url}/identity/v3",
        "OS_USERNAME": user,
        "OS_PASSWORD": password,
        "OS_PROJECT_NAME": project,
        "OS_USER_DOMAIN_NAME": "Default",
        "OS_PROJECT_DOMAIN_NAME": "Default",
        **_EVERYBODY,
    }


def variables_of_key(url: str, key: str, secret: str) -> Mapping[str, str]:
    """Return the environment of a client that talks to mooring with a key."""
    return {
        "OS_AUTH_URL": f"{url}/identity/v3",
        "OS_AUTH_TYPE": "v3applicationcredential",
        "OS_APPLICATION_CREDENTIAL_ID": key,
        "OS_APPLICATION_CREDENTIAL_SECRET": secret,
        **_EVERYBODY,
    }


def openrc(
    ctx: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            envvar="MOORING_CONFIG",
            help="The service's configuration file: the URL and the account are taken from there.",
        ),
    ] = None,
) -> None:
    """Print an openrc, ready to paste.  Or `mooring --user alice openrc --config FILE > openrc`, then `. ./openrc`."""
    access = ctx.find_object(Access) or Access()
    if config is not None:
        access = _configured(config, access)
    known = access.complete()
    if known.key is not None:
        values = variables_of_key(known.base, known.key, known.key_secret or "")
    else:
        values = variables(known.base, known.user or "", known.password or "", known.project or "")
    typer.echo("".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items()), nl=False)


def _configured(file: Path, access: Access) -> Access:
    from mooring.config import ConfigurationError, load

    try:
        settings = load(file)
    except ConfigurationError as error:
        raise Failed(str(error)) from error
    wanted = access.user
    named: list[tuple[str, str | None, str]] = [
        (each.user, each.password, each.project) for each in settings.identity.accounts
    ]
    named += [(each.name, each.password, role.project) for each in settings.bootstrap.users for role in each.roles]
    accounts = [each for each in named if wanted in (None, each[0]) and access.project in (None, each[2])]
    if not accounts:
        raise Failed(f"{file} names no account{f' of {wanted}' if wanted else ''}.")
    user, password, project = accounts[0]
    listen = "127.0.0.1" if settings.api.listen == "0.0.0.0" else settings.api.listen  # noqa: S104 - only compared
    url = access.url or settings.api.public_url or f"http://{listen}:{settings.api.port}"
    return Access(url, None, user, password or access.password, project)
