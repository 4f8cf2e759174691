"""The `openstack` command and openstacksdk as they come, through Neutron, on the real kernel: what they say is what packets do."""

import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from typing import Any

import openstack as openstacksdk
import pytest
from openstack.exceptions import ConflictException, NotFoundException

from mooring.demos.clients import login
from mooring.demos.stage import OUTSIDE, OUTSIDE_ADDRESS
from mooring.guests.netns import IMAGES
from mooring.model.ids import InstanceId, guest_namespace
from tests.clients.openstack_command import OpenStackCommand
from tests.journeys.town import Town, eventually

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


_SERVER = """
import socketserver, sys
class Say(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(sys.argv[1].encode())
        self.rfile.read()
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
with Server(("", int(sys.argv[2])), Say) as server:
    server.serve_forever()
"""
_ASK = """
import socket, sys
try:
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=float(sys.argv[3])) as to:
        print(to.recv(100).decode())
except OSError:
    print("nobody")
"""


@contextmanager
def serving(town: Town, guest: InstanceId, name: str, port: int) -> Generator[None]:
    """Let a guest say its name to whoever connects to a port."""
    command = town.stage.at(guest_namespace(guest), sys.executable, "-c", _SERVER, name, str(port))
    with subprocess.Popen(command) as server:
        try:
            yield
        finally:
            server.kill()


def said(town: Town, address: str, port: int, wait: float = 10.0) -> str:
    """Connect from outside; return what is said."""
    return town.at(OUTSIDE, sys.executable, "-c", _ASK, address, str(port), str(wait)).strip()


def test_forwarded_ports_by_command(town: Town, openstack: OpenStackCommand) -> None:
    guests = {name: town.boot(name) for name in ("east", "west")}
    ports = {name: openstack.data("port", "list", "--server", guest)[0]["ID"] for name, guest in guests.items()}
    made = openstack.data("floating", "ip", "create", "public")
    address, forwarding = made["floating_ip_address"], ("floating", "ip", "port", "forwarding")
    with serving(town, guests["east"], "east", 8080), serving(town, guests["west"], "west", 8080):
        one, two = (
            openstack.data(
                *(*forwarding, "create", "--port", ports[name], "--internal-protocol-port", "8080"),
                *("--internal-ip-address", str(town.fixed(guests[name]))),
                *("--external-protocol-port", str(port), "--protocol", "tcp", address),
            )["id"]
            for name, port in (("east", 8001), ("west", 8002))
        )
        eventually(lambda: said(town, address, 8001) == "east")
        eventually(lambda: said(town, address, 8002) == "west")
        assert said(town, address, 80, 0.5) == "nobody"
        assert {each["External Port"] for each in openstack.data(*forwarding, "list", address)} == {8001, 8002}
        # Both lead to one guest's port now: that is refused, as in Neutron, and nothing is changed.
        with pytest.raises(AssertionError, match="Already reached"):
            openstack(*forwarding, "set", "--port", ports["east"], address, two)
        openstack(*forwarding, "set", "--external-protocol-port", "8003", address, two)
        assert openstack.data(*forwarding, "show", address, two)["external_port"] == 8003
        assert said(town, address, 8003) == "west"
        assert said(town, address, 8002, 0.5) == "nobody"
        openstack(*forwarding, "delete", address, one)
        assert said(town, address, 8001, 0.5) == "nobody"
        assert said(town, address, 8003) == "west"
    openstack("server", "delete", "--wait", *guests)
    assert openstack.data(*forwarding, "list", address) == []
    openstack("floating", "ip", "delete", address)


