"""Wrong passwords over HTTP: after so many, 429 and when to come back, in each form of identity."""

from typing import Any

import httpx2
import pytest

from mooring.operations.attempts import Attempts
from tests.cloud import PASSWORDS, Cloud

V3 = "/identity/v3/auth/tokens"
V2 = "/identity/v2.0/tokens"


def _v3(password: str) -> Any:
    return {
        "auth": {"identity": {"methods": ["password"], "password": {"user": {"name": "alice", "password": password}}}}
    }


def _v2(password: str) -> Any:
    return {"auth": {"passwordCredentials": {"username": "alice", "password": password}}}


def _key(secret: str) -> Any:
    method = {"id": "nothing", "secret": secret}
    return {"auth": {"identity": {"methods": ["application_credential"], "application_credential": method}}}


@pytest.fixture(autouse=True)
def two(cloud: Cloud) -> None:
    """Let two wrong passwords a minute be answered, on a day without end."""
    cloud.operations.identity._attempts = Attempts(per_account=2, per_source=0, clock=lambda: 0.0)


@pytest.mark.parametrize("path, body", [(V3, _v3), (V2, _v2), (V3, _key)], ids=["v3", "v2.0", "key"])
def test_guesses_come_to_an_end(http: httpx2.Client, path: str, body: Any) -> None:
    for _ in range(2):
        assert http.post(path, json=body("guess")).status_code == 401
    for password in ("guess", PASSWORDS["alice"]):
        refused = http.post(path, json=body(password))
        assert refused.status_code == 429
        assert refused.headers["retry-after"] == "30"
        assert refused.json()["error"] == {
            "code": 429,
            "message": "Too many failed log-ins. Try again in 30 seconds.",
            "title": "Too Many Requests",
        }
        assert "x-openstack-request-id" in refused.headers


def test_a_token_is_no_guess(cloud: Cloud, http: httpx2.Client) -> None:
    token = cloud.token("alice")
    cloud.operations.identity._attempts = Attempts(per_account=2, per_source=0, clock=lambda: 0.0)
    for _ in range(2):
        http.post(V3, json=_v3("guess"))
    exchange = {"auth": {"identity": {"methods": ["token"], "token": {"id": token}}}}
    assert http.post(V3, json=exchange).status_code == 201
    assert http.get("/compute/v2.1/servers", headers={"X-Auth-Token": token}).status_code == 200


def test_where_a_request_comes_from_is_counted(cloud: Cloud, http: httpx2.Client) -> None:
    cloud.operations.identity._attempts = Attempts(per_account=0, per_source=1, clock=lambda: 0.0)
    assert http.post(V3, json=_v3("guess")).status_code == 401
    assert http.post(V3, json=_v3(PASSWORDS["alice"])).status_code == 429
