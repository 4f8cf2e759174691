"""The walk over the table of routes: no token, a bad one, one without a project, a reader, another project, made-up ids.

A route that isn't in CASES fails the walk, as does one that docs/openstack.md doesn't list.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from mooring.dialects.openstack import create_app
from mooring.dialects.openstack.routes import ROUTES
from mooring.dialects.openstack.routing import Access, Route
from mooring.dialects.openstack.xml.documents import LABELLED, PREFIXES, document_of
from mooring.dialects.openstack.xml.parsing import parse_xml
from mooring.model.names import DnsScope
from mooring.operations import NewKey, NewProject, NewUser
from tests.cloud import FLAVORS, IMAGES, Cloud, Server, StoppedClock
from tests.dialects.openstack.conftest import PUBLIC_URL, Client

READS = frozenset({"GET", "HEAD"})
RANDOM = "deadbeef-0000-4000-8000-000000000000"
DOCS = Path(__file__).parents[3] / "docs" / "openstack.md"


@dataclass(frozen=True)
class Case:
    """How to call a route so that it would do something: what stands for its `{...}`, and a good body, or what makes one of ids.

    `foreign`: the route is about a thing that belongs to one project or user, so that others must not find it.  `who` may
    call it: root for what is an administrator's.  `own`: readers change what is their own here.  `instead`: which thing stands for another.  `makes`: a made-up name
    is what the new thing is called.
    """

    params: tuple[str, ...] = ()
    body: Any = None
    foreign: bool = False
    who: str = "alice"
    own: bool = False
    instead: Mapping[str, str] = field(default_factory=dict[str, str])
    makes: bool = False

    def body_for(self, ids: Mapping[str, str]) -> Any:
        """Return the good body; None for none."""
        return self.body(ids) if callable(self.body) else self.body


_SERVER = {"server": {"name": "vm", "imageRef": IMAGES[0].id, "flavorRef": "1"}}
_LOG_IN = {
    "auth": {"identity": {"methods": ["password"], "password": {"user": {"name": "alice", "password": "pw-alice"}}}}
}
_ROLES = "/identity/v3/projects/{project}/users/{user}/roles"
_SUBJECT = Case(("subject",), foreign=True)

CASES: dict[tuple[str, str], Case] = {
    ("GET", "/identity"): Case(),
    ("GET", "/identity/v3"): Case(),
    ("GET", "/compute"): Case(),
    ("GET", "/compute/v2.1"): Case(),
    ("GET", "/image"): Case(),
    ("POST", "/identity/v3/auth/tokens"): Case(body=_LOG_IN),
    ("GET", "/identity/v3/auth/tokens"): _SUBJECT,
    ("HEAD", "/identity/v3/auth/tokens"): _SUBJECT,
    ("DELETE", "/identity/v3/auth/tokens"): _SUBJECT,
    ("GET", "/identity/v3/auth/catalog"): Case(),
    ("GET", "/identity/v3/auth/projects"): Case(),
    ("GET", "/identity/v3/projects"): Case(),
    ("GET", "/identity/v3/projects/{project}"): Case(("project",), foreign=True),
    ("GET", "/identity/v3/users"): Case(),
    ("GET", "/identity/v3/users/{user}"): Case(("user",), foreign=True),
    ("GET", "/identity/v3/users/{user}/projects"): Case(("user",), foreign=True),
    ("POST", "/identity/v3/projects"): Case(body={"project": {"name": "new"}}, who="root"),
    ("PATCH", "/identity/v3/projects/{project}"): Case(("project",), {"project": {"enabled": True}}, who="root"),
    ("DELETE", "/identity/v3/projects/{project}"): Case(("project",), who="root", instead={"project": "quay"}),
    ("POST", "/identity/v3/users"): Case(body={"user": {"name": "new", "password": "pw"}}, who="root"),
    ("PATCH", "/identity/v3/users/{user}"): Case(("user",), {"user": {"email": "a@example.org"}}, who="root"),
    ("DELETE", "/identity/v3/users/{user}"): Case(("user",), who="root", instead={"user": "nell"}),
    ("POST", "/identity/v3/users/{user}/password"): Case(
        ("user",), {"user": {"password": "new", "original_password": "pw-alice"}}, foreign=True
    ),
    ("GET", "/identity/v3/users/{user}/application_credentials"): Case(("user",), foreign=True),
    ("POST", "/identity/v3/users/{user}/application_credentials"): Case(
        ("user",), {"application_credential": {"name": "new"}}, foreign=True, own=True
    ),
    ("GET", "/identity/v3/users/{user}/application_credentials/{key}"): Case(("key", "user"), foreign=True),
    ("DELETE", "/identity/v3/users/{user}/application_credentials/{key}"): Case(
        ("key", "user"), foreign=True, own=True
    ),
    ("GET", "/identity/v3/roles"): Case(),
    ("GET", "/identity/v3/roles/{role}"): Case(("role",)),
    ("GET", "/identity/v3/role_assignments"): Case(),
    ("GET", _ROLES): Case(("project", "user"), foreign=True),
    ("GET", f"{_ROLES}/{{role}}"): Case(("project", "role", "user"), foreign=True),
    ("HEAD", f"{_ROLES}/{{role}}"): Case(("project", "role", "user"), foreign=True),
    ("PUT", f"{_ROLES}/{{role}}"): Case(("user", "project", "role"), who="root"),
    ("DELETE", f"{_ROLES}/{{role}}"): Case(("user", "project", "role"), who="root"),
    ("GET", "/identity/v2.0"): Case(),
    ("POST", "/identity/v2.0/tokens"): Case(
        body={"auth": {"passwordCredentials": {"username": "alice", "password": "pw-alice"}}}
    ),
    ("GET", "/identity/v2.0/tenants"): Case(),
    ("GET", "/identity/v3/domains"): Case(),
    ("GET", "/identity/v3/domains/{domain}"): Case(("domain",)),
    ("GET", "/compute/v2.1/extensions"): Case(),
    ("GET", "/compute/v2.1/extensions/{alias}"): Case(("alias",)),
    ("GET", "/compute/v2.1/servers"): Case(),
    ("POST", "/compute/v2.1/servers"): Case(body=_SERVER),
    ("GET", "/compute/v2.1/servers/detail"): Case(),
    ("GET", "/compute/v2.1/servers/{server}"): Case(("server",), foreign=True),
    ("DELETE", "/compute/v2.1/servers/{server}"): Case(("server",), foreign=True),
    ("POST", "/compute/v2.1/servers/{server}/action"): Case(
        ("server",), {"removeFloatingIp": {"address": "198.51.100.11"}}, foreign=True
    ),
    ("GET", "/compute/v2.1/servers/{server}/ips"): Case(("server",), foreign=True),
    ("GET", "/compute/v2.1/servers/{server}/ips/{label}"): Case(("server", "label"), foreign=True),
    ("GET", "/compute/v2.1/os-floating-ips"): Case(),
    ("POST", "/compute/v2.1/os-floating-ips"): Case(body={"pool": "public"}),
    ("GET", "/compute/v2.1/os-floating-ips/{address}"): Case(("address",), foreign=True),
    ("DELETE", "/compute/v2.1/os-floating-ips/{address}"): Case(("address",), foreign=True),
    ("POST", "/compute/v2.1/os-floating-ips/{address}/addFloatingIp"): Case(
        ("address",), {"associate_address": {"fixed_ip": "10.0.0.2"}}, foreign=True
    ),
    ("POST", "/compute/v2.1/os-floating-ips/{address}/removeFloatingIp"): Case(("address",), foreign=True),
    ("GET", "/compute/v2.1/os-floating-ip-pools"): Case(),
    ("GET", "/compute/v2.1/os-floating-ip-dns"): Case(),
    ("PUT", "/compute/v2.1/os-floating-ip-dns/{dns_domain}"): Case(
        ("dns_domain",),
        {"domain_entry": {"scope": "public"}},
        who="root",
        instead={"dns_domain": "new_domain"},
        makes=True,
    ),
    ("DELETE", "/compute/v2.1/os-floating-ip-dns/{dns_domain}"): Case(("dns_domain",), who="root"),
    ("GET", "/compute/v2.1/os-floating-ip-dns/{dns_domain}/entries"): Case(("dns_domain",), foreign=True),
    ("GET", "/compute/v2.1/os-floating-ip-dns/{dns_domain}/entries/{entry}"): Case(
        ("dns_domain", "entry"), foreign=True
    ),
    ("PUT", "/compute/v2.1/os-floating-ip-dns/{dns_domain}/entries/{entry}"): Case(
        ("dns_domain",), {"dns_entry": {"ip": "198.51.100.11", "dns_type": "A"}}, foreign=True
    ),
    ("DELETE", "/compute/v2.1/os-floating-ip-dns/{dns_domain}/entries/{entry}"): Case(
        ("dns_domain", "entry"), foreign=True
    ),
    ("GET", "/compute/v2.1/os-floating-ips-bulk"): Case(who="root"),
    ("POST", "/compute/v2.1/os-floating-ips-bulk"): Case(
        body={"floating_ips_bulk_create": {"ip_range": "198.51.100.64/28"}}, who="root"
    ),
    ("GET", "/compute/v2.1/os-floating-ips-bulk/{host}"): Case(("host",), who="root"),
    ("PUT", "/compute/v2.1/os-floating-ips-bulk/delete"): Case(body={"ip_range": "198.51.100.39"}, who="root"),
    ("GET", "/compute/v2.1/os-security-groups"): Case(),
    ("POST", "/compute/v2.1/os-security-groups"): Case(body={"security_group": {"name": "new", "description": ""}}),
    ("GET", "/compute/v2.1/os-security-groups/{group}"): Case(("group",), foreign=True),
    ("PUT", "/compute/v2.1/os-security-groups/{group}"): Case(
        ("group",), {"security_group": {"name": "other", "description": ""}}, foreign=True
    ),
    ("DELETE", "/compute/v2.1/os-security-groups/{group}"): Case(("group",), foreign=True),
    ("POST", "/compute/v2.1/os-security-group-rules"): Case(
        body=lambda ids: {
            "security_group_rule": {"parent_group_id": ids["group"], "ip_protocol": "tcp", "from_port": 1, "to_port": 2}
        }
    ),
    ("DELETE", "/compute/v2.1/os-security-group-rules/{rule}"): Case(("rule",), foreign=True),
    ("GET", "/compute/v2.1/servers/{server}/os-security-groups"): Case(("server",), foreign=True),
    ("PUT", "/compute/v2.1/servers/{server}"): Case(("server",), {"server": {"name": "other"}}, foreign=True),
    ("GET", "/compute/v2.1/servers/{server}/os-virtual-interfaces"): Case(("server",), foreign=True),
    ("GET", "/compute/v2.1/servers/{server}/os-interface"): Case(("server",), foreign=True),
    ("POST", "/compute/v2.1/servers/{server}/os-interface"): Case(
        ("server",), {"interfaceAttachment": {}}, foreign=True
    ),
    ("DELETE", "/compute/v2.1/servers/{server}/os-interface/{port}"): Case(("server", "port"), foreign=True),
    ("GET", "/compute/v2.1/servers/{server}/os-interface/{port}"): Case(("server", "port"), foreign=True),
    ("GET", "/compute/v2.1/os-fixed-ips/{fixed}"): Case(("fixed",), who="root"),
    ("GET", "/compute/v2.1/os-availability-zone"): Case(),
    ("GET", "/compute/v2.1/os-services"): Case(who="root"),
    ("GET", "/compute/v2.1/os-hosts"): Case(who="root"),
    ("GET", "/compute/v2.1/os-quota-sets/{project}"): Case(("project",), foreign=True),
    ("PUT", "/compute/v2.1/os-quota-sets/{project}"): Case(
        ("project",), {"quota_set": {"floating_ips": 20}}, who="root"
    ),
    ("DELETE", "/compute/v2.1/os-quota-sets/{project}"): Case(("project",), who="root"),
    ("GET", "/compute/v2.1/os-quota-sets/{project}/defaults"): Case(("project",), foreign=True),
    ("GET", "/compute/v2.1/os-quota-sets/{project}/detail"): Case(("project",), foreign=True),
    # The only kind of network there is yet is everybody's.
    ("GET", "/compute/v2.1/os-networks"): Case(),
    ("GET", "/compute/v2.1/os-networks/{network}"): Case(("network",)),
    ("GET", "/compute/v2.1/os-tenant-networks"): Case(),
    ("GET", "/compute/v2.1/os-tenant-networks/{network}"): Case(("network",)),
    ("GET", "/compute/v2.1/flavors"): Case(),
    ("GET", "/compute/v2.1/flavors/detail"): Case(),
    ("GET", "/compute/v2.1/flavors/{flavor}"): Case(("flavor",)),
    ("GET", "/compute/v2.1/flavors/{flavor}/os-extra_specs"): Case(("flavor",)),
    ("GET", "/compute/v2.1/images"): Case(),
    ("GET", "/compute/v2.1/images/detail"): Case(),
    ("GET", "/compute/v2.1/images/{image}"): Case(("image",)),
    ("GET", "/compute/v2.1/limits"): Case(),
    ("GET", "/image/v2/images"): Case(),
    ("GET", "/image/v2/images/{image}"): Case(("image",)),
}


def name(route: Route) -> str:
    return f"{route.method} {route.path}"


every_route = pytest.mark.parametrize("route", ROUTES, ids=name)
routes_of_tokens = pytest.mark.parametrize(
    "route", [each for each in ROUTES if each.access is not Access.PUBLIC], ids=name
)
routes_of_projects = pytest.mark.parametrize(
    "route", [each for each in ROUTES if each.access is Access.PROJECT], ids=name
)
# Reads change nothing whoever asks; a log-out ends the caller's own token.
changes = pytest.mark.parametrize(
    "route",
    [
        each
        for each in ROUTES
        if each.access is Access.PROJECT
        and each.method not in {"GET", "HEAD"}
        and not CASES.get((each.method, each.path), Case()).own
    ],
    ids=name,
)
routes_with_ids = pytest.mark.parametrize(
    "route",
    [each for each in ROUTES if "{" in each.path or ("tokens" in each.path and each.method != "POST")],
    ids=name,
)
routes_of_administrators = pytest.mark.parametrize(
    "route", [each for each in ROUTES if CASES.get((each.method, each.path), Case()).who == "root"], ids=name
)


@dataclass
class Harbour:
    """Things of alice's: a server with a floating IP; and who may call."""

    cloud: Cloud
    http: httpx2.Client
    as_user: Callable[[str], Client]
    ids: dict[str, str]

    def owner(self, route: Route) -> Client:
        """Return somebody who may call a route."""
        return self.as_user(CASES[route.method, route.path].who)

    def call(self, client: Client, route: Route, **instead: str) -> httpx2.Response:
        case = CASES[route.method, route.path]
        ids = {**self.ids, **{name: self.ids[thing] for name, thing in case.instead.items()}, **instead}
        headers = {"X-Subject-Token": ids["subject"]} if "subject" in case.params else {}
        path = route.path.format_map(ids)
        return client(route.method, path, case.body_for(ids), headers=headers)

    def state(self) -> list[str]:
        """Return all that is stored, but tokens."""
        with sqlite3.connect(self.cloud.database) as connection:
            return [line for line in connection.iterdump() if 'INTO "tokens"' not in line]


