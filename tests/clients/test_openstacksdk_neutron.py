"""openstacksdk 4.22, unmodified, as it comes: where the catalogue names a Neutron, floating IPs and groups are Neutron's."""

from pathlib import Path
from typing import Any

import openstack
import pytest
from openstack import exceptions

from mooring.dialects import neutron
from mooring.dialects.openstack.services import Service
from tests.cloud import FLAVORS, IMAGES, PASSWORDS, Cloud

pytestmark = [
    pytest.mark.filterwarnings("ignore::openstack.warnings.LegacyAPIWarning"),
    pytest.mark.filterwarnings("ignore::openstack.warnings.RemovedInSDK50Warning"),
    pytest.mark.filterwarnings("ignore::openstack.warnings.RemovedInSDK60Warning"),
]

CLOUDS = """
clouds:
  mooring:
    auth:
      auth_url: {url}/identity
      username: {user}
      password: {password}
      project_name: {project}
      user_domain_name: Default
      project_domain_name: Default
    region_name: RegionOne
"""


@pytest.fixture
def services() -> tuple[Service, ...]:
    return (neutron.SERVICE,)


@pytest.fixture
def sdk(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    clouds = tmp_path / "clouds.yaml"
    clouds.write_text(CLOUDS.format(url=url, user="alice", password=PASSWORDS["alice"], project="boats"))
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(clouds))
    return openstack.connect(cloud="mooring")


def _boot(sdk: Any, name: str = "vm", **more: Any) -> Any:
    return sdk.create_server(
        name, image=IMAGES[0].name, flavor=FLAVORS[0].name, network="private", wait=True, timeout=20, **more
    )


def test_server_with_an_address_by_itself(sdk: Any, cloud: Cloud) -> None:
    """The SDK finds out by itself which network is external, and which port the address must lead to."""
    server = _boot(sdk, auto_ip=True)
    assert server.status == "ACTIVE"
    (address,) = cloud.host.public_addresses()
    assert sdk.get_server(server.id).public_v4 == str(address)
    assert sdk.delete_server(server.id, wait=True, delete_ips=True)
    assert sdk.list_floating_ips() == []
    assert cloud.host.public_addresses() == {}


def test_step_by_step(sdk: Any, cloud: Cloud) -> None:
    first, second = _boot(sdk, "first", auto_ip=False), _boot(sdk, "second", auto_ip=False)
    floating = sdk.create_floating_ip(network="public")
    address = floating["floating_ip_address"]
    sdk.add_ip_list(first, [address], wait=True, timeout=20)
    assert sdk.get_floating_ip(floating["id"])["status"] == "ACTIVE"
    assert [str(each) for each in cloud.host.public_addresses()] == [address]
    assert sdk.detach_ip_from_server(first.id, floating["id"])
    assert cloud.host.public_addresses() == {}
    sdk.add_ip_list(second, [address], wait=True, timeout=20)
    assert sdk.delete_floating_ip(floating["id"])
    assert not sdk.delete_floating_ip(floating["id"])
    assert cloud.host.public_addresses() == {}


def test_an_address_that_waits_is_used_again(sdk: Any, cloud: Cloud) -> None:
    waiting = sdk.create_floating_ip(network="public")
    assert sdk.available_floating_ip(network="public")["id"] == waiting["id"]
    names = [_boot(sdk, "first", auto_ip=True).id, _boot(sdk, "second", ip_pool="public", reuse_ips=False).id]
    first, second = (sdk.get_server(name).public_v4 for name in names)
    assert first == waiting["floating_ip_address"]
    assert {str(address) for address in cloud.host.public_addresses()} == {first, second}
    assert [network.name for network in sdk.get_external_ipv4_floating_networks()] == ["public"]


