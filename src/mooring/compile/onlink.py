"""An IPv6 packet's way: over the bridge that its sender is on, and no further, for routers here know IPv4 only.

guest === asks who has the address: arriving, from_guest --[ forwarded; passing, judged6, sent6, received6 ]-- port === guest
"""

from dataclasses import replace

from mooring.compile import tables
from mooring.compile.atlas import Atlas, fact_at
from mooring.compile.bridged import Bridge, Frame, ended, remembered
from mooring.compile.facts import HOST, Fact, Key
from mooring.compile.journey import Event, FromGuest, Journey, Outcome, Packet, Step
from mooring.compile.moments import NotModelledError
from mooring.compile.wires import untold, wire
from mooring.model.ids import bridge_name


def on_link(known: Atlas, packet: Packet) -> Journey:
    """Return where an IPv6 packet goes on a host, and why; a pure function that never raises."""
    entry, header = packet.entry, packet.header
    start = Journey(packet, (), Outcome.NOT_MODELLED, header)
    if header.src.version != header.dst.version:
        return _unknown(start, f"{header.src} and {header.dst} are of two families")
    if not isinstance(entry, FromGuest):
        text = "routers here have no IPv6: nobody answers there, and nothing is routed"
        return replace(start, steps=(Step(HOST, "wire", Event.ENDED, text),), outcome=Outcome.UNANSWERED)
    try:
        return _from_guest(known, entry, start)
    except NotModelledError as unknown:
        return replace(start, steps=(Step(HOST, "?", Event.ENDED, str(unknown)),))


def _from_guest(known: Atlas, entry: FromGuest, start: Journey) -> Journey:
    header, flow = start.header, start.packet.flow
    dst = header.dst
    if dst == header.src or dst.is_unspecified or dst.is_multicast or dst.is_loopback:
        raise NotModelledError(f"what a guest does with a packet to {dst}")
    bridge = Bridge(known, bridge_name(entry.network))
    holder = bridge.holder(header.src)
    sender = bridge.port(device=entry.port) if entry.port else holder[0] if holder else None
    whence = (
        "the guest asks its network" if sender else "from another host, or from a port without a filter: it is asked"
    )
    steps = [Step(HOST, "guest", Event.SENT, f"{whence} who has {dst}, for no router here routes IPv6")]
    if sender is not None:
        start = replace(start, port=sender.device)
        steps.append(bridge.guard(sender, Frame.of(header, flow)))
    if ended(steps):
        return replace(start, steps=tuple(steps), outcome=Outcome.DROPPED)
    here = bridge.holder(dst)
    if here is None:
        return _elsewhere(known, bridge, entry, replace(start, steps=tuple(steps)))
    port, own = here
    spoken = Key(tables.TARGET6, HOST, (port.device, port.mac, dst))
    answer = fact_at(known.state, spoken)
    if answer is None:
        text = f"{port.device} may not answer for {dst} in neighbour discovery"
        steps.append(Step(HOST, "bridge", Event.ENDED, text, facts=(own,), missing=(spoken,)))
        return replace(start, steps=tuple(steps), outcome=Outcome.UNANSWERED)
    steps += bridge.forward(Frame.of(header, flow), port)
    if ended(steps):
        return replace(start, steps=tuple(steps), outcome=Outcome.DROPPED)
    text = f"{dst} is {port.mac} at {port.device} of {bridge.name}"
    steps.append(Step(HOST, "bridge", Event.ENDED, text, facts=(own, answer, port.fact)))
    return replace(
        start,
        steps=tuple(steps),
        outcome=Outcome.DELIVERED,
        device=bridge.name,
        mac=port.mac,
        reached=FromGuest(entry.network),
        flow=remembered(header, flow, is_judged=bridge.is_judged),
    )


def _elsewhere(known: Atlas, bridge: Bridge, entry: FromGuest, start: Journey) -> Journey:
    """No filtered port of this host has the destination."""
    dst, way = start.header.dst, wire(known, entry.network)
    if not any(True for _ in bridge.ports) and fact_at(known.state, Key(tables.BRIDGE, HOST, (bridge.name,))) is None:
        return _unknown(start, f"there is no bridge of ours for network {entry.network} on this host")
    if not all(fact.value[2] for fact in known.ports.get(bridge.name, ())):
        return _unknown(
            start, f"whether {dst} is a guest's on {bridge.name}: of ports without a filter no fact tells it"
        )
    if way is None or start.port is None:  # what came from another host does not go back
        step = Step(HOST, "bridge", Event.ENDED, f"no port of {bridge.name} may have {dst}")
        return replace(start, steps=(*start.steps, step), outcome=Outcome.UNANSWERED)
    gone = None if way.is_told else untold(known, way, dst)
    if gone is None:
        return _unknown(start, f"whether {dst} is on another host: {way.name} is told of IPv4 addresses only", way.fact)
    steps = (*start.steps, *bridge.forward(Frame.of(start.header, start.packet.flow), None))
    if ended(steps):
        return replace(start, steps=steps, outcome=Outcome.DROPPED)
    return replace(
        start,
        steps=(*steps, *gone.steps),
        outcome=gone.outcome,
        device=gone.device,
        reached=FromGuest(entry.network),
        onward=gone.onward,
        flow=remembered(start.header, start.packet.flow, is_judged=bridge.is_judged),
    )


def _unknown(start: Journey, text: str, *facts: Fact) -> Journey:
    return replace(start, steps=(*start.steps, Step(HOST, "bridge", Event.ENDED, text, facts=facts)))
