"""Who may do what: every route with every kind of caller, and nothing of another project's is ever shown."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from mooring.dialects.http import Lanes
from mooring.dialects.native.app import OPEN_PATHS, build
from mooring.dialects.native.service import Service
from tests.cloud import Cloud
from tests.dialects.native.conftest import Client


@dataclass(frozen=True)
class Rule:
    """A route: an example of its path and body, and the least role that it asks for."""

    path: str
    role: str
    body: Any = None


NETWORK = {"name": "n", "cidr": "10.9.0.0/24"}
POOL = {
    "name": "p",
    "cidr": "203.0.113.0/24",
    "gateway": "203.0.113.1",
    "ranges": [{"first": "203.0.113.5", "last": "203.0.113.9"}],
    "uplink": "u",
    "interface": "eth7",
}
INSTANCE = {"name": "vm2", "image": "tiny", "flavor": "m1.tiny", "networks": [{"network": "private"}]}
FIP = "/floating-ips/198.51.100.11"

PREFERENCE = {"prefix": "192.0.2.0/24", "leave_as": {"pool": "public"}, "instance": "vm"}
GROUP = {"name": "db", "description": "From web only"}
SG = "/security-groups/web"
DOOR = "198.51.100.12"
FORWARDING: dict[str, Any] = {"floating_ip": DOOR, "protocol": "udp", "external_port": 53, "instance": "vm"}

# A route that is not here fails the test below.
RULES = {
    "list_networks": Rule("/networks", "reader"),
    "create_network": Rule("/networks", "admin", NETWORK),
    "show_network": Rule("/networks/private", "reader"),
    "delete_network": Rule("/networks/private", "admin"),
    "list_pools": Rule("/pools", "reader"),
    "create_pool": Rule("/pools", "admin", POOL),
    "show_pool": Rule("/pools/public", "reader"),
    "update_pool": Rule("/pools/public", "admin", {"floating_ips_per_fixed_ip": 2}),
    "grant_pool": Rule("/pools/public/grants/boats", "admin"),
    "withdraw_pool": Rule("/pools/public/grants/boats?release=true", "admin"),
    "set_pool_quota": Rule("/pools/public/quotas/barges", "admin", {"limit": 7}),
    "delete_pool": Rule("/pools/public", "admin"),
    "list_uplinks": Rule("/uplinks", "admin"),
    "update_uplink": Rule("/uplinks/uplink0", "admin", {"misses": 5}),
    "delete_uplink": Rule("/uplinks/uplink0", "admin"),
    "list_floating_ips": Rule("/floating-ips", "reader"),
    "allocate_floating_ip": Rule("/floating-ips", "member", {}),
    "show_floating_ip": Rule(FIP, "reader"),
    "release_floating_ip": Rule(FIP, "member"),
    "associate_floating_ip": Rule(f"{FIP}/association", "member", {"instance": "vm"}),
    "disassociate_floating_ip": Rule(f"{FIP}/association", "member"),
    "list_egress_preferences": Rule("/egress-preferences", "reader"),
    "create_egress_preference": Rule("/egress-preferences", "member", PREFERENCE),
    "show_egress_preference": Rule("/egress-preferences/PREFERENCE", "reader"),
    "update_egress_preference": Rule("/egress-preferences/PREFERENCE", "member", {"leave_as": {"pool": "public"}}),
    "delete_egress_preference": Rule("/egress-preferences/PREFERENCE", "member"),
    "list_port_forwardings": Rule("/port-forwardings", "reader"),
    "create_port_forwarding": Rule("/port-forwardings", "member", FORWARDING),
    "show_port_forwarding": Rule("/port-forwardings/FORWARDING", "reader"),
    "update_port_forwarding": Rule("/port-forwardings/FORWARDING", "member", {"internal_port": 2200}),
    "delete_port_forwarding": Rule("/port-forwardings/FORWARDING", "member"),
    "list_instances": Rule("/instances", "reader"),
    "create_instance": Rule("/instances", "member", INSTANCE),
    "show_instance": Rule("/instances/vm", "reader"),
    "set_power": Rule("/instances/vm/power", "member", {"running": True}),
    "reboot_instance": Rule("/instances/vm/reboot", "member"),
    "delete_instance": Rule("/instances/vm", "member"),
    "show_nic": Rule("/nics/vm", "reader"),
    "add_fixed_address": Rule("/nics/vm/fixed-addresses", "member", {"address": "10.0.0.66"}),
    "remove_fixed_address": Rule("/nics/vm/fixed-addresses/10.0.0.66", "member"),
    "set_allowed_addresses": Rule("/nics/vm/allowed-addresses", "member", {"addresses": ["10.0.0.77"]}),
    "allow_addresses": Rule("/nics/vm/allowed-addresses", "member", {"addresses": ["10.0.0.78"]}),
    "disallow_addresses": Rule("/nics/vm/allowed-addresses?address=10.0.0.77", "member"),
    "delete_nic": Rule("/nics/vm", "member"),
    "create_nic": Rule("/instances/vm/nics", "member", {"network": "private"}),
    "list_security_groups": Rule("/security-groups", "reader"),
    "create_security_group": Rule("/security-groups", "member", GROUP),
    "show_security_group": Rule(f"{SG}", "reader"),
    "update_security_group": Rule(f"{SG}", "member", {"name": "web", "description": "new"}),
    "delete_security_group": Rule(f"{SG}", "member"),
    "create_security_group_rule": Rule(f"{SG}/rules", "member", {"protocol": "tcp"}),
    "delete_security_group_rule": Rule(f"{SG}/rules/RULE", "member"),
    "join_security_group": Rule(f"/instances/vm{SG}", "member"),
    "leave_security_group": Rule(f"/instances/vm{SG}", "member"),
    "list_images": Rule("/images", "reader"),
    "list_flavors": Rule("/flavors", "reader"),
    "list_hosts": Rule("/hosts", "admin"),
    "show_host": Rule("/hosts/host1", "admin"),
    "show_facts": Rule("/hosts/host1/facts", "admin"),
    "list_quotas": Rule("/quotas", "reader"),
    "set_quota": Rule("/quotas/instances", "admin", {"limit": 3}),
    "list_projects": Rule("/projects", "reader"),
    "create_project": Rule("/projects", "admin", {"name": "fleet"}),
    "show_project": Rule("/projects/boats", "reader"),
    "update_project": Rule("/projects/boats", "admin", {"description": "new"}),
    "delete_project": Rule("/projects/boats", "admin"),
    "list_users": Rule("/users", "reader"),
    "create_user": Rule("/users", "admin", {"name": "nell", "password": "secret"}),
    "show_user": Rule("/users/ME", "reader"),
    "update_user": Rule("/users/ME", "admin", {"description": "new"}),
    "delete_user": Rule("/users/ME", "admin"),
    "change_password": Rule("/password", "reader", {"old": "pw-ME", "new": "pw-ME"}),
    "list_roles": Rule("/roles?user=ME", "reader"),
    "grant_role": Rule("/projects/boats/users/ME/roles/reader", "admin"),
    "revoke_role": Rule("/projects/boats/users/ME/roles/reader", "admin"),
    "list_keys": Rule("/keys", "reader"),
    "create_key": Rule("/keys", "reader", {"name": "ci"}),
    "show_key": Rule("/keys/ci", "reader"),
    "delete_key": Rule("/keys/ci", "reader"),
    "list_events": Rule("/events", "reader"),
    "trace_packet": Rule("/trace", "admin", {"source": "10.0.0.2", "destination": "192.0.2.1"}),
}
RANKS = {"rita": 0, "alice": 1, "root": 2}
NEEDED = {"reader": 0, "member": 1, "admin": 2}


@pytest.fixture
def operations(cloud: Cloud) -> dict[str, str]:
    """The method of every operation of the API, by the operation's id."""
    api = build(Service(cloud.operations, Lanes()))
    paths = api.openapi()["paths"]
    return {each["operationId"]: method.upper() for path in paths.values() for method, each in path.items()}


