"""A request that is repeated because its answer was lost makes nothing a second time."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.dialects.native.conftest import Client
from tests.dialects.native.test_rights import GROUP, INSTANCE, NETWORK, POOL

MAKERS = [
    ("/networks", NETWORK),
    ("/pools", POOL),
    ("/floating-ips", {"pool": "public"}),
    ("/instances", INSTANCE),
    ("/security-groups", GROUP),
    ("/projects", {"name": "fleet"}),
    ("/users", {"name": "nell", "password": "secret"}),
    ("/keys", {"name": "ci", "roles": ["reader"], "expires": "2030-01-31T12:00:00+01:00"}),
]


def _count(client: Client, path: str) -> int:
    return len(client("GET", path).json()["items"])


@pytest.mark.parametrize("path,body", MAKERS, ids=lambda value: value if isinstance(value, str) else "")
def test_the_same_key_makes_one_thing(root: Client, path: str, body: Any) -> None:
    before = _count(root, path)
    first, second = (root.made(path, body, headers={"Idempotency-Key": "k-1"}) for _ in range(2))
    assert first["id"] == second["id"]
    assert _count(root, path) == before + 1


@pytest.mark.parametrize("path,body", MAKERS, ids=lambda value: value if isinstance(value, str) else "")
def test_many_at_once_with_one_key_make_one_thing(root: Client, path: str, body: Any) -> None:
    before = _count(root, path)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: root("POST", path, body, headers={"Idempotency-Key": "k-1"}), range(8)))
    assert {answer.status_code for answer in answers} <= {201, 202, 409}
    assert len({answer.json()["id"] for answer in answers if answer.is_success}) == 1
    assert _count(root, path) == before + 1


def test_a_key_is_for_one_request(root: Client, alice: Client) -> None:
    headers = {"Idempotency-Key": "k-1"}
    root.made("/floating-ips", {}, headers=headers)
    for path, body in (("/floating-ips", {"pool": "public"}), ("/networks", NETWORK), ("/pools", POOL)):
        refused = root("POST", path, body, headers=headers)
        assert refused.status_code == 422
        assert refused.json()["field"] == "Idempotency-Key"
    # Another project's keys are its own.
    alice.made("/floating-ips", {}, headers=headers)


@pytest.mark.parametrize("key", ["", "k" * 256, "a\tb", "\N{LATIN SMALL LETTER U WITH DIAERESIS}\x7f".encode()])
def test_a_key_that_cannot_be_is_refused(alice: Client, key: str | bytes) -> None:
    refused = alice("POST", "/floating-ips", {}, headers={"Idempotency-Key": key})
    assert refused.status_code == 422, refused.text
    assert _count(alice, "/floating-ips") == 0


def test_without_a_key_every_request_makes_something(alice: Client) -> None:
    made = {alice.made("/floating-ips", {})["id"] for _ in range(2)}
    assert len(made) == 2


def test_putting_an_association_twice_changes_nothing(alice: Client) -> None:
    floating = alice.made("/floating-ips", {})
    alice.made("/instances", INSTANCE)
    path = f"/floating-ips/{floating['id']}/association"
    first, second = (alice("PUT", path, {"instance": "vm2"}) for _ in range(2))
    assert first.status_code == second.status_code == 200
    assert first.json() == second.json()
