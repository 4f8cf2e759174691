"""The OpenStack dialect as one ASGI application."""

from collections.abc import Mapping, Sequence
from functools import partial

import orjson
import structlog
from starlette.responses import Response
from starlette.types import ASGIApp

from mooring.dialects.http import Bounds, Edge, Exchange, Lanes, Refused, base_url, read_body, shown
from mooring.dialects.openstack.calls import UNAUTHENTICATED, Answer, Call, Microversion, Site
from mooring.dialects.openstack.faults import Form, body_of, refusal
from mooring.dialects.openstack.routes import ROUTES
from mooring.dialects.openstack.routing import DRAFT, IDENTITY, Access, Found, Missed, Route, Router, form_of
from mooring.dialects.openstack.services import Service, Tell
from mooring.dialects.openstack.xml import XML_TYPES, answer_type, fault_as_xml, view_as_xml
from mooring.dialects.pieces import InParts, Pieces
from mooring.model.faults import Fault, Unauthenticated
from mooring.operations import Operations

ID_HEADERS = ("x-openstack-request-id", "x-compute-request-id")


def create_app(
    operations: Operations,
    *,
    public_url: str | None = None,
    region: str = "RegionOne",
    bounds: Bounds | None = None,
    services: Sequence[Service] = (),
) -> ASGIApp:
    """Return an application that serves /identity, /compute and /image, and `services` beside them.

    Without /identity, where the operations know callers by another identity service: its catalogue is the one that clients read.
    `public_url` is where clients are told to come to; without one that is where they came to, as their Host header says.
    """
    known = tuple((service.kind, service.name, service.path) for service in services)
    site = Site(public_url.rstrip("/") if public_url else None, region, known)
    bounds = bounds or Bounds()
    dialect = Dialect(operations, site, bounds, services)
    return Edge(dialect.answer, dialect.render, structlog.get_logger(__name__), ID_HEADERS, bounds)


class Dialect:
    """Finds the route of a request, proves who calls, lets the handler answer, and puts faults into words."""

    def __init__(self, operations: Operations, site: Site, bounds: Bounds, services: Sequence[Service] = ()) -> None:
        """Keep what answers are made of."""
        self._operations = operations
        self._site = site
        self._bounds = bounds
        self._lanes = Lanes()
        self._services = {service.path: service for service in services}
        # Where another identity service knows the callers, there is none here.
        self._elsewhere = operations.identity.elsewhere
        own = [route for route in ROUTES if self._elsewhere is None or route.segments[0] != IDENTITY]
        self._router = Router([*own, *(route for service in services for route in service.routes)])

    async def answer(self, exchange: Exchange) -> Response:
        """Answer a request."""
        request = exchange.request
        path = _path(exchange)
        found = self._router.find(request.method, path)
        if isinstance(found, Missed):
            if self._elsewhere is not None and form_of(path) is Form.KEYSTONE:
                raise Refused(404, f"The identity service of this cloud is at {self._elsewhere}.")
            raise _missed(found, request.method)
        exchange.notes["route"] = found.route.name
        headers = dict(request.headers)
        call = Call(
            operations=self._operations,
            site=self._site,
            request_id=exchange.request_id,
            base=self._site.public_url or base_url(request.scope),
            path=path,
            query_string=request.scope["query_string"].decode("latin-1"),
            params=found.params,
            headers=headers,
            body=await read_body(request, self._bounds),
            source=request.client.host if request.client else None,
            version=_version(path, headers),
            words=dict(found.params),
        )
        service = self._service(path)
        tell = service.refusal if service is not None else refusal
        return await self._lanes.run(found.route.threads, partial(_carry_out, found, call, exchange, tell))

    def render(self, exchange: Exchange, refused: Refused) -> Response:
        """Return the response that tells a refusal."""
        headers = dict(refused.headers)
        if refused.status == 401:
            base = self._site.public_url or base_url(exchange.request.scope)
            headers["WWW-Authenticate"] = f'Keystone uri="{self._elsewhere or base + "/identity"}"'
        path = _path(exchange)
        service = self._service(path)
        told = service.body_of(refused) if service is not None else body_of(form_of(path), refused)
        media_type = answer_type(path, exchange.request.headers)
        body = fault_as_xml(told) if media_type in XML_TYPES else orjson.dumps(told)
        return Response(body, refused.status, headers, media_type)

    def _service(self, path: str) -> Service | None:
        return self._services.get(path.lstrip("/").split("/")[0])


def _path(exchange: Exchange) -> str:
    scope = exchange.request.scope
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))


def _missed(missed: Missed, method: str) -> Refused:
    if not missed.allowed:
        return Refused(404, "The resource could not be found.")
    allowed = ", ".join(missed.allowed)
    return Refused(405, f"The method {shown(method)} is not allowed here; {allowed} is.", {"Allow": allowed})


def _carry_out(found: Found, call: Call, exchange: Exchange, tell: Tell) -> Response:
    try:
        _authenticate(found.route, call)
        if call.known_caller is not None:
            exchange.notes.update(user=call.known_caller.user.id, project=call.known_caller.project.id)
            _check_project(found.project, call)
        # Here and not in the event loop: a long list takes its time to write.
        return _response(found.route, call, found.route.handler(call))
    except Fault as fault:
        exchange.notes["fault"] = type(fault).__name__
        if fault.detail is not None:
            exchange.notes["detail"] = fault.detail
        raise tell(fault, found.route.name, call.words) from fault


def _authenticate(route: Route, call: Call) -> None:
    secret = call.headers.get("x-auth-token", "")
    match route.access:
        case Access.PUBLIC:
            return
        case _ if not secret:
            raise Unauthenticated(UNAUTHENTICATED)
        case Access.TOKEN:
            call.known_token = call.operations.identity.token(secret)
        case Access.PROJECT:
            call.known_caller = call.operations.identity.caller(secret, call.request_id)


def _check_project(project: str | None, call: Call) -> None:
    if project is not None and project != call.caller.project.id:
        raise Refused(
            400,
            f"Malformed request URL: URL's project_id '{project}' doesn't match Context's project_id "
            f"'{call.caller.project.id}'",
        )


def _version(path: str, headers: Mapping[str, str]) -> Microversion | None:
    if not path.startswith("/compute"):
        return None
    wanted = headers.get("x-openstack-nova-api-version")
    for item in headers.get("openstack-api-version", "").split(","):
        service, _, version = item.strip().partition(" ")
        if service == "compute":
            wanted = version.strip()
    return Microversion.parse(wanted) if wanted is not None else None


def _response(route: Route, call: Call, answer: Answer) -> Response:
    headers = dict(answer.headers)
    if call.version is not None:
        headers["OpenStack-API-Version"] = f"compute {call.version}"
        headers["X-OpenStack-Nova-API-Version"] = str(call.version)
        headers["Vary"] = "OpenStack-API-Version, X-OpenStack-Nova-API-Version"
    if answer.body is None:
        return Response(None, answer.status, headers)
    media_type = answer_type(call.path, call.headers)
    if media_type in XML_TYPES:
        told = answer.body.whole() if isinstance(answer.body, Pieces) else answer.body
        body = view_as_xml(told, route.name, draft=call.path.startswith(DRAFT))
        return Response(body, answer.status, headers, media_type)
    if isinstance(answer.body, Pieces):
        return InParts(answer.body.written(), answer.status, headers, media_type)
    return Response(orjson.dumps(answer.body), answer.status, headers, media_type)
