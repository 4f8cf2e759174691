"""apache-libcloud 3.9, unmodified, by its driver for nova's own networks (1.1) and by that for Neutron (2.2)."""

from typing import Any

import pytest
from libcloud.common.exceptions import BaseHTTPError
from libcloud.compute.providers import get_driver
from libcloud.compute.types import Provider

from mooring.dialects import neutron
from tests.cloud import PASSWORDS, Cloud

both = pytest.mark.parametrize(
    "api_version, services", [("1.1", ()), ("2.2", (neutron.SERVICE,))], ids=["nova", "neutron"]
)


@pytest.fixture
def driver(url: str, api_version: str) -> Any:
    return _driver(url, api_version)


def _driver(url: str, api_version: str) -> Any:
    return get_driver(Provider.OPENSTACK)(
        "alice",
        PASSWORDS["alice"],
        ex_force_auth_url=url + "/identity",
        ex_force_auth_version="3.x_password",
        ex_tenant_name="boats",
        ex_force_service_region="RegionOne",
        api_version=api_version,
    )


def _boot(driver: Any, name: str, **more: object) -> Any:
    image = next(image for image in driver.list_images() if image.name == "tiny")
    size = next(size for size in driver.list_sizes() if size.name == "m1.tiny")
    node = driver.create_node(name=name, image=image, size=size, **more)
    return next(each for each in driver.list_nodes() if each.id == node.id)


@both
def test_a_floating_ips_life(driver: Any, cloud: Cloud) -> None:
    node, other = _boot(driver, "vm"), _boot(driver, "other")
    assert (node.state, node.private_ips) == ("running", ["10.0.0.2"])
    (pool,) = driver.ex_list_floating_ip_pools()
    assert pool.name == "public"
    made = driver.ex_create_floating_ip(pool.name)
    address = made.ip_address

    driver.ex_attach_floating_ip_to_node(node, made)
    assert [str(each) for each in cloud.host.public_addresses()] == [address]
    assert address in next(each for each in driver.list_nodes() if each.id == node.id).public_ips
    driver.ex_detach_floating_ip_from_node(node, made)
    assert cloud.host.public_addresses() == {}
    driver.ex_attach_floating_ip_to_node(other, driver.ex_get_floating_ip(address))
    assert [str(each) for each in cloud.host.public_addresses().values()] == ["10.0.0.3"]

    (known,) = driver.ex_list_floating_ips()
    driver.ex_detach_floating_ip_from_node(other, known)
    driver.ex_delete_floating_ip(known)
    assert driver.ex_list_floating_ips() == []
    driver.destroy_node(node)
    assert [each.name for each in driver.list_nodes()] == ["other"]


@both
def test_security_groups(driver: Any, cloud: Cloud) -> None:
    web = driver.ex_create_security_group("web", "Open to the world")
    made = driver.ex_create_security_group_rule(web, ip_protocol="tcp", from_port=80, to_port=80, cidr="0.0.0.0/0")
    assert (made.ip_protocol, made.from_port, made.to_port) == ("tcp", 80, 80)
    node = _boot(driver, "vm", ex_security_groups=[web])
    assert [group.name for group in driver.ex_get_node_security_groups(node)] == ["web"]
    # To the 1.1 driver only 204 is a success, and nova always answered with 202.
    driver.ex_delete_security_group_rule(made)
    (left,) = [group for group in driver.ex_list_security_groups() if group.name == "web"]
    assert made.id not in {rule.id for rule in left.rules}
    driver.destroy_node(node)
    assert driver.ex_delete_security_group(web)
    assert [group.name for group in driver.ex_list_security_groups()] == ["default"]


@both
def test_refusals(driver: Any) -> None:
    assert driver.ex_get_node_details("made-up") is None
    for _ in range(10):
        driver.ex_create_floating_ip("public")
    with pytest.raises(BaseHTTPError) as refused:
        driver.ex_create_floating_ip("public")
    assert refused.value.code in {403, 409}


def test_an_unknown_pool(url: str) -> None:
    """The driver of 1.1 asks the server; that of 2.2 looks a pool up before it asks."""
    with pytest.raises(BaseHTTPError) as refused:
        _driver(url, "1.1").ex_create_floating_ip("nowhere")
    assert refused.value.code == 404
