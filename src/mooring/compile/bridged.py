"""A packet's way over a bridge with filtered ports: as whom its sender may send, and what the security groups of both sides admit.

guest === port: arriving, from_guest --[ forwarded, to_guest; passing, judged, sent4, received4 ]-- port === guest
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from mooring.compile import tables
from mooring.compile.atlas import Atlas, fact_at
from mooring.compile.deciding import Decision, Passed, decide
from mooring.compile.facts import HOST, Fact, Key, Span, Table
from mooring.compile.filters import HOST_RULESET, NOBODY
from mooring.compile.journey import NOBODY as NO_ADDRESS
from mooring.compile.journey import Event, Header, Outcome, Step
from mooring.compile.moments import Direction, Moment, NotModelledError
from mooring.compile.rules import Verb, chains_at

_IN_FORCE = "meta pkttype host ct mark @current accept"
_ALL_PORTS = Span(0, 65535)
_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp"}


@dataclass(frozen=True, slots=True)
class Port:
    """A filtered port; its guest has that hardware address."""

    device: str
    mac: str
    fact: Fact


@dataclass(frozen=True, slots=True)
class Frame:
    """What a bridge forwards: a packet, its direction in its flow, and whether the host's connection tracking knows that flow."""

    header: Header
    direction: Direction = Direction.ORIGINAL
    is_known: bool = False

    @property
    def original(self) -> Header:
        """The header of the flow's first packet."""
        return self.header if self.direction is Direction.ORIGINAL else self.header.reversed()


@dataclass(frozen=True, slots=True)
class Side:
    """One of a flow's two sides, whose groups are asked."""

    way: str
    address: IPv4Address
    other: IPv4Address

    @property
    def tables(self) -> frozenset[Table]:
        """The tables that its groups' rules are in."""
        return frozenset((tables.OUT4, tables.PEERS_OUT) if self.way == "out" else (tables.IN4, tables.PEERS_IN))

    @property
    def preposition(self) -> str:
        """What stands before the other side."""
        return "to" if self.way == "out" else "from"


@dataclass(frozen=True, slots=True)
class Bridge:
    """A bridge of the host, as packets meet it."""

    known: Atlas
    name: str

    @property
    def ports(self) -> Iterator[Port]:
        """Its filtered ports."""
        for fact in self.known.ports.get(self.name, ()):
            if mac := str(fact.value[2]):
                yield Port(str(fact.key.row[0]), mac, fact)

    @property
    def is_judged(self) -> bool:
        """Whether the rules about security groups see what it forwards."""
        return all(self._fact(table) is not None for table in (tables.BRIDGE_FILTER, tables.FILTERED))

    def _fact(self, table: Table) -> Fact | None:
        return fact_at(self.known.state, Key(table, HOST, (self.name,)))

    def holder(self, address: IPv4Address) -> tuple[Port, Fact] | None:
        """Return the filtered port that may have an address, and the fact that says so."""
        for port in self.ports:
            key = Key(tables.OWN4, HOST, (port.device, port.mac, address))
            if address != NO_ADDRESS and (fact := fact_at(self.known.state, key)):
                return port, fact
        return None

    def port(self, *, device: str = "", mac: str | None = None) -> Port | None:
        """Return the filtered port of this name, or that of this hardware address."""
        return next((port for port in self.ports if port.device == device or port.mac == mac), None)

    def guard(self, port: Port, header: Header) -> Step:
        """Hold a guest to what it is: an `ENDED` step says that what it sends is dropped.

        Raises:
            NotModelledError: the host is without its rules.
        """
        moment = Moment(header, header, header.reversed(), iif=port.device, smac=port.mac, guests=self._guests())
        decision = self._decide("bridge", "prerouting", moment)
        if decision.verb is Verb.DROP:
            missing = tuple(key for key in decision.missing if key.table == tables.OWN4)
            why = f"{port.device} may not send as {header.src}" if missing else "no guest may send this"
            return Step(HOST, decision.chain, Event.ENDED, f"dropped: {why}", decision.rule, missing=missing)
        (passed,) = decision.way[:1]
        return Step(
            HOST, passed.chain, Event.PASSED, f"{port.device} may send as {header.src}", passed.rule, passed.facts
        )

    def forward(self, frame: Frame, to: Port | None) -> tuple[Step, ...]:
        """Let a frame through, to a filtered port or to something else; an `ENDED` step says that it is dropped.

        Raises:
            NotModelledError: the host is without its rules, or one of them asks for what the packet's description leaves open.
        """
        flow = (frame.header, frame.original, frame.original.reversed(), frame.direction, not frame.is_known)
        if to is not None:
            decision = self._decide(
                "bridge", "forward", Moment(*flow, oif=to.device, dmac=to.mac, guests=self._guests())
            )
            if decision.verb is Verb.DROP:
                missing = tuple(key for key in decision.missing if key.table == tables.OWN4)
                why = f"{to.device} has no {frame.header.dst}" if missing else "no guest is sent this"
                return (Step(HOST, decision.chain, Event.ENDED, f"dropped: {why}", decision.rule, missing=missing),)
        if not self.is_judged:
            return ()
        decision = self._decide("inet", "forward", Moment(*flow, iif=self.name, oif=self.name))
        sent = Side("out", frame.original.src, frame.original.dst)
        received = Side("in", frame.original.dst, frame.original.src)
        if decision.verb is Verb.DROP:
            return (_refused(decision, received if decision.chain.startswith("received") else sent, frame),)
        steps = tuple(step for side in (sent, received) for step in _admitted(decision, side))
        if frame.is_known and steps:
            facts = tuple(fact for step in steps for fact in step.facts)
            return (Step(HOST, "passing", Event.PASSED, "its flow is admitted already", _IN_FORCE, facts),)
        if decision.rule and decision.chain == "judged":
            return (Step(HOST, decision.chain, Event.PASSED, "passes, whatever the groups say", decision.rule),)
        return steps

    def _guests(self) -> frozenset[str]:
        return frozenset(port.device for port in self.ports)

    def _decide(self, family: str, hook: str, moment: Moment) -> Decision:
        if fact_at(self.known.state, Key(tables.RULESET, HOST, (HOST_RULESET,))) is None:
            raise NotModelledError(f"{HOST} without its {tables.RULESET.name}")
        (chain,) = chains_at(family, hook)
        return decide(chain, moment, self.known.elements)


