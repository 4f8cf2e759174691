"""python-novaclient 7.1.2, the last with floating IPs, unmodified: its Python API and its command."""

from typing import Any

import pytest
from keystoneauth1.identity.v3 import Password
from keystoneauth1.session import Session
from novaclient import exceptions
from novaclient.client import Client
from novaclient.shell import OpenStackComputeShell

from tests.cloud import PASSWORDS, Cloud

# It calls itself deprecated wherever it does what OpenStack no longer has.
pytestmark = pytest.mark.filterwarnings("ignore:.*novaclient.*deprecated:DeprecationWarning:novaclient")


def _session(url: str, user: str = "alice", project: str = "boats") -> Session:
    auth = Password(
        auth_url=f"{url}/identity/v3",
        username=user,
        password=PASSWORDS[user],
        user_domain_name="Default",
        project_name=project,
        project_domain_name="Default",
    )
    return Session(auth)


@pytest.fixture(params=["2.1", "2.35"])
def nova(url: str, request: pytest.FixtureRequest) -> Any:
    return Client(request.param, session=_session(url))


def _boot(nova: Any, name: str = "vm") -> Any:
    image = nova.images.find(name="tiny")
    flavor = nova.flavors.find(name="m1.tiny")
    server = nova.servers.create(name, image, flavor)
    server.get()
    assert server.status == "ACTIVE"
    return server


def _addresses(server: Any, kind: str) -> list[str]:
    server.get()
    return [
        address["addr"]
        for addresses in server.addresses.values()
        for address in addresses
        if address["OS-EXT-IPS:type"] == kind
    ]


def test_floating_ip(nova: Any, cloud: Cloud) -> None:
    server, other = _boot(nova), _boot(nova, "other")
    assert _addresses(server, "fixed") == ["10.0.0.2"]

    assert [pool.name for pool in nova.floating_ip_pools.list()] == ["public"]
    floating = nova.floating_ips.create(pool="public")
    assert (floating.pool, floating.instance_id, floating.fixed_ip) == ("public", None, None)

    server.add_floating_ip(floating)
    assert _addresses(server, "floating") == [floating.ip]
    shown = nova.floating_ips.get(floating.id)
    assert (shown.instance_id, shown.fixed_ip) == (server.id, "10.0.0.2")

    other.add_floating_ip(floating.ip, fixed_address="10.0.0.3")
    assert _addresses(server, "floating") == []
    assert _addresses(other, "floating") == [floating.ip]
    assert [str(address) for address in cloud.host.public_addresses()] == [floating.ip]

    other.remove_floating_ip(floating)
    assert _addresses(other, "floating") == []
    assert cloud.host.public_addresses() == {}

    nova.floating_ips.delete(floating)
    assert nova.floating_ips.list() == []
    with pytest.raises(exceptions.NotFound, match="Floating IP not found for ID"):
        nova.floating_ips.get(floating.id)

    server.delete()
    with pytest.raises(exceptions.NotFound):
        nova.servers.get(server.id)
    assert [each.name for each in nova.servers.list()] == ["other"]


def test_fixed_ips(nova: Any, cloud: Cloud) -> None:
    server = _boot(nova)
    server.add_fixed_ip(cloud.network.id)
    assert _addresses(server, "fixed") == ["10.0.0.2", "10.0.0.3"]
    floating = nova.floating_ips.create()
    server.add_floating_ip(floating, fixed_address="10.0.0.3")
    assert nova.floating_ips.get(floating.id).fixed_ip == "10.0.0.3"
    with pytest.raises(exceptions.Conflict, match=f"floating IP {floating.ip}"):
        server.remove_fixed_ip("10.0.0.3")
    server.remove_floating_ip(floating)
    server.remove_fixed_ip("10.0.0.3")
    assert _addresses(server, "fixed") == ["10.0.0.2"]
    with pytest.raises(exceptions.BadRequest, match=r"doesn't have fixed IP '10\.0\.0\.3'"):
        server.remove_fixed_ip("10.0.0.3")


def test_cards_that_come_and_go(nova: Any, cloud: Cloud) -> None:
    server = _boot(nova)
    made = server.interface_attach(None, cloud.network.id, "10.0.0.66")
    assert [fixed["ip_address"] for fixed in made.fixed_ips] == ["10.0.0.66"]
    assert _addresses(server, "fixed") == ["10.0.0.2", "10.0.0.66"]
    assert {card.port_id for card in server.interface_list()} > {made.port_id}
    server.interface_detach(made.port_id)
    assert _addresses(server, "fixed") == ["10.0.0.2"]
    with pytest.raises(exceptions.NotFound, match=f"does not have a port with id {made.port_id}"):
        server.interface_detach(made.port_id)


def test_default_pool(nova: Any) -> None:
    """floating_ips.create() sends {"pool": null}."""
    assert nova.floating_ips.create().pool == "public"


def test_server_deleted_with_its_address(nova: Any, cloud: Cloud) -> None:
    server = _boot(nova)
    floating = nova.floating_ips.create()
    server.add_floating_ip(floating)
    server.delete()
    (left,) = nova.floating_ips.list()
    assert (left.id, left.instance_id, left.fixed_ip) == (floating.id, None, None)
    assert cloud.host.public_addresses() == {}