def test_lower_layer(sdk: Any, cloud: Cloud) -> None:
    """The network proxy, which `openstack` commands are made of."""
    server = _boot(sdk, auto_ip=False)
    assert [network.name for network in sdk.network.networks(is_router_external=True)] == ["public"]
    public = sdk.network.find_network("public")
    assert sdk.network.find_network("nothing") is None
    (port,) = sdk.network.ports(device_id=server.id)
    assert port.fixed_ips == [{"subnet_id": cloud.network.id, "ip_address": "10.0.0.2"}]
    made = sdk.network.create_ip(floating_network_id=public.id, port_id=port.id)
    assert (made.status, made.router_id) == ("ACTIVE", cloud.network.router)
    assert sdk.network.find_ip(made.floating_ip_address).id == made.id
    assert sdk.network.update_ip(made, port_id=None).status == "DOWN"
    assert [each.id for each in sdk.network.ips(status="DOWN")] == [made.id]
    sdk.network.delete_ip(made, ignore_missing=False)
    assert [router.name for router in sdk.network.routers()] == ["shared"]
    assert [subnet.cidr for subnet in sdk.network.subnets(network_id=public.id)] == ["198.51.100.0/24"]
    assert sdk.network.find_extension("security-group") is not None
    assert sdk.network.find_extension("trunk") is None
    assert sdk.network.get_quota(sdk.current_project_id).floating_ips == 10


def test_pages(sdk: Any) -> None:
    made = [sdk.network.create_ip(floating_network_id=sdk.network.find_network("public").id).id for _ in range(5)]
    assert [each.id for each in sdk.network.ips(limit=2)] == made
    newest = sdk.network.ips(sort_key="floating_ip_address", sort_dir="desc")
    assert [each.id for each in newest] == made[::-1]


def test_security_groups(sdk: Any) -> None:
    server = _boot(sdk, auto_ip=False, security_groups=["default"])
    web = sdk.create_security_group("web", "Open to the world")
    rule = sdk.create_security_group_rule(web.id, 80, 443, "tcp", "0.0.0.0/0")
    assert (rule["direction"], rule["port_range_min"], rule["port_range_max"]) == ("ingress", 80, 443)
    ping = sdk.create_security_group_rule(web.id, 8, 0, "icmp", direction="egress", remote_group_id=web.id)
    assert ping["remote_group_id"] == web.id
    assert len(sdk.get_security_group("web")["security_group_rules"]) == 4
    (port,) = sdk.network.ports(device_id=server.id)
    assert sdk.network.update_port(port, security_groups=[web.id]).security_group_ids == [web.id]
    with pytest.raises(exceptions.ConflictException, match="in use"):
        sdk.delete_security_group("web")
    sdk.network.update_port(port, security_groups=[])
    assert sdk.update_security_group("web", name="shop", description="Closed")["name"] == "shop"
    assert sdk.delete_security_group_rule(rule["id"])
    with pytest.raises(exceptions.NotFoundException):
        sdk.delete_security_group_rule(rule["id"])
    assert sdk.delete_security_group("shop")
    assert [group.name for group in sdk.list_security_groups()] == ["default"]


def test_addresses_of_a_port(sdk: Any, cloud: Cloud) -> None:
    server = sdk.create_server("vm", image="tiny", flavor="m1.tiny", wait=True, auto_ip=False)
    (port,) = sdk.network.ports(device_id=server.id)
    pairs = [{"ip_address": "10.0.0.200"}, {"ip_address": "10.0.0.208/30", "mac_address": port.mac_address}]
    changed = sdk.network.update_port(port, allowed_address_pairs=pairs)
    assert changed.allowed_address_pairs == [{"mac_address": port.mac_address, **pair} for pair in pairs]
    subnet = {"subnet_id": cloud.network.id}
    changed = sdk.network.update_port(port, fixed_ips=[*port.fixed_ips, subnet])
    assert changed.fixed_ips == [{**subnet, "ip_address": address} for address in ("10.0.0.2", "10.0.0.3")]
    shown = sdk.network.get_port(port.id)
    assert (shown.fixed_ips, shown.allowed_address_pairs) == (changed.fixed_ips, changed.allowed_address_pairs)
    with pytest.raises(exceptions.BadRequestException, match="is the gateway of network private"):
        sdk.network.update_port(port, allowed_address_pairs=[{"ip_address": "10.0.0.1"}])
    changed = sdk.network.update_port(port, allowed_address_pairs=[], fixed_ips=port.fixed_ips)
    assert (changed.fixed_ips, changed.allowed_address_pairs) == (port.fixed_ips, [])
    sdk.delete_server(server.id, wait=True)


