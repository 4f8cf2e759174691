"""A real Keystone and its own catalogue, as docs/operating/keystone.md says to fill it: clients come to mooring by it, knowing nothing of it."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from prometheus_client import CollectorRegistry

from mooring.config import KeystoneSettings, Settings
from mooring.main.api import build_app
from mooring.main.keystone import Keystone
from mooring.operations import Door, Limits, Operations, Remembering
from tests.clients.keystones import PASSWORD, Real, token
from tests.clients.openstack_command import OpenStackCommand
from tests.cloud import FLAVORS, IMAGES, Cloud, Server

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs" / "operating" / "keystone.md"


def _blocks(start: str) -> list[str]:
    """Return the code blocks of the page whose first line begins so."""
    return [block for block in re.findall(r"```\n(.*?)```", PAGE.read_text(), re.DOTALL) if block.startswith(start)]


@pytest.fixture
def url(cloud: Cloud, real_keystone: Real) -> Iterator[str]:
    """Where mooring answers, by the section of the configuration that the page shows."""
    (text,) = _blocks("[identity.keystone]")
    shown = tomllib.loads(text)["identity"]["keystone"]
    shown.pop("password_file")
    asked = Keystone(KeystoneSettings(**{**shown, "url": real_keystone.url, "password": PASSWORD}))
    door = Door(cloud.store, cloud.host, cloud.clock, Limits(), IMAGES, FLAVORS)
    operations = Operations(door, authority=asked, remembering=Remembering(seconds=0))
    with Server(build_app(operations, Settings(), CollectorRegistry(), {})) as server:
        yield server.url


@pytest.fixture
def openstack(real_keystone: Real, url: str) -> Iterator[OpenStackCommand]:
    """The command as a member of a project of Keystone's, after its administrator has typed what the page says."""
    with OpenStackCommand({**real_keystone.environment(), "OS_REGION_NAME": "RegionOne"}) as admin:
        (commands,) = _blocks("openstack service create")
        for line in commands.splitlines():
            admin(*line.replace("https://cloud.example.org", url).split()[1:])
        for line in (
            "project create convoy",
            f"user create --password {PASSWORD} cate",
            "role add --project convoy --user cate member",
        ):
            admin(*line.split())
    who = real_keystone.environment("cate", PASSWORD, "convoy")
    with OpenStackCommand({**who, "OS_REGION_NAME": "RegionOne"}) as command:
        yield command


def test_clients_find_mooring_by_keystone_s_catalogue(
    openstack: OpenStackCommand, real_keystone: Real, url: str, cloud: Cloud
) -> None:
    openstack("server", "create", "--image", "tiny", "--flavor", "m1.tiny", "--network", "private", "--wait", "vm")
    address = openstack.data("floating", "ip", "create", "public")["floating_ip_address"]
    openstack("server", "add", "floating", "ip", "vm", address)
    assert [str(each) for each in cloud.host.public_addresses()] == [address]
    (server,) = openstack.data("server", "list")
    assert address in server["Networks"]["private"]

    # An application credential of Keystone's is as good, and no better than it says.
    key = openstack.data("application", "credential", "create", "--role", "reader", "ci")
    by_key = {
        "OS_AUTH_URL": real_keystone.url,
        "OS_AUTH_TYPE": "v3applicationcredential",
        "OS_APPLICATION_CREDENTIAL_ID": key["ID"] if "ID" in key else key["id"],
        "OS_APPLICATION_CREDENTIAL_SECRET": key["Secret"] if "Secret" in key else key["secret"],
        "OS_REGION_NAME": "RegionOne",
    }
    with OpenStackCommand(by_key) as program:
        assert len(program.data("floating", "ip", "list")) == 1
        refused = program.run("floating", "ip", "delete", address)
        assert refused.status != 0
    said = _mooring(url, by_key, "ip", "list")
    assert address in said.stdout, said.stderr

    # mooring's own command logs in there too, if it is told both places.
    who = real_keystone.environment("cate", PASSWORD, "convoy")
    assert address in _mooring(url, who, "ip", "list").stdout
    refused_here = _mooring(url, who, "project", "list")
    assert refused_here.returncode == 1
    assert _mooring(url, {**who, "OS_PASSWORD": "wrong"}, "ip", "list").returncode == 1

    # Who is disabled there is out here.
    secret = token(real_keystone, "cate", "convoy")
    assert httpx2.get(f"{url}/v1/floating-ips", headers={"X-Auth-Token": secret}).status_code == 200
    with OpenStackCommand(dict(real_keystone.environment())) as admin:
        admin("user", "set", "--disable", "cate")
    assert httpx2.get(f"{url}/v1/floating-ips", headers={"X-Auth-Token": secret}).status_code == 401


def _mooring(url: str, environment: "dict[str, str] | object", *arguments: str) -> "subprocess.CompletedProcess[str]":
    assert isinstance(environment, dict)
    known = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
    command = [sys.executable, "-m", "mooring.cli", "--url", url, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, env={**known, **environment}
    )
