"""A packet's way through a router: what the kernel does between the chains of its rules, and what connection tracking remembers.

arriving ── steering ── routing ─┬─ passing ── leaving ── checked ── out of a device
                                 └─ own ── the router itself ── answering
"""

from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network

from mooring.compile import tables
from mooring.compile.arp import FORWARDING
from mooring.compile.atlas import Router
from mooring.compile.choice import passed_over, told
from mooring.compile.deciding import Decision, decide
from mooring.compile.facts import Fact, Key, Place
from mooring.compile.journey import BROADCAST, NOBODY, Event, Flow, FromGuest, Header, IpProtocol, Outcome, Packet, Step
from mooring.compile.moments import Direction, Moment, NotModelledError
from mooring.compile.rules import Chain, Verb, chains_at
from mooring.model.ids import RouterId

_DHCP, _DNS = 67, 53

_FORWARDING, _FORWARDED = "forwarding", "forwarded"
"""The chains that lead forwarded ports to guests, and let their flows pass."""

_PF_PAIRS = (tables.PF_PAIR, *tables.PF_PAIR_BLOCKS)

_LACKING = {
    tables.PAIR: "no association in force joins these two addresses",
    tables.MAY_OUT: "this source may not open flows to the outside",
    tables.PUBLIC: "this source may not leave by this uplink",
}


