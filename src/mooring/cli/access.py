"""How a command reaches mooring: where, as whom, and what is said when that fails."""

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, cast
from urllib.parse import quote

import typer

from mooring.cli.failure import Failed

if TYPE_CHECKING:
    import httpx2  # imported when a command needs it: it takes as long as all the rest

Thing = dict[str, Any]

_TIMEOUT = 60.0
_ATTEMPTS = 2
_POLL = 0.25


@dataclass(frozen=True, slots=True)
class Access:
    """Where mooring is and who asks, as options or an openrc say."""

    url: str | None = None
    auth_url: str | None = None
    user: str | None = None
    password: str | None = None
    project: str | None = None
    key: str | None = None
    key_secret: str | None = None

    @property
    def base(self) -> str:
        """Return mooring's URL, without a path of any API."""
        base = (self.url or self.auth_url or "").rstrip("/")
        if self.url is None:
            for end in ("/v3", "/identity"):
                base = base.removesuffix(end)
        return base

    def complete(self) -> "Access":
        """Return this, if it has all that a log-in needs."""
        needed = {"--url or OS_AUTH_URL": self.url or self.auth_url}
        if self.key is not None:
            # It knows its project itself.
            needed["OS_APPLICATION_CREDENTIAL_SECRET"] = self.key_secret
        else:
            needed |= {
                "--user or OS_USERNAME": self.user,
                "OS_PASSWORD": self.password,
                "--project or OS_PROJECT_NAME": self.project,
            }
        lacking = [name for name, value in needed.items() if not value]
        if lacking:
            raise Failed(
                f"not known: {', '.join(lacking)}; source an openrc (`mooring openrc` writes one) or give the options."
            )
        return self


