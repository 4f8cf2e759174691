"""Callers whom a Keystone knows: the same tests with a real one (slow) and with a stand-in that answers alike."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from prometheus_client import CollectorRegistry

from mooring.cli.access import Access, Session
from mooring.cli.failure import Failed
from mooring.config import Settings
from mooring.main.api import build_app
from mooring.main.keystone import Keystone as Asked
from mooring.model.accounts import Project, Role, User
from mooring.model.faults import Unauthenticated, Unavailable
from mooring.model.ids import ProjectId, UserId
from mooring.model.records import Credentials
from mooring.operations import Door, Limits, Operations, Remembering
from tests.clients.keystones import PASSWORD, Keystone, StandIn, revoke, settings, token
from tests.cloud import FLAVORS, IMAGES, Cloud, Server


@pytest.fixture(scope="module", params=["stand-in", pytest.param("real", marks=pytest.mark.slow)])
def keystone(request: pytest.FixtureRequest) -> Iterator[Keystone]:
    own = StandIn() if request.param == "stand-in" else None
    if own is not None:
        own.start()
    made: Keystone = own or request.getfixturevalue("real_keystone")
    for user, project, role in (
        ("nell", "fleet", "member"),
        ("rita", "fleet", "reader"),
        ("bob", "ferries", "member"),
        ("root", "harbour", "admin"),
        ("ghost", "fleet", "service"),
    ):
        made.account(user, project, role)
    yield made
    if own is not None:
        own.stop()


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    made = StandIn()
    made.start()
    made.account("nell", "fleet", "member")
    yield made
    made.stop()


@dataclass
class Time:
    """Seconds that pass when they are told to."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Mooring:
    """mooring, whose callers a Keystone knows; answers are believed for 60 seconds."""

    cloud: Cloud
    time: Time = field(default_factory=Time)
    stack: ExitStack = field(default_factory=ExitStack)
    operations: Operations = field(init=False)
    url: str = ""

    def join(self, keystone: Keystone, most: int = 100, timeout: int = 30) -> None:
        door = Door(self.cloud.store, self.cloud.host, self.cloud.clock, Limits(), IMAGES, FLAVORS)
        asked = Asked(settings(keystone, timeout=timeout))
        self.operations = Operations(door, authority=asked, remembering=Remembering(60, most, self.time))

    def serve(self, keystone: Keystone) -> None:
        self.join(keystone)
        app = build_app(self.operations, Settings(), CollectorRegistry(), {})
        self.url = self.stack.enter_context(Server(app)).url

    def knows(self, secret: str) -> bool:
        try:
            return self.operations.identity.caller(secret, "req").user.name == "nell"
        except Unauthenticated:
            return False

    def get(self, path: str, secret: str | None = None) -> httpx2.Response:
        return self.send("GET", path, secret)

    def send(self, method: str, path: str, secret: str | None = None) -> httpx2.Response:
        headers = {} if secret is None else {"X-Auth-Token": secret}
        return httpx2.request(method, self.url + path, headers=headers, timeout=60)


@pytest.fixture
def mooring(tmp_path: Path) -> Iterator[Mooring]:
    made = Mooring(Cloud(tmp_path / "cloud.db"))
    with made.stack:
        yield made
    made.cloud.close()


FLOATING = "/compute/v2.1/os-floating-ips"


def test_what_a_token_stands_for(keystone: Keystone) -> None:
    asked = Asked(settings(keystone))
    for user, project, roles in (
        ("nell", "fleet", [Role.MEMBER, Role.READER]),
        ("rita", "fleet", [Role.READER]),
        ("root", "harbour", list(Role)),
        ("ghost", "fleet", list[Role]()),
    ):
        said = asked.validate(token(keystone, user, project))
        assert said.project is not None
        assert (said.user.name, said.project.name, said.roles) == (user, project, frozenset(roles))
        assert (said.user.domain, said.project.domain) == (None, None)
        assert said.issued_at <= datetime.now(UTC) < said.expires_at
    unscoped = asked.validate(token(keystone, "nell", None))
    assert (unscoped.project, unscoped.roles) == (None, frozenset())
    for made_up in ("made-up", "gAAAAAB" + "x" * 300, "ü", "two words", "x" * 9000, "%00", ""):
        with pytest.raises(Unauthenticated):
            asked.validate(made_up)


