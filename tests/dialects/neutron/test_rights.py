"""The walk over the table of routes: no token, a bad one, one without a project, a reader, another project, made-up ids.

A route that isn't in CASES fails the walk, as does one that docs/openstack.md doesn't list.
"""

import re
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import httpx2
import pytest

from mooring.dialects.neutron import ROUTES
from mooring.dialects.neutron.extensions import EXTENSIONS
from mooring.dialects.openstack.routing import Access, Route
from mooring.model.marks import Tagged
from mooring.operations import NewForwarding, NewOwnNic, NewSubnet, NewSubnetPool
from tests.cloud import Cloud
from tests.dialects.neutron.conftest import Client

RANDOM = "deadbeef-0000-4000-8000-000000000000"
DOCS = Path(__file__).parents[3] / "docs" / "openstack.md"
N = "/network/v2.0"
PF = f"{N}/floatingips/{{floatingip}}/port_forwardings"
DOOR = {"protocol": "tcp", "external_port": 443, "internal_port": 8443}


@dataclass(frozen=True)
class Case:
    """How to call a route so that it would do something: what stands for its `{...}`, and a good body, or what makes one of ids.

    `foreign`: the route is about a thing that belongs to one project, so that others must not find it.  `admin`: it is for administrators,
    and to others it is forbidden, whatever the id.  `floatingip` says which of alice's is meant, the one that is associated or the one of doors.
    `own` is what stands there of things of one project alone, where others are everybody's.
    """

    param: str = ""
    body: Any = None
    foreign: bool = False
    admin: bool = False
    floatingip: str = "floatingip"
    own: str = ""

    def body_for(self, ids: Mapping[str, str]) -> Any:
        """Return the good body; None for none."""
        return self.body(ids) if callable(self.body) else self.body