@dataclass(slots=True)
class Passage:
    """One packet in a router: methods take it a stretch further, and return how it ended, or the device that it left by.

    `iif` is the device that it came by, empty for the router's own packets.  `header` becomes what the packet is made to be, `mark` what is
    written on it, and `flow_mark` what is written on its flow.
    """

    router: Router
    packet: Packet
    iif: str = ""
    steps: list[Step] = field(default_factory=list[Step])
    header: Header = field(init=False)
    flow: Flow | None = field(default=None, init=False)
    direction: Direction = field(default=Direction.ORIGINAL, init=False)
    mark: int = field(default=0, init=False)
    flow_mark: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        """Come under the router's connection tracking.

        Raises:
            NotModelledError: the router is not whole.
        """
        check_rules(self.router)
        self.header = self.packet.header
        flow = self.packet.flow
        if flow is not None and flow.router == self.router.place.id and flow.has(self.header):
            self.flow = flow
            self.flow_mark = flow.mark
            self.direction = Direction.REPLY if flow.is_answer(self.header) else Direction.ORIGINAL

    def arrive(self) -> Outcome | str:
        """A packet has come by one of the router's devices."""
        router = self.router
        if outcome := self._hook("prerouting"):
            return outcome
        src, dst = self.header.src, self.header.dst
        everybody = dst == BROADCAST or router.is_broadcast(dst)
        martian = src.is_loopback or src.is_multicast or src == BROADCAST or (src == NOBODY and not everybody)
        if src in router.own or martian:
            facts = (router.own[src],) if src in router.own else ()
            text = f"dropped: nobody else may have the source {src}"
            return self._end(Outcome.DROPPED, Step(router.place, "routing", Event.ENDED, text, facts=facts))
        if dst.is_multicast or dst.is_loopback or dst == NOBODY:
            raise NotModelledError(f"what the kernel does with a packet to {dst}")
        if dst in router.own or everybody:
            facts = (router.own[dst],) if dst in router.own else ()
            self.steps.append(Step(router.place, "routing", Event.ROUTED, f"{dst} is the router itself", facts=facts))
            return self._hook("input") or self._take()
        if router.setting(FORWARDING) is None:
            missing = (Key(tables.SYSCTL, router.place, (FORWARDING,)),)
            text = "dropped: the router does not forward"
            return self._end(Outcome.DROPPED, Step(router.place, "routing", Event.ENDED, text, missing=missing))
        route = self._route()
        return route if isinstance(route, Outcome) else self._hook("forward", route) or self._leave(route)

    def send(self) -> Outcome | str:
        """The router itself sends."""
        dst = self.header.dst
        if dst in self.router.own or dst == BROADCAST or self.router.is_broadcast(dst):
            raise NotModelledError(f"what a router does with a packet of its own to {dst}")
        if outcome := self._hook("output"):
            return outcome
        route = self._route()
        return route if isinstance(route, Outcome) else self._leave(route)

    def remembered(self) -> Flow:
        """Return what connection tracking keeps of a packet that got through."""
        if self.flow is not None:
            return replace(self.flow, answered=self.flow.answered or self.direction is Direction.REPLY)
        place = RouterId(self.router.place.id)
        return Flow(place, self.packet.header, self.header.reversed(), mark=self.flow_mark)

    def _end(self, outcome: Outcome, last: Step) -> Outcome:
        self.steps.append(last)
        return outcome

    def _leave(self, device: str) -> Outcome | str:
        return self._hook("postrouting", device) or device

    def _hook(self, hook: str, oif: str = "") -> Outcome | None:
        """Walk through the chains at a hook; an outcome is the end."""
        router = self.router
        for chain in chains_at("ip", hook):
            if chain.nat and self.flow is not None:
                self._restore(self.flow, chain)
                continue
            decision = decide(chain, self._moment(oif), router.elements)
            if decision.verb is Verb.DROP:
                return self._end(Outcome.DROPPED, _dropped(router.place, decision))
            if hook in {"prerouting", "output"} and (step := told(router, self.header, self.mark, decision)):
                self.steps.append(step)
            self.mark, self.flow_mark = decision.mark, decision.flow_mark
            if step := self._passed(chain, decision):
                self.steps.append(step)
        return None

    def _moment(self, oif: str) -> Moment:
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
            uplinks=frozenset(self.router.uplinks),
            mark=self.mark,
            flow_mark=self.flow_mark,
        )

    def _passed(self, chain: Chain, decision: Decision) -> Step | None:
        """Translate as the chain says, and tell what it did."""
        address, *port = decision.facts[-1].value if decision.facts and decision.facts[-1].value else (None,)
        before, place = self.header, self.router.place
        if decision.verb is Verb.DNAT and isinstance(address, IPv4Address):
            self.header = replace(before, dst=address)
            text = f"destination {before.dst} becomes {address}"
            if decision.chain == _FORWARDING:
                to = port[0] if port and isinstance(port[0], int) else before.dport
                self.header = replace(self.header, dport=to)
                text = f"destination {before.dst}:{before.dport} becomes {address}:{to}"
            return Step(place, decision.chain, Event.TRANSLATED, text, decision.rule, decision.facts)
        if decision.verb is Verb.SNAT and isinstance(address, IPv4Address):
            self.header = replace(before, src=address)
            text = f"source {before.src} becomes {address}"
            return Step(place, decision.chain, Event.TRANSLATED, text, decision.rule, decision.facts)
        if chain.nat and decision.missing:
            if chain.hook == "prerouting":
                # That an address has forwarded ports is a reason only where it has.
                missing = tuple(key for key in decision.missing if key.table != tables.PORTS)
                text = f"destination stays {before.dst}"
                return Step(place, decision.chain, Event.UNCHANGED, text, missing=missing)
            if isinstance(self.packet.entry, FromGuest):
                return Step(
                    place, decision.chain, Event.UNCHANGED, f"source stays {before.src}", missing=decision.missing
                )
            return None  # that a stranger's source stays as it is needs no reason
        if decision.rule or decision.facts:
            return Step(place, decision.chain, Event.PASSED, "passes", decision.rule, decision.facts)
        return None

    def _restore(self, flow: Flow, chain: Chain) -> None:
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
            self.steps.append(Step(self.router.place, "flow", Event.TRANSLATED, text))

    def _route(self) -> str | Outcome:
        """Choose the device by the longest prefix, in the table of routes that the packet's mark leads to."""
        router, dst = self.router, self.header.dst
        if step := passed_over(router, self.mark):
            self.steps.append(step)
        ways = router.routes_to(dst, self.iif, self.mark)
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

    def _take(self) -> Outcome:
        """The router lets in what is meant for itself: who in it takes the packet?"""
        router, header, text = self.router, self.header, "the kernel answers"
        facts: tuple[Fact, ...] = ()
        if self.direction is Direction.REPLY:
            text = "an answer that the router waits for"
        elif header.protocol is not IpProtocol.ICMP:
            server = router.server_on(self.iif)
            if header.dport not in {_DHCP, _DNS} or server is None:
                raise NotModelledError(f"who in the router takes {header}")
            if header.dst not in {server.own.ip, server.own.network.broadcast_address, BROADCAST}:
                raise NotModelledError(f"whether dnsmasq takes {header}, which is not to its own address")
            text, facts = "dnsmasq takes it", (server.fact,)
        return self._end(Outcome.TAKEN, Step(router.place, "router", Event.ENDED, text, facts=facts))


def _dropped(place: Place, decision: Decision) -> Step:
    """Tell why a chain dropped a packet: the first element that would have let it pass, where there is one."""
    missing = decision.missing[:1]
    why = "no rule lets it pass"
    if decision.chain == _FORWARDED and missing:
        missing = tuple(key for key in decision.missing if key.table in _PF_PAIRS)
        why = f"of {decision.missing[0].row[0]} only ports are forwarded"
        if missing:
            public, _, port = missing[0].row[:3]
            why = f"port {port} of {public} is not forwarded there"
    elif missing:
        row = missing[0].row
        why = _LACKING.get(missing[0].table, why)
        if missing[0].table == tables.PAIR and row[0] == row[-1]:
            why = f"{row[0]} is no floating IP in use, and there is no other way to a guest from here"
    return Step(place, decision.chain, Event.ENDED, f"dropped: {why}", decision.rule, missing=missing)


def check_rules(router: Router) -> None:
    """Refuse to say anything about a router that is not whole: without its rules it is another machine.

    Raises:
        NotModelledError: its namespace or its ruleset is missing.
    """
    for table, row in ((tables.NAMESPACE, ()), (tables.RULESET, ("router",))):
        if router.fact(table, *row) is None:
            raise NotModelledError(f"{router.place} without its {table.name}")
