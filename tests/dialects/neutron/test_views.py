"""What belongs to one project, and what an administrator sees."""

from ipaddress import IPv4Network

import pytest

from mooring.model.nouns import Network, NetworkKind
from mooring.operations import NewForwarding, NewInstance, NewNetwork, NewNic
from mooring.operations.hosts import HostLinks
from tests.cloud import FLAVORS, IMAGES, Cloud
from tests.dialects.neutron.conftest import Client


@pytest.fixture
def own(cloud: Cloud) -> Network:
    """A network of alice's project alone."""
    project = cloud.caller("alice").project.id
    new = NewNetwork("own", IPv4Network("10.7.0.0/24"), kind=NetworkKind.VLAN, project=project)
    return cloud.operations.networks.create(cloud.caller("root"), new)


@pytest.mark.parametrize("resource", ["network", "subnet", "router"])
def test_what_is_one_projects_others_do_not_see(
    own: Network, alice: Client, bob: Client, root: Client, resource: str
) -> None:
    wanted = str(own.router if resource == "router" else own.id)
    for client, seen in ((alice, True), (bob, False), (root, True)):
        ids = [each["id"] for each in client.get(f"/{resource}s")[f"{resource}s"]]
        assert (wanted in ids) is seen
        answer = client("GET", f"/{resource}s/{wanted}")
        assert answer.status_code == (200 if seen else 404)
        if seen:
            assert answer.json()[resource]["project_id"] == own.project
    missing = "deadbeef-0000-4000-8000-000000000000"
    told, made_up = bob("GET", f"/{resource}s/{wanted}"), bob("GET", f"/{resource}s/{missing}")
    assert told.text.replace(wanted, missing) == made_up.text


def test_a_router_has_no_way_out_before_it_needs_one(cloud: Cloud, own: Network, alice: Client) -> None:
    assert alice.get(f"/routers/{own.router}")["router"]["external_gateway_info"] is None
    cloud.operations.hosts.register("host1", compute=True, gateway=True, links=HostLinks(vlan_interface="eth9"))
    caller = cloud.caller("alice")
    new = NewInstance("vm", IMAGES[0].id, FLAVORS[0].id, (NewNic(own.id),))
    cloud.operations.instances.create(caller, new)
    (pool,) = cloud.operations.pools.listing(caller)
    assert alice.get(f"/routers/{own.router}")["router"]["external_gateway_info"]["network_id"] == pool.id


def test_administrators_see_everybodys_things(cloud: Cloud, alice: Client, bob: Client, root: Client) -> None:
    first, second = cloud.boot(cloud.caller("alice")), cloud.boot(cloud.caller("bob"))
    ports = {first.nics[0].id: first.project, second.nics[0].id: second.project}
    assert {port["id"]: port["project_id"] for port in root.get("/ports")["ports"]} == ports
    assert [port["id"] for port in alice.get("/ports")["ports"]] == [first.nics[0].id]
    floating = [cloud.operations.addresses.allocate(cloud.caller(user), None) for user in ("alice", "bob")]
    owners = {each.id: each.project for each in floating}
    assert {each["id"]: each["project_id"] for each in root.get("/floatingips")["floatingips"]} == owners
    assert root.get(f"/floatingips?project_id={first.project}&fields=id") == {"floatingips": [{"id": floating[0].id}]}
    assert root("DELETE", f"/floatingips/{floating[1].id}").status_code == 204
    assert bob.get("/floatingips") == {"floatingips": []}
    theirs = {group["project_id"] for group in root.get("/security-groups")["security_groups"]}
    assert theirs == {first.project, second.project, cloud.caller("root").project.id}
    (group,) = bob.get("/security-groups")["security_groups"]
    rule = group["security_group_rules"][0]
    assert root.get(f"/security-group-rules/{rule['id']}")["security_group_rule"] == rule


def test_extensions_are_what_is_served(cloud: Cloud, alice: Client) -> None:
    """A client that finds an extension uses it: each has a resource or an attribute that is really there."""
    served = {
        "allowed-address-pairs": ("ports", "allowed_address_pairs"),
        "expose-port-forwarding-in-fip": ("floatingips", "port_forwardings"),
        "ext-gw-mode": ("routers", "external_gateway_info"),
        "external-net": ("networks", "router:external"),
        "net-mtu": ("networks", "mtu"),
        "project-id": ("networks", "project_id"),
        "router": ("routers", "external_gateway_info"),
        "standard-attr-revisions": ("security-group-rules", "revision_number"),
        "standard-attr-tag": ("subnets", "tags"),
        "standard-attr-timestamp": ("ports", "updated_at"),
        "subnet_allocation": ("subnets", "subnetpool_id"),
        "security-group": ("security-groups", "security_group_rules"),
    }
    forwardings = {
        "floating-ip-port-forwarding": "external_port",
        "floating-ip-port-forwarding-description": "description",
        "floating-ip-port-forwarding-port-ranges": "external_port_range",
    }
    caller = cloud.caller("alice")
    server, floating = cloud.boot(caller), cloud.operations.addresses.allocate(caller, "public")
    new = NewForwarding("tcp", 80, nic=server.nics[0].id)
    cloud.operations.forwardings.create(caller, floating.id, new)
    others = {"pagination", "sorting", "quotas", "quota_details", "floating-ip-port-forwarding-detail"}
    others.add("revision-if-match")  # see test_revisions.py
    aliases = {extension["alias"] for extension in alice.get("/extensions")["extensions"]}
    assert aliases == {*served, *forwardings, *others}
    (forwarding,) = alice.get(f"/floatingips/{floating.id}/port_forwardings")["port_forwardings"]
    assert set(forwardings.values()) <= set(forwarding)
    (shown,) = alice.get(f"/floatingips/{floating.id}")["floatingip"]["port_forwardings"]
    assert (shown["id"], shown["internal_port_id"]) == (forwarding["id"], server.nics[0].id)
    for resource, attribute in served.values():
        assert attribute in alice.get(f"/{resource}")[resource.replace("-", "_")][0]


def test_the_same_key_makes_one_thing(cloud: Cloud, alice: Client) -> None:
    (pool,) = cloud.operations.pools.listing(cloud.caller("alice"))
    alice.headers["Idempotency-Key"] = "once"
    bodies = [alice("POST", "/floatingips", {"floatingip": {"floating_network_id": pool.id}}).json() for _ in range(2)]
    assert bodies[0] == bodies[1]
    assert len(alice.get("/floatingips")["floatingips"]) == 1