CASES: dict[tuple[str, str], Case] = {
    ("GET", "/network"): Case(),
    ("GET", N): Case(),
    ("GET", f"{N}/extensions"): Case(),
    ("GET", f"{N}/extensions/{{alias}}"): Case("alias"),
    # The networks, subnets and routers here are everybody's; test_views.py has those of one project.
    ("GET", f"{N}/networks"): Case(),
    ("GET", f"{N}/networks/{{network}}"): Case("network"),
    ("POST", f"{N}/networks"): Case(body={"network": {"name": "new"}}),
    ("GET", f"{N}/subnets"): Case(),
    ("GET", f"{N}/subnets/{{subnet}}"): Case("subnet"),
    ("GET", f"{N}/routers"): Case(),
    ("GET", f"{N}/routers/{{router}}"): Case("router"),
    ("PUT", f"{N}/networks/{{network}}"): Case("network", {"network": {"name": "other"}}, own="own_network"),
    ("DELETE", f"{N}/networks/{{network}}"): Case("network", own="own_bare"),
    ("POST", f"{N}/subnets"): Case(
        body=lambda ids: {"subnet": {"network_id": ids["own_bare"], "ip_version": 4, "cidr": "10.8.0.0/24"}}
    ),
    ("PUT", f"{N}/subnets/{{subnet}}"): Case("subnet", {"subnet": {"name": "other"}}, own="own_network"),
    ("DELETE", f"{N}/subnets/{{subnet}}"): Case("subnet", own="own_network"),
    ("POST", f"{N}/routers"): Case(body={"router": {"name": "new"}}),
    ("PUT", f"{N}/routers/{{router}}"): Case("router", {"router": {"name": "other"}}, own="own_router"),
    ("DELETE", f"{N}/routers/{{router}}"): Case("router", own="own_idle_router"),
    ("PUT", f"{N}/routers/{{router}}/add_router_interface"): Case(
        "router", lambda ids: {"subnet_id": ids["own_network"]}, own="own_router"
    ),
    ("PUT", f"{N}/routers/{{router}}/remove_router_interface"): Case(
        "router", lambda ids: {"subnet_id": ids["own_served"]}, own="own_router"
    ),
    ("GET", f"{N}/subnetpools"): Case(),
    ("POST", f"{N}/subnetpools"): Case(body={"subnetpool": {"name": "new", "prefixes": ["10.9.0.0/16"]}}),
    ("GET", f"{N}/subnetpools/{{subnetpool}}"): Case("subnetpool", foreign=True),
    ("PUT", f"{N}/subnetpools/{{subnetpool}}"): Case("subnetpool", {"subnetpool": {"name": "other"}}, foreign=True),
    ("DELETE", f"{N}/subnetpools/{{subnetpool}}"): Case("subnetpool", foreign=True),
    ("GET", f"{N}/ports"): Case(),
    ("POST", f"{N}/ports"): Case(body=lambda ids: {"port": {"network_id": ids["network"]}}),
    ("GET", f"{N}/ports/{{port}}"): Case("port", foreign=True),
    ("DELETE", f"{N}/ports/{{port}}"): Case("port", own="own_port"),
    ("PUT", f"{N}/ports/{{port}}"): Case("port", {"port": {"security_groups": []}}, foreign=True),
    ("GET", f"{N}/floatingips"): Case(),
    ("POST", f"{N}/floatingips"): Case(body=lambda ids: {"floatingip": {"floating_network_id": ids["pool"]}}),
    ("GET", f"{N}/floatingips/{{floatingip}}"): Case("floatingip", foreign=True),
    ("PUT", f"{N}/floatingips/{{floatingip}}"): Case("floatingip", {"floatingip": {"port_id": None}}, foreign=True),
    ("DELETE", f"{N}/floatingips/{{floatingip}}"): Case("floatingip", foreign=True),
    ("GET", PF): Case("floatingip", foreign=True, floatingip="doors"),
    ("POST", PF): Case(
        "floatingip",
        lambda ids: {"port_forwarding": {**DOOR, "internal_port_id": ids["other"]}},
        foreign=True,
        floatingip="doors",
    ),
    ("GET", f"{PF}/{{forwarding}}"): Case("forwarding", foreign=True, floatingip="doors"),
    ("PUT", f"{PF}/{{forwarding}}"): Case(
        "forwarding", {"port_forwarding": {"description": "new"}}, foreign=True, floatingip="doors"
    ),
    ("DELETE", f"{PF}/{{forwarding}}"): Case("forwarding", foreign=True, floatingip="doors"),
    ("GET", f"{N}/security-groups"): Case(),
    ("POST", f"{N}/security-groups"): Case(body={"security_group": {"name": "new"}}),
    ("GET", f"{N}/security-groups/{{group}}"): Case("group", foreign=True),
    ("PUT", f"{N}/security-groups/{{group}}"): Case("group", {"security_group": {"name": "other"}}, foreign=True),
    ("DELETE", f"{N}/security-groups/{{group}}"): Case("group", foreign=True),
    ("GET", f"{N}/security-group-rules"): Case(),
    ("POST", f"{N}/security-group-rules"): Case(
        body=lambda ids: {"security_group_rule": {"security_group_id": ids["group"], "direction": "ingress"}}
    ),
    ("GET", f"{N}/security-group-rules/{{rule}}"): Case("rule", foreign=True),
    ("DELETE", f"{N}/security-group-rules/{{rule}}"): Case("rule", foreign=True),
    ("GET", f"{N}/quotas/{{project}}"): Case("project", foreign=True),
    ("PUT", f"{N}/quotas/{{project}}"): Case("project", {"quota": {"floatingip": 3}}, admin=True),
    ("DELETE", f"{N}/quotas/{{project}}"): Case("project", admin=True),
    ("GET", f"{N}/quotas/{{project}}/default"): Case("project", foreign=True),
    ("GET", f"{N}/quotas/{{project}}/details"): Case("project", foreign=True),
}
TAGGED = {
    Tagged.NETWORK: (f"{N}/networks/{{network}}", Case("network", own="own_network")),
    Tagged.SUBNET: (f"{N}/subnets/{{subnet}}", Case("subnet", own="own_network")),
    Tagged.NIC: (f"{N}/ports/{{port}}", Case("port", foreign=True)),
    Tagged.ROUTER: (f"{N}/routers/{{router}}", Case("router", own="own_router")),
    Tagged.FLOATING_IP: (f"{N}/floatingips/{{floatingip}}", Case("floatingip", foreign=True)),
    Tagged.SECURITY_GROUP: (f"{N}/security-groups/{{group}}", Case("group", foreign=True)),
    Tagged.SUBNET_POOL: (f"{N}/subnetpools/{{subnetpool}}", Case("subnetpool", foreign=True)),
}
for path, case in TAGGED.values():
    CASES["GET", f"{path}/tags"] = CASES["DELETE", f"{path}/tags"] = case
    CASES["PUT", f"{path}/tags"] = replace(case, body={"tags": ["blue"]})
    for method in ("GET", "PUT", "DELETE"):
        CASES[method, f"{path}/tags/{{tag}}"] = case


