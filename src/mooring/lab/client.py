"""The native API, as tests and demos of the laboratory speak to it: one call is one request, and a refusal says its status."""

import time
from types import TracebackType
from typing import Any, Self

import httpx2

Thing = dict[str, Any]

_TIMEOUT = 30.0
_POLL = 0.1


class Refused(Exception):
    """The API answered, and not as asked; the message is its reason."""

    def __init__(self, status: int, reason: str, retry_after: str | None) -> None:
        """Keep what it said."""
        super().__init__(f"{status}: {reason}")
        self.status = status
        self.retry_after = retry_after


class Client:
    """One user in the project of the same name."""

    def __init__(self, url: str, user: str, password: str) -> None:
        """Keep who it is; `log_in` goes first."""
        self.url = url
        self.user = user
        self._password = password
        self._http = httpx2.Client(base_url=url, timeout=_TIMEOUT, trust_env=False)

    def __enter__(self) -> Self:
        """Log in."""
        self.log_in()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def log_in(self) -> None:
        """Get a token."""
        domain = {"name": "Default"}
        user = {"name": self.user, "password": self._password, "domain": domain}
        scope = {"project": {"name": self.user, "domain": domain}}
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
        answer = self._http.post("/identity/v3/auth/tokens", json=body)
        if answer.status_code != 201:
            raise Refused(answer.status_code, answer.text, answer.headers.get("Retry-After"))
        self._http.headers["X-Auth-Token"] = answer.headers["X-Subject-Token"]

    def ask(self, method: str, path: str, body: Thing | None = None, **headers: str) -> Thing:
        """Ask, and return the answer.

        Raises:
            Refused: the answer is a refusal.
            httpx2.TransportError: there is no answer.
        """
        answer = self._http.request(method, f"/v1/{path}", json=body, headers=headers)
        if answer.is_error:
            reason = answer.text
            if "json" in answer.headers.get("content-type", ""):
                problem = answer.json()
                reason = "; ".join([str(problem.get("detail")), *(str(one) for one in problem.get("errors", ()))])
            raise Refused(answer.status_code, reason, answer.headers.get("Retry-After"))
        return dict(answer.json()) if answer.content else {}

    def ready(self) -> bool:
        """Say whether the API reaches all that it needs."""
        try:
            return self._http.get("/readyz").is_success
        except httpx2.TransportError:
            return False

    def get(self, path: str) -> Thing:
        """Return what is at a path."""
        return self.ask("GET", path)

    def all(self, path: str) -> list[Thing]:
        """Return a list's first thousand items."""
        items: list[Thing] = self.get(path)["items"]
        return items

    def post(self, path: str, body: Thing) -> Thing:
        """Make something."""
        return self.ask("POST", path, body)

    def put(self, path: str, body: Thing) -> Thing:
        """Make something so."""
        return self.ask("PUT", path, body)

    def delete(self, path: str) -> None:
        """Delete something."""
        self.ask("DELETE", path)

    def boot(self, name: str, *networks: str, image: str = "web", wait: float = 60.0) -> Thing:
        """Start an instance and return it once it is active; with `wait` 0 as it is at first.

        Raises:
            Refused: it failed, or took too long.
        """
        nics = [{"network": network} for network in networks]
        made = self.post("instances", {"name": name, "image": image, "flavor": "m1.tiny", "networks": nics})
        return self.settled(made["id"], wait) if wait else made

    def settled(self, instance: str, wait: float = 60.0) -> Thing:
        """Return an instance once it is no longer building.

        Raises:
            Refused: it failed, or took too long.
        """
        deadline = time.monotonic() + wait
        while (shown := self.get(f"instances/{instance}"))["state"] == "building":
            if time.monotonic() > deadline:
                raise Refused(0, f"{shown['name']} is still building after {wait:g} s", None)
            time.sleep(_POLL)
        if shown["state"] != "active":
            raise Refused(0, f"{shown['name']} is in state {shown['state']}: {shown['fault']}", None)
        return shown

    def gone(self, instance: str, wait: float = 30.0) -> None:
        """Delete an instance and return once it is there no longer."""
        self.delete(f"instances/{instance}")
        deadline = time.monotonic() + wait
        while any(each["id"] == instance for each in self.all("instances")):
            if time.monotonic() > deadline:
                raise Refused(0, f"instance {instance} is still there after {wait:g} s", None)
            time.sleep(_POLL)

    def float_to(self, instance: str, pool: str) -> str:
        """Allocate a floating IP of a pool and associate it; return its address."""
        address = str(self.post("floating-ips", {"pool": pool})["address"])
        self.put(f"floating-ips/{address}/association", {"instance": instance})
        return address


def fixed(instance: Thing) -> str:
    """Return the first fixed address of an instance, empty if it has none yet."""
    return str(next((address for nic in instance["nics"] for address in nic["fixed"]), ""))
