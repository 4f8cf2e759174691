"""/v1/hosts: the machines, how they keep up, and what they should hold, down to the last rule."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from mooring.compile.facts import in_order, lines
from mooring.dialects.native.fields import Listing, NamedPageOf, listing
from mooring.dialects.native.service import CallerOf, Service
from mooring.dialects.native.views import FactsView, FactView, HostConditionView, HostView

TEXT_OR_JSON: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/plain": {"schema": {"type": "string"}}}, "description": "As `Accept` asks."}
}


def wants_text(request: Request) -> bool:
    """Say whether a client asks for text to read; JSON is what everybody else gets."""
    return "text/plain" in request.headers.get("accept", "")


def routes(service: Service) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/hosts", tags=["hosts"])
    hosts = service.operations.hosts

    @router.get("")
    @service.reads
    def list_hosts(caller: CallerOf, page: NamedPageOf) -> Listing[HostView]:
        """List the hosts."""
        found = hosts.listing(caller)
        return listing((HostView.of(each) for each in found if page.name in (None, each.name)), page)

    @router.get("/{host}")
    @service.reads
    def show_host(caller: CallerOf, host: str) -> HostConditionView:
        """Show a host, by name or id, and what it could not make true."""
        return HostConditionView.conditioned(hosts.condition(caller, host))

    @router.get("/{host}/facts", response_model=FactsView, responses=TEXT_OR_JSON)
    @service.reads
    def show_facts(caller: CallerOf, host: str, request: Request) -> Response:
        """Show what a host should hold, compiled from intent: as text, one fact a line, or as JSON."""
        state = hosts.state(caller, host)
        if wants_text(request):
            return PlainTextResponse("".join(f"{line}\n" for line in lines(state)))
        facts = [
            FactView(
                place=str(fact.key.place),
                table=fact.key.table.name,
                key=[str(part) for part in fact.key.row],
                value=[str(part) for part in fact.value],
            )
            for fact in in_order(state)
        ]
        return JSONResponse(FactsView(items=facts).model_dump(mode="json"))

    return router