def test_mooring_s_own_account_must_be_right(keystone: Keystone) -> None:
    for wrong in ({"password": "wrong"}, {"username": "nobody"}, {"project": "nowhere"}):
        with pytest.raises(Unavailable):
            Asked(settings(keystone, **wrong)).validate(token(keystone, "nell", "fleet"))


def test_roles_and_projects_are_keystone_s(keystone: Keystone, mooring: Mooring) -> None:
    mooring.serve(keystone)
    nell, rita = token(keystone, "nell", "fleet"), token(keystone, "rita", "fleet")
    made = mooring.send("POST", FLOATING, nell)
    assert made.status_code == 200, made.text
    path = f"{FLOATING}/{made.json()['floating_ip']['id']}"
    assert mooring.get(path, rita).status_code == 200
    assert mooring.send("DELETE", path, rita).status_code == 403
    assert mooring.get(path, token(keystone, "bob", "ferries")).status_code == 404
    assert mooring.get(path, token(keystone, "ghost", "fleet")).status_code == 403
    assert mooring.get(path, token(keystone, "nell", None)).status_code == 401
    assert mooring.get("/compute/v2.1/os-services", nell).status_code == 403
    assert mooring.get("/compute/v2.1/os-services", token(keystone, "root", "harbour")).status_code == 200

    # A project that is seen for the first time has what new ones have.
    said = Asked(settings(keystone)).validate(nell)
    assert said.project is not None
    limits = mooring.get(f"/compute/v2.1/os-quota-sets/{said.project.id}", nell).json()["quota_set"]
    assert limits["floating_ips"] == 10
    listed = mooring.get("/v1/floating-ips", nell).json()["items"]
    assert [each["address"] for each in listed] == [made.json()["floating_ip"]["ip"]]
    assert mooring.get("/network/v2.0/floatingips", nell).json()["floatingips"][0]["project_id"] == said.project.id
    # A log-in of mooring's own, of before there was a Keystone, opens nothing.
    assert mooring.get(FLOATING, mooring.cloud.token("root")).status_code == 401


def test_there_are_no_accounts_here(keystone: Keystone, mooring: Mooring) -> None:
    mooring.serve(keystone)
    root = token(keystone, "root", "harbour")
    for method, path in (
        ("GET", "/identity"),
        ("GET", "/identity/v3"),
        ("POST", "/identity/v3/auth/tokens"),
        ("GET", "/identity/v3/projects"),
        ("POST", "/identity/v2.0/tokens"),
    ):
        answer = mooring.send(method, path, root)
        assert answer.status_code == 404
        assert keystone.url in answer.json()["error"]["message"]
    for path in ("/v1/projects", "/v1/users", "/v1/roles", "/v1/keys"):
        assert mooring.get(path, root).status_code == 404
        assert mooring.send("POST", path, root).status_code == 404
    assert mooring.get(FLOATING).headers["WWW-Authenticate"] == f'Keystone uri="{keystone.url}"'
    about = mooring.get("/v1/openapi.json").json()
    assert keystone.url in about["info"]["description"]
    assert not {"/projects", "/users", "/keys"} & about["paths"].keys()