@pytest.fixture
def harbour(cloud: Cloud, http: httpx2.Client) -> Harbour:
    """A harbour of the test's own."""
    return harbour_of(cloud, http)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harbour]:
    """One harbour for all tests in which nobody may change it, which each of them checks."""
    cloud = Cloud(tmp_path_factory.mktemp("harbour") / "cloud.db", StoppedClock(), settle_timeout=0.2)
    app = create_app(cloud.operations, public_url=PUBLIC_URL)
    with Server(app) as server, httpx2.Client(base_url=server.url, timeout=30) as http:
        yield harbour_of(cloud, http)
    cloud.close()


def harbour_of(cloud: Cloud, http: httpx2.Client) -> Harbour:
    """Return a harbour in a cloud that nobody has used yet."""

    def as_user(user: str) -> Client:
        return Client(http, {"X-Auth-Token": cloud.token(user)})

    alice = cloud.caller("alice")
    server = cloud.boot(alice)
    floating = cloud.operations.addresses.allocate(alice, "public")
    cloud.operations.addresses.associate(alice, server.id, floating.address)
    group = cloud.operations.groups.create(alice, "group")
    key, _ = cloud.operations.keys.create(alice, NewKey("ci"))
    accounts, root = cloud.operations.accounts, cloud.caller("root")
    cloud.operations.names.save_domain(root, "boats.example", DnsScope.PUBLIC, "boats")
    cloud.operations.names.save_entry(alice, "boats.example", "ferry", floating.address)
    ids = {
        "group": group.id,
        "rule": group.rules[0].id,
        "server": server.id,
        "label": "private",
        "host": "host1",
        "port": server.nics[0].id,
        "fixed": str(server.nics[0].fixed[0].address),
        "alias": "os-floating-ips",
        "address": floating.id,
        "network": cloud.network.id,
        "flavor": FLAVORS[0].id,
        "image": IMAGES[0].id,
        "project": alice.project.id,
        "user": alice.user.id,
        "domain": "default",
        "dns_domain": "boats.example",
        "new_domain": "new.example",
        "entry": "ferry",
        "role": "member",
        "key": key.id,
        "quay": accounts.create_project(root, NewProject("quay")).id,
        "nell": accounts.create_user(root, NewUser("nell", "pw-nell")).id,
        "subject": cloud.token("alice"),
    }
    return Harbour(cloud, http, as_user, ids)


