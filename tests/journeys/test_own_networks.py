"""Networks that projects make by the `openstack` command as it comes, on the real kernel: who reaches whom, and who doesn't."""

from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import Any

import pytest

from mooring.guests.netns import IMAGES
from mooring.model.ids import InstanceId
from mooring.model.nouns import InstanceState
from mooring.operations import NewInstance, NewNic
from mooring.policy.rules import NewRule
from tests.clients.openstack_command import OpenStackCommand
from tests.journeys.town import Town, eventually, ping_count

pytestmark = [
    pytest.mark.kernel,
    pytest.mark.filterwarnings("ignore::openstack.warnings.RemovedInSDK50Warning"),
    pytest.mark.filterwarnings("ignore::openstack.warnings.RemovedInSDK60Warning"),
]


def _command(town: Town, user: str) -> OpenStackCommand:
    return OpenStackCommand(
        {
            "OS_AUTH_URL": f"{town.stage.node.url}/identity",
            "OS_USERNAME": user,
            "OS_PASSWORD": town.stage.password,
            "OS_PROJECT_NAME": user,
            "OS_USER_DOMAIN_NAME": "Default",
            "OS_PROJECT_DOMAIN_NAME": "Default",
            "OS_IDENTITY_API_VERSION": "3",
            "OS_REGION_NAME": "RegionOne",
        }
    )


@pytest.fixture(scope="module")
def demo(town: Town) -> Iterator[OpenStackCommand]:
    with _command(town, "demo") as command:
        yield command


@pytest.fixture(scope="module")
def admin(town: Town) -> Iterator[OpenStackCommand]:
    """Another project, whose user happens to administer."""
    (default,) = town.operations.groups.listing(town.admin)
    town.operations.groups.add_rule(town.admin, default.id, NewRule())
    with _command(town, "admin") as command:
        yield command


def _network(command: OpenStackCommand, name: str, cidr: str) -> str:
    made: Any = command.data("network", "create", name)
    command.data("subnet", "create", "--network", name, "--subnet-range", cidr, f"{name}-4")
    return str(made["id"])


def _boot(town: Town, caller: Any, name: str, network: str) -> InstanceId:
    """Start a guest on a network and wait until it has taken its address by DHCP."""
    new = NewInstance(name, IMAGES[0].id, "1", (NewNic(network),))
    made = town.operations.instances.create(caller, new)
    eventually(lambda: town.operations.instances.get(caller, made.id).state is InstanceState.ACTIVE)
    eventually(
        lambda: f"inet {_fixed(town, caller, made.id)}/" in town.inside(made.id, "ip", "-4", "address", "show", "eth0")
    )
    return made.id


def _fixed(town: Town, caller: Any, instance: InstanceId) -> IPv4Address:
    return town.operations.instances.get(caller, instance).nics[0].fixed[0].address


def _reaches(town: Town, source: InstanceId, target: IPv4Address) -> bool:
    return ping_count(town.inside(source, "ping", "-c", "1", "-W", "1", str(target))).received == 1


def _float(command: OpenStackCommand, name: str) -> IPv4Address:
    address = command.data("floating", "ip", "create", "public")["floating_ip_address"]
    command("server", "add", "floating", "ip", name, address)
    return IPv4Address(address)


def test_a_network_is_made_and_reached_from_outside_and_taken_away(town: Town, demo: OpenStackCommand) -> None:
    front = _network(demo, "front", "10.9.0.0/24")
    # It comes before the router: it has its address, and reaches nothing.
    shop = _boot(town, town.demo, "shop", front)
    assert _reaches(town, shop, IPv4Address("10.9.0.1"))
    assert not _reaches(town, shop, IPv4Address("192.0.2.10"))
    demo.data("router", "create", "gate")
    demo("router", "set", "--external-gateway", "public", "gate")
    demo("router", "add", "subnet", "gate", "front-4")
    eventually(lambda: _reaches(town, shop, IPv4Address("192.0.2.10")))
    address = _float(demo, "shop")
    assert town.answers(address)
    # A second network on the same router: each reaches the other as it is.
    back = _network(demo, "back", "10.9.1.0/24")
    demo("router", "add", "subnet", "gate", "back-4")
    store = _boot(town, town.demo, "store", back)
    assert _reaches(town, shop, _fixed(town, town.demo, store))
    assert _reaches(town, store, _fixed(town, town.demo, shop))
    # Off the router it reaches nobody there, and nobody it; it keeps its address.
    demo("router", "remove", "subnet", "gate", "back-4")
    assert not _reaches(town, shop, _fixed(town, town.demo, store))
    assert not _reaches(town, store, IPv4Address("192.0.2.10"))
    eventually(lambda: _reaches(town, store, IPv4Address("10.9.1.1")))
    assert town.answers(address)
    # All of it goes again.
    demo("floating", "ip", "delete", str(address))
    demo("server", "delete", "--wait", "shop", "store")
    demo("router", "remove", "subnet", "gate", "front-4")
    demo("router", "unset", "--external-gateway", "gate")
    demo("router", "delete", "gate")
    demo("subnet", "delete", "front-4")
    demo("network", "delete", "front", "back")
    eventually(lambda: "mb" + front.replace("-", "")[:11] not in town.at("host", "ip", "link"))
    assert [each["Name"] for each in demo.data("network", "list")] == ["private", "public"]


@pytest.mark.slow
def test_two_projects_have_the_same_addresses(town: Town, demo: OpenStackCommand, admin: OpenStackCommand) -> None:
    made = {}
    for command, caller in ((demo, town.demo), (admin, town.admin)):
        name = caller.project.name
        network = _network(command, f"{name}-net", "10.7.0.0/24")
        command.data("router", "create", f"{name}-gate", "--external-gateway", "public")
        command("router", "add", "subnet", f"{name}-gate", f"{name}-net-4")
        made[name] = _boot(town, caller, f"{name}-vm", network)
    addresses = {name: _float(command, f"{name}-vm") for name, command in (("demo", demo), ("admin", admin))}
    fixed = {_fixed(town, caller, made[caller.project.name]) for caller in (town.demo, town.admin)}
    assert len(fixed) == 1
    assert len(set(addresses.values())) == 2
    assert all(town.answers(address) for address in addresses.values())
    # One goes, the other stays.
    admin("server", "delete", "--wait", "admin-vm")
    eventually(lambda: not town.answers(addresses["admin"], wait=0.3))
    assert town.answers(addresses["demo"])
