"""Projects, users, roles and keys over the native API: a life each, and nothing secret in any answer."""

from collections.abc import Callable
from typing import Any

import pytest

from mooring.operations.identity import KeyName
from tests.cloud import Cloud
from tests.dialects.native.conftest import Client


def _log_in(cloud: Cloud, http: Any, user: str, password: str, project: str) -> Client:
    token = cloud.operations.identity.log_in(user=user, user_id=None, password=password, project=project)
    return Client(http, {"X-Auth-Token": token.secret})


def test_a_life_of_an_account(cloud: Cloud, root: Client, http: Any) -> None:
    project = root.made("/projects", {"name": "fleet", "description": "all of it"})
    assert {**project, "id": "?"} == {"id": "?", "name": "fleet", "description": "all of it", "enabled": True}
    user = root.made(
        "/users", {"name": "nell", "password": "secret", "email": "n@example.org", "default_project": "fleet"}
    )
    assert {**user, "id": "?"} == {
        "id": "?",
        "name": "nell",
        "description": "",
        "email": "n@example.org",
        "enabled": True,
        "default_project": project["id"],
    }
    assert root("PUT", "/projects/fleet/users/nell/roles/member").status_code == 204
    assert root("PUT", f"/projects/{project['id']}/users/{user['id']}/roles/member").status_code == 204
    (role,) = root("GET", "/roles?project=fleet").json()["items"]
    assert (role["user"]["name"], role["project"]["name"], role["role"]) == ("nell", "fleet", "member")

    nell = _log_in(cloud, http, "nell", "secret", "fleet")
    assert [each["name"] for each in nell("GET", "/projects").json()["items"]] == ["fleet"]
    assert nell("PUT", "/password", {"old": "secret", "new": "better"}).status_code == 204
    assert nell("GET", "/projects").status_code == 401
    nell = _log_in(cloud, http, "nell", "better", "fleet")

    assert root("PUT", "/users/nell", {"enabled": False}).json()["enabled"] is False
    assert nell("GET", "/projects").status_code == 401
    assert root("DELETE", "/projects/fleet/users/nell/roles/member").status_code == 204
    assert root("DELETE", "/projects/fleet/users/nell/roles/member").status_code == 404
    assert root("DELETE", "/users/nell").status_code == 204
    assert root("PUT", "/projects/fleet", {"name": "armada"}).json()["name"] == "armada"
    assert root("DELETE", "/projects/armada").status_code == 204
    assert root("GET", "/projects/armada").status_code == 404


def test_a_key_and_its_secret(cloud: Cloud, alice: Client, bob: Client, root: Client, http: Any) -> None:
    made = alice.made("/keys", {"name": "ci", "expires": "2030-01-31T12:00:00+01:00", "description": "for the tests"})
    assert (made["roles"], made["restricted"], made["expires"]) == (["member"], True, "2030-01-31T11:00:00Z")
    shown = alice("GET", "/keys/ci").json()
    assert shown == {name: value for name, value in made.items() if name != "secret"}
    assert alice("GET", "/keys").json()["items"] == [shown]
    assert root("GET", "/keys?user=alice").json()["items"] == [shown]
    assert root("GET", f"/keys/{made['id']}").json() == shown
    assert bob("GET", f"/keys/{made['id']}").json()["detail"] == f"Key {made['id']} could not be found."
    assert bob("GET", "/keys?user=alice").status_code == 404
    assert bob("DELETE", f"/keys/{made['id']}").status_code == 404
    token = cloud.operations.identity.log_in_by_key(KeyName(made["id"]), made["secret"])
    program = Client(http, {"X-Auth-Token": token.secret})
    assert program("GET", "/instances").status_code == 200
    assert program("POST", "/keys", {"name": "more"}).status_code == 403
    assert alice("DELETE", "/keys/ci").status_code == 204
    assert program("GET", "/instances").status_code == 401


@pytest.mark.parametrize("old, status", [("wrong", 401), ("pw-alice", 204)])
def test_one_s_password_is_changed_by_who_knows_it(alice: Client, old: str, status: int) -> None:
    assert alice("PUT", "/password", {"old": old, "new": "better"}).status_code == status
    assert alice("GET", "/projects").status_code == (200 if status == 401 else 401)


def test_what_contradicts_what_exists(root: Client, alice: Client) -> None:
    for path, body in (("/projects", {"name": "boats"}), ("/users", {"name": "alice"})):
        refused = root("POST", path, body)
        assert (refused.status_code, refused.json()["field"]) == (409, "name")
    assert root("PUT", "/users/alice", {"name": "bob"}).status_code == 409
    alice.made("/floating-ips", {})
    refused = root("DELETE", "/projects/boats")
    assert refused.json()["type"] == "urn:mooring:in-use"
    assert refused.json()["detail"] == "Project boats is in use by 1 floating IP."
    assert root("DELETE", "/users/root").status_code == 409
    assert root("PUT", "/projects/boats/users/alice/roles/captain").status_code == 422


def test_nobody_sees_others(as_user: Callable[[str], Client]) -> None:
    alice = as_user("alice")
    for path in ("/users/bob", "/projects/barges", "/roles?user=bob", "/roles?project=barges"):
        foreign, unknown = alice("GET", path), alice("GET", path.replace("bob", "nob").replace("barges", "nob"))
        assert foreign.status_code == unknown.status_code == 404
        assert foreign.json()["detail"].replace("bob", "nob").replace("barges", "nob") == unknown.json()["detail"]
    assert [each["name"] for each in alice("GET", "/users").json()["items"]] == ["alice"]
    assert [each["user"]["name"] for each in alice("GET", "/roles").json()["items"]] == ["alice"]