@pytest.fixture
def things(cloud: Cloud, alice: Client) -> None:
    """An instance, a floating IP and a security group of the project boats."""
    alice.made("/security-groups", {"name": "web"})
    alice.made("/floating-ips", {})
    alice.made("/egress-preferences", {"prefix": "100.64.0.0/16", "leave_as": {"pool": "public"}})
    cloud.boot(cloud.caller("alice"), "vm")
    assert alice("PUT", f"{FIP}/association", {"instance": "vm"}).status_code == 200
    assert alice.made("/floating-ips", {})["address"] == DOOR
    alice.made("/port-forwardings", {**FORWARDING, "protocol": "tcp", "external_port": 22})


def test_every_route_has_a_rule(operations: dict[str, str]) -> None:
    assert set(operations) == set(RULES)


@pytest.mark.parametrize("token", [None, "", "nonsense", "x" * 5000])
def test_without_a_valid_token_nothing_is_answered(
    http: httpx2.Client, operations: dict[str, str], token: str | None
) -> None:
    headers = {} if token is None else {"X-Auth-Token": token}
    for name, rule in RULES.items():
        # A malformed body: who calls is asked first.
        answer = http.request(operations[name], f"/v1{rule.path}", content=b"{", headers=headers)
        assert answer.status_code == 401, name
        assert answer.json()["type"] == "urn:mooring:unauthenticated"
    for path in OPEN_PATHS - {""}:
        assert http.get(f"/v1{path}", headers=headers).status_code == 200


