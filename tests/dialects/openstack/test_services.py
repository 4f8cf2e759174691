"""Services beside the built-in ones: in the catalogue, behind the same tokens, with their own words for what is wrong."""

from collections.abc import Callable

import httpx2
import pytest

from mooring.dialects.http import Refused
from mooring.dialects.openstack import create_app
from mooring.dialects.openstack.calls import Answer
from mooring.dialects.openstack.routing import Route
from mooring.dialects.openstack.services import Service
from mooring.model.faults import NotFound
from tests.cloud import Cloud
from tests.dialects.conftest import Stage
from tests.dialects.openstack.conftest import Client


def _lost(_call: object) -> Answer:
    raise NotFound("Ship", "Argo")


SERVICE = Service(
    "freight",
    "barge",
    "freight",
    (
        Route("GET", "/freight/ships", lambda call: Answer(body={"ships": call.parameters}), "ships"),
        Route("GET", "/freight/lost", _lost, "lost"),
    ),
    lambda fault, route, _words: Refused(404 if isinstance(fault, NotFound) else 401, f"{route}: {fault.reason}"),
    lambda refused: {"BargeError": refused.reason},
)


@pytest.fixture
def alice(cloud: Cloud, http: httpx2.Client, stage: tuple[Stage, str], as_user: Callable[[str], Client]) -> Client:
    stage[0].app = create_app(cloud.operations, services=[SERVICE])
    return as_user("alice")


def test_the_catalogue_names_it(alice: Client) -> None:
    catalogue = alice("GET", "/identity/v3/auth/catalog").json()["catalog"]
    (entry,) = [entry for entry in catalogue if entry["type"] == "freight"]
    assert entry["name"] == "barge"
    assert {endpoint["url"] for endpoint in entry["endpoints"]} == {f"{alice.http.base_url}".rstrip("/") + "/freight"}


def test_it_answers_whoever_has_a_token(alice: Client) -> None:
    answer = alice.http.get("/freight/ships?a=1&a=2&b=", headers=alice.headers)
    assert answer.json() == {"ships": [["a", "1"], ["a", "2"], ["b", ""]]}
    assert answer.headers["x-openstack-request-id"].startswith("req-")


def test_it_has_words_of_its_own(alice: Client) -> None:
    lost = alice.http.get("/freight/lost", headers=alice.headers)
    assert (lost.status_code, lost.json()) == (404, {"BargeError": "lost: Ship Argo could not be found."})
    for method, path, headers, status in (
        ("GET", "/freight/ships", {}, 401),
        ("GET", "/freight/nothing", alice.headers, 404),
        ("PUT", "/freight/ships", alice.headers, 405),
    ):
        answer = alice.http.request(method, path, headers=headers)
        assert answer.status_code == status
        assert list(answer.json()) == ["BargeError"]
    assert list(alice("GET", "/nothing").json()) == ["itemNotFound"]
