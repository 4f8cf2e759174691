"""trace(): where a packet would go on a host, and why, computed from nothing but the host's facts.

A packet meets, in this order (the chains' names are those of the ruleset):

    from a guest   its own routes, bridge ───────┐                       ┌─ own ── the router itself
    from outside   ARP: asked, then proxy_arp ───┴─ arriving ── routing ─┴─ passing ── leaving ── checked ── out

What the chains decide is in `rules`.  What the kernel does between them is here, and what is not known here ends a journey as "not
modelled": ICMP errors, fragments, TTL, multicast, a source port that is changed because it is taken.
"""

from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network
from typing import assert_never

from mooring.compile import tables
from mooring.compile.arp import FORWARDING, ask
from mooring.compile.atlas import Atlas, Router, Server, atlas, fact_at
from mooring.compile.facts import HOST, Fact, HostState, Key, Place
from mooring.compile.journey import (
    Entry,
    Event,
    Flow,
    FromGuest,
    FromRouter,
    FromUplink,
    Header,
    IpProtocol,
    Journey,
    Outcome,
    Packet,
    RoundTrip,
    Step,
)
from mooring.compile.links import router_place
from mooring.compile.moments import Direction, Moment, NotModelledError
from mooring.compile.rules import Chain, Decision, Verb, chains_at, decide
from mooring.compile.wires import BROADCAST, Carried, carried, unserved, whereabouts, wire
from mooring.model.ids import NetworkId, RouterId, bridge_name

_NOBODY = IPv4Address("0.0.0.0")  # noqa: S104 - an address in a packet, not one to listen on
_DHCP, _DNS = 67, 53

_LACKING = {
    tables.PAIR: "no association in force joins these two addresses",
    tables.MAY_OUT: "this source may not open flows to the outside",
    tables.PUBLIC: "this source may not leave by this uplink",
}


def trace(state: HostState, packet: Packet) -> Journey:
    """Return where a packet goes on a host with these facts, and why; a pure function that never raises."""
    return _follow(atlas(state), packet)


def round_trip(state: HostState, packet: Packet) -> RoundTrip:
    """Trace a packet and the answer of whoever it reaches; the outside answers by the uplink that the packet left by."""
    known = atlas(state)
    there = _follow(known, packet)
    if there.reached is None:
        return RoundTrip(there, None)
    return RoundTrip(there, _follow(known, Packet(there.header.reversed(), there.reached, there.flow)))


def ways_in(state: HostState, src: IPv4Address) -> tuple[Entry, ...]:
    """Return where a packet from this address can enter: each network with a guest that has it, or else each uplink, sorted.

    Several networks may use one address; which is meant, only the one who asks can tell.
    """
    known = atlas(state)
    networks = {server.network for router, server in known.servers() if router.guest_at(server, src) is not None}
    if networks:
        return tuple(FromGuest(NetworkId(network)) for network in sorted(networks))
    uplinks = {device for router in known.routers.values() for device in router.uplinks}
    return tuple(FromUplink(device) for device in sorted(uplinks))


def _follow(known: Atlas, packet: Packet) -> Journey:
    walk = _Walk(known, packet, packet.header)
    outcome = walk.outcome()
    return Journey(
        packet, tuple(walk.steps), outcome, walk.header, walk.device, walk.mac, walk.reached, walk.remembered()
    )