def test_refusals(sdk: Any) -> None:
    # What it doesn't find as a network, it looks for as nova's pool.
    with pytest.raises(exceptions.NotFoundException, match="Floating IP pool not found"):
        sdk.create_floating_ip(network="nowhere")
    with pytest.raises(exceptions.ConflictException, match="already exists"):
        sdk.create_security_group("default", "")
    for _ in range(10):
        sdk.create_floating_ip(network="public")
    with pytest.raises(exceptions.ConflictException, match="Quota exceeded for floating IPs"):
        sdk.create_floating_ip(network="public")


def test_networks_of_ones_own(sdk: Any, cloud: Cloud) -> None:
    pool = sdk.network.create_subnet_pool(name="ours", prefixes=["10.64.0.0/16"], default_prefix_length=24)
    nets = [sdk.create_network(name) for name in ("front", "back")]
    subnets = [
        sdk.create_subnet("front", cidr="10.9.0.0/24", subnet_name="front-4", enable_dhcp=True),
        sdk.network.create_subnet(network_id=nets[1]["id"], name="back-4", ip_version=4, subnet_pool_id=pool.id),
    ]
    assert [subnet["cidr"] for subnet in subnets] == ["10.9.0.0/24", "10.64.0.0/24"]
    public = sdk.network.find_network("public")
    gate = sdk.create_router("gate", ext_gateway_net_id=public.id)
    for subnet in subnets:
        sdk.add_router_interface(gate, subnet_id=subnet["id"])
    ports = sdk.list_router_interfaces(gate)
    assert {port["fixed_ips"][0]["ip_address"] for port in ports} == {"10.9.0.1", "10.64.0.1"}
    server = sdk.create_server(
        "vm", image=IMAGES[0].name, flavor=FLAVORS[0].name, network="front", wait=True, timeout=20
    )
    # Where there is a router to an external network, the SDK gives a server an address of that by itself.
    assert {str(fixed) for fixed in cloud.host.public_addresses().values()} == {"10.9.0.2"}
    assert str(next(iter(cloud.host.public_addresses()))) == sdk.get_server(server.id).public_v4
    with pytest.raises(exceptions.ConflictException, match="server vm"):
        sdk.delete_network("front")
    assert sdk.update_subnet("front-4", subnet_name="shop-4")["name"] == "shop-4"
    assert sdk.update_network("front", name="shop")["name"] == "shop"
    assert sdk.delete_server("vm", wait=True, delete_ips=True)
    for subnet in subnets:
        sdk.remove_router_interface(gate, subnet_id=subnet["id"])
    assert sdk.update_router("gate", name="door", ext_gateway_net_id=None)["name"] == "door"
    assert sdk.delete_router("door")
    assert sdk.delete_subnet("shop-4")
    assert sdk.delete_network("shop")
    assert sdk.delete_network("back")
    sdk.network.delete_subnet_pool(pool, ignore_missing=False)
    assert [network["name"] for network in sdk.list_networks()] == ["private", "public"]


def test_tags_and_revisions(sdk: Any) -> None:
    network = sdk.network.create_network(name="web")
    floating = sdk.network.create_ip(floating_network_id=sdk.network.find_network("public").id)
    for thing in (network, floating):
        assert sdk.network.set_tags(thing, ["red", "blue"]).tags == ["red", "blue"]
    assert [each.name for each in sdk.network.networks(tags="blue,red")] == ["web"]
    assert [each.id for each in sdk.network.ips(any_tags="red,black")] == [floating.id]
    assert [each.name for each in sdk.network.networks(not_tags="red")] == ["private", "public"]
    seen = sdk.network.get_network(network.id)
    assert sorted(seen.tags) == ["blue", "red"]
    assert seen.created_at <= seen.updated_at
    renamed = sdk.network.update_network(network.id, if_revision=seen.revision_number, name="www")
    assert renamed.revision_number > seen.revision_number
    with pytest.raises(exceptions.PreconditionFailedException, match="was changed since"):
        sdk.network.update_network(network.id, if_revision=seen.revision_number, name="mine")
    with pytest.raises(exceptions.PreconditionFailedException, match="was changed since"):
        sdk.network.delete_network(network.id, if_revision=seen.revision_number)
    sdk.network.delete_network(network.id, if_revision=renamed.revision_number, ignore_missing=False)
    assert [each.name for each in sdk.network.networks()] == ["private", "public"]
