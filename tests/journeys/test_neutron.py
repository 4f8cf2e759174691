"""The `openstack` command and openstacksdk as they come, through Neutron, on the real kernel: what they say is what packets do."""

from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import Any

import openstack as openstacksdk
import pytest

from mooring.demos.clients import login
from mooring.demos.stage import OUTSIDE_ADDRESS
from tests.clients.openstack_command import OpenStackCommand
from tests.journeys.town import Town

pytestmark = [
    pytest.mark.kernel,
    # It warns of its own, in its own code.
    pytest.mark.filterwarnings("ignore::openstack.warnings.RemovedInSDK50Warning"),
    pytest.mark.filterwarnings("ignore::openstack.warnings.RemovedInSDK60Warning"),
]


@pytest.fixture(scope="module")
def variables(town: Town) -> dict[str, str]:
    """What an openrc of the tenant says."""
    return {
        "OS_AUTH_URL": f"{town.stage.node.url}/identity",
        "OS_USERNAME": "demo",
        "OS_PASSWORD": town.stage.password,
        "OS_PROJECT_NAME": "demo",
        "OS_USER_DOMAIN_NAME": "Default",
        "OS_PROJECT_DOMAIN_NAME": "Default",
        "OS_IDENTITY_API_VERSION": "3",
        "OS_REGION_NAME": "RegionOne",
    }


@pytest.fixture(scope="module")
def openstack(variables: dict[str, str]) -> Iterator[OpenStackCommand]:
    with OpenStackCommand(variables) as command:
        yield command


def test_a_floating_ip_by_command(town: Town, openstack: OpenStackCommand) -> None:
    for name in ("one", "two"):
        town.boot(name)
    address = IPv4Address(openstack.data("floating", "ip", "create", "public")["floating_ip_address"])
    assert not town.answers(address)
    for name in ("one", "two"):
        # The second time it moves.
        openstack("server", "add", "floating", "ip", name, str(address))
        assert town.answers(address)
    openstack("server", "remove", "floating", "ip", "two", str(address))
    assert not town.answers(address)
    openstack("floating", "ip", "delete", str(address))
    openstack("server", "delete", "--wait", "one", "two")


def test_an_address_and_a_group_by_sdk(town: Town, variables: dict[str, str]) -> None:
    """The group of the port decides, from the moment that the call is answered."""
    sdk: Any = openstacksdk.connect(
        auth=login(variables), region_name="RegionOne", load_yaml_config=False, load_envvars=False
    )
    guest = town.boot("three")
    (port,) = sdk.network.ports(device_id=guest)
    public = sdk.network.find_network("public")
    floating = sdk.network.create_ip(floating_network_id=public.id, port_id=port.id)
    address = IPv4Address(floating.floating_ip_address)
    assert town.answers(address)
    group = sdk.network.create_security_group(name="shut")
    sdk.network.update_port(port, security_groups=[group.id])
    assert not town.answers(address)
    rule = sdk.network.create_security_group_rule(
        security_group_id=group.id, direction="ingress", protocol="icmp", remote_ip_prefix=str(OUTSIDE_ADDRESS)
    )
    assert town.answers(address)
    sdk.network.delete_security_group_rule(rule)
    assert not town.answers(address)
    sdk.network.delete_ip(floating)
    sdk.close()