def test_every_route_has_a_case() -> None:
    assert {(route.method, route.path) for route in ROUTES} == set(CASES)


@every_route
def test_every_route_is_documented(route: Route) -> None:
    assert f"| {route.method} | `{route.path}` |" in DOCS.read_text(), (
        f"docs/openstack.md has no line for {name(route)}"
    )


@pytest.mark.parametrize("route", [each for each in ROUTES if each.method in READS], ids=name)
def test_an_owner_reads(guarded: Harbour, route: Route) -> None:
    assert guarded.call(guarded.owner(route), route).status_code < 400


@pytest.mark.parametrize("route", [each for each in ROUTES if each.method not in READS], ids=name)
def test_an_owner_changes(harbour: Harbour, route: Route) -> None:
    assert harbour.call(harbour.owner(route), route).status_code < 400


@routes_of_administrators
def test_others_administer_nothing(guarded: Harbour, route: Route) -> None:
    before = guarded.state()
    for user in ("alice", "bob", "rita"):
        for made_up in ({}, {"user": RANDOM, "project": RANDOM}):
            assert guarded.call(guarded.as_user(user), route, **made_up).status_code == 403
    assert guarded.state() == before


def test_xml_says_what_json_says(guarded: Harbour) -> None:
    for route in (each for each in ROUTES if each.method == "GET" and each.path.startswith("/compute")):
        owner = guarded.owner(route)
        ((key, view),) = guarded.call(owner, route).json().items()
        response = owner("GET", route.path.format_map(guarded.ids), headers={"Accept": "application/xml"})
        assert response.headers["content-type"] == "application/xml"
        root = parse_xml(response.content, PREFIXES)
        document = document_of(key, route.name)
        if route.name in LABELLED:
            attribute, document = LABELLED[route.name]
            assert root.attributes.pop(attribute) == key
        assert root.tag == (document.tag or key)
        assert document.shape.read(root) == _without_empty_links(view), name(route)