def test_the_command_logs_in_where_keystone_is(keystone: Keystone, mooring: Mooring) -> None:
    mooring.serve(keystone)
    nell = Access(mooring.url, keystone.url, "nell", PASSWORD, "fleet")
    with closing(Session(nell)) as command:
        assert command.all("floating-ips") == []
        with pytest.raises(Failed, match="nothing at"):
            command.all("projects")
    with pytest.raises(Failed, match=f"{keystone.url.removesuffix('/v3')} does not know user nell"):
        Session(replace(nell, password="wrong"))
    # Who is not told of Keystone hears where it is.
    with pytest.raises(Failed, match=keystone.url):
        Session(replace(nell, auth_url=None))


def test_a_revoked_token_ends_with_what_is_remembered(keystone: Keystone, mooring: Mooring) -> None:
    mooring.join(keystone)
    nell = token(keystone, "nell", "fleet")
    assert mooring.knows(nell)
    revoke(keystone, nell)
    mooring.time.now += 59
    assert mooring.knows(nell)
    mooring.time.now += 1
    for _ in range(2):
        assert not mooring.knows(nell)
    assert mooring.knows(token(keystone, "nell", "fleet"))


def test_while_keystone_is_away(keystone: Keystone, mooring: Mooring) -> None:
    mooring.serve(keystone)
    known, new = token(keystone, "nell", "fleet"), token(keystone, "bob", "ferries")
    assert mooring.get(FLOATING, known).status_code == 200
    before = _rows(mooring.cloud)
    keystone.stop()
    try:
        assert mooring.send("POST", FLOATING, known).status_code == 200
        for path in (FLOATING, "/v1/floating-ips", "/network/v2.0/floatingips"):
            answer = mooring.get(path, new)
            assert answer.status_code == 503, answer.text
            assert int(answer.headers["Retry-After"]) > 0
        assert mooring.send("POST", FLOATING, new).status_code == 503
        mooring.time.now += 60
        assert mooring.send("POST", FLOATING, known).status_code == 503
        assert mooring.get(FLOATING).status_code == 401
        assert _rows(mooring.cloud) == before
    finally:
        keystone.start()
    assert len(mooring.get(FLOATING, known).json()["floating_ips"]) == 1
    assert mooring.get(FLOATING, new).json() == {"floating_ips": []}


def _rows(cloud: Cloud) -> tuple[list[str], list[str]]:
    with cloud.store.read() as tx:
        return [each.id for each in tx.identities.projects()], [each.id for each in tx.identities.users()]


# ------------------------------------------------------------------------------------- what a real one can't be made to do


@pytest.mark.parametrize(
    "status, body",
    [
        (500, b"{}"),
        (403, b'{"error": {"code": 403, "message": "You are not authorized", "title": "Forbidden"}}'),
        (429, b""),
        (200, b"<html>"),
        (200, b"{}"),
        (200, b'{"token": {}}'),
        (200, b'{"token": {"user": 7, "roles": {}}}'),
        (200, b'{"token": {"user": {"id": "u", "name": null, "domain": {"id": "default"}}, "roles": []}}'),
    ],
)
def test_what_is_no_answer_is_nobody_s_fault(stand_in: StandIn, mooring: Mooring, status: int, body: bytes) -> None:
    mooring.join(stand_in)
    nell = token(stand_in, "nell", "fleet")
    before = _rows(mooring.cloud)
    stand_in.instead = status, body
    with pytest.raises(Unavailable):
        mooring.knows(nell)
    assert _rows(mooring.cloud) == before
    stand_in.instead = None
    assert mooring.knows(nell)


def test_one_that_takes_too_long_is_away(stand_in: StandIn, mooring: Mooring) -> None:
    mooring.join(stand_in, timeout=1)
    nell = token(stand_in, "nell", "fleet")
    stand_in.instead, stand_in.patience = (200, b"{}"), 60
    with pytest.raises(Unavailable):
        mooring.knows(nell)


