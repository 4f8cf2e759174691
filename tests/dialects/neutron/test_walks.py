"""Lists of floating IPs, which the database filters and cuts: the same answers as for all other lists, and nobody waits for them."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from ipaddress import IPv4Address
from itertools import product
from typing import Any
from urllib.parse import urlencode

import pytest

from mooring.dialects.neutron.lists import View, collection
from mooring.dialects.pieces import Pieces
from mooring.model.accounts import Role
from mooring.operations import FloatingChoice, NewFloatingIp
from mooring.operations.addresses import AddressOperations
from tests.cloud import Cloud
from tests.dialects.neutron.conftest import Client
from tests.dialects.neutron.test_lists import call

OWNERS = {"30": "alice", "12": "alice", "20": "bob", "22": "alice", "14": "alice", "25": "alice"}
LEADING = ("12", "25")


@pytest.fixture
def fleet(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five floating IPs of boats, two of which lead to servers, and one of barges; the database reads two at a time."""
    monkeypatch.setattr("mooring.store.addresses.PIECE", 2)
    addresses = cloud.operations.addresses
    for last, owner in OWNERS.items():
        choosing = replace(cloud.caller(owner), roles=frozenset({Role.ADMIN}))
        addresses.make(choosing, NewFloatingIp("public", IPv4Address(f"198.51.100.{last}")))
    for last in LEADING:
        server = cloud.boot(cloud.caller("alice"), f"vm{last}")
        addresses.associate(cloud.caller("alice"), server.id, IPv4Address(f"198.51.100.{last}"))


def floating(views: Sequence[View], last: str) -> View:
    return next(view for view in views if str(view["floating_ip_address"]).endswith(f".{last}"))


def filters(views: Sequence[View]) -> list[list[tuple[str, object]]]:
    one, leading, foreign = floating(views, "30"), floating(views, "12"), floating(views, "20")
    return [
        [],
        [("id", one["id"]), ("id", foreign["id"]), ("id", "none")],
        [("floating_ip_address", "198.51.100.14"), ("floating_ip_address", "nonsense")],
        [("floating_ip_address", "198.51.100.014")],
        [("floating_network_id", one["floating_network_id"]), ("status", "DOWN")],
        [("floating_network_id", "none")],
        [("port_id", leading["port_id"])],
        [("fixed_ip_address", leading["fixed_ip_address"]), ("status", "ACTIVE")],
        [("status", "ACTIVE"), ("status", "DOWN")],
        [("status", "SUNK")],
        [("tenant_id", one["tenant_id"]), ("project_id", foreign["project_id"])],
        [("project_id", one["project_id"]), ("port_id", "")],
        [("router_id", leading["router_id"])],
        [("colour", "red")],
        [("sort_key", "floating_ip_address"), ("sort_dir", "desc")],
    ]


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize("user", ["alice", "root"])
def test_the_database_keeps_what_the_list_says(as_user: Any, root: Client, user: str) -> None:
    client: Client = as_user(user)
    every: list[View] = client.get("/floatingips")["floatingips"]
    assert len(every) == (5 if user == "alice" else 6)
    pages: list[list[tuple[str, object]]] = [[], [("limit", 2)], [("limit", 2), ("fields", "id"), ("fields", "status")]]
    pages += [[("limit", 2), ("marker", view["id"])] for view in every[:5:2]]
    pages += [[("marker", every[1]["id"])], [("marker", every[3]["id"]), ("limit", 2), ("page_reverse", "True")]]
    for asked, page in product(filters(root.get("/floatingips")["floatingips"]), pages):
        query = [*asked, *page]
        expected = collection(call(*query), "floatingips", every).body
        assert isinstance(expected, Pieces)
        said = client.get(f"/floatingips?{urlencode(query)}")
        for link in said.get("floatingips_links", []):
            link["href"] = link["href"].partition("?")[2]
        told: dict[str, Any] = expected.whole()
        for link in told.get("floatingips_links", []):
            link["href"] = link["href"].partition("?")[2]
        assert said == told, query


@pytest.mark.usefixtures("fleet")
def test_what_is_no_marker(alice: Client, bob: Client) -> None:
    foreign = bob.get("/floatingips")["floatingips"][0]["id"]
    for marker in ("none", foreign):
        answer = alice("GET", f"/floatingips?limit=1&marker={marker}")
        assert answer.status_code == 400
        assert answer.json()["NeutronError"]["message"] == f"marker '{marker}' could not be found."


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize("path", ["/network/v2.0/floatingips", "/compute/v2.1/os-floating-ips"])
def test_others_are_answered_while_a_list_is_made(alice: Client, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    begun, go_on = threading.Event(), threading.Event()
    walk = AddressOperations.walk

    def slow(*given: Any, **named: Any) -> Iterator[Any]:
        pieces = walk(*given, **named)
        yield next(pieces)
        begun.set()
        assert go_on.wait(30)
        yield from pieces

    monkeypatch.setattr(AddressOperations, "walk", slow)
    told: list[Any] = []
    lister = threading.Thread(target=lambda: told.append(alice.http.get(path, headers=alice.headers)))
    lister.start()
    assert begun.wait(30)
    # In the middle of the list, others read and write.
    shown = alice.get("/networks?router:external=True")["networks"]
    made = alice("POST", "/floatingips", {"floatingip": {"floating_network_id": shown[0]["id"]}})
    assert made.status_code == 201
    assert not told
    go_on.set()
    lister.join(30)
    (answer,) = told
    (found,) = answer.json().values()
    # And what they wrote is not in it: it is of the moment when it was begun.
    assert [each["id"] for each in found] == [each["id"] for each in alice.get("/floatingips")["floatingips"][:-1]]


def test_what_is_asked_of_the_database(alice: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[FloatingChoice] = []

    def walk(_self: AddressOperations, _caller: object, choice: FloatingChoice, **_more: object) -> Iterator[Any]:
        asked.append(choice)
        yield from ()

    monkeypatch.setattr(AddressOperations, "walk", walk)
    alice.get("/floatingips?limit=10&status=ACTIVE&floating_ip_address=198.51.100.14&floating_ip_address=")
    alice.get("/floatingips?sort_key=id&limit=10")
    assert asked == [
        FloatingChoice(addresses=(IPv4Address("198.51.100.14"),), associated=True, automatic=False, limit=11),
        FloatingChoice(automatic=False),
    ]
