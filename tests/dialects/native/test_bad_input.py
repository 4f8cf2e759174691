"""Bad input: a clear error that names the field, nothing changes, and never 5xx."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cloud import Cloud
from tests.dialects.native.conftest import Client
from tests.dialects.native.test_rights import INSTANCE, NETWORK, POOL


def _with(good: dict[str, Any], **changed: Any) -> dict[str, Any]:
    return {name: value for name, value in {**good, **changed}.items() if value is not ...}


_RANGE = {"first": "203.0.113.5", "last": "203.0.113.9"}
NAMES = ["", "  ", "a\nb", "x" * 256, 'tab\t"', "\u202eevil", "\x07", 7, None, ["n"]]
MOMENTS: list[Any] = ["2020-01-01T00:00:00Z", "2030-01-01T00:00:00", "tomorrow", 2000000000, "2030-13-01T00:00:00Z", {}]
NO_OBJECTS: list[Any] = [[], "text", 7, None, True]
BAD: list[tuple[str, Any, str]] = [
    *(("/networks", _with(NETWORK, name=name), "name") for name in NAMES),
    ("/networks", _with(NETWORK, name=...), "name"),
    *(
        ("/networks", _with(NETWORK, cidr=cidr), "cidr")
        for cidr in (
            *(
                "10.9.0.1/24",
                "10.9.0.0/255.255.255.0",
                "10.9.0.0",
                "10.9.0.0/33",
                "10.9.0.0/31",
                "fd00::/64",
                "127.0.0.0/8",
            ),
            *("0.0.0.0/0", "224.0.0.0/24", 167772160, None, "10.9.0.0/24; drop", "10.9.0.0/24\n", ["10.9.0.0/24"]),
        )
    ),
    ("/networks", _with(NETWORK, gateway="10.8.0.1"), "gateway"),
    ("/networks", _with(NETWORK, gateway="10.9.0.255"), "gateway"),
    ("/networks", _with(NETWORK, gateway=168361985), "gateway"),
    ("/networks", _with(NETWORK, mtu=100), "mtu"),
    ("/networks", _with(NETWORK, mtu="1500"), "mtu"),
    ("/networks", _with(NETWORK, mtu=True), "mtu"),
    ("/networks", _with(NETWORK, mtu=1e3), "mtu"),
    ("/networks", _with(NETWORK, dns=["dns.example"]), "dns.0"),
    ("/networks", _with(NETWORK, dns="192.0.2.53"), "dns"),
    ("/networks", _with(NETWORK, dns=[f"192.0.2.{number}" for number in range(9)]), "dns"),
    ("/networks", _with(NETWORK, kind="vlan of some kind"), "kind"),
    ("/networks", _with(NETWORK, vlan=3), "vlan"),
    *(("/security-groups", {"name": name}, "name") for name in NAMES),
    ("/security-groups", {"name": "g", "description": "a\nb"}, "description"),
    ("/security-groups", {"name": "g", "description": "x" * 256}, "description"),
    ("/security-groups", {"name": "g", "colour": "red"}, "colour"),
    *(
        ("/security-groups/default/rules", {"protocol": protocol}, "protocol")
        for protocol in ("tpc", "tcp;", "256", 256, -2, "6.0", "\u0666", True, "x" * 5000)
    ),
    *(
        ("/security-groups/default/rules", {"protocol": "tcp", "ports": {"first": first, "last": last}}, "ports")
        for first, last in ((80, 22), (0, 5), (80, 65536), (-1, -1), (2**62, 2**62))
    ),
    ("/security-groups/default/rules", {"ports": {"first": 22, "last": 22}}, "ports"),
    ("/security-groups/default/rules", {"protocol": "gre", "ports": {"first": 22, "last": 22}}, "ports"),
    ("/security-groups/default/rules", {"protocol": "icmp", "ports": {"first": 8, "last": 8}}, "ports"),
    ("/security-groups/default/rules", {"protocol": "tcp", "ports": {"first": 22}}, "ports.last"),
    ("/security-groups/default/rules", {"protocol": "tcp", "icmp": {"type": 8}}, "icmp"),
    ("/security-groups/default/rules", {"protocol": "icmp", "icmp": {"type": 256}}, "icmp"),
    ("/security-groups/default/rules", {"protocol": "icmp", "icmp": {"type": 3, "code": -1}}, "icmp"),
    ("/security-groups/default/rules", {"protocol": "icmp", "icmp": {"code": 3}}, "icmp.type"),
    (
        "/security-groups/default/rules",
        {"protocol": "icmp", "icmp": {"type": 8}, "ports": {"first": 1, "last": 2}},
        "icmp",
    ),
    *(
        ("/security-groups/default/rules", {"remote_prefix": prefix}, "remote_prefix")
        for prefix in (
            *("10.0.0.1/24", "10.0.0.0", "10.0.0.0/33", "10.0.0.0/255.0.0.0", "::1/64", "fe80::%1/64", "", "0.0.0.1/0"),
            *("10.0.0.0/24 ", "web", "/", 167772160, ["10.0.0.0/24"]),
        )
    ),
    ("/security-groups/default/rules", {"family": 6, "remote_prefix": "10.0.0.0/8"}, "remote_prefix"),
    ("/security-groups/default/rules", {"family": 5}, "family"),
    ("/security-groups/default/rules", {"family": "4"}, "family"),
    ("/security-groups/default/rules", {"family": 4, "protocol": "icmpv6"}, "protocol"),
    ("/security-groups/default/rules", {"direction": "sideways"}, "direction"),
    ("/security-groups/default/rules", {"remote_prefix": "::/0", "remote_group": "default"}, "remote_group"),
    ("/instances", _with(INSTANCE, security_groups=["g"] * 3 + [f"g{count}" for count in range(9)]), "security_groups"),
    ("/instances", _with(INSTANCE, security_groups="default"), "security_groups"),
    ("/instances", _with(INSTANCE, security_groups=[7]), "security_groups.0"),
    ("/pools", _with(POOL, ranges=[]), "ranges"),
    ("/pools", _with(POOL, ranges=[{"first": "203.0.113.9", "last": "203.0.113.5"}]), "ranges"),
    ("/pools", _with(POOL, ranges=[{"first": "203.0.113.1", "last": "203.0.113.9"}]), "ranges"),
    ("/pools", _with(POOL, ranges=[_RANGE, _RANGE]), "ranges"),
    ("/pools", _with(POOL, ranges=[{"first": "203.0.112.5", "last": "203.0.112.9"}]), "ranges"),
    ("/pools", _with(POOL, ranges=[{"first": "203.0.113.5"}]), "ranges.0.last"),
    ("/pools", _with(POOL, ranges=["203.0.113.5-203.0.113.9"]), "ranges.0"),
    ("/pools", _with(POOL, gateway="192.0.2.1"), "gateway"),
    ("/pools", _with(POOL, cidr="203.0.113.0/32"), "cidr"),
    ("/pools", _with(POOL, interface="eth0; reboot"), "interface"),
    ("/pools", _with(POOL, interface="a" * 16), "interface"),
    ("/pools", _with(POOL, interface=""), "interface"),
    *(("/pools", _with(POOL, name=name), "name") for name in NAMES),
    *(("/instances", _with(INSTANCE, name=name), "name") for name in NAMES),
    ("/instances", _with(INSTANCE, image="windows"), "image"),
    ("/instances", _with(INSTANCE, flavor="m9.huge"), "flavor"),
    ("/instances", _with(INSTANCE, networks=[{"network": "private"}] * 9), "networks"),
    ("/instances", _with(INSTANCE, networks=[{"network": "private", "fixed_ip": "10.0.0.0"}]), "fixed_ip"),
    ("/instances", _with(INSTANCE, networks=[{"network": "private", "fixed_ip": "192.0.2.1"}]), "fixed_ip"),
    ("/instances", _with(INSTANCE, networks=[{"fixed_ip": "10.0.0.3"}]), "networks.0.network"),
    ("/instances", _with(INSTANCE, networks={"network": "private"}), "networks"),
    ("/floating-ips", {"pool": 7}, "pool"),
    ("/floating-ips", {"pools": "public"}, "pools"),
    ("/trace", {"source": "10.0.0.2"}, "destination"),
    ("/trace", {"source": "10.0.0.2", "destination": "192.0.2.1", "protocol": "TCP/IP"}, "protocol"),
    ("/trace", {"source": "10.0.0.2", "destination": "192.0.2.1", "protocol": "tcp", "port": 65536}, "port"),
    ("/trace", {"source": "10.0.0.2", "destination": "192.0.2.1", "entry": "window"}, "entry"),
    *((path, {"name": name}, "name") for path in ("/projects", "/users", "/keys") for name in NAMES),
    ("/projects", {"name": "p", "description": "a\nb"}, "description"),
    ("/projects", {"name": "p", "enabled": "yes"}, "enabled"),
    ("/projects", {"name": "p", "domain": "default"}, "domain"),
    *(("/users", {"name": "u", "password": password}, "password") for password in ("", "x" * 5000, 7, ["x"])),
    ("/users", {"name": "u", "email": "a\tb"}, "email"),
    ("/users", {"name": "u", "default_project": 7}, "default_project"),
    *(("/keys", {"name": "k", "expires": moment}, "expires") for moment in MOMENTS),
    ("/keys", {"name": "k", "expires": 2000000000}, "expires"),
    ("/keys", {"name": "k", "roles": []}, "roles"),
    ("/keys", {"name": "k", "roles": ["captain"]}, "roles.0"),
    ("/keys", {"name": "k", "roles": "reader"}, "roles"),
    *((path, body, "body") for path in ("/projects", "/users", "/keys") for body in NO_OBJECTS),
    *((path, body, "body") for path in ("/networks", "/instances", "/trace") for body in NO_OBJECTS),
]
GOOD: list[tuple[str, dict[str, Any]]] = [
    ("/networks", NETWORK),
    ("/pools", POOL),
    ("/instances", INSTANCE),
    ("/trace", {}),
]
LISTS = (
    "/security-groups",
    "/networks",
    "/pools",
    "/uplinks",
    "/floating-ips",
    "/instances",
    "/quotas",
    "/projects",
    "/users",
    "/keys",
)


def _everything(client: Client) -> list[Any]:
    return [client("GET", path).json() for path in LISTS]


@pytest.mark.parametrize("path,body,field", BAD, ids=lambda value: str(value)[:60] if isinstance(value, str) else "")
def test_a_field_that_cannot_be_is_named(standing: Client, path: str, body: Any, field: str) -> None:
    before = _everything(standing)
    answer = standing("POST", path, body)
    assert answer.status_code == 422, answer.text
    problem = answer.json()
    assert problem["type"] == "urn:mooring:invalid"
    assert problem["field"] == field, problem
    assert problem["detail"].startswith(f"{field}: "), problem
    assert answer.headers["x-request-id"] == problem["request_id"]
    assert _everything(standing) == before


@pytest.mark.parametrize(
    "path,body,kind",
    [
        ("/networks", _with(NETWORK, cidr="10.0.0.128/25"), "conflict"),
        ("/networks", _with(NETWORK, cidr="198.51.100.0/24"), "conflict"),
        ("/pools", _with(POOL, name="public"), "conflict"),
        ("/pools", _with(POOL, interface="eth9", uplink="uplink0"), "conflict"),
        ("/pools", _with(POOL, interface=None), "not-found"),
        ("/instances", _with(INSTANCE, networks=[{"network": "no such"}]), "not-found"),
        ("/instances", _with(INSTANCE, networks=[{"network": "private", "fixed_ip": "10.0.0.1"}]), "conflict"),
        ("/floating-ips", {"pool": "no such"}, "not-found"),
        ("/trace", {"source": "10.0.0.2", "destination": "192.0.2.1", "host": "no such"}, "not-found"),
    ],
)
def test_what_contradicts_the_rest_is_refused(standing: Client, path: str, body: Any, kind: str) -> None:
    before = _everything(standing)
    answer = standing("POST", path, body)
    assert answer.status_code < 500
    assert answer.json()["type"] == f"urn:mooring:{kind}", answer.text
    assert _everything(standing) == before


def test_names_of_every_other_kind_are_names(root: Client) -> None:
    for number, name in enumerate(
        ("a\"b'c", "x; flush ruleset", "} table", "../../etc", "a/b", "ünïcödé 船", "%2e%2e")
    ):
        made = root.made("/networks", _with(NETWORK, name=name, cidr=f"10.{number + 20}.0.0/24"))
        assert made["name"] == name
        assert [each["id"] for each in root("GET", "/networks", params={"name": name}).json()["items"]] == [made["id"]]


def test_what_is_used_is_not_deleted(cloud: Cloud, root: Client, alice: Client) -> None:
    alice.made("/floating-ips", {})
    cloud.boot(cloud.caller("alice"))
    for path in ("/networks/private", "/pools/public"):
        answer = root("DELETE", path)
        assert answer.status_code == 409
        assert answer.json()["type"] == "urn:mooring:in-use"
        assert root("GET", path).status_code == 200


def test_quota_and_pool_end(root: Client, alice: Client) -> None:
    assert root("PUT", "/quotas/floating_ips?project=boats", {"limit": 1}).status_code == 204
    alice.made("/floating-ips", {})
    refused = alice("POST", "/floating-ips", {})
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:mooring:quota-exceeded")
    assert root("PUT", "/quotas/floating_ips?project=boats", {"limit": -1}).status_code == 204
    for _ in range(28):  # 30 addresses, less alice's first and the router's own
        alice.made("/floating-ips", {})
    refused = alice("POST", "/floating-ips", {})
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:mooring:exhausted")
    usage = root("GET", "/pools/public").json()["usage"]
    assert usage["allocated"] == 29


@pytest.mark.parametrize("limit", [-2, 2**31, "3", None, 1.5, True])
def test_a_quota_is_a_number(standing: Client, limit: Any) -> None:
    assert standing("PUT", "/quotas/instances", {"limit": limit}).status_code == 422


def test_an_instance_without_an_address_cannot_be_associated(cloud: Cloud, alice: Client) -> None:
    cloud.host.away = True
    floating = alice.made("/floating-ips", {})
    alice.made("/instances", INSTANCE)
    refused = alice("PUT", f"/floating-ips/{floating['id']}/association", {"instance": "vm2"})
    assert (refused.status_code, refused.json()["type"]) == (409, "urn:mooring:not-ready")
    assert alice("DELETE", f"/floating-ips/{floating['id']}/association").json()["type"] == "urn:mooring:not-associated"


def test_no_answer_is_much_larger_than_its_request(standing: Client) -> None:
    body = {"name": "vm3", "image": "tiny", "flavor": "m1.tiny", "networks": [0] * 3900}
    answer = standing("POST", "/instances", body)
    assert answer.status_code == 422
    assert [each["field"] for each in answer.json()["errors"]] == [f"networks.{number}" for number in range(20)]


def test_a_name_that_is_not_unique_is_no_name(cloud: Cloud, alice: Client) -> None:
    first, second = cloud.boot(cloud.caller("alice"), "twin"), cloud.boot(cloud.caller("alice"), "twin")
    refused = alice("GET", "/instances/twin")
    assert refused.status_code == 409
    assert "use an id" in refused.json()["detail"]
    assert alice("GET", f"/instances/{second.id}").status_code == 200
    assert alice("DELETE", f"/instances/{first.id}").status_code == 204
    assert alice("GET", "/instances/twin").json()["id"] == second.id


# --------------------------------------------------------------------------------------------------- as HTTP and as JSON


@pytest.mark.parametrize(
    "body,status",
    [
        (b"{", 400),
        (b"\xff\xfe", 400),
        (b'{"name": "a", "name": "b"}', 400),
        (b'{"mtu": NaN}', 400),
        (b'{"mtu": 99999999999999999999999}', 400),
        (b'{"name": "\\ud800"}', 400),
        (b'{"name": "a\\u0000"}', 400),
        (b"[" * 100_000, 413),
        (b"[" * 5000, 400),
        (b'{"name": "' + b"x" * 70_000 + b'"}', 413),
    ],
    ids=["broken", "binary", "twice", "nan", "huge", "surrogate", "nul", "deep", "deeper", "long"],
)
def test_a_body_that_is_no_json_is_refused(standing: Client, body: bytes, status: int) -> None:
    answer = standing("POST", "/networks", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["type"] == "about:blank"


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/xml", "", "application/json; charset=utf-16", "multipart/form-data"]
)
def test_a_body_of_another_kind_is_refused(standing: Client, kind: str) -> None:
    answer = standing(
        "POST", "/networks", content=b'{"name": "n", "cidr": "10.9.0.0/24"}', headers={"Content-Type": kind}
    )
    assert answer.status_code == 415


@pytest.mark.parametrize(
    "method,path,status",
    [
        *(("GET", path, 404) for path in ("/networks/", "/nothing", "/networks/private/x", "//")),
        ("PATCH", "/networks", 405),
        ("DELETE", "/trace", 405),
        ("GET", "/networks?limit=many", 422),
        ("GET", "/networks?limit=1001", 422),
        ("GET", "/networks?colour=red", 422),
        ("GET", "/instances?every_project=perhaps", 422),
        ("GET", "/networks?name=%00", 400),
        ("GET", "/instances/%00", 400),
        ("GET", f"/networks?name={'x' * 9000}", 414),
    ],
)
def test_a_path_that_leads_nowhere(standing: Client, method: str, path: str, status: int) -> None:
    answer = standing(method, path)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert ("allow" in answer.headers) == (status == 405)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=100)
@given(data=st.data())
def test_no_body_makes_the_server_fail(standing: Client, data: st.DataObject) -> None:
    path, good = data.draw(st.sampled_from(GOOD))
    fields = st.sampled_from([*good, "source", "destination", "networks", "port"])
    changed = data.draw(st.dictionaries(fields, JSON, max_size=3))
    answer = standing("POST", path, {**good, **changed})
    assert answer.status_code < 500, answer.text
    if answer.is_error:
        assert answer.json()["request_id"] == answer.headers["x-request-id"]
