"""/v1/trace: where a packet would go and why, computed from what hosts should hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, assert_never

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic import Field

from mooring.compile.facts import HostState, fact_line
from mooring.compile.journey import Entry, FromGuest, FromUplink, Header, Journey, Outcome, Packet, RoundTrip
from mooring.compile.tables import UPLINK
from mooring.compile.trace import round_trip, ways_in
from mooring.dialects.native.fields import View
from mooring.dialects.native.routes.hosts import TEXT_OR_JSON, wants_text
from mooring.dialects.native.service import CallerOf, Service
from mooring.dialects.native.wishes import TraceWish
from mooring.model.faults import Conflict, Invalid
from mooring.model.ids import NetworkId
from mooring.model.nouns import Caller, Host
from mooring.operations import Operations


class StepView(View):
    """One thing that happens to a packet, the rule that decides, the facts it goes by and those that it lacks."""

    place: str
    at: str
    event: str
    text: str
    rule: str
    facts: list[str]
    missing: list[str]


class JourneyView(View):
    """A packet's way through a host, and how it ends."""

    packet: str
    entry: str
    steps: list[StepView]
    outcome: str
    header: Annotated[str, Field(description="The packet as it came out, or as it was where it ended.")]
    end: str

    @classmethod
    def of(cls, journey: Journey) -> "JourneyView":
        """Show a journey."""
        steps = [
            StepView(
                place=str(step.place),
                at=step.at,
                event=step.event,
                text=step.text,
                rule=step.rule,
                facts=[str(fact) for fact in step.facts],
                missing=[fact_line(key, ()) for key in step.missing],
            )
            for step in journey.steps
        ]
        return cls(
            packet=str(journey.packet.header),
            entry=str(journey.packet.entry),
            steps=steps,
            outcome=journey.outcome,
            header=str(journey.header),
            end=journey.end,
        )


class TraceView(View):
    """A packet's way there and its answer's way back, which is null where nobody could answer."""

    host: str
    answered: bool
    there: JourneyView
    back: JourneyView | None


def routes(service: Service) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["trace"])

    @router.post("/trace", response_model=TraceView, responses=TEXT_OR_JSON)
    @service.reads
    def trace_packet(caller: CallerOf, wish: TraceWish, request: Request) -> Response:
        """Say where a packet would go, and why, and whether it would be answered; nothing is sent."""
        host, trip = _follow(service.operations, caller, wish)
        if wants_text(request):
            return PlainTextResponse(f"on host {host.name}\n{trip}")
        view = TraceView(
            host=host.name,
            answered=trip.answered,
            there=JourneyView.of(trip.there),
            back=None if trip.back is None else JourneyView.of(trip.back),
        )
        return JSONResponse(view.model_dump(mode="json"))

    return router


@dataclass(frozen=True, slots=True)
class _Start:
    """A host, and a way by which the packet could enter it."""

    host: Host
    state: HostState
    entry: Entry


def _follow(operations: Operations, caller: Caller, wish: TraceWish) -> tuple[Host, RoundTrip]:
    header = Header(wish.protocol, wish.source, wish.destination, wish.source_port, wish.port)
    hosts = operations.hosts.listing(caller) if wish.host is None else [operations.hosts.get(caller, wish.host)]
    network = None if wish.network is None else operations.networks.get(caller, wish.network).id
    states = [(host, operations.hosts.state(caller, host.id)) for host in hosts]
    starts = [_Start(host, state, entry) for host, state in states for entry in _entries(state, wish, network)]
    if not starts:
        raise Invalid("source", f"no guest has {wish.source}, and no host has an uplink that it could come in by")
    networks = {start.entry.network for start in starts if isinstance(start.entry, FromGuest)}
    if len(networks) > 1:
        raise Conflict(
            f"network: guests of several have {wish.source}: {', '.join(sorted(networks))}.", field="network"
        )
    trips = [(start.host, round_trip(start.state, Packet(header, start.entry))) for start in starts]
    # It may come in by any uplink, and a network be on any host: the one is meant where something becomes of the packet.
    known = [trip for trip in trips if trip[1].there.outcome not in {Outcome.UNANSWERED, Outcome.NOT_MODELLED}]
    return (known or trips)[0]


def _entries(state: HostState, wish: TraceWish, network: NetworkId | None) -> Sequence[Entry]:
    """Return the ways by which the packet could enter a host."""
    if network is not None:
        return [FromGuest(network)]
    entries = ways_in(state, wish.source)
    match wish.entry:
        case "guest":
            return [entry for entry in entries if isinstance(entry, FromGuest)]
        case "uplink":
            return [FromUplink(str(key.row[0])) for key in state if key.table == UPLINK]
        case None:
            return entries
        case _:
            assert_never(wish.entry)