@pytest.mark.slow
def test_forwarded_ports_by_sdk(town: Town, variables: dict[str, str]) -> None:
    sdk: Any = openstacksdk.connect(
        auth=login(variables), region_name="RegionOne", load_yaml_config=False, load_envvars=False
    )
    guest = town.boot("four")
    (port,) = sdk.network.ports(device_id=guest)
    floating = sdk.network.create_ip(floating_network_id=sdk.network.find_network("public").id)
    with serving(town, guest, "four", 8443):
        made = sdk.network.create_port_forwarding(
            floatingip_id=floating.id,
            internal_port_id=port.id,
            internal_ip_address=port.fixed_ips[0]["ip_address"],
            internal_port=8443,
            external_port=443,
            protocol="tcp",
            description="a shop",
        )
        eventually(lambda: said(town, floating.floating_ip_address, 443) == "four")
        assert [each.id for each in sdk.network.port_forwardings(floating.id)] == [made.id]
        assert sdk.network.get_port_forwarding(made.id, floating.id).description == "a shop"
        assert sdk.network.get_ip(floating.id).port_details is None
        changed = sdk.network.update_port_forwarding(made.id, floating.id, external_port=444)
        assert (changed.external_port, changed.internal_port) == (444, 8443)
        assert said(town, floating.floating_ip_address, 444) == "four"
        with pytest.raises(ConflictException, match="in use by port forwarding"):
            sdk.network.delete_ip(floating.id, ignore_missing=False)
        sdk.network.delete_port_forwarding(made.id, floating.id, ignore_missing=False)
        assert said(town, floating.floating_ip_address, 444, 0.5) == "nobody"
        with pytest.raises(NotFoundException):
            sdk.network.get_port_forwarding(made.id, floating.id)
    sdk.network.delete_ip(floating.id, ignore_missing=False)
    sdk.close()


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


def test_a_port_of_ones_own_by_sdk(town: Town, variables: dict[str, str]) -> None:
    """Its address answers in the server that has it, in the next one too, and by the same floating IP."""
    sdk: Any = openstacksdk.connect(
        auth=login(variables), region_name="RegionOne", load_yaml_config=False, load_envvars=False
    )
    network = sdk.network.find_network("private")
    fixed = "10.0.0.200"
    port = sdk.network.create_port(
        network_id=network.id, name="mine", fixed_ips=[{"subnet_id": network.subnet_ids[0], "ip_address": fixed}]
    )
    assert (port.status, port.device_id, port.fixed_ips[0]["ip_address"]) == ("DOWN", "", fixed)
    floating = sdk.network.create_ip(
        floating_network_id=sdk.network.find_network("public").id, port_id=port.id
    ).floating_ip_address
    assert not town.answers(IPv4Address(floating), wait=0.3)

    def server(name: str, networks: list[dict[str, str]]) -> Any:
        made = sdk.compute.create_server(name=name, image_id=IMAGES[0].id, flavor_id="1", networks=networks)
        return sdk.compute.wait_for_server(made, interval=0.1, wait=60)

    first = server("five", [{"uuid": network.id, "port": port.id}])
    eventually(lambda: fixed in town.inside(InstanceId(first.id), "ip", "-4", "address", "show", "eth0"))
    assert port.mac_address in town.inside(InstanceId(first.id), "ip", "link")
    assert town.answers(IPv4Address(floating))
    with pytest.raises(ConflictException, match="in use by instance"):
        sdk.network.delete_port(port.id, ignore_missing=False)
    sdk.compute.delete_server(first)
    sdk.compute.wait_for_delete(first, interval=0.1, wait=60)
    assert not town.answers(IPv4Address(floating), wait=0.3)
    kept = sdk.network.get_port(port.id)
    assert (kept.status, kept.name, kept.mac_address, kept.fixed_ips) == (
        "DOWN",
        "mine",
        port.mac_address,
        port.fixed_ips,
    )
    second = server("six", [])
    sdk.compute.create_server_interface(second.id, port_id=port.id)
    assert port.mac_address in town.inside(InstanceId(second.id), "ip", "link", "show", "eth1")
    eventually(lambda: fixed in town.inside(InstanceId(second.id), "ip", "-4", "address", "show", "eth1"))
    sdk.compute.delete_server_interface(port.id, second.id)
    assert port.mac_address not in town.inside(InstanceId(second.id), "ip", "link")
    sdk.compute.delete_server(second)
    sdk.compute.wait_for_delete(second, interval=0.1, wait=60)
    sdk.network.delete_port(port.id, ignore_missing=False)
    with pytest.raises(NotFoundException):
        sdk.network.get_port(port.id)
    assert sdk.network.find_ip(floating).port_id is None
    sdk.network.delete_ip(sdk.network.find_ip(floating), ignore_missing=False)
    sdk.close()
