"""Clients of many years on the real kernel: each gives a guest an address, moves it and takes it away, and packets follow each call."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from ipaddress import IPv4Address
from typing import Any, Protocol

import pytest
from libcloud.compute.providers import get_driver
from libcloud.compute.types import Provider

from mooring.demos import clients
from mooring.demos.essex import XmlClient, element
from mooring.demos.old_nova import OldNova
from mooring.model.ids import InstanceId
from tests.journeys.told import told
from tests.journeys.town import Town

pytestmark = [
    pytest.mark.kernel,
    # It calls itself deprecated wherever it does what OpenStack no longer has.
    pytest.mark.filterwarnings("ignore:.*novaclient.*deprecated:DeprecationWarning:novaclient"),
]


class Client(Protocol):
    """What every one of them can do with a floating IP, in its own words."""

    def allocate(self) -> str: ...
    def attach(self, server: str, address: str) -> None: ...
    def detach(self, server: str, address: str) -> None: ...
    def release(self, address: str) -> None: ...


class Novaclient:
    """python-novaclient 7.1.2."""

    def __init__(self, environment: Mapping[str, str], stack: ExitStack) -> None:
        self._nova = clients.nova(environment)

    def allocate(self) -> str:
        return str(self._nova.floating_ips.create("public").ip)

    def attach(self, server: str, address: str) -> None:
        self._nova.servers.add_floating_ip(server, address)

    def detach(self, server: str, address: str) -> None:
        self._nova.servers.remove_floating_ip(server, address)

    def release(self, address: str) -> None:
        self._nova.floating_ips.delete(self._nova.floating_ips.find(ip=address))


class OldNovaclient:
    """python-novaclient 2.18.1, by Keystone v2.0."""

    def __init__(self, environment: Mapping[str, str], stack: ExitStack) -> None:
        self._nova = stack.enter_context(OldNova(environment))

    def allocate(self) -> str:
        return str(self._nova("floating_ips.create", "public")["ip"])

    def attach(self, server: str, address: str) -> None:
        self._nova("servers.add_floating_ip", server, address)

    def detach(self, server: str, address: str) -> None:
        self._nova("servers.remove_floating_ip", server, address)

    def release(self, address: str) -> None:
        (known,) = [each["id"] for each in self._nova("floating_ips.list") if each["ip"] == address]
        self._nova("floating_ips.delete", known)


class Libcloud:
    """apache-libcloud, by nova's networks."""

    VERSION = "1.1"

    def __init__(self, environment: Mapping[str, str], stack: ExitStack) -> None:
        self._driver: Any = get_driver(Provider.OPENSTACK)(
            environment["OS_USERNAME"],
            environment["OS_PASSWORD"],
            ex_force_auth_url=environment["OS_AUTH_URL"].removesuffix("/v3"),
            ex_force_auth_version="3.x_password",
            ex_tenant_name=environment["OS_PROJECT_NAME"],
            ex_force_service_region="RegionOne",
            api_version=self.VERSION,
        )

    def allocate(self) -> str:
        return str(self._driver.ex_create_floating_ip("public").ip_address)

    def attach(self, server: str, address: str) -> None:
        node, floating = self._driver.ex_get_node_details(server), self._driver.ex_get_floating_ip(address)
        assert self._driver.ex_attach_floating_ip_to_node(node, floating)

    def detach(self, server: str, address: str) -> None:
        node, floating = self._driver.ex_get_node_details(server), self._driver.ex_get_floating_ip(address)
        assert self._driver.ex_detach_floating_ip_from_node(node, floating)

    def release(self, address: str) -> None:
        assert self._driver.ex_delete_floating_ip(self._driver.ex_get_floating_ip(address))


class LibcloudNeutron(Libcloud):
    """apache-libcloud, by Neutron."""

    VERSION = "2.2"


class Essex:
    """nova's documents of 2012, in XML."""

    def __init__(self, environment: Mapping[str, str], stack: ExitStack) -> None:
        self._nova = XmlClient(environment)

    def allocate(self) -> str:
        return self._nova.make("/os-floating-ips", element("pool", "public")).attrib["ip"]

    def attach(self, server: str, address: str) -> None:
        self._nova.text("POST", f"/servers/{server}/action", element("addFloatingIp", address=address))

    def detach(self, server: str, address: str) -> None:
        self._nova.text("POST", f"/servers/{server}/action", element("removeFloatingIp", address=address))

    def release(self, address: str) -> None:
        (known,) = [each.attrib["id"] for each in self._nova.read("/os-floating-ips") if each.attrib["ip"] == address]
        self._nova.text("DELETE", f"/os-floating-ips/{known}")


@pytest.fixture(scope="module")
def guests(town: Town) -> tuple[InstanceId, InstanceId]:
    return town.boot("one"), town.boot("two")


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as made:
        yield made


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(Novaclient, marks=pytest.mark.slow),
        pytest.param(OldNovaclient, marks=pytest.mark.slow),
        Libcloud,
        LibcloudNeutron,
        Essex,
    ],
)
def test_a_floating_ip_comes_moves_and_goes(
    town: Town,
    guests: tuple[InstanceId, InstanceId],
    stack: ExitStack,
    make: Callable[[Mapping[str, str], ExitStack], Client],
) -> None:
    client = make(town.stage.environment("demo"), stack)
    address = client.allocate()
    public = IPv4Address(address)
    one, two = guests
    client.attach(one, address)
    assert "instance   one" in _page(town, address)
    client.detach(one, address)
    assert not town.answers(public, wait=0.3)
    client.attach(two, address)
    assert "instance   two" in _page(town, address)
    client.detach(two, address)
    client.release(address)
    assert not town.answers(public, wait=0.3)


def _page(town: Town, address: str) -> str:
    return town.at("outside", "timeout", "10", "busybox", "wget", "-q", "-O", "-", f"http://{address}/")


@pytest.mark.slow
def test_the_story_of_the_draft_by_four_clients() -> None:
    assert told("openstack", 400).count("answers a ping from outside") == 4
