"""OpenStack's own clients, as a person whose environment an openrc has set."""

from collections.abc import Mapping
from typing import Any

from keystoneauth1 import session
from keystoneauth1.identity import v3
from novaclient import client as nova_client  # pyright: ignore[reportMissingTypeStubs]  # it has none

_NAMES = ("auth_url", "username", "password", "project_name", "user_domain_name", "project_domain_name")


def login(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what a client logs in with."""
    return {name: environment[f"OS_{name.upper()}"] for name in _NAMES}


def nova(environment: Mapping[str, str]) -> Any:
    """Return a python-novaclient; what it returns has no types."""
    client: Any = nova_client
    password: Any = v3.Password
    return client.Client("2.1", session=session.Session(auth=password(**login(environment))))
