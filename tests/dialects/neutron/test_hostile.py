"""What no route reads, of any API: every one of them says so in its own form, and nothing has changed."""

import re
import sqlite3

import httpx2
import pytest

from mooring.dialects import neutron
from mooring.dialects.openstack.routes import ROUTES
from mooring.dialects.openstack.routing import Route
from tests.cloud import Cloud
from tests.dialects.test_http import HOSTILE

EVERY = [each for each in (*ROUTES, *neutron.ROUTES) if each.method in {"POST", "PUT", "PATCH"}]
BODIES = (
    "cut short",
    "UTF-16",
    "half a surrogate pair",
    "U+0000",
    "key twice",
    "NaN",
    "integer of 60,000 digits",
    "lists 30,000 deep",
    "objects 10,000 deep",
)
OTHERS = {
    "a document type": (b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", "application/xml"),
    "plain text": (b"{}", "text/plain"),
    "a form": (b"a=1&a=2", "application/x-www-form-urlencoded"),
    "another charset": ('{"a": "é"}'.encode("latin-1"), "application/json; charset=iso-8859-1"),
}


def told(answer: httpx2.Response, route: Route) -> str:
    """Return the sentence of a fault in a route's form."""
    body = answer.json()
    if route.path.startswith("/network"):
        assert set(body) == {"NeutronError"}
        assert set(body["NeutronError"]) == {"type", "message", "detail"}
        return str(body["NeutronError"]["message"])
    ((name, inside),) = body.items()
    assert inside["code"] == answer.status_code
    assert (name == "error") == route.path.startswith("/identity")
    return str(inside["message"])


def state(cloud: Cloud) -> list[str]:
    with sqlite3.connect(cloud.database) as connection:
        return [line for line in connection.iterdump() if 'INTO "tokens"' not in line]


@pytest.mark.parametrize("what", [*BODIES, *OTHERS])
def test_no_route_reads_it(cloud: Cloud, http: httpx2.Client, what: str) -> None:
    content, media_type = OTHERS.get(what) or (HOSTILE[what][0], "application/json")
    headers = {"X-Auth-Token": cloud.token("root"), "Content-Type": media_type, "Accept": "application/json"}
    before = state(cloud)
    for route in EVERY:
        path = re.sub(r"\{\w+\}", "x", route.path)
        answer = http.request(route.method, path, content=content, headers=headers)
        assert 400 <= answer.status_code < 500, f"{route.method} {path}: {answer.text}"
        assert told(answer, route)
        # What has no field of its own to be wrong is told as what it is.
        if answer.status_code == 415:
            assert media_type != "application/json"
    assert state(cloud) == before
    assert len(EVERY) >= 30
