"""Whole conversations, word by word: conversations/*.http.  `make bless` rewrites what the server says in them."""

from collections.abc import Mapping
from pathlib import Path

import httpx2
import pytest

from tests.cloud import PASSWORDS, Cloud
from tests.dialects.conversation import Response, check
from tests.dialects.openstack.conftest import PUBLIC_URL

FILES = sorted((Path(__file__).parent / "conversations").glob("*.http"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_conversation(path: Path, cloud: Cloud, http: httpx2.Client, request: pytest.FixtureRequest) -> None:
    def send(method: str, target: str, headers: Mapping[str, str], body: bytes) -> Response:
        answer = http.request(method, target, headers=dict(headers), content=body or None)
        return Response(answer.status_code, answer.reason_phrase, answer.headers, answer.content)

    tokens = {user: cloud.token(user) for user in PASSWORDS}
    alice = cloud.caller("alice")
    first, second = cloud.boot(alice, "first"), cloud.boot(alice, "second")
    (pool,) = cloud.operations.pools.listing(alice)
    (router,) = cloud.operations.networks.routers(alice)
    variables = {
        **tokens,
        "CLOUD": PUBLIC_URL,
        "NETWORK": cloud.network.id,
        "PUBLIC": pool.id,
        "ROUTER": router.id,
        "SERVER": first.id,
        "PORT": first.nics[0].id,
        "OTHER_SERVER": second.id,
        "OTHER_PORT": second.nics[0].id,
        "MAC": first.nics[0].mac,
        "OTHER_MAC": second.nics[0].mac,
        "BOATS": alice.project.id,
        "BARGES": cloud.caller("bob").project.id,
        "NOTHING": "deadbeef-0000-4000-8000-000000000000",
        "LONG": "k" * 256,
    }
    check(path, send, variables, bless=bool(request.config.getoption("--bless")))