def _without_empty_links(value: Any) -> Any:
    # They stand beside all else in XML: none look like none.
    match value:
        case dict():
            return {
                key: _without_empty_links(inside)
                for key, inside in value.items()
                if (inside != [] or not key.endswith(("links", "volumes_attached")))
                and (key, inside) != ("hosts", None)
            }
        case list():
            return [_without_empty_links(item) for item in value]
        case _:
            return value


@routes_of_tokens
def test_nobody_comes_in(guarded: Harbour, route: Route) -> None:
    before = guarded.state()
    for headers in ({}, {"X-Auth-Token": ""}, {"X-Auth-Token": "made-up"}):
        response = guarded.call(Client(guarded.http, headers), route)
        assert response.status_code == 401
        assert response.headers["www-authenticate"].startswith("Keystone uri=")
    assert guarded.state() == before


@routes_of_projects
def test_a_token_without_a_project_is_not_enough(guarded: Harbour, route: Route) -> None:
    token = guarded.cloud.operations.identity.log_in(user="alice", user_id=None, password="pw-alice", project=None)
    assert guarded.call(Client(guarded.http, {"X-Auth-Token": token.secret}), route).status_code == 401


@changes
def test_a_reader_changes_nothing(guarded: Harbour, route: Route) -> None:
    before = guarded.state()
    rita = guarded.as_user("rita")
    assert guarded.call(rita, route).status_code == 403
    assert guarded.call(rita, route, server=RANDOM, address=RANDOM).status_code == 403
    assert guarded.state() == before


