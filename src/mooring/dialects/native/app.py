"""The native API as one ASGI application: the door (who, how much, what kind of body), then FastAPI."""

from collections.abc import Mapping
from urllib.parse import unquote

import structlog
from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope

from mooring.dialects.http import Bounds, Edge, Exchange, Lane, Lanes, Refused, parse_json, read_body, shown, storable
from mooring.dialects.native import problems
from mooring.dialects.native.conditions import no_condition_is_ignored
from mooring.dialects.native.document import describe
from mooring.dialects.native.problems import FieldFault
from mooring.dialects.native.routes import (
    accounts,
    addresses,
    egress,
    events,
    forwardings,
    groups,
    hosts,
    instances,
    keys,
    networks,
    nics,
    pools,
    quotas,
    traces,
)
from mooring.dialects.native.service import Service, operation_id
from mooring.model.accounts import Caller
from mooring.model.faults import Fault, Unauthenticated
from mooring.operations import Operations

ID_HEADERS = ("X-Request-Id",)
# What tells nothing about anybody, and is asked for by those who have no token yet.
OPEN_PATHS = frozenset({"", "/", "/openapi.json"})
# Where pydantic's words are about Python.
_A_MOMENT = "must be a moment with a zone, as in 2027-01-31T12:00:00Z"
_REASONS = {
    "missing": "is missing",
    "extra_forbidden": "there is no such field",
    "model_attributes_type": "must be an object",
    "model_type": "must be an object",
    "dict_type": "must be an object",
    "list_type": "must be a list",
    "string_type": "must be a text",
    "int_type": "must be a whole number",
    "datetime_from_date_parsing": _A_MOMENT,
    "datetime_parsing": _A_MOMENT,
    "timezone_aware": _A_MOMENT,
    "ip_v4_address": "must be an IPv4 address",
    "ip_v4_network": "must be an IPv4 network: an address without host bits and a prefix length, as in 10.0.0.0/24",
}


def create_app(operations: Operations, *, bounds: Bounds | None = None) -> ASGIApp:
    """Return an application that serves what is below /v1, where it must be mounted."""
    bounds = bounds or Bounds()
    service = Service(operations, Lanes())
    door = _Door(service, build(service), bounds)
    return Edge(door.answer, _render, structlog.get_logger(__name__), ID_HEADERS, bounds)


def build(service: Service) -> FastAPI:
    """Return the routes, without the door before them."""
    api = FastAPI(
        docs_url=None,  # the page would come from a stranger's server
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        generate_unique_id_function=operation_id,
        dependencies=[Depends(no_condition_is_ignored)],
        exception_handlers={Fault: _fault, RequestValidationError: _fields, HTTPException: _status},
    )
    elsewhere = service.operations.identity.elsewhere
    about_accounts = [accounts, keys] if elsewhere is None else []
    things = [networks, pools, addresses, egress, forwardings, instances, nics, groups, hosts, quotas]
    for module in [*things, *about_accounts, traces, events]:
        api.include_router(module.routes(service))
    describe(api, elsewhere)
    return api


class _Door:
    """What stands before FastAPI, which would read a body before it asks who sends it, and any body at all."""

    def __init__(self, service: Service, api: FastAPI, bounds: Bounds) -> None:
        self._service = service
        self._api = api
        self._bounds = bounds

    async def answer(self, exchange: Exchange) -> Response:
        request = exchange.request
        if not storable(request.url.path + unquote(request.url.query)):
            raise Refused(400, "The URL holds a U+0000 or half a surrogate pair.")
        try:
            caller = None if _path(request) in OPEN_PATHS else await self._caller(exchange)
        except Fault as fault:
            return problems.of_fault(fault, exchange.request_id)
        body = await read_body(request, self._bounds)
        if body:
            if not _is_json(request.headers.get("content-type", "")):
                raise Refused(415, "The body must be JSON: Content-Type application/json.")
            parse_json(body)
        scope: Scope = {**request.scope, "state": {"caller": caller, "exchange": exchange}}
        response = await _collected(self._api, scope, body)
        if isinstance(route := scope.get("route"), APIRoute):
            exchange.notes["route"] = route.name
        return response

    async def _caller(self, exchange: Exchange) -> Caller:
        headers = exchange.request.headers
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        token = headers.get("x-auth-token") or (bearer.strip() if scheme.lower() == "bearer" else "")
        if not token:
            raise Unauthenticated("A token is needed: X-Auth-Token, or Authorization: Bearer.")
        identity = self._service.operations.identity
        caller = await self._service.lanes.run(Lane.READ, lambda: identity.caller(token, exchange.request_id))
        exchange.notes |= {"user": caller.user.name, "project": caller.project.name}
        return caller


def _path(request: Request) -> str:
    scope = request.scope
    return str(scope["path"]).removeprefix(scope.get("root_path", ""))


def _is_json(content_type: str) -> bool:
    kind, _, rest = content_type.partition(";")
    charset = rest.lower().replace(" ", "").replace('"', "")
    return kind.strip().lower() == "application/json" and charset in {"", "charset=utf-8"}


async def _collected(app: ASGIApp, scope: Scope, body: bytes) -> Response:
    """Run an application on a body that was read already, and return its whole answer."""
    status = 500
    headers: list[tuple[bytes, bytes]] = []
    content = bytearray()

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
            headers.extend(message.get("headers", []))
        elif message["type"] == "http.response.body":
            content.extend(message.get("body", b""))

    asked: Receive = receive
    await app(scope, asked, send)
    response = Response(bytes(content), status)
    response.raw_headers = headers
    return response


# ------------------------------------------------------------------------------------------------------- what went wrong


def _render(exchange: Exchange, refused: Refused) -> Response:
    return problems.of_status(refused.status, refused.reason, exchange.request_id, refused.headers)


async def _fault(request: Request, error: Fault) -> Response:
    exchange = _exchange(request)
    if error.detail is not None:
        exchange.notes["detail"] = error.detail
    return problems.of_fault(error, exchange.request_id)


async def _fields(request: Request, error: RequestValidationError) -> Response:
    found = error.errors()[: problems.MOST_ERRORS]
    faults = [FieldFault(field=_field(each["loc"]), reason=_reason(each)) for each in found]
    return problems.of_fields(faults, _exchange(request).request_id)


async def _status(request: Request, error: HTTPException) -> Response:
    detail = {
        404: f"There is nothing at {shown(request.url.path)}.",
        405: f"{request.method} is not possible here.",
    }.get(error.status_code, error.detail)
    return problems.of_status(error.status_code, detail, _exchange(request).request_id, error.headers)


def _exchange(request: Request) -> Exchange:
    exchange: Exchange = request.state.exchange
    return exchange


def _field(location: tuple[int | str, ...]) -> str:
    place, *rest = location
    return ".".join(str(part) for part in rest) or str(place)


def _reason(found: Mapping[str, str]) -> str:
    text = _REASONS.get(found["type"], found["msg"])
    for dispensable in ("Value error, ", "Input should be "):
        if text.startswith(dispensable):
            text = ("must be " if dispensable.startswith("Input") else "") + text.removeprefix(dispensable)
    return text[:1].lower() + text[1:]
