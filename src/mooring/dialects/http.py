"""What every HTTP dialect shares: limits, JSON that cannot hurt, request ids, an access log, and a last answer when all else fails.

Handlers are synchronous and may wait for the database and for hosts, so they run on threads, in lanes: reads never wait behind writes that
wait for a host, and log-ins, which take 64 MiB each on purpose (Argon2), cannot take all memory.
"""

import asyncio
import contextlib
import contextvars
import json
import math
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NoReturn, TypeAlias, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from structlog.contextvars import bound_contextvars
from structlog.typing import FilteringBoundLogger

T = TypeVar("T")
Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

MAX_DEPTH = 32
# Keys and values of a whole body: no request needs a tenth of them, and what looks at them one by one takes time for each.
MAX_VALUES = 4000
_MAX_INTEGER = 2**63 - 1
_MAX_DIGITS = 20
_SHOWN = 64
_HOST = re.compile(r"(?:[A-Za-z0-9_.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
_NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Bounds:
    """How large a request may be, in bytes, and how long its body may take, in seconds."""

    body: int = 64 * 1024
    header_bytes: int = 32 * 1024
    headers: int = 100
    target: int = 8 * 1024
    body_seconds: float = 30.0


class Refused(Exception):
    """A request that is wrong as HTTP or as JSON, before any operation was asked: a status code and a sentence for the client."""

    def __init__(self, status: int, reason: str, headers: Mapping[str, str] | None = None) -> None:
        """Keep the status code, the sentence and the headers that the answer must have."""
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = dict(headers or {})


# ------------------------------------------------------------------------------------------------------------------ JSON


def parse_json(body: bytes) -> Json:
    """Parse JSON from a stranger.

    Raises:
        Refused: it is not UTF-8 or not JSON; nested deeper than MAX_DEPTH; has more than MAX_VALUES keys and values, a key twice, NaN or
            Infinity, an integer beyond 64 bits, or a text that no database can hold (U+0000, half a surrogate pair).
    """
    try:
        value: Json = _DECODER.decode(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Refused(400, f"The body is not UTF-8 at byte {error.start}.") from error
    except json.JSONDecodeError as error:
        raise Refused(
            400, f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from error
    except RecursionError as error:
        raise Refused(400, f"The body is nested deeper than {MAX_DEPTH} levels.") from error
    _check_values(value)
    return value


def _check_values(value: Json) -> None:
    # With a stack of its own: what has to be refused for its depth must not be walked by recursion.
    waiting: list[tuple[Json, int]] = [(value, 1)]
    seen = 0
    while waiting:
        item, depth = waiting.pop()
        seen += 1
        if seen > MAX_VALUES:
            raise Refused(400, f"The body has more than {MAX_VALUES} keys and values.")
        if depth > MAX_DEPTH:
            raise Refused(400, f"The body is nested deeper than {MAX_DEPTH} levels.")
        match item:
            case str() if not storable(item):
                raise Refused(400, "The body holds a text with U+0000 or half a surrogate pair.")
            case list():
                waiting.extend((element, depth + 1) for element in item)
            case dict():
                waiting.extend((key, depth) for key in item)
                waiting.extend((element, depth + 1) for element in item.values())
            case _:
                pass


def storable(text: str) -> bool:
    """Say whether every database can hold a text: PostgreSQL has no U+0000, and UTF-8 has no half surrogate pairs."""
    return _NOT_STORABLE.search(text) is None


def shown(text: str) -> str:
    """Return a stranger's text as it may stand in a sentence: quoted, escaped and not long."""
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made: dict[str, object] = {}
    for key, value in pairs:
        if key in made:
            raise Refused(400, f"The body has the key {shown(key)} twice in one object.")
        made[key] = value
    return made


def _integer(digits: str) -> int:
    # The length first: turning very many digits into a number takes time that grows with their square.
    if len(digits) > _MAX_DIGITS or abs(value := int(digits)) > _MAX_INTEGER:
        raise Refused(400, "The body holds an integer of more than 64 bits.")
    return value


def _real(digits: str) -> float:
    if not math.isfinite(value := float(digits)):
        raise Refused(400, "The body holds a number that is too large.")
    return value


def _no_constant(name: str) -> NoReturn:
    raise Refused(400, f"The body holds {name}, which is not JSON.")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_real, parse_constant=_no_constant
)


# --------------------------------------------------------------------------------------------------------------- requests


def new_request_id() -> str:
    """Return a new request id in OpenStack's form."""
    return f"req-{uuid.uuid4()}"


def check_head(scope: Scope, bounds: Bounds) -> None:
    """Refuse a request whose target or headers are too large, or whose Host header is no host."""
    target = len(scope.get("raw_path") or b"") + len(scope.get("query_string") or b"")
    if target > bounds.target:
        raise Refused(414, f"The URL is longer than {bounds.target} bytes.")
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    if len(headers) > bounds.headers or sum(len(name) + len(value) for name, value in headers) > bounds.header_bytes:
        raise Refused(431, f"There are more than {bounds.headers} headers, or {bounds.header_bytes} bytes of them.")
    # URLs in answers are made of it.
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) > 1 or any(not _HOST.fullmatch(value.decode("latin-1")) for value in hosts):
        raise Refused(400, "The Host header is not a host.")


async def read_body(request: Request, bounds: Bounds) -> bytes:
    """Read a request's body, and not a byte more than allowed.

    Raises:
        Refused: it is too large, or takes too long.
    """
    too_large = Refused(413, f"The body is larger than {bounds.body} bytes.", {"Connection": "close"})
    length = request.headers.get("content-length", "0")
    if not length.isdecimal() or int(length[:_MAX_DIGITS]) > bounds.body:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(bounds.body_seconds):
            async for chunk in request.stream():
                body += chunk
                if len(body) > bounds.body:
                    raise too_large
    except TimeoutError as error:
        raise Refused(408, "The body took too long to arrive.", {"Connection": "close"}) from error
    except ClientDisconnect as error:
        raise Refused(400, "The body ended early.") from error
    return bytes(body)


def base_url(scope: Scope) -> str:
    """Return the URL, without a path, by which the client reached this server."""
    host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), None)
    if host is None:
        name, port = scope.get("server") or ("localhost", None)
        host = name if port is None else f"{name}:{port}"
    return f"{scope.get('scheme', 'http')}://{host}{scope.get('root_path', '')}"