def test_refusals(nova: Any) -> None:
    server = _boot(nova)
    with pytest.raises(exceptions.NotFound, match="Floating IP pool not found"):
        nova.floating_ips.create("nowhere")
    with pytest.raises(exceptions.NotFound, match="floating IP not found"):
        server.add_floating_ip("0.0.0.0")  # noqa: S104
    with pytest.raises(exceptions.BadRequest, match="not an IP address"):
        server.add_floating_ip("nonsense")
    with pytest.raises(exceptions.Conflict, match="is not associated with instance"):
        server.remove_floating_ip(nova.floating_ips.create().ip)
    for _ in range(9):
        nova.floating_ips.create()
    with pytest.raises(exceptions.Forbidden, match="IP allocation over quota"):
        nova.floating_ips.create()


def test_networks_and_limits(nova: Any, cloud: Cloud) -> None:
    assert [(network.id, network.label, network.cidr) for network in nova.networks.list()] == [
        (cloud.network.id, "private", "10.0.0.0/24")
    ]
    nova.floating_ips.create()
    limits = {limit.name: limit.value for limit in nova.limits.get().absolute}
    assert (limits["maxTotalFloatingIps"], limits["totalFloatingIpsUsed"]) == (10, 1)


def test_wrong_password(url: str) -> None:
    from keystoneauth1.exceptions import Unauthorized

    session = _session(url)
    session.auth.auth_methods[0].password = "wrong"  # type: ignore[union-attr]
    with pytest.raises(Unauthorized):
        Client("2.1", session=session).servers.list()


def test_security_groups(nova: Any) -> None:
    (default,) = nova.security_groups.list()
    assert default.name == "default"
    assert {rule["group"]["name"] for rule in default.rules} == {"default"}

    web = nova.security_groups.create("web", "Open to the world")
    assert (web.name, web.description, web.rules) == ("web", "Open to the world", [])
    nova.security_groups.update(web, "www", "Still open")
    assert nova.security_groups.get(web.id).name == nova.security_groups.find(name="www").name == "www"

    http = nova.security_group_rules.create(web.id, "tcp", 80, 80)
    assert (http.ip_protocol, http.from_port, http.to_port, http.ip_range) == ("tcp", 80, 80, {"cidr": "0.0.0.0/0"})
    peers = nova.security_group_rules.create(web.id, "udp", 53, 53, group_id=default.id)
    assert peers.group["name"] == "default"
    nova.security_group_rules.create(web.id, "icmp", -1, -1, "192.0.2.0/24")
    assert len(nova.security_groups.get(web.id).rules) == 3
    with pytest.raises(exceptions.BadRequest, match="already exists"):
        nova.security_group_rules.create(web.id, "tcp", 80, 80, "0.0.0.0/0")
    nova.security_group_rules.delete(http.id)
    assert len(nova.security_groups.get(web.id).rules) == 2

    server = nova.servers.create(
        "vm", nova.images.find(name="tiny"), nova.flavors.find(name="m1.tiny"), security_groups=["www"]
    )
    server.get()
    assert [group["name"] for group in server.security_groups] == ["www"]
    server.add_security_group("default")
    assert [group.name for group in server.list_security_group()] == ["default", "www"]
    with pytest.raises(exceptions.BadRequest, match="still in use"):
        nova.security_groups.delete(web)
    server.remove_security_group("www")
    assert [group.id for group in nova.servers.list_security_group(server)] == [default.id]
    nova.security_groups.delete(web)
    with pytest.raises(exceptions.NotFound):
        nova.security_groups.get(web)


def test_names_and_network_cards(nova: Any, cloud: Cloud) -> None:
    server = _boot(nova)
    server.update(name="flagship")
    assert nova.servers.find(name="flagship").id == server.id
    (card,) = nova.virtual_interfaces.list(server.id)
    (interface,) = server.interface_list()
    assert (card.id, card.mac_address) == (interface.port_id, interface.mac_addr)
    assert interface.net_id == cloud.network.id
    assert [fixed["ip_address"] for fixed in interface.fixed_ips] == _addresses(server, "fixed")
    (zone,) = nova.availability_zones.list(detailed=False)
    assert (zone.zoneName, zone.zoneState) == ("nova", {"available": True})


