"""/v1/trace: where a packet would go and why, computed from what hosts should hold."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, assert_never

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic import Field

from mooring.compile.facts import HOST, HostState, Key, fact_line
from mooring.compile.journey import Entry, FromGuest, FromUplink, Header, Journey, Outcome, Packet
from mooring.compile.naming import Names
from mooring.compile.tables import PORT, UPLINK
from mooring.compile.tour import Tour, tour
from mooring.compile.trace import guests_with, trace, ways_in
from mooring.dialects.native.fields import View
from mooring.dialects.native.routes.hosts import TEXT_OR_JSON, wants_text
from mooring.dialects.native.service import CallerOf, Service
from mooring.dialects.native.wishes import TraceWish
from mooring.model.accounts import Caller
from mooring.model.faults import Conflict, Invalid
from mooring.model.ids import NetworkId, NicId, bridge_name, port_name
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


class OnwardView(View):
    """What another host tells that the packet or its answer comes by."""

    host: str
    there: JourneyView | None
    back: JourneyView | None


class TraceView(View):
    """A packet's way there and its answer's way back, which is null where nobody could answer or where it is not known.

    Both are what the host tells that the packet enters; `onward` is told by the hosts that it is carried to.
    """

    host: str
    answered: bool
    there: JourneyView
    back: JourneyView | None
    onward: list[OnwardView]

    @classmethod
    def of(cls, found: Tour) -> "TraceView":
        """Show a tour, host by host."""
        there = {stretch.host: JourneyView.of(stretch.journey) for stretch in found.there}
        back = {stretch.host: JourneyView.of(stretch.journey) for stretch in found.back}
        first, *others = dict.fromkeys((*there, *back))
        return cls(
            host=first,
            answered=found.answered,
            there=there[first],
            back=back.get(first),
            onward=[OnwardView(host=host, there=there.get(host), back=back.get(host)) for host in others],
        )


def routes(service: Service) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["trace"])

    @router.post("/trace", response_model=TraceView, responses=TEXT_OR_JSON)
    @service.reads
    def trace_packet(caller: CallerOf, wish: TraceWish, request: Request) -> Response:
        """Say where a packet would go, and why, and whether it would be answered; nothing is sent."""
        found = _follow(service.operations, caller, wish)
        if wants_text(request):
            return PlainTextResponse(str(found))
        return JSONResponse(TraceView.of(found).model_dump(mode="json"))

    return router


@dataclass(frozen=True, slots=True)
class _Start:
    """A host, and a way by which the packet could enter it."""

    host: str
    entry: Entry


def _follow(operations: Operations, caller: Caller, wish: TraceWish) -> Tour:
    if wish.source.version != wish.destination.version:
        raise Invalid("destination", f"{wish.destination} is of another family than the source {wish.source}")
    header = Header(wish.protocol, wish.source, wish.destination, wish.source_port, wish.port)
    names = Names(operations.groups.everybodys(caller), operations.pools.uplinks(caller))
    if wish.nic is not None:
        return _from_nic(operations, caller, header, NicId(wish.nic), names)
    network = None if wish.network is None else operations.networks.get(caller, wish.network).id
    states = _states(operations, caller)
    asked = [*states] if wish.host is None else [operations.hosts.get(caller, wish.host).name]
    # Who has an IPv4 address, a router's DHCP entries tell; who has one of IPv6, only a filtered port's.
    ours = [network.id for network in operations.networks.listing(caller)] if wish.source.version == 6 else []
    starts = [_Start(host, entry) for host in asked for entry in _entries(states[host], wish, network, ours)]
    if wish.source.version == 6:
        # A guest that one host knows is no stranger on the others.
        starts = [start for start in starts if isinstance(start.entry, FromGuest)] or starts
    if not starts:
        raise Invalid("source", f"no guest has {wish.source}, and no host has an uplink that it could come in by")
    networks = {start.entry.network for start in starts if isinstance(start.entry, FromGuest)}
    if len(networks) > 1:
        raise Conflict(
            f"network: guests of several have {wish.source}: {', '.join(sorted(networks))}.", field="network"
        )
    # Where a guest is, its own host tells; which network that is, mostly the router's does.
    more = (_Start(host, FromGuest(each)) for host in asked for each in sorted(networks))
    journeys = {start: trace(states[start.host], Packet(header, start.entry)) for start in (*starts, *more)}
    start = max(journeys, key=lambda start: _worth(journeys[start]))
    return tour(states, start.host, Packet(header, start.entry), names)


def _states(operations: Operations, caller: Caller) -> dict[str, HostState]:
    return {host.name: operations.hosts.found(caller, host.id) for host in operations.hosts.listing(caller)}


def _from_nic(operations: Operations, caller: Caller, header: Header, nic: NicId, names: Names) -> Tour:
    """Follow what one NIC sends, as itself or as somebody else."""
    states, port = _states(operations, caller), port_name(nic)
    bridges = {bridge_name(network.id): network.id for network in operations.networks.listing(caller)}
    for host, state in states.items():
        if (value := state.get(Key(PORT, HOST, (port,)))) is not None:
            network = bridges.get(str(value[0]))
            if network is None:
                raise Invalid("nic", f"{port} is on {value[0]}, the operator's bridge, of which no more is known")
            return tour(states, host, Packet(header, FromGuest(network, port)), names)
    raise Invalid("nic", f"no host has a NIC {nic}")


def _worth(journey: Journey) -> int:
    """Say how much a host knows of a packet.

    It may come in by any uplink, and a network be on any host: the one is meant where the sender's port is, or where something becomes of
    the packet.
    """
    if journey.port is not None:
        return 2
    return 0 if journey.outcome in {Outcome.UNANSWERED, Outcome.NOT_MODELLED} else 1


def _entries(
    state: HostState, wish: TraceWish, network: NetworkId | None, ours: Iterable[NetworkId]
) -> Sequence[Entry]:
    """Return the ways by which the packet could enter a host; `ours` are networks that it may be a guest of."""
    if network is not None:
        return [FromGuest(network)]
    entries = guests_with(state, ours, wish.source) or ways_in(state, wish.source)
    match wish.entry:
        case "guest":
            return [entry for entry in entries if isinstance(entry, FromGuest)]
        case "uplink":
            return [FromUplink(str(key.row[0])) for key in state if key.table == UPLINK]
        case None:
            return entries
        case _:
            assert_never(wish.entry)