@routes_with_ids
def test_made_up_ids_are_not_found(guarded: Harbour, route: Route) -> None:
    case = CASES[route.method, route.path]
    before = guarded.state()
    for made_up in (RANDOM, "0", "x" * 255, "a'b", "nul%00", "{}", "new%0aline"):
        if case.makes and made_up == RANDOM:
            continue  # it would be called so
        response = guarded.call(guarded.owner(route), route, **{case.params[0]: made_up})
        assert response.status_code in ({400, 404} if case.makes else {404})
        assert "nft" not in response.text
    assert guarded.state() == before


@routes_with_ids
def test_what_is_anothers_is_not_found_either(guarded: Harbour, route: Route) -> None:
    case = CASES[route.method, route.path]
    if case.who == "root":
        before = guarded.state()
        for client in (guarded.as_user("alice"), guarded.as_user("bob")):
            foreign, made_up = guarded.call(client, route), guarded.call(client, route, **{case.params[0]: RANDOM})
            assert foreign.status_code == made_up.status_code == 403
            assert foreign.text == made_up.text
        assert guarded.state() == before
        return
    if not case.foreign:
        assert guarded.call(guarded.as_user("bob"), route).status_code == 200
        return
    before = guarded.state()
    bob = guarded.as_user("bob")
    foreign, made_up = guarded.call(bob, route), guarded.call(bob, route, **{case.params[0]: RANDOM})
    assert foreign.status_code == made_up.status_code == 404
    assert foreign.text.replace(guarded.ids[case.params[0]], RANDOM) == made_up.text
    assert guarded.state() == before
