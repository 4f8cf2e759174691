"""trace(): where a packet would go on a host, and why, computed from nothing but the host's facts.

A packet meets, in this order (the chains' names are those of the ruleset):

    from a guest   its own routes, bridge ───────┐                       ┌─ own ── the router itself
    from outside   ARP: asked, then proxy_arp ───┴─ arriving ── routing ─┴─ passing ── leaving ── checked ── out

What the chains decide is in `deciding`; of a router's there is more in `routed`, of a bridge's with filtered ports in `bridged`, of what
joins hosts in `wires`, and of IPv6, which no router here knows, in `onlink`.  What is not known there or here ends a journey as "not
modelled": ICMP errors, fragments, TTL, multicast, a source port that is changed because it is taken.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from ipaddress import IPv6Address
from typing import assert_never

from mooring.compile import tables
from mooring.compile.arp import ask
from mooring.compile.atlas import Atlas, Router, Server, atlas, fact_at
from mooring.compile.bridged import Bridge, Frame, Port, ended, remembered
from mooring.compile.facts import HOST, Fact, HostState, Key
from mooring.compile.journey import (
    BROADCAST,
    NOBODY,
    Address,
    Entry,
    Event,
    Flow,
    FromGuest,
    FromRouter,
    FromUplink,
    Header,
    Journey,
    Onward,
    Outcome,
    Packet,
    RoundTrip,
    Step,
)
from mooring.compile.links import router_place
from mooring.compile.moments import NotModelledError
from mooring.compile.naming import Names
from mooring.compile.onlink import on_link
from mooring.compile.routed import Passage, check_rules
from mooring.compile.wires import Carried, carried, unserved, untold, whereabouts, wire
from mooring.model.ids import NetworkId, RouterId, bridge_name


def trace(state: HostState, packet: Packet, names: Names | None = None) -> Journey:
    """Return where a packet goes on a host with these facts, and why; a pure function that never raises.

    `names` tells what people call security groups.
    """
    return _follow(atlas(state, names), packet)


def round_trip(state: HostState, packet: Packet, names: Names | None = None) -> RoundTrip:
    """Trace a packet and the answer of whoever it reaches; the outside answers by the uplink that the packet left by."""
    known = atlas(state, names)
    there = _follow(known, packet)
    if there.reached is None:
        return RoundTrip(there, None)
    return RoundTrip(there, _follow(known, Packet(there.header.reversed(), there.reached, there.flow)))


def ways_in(state: HostState, src: Address) -> tuple[Entry, ...]:
    """Return where a packet from this address can enter: each network with a guest that has it, or else each uplink, sorted.

    Several networks may use one address; which is meant, only the one who asks can tell.
    """
    known = atlas(state)
    networks = {server.network for router, server in known.servers() if router.guest_at(server, src) is not None}
    if networks:
        return tuple(FromGuest(NetworkId(network)) for network in sorted(networks))
    uplinks = {device for router in known.routers.values() for device in router.uplinks}
    return tuple(FromUplink(device) for device in sorted(uplinks))


def guests_with(state: HostState, networks: Iterable[NetworkId], src: Address) -> tuple[FromGuest, ...]:
    """Return by which of these networks a packet from this address can enter: those where a filtered port may have it, sorted."""
    known = atlas(state)
    return tuple(
        FromGuest(each) for each in sorted(networks) if Bridge(known, bridge_name(each)).holder(src) is not None
    )


def _follow(known: Atlas, packet: Packet) -> Journey:
    if IPv6Address in {type(packet.header.src), type(packet.header.dst)}:
        return on_link(known, packet)
    walk = _Walk(known, packet, packet.header)
    outcome = walk.outcome()
    return Journey(
        packet=packet,
        steps=tuple(walk.steps),
        outcome=outcome,
        header=walk.header,
        device=walk.device,
        mac=walk.mac,
        reached=walk.reached,
        flow=walk.remembered(),
        port=walk.port,
        onward=walk.onward,
    )


@dataclass(slots=True)
class _Walk:
    """One packet on its way: methods take it a stretch further, and return how it ended once it has."""

    known: Atlas
    packet: Packet
    header: Header
    steps: list[Step] = field(default_factory=list[Step])
    passage: Passage | None = None
    is_judged: bool = False
    device: str | None = None
    mac: str | None = None
    reached: Entry | None = None
    port: str | None = None
    onward: Onward | None = None

    def outcome(self) -> Outcome:
        """Go the whole way."""
        try:
            return self._enter(self.packet.entry)
        except NotModelledError as unknown:
            place = HOST
            if self.passage is not None:
                place, self.header = self.passage.router.place, self.passage.header
            return self._end(Outcome.NOT_MODELLED, Step(place, "?", Event.ENDED, str(unknown)))

    def remembered(self) -> Flow | None:
        """Return what connection tracking keeps of a packet that got through; a bridge without filtered ports keeps nothing."""
        if self.reached is None and self.onward is None:
            return None
        if self.passage is not None:
            return self.passage.remembered()
        return remembered(self.header, self.packet.flow, is_judged=self.is_judged)

    def _end(self, outcome: Outcome, last: Step) -> Outcome:
        self.steps.append(last)
        return outcome

    # ------------------------------------------------------------------------------------------------------- ways in

    def _enter(self, entry: Entry) -> Outcome:
        match entry:
            case FromGuest():
                return self._from_guest(entry)
            case FromUplink():
                return self._from_uplink(entry)
            case FromRouter():
                return self._from_router(entry.router)
            case _:
                assert_never(entry)

    def _from_guest(self, entry: FromGuest) -> Outcome:
        """Follow the guest's own routes, as DHCP gave them: its subnet is on the bridge, all else is at the router."""
        src, dst, network = self.header.src, self.header.dst, entry.network
        if dst in {src, NOBODY} or dst.is_multicast or dst.is_loopback:
            raise NotModelledError(f"what a guest does with a packet to {dst}")
        found = [pair for pair in self.known.servers() if pair[1].network == network]
        if not found:
            return self._from_unserved(entry)
        if len(found) != 1:
            raise NotModelledError(f"{len(found)} routers on this host serve network {network}: which is meant?")
        router, server = found[0]
        own, bridge = server.own, self._bridge(network)
        if lacking := self._lacks_bridge(server):
            return self._end(Outcome.UNANSWERED, lacking)
        sender = router.guest_at(server, src)
        if dst in own.network and dst not in {own.ip, own.network.broadcast_address}:
            text = f"{dst} is in the guest's own subnet: no router is asked"
            self.steps.append(Step(HOST, "guest", Event.SENT, text, facts=(server.fact,)))
            return self._guard(entry, None if sender is None else sender.mac) or self._at_bridge(router, server)
        everybody = dst in {BROADCAST, own.network.broadcast_address}
        text = f"sent to everybody, the router {own.ip} among them" if everybody else f"sent to the router {own.ip}"
        way = wire(self.known, network)
        far = whereabouts(way, src)
        if way is not None and far:
            text += f", from another host: it comes by {way.name} from endpoint {far[-1].value[0]}"
        self.steps.append(Step(HOST, "guest", Event.SENT, text, facts=(server.fact, *far)))
        if dropped := self._guard(entry, None if sender is None else sender.mac):
            return dropped
        if server.device not in router.inner:
            missing = (Key(tables.INNER, router.place, (server.device,)),)
            step = Step(HOST, "bridge", Event.ENDED, "the router is not at the bridge", missing=missing)
            return self._end(Outcome.UNANSWERED, step)
        check_rules(router)
        # A guest on another host has been told the router's hardware address there: the tunnel answers for it.
        if not everybody and not far:
            self.steps.append(ask(router, server.device, replace(self.header, dst=own.ip)))
            if self.steps[-1].event is Event.ARP_UNANSWERED:
                return Outcome.UNANSWERED
        return self._forward(bridge) or self._arrive(router, server.device)

    def _from_unserved(self, entry: FromGuest) -> Outcome:
        """No router of this host serves the network: what is known here is who has a filtered port, and what a tunnel is told."""
        bridge, dst = self._bridge(entry.network), self.header.dst
        here = bridge.holder(dst)
        gone = unserved(self.known, entry, self.header)
        if here is None and gone.outcome is Outcome.NOT_MODELLED:
            return self._guard(entry) or self._carried(gone, entry.network)
        sent = gone.steps[0].text
        if here is not None:
            is_told = self._sender(entry) is not None
            sent = (
                f"the guest asks who has {dst}"
                if is_told
                else f"it comes from another host, or from a port without a filter, for {dst}"
            )
        self.steps.append(Step(HOST, "guest", Event.SENT, sent))
        if dropped := self._guard(entry):
            return dropped
        if here is not None:
            return self._deliver(bridge, here, entry.network)
        if bridge.holder(self.header.src) and gone.mac is not None:  # else nobody may be there
            gone = replace(gone, answered_here=True)
        return self._carried(replace(gone, steps=gone.steps[1:]), entry.network)

    # ---------------------------------------------------------------------------------------------------- on a bridge

    def _bridge(self, network: NetworkId) -> Bridge:
        bridge = Bridge(self.known, bridge_name(network))
        self.is_judged = self.is_judged or bridge.is_judged
        return bridge

    def _guard(self, entry: FromGuest, mac: str | None = None) -> Outcome | None:
        """Ask whether a port of this host may send this; nobody does, where the sender's port is on another host or not filtered.

        `mac` is the sender's, as DHCP knows it.
        """
        port = self._sender(entry, mac)
        if port is None:
            return None
        self.port = port.device
        self.steps.append(self._bridge(entry.network).guard(port, Frame.of(self.header, self.packet.flow)))
        return ended(self.steps)

    def _sender(self, entry: FromGuest, mac: str | None = None) -> Port | None:
        bridge = self._bridge(entry.network)
        if entry.port:
            return bridge.port(device=entry.port)
        holder = bridge.holder(self.header.src)
        return bridge.port(mac=mac) if holder is None else holder[0]

    def _forward(self, bridge: Bridge, to: Port | None = None) -> Outcome | None:
        """Pass the rules of the bridge."""
        passage = self.passage
        if passage is not None:
            frame = Frame(self.header, passage.direction, passage.flow is not None)
        else:
            frame = Frame.of(self.header, self.packet.flow)
        self.steps += bridge.forward(frame, to)
        return ended(self.steps)

    def _deliver(self, bridge: Bridge, here: tuple[Port, Fact], network: NetworkId) -> Outcome:
        """A filtered port of this host has the destination."""
        port, own = here
        if dropped := self._forward(bridge, port):
            return dropped
        self.mac, self.device, self.reached = port.mac, bridge.name, FromGuest(network)
        text = f"{self.header.dst} is {port.mac} at {port.device} of {bridge.name}"
        return self._end(Outcome.DELIVERED, Step(HOST, "bridge", Event.ENDED, text, facts=(own, port.fact)))

    def _from_uplink(self, entry: FromUplink) -> Outcome:
        at_wire = [router for router in self.known.routers.values() if entry.device in router.uplinks]
        if entry.router is not None:
            place = router_place(entry.router)
            at_wire = [router for router in at_wire if router.place == place]
        if not at_wire:
            step = Step(HOST, "wire", Event.ENDED, f"no such router of this host is at {entry.device}")
            return self._end(Outcome.UNANSWERED, step)
        for router in at_wire:
            check_rules(router)
        if entry.router is not None:
            text = "the sender has the router's hardware address already"
            self.steps.append(Step(at_wire[0].place, "wire", Event.SENT, text))
            return self._arrive(at_wire[0], entry.device)
        asked = [router for router in at_wire if router.is_asked_for(entry.device, self.header.dst)]
        if not asked:
            text = f"{self.header.dst} is in no provider's subnet here: nobody on the wire asks for it"
            return self._end(Outcome.UNANSWERED, Step(HOST, "wire", Event.ENDED, text))
        answers = [(router, ask(router, entry.device, self.header)) for router in asked]
        given = [(router, step) for router, step in answers if step.event is Event.ARP_ANSWERED]
        self.steps += [step for _, step in given or answers]
        if len(given) > 1:
            raise NotModelledError(f"{len(given)} routers of this host answer for {self.header.dst}")
        return self._arrive(given[0][0], entry.device) if given else Outcome.UNANSWERED

    def _from_router(self, sender: RouterId) -> Outcome:
        router = self.known.routers.get(router_place(sender))
        if router is None:
            raise NotModelledError(f"router {sender} is not on this host")
        self.passage = Passage(router, self.packet, steps=self.steps)
        return self._after(self.passage, self.passage.send())

    def _arrive(self, router: Router, device: str) -> Outcome:
        self.passage = Passage(router, self.packet, device, self.steps)
        return self._after(self.passage, self.passage.arrive())

    # ------------------------------------------------------------------------------------------------------- ways out

    def _after(self, passage: Passage, end: Outcome | str) -> Outcome:
        """A packet has been in a router: it ended there, or left by a device."""
        router, self.header = passage.router, passage.header
        if end is Outcome.TAKEN:
            self.reached = FromRouter(RouterId(router.place.id))
        if isinstance(end, Outcome):
            return end
        return self._out(router, end)

    def _out(self, router: Router, device: str) -> Outcome:
        if uplink := router.uplinks.get(device):
            self.device, self.reached = device, FromUplink(device)
            step = Step(router.place, "wire", Event.ENDED, f"leaves as {self.header.src}", facts=(uplink,))
            return self._end(Outcome.LEFT, step)
        server = router.server_on(device)
        if server is None or device not in router.inner:
            raise NotModelledError(f"what becomes of a packet out of {device}")
        return self._at_bridge(router, server)

    def _lacks_bridge(self, server: Server) -> Step | None:
        bridge = bridge_name(NetworkId(server.network))
        key = Key(tables.BRIDGE, HOST, (bridge,))
        if fact_at(self.known.state, key) is not None:
            return None
        return Step(HOST, "bridge", Event.ENDED, f"there is no bridge {bridge}", missing=(key,))

    def _at_bridge(self, router: Router, server: Server) -> Outcome:
        """Somebody on the bridge, a guest or the router, asks who has the destination."""
        if lacking := self._lacks_bridge(server):
            return self._end(Outcome.UNANSWERED, lacking)
        network = NetworkId(server.network)
        bridge, dst, way = self._bridge(network), self.header.dst, wire(self.known, network)
        if way is not None and (gone := carried(way, self.header.src if self.passage is None else None, dst)):
            return self._carried(gone, network)
        if here := bridge.holder(dst):
            return self._deliver(bridge, here, network)
        guest = router.guest_at(server, dst)
        if guest is None:
            text = f"no fact says that a guest on {bridge.name} has {dst}"
            return self._end(Outcome.UNANSWERED, Step(HOST, "bridge", Event.ENDED, text))
        if guest.mac is not None and (port := bridge.port(mac=guest.mac)):
            missing = (Key(tables.OWN4, HOST, (port.device, port.mac, dst)),)
            text = f"{port.device} may not answer ARP for {dst}"
            step = Step(HOST, "bridge", Event.ENDED, text, facts=(guest.fact,), missing=missing)
            return self._end(Outcome.UNANSWERED, step)
        if way is not None and not way.is_told and (gone := untold(self.known, way, dst)):
            return self._carried(replace(gone, mac=guest.mac), network)
        if dropped := self._forward(bridge):
            return dropped
        self.mac, self.device, self.reached = guest.mac, bridge.name, FromGuest(network)
        text = f"{dst} is {guest.mac or 'a secondary address of a guest'} on {bridge.name}"
        if way is None or way.is_told:
            return self._end(Outcome.DELIVERED, Step(HOST, "bridge", Event.ENDED, text, facts=(guest.fact,)))
        text += f", here or by {way.name} on another host"
        return self._end(Outcome.DELIVERED, Step(HOST, "bridge", Event.ENDED, text, facts=(guest.fact, way.fact)))

    def _carried(self, gone: Carried, network: NetworkId) -> Outcome:
        """What comes of the packet is up to another host, if this one's rules let it leave."""
        *before, last = gone.steps
        self.steps += before
        if gone.outcome is Outcome.CARRIED and gone.is_seen and (dropped := self._forward(self._bridge(network))):
            return dropped
        self.is_judged = self.is_judged and gone.is_seen
        self.mac, self.device = gone.mac, gone.device
        self.reached = FromGuest(network) if gone.answered_here else None
        self.onward = gone.onward
        return self._end(gone.outcome, last)