def name(route: Route) -> str:
    return f"{route.method} {route.path}"


OF_PROJECTS = [route for route in ROUTES if route.access is Access.PROJECT]
CHANGES = [route for route in ROUTES if route.method != "GET"]
WITH_IDS = [route for route in ROUTES if "{" in route.path]


@dataclass
class Harbour:
    """Things of alice's: a server with a floating IP, and a security group; and who may call."""

    cloud: Cloud
    http: httpx2.Client
    as_user: Callable[[str], Client]
    ids: dict[str, str]

    def call(self, client: Client, route: Route, **instead: str) -> httpx2.Response:
        case = CASES[route.method, route.path]
        own = {case.param: self.ids[case.own]} if case.own else {}
        ids = {**self.ids, "floatingip": self.ids[case.floatingip], **own, **instead}
        return client(route.method, route.path.format_map(ids), case.body_for(ids))

    def state(self) -> list[str]:
        """Return all that is stored, but tokens."""
        with sqlite3.connect(self.cloud.database) as connection:
            return [line for line in connection.iterdump() if 'INTO "tokens"' not in line]


@pytest.fixture
def harbour(cloud: Cloud, http: httpx2.Client, as_user: Callable[[str], Client]) -> Harbour:
    return harbour_of(cloud, http, as_user)


def harbour_of(cloud: Cloud, http: httpx2.Client, as_user: Callable[[str], Client]) -> Harbour:
    """Return a harbour in a cloud that nobody has used yet."""
    alice = cloud.caller("alice")
    server = cloud.boot(alice)
    floating = cloud.operations.addresses.allocate(alice, "public")
    cloud.operations.addresses.associate(alice, server.id, floating.address)
    # An address with a floating IP has no forwarded ports, as in Neutron: they lead to another server.
    doors, other = cloud.operations.addresses.allocate(alice, "public"), cloud.boot(alice, "other")
    new = NewForwarding("tcp", 80, nic=other.nics[0].id)
    forwarding = cloud.operations.forwardings.create(alice, doors.id, new)
    group = cloud.operations.groups.create(alice, "group")
    own = cloud.operations.own_networks
    bare, *others = (own.create(alice, name).id for name in ("bare", "idle", "served"))
    for number, network in enumerate(others):
        own.add_subnet(alice, NewSubnet(network, cidr=IPv4Network(f"10.{number}.7.0/24")))
    routers = [cloud.operations.own_routers.create(alice, name, None) for name in ("serving", "idle")]
    cloud.operations.own_routers.add_network(alice, routers[0].id, others[1])
    prefixes = (IPv4Network("10.9.0.0/16"),)
    ids = {
        "own_port": cloud.operations.own_nics.create(alice, NewOwnNic("private")).id,
        "own_bare": bare,
        "own_network": others[0],
        "own_served": others[1],
        "own_router": routers[0].id,
        "own_idle_router": routers[1].id,
        "subnetpool": cloud.operations.subnet_pools.create(alice, NewSubnetPool("own", prefixes)).id,
        "alias": "router",
        "tag": "red",
        "network": cloud.network.id,
        "subnet": cloud.network.id,
        "router": cloud.network.router or "",
        "pool": floating.pool,
        "port": server.nics[0].id,
        "floatingip": floating.id,
        "doors": doors.id,
        "forwarding": forwarding.id,
        "other": other.nics[0].id,
        "group": group.id,
        "rule": group.rules[0].id,
        "project": alice.project.id,
    }
    for kind, (_, case) in TAGGED.items():
        cloud.operations.tags.set(alice, kind, ids[case.own or case.param], [ids["tag"]])
    return Harbour(cloud, http, as_user, ids)


