"""While the database or the bus is away, every call of every dialect answers 503 with Retry-After, and nothing is half-done."""

import re
import sqlite3
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from prometheus_client import CollectorRegistry

from mooring.config import Settings
from mooring.dialects.openstack.routes import ROUTES
from mooring.dialects.openstack.routing import Access
from mooring.main.api import build_app
from mooring.main.service import GuardedStore, database_check
from mooring.model.faults import Unavailable
from mooring.operations import Operations
from mooring.operations.interfaces import Store, Transaction
from tests.cloud import FLAVORS, IMAGES, Cloud, Server


class Switch:
    """A store that can be away: altogether, or only at the moment of a commit, as when the disk is full."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.away = False
        self.full = False
        self.readable_after_write = True

    def read(self) -> AbstractContextManager[Transaction]:
        self._check()
        return self._store.read()

    def write(self) -> AbstractContextManager[Transaction]:
        self._check()
        return self._write()

    def _check(self) -> None:
        if self.away:
            raise Unavailable("The database is not available.", detail="as the test wants it")

    @contextmanager
    def _write(self) -> Generator[Transaction]:
        with self._store.write() as tx:
            yield tx
            if self.full:
                raise Unavailable("The database is not available.", detail="the disk is full")
        if not self.readable_after_write:
            self.away = True


@dataclass
class Api:
    """A cloud behind HTTP, whose database and bus can be taken away."""

    cloud: Cloud
    http: httpx2.Client
    switch: Switch
    bus_there: bool = True

    def ask(self, method: str, path: str, body: object = None) -> httpx2.Response:
        return self.http.request(method, path, json=body)

    def dump(self) -> str:
        """Return all rows of the database but tokens: to log in is allowed without a bus."""
        with sqlite3.connect(self.cloud.database) as connection:
            lines = "\n".join(connection.iterdump())
        connection.close()
        return re.sub(r'INSERT INTO "?tokens"? .*', "", lines)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    cloud = Cloud(tmp_path / "cloud.db", settle_timeout=0.3)
    switch = Switch(cloud.store)
    door = replace(cloud.operations.hosts._door, store=switch)
    api = Api(cloud, httpx2.Client(timeout=30, trust_env=False), switch)
    # As main.service puts them together.
    operations = Operations(replace(door, store=GuardedStore(switch, lambda: api.bus_there)), unguarded=door)
    app = build_app(operations, Settings(), CollectorRegistry(), {"database": database_check(switch)})
    with Server(app) as server:
        api.http.base_url = server.url
        api.http.headers["X-Auth-Token"] = cloud.token("alice")
        yield api
        api.http.close()
    cloud.close()


def _is_unavailable(answer: httpx2.Response) -> None:
    assert answer.status_code == 503, answer.text
    assert int(answer.headers["Retry-After"]) > 0
    assert "as the test wants it" not in answer.text
    assert "the disk is full" not in answer.text


def _native(api: Api) -> list[tuple[str, str]]:
    paths: dict[str, dict[str, Any]] = api.ask("GET", "/v1/openapi.json").json()["paths"]
    return [(method.upper(), f"/v1{path}") for path, methods in paths.items() for method in methods]


def test_every_route_says_so_while_the_database_is_away(api: Api) -> None:
    native = _native(api)
    assert len(native) > 15
    routes = [(route.method, route.path) for route in ROUTES if route.access is not Access.PUBLIC]
    before = api.dump()
    api.switch.away = True
    for method, path in [*native, *routes]:
        _is_unavailable(api.ask(method, re.sub(r"\{\w+\}", "x", path), {} if method != "GET" else None))
    log_in = {"auth": {"identity": {"methods": ["password"], "password": {"user": {"id": "x", "password": "y"}}}}}
    _is_unavailable(api.ask("POST", "/identity/v3/auth/tokens", log_in))
    ready = api.ask("GET", "/readyz")
    _is_unavailable(ready)
    assert ready.json() == {"status": "unavailable", "database": "The database is not available."}
    assert api.ask("GET", "/healthz").status_code == 200
    api.switch.away = False
    assert api.ask("GET", "/readyz").status_code == 200
    assert api.dump() == before


def _changes(api: Api) -> list[tuple[str, str, object]]:
    """Return a change of every kind that the dialects know, each of which would succeed."""
    caller = api.cloud.caller("alice")
    instance = api.cloud.boot(caller, "one")
    other = api.cloud.boot(caller, "two")
    free = api.cloud.operations.addresses.allocate(caller, "public")
    bound = api.cloud.operations.addresses.allocate(caller, "public")
    api.cloud.operations.addresses.associate(caller, other.id, bound.address)
    image, flavor = IMAGES[0].id, FLAVORS[0].id
    compute = "/compute/v2.1"
    action = f"{compute}/servers/{instance.id}/action"
    return [
        ("POST", f"{compute}/servers", {"server": {"name": "x", "imageRef": image, "flavorRef": flavor}}),
        ("DELETE", f"{compute}/servers/{instance.id}", None),
        ("POST", f"{compute}/os-floating-ips", {"pool": "public"}),
        ("DELETE", f"{compute}/os-floating-ips/{free.id}", None),
        ("POST", action, {"addFloatingIp": {"address": str(free.address)}}),
        (
            "POST",
            f"{compute}/servers/{other.id}/action",
            {"removeFloatingIp": {"address": str(bound.address)}},
        ),
        ("POST", "/v1/instances", {"name": "x", "image": image, "flavor": flavor}),
        ("DELETE", f"/v1/instances/{instance.id}", None),
        ("POST", "/v1/floating-ips", {"pool": "public"}),
        ("DELETE", f"/v1/floating-ips/{free.id}", None),
        ("PUT", f"/v1/floating-ips/{free.id}/association", {"instance": instance.id}),
        ("DELETE", f"/v1/floating-ips/{bound.id}/association", None),
    ]


@pytest.mark.parametrize("what", ["bus", "disk"])
def test_a_change_that_is_answered_503_was_not_begun_or_is_undone(api: Api, what: str) -> None:
    changes = _changes(api)
    before = api.dump()
    if what == "bus":
        api.bus_there = False
    else:
        api.switch.full = True
    for method, path, body in changes:
        _is_unavailable(api.ask(method, path, body))
        assert api.dump() == before, f"{method} {path} left something behind"
    # Who only looks is answered.
    for path in ("/compute/v2.1/servers/detail", "/v1/floating-ips", "/compute/v2.1/os-floating-ips"):
        assert api.ask("GET", path).status_code == 200
    api.bus_there = True
    api.switch.full = False
    # The same requests, one after the other, work now: none of them was a mistake.
    for method, path, body in changes[:1] + changes[4:6]:
        answer = api.ask(method, path, body)
        assert answer.status_code < 300, answer.text


def test_one_may_log_in_while_the_bus_is_away_but_not_while_the_disk_is_full(api: Api) -> None:
    body = {
        "auth": {
            "identity": {
                "methods": ["password"],
                "password": {"user": {"name": "alice", "domain": {"id": "default"}, "password": "pw-alice"}},
            }
        }
    }
    api.bus_there = False
    assert api.ask("POST", "/identity/v3/auth/tokens", body).status_code == 201
    api.switch.full = True
    _is_unavailable(api.ask("POST", "/identity/v3/auth/tokens", body))


def test_a_change_that_was_committed_is_not_told_as_refused(api: Api) -> None:
    """The database goes away between the commit and the look whether the hosts have followed."""
    caller = api.cloud.caller("alice")
    instance = api.cloud.boot(caller, "one")
    free = api.cloud.operations.addresses.allocate(caller, "public")
    api.switch.readable_after_write = False
    path = f"/compute/v2.1/servers/{instance.id}/action"
    answer = api.ask("POST", path, {"addFloatingIp": {"address": str(free.address)}})
    assert answer.status_code == 202, answer.text
    api.switch.away = False
    shown = api.ask("GET", "/compute/v2.1/os-floating-ips").json()["floating_ips"]
    assert [entry["instance_id"] for entry in shown] == [instance.id]