def ended(steps: Sequence[Step]) -> Outcome | None:
    """Say whether steps on a bridge end a packet's way."""
    return Outcome.DROPPED if steps and steps[-1].event is Event.ENDED else None


def _groups(decision: Decision, side: Side) -> tuple[Fact, ...]:
    """Return the facts by which a side's groups were asked."""
    found = (fact for passed in decision.way for fact in passed.facts if fact.key.table in tables.SLOTS4)
    return tuple(fact for fact in found if fact.key.row[1] == side.address)


def _admitted(decision: Decision, side: Side) -> Iterator[Step]:
    """Tell which rule of which group let a side's flow be; nothing, where that side is not filtered here."""
    for passed in decision.way:
        own = re.fullmatch(r"g_(\d+)_(in|out)", passed.chain)
        if own is not None and own[2] == side.way and passed.facts[-1].key.table in side.tables:
            slot = next(fact for fact in reversed(_groups(decision, side)) if fact.value == (int(own[1]),))
            verb = "send" if side.way == "out" else "receive"
            text = f"{side.address} may {verb} this: group {own[1]} admits {_box(passed, side)}"
            yield Step(HOST, passed.chain, Event.PASSED, text, passed.rule, (slot, *passed.facts))


def _box(passed: Passed, side: Side) -> str:
    """Write a rule of a group as a person would."""
    fact = passed.facts[-1]
    match fact.key.row:
        case (_, Span() as protocols, Span() as ports, prefix):
            other = str(prefix)
        case (_, int() as remote, _, Span() as protocols, Span() as ports):
            other = f"members of group {remote}"
        case _:
            return str(fact)
    return f"{_flows(protocols, ports)} {side.preposition} {other}"


def _flows(protocols: Span, ports: Span) -> str:
    if protocols.first != protocols.last:
        return f"protocols {protocols}"
    name = _PROTOCOLS.get(protocols.first, f"protocol {protocols}")
    if ports == _ALL_PORTS:
        return name
    if name != "icmp":
        return f"{name} {ports}"
    kind, code = divmod(ports.first, 256)
    return f"{name} type {kind}" if ports == Span(kind << 8, kind << 8 | 255) else f"{name} type {kind} code {code}"


def _refused(decision: Decision, side: Side, frame: Frame) -> Step:
    """Tell which groups were asked, and what none of them has."""
    slots = _groups(decision, side)
    asked = {int(str(fact.value[0])) for fact in slots}
    missing = tuple(
        key
        for key in dict.fromkeys(decision.missing)
        if (key.table in side.tables and key.row[0] in asked)
        or (key.table == tables.MEMBERS4 and key.row[1] == side.other)
        or (key.table == tables.GROUP and key.row[0] in asked - {NOBODY})
    )
    header = frame.original
    flow = f"{header.protocol}" if header.dport is None else f"{header.protocol} {header.dport}"
    if asked == {NOBODY}:
        why = "its port is in no group"
    elif not asked:
        why = "no rule lets it pass"
    else:
        numbers = ", ".join(map(str, sorted(asked)))
        why = f"no rule of group{'s' if len(asked) > 1 else ''} {numbers} admits {flow} {side.preposition} {side.other}"
    verb = "send" if side.way == "out" else "receive"
    text = f"dropped: {side.address} may not {verb} this: {why}"
    return Step(HOST, decision.chain, Event.ENDED, text, decision.rule, slots, missing)