def test_every_route_has_a_case() -> None:
    assert {(route.method, route.path) for route in ROUTES} == set(CASES)


def test_every_route_is_documented() -> None:
    text = DOCS.read_text()
    missing = [name(route) for route in ROUTES if f"| {route.method} | `{route.path}` |" not in text]
    assert missing == [], "docs/openstack.md has no line for these"


def test_the_extensions_that_are_told_are_those_that_are_listed() -> None:
    paragraph = DOCS.read_text().split("Extensions are listed only for what is here:")[1].partition(".")[0]
    assert re.findall(r"`([^`]+)`", paragraph) == [extension.alias for extension in EXTENSIONS]


@pytest.mark.parametrize("route", [route for route in ROUTES if "/tags" not in route.path], ids=name)
def test_an_owner_is_answered(harbour: Harbour, route: Route) -> None:
    admin = CASES[route.method, route.path].admin
    assert harbour.call(harbour.as_user("root" if admin else "alice"), route).status_code < 400


def test_an_owner_is_answered_about_tags(harbour: Harbour) -> None:
    alice, caller = harbour.as_user("alice"), harbour.cloud.caller("alice")
    for kind, (path, case) in TAGGED.items():
        thing = harbour.ids[case.own or case.param]
        for route in (route for route in ROUTES if route.path.startswith(f"{path}/tags")):
            harbour.cloud.operations.tags.set(caller, kind, thing, [harbour.ids["tag"]])
            assert harbour.call(alice, route).status_code < 300, name(route)


# What is refused changes nothing, so that one harbour is enough for all routes.


def test_nobody_comes_in(harbour: Harbour) -> None:
    before = harbour.state()
    for route in OF_PROJECTS:
        for headers in ({}, {"X-Auth-Token": ""}, {"X-Auth-Token": "made-up"}):
            response = harbour.call(Client(harbour.http, headers), route)
            assert response.status_code == 401, name(route)
            assert response.headers["www-authenticate"].startswith("Keystone uri="), name(route)
    assert harbour.state() == before


def test_a_token_without_a_project_is_not_enough(harbour: Harbour) -> None:
    token = harbour.cloud.operations.identity.log_in(user="alice", user_id=None, password="pw-alice", project=None)
    nowhere = Client(harbour.http, {"X-Auth-Token": token.secret})
    before = harbour.state()
    for route in OF_PROJECTS:
        assert harbour.call(nowhere, route).status_code == 401, name(route)
    assert harbour.state() == before


def test_a_reader_changes_nothing(harbour: Harbour) -> None:
    before = harbour.state()
    rita = harbour.as_user("rita")
    for route in CHANGES:
        param = CASES[route.method, route.path].param
        assert harbour.call(rita, route).status_code == 403, name(route)
        if param:
            assert harbour.call(rita, route, **{param: RANDOM}).status_code == 403, name(route)
    assert harbour.state() == before


def test_made_up_ids_are_not_found(harbour: Harbour) -> None:
    before = harbour.state()
    alice, root = harbour.as_user("alice"), harbour.as_user("root")
    for route in WITH_IDS:
        case = CASES[route.method, route.path]
        for made_up in (RANDOM, "0", "x" * 255, "a'b", "{}", "%25", "nul%00", "new%0aline"):
            response = harbour.call(root if case.admin else alice, route, **{case.param: made_up})
            assert response.status_code == 404, name(route)
            assert response.json()["NeutronError"]["type"].endswith("NotFound"), name(route)
    assert harbour.state() == before


def test_what_is_anothers_is_not_found_either(harbour: Harbour) -> None:
    before = harbour.state()
    bob = harbour.as_user("bob")
    for route in WITH_IDS:
        case = CASES[route.method, route.path]
        if not (case.foreign or case.admin or case.own):
            assert harbour.call(bob, route).status_code == 200, name(route)
            continue
        foreign, made_up = harbour.call(bob, route), harbour.call(bob, route, **{case.param: RANDOM})
        assert foreign.status_code == made_up.status_code == (403 if case.admin else 404), name(route)
        meant = harbour.ids[case.own or (case.floatingip if case.param == "floatingip" else case.param)]
        assert foreign.text.replace(meant, RANDOM) == made_up.text, name(route)
    assert harbour.state() == before
