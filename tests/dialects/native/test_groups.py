"""Security groups in the native API: what is shown of rules, and the membership of an instance or of one NIC."""

from typing import Any

from tests.dialects.native.conftest import Client
from tests.dialects.native.test_rights import INSTANCE

RULES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"protocol": "TCP", "ports": {"first": 22, "last": 23}}, {"protocol": "tcp", "ports": {"first": 22, "last": 23}}),
    ({"protocol": 17, "direction": "egress"}, {"protocol": "udp", "direction": "egress"}),
    ({"protocol": "icmp", "icmp": {"type": 3}}, {"protocol": "icmp", "icmp": {"type": 3, "code": None}}),
    ({"protocol": "icmp", "icmp": {"type": 3, "code": 4}}, {"protocol": "icmp", "icmp": {"type": 3, "code": 4}}),
    (
        {"protocol": "icmp", "remote_prefix": "2001:db8::/32"},
        {"family": 6, "protocol": "icmpv6", "remote_prefix": "2001:db8::/32"},
    ),
    ({"protocol": "253", "remote_prefix": "10.0.0.0/8"}, {"protocol": "253", "remote_prefix": "10.0.0.0/8"}),
]
ANY = {
    "direction": "ingress",
    "family": 4,
    "protocol": None,
    "ports": None,
    "icmp": None,
    "remote_prefix": None,
    "remote_group": None,
}


def test_a_rule_is_shown_as_it_was_meant(alice: Client) -> None:
    web = alice.made("/security-groups", {"name": "web"})
    shown = []
    for wish, expected in RULES:
        made = alice.made("/security-groups/web/rules", wish)
        assert made == {**ANY, "id": made["id"], **expected}
        shown.append(made)
    remote = alice.made(f"/security-groups/{web['id']}/rules", {"remote_group": "default"})
    assert remote["remote_group"]["name"] == "default"
    assert alice("GET", "/security-groups/web").json()["rules"][2:] == [*shown, remote]
    assert alice("DELETE", f"/security-groups/default/rules/{remote['id']}").status_code == 404
    assert alice("DELETE", f"/security-groups/web/rules/{remote['id']}").status_code == 204
    assert alice("DELETE", f"/security-groups/web/rules/{remote['id']}").status_code == 404


def test_an_instance_joins_and_leaves(alice: Client) -> None:
    alice.made("/security-groups", {"name": "web"})
    body = {**INSTANCE, "networks": [{"network": "private"}] * 2, "security_groups": []}
    nics = alice.made("/instances", body)["nics"]
    assert [nic["security_groups"] for nic in nics] == [[], []]
    path = "/instances/vm2/security-groups/web"
    one = alice("PUT", path, params={"nic": nics[1]["id"]}).json()
    assert [nic["security_groups"] for nic in one["nics"]] == [[], ["web"]]
    for _ in range(2):  # what is so already stays so
        both = alice("PUT", path)
        assert both.status_code == 200
        assert [nic["security_groups"] for nic in both.json()["nics"]] == [["web"], ["web"]]
    refused = alice("DELETE", "/security-groups/web")
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:mooring:in-use")
    assert "vm2" in refused.json()["detail"]
    assert alice("DELETE", path).status_code == 204
    gone = alice("DELETE", path)
    assert (gone.status_code, gone.json()["field"]) == (409, "security_group")
    assert alice("PUT", path, params={"nic": "nowhere"}).status_code == 404
    assert alice("DELETE", "/security-groups/web").status_code == 204


def test_groups_are_renamed_and_listed(alice: Client, root: Client) -> None:
    made = alice.made("/security-groups", {"name": "web", "description": "first"})
    changed = alice("PUT", "/security-groups/web", {"name": "www", "description": "second"}).json()
    assert changed == {**made, "name": "www", "description": "second"}
    assert [each["id"] for each in alice("GET", "/security-groups?name=www").json()["items"]] == [made["id"]]
    everybody = root("GET", "/security-groups?every_project=true").json()["items"]
    assert made["id"] in {each["id"] for each in everybody}
    refused = alice("POST", "/security-groups", {"name": "www"})
    assert (refused.status_code, refused.json()["field"]) == (409, "name")
    assert alice("DELETE", "/security-groups/default").status_code == 409