def test_answers_are_remembered_and_not_too_many(stand_in: StandIn, mooring: Mooring) -> None:
    mooring.join(stand_in, most=3)
    good = [token(stand_in, "nell", "fleet") for _ in range(3)]
    for _ in range(2):
        assert all(mooring.knows(each) for each in good)
    assert stand_in.asked == 3
    # Made-up ones are asked about once, and drive no good one out.
    for number in range(5):
        for _ in range(2):
            assert not mooring.knows(f"made-up-{number}")
    assert stand_in.asked == 8
    assert mooring.knows(good[0])
    assert stand_in.asked == 8
    # The oldest is forgotten for a fourth.
    assert mooring.knows(token(stand_in, "nell", "fleet"))
    assert mooring.knows(good[2])
    assert stand_in.asked == 9
    assert mooring.knows(good[0])
    assert stand_in.asked == 10


def test_a_token_is_not_believed_beyond_its_end(stand_in: StandIn, mooring: Mooring) -> None:
    mooring.join(stand_in)
    nell = token(stand_in, "nell", "fleet")
    stand_in.tokens[nell]["token"]["expires_at"] = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.000000Z}"
    for count in (1, 2):
        # The clock may be wrong here; Keystone's word is not.
        assert mooring.knows(nell)
        assert stand_in.asked == count


def _token_with(stand_in: StandIn, change: Callable[[dict[str, Any]], None]) -> str:
    secret = token(stand_in, "nell", "fleet")
    body = json.loads(json.dumps(stand_in.tokens[secret]))
    change(body["token"])
    stand_in.tokens[secret] = body
    return secret


def test_what_keystone_says_beside_roles(stand_in: StandIn) -> None:
    stand_in.account("nell", "fleet", "admin")
    asked = Asked(settings(stand_in))

    def not_here(body: dict[str, Any]) -> None:
        body["is_admin_project"] = False

    def only_some(body: dict[str, Any]) -> None:
        body["application_credential"] = {"id": "1", "name": "ci", "access_rules": []}

    def elsewhere(body: dict[str, Any]) -> None:
        body["user"]["domain"] = body["project"]["domain"] = {"id": "77", "name": "Sea"}

    assert asked.validate(_token_with(stand_in, not_here)).roles == {Role.MEMBER, Role.READER}
    with pytest.raises(Unauthenticated):
        asked.validate(_token_with(stand_in, only_some))
    said = asked.validate(_token_with(stand_in, elsewhere))
    assert said.project is not None
    assert (said.user.domain, said.project.domain) == ("Sea", "Sea")


def test_names_that_others_have(stand_in: StandIn, mooring: Mooring) -> None:
    """Rows of before, other domains, and names that went from one to another: each project stays who it is."""
    with mooring.cloud.store.write() as tx:
        tx.identities.add_project(Project(ProjectId("old"), "fleet"))
        tx.identities.add_user(Credentials(User(UserId("old"), "nell"), ""))
    mooring.join(stand_in)

    def named(project: str, **more: str) -> Callable[[dict[str, Any]], None]:
        def change(body: dict[str, Any]) -> None:
            body["project"] |= {"id": project, **{key: value for key, value in more.items() if key == "name"}}
            if "domain" in more:
                body["project"]["domain"] = {"id": "77", "name": more["domain"]}

        return change

    def name_of(change: Callable[[dict[str, Any]], None]) -> str:
        caller = mooring.operations.identity.caller(_token_with(stand_in, change), "req")
        with mooring.cloud.store.read() as tx:
            assert tx.identities.project(caller.project.id) == caller.project
        return caller.project.name

    assert name_of(named("a")) == "fleet (a)"
    assert name_of(named("b", domain="Sea")) == "fleet@Sea"
    assert name_of(named("c", name="ferries")) == "ferries"
    assert name_of(named("c", name="barques")) == "barques"
    assert name_of(named("d", name="ferries")) == "ferries"
    assert name_of(named("c", name="ferries")) == "ferries (c)"
    assert name_of(named("e", name="line\nend")) == "e"
    with mooring.cloud.store.read() as tx:
        names = [each.name for each in tx.identities.users()]
    assert f"nell ({stand_in.id('user nell')})" in names
