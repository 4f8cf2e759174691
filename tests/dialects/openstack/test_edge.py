"""What happens before and around handlers: limits of HTTP, content types, versions, ids, the log, and failures of ours."""

import re
import socket
from urllib.parse import urlparse

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from structlog.testing import capture_logs

from mooring.dialects.http import Bounds
from mooring.dialects.openstack import create_app
from mooring.model.faults import Unavailable
from tests.cloud import Cloud, Server
from tests.dialects.openstack.conftest import PUBLIC_URL, Client
from tests.dialects.test_http import HOSTILE

REQUEST_ID = re.compile(r"req-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.mark.parametrize(
    "body", [body for body, _ in HOSTILE.values() if body], ids=[name for name, (body, _) in HOSTILE.items() if body]
)
@pytest.mark.parametrize("path", ["/identity/v3/auth/tokens", "/compute/v2.1/servers", "/compute/v2.1/os-floating-ips"])
def test_hostile_bodies(alice: Client, path: str, body: bytes) -> None:
    response = alice("POST", path, content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 400
    ((_, inside),) = response.json().items()
    assert inside["code"] == 400


@pytest.mark.parametrize(
    "path", ["/identity/v3/auth/tokens", "/compute/v2.1/servers", "/compute/v2.1/servers/x/action"]
)
@pytest.mark.parametrize("body", [None, [], "text", 7, True, {}, {"x": {}}, {"auth": None}, {"server": []}])
def test_bodies_of_another_kind(alice: Client, path: str, body: object) -> None:
    response = alice("POST", path, body)
    assert response.status_code == 400


def test_body_too_large(alice: Client) -> None:
    for body in (b" " * 65_537, b" " * 3_000_000):
        response = alice("POST", "/os-floating-ips", content=body)
        assert response.status_code == 413
        assert response.json() == {"overLimit": {"code": 413, "message": "The body is larger than 65536 bytes."}}
    assert alice("GET", "/os-floating-ips").json() == {"floating_ips": []}


def test_body_too_large_in_pieces(alice: Client) -> None:
    response = alice("POST", "/os-floating-ips", content=iter([b" " * 1000] * 100))
    assert response.status_code == 413


def test_body_that_is_just_small_enough(alice: Client) -> None:
    body = b'{"pool": "public"}'.ljust(65_536)
    assert alice("POST", "/os-floating-ips", content=body).status_code == 200


def test_headers_too_large(alice: Client) -> None:
    assert alice("GET", "/servers", headers={"X-Long": "x" * 33_000}).status_code == 431
    assert alice("GET", "/servers", headers={f"X-{number}": "x" for number in range(101)}).status_code == 431


def test_url_too_long(alice: Client) -> None:
    assert alice("GET", "/servers?name=" + "x" * 9_000).status_code == 414


def test_body_that_never_comes(cloud: Cloud) -> None:
    app = create_app(cloud.operations, bounds=Bounds(body_seconds=0.1))
    with Server(app) as server, _raw(server.url) as connection:
        connection.sendall(b"POST /identity/v3/auth/tokens HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
        assert connection.recv(4096).startswith(b"HTTP/1.1 408 ")


def test_client_that_goes_away(cloud: Cloud) -> None:
    with Server(create_app(cloud.operations)) as server:
        with _raw(server.url) as connection:
            connection.sendall(b"POST /identity/v3/auth/tokens HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
        assert httpx2.get(server.url + "/identity/v3").status_code == 200


@pytest.mark.parametrize("host", ["x/y", "x y", "a" * 300, "<script>", "x:y", "[::1", ""])
def test_host_that_is_none(cloud: Cloud, host: str) -> None:
    """URLs in answers are made of it."""
    with Server(create_app(cloud.operations)) as server, _raw(server.url) as connection:
        connection.sendall(f"GET /identity/v3 HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert connection.recv(4096).startswith(b"HTTP/1.1 400 ")


def test_urls_are_those_that_the_client_came_by(cloud: Cloud) -> None:
    with Server(create_app(cloud.operations)) as server:
        for host in ("cloud.example:1234", "[::1]:80", "10.0.0.1"):
            version = httpx2.get(server.url + "/compute/v2.1", headers={"Host": host}).json()["version"]
            assert version["links"][0]["href"] == f"http://{host}/compute/v2.1/"


def test_urls_are_those_that_are_configured(http: httpx2.Client) -> None:
    assert http.get("/compute").json()["versions"][0]["links"][0]["href"] == f"{PUBLIC_URL}/compute/v2.1/"


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/nowhere",
        "/compute/v2.1/nowhere",
        "/compute/v2.1//servers",
        "/compute/v3",
        "/identity/v1.1/auth",
        "/compute/v2.1/servers/x/y/z",
    ],
)
def test_unknown_urls(alice: Client, http: httpx2.Client, path: str) -> None:
    for response in (
        http.get(path),
        http.post(path),
        alice("GET", path) if path.startswith("/compute") else http.get(path),
    ):
        assert response.status_code == 404
        ((_, inside),) = response.json().items()
        assert inside["message"] == "The resource could not be found."


def test_wrong_method(http: httpx2.Client) -> None:
    response = http.put("/compute/v2.1/os-floating-ips")
    assert response.status_code == 405
    assert response.headers["allow"] == "GET, POST"
    assert response.json() == {
        "badMethod": {"code": 405, "message": "The method 'PUT' is not allowed here; GET, POST is."}
    }
    assert http.request("BREW", "/compute/v2.1/servers/detail").status_code == 405


@pytest.mark.parametrize(
    "media_type",
    ["text/plain", "text/xml", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonp"],
)
def test_other_content_types(alice: Client, media_type: str) -> None:
    response = alice("POST", "/servers", content=b"{}", headers={"Content-Type": media_type})
    assert response.status_code == 415
    assert list(response.json()) == ["badMediaType"]


@pytest.mark.parametrize(
    "media_type", ["application/json", "Application/JSON; charset=UTF-8", "application/vnd.openstack.compute+json"]
)
def test_content_types_of_json(alice: Client, media_type: str) -> None:
    response = alice("POST", "/os-floating-ips", content=b"{}", headers={"Content-Type": media_type})
    assert response.status_code == 200


def test_form(alice: Client) -> None:
    """The openstack command 7.0 to 9.0.1 sends pool=public."""
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert alice("POST", "/os-floating-ips", content=b"pool=public", headers=form).status_code == 200
    for body in (b"pool=a&pool=b", b"pool", b"pool=%00", b"\xff=1", b"other=1", b"pool=" + b"x" * 300):
        assert alice("POST", "/os-floating-ips", content=body, headers=form).status_code == 400


@pytest.mark.parametrize(
    "header, value",
    [
        ("X-OpenStack-Nova-API-Version", "2.10"),
        ("OpenStack-API-Version", "compute 2.10"),
        ("OpenStack-API-Version", "volume 3.0, compute 2.10"),
    ],
)
def test_microversion(alice: Client, header: str, value: str) -> None:
    response = alice("GET", "/servers", headers={header: value})
    assert response.headers["openstack-api-version"] == "compute 2.10"
    assert response.headers["x-openstack-nova-api-version"] == "2.10"
    assert response.headers["vary"] == "OpenStack-API-Version, X-OpenStack-Nova-API-Version"


def test_microversion_latest(alice: Client) -> None:
    headers = {"X-OpenStack-Nova-API-Version": "latest"}
    assert alice("GET", "/servers", headers=headers).headers["openstack-api-version"] == "compute 2.35"
    assert "openstack-api-version" not in alice("GET", "/servers").headers


@pytest.mark.parametrize(
    "version, code",
    [("2.36", 406), ("2.0", 406), ("3.1", 406), ("2", 400), ("two", 400), ("2.1.1", 400), ("", 400), ("2.٣", 400)],
)
def test_microversions_that_are_not_spoken(alice: Client, version: str, code: int) -> None:
    response = alice("GET", "/servers", headers={"X-OpenStack-Nova-API-Version": version.encode()})
    assert response.status_code == code


def test_project_in_the_url(cloud: Cloud, alice: Client) -> None:
    own, foreign = (cloud.caller(user).project.id for user in ("alice", "bob"))
    assert alice("GET", f"/{own}/servers").json() == {"servers": []}
    assert alice("POST", f"/{own}/os-floating-ips").status_code == 200
    for other in (foreign, "nonsense"):
        response = alice("GET", f"/{other}/servers")
        assert response.status_code == 400
        assert response.json()["badRequest"]["message"] == (
            f"Malformed request URL: URL's project_id '{other}' doesn't match Context's project_id '{own}'"
        )
    assert alice("GET", f"/{own}").status_code == 404


def test_suffix_and_cache_buster(alice: Client) -> None:
    assert alice("GET", "/servers.json?fresh=1300000000").json() == {"servers": []}


def test_request_ids(alice: Client, http: httpx2.Client) -> None:
    responses = [
        alice("GET", "/servers"),
        alice("GET", "/servers/x"),
        http.get("/nowhere"),
        http.get("/compute/v2.1/servers"),
    ]
    ids = [response.headers["x-openstack-request-id"] for response in responses]
    assert all(REQUEST_ID.fullmatch(each) for each in ids)
    assert len(set(ids)) == len(ids)
    assert [response.headers["x-compute-request-id"] for response in responses] == ids


@pytest.mark.parametrize("secret", ["", "nonsense", "é", "x" * 5000])
def test_no_valid_token(http: httpx2.Client, secret: str) -> None:
    response = http.get("/compute/v2.1/servers", headers={b"X-Auth-Token": secret.encode()})
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == f'Keystone uri="{PUBLIC_URL}/identity"'
    assert response.json() == {
        "unauthorized": {"code": 401, "message": "The request you have made requires authentication."}
    }


def test_token_that_has_expired(cloud: Cloud, alice: Client) -> None:
    cloud.clock.advance(3601)  # type: ignore[union-attr]
    assert alice("GET", "/servers").status_code == 401


def test_an_error_of_ours_tells_nothing(cloud: Cloud, alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_caller: object, _choice: object) -> None:
        raise RuntimeError("the secret is amber")

    monkeypatch.setattr(cloud.operations.addresses, "walk", broken)
    with capture_logs() as logs:
        response = alice("GET", "/os-floating-ips")
    assert response.status_code == 500
    assert "amber" not in response.text
    assert response.headers["x-openstack-request-id"] in response.json()["computeFault"]["message"]
    failures = [line for line in logs if line["event"] == "request failed"]
    assert len(failures) == 1
    assert failures[0]["request_id"] == response.headers["x-openstack-request-id"]


def test_a_part_that_is_away(cloud: Cloud, alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_caller: object, _choice: object) -> None:
        raise Unavailable("The database is away.", retry_after=3, detail="disk I/O error")

    monkeypatch.setattr(cloud.operations.addresses, "walk", away)
    with capture_logs() as logs:
        response = alice("GET", "/os-floating-ips")
    assert response.status_code == 503
    assert response.headers["retry-after"] == "3"
    assert response.json() == {
        "serviceUnavailable": {"code": 503, "message": "The database is away.", "retryAfter": "3"}
    }
    assert [line["detail"] for line in logs if line["event"] == "request"] == ["disk I/O error"]


def test_access_log(cloud: Cloud, alice: Client) -> None:
    with capture_logs() as logs:
        response = alice("GET", "/servers?name=secret-name")
    (line,) = [line for line in logs if line["event"] == "request"]
    assert line["request_id"] == response.headers["x-openstack-request-id"]
    assert (line["method"], line["path"], line["status"], line["route"]) == (
        "GET",
        "/compute/v2.1/servers",
        200,
        "servers",
    )
    assert line["project"] == cloud.caller("alice").project.id
    assert not any("secret" in str(value) for value in line.values())


def test_passwords_and_tokens_are_not_logged(http: httpx2.Client) -> None:
    body = {
        "auth": {
            "identity": {
                "methods": ["password"],
                "password": {"user": {"name": "alice", "domain": {"id": "default"}, "password": "hush!"}},
            }
        }
    }
    with capture_logs() as logs:
        response = http.post("/identity/v3/auth/tokens", json=body)
        assert response.status_code == 401
        body["auth"]["identity"]["password"]["user"]["extra"] = "hush!"  # type: ignore[index]
        response = http.post("/identity/v3/auth/tokens", json=body)
        assert response.status_code == 400
    assert "hush!" not in str(logs) + response.text


def test_mounted_below_another_path(cloud: Cloud) -> None:
    """As main.py does it, beside the native API; and below a path, as somebody's proxy may have it."""
    app = create_app(cloud.operations)
    both = Starlette(routes=[Mount("/os", app), Mount("/", app)])
    with Server(both) as server:
        for base in (server.url, server.url + "/os"):
            version = httpx2.get(base + "/compute/v2.1").json()["version"]
            assert version["links"][0]["href"] == f"{base}/compute/v2.1/"
            assert httpx2.get(base + "/compute/v2.1/servers").headers["www-authenticate"].endswith(f'{base}/identity"')
            assert list(httpx2.get(base + "/identity/nowhere").json()) == ["error"]


def _raw(url: str) -> socket.socket:
    where = urlparse(url)
    return socket.create_connection((where.hostname, where.port), timeout=10)
