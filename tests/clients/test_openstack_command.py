"""The `openstack` command 10.5, unmodified, where there is a Neutron and where there is none: floating IPs, networks, ports, groups."""

from collections.abc import Iterator

import pytest

from mooring.dialects import neutron
from mooring.dialects.openstack.services import Service
from tests.clients.openstack_command import OpenStackCommand
from tests.cloud import PASSWORDS, Cloud

with_neutron = pytest.mark.parametrize("services", [(neutron.SERVICE,)], ids=["neutron"])


@pytest.fixture
def openstack(url: str) -> Iterator[OpenStackCommand]:
    """The command as alice, a member of the project boats, types it."""
    variables = {
        "OS_AUTH_URL": f"{url}/identity",
        "OS_USERNAME": "alice",
        "OS_PASSWORD": PASSWORDS["alice"],
        "OS_PROJECT_NAME": "boats",
        "OS_USER_DOMAIN_NAME": "Default",
        "OS_PROJECT_DOMAIN_NAME": "Default",
        "OS_IDENTITY_API_VERSION": "3",
        "OS_REGION_NAME": "RegionOne",
    }
    with OpenStackCommand(variables) as command:
        yield command


def _boot(openstack: OpenStackCommand, name: str) -> str:
    made = openstack.data(
        "server", "create", "--image", "tiny", "--flavor", "m1.tiny", "--network", "private", "--wait", name
    )
    assert made["status"] == "ACTIVE"
    return str(made["id"])


@with_neutron
def test_a_floating_ips_life(openstack: OpenStackCommand, cloud: Cloud, services: tuple[Service, ...]) -> None:
    first, second = _boot(openstack, "first"), _boot(openstack, "second")
    made = openstack.data("floating", "ip", "create", "public")
    address = made["floating_ip_address"]
    assert (made["status"], made["port_id"]) == ("DOWN", None)

    openstack("server", "add", "floating", "ip", "first", address)
    (seen,) = openstack.data("floating", "ip", "list", "--status", "ACTIVE")
    assert (seen["Floating IP Address"], seen["Fixed IP Address"]) == (address, "10.0.0.2")
    (server,) = openstack.data("server", "list", "--name", "first")
    assert server["Networks"] == {"private": ["10.0.0.2", address]}
    openstack("server", "remove", "floating", "ip", "first", address)
    assert cloud.host.public_addresses() == {}

    # By ports, as whoever has no servers in mind does it.
    ports = {
        port["ID"]: port for server in (first, second) for port in openstack.data("port", "list", "--server", server)
    }
    (one, two) = ports
    openstack("floating", "ip", "set", "--port", one, address)
    openstack("floating", "ip", "set", "--port", two, address)
    assert openstack.data("floating", "ip", "show", address)["fixed_ip_address"] == "10.0.0.3"
    openstack("floating", "ip", "unset", "--port", address)
    assert openstack.data("floating", "ip", "show", made["id"])["port_id"] is None
    assert openstack.data("floating", "ip", "create", "--port", two, "public")["status"] == "ACTIVE"

    openstack("floating", "ip", "delete", address)
    assert address not in {each["Floating IP Address"] for each in openstack.data("floating", "ip", "list")}
    openstack("server", "delete", "--wait", "first", "second")
    assert [each["Port"] for each in openstack.data("floating", "ip", "list")] == [None]


@with_neutron
def test_networks_as_they_are(openstack: OpenStackCommand, cloud: Cloud, services: tuple[Service, ...]) -> None:
    assert [network["Name"] for network in openstack.data("network", "list")] == ["private", "public"]
    assert [network["Name"] for network in openstack.data("network", "list", "--external")] == ["public"]
    assert openstack.data("network", "show", "private")["id"] == cloud.network.id
    assert [subnet["Subnet"] for subnet in openstack.data("subnet", "list")] == ["10.0.0.0/24", "198.51.100.0/24"]
    assert openstack.data("router", "show", "shared")["external_gateway_info"]["enable_snat"] is True
    quota = {each["Resource"]: each["Limit"] for each in openstack.data("quota", "show", "--network")}
    assert (quota["floating_ips"], quota["security_groups"]) == (10, 10)