@dataclass(slots=True)
class _Walk:
    """One packet on its way: methods take it a stretch further, and return how it ended once it has."""

    known: Atlas
    packet: Packet
    header: Header
    steps: list[Step] = field(default_factory=list[Step])
    router: Router | None = None
    iif: str = ""
    flow: Flow | None = None
    direction: Direction = Direction.ORIGINAL
    device: str | None = None
    mac: str | None = None
    reached: Entry | None = None

    def outcome(self) -> Outcome:
        """Go the whole way."""
        try:
            return self._enter(self.packet.entry)
        except NotModelledError as unknown:
            place = HOST if self.router is None else self.router.place
            return self._end(Outcome.NOT_MODELLED, Step(place, "?", Event.ENDED, str(unknown)))

    def remembered(self) -> Flow | None:
        """Return what the router's connection tracking keeps of a packet that got through; without a router there is no flow."""
        if self.reached is None or self.router is None:
            return None
        if self.flow is not None:
            return replace(self.flow, answered=self.flow.answered or self.direction is Direction.REPLY)
        return Flow(RouterId(self.router.place.id), self.packet.header, self.header.reversed())

    def _end(self, outcome: Outcome, last: Step) -> Outcome:
        self.steps.append(last)
        return outcome

    # ------------------------------------------------------------------------------------------------------- ways in

    def _enter(self, entry: Entry) -> Outcome:
        match entry:
            case FromGuest():
                return self._from_guest(entry.network)
            case FromUplink():
                return self._from_uplink(entry)
            case FromRouter():
                return self._from_router(entry.router)
            case _:
                assert_never(entry)

    def _from_guest(self, network: NetworkId) -> Outcome:
        """Follow the guest's own routes, as DHCP gave them: its subnet is on the bridge, all else is at the router."""
        src, dst = self.header.src, self.header.dst
        if dst in {src, _NOBODY} or dst.is_multicast or dst.is_loopback:
            raise NotModelledError(f"what a guest does with a packet to {dst}")
        found = [pair for pair in self.known.servers() if pair[1].network == network]
        if not found:
            return self._carried(unserved(self.known, network, self.header), network)
        if len(found) != 1:
            raise NotModelledError(f"{len(found)} routers on this host serve network {network}: which is meant?")
        router, server = found[0]
        own = server.own
        if lacking := self._lacks_bridge(server):
            return self._end(Outcome.UNANSWERED, lacking)
        if dst in own.network and dst not in {own.ip, own.network.broadcast_address}:
            text = f"{dst} is in the guest's own subnet: no router is asked"
            self.steps.append(Step(HOST, "guest", Event.SENT, text, facts=(server.fact,)))
            return self._at_bridge(router, server)
        everybody = dst in {BROADCAST, own.network.broadcast_address}
        text = f"sent to everybody, the router {own.ip} among them" if everybody else f"sent to the router {own.ip}"
        way = wire(self.known, network)
        far = whereabouts(way, src)
        if way is not None and far:
            text += f", from another host: it comes by {way.name} from endpoint {far[-1].value[0]}"
        self.steps.append(Step(HOST, "guest", Event.SENT, text, facts=(server.fact, *far)))
        if server.device not in router.inner:
            missing = (Key(tables.INNER, router.place, (server.device,)),)
            step = Step(HOST, "bridge", Event.ENDED, "the router is not at the bridge", missing=missing)
            return self._end(Outcome.UNANSWERED, step)
        _check_rules(router)
        # A guest on another host has been told the router's hardware address there: the tunnel answers for it.
        if not everybody and not far:
            self.steps.append(ask(router, server.device, replace(self.header, dst=own.ip)))
            if self.steps[-1].event is Event.ARP_UNANSWERED:
                return Outcome.UNANSWERED
        return self._arrive(router, server.device)

    def _from_uplink(self, entry: FromUplink) -> Outcome:
        at_wire = [router for router in self.known.routers.values() if entry.device in router.uplinks]
        if entry.router is not None:
            place = router_place(entry.router)
            at_wire = [router for router in at_wire if router.place == place]
        if not at_wire:
            step = Step(HOST, "wire", Event.ENDED, f"no such router of this host is at {entry.device}")
            return self._end(Outcome.UNANSWERED, step)
        for router in at_wire:
            _check_rules(router)
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
        self._enter_router(router, "")
        if self.header.dst in router.own or self.header.dst == BROADCAST or router.is_broadcast(self.header.dst):
            raise NotModelledError(f"what a router does with a packet of its own to {self.header.dst}")
        route = self._route(router)
        if isinstance(route, Outcome):
            return route
        return self._hook(router, "output", route) or self._out(router, route)

    # ---------------------------------------------------------------------------------------------- through the router

    def _enter_router(self, router: Router, device: str) -> None:
        """Come under a router's connection tracking."""
        _check_rules(router)
        self.router, self.iif = router, device
        flow, header = self.packet.flow, self.packet.header
        if flow is not None and router.place == router_place(flow.router) and header in {flow.original, flow.reply}:
            self.flow = flow
            # An echo of a guest to its own floating IP looks alike both ways: the second packet is the answer.
            if header == flow.reply and (header != flow.original or not flow.answered):
                self.direction = Direction.REPLY

    def _arrive(self, router: Router, device: str) -> Outcome:
        """A packet has come to a router by one of its devices."""
        self._enter_router(router, device)
        if outcome := self._hook(router, "prerouting"):
            return outcome
        src, dst = self.header.src, self.header.dst
        everybody = dst == BROADCAST or router.is_broadcast(dst)
        martian = src.is_loopback or src.is_multicast or src == BROADCAST or (src == _NOBODY and not everybody)
        if src in router.own or martian:
            facts = (router.own[src],) if src in router.own else ()
            text = f"dropped: nobody else may have the source {src}"
            return self._end(Outcome.DROPPED, Step(router.place, "routing", Event.ENDED, text, facts=facts))
        if dst.is_multicast or dst.is_loopback or dst == _NOBODY:
            raise NotModelledError(f"what the kernel does with a packet to {dst}")
        if dst in router.own or everybody:
            facts = (router.own[dst],) if dst in router.own else ()
            self.steps.append(Step(router.place, "routing", Event.ROUTED, f"{dst} is the router itself", facts=facts))
            return self._hook(router, "input") or self._take(router, device)
        if router.setting(FORWARDING) is None:
            missing = (Key(tables.SYSCTL, router.place, (FORWARDING,)),)
            text = "dropped: the router does not forward"
            return self._end(Outcome.DROPPED, Step(router.place, "routing", Event.ENDED, text, missing=missing))
        route = self._route(router)
        if isinstance(route, Outcome):
            return route
        return self._hook(router, "forward", route) or self._out(router, route)

    def _hook(self, router: Router, hook: str, oif: str = "") -> Outcome | None:
        """Walk through the chains at a hook; an outcome is the end."""
        for chain in chains_at("ip", hook):
            if chain.nat and self.flow is not None:
                self._restore(router, self.flow, chain)
                continue
            decision = decide(chain, self._moment(router, oif), router.elements)
            if decision.verb is Verb.DROP:
                return self._end(Outcome.DROPPED, _dropped(router.place, decision))
            if step := self._passed(router.place, chain, decision):
                self.steps.append(step)
        return None

    def _moment(self, router: Router, oif: str) -> Moment:
        flow = self.flow
        original = self.packet.header if flow is None else flow.original
        reply = self.header.reversed() if flow is None else flow.reply
        status = {"confirmed": flow is not None, "dnat": original.dst != reply.src, "snat": original.src != reply.dst}
        return Moment(
            header=self.header,
            original=original,
            reply=reply,
            direction=self.direction,
            new=flow is None or (self.direction is Direction.ORIGINAL and not flow.answered),
            status=" ".join(word for word, holds in status.items() if holds),
            iif=self.iif,
            oif=oif,
            uplinks=frozenset(router.uplinks),
        )

    def _passed(self, place: Place, chain: Chain, decision: Decision) -> Step | None:
        """Translate as the chain says, and tell what it did."""
        address = decision.facts[-1].value[0] if decision.facts and decision.facts[-1].value else None
        before = self.header
        if decision.verb is Verb.DNAT and isinstance(address, IPv4Address):
            self.header = replace(before, dst=address)
            text = f"destination {before.dst} becomes {address}"
            return Step(place, decision.chain, Event.TRANSLATED, text, decision.rule, decision.facts)
        if decision.verb is Verb.SNAT and isinstance(address, IPv4Address):
            self.header = replace(before, src=address)
            text = f"source {before.src} becomes {address}"
            return Step(place, decision.chain, Event.TRANSLATED, text, decision.rule, decision.facts)
        if chain.nat and decision.missing:
            if chain.hook == "prerouting":
                return Step(
                    place, decision.chain, Event.UNCHANGED, f"destination stays {before.dst}", missing=decision.missing
                )
            if isinstance(self.packet.entry, FromGuest):
                return Step(
                    place, decision.chain, Event.UNCHANGED, f"source stays {before.src}", missing=decision.missing
                )
            return None  # that a stranger's source stays as it is needs no reason
        if decision.rule or decision.facts:
            return Step(place, decision.chain, Event.PASSED, "passes", decision.rule, decision.facts)
        return None

    def _restore(self, router: Router, flow: Flow, chain: Chain) -> None:
        """Translate as the flow's first packet was: the maps are not asked again."""
        goal = (flow.reply if self.direction is Direction.ORIGINAL else flow.original).reversed()
        before = self.header
        if chain.hook == "prerouting":
            self.header = replace(before, dst=goal.dst, dport=goal.dport)
            text = f"destination {before.dst} becomes {goal.dst}, as the flow began"
        else:
            self.header = replace(before, src=goal.src, sport=goal.sport)
            text = f"source {before.src} becomes {goal.src}, as the flow began"
        if self.header != before:
            self.steps.append(Step(router.place, "flow", Event.TRANSLATED, text))

    def _route(self, router: Router) -> str | Outcome:
        """Choose the device by the longest prefix."""
        dst = self.header.dst
        ways = router.ways(dst, self.iif)
        if not ways:
            missing = (Key(tables.ROUTE, router.place, (IPv4Network((dst, 32)),)),)
            step = Step(router.place, "routing", Event.ENDED, f"dropped: there is no route to {dst}", missing=missing)
            return self._end(Outcome.DROPPED, step)
        if len(ways) > 1:
            raise NotModelledError(
                f"{len(ways)} routes to {dst}, equally long: {'; '.join(str(way.fact) for way in ways)}"
            )
        text = f"{dst} is out of {ways[0].device}"
        self.steps.append(Step(router.place, "routing", Event.ROUTED, text, facts=ways[0].facts))
        return ways[0].device

    # ------------------------------------------------------------------------------------------------------- ways out

    def _out(self, router: Router, device: str) -> Outcome:
        if outcome := self._hook(router, "postrouting", device):
            return outcome
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
        bridge, dst, way = bridge_name(network), self.header.dst, wire(self.known, network)
        if way is not None and (gone := carried(way, self.header, bridged=self.router is None)):
            return self._carried(gone, network)
        guest = router.guest_at(server, dst)
        if guest is None:
            text = f"no fact says that a guest on {bridge} has {dst}"
            return self._end(Outcome.UNANSWERED, Step(HOST, "bridge", Event.ENDED, text))
        self.mac, self.device, self.reached = guest.mac, bridge, FromGuest(network)
        text = f"{dst} is {guest.mac or 'a secondary address of a guest'} on {bridge}"
        if way is None or way.is_told:
            return self._end(Outcome.DELIVERED, Step(HOST, "bridge", Event.ENDED, text, facts=(guest.fact,)))
        text += f", here or by {way.name} on another host"
        return self._end(Outcome.DELIVERED, Step(HOST, "bridge", Event.ENDED, text, facts=(guest.fact, way.fact)))

    def _carried(self, gone: Carried, network: NetworkId) -> Outcome:
        """What comes of the packet is up to another host."""
        self.mac, self.device = gone.mac, gone.device
        self.reached = FromGuest(network) if gone.answered_here else None
        self.steps += gone.steps
        return gone.outcome

    def _take(self, router: Router, device: str) -> Outcome:
        """The router lets in what is meant for itself: who in it takes the packet?"""
        header, text = self.header, "the kernel answers"
        facts: tuple[Fact, ...] = ()
        if self.direction is Direction.REPLY:
            text = "an answer that the router waits for"
        elif header.protocol is not IpProtocol.ICMP:
            server = router.server_on(device)
            if header.dport not in {_DHCP, _DNS} or server is None:
                raise NotModelledError(f"who in the router takes {header}")
            if header.dst not in {server.own.ip, server.own.network.broadcast_address, BROADCAST}:
                raise NotModelledError(f"whether dnsmasq takes {header}, which is not to its own address")
            text, facts = "dnsmasq takes it", (server.fact,)
        self.reached = FromRouter(RouterId(router.place.id))
        return self._end(Outcome.TAKEN, Step(router.place, "router", Event.ENDED, text, facts=facts))


def _dropped(place: Place, decision: Decision) -> Step:
    """Tell why a chain dropped a packet: the first element that would have let it pass, where there is one."""
    missing = decision.missing[:1]
    why = "no rule lets it pass"
    if missing:
        row = missing[0].row
        why = _LACKING.get(missing[0].table, why)
        if missing[0].table == tables.PAIR and row[0] == row[-1]:
            why = f"{row[0]} is no floating IP in use, and there is no other way to a guest from here"
    return Step(place, decision.chain, Event.ENDED, f"dropped: {why}", decision.rule, missing=missing)


def _check_rules(router: Router) -> None:
    """Refuse to say anything about a router that is not whole: without its rules it is another machine.

    Raises:
        NotModelledError: its namespace or its ruleset is missing.
    """
    for table, row in ((tables.NAMESPACE, ()), (tables.RULESET, ("router",))):
        if router.fact(table, *row) is None:
            raise NotModelledError(f"{router.place} without its {table.name}")