class Session:
    """The native API, as one user in one project."""

    def __init__(self, access: Access) -> None:
        """Log in."""
        import httpx2

        self._access = access.complete()
        self._errors = httpx2.HTTPError, httpx2.InvalidURL
        self._lost = httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError
        self._http = httpx2.Client(timeout=_TIMEOUT, trust_env=False)
        try:
            self._http.headers["X-Auth-Token"] = self._log_in()
        except Failed:
            self.close()
            raise

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    @classmethod
    def of(cls, ctx: typer.Context) -> "Session":
        """Return the session that a command's options ask for; it ends with the command."""
        session = cls(ctx.find_object(Access) or Access())
        ctx.call_on_close(session.close)
        return session

    def _log_in(self) -> str:
        access = self._access
        body = {"auth": _by_key(access) if access.key is not None else _by_password(access)}
        place = access.base
        answer = self._send("POST", f"{place}/identity/v3/auth/tokens", body)
        if answer.status_code == 404 and access.url is not None and access.auth_url is not None:
            # The callers of this mooring are known to a Keystone, which is where OS_AUTH_URL leads then.
            place = access.auth_url.rstrip("/").removesuffix("/v3")
            answer = self._send("POST", f"{place}/v3/auth/tokens", body)
        if answer.status_code == 401:
            who = (
                f"key {access.key} with this secret"
                if access.key is not None
                else f"user {access.user} with this password"
            )
            where = "" if access.key is not None else f" in project {access.project}"
            raise Failed(f"{place} does not know {who}{where}.")
        if answer.status_code == 429:
            raise Failed(
                f"wrong passwords came too often; try again in {answer.headers.get('Retry-After', '60')} seconds."
            )
        token = answer.headers.get("X-Subject-Token")
        if answer.status_code != 201 or token is None:
            raise Failed(f"{place} is not mooring: it answers a log-in with {answer.status_code}{_told(answer)}.")
        return str(token)

    # ------------------------------------------------------------------------------------------------------ requests

    def all(self, path: str, **query: object) -> list[Thing]:
        """Return all items of a list, page by page."""
        return [item for page in self._pages(path, query) for item in page]

    def _pages(self, path: str, query: Mapping[str, object]) -> Iterator[list[Thing]]:
        after: str | None = None
        while True:
            asked = {**query, "after": after}
            answer = self.get(path, **{name: value for name, value in asked.items() if value is not None})
            yield answer["items"]
            after = answer.get("next")
            if after is None:
                return

    def get(self, path: str, **query: object) -> Thing:
        """Return what is at a path."""
        return self._read(self._send("GET", self._at(path), query=query))

    def text(self, method: str, path: str, body: Thing | None = None) -> str:
        """Return what a path has for people to read."""
        answer = self._send(method, self._at(path), body, headers={"Accept": "text/plain"})
        if answer.is_error:
            self._refused(answer)
        return answer.text

    def post(self, path: str, body: Thing) -> Thing:
        """Make something, once, even if the answer is lost."""
        key = {"Idempotency-Key": str(uuid.uuid4())}
        return self._read(self._send("POST", self._at(path), body, headers=key))

    def put(self, path: str, body: Thing, **query: object) -> Thing:
        """Make something so."""
        return self._read(self._send("PUT", self._at(path), body, query=query))

    def delete(self, path: str, **query: object) -> None:
        """Delete what is at a path; a list in the query stands for one value after the other."""
        self._read(self._send("DELETE", self._at(path), query=query))

    def path(self, collection: str, name: str) -> str:
        """Return the path of a thing by its name or id."""
        if "/" in name or name in {"", ".", ".."}:
            # What can't stand in a path must be found by its name.
            named = [thing for thing in self.all(collection, name=name) if thing["name"] == name]
            if len(named) != 1:
                raise Failed(f"{len(named)} {collection} are named {name!r}.")
            name = named[0]["id"]
        return f"{collection}/{quote(name, safe='')}"

    def _at(self, path: str) -> str:
        return f"{self._access.base}/v1/{path}"

    def _send(
        self,
        method: str,
        url: str,
        body: Thing | None = None,
        *,
        query: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> "httpx2.Response":
        parameters = {
            name: [str(each) for each in cast("list[object]", value)] if isinstance(value, list) else str(value)
            for name, value in (query or {}).items()
        }
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._http.request(method, url, json=body, params=parameters, headers=dict(headers or {}))
            except self._lost as error:
                # The answer was lost on its way: but for deletions, asking again does nothing twice.
                if attempt == _ATTEMPTS or method == "DELETE":
                    raise Failed(f"{self._access.base} broke off: {error}.") from error
            except self._errors as error:
                raise Failed(f"{self._access.base} does not answer: {error}; is `mooring up` running there?") from error
        raise AssertionError

    def _read(self, answer: "httpx2.Response") -> Thing:
        if answer.is_error:
            self._refused(answer)
        if answer.status_code == 204:
            return {}
        try:
            thing: Thing = answer.json()
        except ValueError as error:
            raise Failed(f"{answer.url} is not mooring's: it answers with no JSON.") from error
        return thing

    def _refused(self, answer: "httpx2.Response") -> NoReturn:
        try:
            problem: Thing = answer.json()
            faults = [f"{each['field']}: {each['reason']}" for each in problem.get("errors", [])]
            reason = "; ".join(faults) or str(problem["detail"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Failed(f"{answer.url} answers with {answer.status_code} and no reason.") from error
        if answer.status_code >= 500:
            reason += f" (request {problem.get('request_id', '?')})"
        raise Failed(reason)

    # ----------------------------------------------------------------------------------------------------- instances

    def settled_instance(self, instance: str, seconds: float) -> Thing:
        """Return an instance once it is active.

        Raises:
            Failed: it went to state error, or the time was over before.
        """
        deadline = time.monotonic() + seconds
        while True:
            thing = self.get(f"instances/{instance}")
            if thing["state"] == "active":
                return thing
            if thing["state"] != "building":
                raise Failed(
                    f"instance {thing['name']} is in state {thing['state']}: {thing['fault'] or 'no reason is known'}"
                )
            if time.monotonic() > deadline:
                raise Failed(f"instance {thing['name']} is still building after {seconds:g} seconds.")
            time.sleep(_POLL)

    def gone_instance(self, instance: str, seconds: float) -> None:
        """Return once an instance is there no longer."""
        deadline = time.monotonic() + seconds
        while any(thing["id"] == instance for thing in self.all("instances")):
            if time.monotonic() > deadline:
                raise Failed(f"the instance is still there after {seconds:g} seconds.")
            time.sleep(_POLL)


def _told(answer: "httpx2.Response") -> str:
    """Return what an identity service says of a refusal, if it does: that there is none, and where there is one, for example."""
    try:
        return f", {str(answer.json()['error']['message']).rstrip('.')}"
    except (ValueError, KeyError, TypeError):
        return ""


def _by_password(access: Access) -> Thing:
    domain = {"name": "Default"}
    user = {"name": access.user, "password": access.password, "domain": domain}
    scope = {"project": {"name": access.project, "domain": domain}}
    return {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}


def _by_key(access: Access) -> Thing:
    key = {"id": access.key, "secret": access.key_secret}
    return {"identity": {"methods": ["application_credential"], "application_credential": key}}


def as_json(value: object) -> str:
    """Write what the API said, for programs."""
    return json.dumps(value, indent=2, ensure_ascii=False)