@with_neutron
def test_networks_of_ones_own(openstack: OpenStackCommand, services: tuple[Service, ...]) -> None:
    pool = openstack.data("subnet", "pool", "create", "--pool-prefix", "10.64.0.0/16", "ours")
    openstack("subnet", "pool", "set", "--default-prefix-length", "24", "--pool-prefix", "10.65.0.0/16", "ours")
    assert openstack.data("subnet", "pool", "show", "ours")["default_prefixlen"] == 24
    assert openstack.data("network", "create", "--tag", "red", "web")["tags"] == ["red"]
    assert [network["Name"] for network in openstack.data("network", "list", "--tags", "red")] == ["web"]
    made = openstack.data("subnet", "create", "--network", "web", "--subnet-pool", "ours", "web-4")
    assert (made["cidr"], made["subnetpool_id"]) == ("10.64.0.0/24", pool["id"])
    openstack("subnet", "set", "--dns-nameserver", "192.0.2.53", "--name", "shop-4", "web-4")
    openstack("network", "set", "--name", "shop", "web")
    assert openstack.data("network", "show", "shop")["tags"] == ["red"]
    openstack("router", "create", "gate")
    openstack("router", "set", "--external-gateway", "public", "--name", "door", "gate")
    openstack("router", "add", "subnet", "door", "shop-4")
    shown = openstack.data("router", "show", "door")
    assert [each["ip_address"] for each in shown["interfaces_info"]] == ["10.64.0.1"]
    assert shown["external_gateway_info"]["external_fixed_ips"][0]["ip_address"].startswith("198.51.100.")
    (port,) = openstack.data("port", "list", "--router", "door")
    for command in (("network", "delete", "shop"), ("subnet", "delete", "shop-4"), ("router", "delete", "door")):
        refused = openstack.run(*command)
        assert refused.status != 0
        assert "is in use by" in refused.errors + refused.output
    openstack("router", "remove", "port", "door", port["ID"])
    openstack("router", "unset", "--external-gateway", "door")
    openstack("router", "delete", "door")
    openstack("subnet", "delete", "shop-4")
    openstack("network", "delete", "shop")
    openstack("subnet", "pool", "delete", "ours")
    assert [network["Name"] for network in openstack.data("network", "list")] == ["private", "public"]


@with_neutron
def test_security_groups(openstack: OpenStackCommand, services: tuple[Service, ...]) -> None:
    server = _boot(openstack, "vm")
    web = openstack.data("security", "group", "create", "--description", "Open", "web")
    assert {rule["direction"] for rule in web["rules"]} == {"egress"}
    rule = openstack.data("security", "group", "rule", "create", "--protocol", "tcp", "--dst-port", "80:443", "web")
    assert (rule["port_range_min"], rule["port_range_max"], rule["remote_ip_prefix"]) == (80, 443, "0.0.0.0/0")
    other = openstack.data(
        *("security", "group", "rule", "create", "--egress", "--ethertype", "IPv6", "--protocol", "ipv6-icmp"),
        *("--icmp-type", "128", "--remote-group", "default", "web"),
    )
    assert (other["direction"], other["ether_type"], other["port_range_min"]) == ("egress", "IPv6", 128)
    assert len(openstack.data("security", "group", "rule", "list", "--ingress", "web")) == 1

    openstack("server", "add", "security", "group", "vm", "web")
    (port,) = openstack.data("port", "list", "--server", server, "--long")
    assert len(openstack.data("port", "show", port["ID"])["security_group_ids"]) == 2
    refused = openstack.run("security", "group", "delete", "web")
    assert refused.status != 0
    openstack("port", "set", "--no-security-group", port["ID"])
    openstack("port", "set", "--security-group", "default", port["ID"])
    openstack("security", "group", "rule", "delete", rule["id"])
    openstack("security", "group", "set", "--name", "shop", "web")
    openstack("security", "group", "delete", "shop")
    assert [group["Name"] for group in openstack.data("security", "group", "list")] == ["default"]


def test_where_there_is_no_neutron(openstack: OpenStackCommand) -> None:
    """Servers and their groups go by nova alone; for floating IPs, the command has known no other way than Neutron since 10.0."""
    assert {entry["Type"] for entry in openstack.data("catalog", "list")} == {"identity", "compute", "image"}
    made = openstack.data("server", "create", "--image", "tiny", "--flavor", "m1.tiny", "--wait", "vm")
    assert made["status"] == "ACTIVE"
    refused = openstack.run("floating", "ip", "create", "public")
    assert refused.status != 0
    openstack("server", "delete", "--wait", "vm")