def test_administration(url: str, nova: Any, cloud: Cloud) -> None:
    server = _boot(nova)
    admin = Client(nova.api_version.get_string(), session=_session(url, "root", "harbour"))
    found = admin.fixed_ips.get("10.0.0.2")
    assert (found.hostname, found.host, found.cidr) == (server.name, "host1", "10.0.0.0/24")

    made = admin.floating_ips_bulk.create("198.51.100.64/30", "public")
    assert (made.ip_range, made.pool, made.interface) == ("198.51.100.64/30", "public", "eth0")
    every = [address.address for address in admin.floating_ips_bulk.list()]
    assert every[-2:] == ["198.51.100.65", "198.51.100.66"]
    server.add_floating_ip(nova.floating_ips.create())
    assert [address.instance_uuid for address in admin.floating_ips_bulk.list("host1")] == [server.id]
    admin.floating_ips_bulk.delete("198.51.100.64/30")
    assert [address.address for address in admin.floating_ips_bulk.list()] == every[:-2]

    assert [(each.host, each.state) for each in admin.services.list(binary="nova-compute")] == [("host1", "up")]

    project = cloud.caller("alice").project.id
    assert admin.quotas.update(project, floating_ips=1).floating_ips == 1
    assert nova.quotas.get(project).floating_ips == 1
    with pytest.raises(exceptions.Forbidden, match="IP allocation over quota"):
        nova.floating_ips.create()
    with pytest.raises(exceptions.BadRequest, match="user_id"):
        admin.quotas.update(project, user_id=cloud.caller("alice").user.id, floating_ips=0)
    admin.quotas.delete(project)
    assert nova.quotas.get(project).floating_ips == nova.quotas.defaults(project).floating_ips
    assert nova.quotas.get(project, detail=True).floating_ips["in_use"] == 1
    with pytest.raises(exceptions.Forbidden):
        nova.quotas.update(project, floating_ips=100)


def test_reader(url: str) -> None:
    nova = Client("2.1", session=_session(url, "rita"))
    assert nova.servers.list() == []
    with pytest.raises(exceptions.Forbidden):
        nova.floating_ips.create()


@pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")
def test_nova_command(url: str, cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    """The command of 2017, as people typed it."""
    where = ["--os-auth-url", f"{url}/identity/v3", "--os-username", "alice", "--os-password", PASSWORDS["alice"]]
    where += ["--os-project-name", "boats", "--os-user-domain-name", "Default", "--os-project-domain-name", "Default"]

    def nova(*words: str) -> str:
        capsys.readouterr()
        OpenStackComputeShell().main([*where, *words])
        return capsys.readouterr().out

    nova("boot", "--image", "tiny", "--flavor", "m1.tiny", "vm")
    nova("floating-ip-create", "public")
    assert "198.51.100.11" in nova("floating-ip-list")
    nova("floating-ip-associate", "vm", "198.51.100.11")
    assert "private=10.0.0.2, 198.51.100.11" in nova("list")
    assert len(cloud.host.public_addresses()) == 1
    nova("floating-ip-disassociate", "vm", "198.51.100.11")
    nova("floating-ip-delete", "198.51.100.11")
    assert "198.51.100.11" not in nova("floating-ip-list")
    assert "public" in nova("floating-ip-pool-list")
    assert "10.0.0.0/24" in nova("net-list")
    nova("secgroup-create", "web", "Open to the world")
    assert "80" in nova("secgroup-add-rule", "web", "tcp", "80", "80", "0.0.0.0/0")
    nova("secgroup-add-group-rule", "web", "default", "tcp", "22", "22")
    assert "0.0.0.0/0" in nova("secgroup-list-rules", "web")
    nova("add-secgroup", "vm", "web")
    assert "web" in nova("list-secgroup", "vm")
    nova("remove-secgroup", "vm", "web")
    nova("secgroup-delete-rule", "web", "tcp", "80", "80", "0.0.0.0/0")
    nova("secgroup-delete", "web")
    assert "web" not in nova("secgroup-list")
    nova("delete", "vm")
    assert "vm" not in nova("list")


def test_names(nova: Any, url: str, cloud: Cloud) -> None:
    root = Client("2.35", session=_session(url, "root", "harbour"))
    root.dns_domains.create_public("sea.example.org", None)
    root.dns_domains.create_private("inside", "nova")
    assert [(each.domain, each.scope) for each in nova.dns_domains.domains()] == [
        ("inside", "private"),
        ("sea.example.org", "public"),
    ]
    address = nova.floating_ips.create().ip
    nova.dns_entries.create("sea.example.org", "ferry", address, "A")
    assert nova.dns_entries.get("sea.example.org", "ferry").ip == address
    assert [each.name for each in nova.dns_entries.get_for_ip("sea.example.org", address)] == ["ferry"]
    found = cloud.operations.names.ask("ferry.sea.example.org")
    assert found is not None
    assert str(found.address) == address
    nova.dns_entries.delete("sea.example.org", "ferry")
    with pytest.raises(exceptions.NotFound):
        nova.dns_entries.get("sea.example.org", "ferry")
    root.dns_domains.delete("sea.example.org")
    assert [each.domain for each in nova.dns_domains.domains()] == ["inside"]


def test_power(nova: Any) -> None:
    server = _boot(nova)
    server.stop()
    server.get()
    assert server.status == "SHUTOFF"
    assert [each.id for each in nova.servers.list(search_opts={"status": "SHUTOFF"})] == [server.id]
    with pytest.raises(exceptions.Conflict):
        server.reboot()
    server.start()
    for kind in ("SOFT", "HARD"):
        server.reboot(reboot_type=kind)
        server.get()
        assert (server.status, _addresses(server, "fixed")) == ("ACTIVE", ["10.0.0.2"])