def test_a_bearer_token_is_one_too(cloud: Cloud, http: httpx2.Client) -> None:
    token = cloud.token("alice")
    assert http.get("/v1/instances", headers={"Authorization": f"Bearer {token}"}).status_code == 200
    assert http.get("/v1/instances", headers={"Authorization": f"Basic {token}"}).status_code == 401


@pytest.mark.parametrize("user", ["rita", "alice"])
def test_a_role_that_is_too_low_is_refused(
    operations: dict[str, str], things: None, as_user: Callable[[str], Client], user: str
) -> None:
    client = as_user(user)
    for name, rule in RULES.items():
        if NEEDED[rule.role] > RANKS[user]:
            answer = client(operations[name], rule.path.replace("ME", user), rule.body)
            assert answer.status_code == 403, f"{name}: {answer.text}"
            assert answer.json()["type"] == "urn:mooring:forbidden"


@pytest.mark.parametrize("user", ["rita", "alice", "root"])
def test_the_role_that_is_asked_for_is_enough(
    cloud: Cloud, operations: dict[str, str], things: None, as_user: Callable[[str], Client], user: str
) -> None:
    client = as_user(user)
    own, door = FIP, DOOR
    if user == "root":  # the same things, in the administrator's own project
        own = f"/floating-ips/{client.made('/floating-ips', {})['address']}"
        cloud.boot(cloud.caller("root"), "vm")
        client.made("/security-groups", {"name": "web"})
        client.made("/egress-preferences", {"prefix": "100.64.0.0/16", "leave_as": {"pool": "public"}})
        door = client.made("/floating-ips", {})["address"]
        client.made("/port-forwardings", {**FORWARDING, "floating_ip": door, "external_port": 22})
    forwarding = client("GET", "/port-forwardings").json()["items"][0]["id"]
    preference = client("GET", "/egress-preferences").json()["items"][0]["id"]
    for name, rule in RULES.items():
        if name.startswith("delete_") or name in {
            "release_floating_ip",
            "disassociate_floating_ip",
            "leave_security_group",
            "change_password",
        }:
            continue  # they would take away what the others need
        if NEEDED[rule.role] <= RANKS[user]:
            path = rule.path.replace(FIP, own).replace("ME", user).replace("PREFERENCE", preference)
            path = path.replace("FORWARDING", forwarding)
            body = {**rule.body, "floating_ip": door} if rule.body is FORWARDING else rule.body
            answer = client(operations[name], path, body)
            assert answer.is_success, f"{name}: {answer.text}"


def test_another_project_finds_nothing(operations: dict[str, str], things: None, alice: Client, bob: Client) -> None:
    instance = alice("GET", "/instances/vm").json()
    floating = alice("GET", FIP).json()
    own = {
        "/instances/vm": instance["id"],
        FIP: floating["id"],
        SG: alice("GET", SG).json()["id"],
        "/nics/vm": instance["nics"][0]["id"],
        "/egress-preferences/PREFERENCE": alice("GET", "/egress-preferences").json()["items"][0]["id"],
        "/port-forwardings/FORWARDING": alice("GET", "/port-forwardings").json()["items"][0]["id"],
    }
    walked = 0
    for name, rule in RULES.items():
        for path, identity in own.items():
            if not rule.path.startswith(path):
                continue
            for asked in (rule.path, rule.path.replace(path, f"{path.rpartition('/')[0]}/{identity}")):
                answer = bob(operations[name], asked, rule.body)
                missing = bob(
                    operations[name],
                    asked.replace(identity, "no-such").replace("vm", "no-such").replace("web", "none"),
                    rule.body,
                )
                assert answer.status_code == 404, f"{name} {asked}: {answer.text}"
                assert answer.json()["type"] == "urn:mooring:not-found"
                assert missing.status_code == 404
                walked += 1
    assert walked == 58
    assert bob("POST", "/port-forwardings", {**FORWARDING, "floating_ip": floating["id"]}).status_code == 404
    assert bob("GET", f"/port-forwardings?floating_ip={DOOR}").status_code == 404
    # Nor can bob's own address lead to alice's instance.
    mine = bob.made("/floating-ips", {})
    assert bob("PUT", f"/floating-ips/{mine['address']}/association", {"instance": instance["id"]}).status_code == 404
    assert [bob("GET", path).json()["items"] for path in ("/instances",)] == [[]]
    assert [each["id"] for each in bob("GET", "/floating-ips").json()["items"]] == [mine["id"]]
    assert bob("GET", "/instances?every_project=true").json()["items"] == []
    assert bob("GET", "/quotas?project=boats").status_code == 404


def test_only_administrators_see_where_an_instance_runs(things: None, alice: Client, root: Client) -> None:
    assert alice("GET", "/instances/vm").json()["host"] is None
    (everybody,) = root("GET", "/instances?every_project=true").json()["items"]
    assert everybody["host"] is not None