# ----------------------------------------------------------------------------------------------------------------- threads


class Lane(StrEnum):
    """Which threads a request runs on."""

    READ = "read"
    WRITE = "write"
    LOG_IN = "log-in"


LANES: Mapping[Lane, int] = {Lane.READ: 16, Lane.WRITE: 64, Lane.LOG_IN: 4}


class Lanes:
    """Threads for synchronous handlers, a bounded number a lane; a request that finds its lane full waits for its turn."""

    def __init__(self, sizes: Mapping[Lane, int] = LANES) -> None:
        """Prepare the lanes; threads start when they are first needed."""
        self._pools = {lane: ThreadPoolExecutor(size, f"http-{lane}") for lane, size in sizes.items()}

    async def run(self, lane: Lane, work: Callable[[], T]) -> T:
        """Run `work` on a thread of the lane, with the caller's context variables, and return what it returns."""
        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(self._pools[lane], context.run, work)


# -------------------------------------------------------------------------------------------------------------------- edge


@dataclass(slots=True)
class Exchange:
    """A request on its way through a dialect; `notes` go to the access log."""

    request: Request
    request_id: str
    notes: dict[str, Any] = field(default_factory=dict[str, Any])


Endpoint = Callable[[Exchange], Awaitable[Response]]
Renderer = Callable[[Exchange, Refused], Response]


class Edge:
    """The outermost ASGI application of a dialect: every request gets an id, an answer and a line in the log.

    `endpoint` answers; what it refuses, and what goes wrong in it, `render` puts into the dialect's form.  `id_headers` name the response
    headers that carry the request id.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        render: Renderer,
        log: FilteringBoundLogger,
        id_headers: tuple[str, ...],
        bounds: Bounds,
    ) -> None:
        """Keep what answers, what renders, and where to log."""
        self._endpoint = endpoint
        self._render = render
        self._log = log
        self._id_headers = id_headers
        self._bounds = bounds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        match scope["type"]:
            case "http":
                await self._serve(scope, receive, send)
            case "lifespan":
                await _live(receive, send)
            case _:
                await send({"type": "websocket.close", "code": 1008})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = Exchange(Request(scope, receive), new_request_id())
        # Whatever is logged and asked of others on the way, here and in other processes, carries the id.
        with bound_contextvars(request_id=exchange.request_id):
            await self._answer(exchange, scope, receive, send)

    async def _answer(self, exchange: Exchange, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        try:
            check_head(scope, self._bounds)
            response = await self._endpoint(exchange)
        except Refused as refused:
            response = self._render(exchange, refused)
        except Exception:  # noqa: BLE001 - the last line: whatever it is, the client gets an answer and the log the reason
            self._log.exception("request failed", request_id=exchange.request_id, path=_path(scope))
            reason = f"Something went wrong in mooring; its log says what, under {exchange.request_id}."
            response = self._render(exchange, Refused(500, reason))
        for name in self._id_headers:
            response.headers[name] = exchange.request_id
        self._log.info(
            "request",
            request_id=exchange.request_id,
            method=scope["method"],
            path=_path(scope),
            status=response.status_code,
            milliseconds=round((time.perf_counter() - started) * 1000, 1),
            **exchange.notes,
        )
        # For whoever counts requests: the route's name, of which there are few, and not its path, of which there are many.
        scope["mooring.route"] = exchange.notes.get("route", "none")
        # A client that has gone away misses its answer; there is nobody left to tell.
        with contextlib.suppress(ClientDisconnect, ConnectionError):
            await response(scope, receive, send)


def _path(scope: Scope) -> str:
    return str(scope["path"])[:512]


async def _live(receive: Receive, send: Send) -> None:
    """Follow the server's start and stop, of which a dialect needs nothing."""
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return
