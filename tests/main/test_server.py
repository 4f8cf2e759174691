"""Whose word is taken for where a request comes from: that of the proxies which the configuration names."""

from collections.abc import Sequence

import httpx2
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from mooring.config import ApiSettings
from mooring.main.server import Server

TOLD = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https"}


async def _echo(scope: Scope, receive: Receive, send: Send) -> None:
    request = Request(scope)
    client = request.client.host if request.client else "nobody"
    await PlainTextResponse(f"{request.url.scheme} {client}")(scope, receive, send)


@pytest.mark.parametrize(
    "proxies, seen",
    [
        ([], "http 127.0.0.1"),
        (["192.0.2.9"], "http 127.0.0.1"),
        ([str(proxy) for proxy in ApiSettings().trusted_proxies], "https 192.0.2.1"),
    ],
)
def test_only_known_proxies_are_believed(proxies: Sequence[str], seen: str) -> None:
    server = Server(_echo, "127.0.0.1", 0, proxies)
    server.start()
    try:
        assert httpx2.get(server.url, headers=TOLD).text == seen
        assert httpx2.get(server.url).text == "http 127.0.0.1"
    finally:
        server.stop()
