"""What tests ask of a Keystone, whether it is a real one or a small server that answers as a real one did."""

import json
import threading
import uuid
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

from keystoneauth1 import exceptions
from keystoneauth1.identity import v3
from keystoneauth1.session import Session

from mooring.config import KeystoneSettings
from tests.clients.real_keystone import RealKeystone

PASSWORD = "a-word"
SERVICE = "mooring"
_DOMAIN = {"id": "default", "name": "Default"}


class Keystone(Protocol):
    """An identity service with a user `mooring` in the project `service`, who may validate tokens."""

    @property
    def url(self) -> str: ...

    def account(self, user: str, project: str, *roles: str) -> None:
        """Make a user with PASSWORD, and give them roles in a project, which is made too."""
        ...

    def start(self) -> None: ...
    def stop(self) -> None: ...


def settings(keystone: Keystone, **more: Any) -> KeystoneSettings:
    """Return mooring's settings for a Keystone."""
    return KeystoneSettings(**{"url": keystone.url, "username": SERVICE, "password": PASSWORD, **more})


def session(keystone: Keystone, user: str, project: str | None, password: str = PASSWORD) -> Session:
    """Return a user's session; without a project, one whose token is for none."""
    scope: dict[str, Any] = (
        {"unscoped": True} if project is None else {"project_name": project, "project_domain_id": "default"}
    )
    auth = v3.Password(keystone.url, username=user, password=password, user_domain_id="default", **scope)
    return Session(auth=auth, timeout=60)


def token(keystone: Keystone, user: str, project: str | None) -> str:
    """Log in."""
    secret = session(keystone, user, project).get_token()
    assert secret is not None
    return secret


def revoke(keystone: Keystone, secret: str) -> None:
    """Revoke a token."""
    headers = {"X-Auth-Token": secret, "X-Subject-Token": secret}
    answer = Session(timeout=60).delete(f"{keystone.url}/auth/tokens", headers=headers, authenticated=False)
    assert answer.status_code == 204


class Real(RealKeystone):
    """A real one, with mooring's account."""

    def start(self) -> None:
        super().start()
        self.account(SERVICE, "service", "service")
        admin = session(self, "admin", "admin", "bootstrapped")
        if not admin.get(f"{self.url}/endpoints").json()["endpoints"]:
            # As its installer does; with `region_id` an endpoint needs a region that there is.
            admin.put(f"{self.url}/regions/RegionOne", json={"region": {}})
            itself = {
                "interface": "public",
                "region_id": "RegionOne",
                "url": self.url,
                "service_id": self._made(admin, "service", name="keystone", type="identity"),
            }
            admin.post(f"{self.url}/endpoints", json={"endpoint": itself})

    def account(self, user: str, project: str, *roles: str) -> None:
        admin = session(self, "admin", "admin", "bootstrapped")
        owner = self._made(admin, "project", name=project, domain_id="default")
        person = self._made(admin, "user", name=user, domain_id="default", password=PASSWORD)
        for role in roles:
            given = self._made(admin, "role", name=role)
            admin.put(f"{self.url}/projects/{owner}/users/{person}/roles/{given}")

    def _made(self, admin: Session, kind: str, **fields: str) -> str:
        with suppress(exceptions.Conflict):
            return str(admin.post(f"{self.url}/{kind}s", json={kind: fields}).json()[kind]["id"])
        (known,) = admin.get(f"{self.url}/{kind}s?name={fields['name']}").json()[f"{kind}s"]
        return str(known["id"])


class StandIn:
    """Answers log-ins and questions about tokens as Keystone 30 does; the same tests hold both to it."""

    def __init__(self) -> None:
        self.grants: dict[tuple[str, str], list[str]] = {(SERVICE, "service"): ["service"]}
        self.tokens: dict[str, dict[str, Any]] = {}
        self.asked = 0
        """How often a token was asked about."""
        self.instead: tuple[int, bytes] | None = None
        """What questions about tokens are answered with, whatever they are."""
        self.patience = 0.0
        """How many seconds such an answer takes."""
        self._ids: dict[str, str] = {}
        self._port = 0
        self._server: ThreadingHTTPServer
        self._thread: threading.Thread
        self.over = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v3"

    def start(self) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), type("Bound", (_Handler,), {"keystone": self}))
        self._server.daemon_threads = True
        self._port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def account(self, user: str, project: str, *roles: str) -> None:
        implied = {"admin": ["admin", "member", "reader"], "member": ["member", "reader"]}
        self.grants[user, project] = [each for role in roles for each in implied.get(role, [role])]

    def id(self, name: str) -> str:
        """Return the id of a user, project or role."""
        return self._ids.setdefault(name, uuid.uuid4().hex)

    def log_in(self, wanted: Mapping[str, Any]) -> tuple[str, dict[str, Any]] | None:
        user = wanted["identity"]["password"]["user"]
        scope = wanted.get("scope")
        project = scope["project"]["name"] if isinstance(scope, dict) else None
        roles = self.grants.get((user["name"], project or ""))
        if user["password"] != PASSWORD or (project is not None and roles is None):
            return None
        now = datetime.now(UTC).replace(microsecond=0)
        body: dict[str, Any] = {
            "methods": ["password"],
            "user": {
                "domain": _DOMAIN,
                "id": self.id("user " + user["name"]),
                "name": user["name"],
                "password_expires_at": None,
            },
            "audit_ids": ["quNxa06kSsGdCxx5aFlJew"],
            "expires_at": f"{now + timedelta(hours=1):%Y-%m-%dT%H:%M:%S.000000Z}",
            "issued_at": f"{now:%Y-%m-%dT%H:%M:%S.000000Z}",
        }
        if project is not None:
            body["project"] = {"domain": _DOMAIN, "id": self.id("project " + project), "name": project}
            body["is_domain"] = False
            body["roles"] = [{"id": self.id("role " + role), "name": role} for role in roles or ()]
        secret = f"gAAAAAB{uuid.uuid4().hex}"
        self.tokens[secret] = {"token": body}
        return secret, self.tokens[secret]


class _Handler(BaseHTTPRequestHandler):
    keystone: StandIn

    def do_POST(self) -> None:
        wanted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["auth"]
        made = self.keystone.log_in(wanted)
        if made is None:
            self._refuse(401, "The request you have made requires authentication.", "Unauthorized")
        else:
            self._say(201, json.dumps(made[1]).encode(), {"X-Subject-Token": made[0]})

    def do_GET(self) -> None:
        if not self._allowed():
            return
        self.keystone.asked += 1
        if self.keystone.instead is not None:
            self.keystone.over.wait(self.keystone.patience)
            self._say(*self.keystone.instead)
            return
        known = self.keystone.tokens.get(self.headers["X-Subject-Token"])
        if known is None:
            self._refuse(404, "Could not recognize Fernet token", "Not Found")
        else:
            self._say(200, json.dumps(known).encode(), {"X-Subject-Token": self.headers["X-Subject-Token"]})

    def do_DELETE(self) -> None:
        if self._allowed():
            self.keystone.tokens.pop(self.headers["X-Subject-Token"])
            self._say(204, b"")

    def _allowed(self) -> bool:
        if self.headers["X-Auth-Token"] in self.keystone.tokens:
            return True
        self._refuse(401, "The request you have made requires authentication.", "Unauthorized")
        return False

    def _refuse(self, code: int, message: str, title: str) -> None:
        self._say(code, json.dumps({"error": {"code": code, "message": message, "title": title}}).encode())

    def _say(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its word, too
        """Say nothing."""
