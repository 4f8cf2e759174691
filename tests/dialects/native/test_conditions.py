"""Conditional requests: what can be shown alone has a version, and what names an old one changes nothing."""

from typing import Any

import httpx2
import pytest

from tests.cloud import Cloud
from tests.dialects.native.conftest import Client

GROUP = "/security-groups/web"
FIP = "/floating-ips/198.51.100.11"


@pytest.fixture
def preference(cloud: Cloud, alice: Client) -> str:
    """An egress preference beside an instance, a floating IP and a security group."""
    alice.made("/security-groups", {"name": "web"})
    alice.made("/floating-ips", {})
    cloud.boot(cloud.caller("alice"), "vm")
    made = alice.made("/egress-preferences", {"prefix": "100.64.0.0/16", "leave_as": {"pool": "public"}})
    return f"/egress-preferences/{made['id']}"


def _tag(client: Client, path: str) -> str:
    answer = client("GET", path)
    assert answer.is_success, answer.text
    return str(answer.headers["etag"])


def _if(tag: str) -> dict[str, str]:
    return {"If-Match": tag}


def test_what_was_changed_meanwhile_is_left_alone(alice: Client, root: Client, preference: str) -> None:
    other = {"leave_as": {"pool": "public"}, "fallback": None}
    changes: list[tuple[Client, str, str, Any, Any]] = [
        (root, "/pools/public", "PUT", {"floating_ips_per_fixed_ip": 2}, {"floating_ips_per_fixed_ip": 3}),
        (alice, GROUP, "PUT", {"name": "web", "description": "x"}, {"name": "web", "description": "y"}),
        (root, "/projects/barges", "PUT", {"description": "x"}, {"description": "y"}),
        (root, "/users/bob", "PUT", {"email": "x"}, {"email": "y"}),
    ]
    for client, path, method, first, second in changes:
        tag = _tag(client, path)
        assert _tag(client, path) == tag
        changed = client(method, path, first, headers=_if(tag))
        assert changed.is_success, changed.text
        assert changed.headers["etag"] == _tag(client, path) != tag
        before = client("GET", path).json()
        refused = client(method, path, second, headers=_if(tag))
        assert (refused.status_code, refused.json()["type"]) == (412, "urn:mooring:changed"), path
        assert refused.headers["content-type"] == "application/problem+json"
        assert client("GET", path).json() == before
        # Several are meant as any of them, a weak one is none, and a star is whatever there is.
        assert client(method, path, second, headers=_if(f"W/{changed.headers['etag']}")).status_code == 412
        assert client(method, path, second, headers=_if(f'"0", {changed.headers["etag"]}')).is_success
        assert client(method, path, first, headers=_if("*")).is_success
    tag = _tag(alice, preference)
    assert alice("PUT", preference, other, headers=_if(tag)).is_success


def test_what_was_changed_meanwhile_is_not_deleted(alice: Client, root: Client, preference: str) -> None:
    root.made("/networks", {"name": "n", "cidr": "10.9.0.0/24"})
    for client, path in (
        (alice, preference),
        (alice, GROUP),
        (alice, "/instances/vm"),
        (alice, FIP),
        (root, "/networks/n"),
        (root, "/pools/public"),
    ):
        tag = _tag(client, path)
        assert client("DELETE", path, headers=_if('"another"')).status_code == 412, path
        assert _tag(client, path) == tag
        assert client("DELETE", path, headers=_if(tag)).status_code == 204, path
        assert client("DELETE", path, headers=_if(tag)).status_code == 404, path


def test_an_address_that_was_moved_meanwhile_is_not_taken_back(alice: Client, preference: str) -> None:
    tag = _tag(alice, FIP)
    association = f"{FIP}/association"
    associated = alice("PUT", association, {"instance": "vm"}, headers=_if(tag))
    assert associated.headers["etag"] == _tag(alice, FIP) != tag
    for method, body in (("PUT", {"instance": "vm"}), ("DELETE", None)):
        assert alice(method, association, body, headers=_if(tag)).status_code == 412
    assert alice("GET", FIP).json()["association"] is not None
    assert alice("DELETE", association, headers=_if(associated.headers["etag"])).status_code == 204
    assert _tag(alice, FIP) == tag


def test_use_is_no_change_of_a_pool(alice: Client, root: Client) -> None:
    tag = _tag(root, "/pools/public")
    alice.made("/floating-ips", {})
    assert _tag(alice, "/pools/public") == _tag(root, "/pools/public") == tag


@pytest.mark.parametrize("said", ["nonsense", '"a" "b"', "", '"' + "a" * 3000 + '"', '"a",,"b"'])
def test_what_is_no_condition_is_refused(root: Client, said: str) -> None:
    answer = root("PUT", "/pools/public", {"public": False}, headers=_if(said))
    assert (answer.status_code, answer.json()["field"]) == (422, "If-Match")
    assert root("GET", "/pools/public").json()["public"] is True


def test_no_condition_is_passed_over(root: Client) -> None:
    for method, path, body in (
        ("PUT", "/quotas/instances", {"limit": 3}),
        ("POST", "/floating-ips", {}),
        ("PUT", "/pools/public/grants/boats", None),
    ):
        answer = root(method, path, body, headers=_if("*"))
        assert (answer.status_code, answer.json()["detail"]) == (412, "If-Match: there is no version to compare here.")
    assert root("GET", "/floating-ips").json()["items"] == []
    assert root("GET", "/pools/public", headers=_if('"x"')).is_success


def test_the_document_tells_of_it(http: httpx2.Client) -> None:
    paths = http.get("/v1/openapi.json").json()["paths"]
    pool = paths["/pools/{pool}"]
    assert "ETag" in pool["get"]["responses"]["200"]["headers"]
    for method in ("put", "delete"):
        assert "If-Match" in {each["name"] for each in pool[method]["parameters"]}
