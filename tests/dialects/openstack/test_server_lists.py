"""Which servers a list shows, and in which order."""

import pytest

from tests.cloud import Cloud, StoppedClock
from tests.dialects.openstack.conftest import Client


@pytest.fixture
def fleet(cloud: Cloud) -> dict[str, str]:
    """Three servers of alice's, a minute apart; bob's is between them."""
    assert isinstance(cloud.clock, StoppedClock)
    ids: dict[str, str] = {}
    for user, name in (("alice", "cutter"), ("bob", "barge"), ("alice", "brig"), ("alice", "ark")):
        ids[name] = cloud.boot(cloud.caller(user), name).id
        cloud.clock.advance(60)
    return ids


def _names(client: Client, query: str) -> list[str]:
    response = client("GET", f"/servers/detail?{query}")
    assert response.status_code == 200, response.text
    return [server["name"] for server in response.json()["servers"]]


LISTS = (
    ("", "ark brig cutter"),
    ("sort_key=display_name", "cutter brig ark"),
    ("sort_key=display_name&sort_dir=asc", "ark brig cutter"),
    ("sort_key=created_at&sort_dir=asc", "cutter brig ark"),
    ("sort_key=vm_state&sort_dir=asc&sort_key=name&sort_dir=desc", "cutter brig ark"),
    ("sort_key=vm_state&sort_key=name&sort_dir=asc", "cutter brig ark"),
    ("sort_key=user_id", "ark brig cutter"),
    ("changes-since=2026-05-04T03:03:30Z", "ark brig"),
    ("changes-since=2026-05-04T05:03:30%2B02:00", "ark brig"),
    ("changes-since=2026-05-04T03:03:30", "ark brig"),
    ("changes-since=2000-01-01", "ark brig cutter"),
    ("changes-since=0001-01-01T00:00:00%2B23:59", "ark brig cutter"),
    ("changes-since=9999-12-31T23:59:59-23:59", ""),
    ("deleted=False", "ark brig cutter"),
    ("deleted=True", ""),
    ("name=^b", "brig"),
    ("tenant_id=nobodys", ""),
    ("user_id=nobodys", ""),
    ("all_tenants=1", "ark brig cutter"),
    ("colour=red", "ark brig cutter"),
)


def test_lists(alice: Client, fleet: dict[str, str]) -> None:
    for query, names in LISTS:
        assert _names(alice, query) == names.split(), query


def test_an_administrator_sees_all(cloud: Cloud, alice: Client, fleet: dict[str, str]) -> None:
    root = Client(alice.http, {"X-Auth-Token": cloud.token("root")})
    assert _names(root, "all_tenants=1&sort_key=name&sort_dir=asc") == ["ark", "barge", "brig", "cutter"]
    bob = cloud.caller("bob")
    for query in (f"tenant_id={bob.project.id}", f"project_id={bob.project.id}", f"user_id={bob.user.id}"):
        assert _names(root, f"all_tenants=1&{query}") == ["barge"]


def test_pages_keep_their_order(alice: Client, fleet: dict[str, str]) -> None:
    first = alice("GET", "/servers?limit=2&sort_key=name&sort_dir=asc").json()
    assert [server["name"] for server in first["servers"]] == ["ark", "brig"]
    _, _, following = first["servers_links"][0]["href"].partition("/compute/v2.1")
    assert [server["name"] for server in alice("GET", following).json()["servers"]] == ["cutter"]


REFUSED = (
    ("sort_key=colour", "sort_key 'colour'"),
    ("sort_key=name&sort_dir=up", "sort_dir 'up'"),
    ("sort_dir=asc", "no more sort_dir"),
    ("&".join(["sort_key=name"] * 5), "at most 4 sort_key"),
    ("changes-since=yesterday", "changes-since 'yesterday'"),
    ("changes-since=", "changes-since ''"),
    ("changes-since=2026-13-01", "changes-since '2026-13-01'"),
)


def test_what_is_no_order_and_no_moment(alice: Client, fleet: dict[str, str]) -> None:
    for query, said in REFUSED:
        response = alice("GET", f"/servers?{query}")
        assert response.status_code == 400, query
        assert said in response.json()["badRequest"]["message"]
