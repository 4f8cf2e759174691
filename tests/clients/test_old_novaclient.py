"""python-novaclient 2.18.1 of 2014, unmodified, by Keystone v2.0 and the catalogue's URL, in its own Python environment."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from mooring.demos.old_nova import NovaRefused, OldNova
from tests.cloud import PASSWORDS, Cloud

As = Callable[[str, str], OldNova]


@pytest.fixture
def logged_in(url: str) -> Iterator[As]:
    """The client, as somebody in some project."""
    with ExitStack() as stack:

        def log_in(user: str, project: str) -> OldNova:
            who = {"OS_USERNAME": user, "OS_PASSWORD": PASSWORDS[user], "OS_PROJECT_NAME": project}
            return stack.enter_context(OldNova({"OS_AUTH_URL": f"{url}/identity/v3", **who}))

        yield log_in


@pytest.fixture
def nova(logged_in: As) -> OldNova:
    return logged_in("alice", "boats")


def _boot(nova: OldNova, name: str, **named: object) -> str:
    image = next(image["id"] for image in nova("images.list") if image["name"] == "tiny")
    flavor = next(flavor["id"] for flavor in nova("flavors.list") if flavor["name"] == "m1.tiny")
    server = str(nova("servers.create", name, image, flavor, **named)["id"])
    assert nova("servers.get", server)["status"] == "ACTIVE"
    return server


def _addresses(nova: OldNova, server: str, kind: str) -> list[str]:
    entries = (each for entries in nova("servers.get", server)["addresses"].values() for each in entries)
    return [each["addr"] for each in entries if each["OS-EXT-IPS:type"] == kind]


def test_a_floating_ips_life(nova: OldNova, cloud: Cloud) -> None:
    server, other = _boot(nova, "vm"), _boot(nova, "other")
    assert [pool["name"] for pool in nova("floating_ip_pools.list")] == ["public"]
    made = nova("floating_ips.create", "public")
    address = made["ip"]
    assert (made["pool"], made["instance_id"], made["fixed_ip"]) == ("public", None, None)

    nova("servers.add_floating_ip", server, address)
    assert (_addresses(nova, server, "fixed"), _addresses(nova, server, "floating")) == (["10.0.0.2"], [address])
    nova("servers.add_floating_ip", other, address, "10.0.0.3")
    shown = nova("floating_ips.get", made["id"])
    assert (shown["instance_id"], shown["fixed_ip"]) == (other, "10.0.0.3")
    assert [str(each) for each in cloud.host.public_addresses()] == [address]
    nova("servers.remove_floating_ip", other, address)
    assert cloud.host.public_addresses() == {}

    nova("floating_ips.delete", made["id"])
    assert nova("floating_ips.list") == []
    assert nova("floating_ips.create")["pool"] == "public"
    nova("servers.delete", server)
    assert [each["name"] for each in nova("servers.list")] == ["other"]

    for method, arguments, code, told in (
        ("floating_ips.get", (made["id"],), 404, "Floating IP not found"),
        ("floating_ips.create", ("nowhere",), 404, "Floating IP pool not found"),
        ("servers.add_floating_ip", (other, "nonsense"), 400, "not an IP address"),
        ("servers.remove_floating_ip", (other, address), 404, "floating IP not found"),
    ):
        with pytest.raises(NovaRefused, match=told) as refused:
            nova(method, *arguments)
        assert refused.value.code == code


@pytest.mark.slow
def test_security_groups_networks_and_limits(nova: OldNova, cloud: Cloud) -> None:
    web = nova("security_groups.create", "web", "Open to the world")
    http = nova("security_group_rules.create", web["id"], "tcp", 80, 80)
    assert (http["ip_protocol"], http["from_port"], http["ip_range"]) == ("tcp", 80, {"cidr": "0.0.0.0/0"})
    server = _boot(nova, "vm", security_groups=["web"])
    assert [each["name"] for each in nova("servers.get", server)["security_groups"]] == ["web"]
    nova("servers.add_security_group", server, "default")
    assert [each["name"] for each in nova("servers.list_security_group", server)] == ["default", "web"]
    with pytest.raises(NovaRefused, match="in use"):
        nova("security_groups.delete", web["id"])
    nova("servers.remove_security_group", server, "web")
    nova("security_group_rules.delete", http["id"])
    nova("security_groups.delete", web["id"])
    assert [each["name"] for each in nova("security_groups.list")] == ["default"]

    (network,) = nova("networks.list")
    assert (network["id"], network["label"], network["cidr"]) == (cloud.network.id, "private", "10.0.0.0/24")
    (card,) = nova("virtual_interfaces.list", server)
    (interface,) = nova("servers.interface_list", server)
    assert card["mac_address"] == interface["mac_addr"]
    assert [fixed["ip_address"] for fixed in interface["fixed_ips"]] == ["10.0.0.2"]
    assert nova("limits.get")["absolute"]["maxTotalFloatingIps"] == 10
    zones = nova("availability_zones.list", False)
    assert [zone["zoneName"] for zone in zones] == ["nova"]


@pytest.mark.slow
def test_administration(nova: OldNova, logged_in: As, cloud: Cloud) -> None:
    server = _boot(nova, "vm")
    admin = logged_in("root", "harbour")
    found = admin("fixed_ips.get", "10.0.0.2")
    assert (found["hostname"], found["host"]) == ("vm", "host1")
    admin("floating_ips_bulk.create", "198.51.100.64/30", "public")
    assert [each["address"] for each in admin("floating_ips_bulk.list")][-1] == "198.51.100.66"
    assert [each["binary"] for each in admin("services.list")] == ["nova-compute", "nova-network"]
    project = cloud.caller("alice").project.id
    admin("quotas.update", project, floating_ips=1)
    nova("servers.add_floating_ip", server, nova("floating_ips.create")["ip"])
    with pytest.raises(NovaRefused, match="over quota") as refused:
        nova("floating_ips.create")
    assert refused.value.code == 403


def test_who_may_not_come_in(logged_in: As, url: str) -> None:
    who = {"OS_USERNAME": "alice", "OS_PASSWORD": "wrong", "OS_PROJECT_NAME": "boats"}
    with OldNova({"OS_AUTH_URL": f"{url}/identity", **who}) as stranger:
        with pytest.raises(NovaRefused) as refused:
            stranger("servers.list")
        assert (refused.value.kind, refused.value.code) == ("Unauthorized", 401)
    reader = logged_in("rita", "boats")
    assert reader("servers.list") == []
    with pytest.raises(NovaRefused) as refused:
        reader("floating_ips.create")
    assert (refused.value.kind, refused.value.code) == ("Forbidden", 403)
