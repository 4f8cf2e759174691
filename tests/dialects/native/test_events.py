"""Events: who changed what, told to whom it concerns."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.cloud import Cloud
from tests.dialects.native.conftest import Client


def told(client: Client, query: str = "") -> list[dict[str, Any]]:
    answer = client("GET", f"/events{query}")
    assert answer.is_success, answer.text
    return list(answer.json()["items"])


def test_a_floating_ip_tells_its_story(cloud: Cloud, alice: Client) -> None:
    instance = cloud.boot(cloud.caller("alice"), "vm")
    made = alice.made("/floating-ips", {})
    path = f"/floating-ips/{made['address']}"
    for _ in range(2):  # the second time nothing changes
        assert alice("PUT", f"{path}/association", {"instance": "vm"}).is_success
    assert alice("DELETE", f"{path}/association").is_success
    assert alice("DELETE", path).is_success
    story = told(alice, f"?object={made['id']}")
    assert [each["action"] for each in story] == [
        "floating_ip.release",
        "floating_ip.disassociate",
        "floating_ip.associate",
        "floating_ip.allocate",
    ]
    assert {each["object"] for each in story} == {made["id"]}
    assert {each["user_name"] for each in story} == {"alice"}
    assert {each["project"] for each in story} == {instance.project}
    assert story[-1]["about"] == {"address": made["address"], "pool": "public"}
    assert story[2]["about"] == {
        "address": made["address"],
        "fixed": str(instance.nics[0].fixed[0].address),
        "nic": instance.nics[0].id,
    }
    numbers = [int(each["id"]) for each in story]
    assert numbers == sorted(numbers, reverse=True)
    assert all(each["request_id"] for each in story)


def test_what_is_refused_or_repeated_is_not_noted_again(alice: Client) -> None:
    for _ in range(2):
        alice.made("/floating-ips", {}, headers={"Idempotency-Key": "k"})
    assert alice("POST", "/floating-ips", {"pool": "no such pool"}).status_code == 404
    assert [each["action"] for each in told(alice)] == ["floating_ip.allocate"]


def test_projects_hear_of_themselves_only_and_administrators_of_all(
    alice: Client, root: Client, as_user: Callable[[str], Client]
) -> None:
    alice.made("/floating-ips", {})
    assert told(as_user("bob")) == []
    assert "floating_ip.allocate" not in {each["action"] for each in told(root)}
    assert "floating_ip.allocate" in {each["action"] for each in told(root, "?every_project=true")}
    assert told(as_user("bob"), "?every_project=true") == []


def test_an_owner_hears_what_an_administrator_did(cloud: Cloud, alice: Client, root: Client) -> None:
    cloud.boot(cloud.caller("alice"), "vm")
    vm = alice("GET", "/instances/vm").json()["id"]
    assert root("DELETE", f"/instances/{vm}").is_success
    (gone,) = told(alice, "?action=instance.delete")
    assert (gone["object"], gone["user_name"], gone["about"]) == (vm, "root", {"name": "vm"})


def test_pages_go_on_where_the_one_before_ended(alice: Client) -> None:
    for name in ("a", "b", "c"):
        alice.made("/security-groups", {"name": name, "description": ""})
    first = alice("GET", "/events?limit=2&action=security_group.create").json()
    rest = alice("GET", f"/events?limit=2&action=security_group.create&after={first['next']}").json()
    assert [each["about"]["name"] for each in first["items"] + rest["items"]] == ["c", "b", "a"]
    assert rest["next"] is None


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "after=x", "after=0", "action=fly", "colour=red"])
def test_a_query_that_cannot_be_is_refused_by_its_field(alice: Client, query: str) -> None:
    answer = alice("GET", f"/events?{query}")
    assert answer.status_code == 422
    assert query.partition("=")[0] in answer.text
