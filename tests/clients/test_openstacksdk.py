"""openstacksdk 4.22, unmodified, with floating_ip_source: nova: what the SDK does where there is no Neutron."""

from pathlib import Path
from typing import Any

import openstack
import pytest
from openstack import exceptions

from mooring.dialects import neutron
from mooring.dialects.openstack.services import Service
from tests.cloud import FLAVORS, IMAGES, PASSWORDS, Cloud

# It warns of its own cloud layer, in its own code: of what will be gone in 5.0 and 6.0, nova's networks among it.
pytestmark = [
    pytest.mark.filterwarnings("ignore::openstack.warnings.LegacyAPIWarning"),
    pytest.mark.filterwarnings("ignore::openstack.warnings.RemovedInSDK50Warning"),
    pytest.mark.filterwarnings("ignore::openstack.warnings.RemovedInSDK60Warning"),
]

# Nova is asked where there is no Neutron, and also where there is one, as `floating_ip_source` says.
either_way = pytest.mark.parametrize("services", [(), (neutron.SERVICE,)], ids=["nova", "neutron-too"])

CLOUDS = """
clouds:
  mooring:
    auth:
      auth_url: {url}/identity
      username: alice
      password: {password}
      project_name: boats
      user_domain_name: Default
      project_domain_name: Default
    region_name: RegionOne
    floating_ip_source: nova
"""


@pytest.fixture
def sdk(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    clouds = tmp_path / "clouds.yaml"
    clouds.write_text(CLOUDS.format(url=url, password=PASSWORDS["alice"]))
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(clouds))
    return openstack.connect(cloud="mooring")


def _boot(sdk: Any, name: str = "vm", **more: Any) -> Any:
    return sdk.create_server(name, image=IMAGES[0].name, flavor=FLAVORS[0].name, wait=True, timeout=20, **more)


def _addresses(server: Any, kind: str) -> list[str]:
    return [
        address["addr"]
        for addresses in server.addresses.values()
        for address in addresses
        if address["OS-EXT-IPS:type"] == kind
    ]


@either_way
def test_server_with_an_address_by_itself(sdk: Any, cloud: Cloud, services: tuple[Service, ...]) -> None:
    server = _boot(sdk, auto_ip=True)
    assert server.status == "ACTIVE"
    (floating,) = _addresses(server, "floating")
    assert sdk.get_server(server.id).public_v4 == floating
    assert [str(address) for address in cloud.host.public_addresses()] == [floating]
    assert sdk.delete_server(server.id, wait=True, delete_ips=True)
    assert sdk.list_floating_ips() == []
    assert sdk.list_servers() == []
    assert cloud.host.public_addresses() == {}


@either_way
def test_step_by_step(sdk: Any, cloud: Cloud, services: tuple[Service, ...]) -> None:
    first, second = _boot(sdk, "first", auto_ip=False), _boot(sdk, "second", auto_ip=False)
    assert [pool["name"] for pool in sdk.list_floating_ip_pools()] == ["public"]
    floating = sdk.create_floating_ip(network="public")
    address = floating["floating_ip_address"]

    first = sdk.add_ip_list(first, [address], wait=True, timeout=20)
    assert _addresses(first, "floating") == [address]
    assert sdk.get_floating_ip(floating["id"])["attached"]

    sdk.detach_ip_from_server(first.id, floating["id"])
    assert _addresses(sdk.get_server_by_id(first.id), "floating") == []
    second = sdk.add_ip_list(second, [address], wait=True, timeout=20)
    assert _addresses(second, "floating") == [address]

    assert sdk.delete_floating_ip(floating["id"])
    assert not sdk.delete_floating_ip(floating["id"])
    assert _addresses(sdk.get_server_by_id(second.id), "floating") == []
    assert cloud.host.public_addresses() == {}


def test_address_from_a_pool(sdk: Any) -> None:
    server = _boot(sdk, ip_pool="public")
    assert len(_addresses(server, "floating")) == 1


def test_server_on_a_named_network(sdk: Any, cloud: Cloud) -> None:
    """`network=` asks Neutron for the id; `nics=` needs none."""
    server = _boot(sdk, auto_ip=False, nics=[{"net-id": cloud.network.id, "v4-fixed-ip": "10.0.0.9"}])
    assert _addresses(server, "fixed") == ["10.0.0.9"]
    assert list(server.addresses) == ["private"]


def test_what_can_be_booted(sdk: Any) -> None:
    assert [image.name for image in sdk.list_images()] == ["tiny", "other"]
    assert sdk.get_image(IMAGES[0].id).name == sdk.get_image("tiny").name == "tiny"
    assert [flavor.name for flavor in sdk.list_flavors()] == ["m1.tiny", "m1.small"]
    assert sdk.get_flavor_by_ram(200).name == "m1.small"


def test_lower_layer(sdk: Any) -> None:
    """The compute and image proxies, which `openstack` commands are made of."""
    server = sdk.compute.create_server(name="vm", image_id=IMAGES[0].id, flavor_id="1", networks=[])
    server = sdk.compute.wait_for_server(server, wait=20)
    assert sdk.compute.find_server("vm").id == server.id
    assert [each.id for each in sdk.compute.servers(name="vm")] == [server.id]
    assert sdk.compute.get_limits().absolute.total_instances_used == 1
    assert sdk.image.find_image("tiny").id == IMAGES[0].id
    assert sdk.compute.find_server("nothing") is None
    sdk.compute.delete_server(server)
    sdk.compute.wait_for_delete(server, wait=20)
    assert sdk.current_project.name == "boats"
    assert [project.name for project in sdk.list_projects()] == ["boats"]


def test_refusals(sdk: Any) -> None:
    with pytest.raises(exceptions.SDKException, match=r"Floating IP pool not found|unable to find"):
        sdk.create_floating_ip(network="nowhere")
    with pytest.raises(exceptions.BadRequestException, match="there is no flavor 99"):
        sdk.compute.create_server(name="vm", image_id=IMAGES[0].id, flavor_id="99", networks=[])
    for _ in range(10):
        sdk.create_floating_ip(network="public")
    with pytest.raises(exceptions.ForbiddenException, match="IP allocation over quota"):
        sdk.create_floating_ip(network="public")
